/* From a file to a connection.
 *
 * What is in the page cache is read without waiting (RWF_NOWAIT): no thread is
 * involved, and one copy.  What is not makes somebody wait for the disk, who must not
 * be a P: with io_uring it is a kernel thread, which splices the pages into a pipe,
 * from where they are read; with epoll it is this thread, without its P.  A blocking
 * section would do for both, but a thread that sleeps on a disk cannot tell the kernel
 * about the ring's other requests which it has submitted. */
#include <errno.h>
#include <fcntl.h>
#include <gust/runtime.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/call.h"
#include "core/inject.h"
#include "core/netpoll.h"
#include "net/copy.h"

#define PIECE_MAX ((size_t)64 << 10) /* also what a pipe holds in any case */

struct source {
    int fd;
    off_t at;
    gust_time deadline;
    gust__pipe pipe;
    char *buf; /* PIECE_MAX bytes */
};

/* --- Reading --------------------------------------------------------------- */

static ssize_t read_cached(const struct source *s, size_t len)
{
    const struct iovec iov = {.iov_base = s->buf, .iov_len = len};
    ssize_t n = preadv2(s->fd, &iov, 1, s->at, RWF_NOWAIT);
    return n < 0 ? -errno : n;
}

static ssize_t read_blocking(const struct source *s, size_t len)
{
    ssize_t n;
    gust_blocking_begin();
    do
        n = pread(s->fd, s->buf, len, s->at);
    while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    gust_blocking_end();
    return n;
}

/* Returns how much is in the pipe then. */
static ssize_t splice_in(struct source *s, size_t len)
{
    GUST__CALL();
    gust__fd file = {.fd = s->fd};
    gust__op op = {
        .code = GUST__OP_SPLICE,
        .fd = &file,
        .in = s->fd,
        .out = s->pipe.in,
        .offset = s->at,
        .splice_len = (uint32_t)len,
    };
    return gust__op_wait(&op, NULL, s->deadline);
}

static ssize_t read_by_ring(struct source *s, size_t len)
{
    if (s->pipe.out < 0 && gust__pipe_open(&s->pipe) < 0)
        return read_blocking(s, len);
    ssize_t n = splice_in(s, len);
    for (ssize_t got = 0; got < n;) {
        ssize_t more = read(s->pipe.out, s->buf + got, (size_t)(n - got));
        if (more <= 0)
            return -EIO; /* the disk's error came with the page */
        got += more;
    }
    return n;
}

static bool has_ring(void)
{
    return strcmp(gust_netpoll_name(), "io_uring") == 0;
}

/* What cannot be read without waiting, or not in this way (EOPNOTSUPP, ENOSYS), or
 * was an error that the other way reports as well. */
static ssize_t read_some(struct source *s, size_t len)
{
    ssize_t n = read_cached(s, len);
    if (n >= 0)
        return n;
    return has_ring() && s->deadline != GUST_NOW ? read_by_ring(s, len) : read_blocking(s, len);
}

/* --- The call -------------------------------------------------------------- */

static int check(int fd, uint64_t offset, uint64_t len)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) && offset <= LLONG_MAX && len <= LLONG_MAX - offset ? 0 : -EINVAL;
}

static int send_all(gust_conn *dst, struct source *s, uint64_t len, uint64_t *copied)
{
    while (*copied < len) {
        size_t sent, want = len - *copied < PIECE_MAX ? (size_t)(len - *copied) : PIECE_MAX;
        ssize_t n = read_some(s, want);
        if (n <= 0)
            return (int)n;
        const gust__piece piece = {.data = s->buf, .len = (size_t)n};
        int error = gust__conn_send_piece(dst, &piece, s->deadline, &sent);
        *copied += sent;
        s->at += (off_t)sent;
        if (error)
            return error;
    }
    return 0;
}

/* Not a call of its own (GUST__CALL): it has a blocking section. */
int gust_conn_send_file(gust_conn *dst, int fd, uint64_t offset, uint64_t len, gust_time deadline,
                        uint64_t *ret_copied)
{
    *ret_copied = 0;
    if (len > LLONG_MAX - offset && offset <= LLONG_MAX)
        len = LLONG_MAX - offset; /* all there is */
    int error = check(fd, offset, len);
    if (error || len == 0)
        return error;
    struct source s = {.fd = fd, .at = (off_t)offset, .deadline = deadline, .pipe = {-1, -1}};
    s.buf = gust__malloc(PIECE_MAX);
    if (!s.buf)
        return -ENOMEM;
    error = send_all(dst, &s, len, ret_copied);
    gust__pipe_close(&s.pipe);
    free(s.buf);
    return error;
}
