/* Between a conn's socket and a pipe.
 *
 * As an operation of io_uring it would be done by a kernel thread, which costs about
 * what the copying does, and stays with a peer that does not read.  So readiness is
 * waited for, and the call is made here; but out of a pipe it is an operation like any
 * other with epoll.  With io_uring the socket is in blocking mode, so before the call it
 * must be known that there is nothing to wait for:
 *   - in: a socket that says it is readable has something in its queue, or has ended,
 *     and nobody else may take it;
 *   - out: no more than half of the room in the send buffer is used; the other half is
 *     for the kernel's own records of the pieces.  If the kernel has no memory, or has
 *     been told to keep the buffer shorter (TCP_NOTSENT_LOWAT), it would wait all the
 *     same: SO_SNDTIMEO bounds that to one tick, and if it happens twice in a row it is
 *     not tried again.  (Once may be a signal, which ends the call early as well.) */
#include <errno.h>
#include <linux/sock_diag.h>
#include <poll.h>
#include <string.h>

#include "core/waitq.h"
#include "net/conn.h"
#include "net/copy.h"

/* A send buffer with less room than that (after a poll has said that a third is free)
 * is filled quicker by copying. */
#define PUSH_MIN ((size_t)4096)

static bool waits_in_call(void)
{
    return strcmp(gust__netpoll_name(), "epoll") != 0;
}

bool gust__conn_splices(const gust_conn *dst, const gust_conn *src)
{
    if (dst->layer || src->layer)
        return false;
    return !waits_in_call() || (!dst->is_unix && !src->is_unix);
}

/* What says that this pair of descriptors, or this process, may not splice.  If it was
 * something else, copying will meet it again. */
int gust__splice_refusal(int res)
{
    const bool refused = res == -EINVAL || res == -ENOSYS || res == -EPERM || res == -EACCES;
    return refused ? GUST__SPLICE_REFUSED : res;
}

/* --- Into a pipe --------------------------------------------------------- */

/* What is in the error queue makes a socket ready as well, with nothing to read; and
 * before urgent data a splice says 0, as at the end, or that it would wait.  A receive
 * knows better. */
int gust__conn_pull(gust_conn *src, const gust__pipe *pipe, size_t len, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_POLL, .fd = &src->fd, .events = POLLIN};
    int n = gust__conn_op_wait(src, &src->rd.op, &op, &src->rd_deadline, deadline);
    if (n < 0)
        return n;
    n = n & (POLLIN | POLLHUP) ? (int)gust__splice(src->fd.fd, pipe->in, len) : 0;
    return n == 0 || n == -EAGAIN ? GUST__SPLICE_REFUSED : gust__splice_refusal(n);
}

/* --- Out of a pipe ------------------------------------------------------- */

/* How much can be sent without waiting. */
static size_t send_room(int fd)
{
    uint32_t info[SK_MEMINFO_VARS] = {0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len) < 0 ||
        info[SK_MEMINFO_WMEM_QUEUED] >= info[SK_MEMINFO_SNDBUF])
        return 0;
    return (info[SK_MEMINFO_SNDBUF] - info[SK_MEMINFO_WMEM_QUEUED]) / 2;
}

static int push_bounded(int pipe_out, int fd, size_t len)
{
    const struct timeval tick = {.tv_usec = 1}; /* rounded up */
    struct timeval former = {0};
    socklen_t size = sizeof former;
    if (getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &former, &size) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tick, sizeof tick) < 0)
        return GUST__SPLICE_REFUSED;
    int n = (int)gust__splice_to_socket(pipe_out, fd, len);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &former, sizeof former);
    return n == -EAGAIN ? GUST__SPLICE_REFUSED : n;
}

/* *shorts: how many in a row did less than they should have. */
static int push_when_ready(gust_conn *dst, int pipe_out, size_t len, gust_time deadline,
                           int *shorts)
{
    gust__op op = {.code = GUST__OP_POLL, .fd = &dst->fd, .events = POLLOUT};
    int n = gust__conn_op_wait(dst, &dst->wr->direct, &op, &dst->wr->deadline, deadline);
    if (n < 0)
        return n;
    const size_t room = send_room(dst->fd.fd);
    if (room < PUSH_MIN && room < len)
        return GUST__SPLICE_REFUSED;
    len = len < room ? len : room;
    n = push_bounded(pipe_out, dst->fd.fd, len);
    if (n < 0)
        return n;
    *shorts = (size_t)n < len ? *shorts + 1 : 0;
    return n;
}

static int push_once(gust_conn *dst, int pipe_out, size_t len, gust_time deadline, int *shorts)
{
    if (waits_in_call())
        return push_when_ready(dst, pipe_out, len, deadline, shorts);
    gust__op op = {
        .code = GUST__OP_SPLICE,
        .fd = &dst->fd,
        .in = pipe_out,
        .out = dst->fd.fd,
        .offset = -1,
        .splice_len = (uint32_t)len,
    };
    return gust__conn_op_wait(dst, &dst->wr->direct, &op, &dst->wr->deadline, deadline);
}

int gust__conn_push(gust_conn *dst, const gust__pipe *pipe, size_t len, gust_time deadline,
                    size_t *sent)
{
    int shorts = 0;
    while (*sent < len) {
        if (shorts > 1)
            return GUST__SPLICE_REFUSED;
        int n = push_once(dst, pipe->out, len - *sent, deadline, &shorts);
        if (n < 0)
            return gust__splice_refusal(n);
        *sent += (size_t)n;
        /* As in a large write: a past deadline still tries. */
        int refused = *sent < len ? wait_refused(gust_context_current(), deadline) : 0;
        if (refused && refused != -EAGAIN)
            return refused;
    }
    return 0;
}
