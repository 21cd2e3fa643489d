/* Descriptors that go with the bytes of a connection. */
#include <errno.h>
#include <limits.h>

#include "net/conn.h"
#include "net/control.h"
#include "net/min_size.h"

#define BYTES_MAX ((size_t)1 << 30) /* an operation's result is an int32_t */

/* --- Sending ----------------------------------------------------------------- */

/* Sends a part of the bytes, and the descriptors with the first.  With no lock held,
 * but `busy` set.  A negative result: no byte of it was sent. */
static ssize_t send_part(gust_conn *c, const char *buf, size_t len, const int *fds, size_t count,
                         gust_time deadline)
{
    gust__control control;
    struct iovec iov = {.iov_base = (char *)buf, .iov_len = min_size(len, BYTES_MAX)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    gust__op op = {.code = GUST__OP_SENDMSG, .fd = &c->fd, .msg = &msg};
    gust__control_send(&msg, &control, fds, count);
    return gust__conn_op_wait(c, &c->wr->direct, &op, &c->wr->deadline, deadline);
}

/* Returns 0 or an error; *ret_sent says how far it came.  A past deadline would still
 * try the rest, so it is looked at here. */
static int send_all(gust_conn *c, const char *buf, size_t len, const int *fds, size_t count,
                    gust_time deadline, size_t *ret_sent)
{
    size_t sent = 0;
    int error = 0;
    while (sent < len && !error) {
        ssize_t n = send_part(c, buf + sent, len - sent, fds, sent == 0 ? count : 0, deadline);
        sent += n > 0 ? (size_t)n : 0;
        if (n < 0)
            error = (int)n;
        else if (sent < len)
            error = wait_refused(gust_context_current(), deadline);
    }
    *ret_sent = sent;
    return error;
}

/* By the writer; nothing is under way or buffered. */
static int send_locked(gust_conn *c, const char *buf, size_t len, const int *fds, size_t count,
                       gust_time deadline)
{
    size_t sent;
    int error = gust__conn_writer_locked(c);
    if (error)
        return error;
    gust__conn_writer *wr = c->wr;
    wr->busy = true;
    gust__lock_drop(&c->lock);
    error = send_all(c, buf, len, fds, count, deadline, &sent);
    gust__lock_take(&c->lock, RANK_CONN);
    wr->busy = false;
    wr->wanted = false; /* a flush meanwhile had nothing to flush */
    if (error && sent > 0 && !c->wr_error)
        c->wr_error = error == -EBADF ? -ECANCELED : error;
    return error;
}

static int drain_locked(gust_conn *c, gust_time deadline)
{
    if (c->closing)
        return -EBADF;
    if (c->wr_error || (!conn_is_sending(c) && conn_filled(c) == 0))
        return c->wr_error;
    int error = deadline == GUST_NOW ? -EAGAIN : gust__conn_drain_locked(c, deadline, false);
    return !error && c->closing ? -EBADF : error;
}

ssize_t gust_conn_send_fds(gust_conn *c, const void *buf, size_t len, const int *fds, size_t count,
                           gust_time deadline)
{
    GUST__CALL();
    if (c->layer)
        return -EOPNOTSUPP;
    if (count > GUST_FDS_MAX || len > SSIZE_MAX || (len == 0 && count > 0))
        return -EINVAL;
    int error = gust__conn_enter(c, SIDE_WRITE, deadline);
    if (error)
        return error;
    gust__lock_take(&c->lock, RANK_CONN);
    error = drain_locked(c, deadline);
    if (!error)
        error = send_locked(c, buf, len, fds, count, deadline);
    gust__lock_drop(&c->lock);
    gust__conn_leave(c, SIDE_WRITE);
    return error ? error : (ssize_t)len;
}

/* --- Receiving --------------------------------------------------------------- */

static ssize_t receive(gust_conn *c, void *buf, size_t len, gust_fds *fds, gust_time deadline)
{
    gust__control control;
    struct iovec iov = {.iov_base = buf, .iov_len = min_size(len, BYTES_MAX)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int error = gust__conn_take_error(c);
    if (error)
        return error;
    gust__op op = {.code = GUST__OP_RECVMSG, .fd = &c->fd, .msg = &msg};
    gust__control_recv(&msg, &control);
    ssize_t n = gust__conn_op_wait(c, &c->rd.op, &op, &c->rd_deadline, deadline);
    if (n >= 0)
        gust__control_take(&msg, fds);
    c->drained = c->filled = false; /* it is not known */
    return n;
}

ssize_t gust_conn_recv_fds(gust_conn *c, void *buf, size_t len, gust_fds *fds, gust_time deadline)
{
    GUST__CALL();
    fds->count = 0;
    fds->truncated = false;
    if (c->layer)
        return -EOPNOTSUPP;
    if (len == 0)
        return 0;
    int error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    /* What is in the view has lost its descriptors already. */
    ssize_t n = c->rd.len > 0 ? (ssize_t)gust__conn_take_view(c, buf, len)
                              : receive(c, buf, len, fds, deadline);
    gust__conn_leave(c, SIDE_READ);
    return n;
}

/* --- The peer ---------------------------------------------------------------- */

int gust_conn_peer_cred(const gust_conn *const_conn, gust_peer_cred *ret_cred)
{
    GUST__CALL();
    gust_conn *c = (gust_conn *)const_conn;
    gust__lock_take(&c->lock, RANK_CONN);
    int error = c->closing ? -EBADF : gust__peer_cred(c->fd.fd, ret_cred);
    gust__lock_drop(&c->lock);
    return error;
}
