/* Pipes, FIFOs, terminals: what waits for another process.  Tried by a plain call that
 * does not wait; who finds nothing waits for readiness, by the same operation as for a
 * socket, which a deadline, a cancellation and a close can end. */
#include <errno.h>
#include <gust/runtime.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "core/waitq.h"
#include "net/file.h"

/* --- Waiting ------------------------------------------------------------------ */

/* As gust__conn_op_wait. */
static int wait_published(gust_file *f, gust__op **slot, gust__op *op, gust_time deadline)
{
    GUST__CALL();
    gust__lock_take(&f->lock, RANK_CONN);
    bool closing = f->closing;
    if (!closing)
        *slot = op;
    gust__lock_drop(&f->lock);
    if (closing)
        return -EBADF;

    int res = gust__op_wait(op, NULL, deadline);

    gust__lock_take(&f->lock, RANK_CONN);
    *slot = NULL;
    closing = f->closing;
    gust__lock_drop(&f->lock);
    return res == -ECANCELED && closing ? -EBADF : res;
}

int gust__stream_wait(gust_file *f, gust__file_dir dir, gust_time deadline)
{
    gust__op op = {
        .code = GUST__OP_POLL, .fd = &f->fd, .events = dir == FILE_READ ? POLLIN : POLLOUT};
    int res = wait_published(f, &f->side[dir].op, &op, deadline);
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

/* The signal of a broken pipe goes to the thread that writes: it is kept back, and
 * taken away again unless there was one before. */
static ssize_t write_without_signal(int fd, const struct iovec *iov, int count)
{
    const struct timespec no_time = {0};
    sigset_t broken_pipe, former, pending;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, &former);
    sigpending(&pending);
    ssize_t n;
    do
        n = writev(fd, iov, count);
    while (n < 0 && errno == EINTR);
    int error = n < 0 ? -errno : 0;
    if (error == -EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&broken_pipe, NULL, &no_time) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &former, NULL);
    return error ? error : n;
}

static ssize_t call_once(const gust_file *f, gust__file_dir dir, const gust__pieces *pieces)
{
    int count;
    const struct iovec *iov = gust__pieces_next(pieces, &count);
    return dir == FILE_READ ? read_once(f->fd.fd, iov, count)
                            : write_without_signal(f->fd.fd, iov, count);
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
