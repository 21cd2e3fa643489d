/* Exits with 0 if this process may make an io_uring; else prints why not. */
#include <liburing.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    struct io_uring ring;
    int err = io_uring_queue_init(2, &ring, 0);
    if (err < 0) {
        printf("io_uring_setup: %s\n", strerror(-err));
        return 1;
    }
    io_uring_queue_exit(&ring);
    return 0;
}
