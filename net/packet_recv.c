/* Receiving messages, one or many.
 *
 * A batch costs at most one system call more than one message.  If the last one was
 * full, more is probably there: it is asked for without waiting, and only if that
 * brings nothing the call waits, for one message.  Else it waits for the first, and
 * takes what has come with it. */
#include <errno.h>

#include "net/control.h"
#include "net/min_size.h"
#include "net/packet.h"

/* --- One --------------------------------------------------------------------- */

/* TRUNC: the kernel tells how long a message was that did not fit. */
static void prepare(struct msghdr *msg, struct iovec *iov, gust_message *m)
{
    *iov = (struct iovec){.iov_base = m->data, .iov_len = m->len};
    *msg = (struct msghdr){
        .msg_name = &m->addr.any,
        .msg_namelen = sizeof m->addr.un,
        .msg_iov = iov,
        .msg_iovlen = 1,
        .msg_flags = MSG_TRUNC,
    };
}

static void received(gust_message *m, const struct msghdr *msg, size_t size)
{
    m->size = size;
    m->addr.len = msg->msg_namelen;
}

static int receive(gust_packet *p, gust_message *m, struct msghdr *msg, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_RECVMSG, .fd = &p->fd, .msg = msg};
    int n = gust__packet_op_wait(p, &p->rd, &op, deadline);
    if (n >= 0)
        received(m, msg, (size_t)n);
    return n;
}

/* Apart, because the room for descriptors would make every waiter's stack larger. */
static __attribute__((noinline)) int receive_fds(gust_packet *p, gust_message *m,
                                                 gust_time deadline)
{
    gust__control control;
    struct iovec iov;
    struct msghdr msg;
    prepare(&msg, &iov, m);
    gust__control_recv(&msg, &control);
    int n = receive(p, m, &msg, deadline);
    if (n >= 0)
        gust__control_take(&msg, m->fds);
    return n;
}

static int receive_plain(gust_packet *p, gust_message *m, gust_time deadline)
{
    struct iovec iov;
    struct msghdr msg;
    prepare(&msg, &iov, m);
    return receive(p, m, &msg, deadline);
}

static int take_error(gust_packet *p)
{
    int error = p->error;
    p->error = 0;
    return error;
}

/* Returns 0, or an error; m->size is set. */
static int receive_one(gust_packet *p, gust_message *m, gust_time deadline)
{
    if (p->error)
        return take_error(p);
    int n = m->fds ? receive_fds(p, m, deadline) : receive_plain(p, m, deadline);
    return n < 0 ? n : 0;
}

ssize_t gust_packet_recv(gust_packet *p, gust_message *m, gust_time deadline)
{
    GUST__CALL();
    if (m->fds) {
        m->fds->count = 0;
        m->fds->truncated = false;
    }
    int error = gust_mutex_lock_until(&p->rd.mutex, deadline);
    if (error)
        return error;
    error = receive_one(p, m, deadline);
    gust_mutex_unlock(&p->rd.mutex);
    return error ? error : (ssize_t)min_size(m->size, m->len);
}

/* --- Many -------------------------------------------------------------------- */

/* What is there; -EAGAIN if nothing.  Not in line: nobody shall wait with this much on
 * the stack. */
static __attribute__((noinline)) int receive_now(gust_packet *p, gust_message *m, size_t count)
{
    struct mmsghdr msgs[GUST_PACKET_BATCH];
    struct iovec iovs[GUST_PACKET_BATCH];
    int n;
    for (size_t i = 0; i < count; i++) {
        prepare(&msgs[i].msg_hdr, &iovs[i], &m[i]);
        msgs[i].msg_len = 0;
    }
    do
        n = recvmmsg(p->fd.fd, msgs, (unsigned)count, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC,
                     NULL);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    for (int i = 0; i < n; i++)
        received(&m[i], &msgs[i].msg_hdr, msgs[i].msg_len);
    return n;
}

/* Waits for the first, then takes the others. */
static int receive_after_wait(gust_packet *p, gust_message *m, size_t count, gust_time deadline)
{
    int error = receive_one(p, m, deadline);
    if (error || count == 1)
        return error ? error : 1;
    int n = receive_now(p, m + 1, count - 1);
    if (n < 0 && n != -EAGAIN)
        p->error = n;
    p->more = n == (int)count - 1;
    return n > 0 ? 1 + n : 1;
}

/* Most of the time there is something, and nobody waits. */
static int receive_at_once(gust_packet *p, gust_message *m, size_t count, gust_time deadline)
{
    int n = gust__packet_closing(p) ? -EBADF : receive_now(p, m, count);
    p->more = n == (int)count;
    if (n != -EAGAIN || deadline == GUST_NOW)
        return n;
    int error = receive_one(p, m, deadline);
    p->more = !error;
    return error ? error : 1;
}

static int receive_batch(gust_packet *p, gust_message *m, size_t count, gust_time deadline)
{
    gust_context *context = deadline == GUST_NOW ? NULL : gust_context_current();
    if (p->error)
        return take_error(p);
    if (context && gust__context_canceled(context))
        return -ECANCELED;
    return p->more ? receive_at_once(p, m, count, deadline)
                   : receive_after_wait(p, m, count, deadline);
}

int gust_packet_recv_batch(gust_packet *p, gust_message *m, size_t count, gust_time deadline)
{
    GUST__CALL();
    count = min_size(count, GUST_PACKET_BATCH);
    if (count == 0)
        return -EINVAL;
    for (size_t i = 0; i < count; i++)
        if (m[i].fds)
            return -EINVAL;
    int n = gust_mutex_lock_until(&p->rd.mutex, deadline);
    if (n)
        return n;
    n = receive_batch(p, m, count, deadline);
    gust_mutex_unlock(&p->rd.mutex);
    return n;
}
