/* From the page cache to a socket, by sendfile(2).
 *
 * The call could wait for the disk: so the pages are known to be in memory.  It could wait
 * for the peer: so the socket is made non-blocking, once for all, and the poller is asked
 * when there is room again.  That is nothing to the ring, whose requests wait in either
 * mode; a splice through a pipe of our own, with the socket in blocking mode (as
 * conn_splice.c has it for what comes from elsewhere), was twice as dear. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "core/inject.h"
#include "core/sigpipe.h"
#include "core/syscall.h"
#include "core/waitq.h"
#include "net/conn.h"
#include "net/copy.h"

static bool make_nonblocking(gust_conn *c)
{
    int on = 1;
    if (!c->nonblocking)
        c->nonblocking = ioctl(c->fd.fd, FIONBIO, &on) == 0;
    return c->nonblocking;
}

static ssize_t sendfile_once(int socket, const gust__pages *pages, size_t done, size_t len)
{
    gust__sigpipe sigpipe;
    off_t at = pages->at + (off_t)done;
    ssize_t n;
    if (gust__inject(INJECT_SPLICE))
        return -errno;
    gust__sigpipe_block(&sigpipe);
    do
        n = sendfile(socket, pages->fd, &at, len - done);
    while (n < 0 && errno == EINTR);
    n = n < 0 ? -errno : n;
    /* The reset may come after a part of it: then the signal comes with a count. */
    gust__sigpipe_unblock(&sigpipe, n == -EPIPE || (n >= 0 && (size_t)n < len - done));
    return n;
}

static int wait_writable(gust_conn *c, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_POLL, .fd = &c->fd, .events = POLLOUT};
    int n = gust__conn_op_wait(c, &c->wr->direct, &op, &c->wr->deadline, deadline);
    return n < 0 ? n : 0;
}

int gust__conn_push_pages(gust_conn *c, const gust__pages *pages, size_t len, gust_time deadline,
                          size_t *sent)
{
    int error = wait_refused(gust_context_current(), deadline);
    if (error == -ECANCELED)
        return error;
    if (!make_nonblocking(c))
        return GUST__SPLICE_REFUSED;
    for (error = 0; !error; error = wait_writable(c, deadline)) {
        ssize_t n = sendfile_once(c->fd.fd, pages, *sent, len);
        if (n < 0 && n != -EAGAIN) /* a read will say what is wrong with the file */
            return n == -EIO ? GUST__SPLICE_REFUSED : gust__splice_refusal((int)n);
        *sent += n > 0 ? (size_t)n : 0;
        if (n == 0 || *sent == len)
            break; /* 0: the file has ended */
    }
    return error;
}

/* Not with MSG_MORE: one segment less, but a peer that is woken by the head of a response
 * and not by its bulk has been seen to cost the sender less.  What does not go at once is
 * the drain's, which follows. */
void gust__conn_push_filling_locked(gust_conn *c)
{
    gust__conn_writer *wr = c->wr;
    if (!wr || wr->busy || wr->lent || wr->filling_len == 0 || c->closing || c->wr_error)
        return;
    ssize_t n = gust__sys_send(c->fd.fd, wr->filling, wr->filling_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n == (ssize_t)wr->filling_len) {
        gust__conn_drop_filling_locked(c);
    } else if (n > 0) {
        wr->filling_len -= (uint32_t)n;
        memmove(wr->filling, wr->filling + n, wr->filling_len);
    } else if (n != -EAGAIN && n != -EINTR) {
        gust__conn_fail_locked(c, (int)n);
    }
}
