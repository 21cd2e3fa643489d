/* Pipes, FIFOs, terminals: what waits for another process.  Tried by a plain call that
 * does not wait; who finds nothing waits for readiness, by the same operation as for a
 * socket, which a deadline, a cancellation and a close can end. */
#include <errno.h>
#include <gust/runtime.h>
#include <poll.h>

#include "core/sigpipe.h"
#include "core/waitq.h"
#include "net/closable.h"
#include "net/file.h"

/* --- Waiting ------------------------------------------------------------------ */

int gust__stream_wait(gust_file *f, gust__file_dir dir, gust_time deadline)
{
    GUST__CALL();
    gust__op op = {
        .code = GUST__OP_POLL, .fd = &f->fd, .events = dir == FILE_READ ? POLLIN : POLLOUT};
    int res = gust__closable_wait(&f->lock, &f->closing, &f->side[dir].op, &op, NULL, deadline);
    return res < 0 ? res : 0;
}

/* --- One call ------------------------------------------------------------------- */

static ssize_t read_once(int fd, const struct iovec *iov, int count)
{
    ssize_t n;
    do
        n = readv(fd, iov, count);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t write_once(int fd, const struct iovec *iov, int count)
{
    gust__sigpipe sigpipe;
    ssize_t n;
    gust__sigpipe_block(&sigpipe);
    do
        n = writev(fd, iov, count);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? -errno : 0;
    gust__sigpipe_unblock(&sigpipe, error == -EPIPE);
    return error ? error : n;
}

static ssize_t call_once(const gust_file *f, gust__file_dir dir, const gust__pieces *pieces)
{
    int count;
    const struct iovec *iov = gust__pieces_next(pieces, &count);
    return dir == FILE_READ ? read_once(f->fd.fd, iov, count) : write_once(f->fd.fd, iov, count);
}

/* A driver may do as it likes about O_NONBLOCK. */
static ssize_t try_once(const gust_file *f, gust__file_dir dir, const gust__pieces *pieces)
{
    if (!f->device)
        return call_once(f, dir, pieces);
    gust_blocking_begin();
    ssize_t n = call_once(f, dir, pieces);
    gust_blocking_end();
    return n;
}

/* --- Reading and writing --------------------------------------------------------- */

static bool may_not_begin(gust_time deadline)
{
    return deadline != GUST_NOW && gust_context_err(gust_context_current());
}

static ssize_t transfer(gust_file *f, gust__file_dir dir, const gust__pieces *pieces,
                        gust_time deadline)
{
    if (may_not_begin(deadline))
        return -ECANCELED;
    for (bool last = false;;) {
        ssize_t n = try_once(f, dir, pieces);
        if (n != -EAGAIN || deadline == GUST_NOW)
            return n;
        if (last)
            return -ETIMEDOUT;
        int error = gust__stream_wait(f, dir, deadline);
        if (error)
            return error;
        /* Another process may be quicker, more than once. */
        last = deadline_passed(deadline);
        gust_yield_if_needed();
    }
}

ssize_t gust__stream_read(gust_file *f, const gust__pieces *pieces, gust_time deadline)
{
    return transfer(f, FILE_READ, pieces, deadline);
}

ssize_t gust__stream_write(gust_file *f, gust__pieces *pieces, gust_time deadline)
{
    ssize_t done = 0;
    while (!gust__pieces_empty(pieces)) {
        ssize_t n = transfer(f, FILE_WRITE, pieces, deadline);
        if (n <= 0)
            return done > 0 ? done : n;
        gust__pieces_drop(pieces, (size_t)n);
        done += n;
    }
    return done;
}
