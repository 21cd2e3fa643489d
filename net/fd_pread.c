/* Reading a regular file of which there is only a descriptor. */
#include <errno.h>
#include <gust/runtime.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/inject.h"
#include "net/file.h"

ssize_t gust__fd_pread_cached(int fd, void *buf, size_t len, int64_t offset)
{
    const struct iovec iov = {.iov_base = buf, .iov_len = len};
    if (gust__inject(INJECT_READ_CACHED))
        return -errno;
    ssize_t n = preadv2(fd, &iov, 1, offset, RWF_NOWAIT);
    return n < 0 ? -errno : n;
}

static ssize_t pread_blocking(int fd, void *buf, size_t len, int64_t offset)
{
    ssize_t n;
    gust_blocking_begin();
    do
        n = pread(fd, buf, len, offset);
    while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    gust_blocking_end();
    return n;
}

/* Not a call of its own (GUST__CALL): it has a blocking section. */
ssize_t gust_fd_pread(int fd, void *buf, size_t len, int64_t offset)
{
    if (offset < 0)
        return -EINVAL; /* to preadv2, -1 is the descriptor's own position */
    ssize_t n = gust__fd_pread_cached(fd, buf, len, offset);
    return n >= 0 ? n : pread_blocking(fd, buf, len, offset);
}
