/* Sending messages, one or many.
 *
 * Many go by sendmmsg(2), which does not wait; where it finds no room, an operation
 * waits with the first that is left.
 *
 * Unix datagrams are only ever tried.  An io_uring send that finds no room at the
 * receiver's has copied the message by then, and when it goes on (up to Linux 6.18 at
 * least) it sends an empty one.  So one waits until poll(2) finds the socket writable;
 * that it is however full a receiver is to which it is not connected, and then there
 * is nothing to wait for: it is tried again after a pause. */
#include <errno.h>
#include <poll.h>

#include "net/control.h"
#include "net/packet.h"
#include "net/pause.h"

static void prepare(struct msghdr *msg, struct iovec *iov, const gust_message *m)
{
    *iov = (struct iovec){.iov_base = m->data, .iov_len = m->len};
    *msg = (struct msghdr){
        .msg_name = m->addr.len > 0 ? (void *)(uintptr_t)&m->addr.any : NULL,
        .msg_namelen = m->addr.len,
        .msg_iov = iov,
        .msg_iovlen = 1,
    };
}

/* --- One --------------------------------------------------------------------- */

static int try_or_wait(gust_packet *p, const gust_message *m, gust_time deadline)
{
    gust__control control;
    struct iovec iov;
    struct msghdr msg;
    gust__op op = {.code = GUST__OP_SENDMSG, .fd = &p->fd, .msg = &msg};
    prepare(&msg, &iov, m);
    if (m->fds)
        gust__control_send(&msg, &control, m->fds->fds, m->fds->count);
    int n = gust__packet_op_wait(p, &p->wr, &op, deadline);
    return n < 0 ? n : 0;
}

/* -EBADF if somebody closes meanwhile. */
static int pause_until(gust_packet *p, gust_time when)
{
    gust__waiter w = {0};
    gust__lock_take(&p->lock, RANK_CONN);
    if (p->closing) {
        gust__lock_drop(&p->lock);
        return -EBADF;
    }
    waitlist_push(&p->waiters, &w);
    int error = gust__wait_linked(&p->waiters, &p->lock, RANK_CONN, &w, when, WAIT_IO);
    return error == -ETIMEDOUT ? 0 : error ? error : -EBADF;
}

static int wait_writable(gust_packet *p, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_POLL, .fd = &p->fd, .events = POLLOUT};
    int n = gust__packet_op_wait(p, &p->wr, &op, deadline);
    return n < 0 ? n : 0;
}

static int try_again_and_again(gust_packet *p, const gust_message *m, gust_time deadline)
{
    int64_t pause = PAUSE_MIN;
    int error;
    while ((error = try_or_wait(p, m, GUST_NOW)) == -EAGAIN) {
        error = wait_refused(gust_context_current(), deadline);
        if (error)
            return error;
        error = m->addr.len == 0 ? wait_writable(p, deadline)
                                 : pause_until(p, pause_end(&pause, deadline));
        if (error)
            return error;
    }
    return error;
}

static int refused_by_context(gust_time deadline)
{
    gust_context *context = deadline == GUST_NOW ? NULL : gust_context_current();
    return context && gust__context_canceled(context) ? -ECANCELED : 0;
}

/* Returns 0 or an error. */
static int send_one(gust_packet *p, const gust_message *m, gust_time deadline)
{
    if (!p->unixgram)
        return try_or_wait(p, m, deadline);
    int error = refused_by_context(deadline);
    return error ? error : try_again_and_again(p, m, deadline);
}

ssize_t gust_packet_send(gust_packet *p, const gust_message *m, gust_time deadline)
{
    GUST__CALL();
    if (m->fds && m->fds->count > GUST_FDS_MAX)
        return -EINVAL;
    int error = gust_mutex_lock_until(&p->wr.mutex, deadline);
    if (error)
        return error;
    error = send_one(p, m, deadline);
    gust_mutex_unlock(&p->wr.mutex);
    return error ? error : (ssize_t)m->len;
}

/* --- Many -------------------------------------------------------------------- */

/* As many as there is room for; -EAGAIN if there is none.  Not in line: nobody shall
 * wait with this much on the stack. */
static __attribute__((noinline)) int send_now(gust_packet *p, const gust_message *m, size_t count)
{
    struct mmsghdr msgs[GUST_PACKET_BATCH];
    struct iovec iovs[GUST_PACKET_BATCH];
    int n;
    count = count < GUST_PACKET_BATCH ? count : GUST_PACKET_BATCH;
    for (size_t i = 0; i < count; i++)
        prepare(&msgs[i].msg_hdr, &iovs[i], &m[i]);
    do
        n = sendmmsg(p->fd.fd, msgs, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

/* Returns how many were sent, or the error of the first. */
static int send_batch(gust_packet *p, const gust_message *m, size_t count, gust_time deadline)
{
    size_t sent = 0;
    int error = refused_by_context(deadline);
    while (sent < count && !error) {
        int n = gust__packet_closing(p) ? -EBADF : send_now(p, m + sent, count - sent);
        if (n > 0) {
            sent += (size_t)n;
        } else if (n != -EAGAIN || deadline == GUST_NOW) {
            error = n;
        } else {
            error = send_one(p, m + sent, deadline);
            sent += !error;
        }
    }
    return sent > 0 ? (int)sent : error;
}

int gust_packet_send_batch(gust_packet *p, const gust_message *m, size_t count, gust_time deadline)
{
    GUST__CALL();
    if (count == 0 || count > INT32_MAX)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (m[i].fds)
            return -EINVAL;
    int n = gust_mutex_lock_until(&p->wr.mutex, deadline);
    if (n)
        return n;
    n = send_batch(p, m, count, deadline);
    gust_mutex_unlock(&p->wr.mutex);
    return n;
}
