/* From a file to a connection.
 *
 * What is in the page cache costs no copy if there is much of it: the kernel sends the
 * pages themselves (conn_pages.c).  Smaller pieces are read without waiting (RWF_NOWAIT):
 * one copy, and fewer calls.  What is not in the cache makes somebody wait for the disk, who
 * must not be a P: with io_uring it is a kernel thread, which splices the pages into a pipe,
 * from where they are read; with epoll it is this thread, without its P.  A blocking section
 * would do for both, but a thread that sleeps on a disk cannot tell the kernel about the
 * ring's other requests which it has submitted. */
#include <errno.h>
#include <gust/runtime.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/call.h"
#include "core/inject.h"
#include "core/netpoll.h"
#include "net/conn.h"
#include "net/copy.h"
#include "net/file.h"

#define PIECE_MAX ((size_t)64 << 10)  /* also what a pipe holds in any case */
#define PAGES_MAX ((size_t)2 << 20)   /* at a time, so that others get theirs (as nginx) */
#define PAGES_FEW ((size_t)256 << 10) /* if not so many are there */
#define PAGES_MIN ((size_t)32 << 10)  /* less is quicker read */

/* Not in the headers of every libc: Linux 6.5. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif

struct source {
    int fd;
    off_t at;
    uint64_t size; /* when it began */
    gust_time deadline;
    gust__pipe pipe;
    char *buf;    /* PIECE_MAX bytes; NULL: not needed yet */
    bool by_copy; /* only: anything else must not be tried, or was refused */
};

/* --- Without a copy ---------------------------------------------------------- */

/* If all of it is there.  Where the kernel does not say so it is read, which tells. */
static bool is_cached(const struct source *s, size_t len)
{
    const struct {
        uint64_t off, len;
    } range = {(uint64_t)s->at, len};
    uint64_t stat[5] = {0}; /* the first one counts the pages in the cache */
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (syscall(SYS_cachestat, s->fd, &range, stat, 0) < 0)
        return false;
    return stat[0] >= (range.off + len + page - 1) / page - range.off / page;
}

/* How much of what comes next, at most `left`, is to be sent without a copy. */
static size_t pages_len(const struct source *s, uint64_t left)
{
    const uint64_t there = s->size > (uint64_t)s->at ? s->size - (uint64_t)s->at : 0;
    left = left < there ? left : there;
    if (s->by_copy || left < PAGES_MIN)
        return 0;
    size_t len = left < PAGES_MAX ? (size_t)left : PAGES_MAX;
    if (is_cached(s, len))
        return len;
    return len > PAGES_FEW && is_cached(s, PAGES_FEW) ? PAGES_FEW : 0;
}

/* Sends some of it without a copy; *ret_sent is 0 if that is not to be, or was refused. */
static int send_pages(gust_conn *dst, struct source *s, uint64_t left, size_t *ret_sent)
{
    size_t len = pages_len(s, left);
    *ret_sent = 0;
    if (len == 0)
        return 0;
    const gust__pages pages = {.fd = s->fd, .at = s->at};
    const gust__piece piece = {.pages = &pages, .len = len};
    int error = gust__conn_send_piece(dst, &piece, s->deadline, ret_sent);
    s->by_copy = error == GUST__SPLICE_REFUSED;
    return s->by_copy ? 0 : error;
}

/* --- Reading --------------------------------------------------------------- */

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
        return gust_fd_pread(s->fd, s->buf, len, s->at);
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
    if (!has_ring() || s->deadline == GUST_NOW)
        return gust_fd_pread(s->fd, s->buf, len, s->at);
    ssize_t n = gust__fd_pread_cached(s->fd, s->buf, len, s->at);
    return n >= 0 ? n : read_by_ring(s, len);
}

/* --- The call -------------------------------------------------------------- */

static int check(int fd, uint64_t offset, uint64_t len, uint64_t *ret_size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    return S_ISREG(st.st_mode) && offset <= LLONG_MAX && len <= LLONG_MAX - offset ? 0 : -EINVAL;
}

/* Returns 0 at the end of the file, too; then *ret_sent is 0. */
static int send_read(gust_conn *dst, struct source *s, uint64_t left, size_t *ret_sent)
{
    *ret_sent = 0;
    if (!s->buf && !(s->buf = gust__malloc(PIECE_MAX)))
        return -ENOMEM;
    ssize_t n = read_some(s, left < PIECE_MAX ? (size_t)left : PIECE_MAX);
    if (n <= 0)
        return (int)n;
    const gust__piece piece = {.data = s->buf, .len = (size_t)n};
    return gust__conn_send_piece(dst, &piece, s->deadline, ret_sent);
}

static int send_all(gust_conn *dst, struct source *s, uint64_t len, uint64_t *copied)
{
    int error = 0;
    while (!error && *copied < len) {
        size_t sent;
        error = send_pages(dst, s, len - *copied, &sent);
        if (!error && sent == 0) {
            error = send_read(dst, s, len - *copied, &sent);
            if (!error && sent == 0)
                break; /* the end of the file */
        }
        *copied += sent;
        s->at += (off_t)sent;
    }
    return error;
}

/* Not a call of its own (GUST__CALL): it has a blocking section. */
int gust_conn_send_file(gust_conn *dst, int fd, uint64_t offset, uint64_t len, gust_time deadline,
                        uint64_t *ret_copied)
{
    *ret_copied = 0;
    if (len > LLONG_MAX - offset && offset <= LLONG_MAX)
        len = LLONG_MAX - offset; /* all there is */
    struct source s = {.fd = fd,
                       .at = (off_t)offset,
                       .deadline = deadline,
                       .pipe = {-1, -1},
                       .by_copy = conn_layer(dst) || gust__splice_min > PAGES_MIN};
    int error = check(fd, offset, len, &s.size);
    if (error || len == 0)
        return error;
    error = send_all(dst, &s, len, ret_copied);
    gust__pipe_close(&s.pipe);
    free(s.buf);
    return error;
}
