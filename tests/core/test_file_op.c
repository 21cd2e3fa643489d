/* Requests about files, below the files: when they are not begun, and what is asked of
 * the ring again. */
#include "core/file_op.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/netpoll.h"
#include "tests/core/contexts.h"

enum { WHATS_ALL = (1 << GUST__FILE_WHATS) - 1 };

static int memory_file(const char *text)
{
    int fd = memfd_create("file", MFD_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

/* In the ring, if there is one, and by system calls. */
static int twice(void *arg)
{
    void (*body)(void);
    memcpy(&body, arg, sizeof body);
    for (int i = 0; i < 2; i++) {
        gust__file_refuse(i == 0 ? 0 : WHATS_ALL);
        body();
        CHECK_EQ(gust__file_refused(), i == 0 ? 0 : WHATS_ALL);
    }
    return 0;
}

static void run_twice(void (*body)(void))
{
    test_run(twice, &body);
}

/* --- Begun or not --------------------------------------------------------------- */

static void check_not_begun(void)
{
    int fd = memory_file("abc");
    gust__file_req cut = {.what = GUST__FILE_TRUNCATE, .fd = fd, .offset = 1};
    gust_context *context = context_make(NULL);
    CHECK_EQ(gust__file_do(&cut, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust__file_do(&cut, 1), -ETIMEDOUT);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust__file_do(&cut, SOON), -ECANCELED);
    CHECK_EQ(gust__file_do(&cut, GUST_FOREVER), -ECANCELED);
    gust_context_swap(NULL);
    gust_context_unref(context);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 3);
    CHECK_EQ(gust__file_do(&cut, SOON), 0);
    CHECK_EQ(lseek(fd, 0, SEEK_END), 1);
    close(fd);
}

Test(file_op, nothing_is_begun_too_late)
{
    run_twice(check_not_begun);
}

/* --- Errors ------------------------------------------------------------------------ */

static void check_errors(void)
{
    char byte;
    struct statx st;
    const struct iovec one = {.iov_base = &byte, .iov_len = 1};
    gust__file_req reqs[] = {
        {.what = GUST__FILE_READ, .fd = -1, .iov = &one, .iov_count = 1},
        {.what = GUST__FILE_WRITE, .fd = -1, .iov = &one, .iov_count = 1},
        {.what = GUST__FILE_SYNC, .fd = -1},
        {.what = GUST__FILE_STAT, .fd = -1, .path = "", .flags = AT_EMPTY_PATH, .stat = &st},
        {.what = GUST__FILE_TRUNCATE, .fd = -1, .offset = 1},
        {.what = GUST__FILE_CLOSE, .fd = -1},
        {.what = GUST__FILE_OPEN, .fd = -1, .path = "relative", .flags = O_RDONLY},
    };
    for (size_t i = 0; i < sizeof reqs / sizeof *reqs; i++)
        CHECK_EQ(gust__file_do(&reqs[i], SOON), -EBADF);
}

Test(file_op, errors_are_those_of_the_system_calls)
{
    run_twice(check_errors);
}

static void check_offsets(void)
{
    char buf[8] = "";
    int fd = memory_file("abcdef");
    struct iovec iov = {.iov_base = buf, .iov_len = sizeof buf};
    gust__file_req req = {
        .what = GUST__FILE_READ, .fd = fd, .iov = &iov, .iov_count = 1, .offset = 4};
    CHECK_EQ(gust__file_do(&req, SOON), 2);
    CHECK(memcmp(buf, "ef", 2) == 0);
    CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
    req.offset = -1;
    iov.iov_len = 2;
    CHECK_EQ(gust__file_do(&req, SOON), 2);
    CHECK(memcmp(buf, "bc", 2) == 0);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
    req.what = GUST__FILE_WRITE;
    CHECK_EQ(gust__file_do(&req, SOON), 2);
    CHECK_EQ(pread(fd, buf, 6, 0), 6);
    CHECK(memcmp(buf, "abcbcf", 6) == 0);
    close(fd);
}

Test(file_op, no_offset_is_where_the_descriptor_stands)
{
    run_twice(check_offsets);
}

static void check_pieces(void)
{
    char head[3] = "", tail[8] = "";
    int fd = memory_file("abcdef");
    const struct iovec iov[] = {{head, 2}, {NULL, 0}, {tail, sizeof tail}};
    gust__file_req req = {.what = GUST__FILE_READ, .fd = fd, .iov = iov, .iov_count = 3};
    req.offset = 1;
    CHECK_EQ(gust__file_do(&req, SOON), 5);
    CHECK(memcmp(head, "bc", 2) == 0 && memcmp(tail, "def", 3) == 0);
    CHECK_EQ(lseek(fd, 4, SEEK_SET), 4);
    req.offset = -1;
    CHECK_EQ(gust__file_do(&req, SOON), 2);
    CHECK(memcmp(head, "ef", 2) == 0);
    req.what = GUST__FILE_WRITE;
    CHECK_EQ(gust__file_do(&req, SOON), 2 + sizeof tail);
    CHECK_EQ(pread(fd, tail, 5, 6), 5);
    CHECK(memcmp(tail, "efdef", 5) == 0);
    close(fd);
}

Test(file_op, pieces_are_taken_in_their_order)
{
    run_twice(check_pieces);
}

/* --- Refusals ------------------------------------------------------------------------- */

/* Lengths that the kernel knows to be wrong: that is said of the file, not of the ring. */
static int nonsense_main(void *arg)
{
    int fd = memory_file("abc");
    gust__file_req sync = {.what = GUST__FILE_SYNC, .fd = fd};
    (void)arg;
    gust__file_refuse(0);
    gust__file_req cut = {.what = GUST__FILE_TRUNCATE, .fd = fd, .offset = -5};
    CHECK_EQ(gust__file_do(&cut, SOON), -EINVAL);
    CHECK_EQ(gust__file_refused(), 0);
    gust__file_refuse(1U << GUST__FILE_SYNC); /* only this one goes another way */
    CHECK_EQ(gust__file_do(&sync, SOON), 0);
    CHECK_EQ(gust__file_refused(), 1U << GUST__FILE_SYNC);
    CHECK_EQ(gust__netpoll_does_files(), strcmp(gust_netpoll_name(), "epoll") != 0);
    close(fd);
    return 0;
}

Test(file_op, nonsense_is_not_taken_for_ignorance)
{
    test_run(nonsense_main, NULL);
}
