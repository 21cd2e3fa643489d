/* Operations as plain system calls that do not wait: all that the epoll backend
 * does, and what io_uring does for a deadline in the past. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/uio.h>

#include "core/inject.h"
#include "core/io_order.h"
#include "core/netpoll_backend.h"
#include "core/sigpipe.h"
#include "core/syscall.h"

/* Repeats an interrupted call; a negative errno value instead of errno. */
#define RETRY(call)                                          \
    ({                                                       \
        ssize_t retry_result_;                               \
        do                                                   \
            retry_result_ = (call);                          \
        while (retry_result_ < 0 && errno == EINTR);         \
        retry_result_ < 0 ? -(ssize_t)errno : retry_result_; \
    })

static bool would_wait(ssize_t n)
{
    return n == -EAGAIN || n == -EWOULDBLOCK;
}

static bool finished(gust__op *op, ssize_t res)
{
    op->res = (int32_t)res;
    return true;
}

static ssize_t recv_now(int fd, void *buf, size_t len)
{
    ssize_t n;
    do
        n = gust__sys_recv(fd, buf, len, MSG_DONTWAIT);
    while (n == -EINTR);
    return n;
}

static ssize_t send_now(const gust__op *op)
{
    const int flags = MSG_DONTWAIT | MSG_NOSIGNAL;
    if (op->code == GUST__OP_SENDMSG)
        return RETRY(sendmsg(op->fd->fd, op->msg, flags));
    ssize_t n;
    do
        n = gust__sys_send(op->fd->fd, (char *)op->buf + op->sent, op->len - op->sent, flags);
    while (n == -EINTR);
    return n;
}

static bool try_recv_picked(gust__op *op)
{
    gust__buf *buf = gust__buf_take(gust__poller_current());
    if (!buf)
        return finished(op, -ENOBUFS);
    ssize_t n = recv_now(op->fd->fd, buf->data, GUST__BUF_SIZE);
    if (n > 0)
        op->picked = buf;
    else
        gust__buf_put(buf);
    return !would_wait(n) && finished(op, n);
}

static bool try_recv(gust__op *op)
{
    if (op->flags & GUST__OP_PICK)
        return try_recv_picked(op);
    ssize_t n = recv_now(op->fd->fd, op->buf, op->len);
    return !would_wait(n) && finished(op, n);
}

/* Descriptors are closed in a child that executes something, as all of ours. */
static bool try_recvmsg(gust__op *op)
{
    const int flags = op->msg->msg_flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    ssize_t n = RETRY(recvmsg(op->fd->fd, op->msg, flags));
    return !would_wait(n) && finished(op, n);
}

static void consume_iovecs(struct msghdr *msg, size_t n)
{
    while (msg->msg_iovlen > 0 && n >= msg->msg_iov->iov_len) {
        n -= msg->msg_iov->iov_len;
        msg->msg_iov++;
        msg->msg_iovlen--;
    }
    if (n > 0) {
        msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + n;
        msg->msg_iov->iov_len -= n;
    }
}

bool gust__op_sent(gust__op *op, size_t n)
{
    op->sent += n;
    if (op->code == GUST__OP_SEND)
        return op->sent >= op->len;
    if (n > 0) { /* with it went what was to go with the first byte */
        op->msg->msg_control = NULL;
        op->msg->msg_controllen = 0;
    }
    consume_iovecs(op->msg, n);
    return op->msg->msg_iovlen == 0;
}

static bool try_send(gust__op *op)
{
    for (;;) {
        ssize_t n = send_now(op);
        if (would_wait(n))
            return false;
        if (n < 0)
            return finished(op, gust__op_error(op, (int)n));
        if (gust__op_sent(op, (size_t)n))
            return finished(op, (ssize_t)op->sent);
    }
}

static bool try_accept(gust__op *op)
{
    ssize_t fd = RETRY(accept4(op->fd->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    return !would_wait(fd) && finished(op, fd);
}

static short poll_now(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    ssize_t n = RETRY(poll(&pfd, 1, 0));
    return n > 0 ? pfd.revents : 0;
}

/* The answer of a connect that is under way.  The poll guards against events
 * that came for another reason. */
static bool connect_answer(gust__op *op)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (!poll_now(op->fd->fd, POLLOUT))
        return false;
    if (getsockopt(op->fd->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    return finished(op, -error);
}

static bool try_connect(gust__op *op)
{
    if (op->sent)
        return connect_answer(op);
    if (connect(op->fd->fd, op->addr, op->addr_len) == 0)
        return finished(op, 0);
    /* Interrupted: it goes on all the same, and must not be asked for again. */
    if (errno != EINPROGRESS && errno != EINTR)
        return finished(op, -errno);
    op->sent = 1;
    return false;
}

static bool try_poll(gust__op *op)
{
    short revents = poll_now(op->fd->fd, op->events);
    return revents && finished(op, revents);
}

ssize_t gust__splice(int in, int out, size_t len)
{
    if (gust__inject(INJECT_SPLICE))
        return -errno;
    return RETRY(splice(in, NULL, out, NULL, len, SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
}

ssize_t gust__splice_to_socket(int in, int out, size_t len)
{
    gust__sigpipe sigpipe;
    gust__sigpipe_block(&sigpipe);
    ssize_t n = gust__splice(in, out, len);
    /* The reset may come after a part of it: then the signal comes with a count. */
    gust__sigpipe_unblock(&sigpipe, n == -EPIPE || (n >= 0 && (size_t)n < len));
    return n;
}

static bool try_splice(gust__op *op)
{
    ssize_t n = op->fd->fd == op->in ? gust__splice(op->in, op->out, op->splice_len)
                                     : gust__splice_to_socket(op->in, op->out, op->splice_len);
    return !would_wait(n) && finished(op, n);
}

static bool try_op(gust__op *op)
{
    switch ((gust__opcode)op->code) {
    case GUST__OP_RECV: return try_recv(op);
    case GUST__OP_SEND:
    case GUST__OP_SENDMSG: return try_send(op);
    case GUST__OP_RECVMSG: return try_recvmsg(op);
    case GUST__OP_ACCEPT: return try_accept(op);
    case GUST__OP_CONNECT: return try_connect(op);
    case GUST__OP_POLL: return try_poll(op);
    case GUST__OP_FILE: return false; /* it may need the disk */
    case GUST__OP_SPLICE: return try_splice(op);
    }
    return finished(op, -EINVAL);
}

bool gust__op_try(gust__op *op)
{
    gust__io_release();
    bool done = try_op(op);
    gust__io_acquire();
    return done;
}
