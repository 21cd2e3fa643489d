/* The io_uring backend: one ring per P, which travels with it.
 *
 * Who touches the ring: the M that has the P; an M that sleeps in it, having
 * given the P away; an idle M, if the P is stuck; and any M that cancels an
 * operation held here.  So all of it is under base.lock, which is free in practice,
 * and no lock is held while a thread sleeps in io_uring_enter.
 *
 * A request belongs to the thread that submits it: its completion is posted when
 * that thread is in the kernel.  For operations that is nearly always the thread
 * that has the P.  The poll that watches the eventfd must wake the very thread
 * that sleeps, so each thread submits its own before it sleeps here, and takes
 * back the other's; a generation tells their completions apart.
 *
 * An op is DONE when its last completion has come: its own, without F_MORE, and
 * that of its cancellation, if there was one.  So no cancellation that is still
 * on its way can hit the next operation in the same record.
 * Always: op->cqes is the number of those completions, and base.in_flight is
 * their sum over all ops. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "core/netpoll_uring.h"

/* What the kernel means to be seen by nobody; a splice that a signal to its kernel
 * thread ends reports it all the same (6.18). */
#define KERNEL_ERESTARTSYS 512

/* Bytes asked for at once; the length in a request has 32 bits. */
#define CHUNK_MAX (1U << 30)

/* --- Requests ------------------------------------------------------------ */

void gust__uring_fill_recv_picked(struct io_uring_sqe *sqe, int fd)
{
    io_uring_prep_recv(sqe, fd, NULL, GUST__BUF_SIZE, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    sqe->buf_group = URING_BUF_GROUP;
}

static uint32_t chunk(size_t len)
{
    return len < CHUNK_MAX ? (uint32_t)len : CHUNK_MAX;
}

static void fill_recv(struct io_uring_sqe *sqe, const gust__op *op)
{
    if (op->picked)
        io_uring_prep_recv(sqe, op->fd->fd, op->picked->data, GUST__BUF_SIZE, 0);
    else if (op->flags & GUST__OP_PICK)
        gust__uring_fill_recv_picked(sqe, op->fd->fd);
    else
        io_uring_prep_recv(sqe, op->fd->fd, op->buf, chunk(op->len), 0);
    if (op->flags & GUST__OP_DRAINED)
        sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

/* WAITALL: the kernel goes on with a short send by itself.  Not with one that carries
 * descriptors: some kernels would send them again with the rest. */
static int send_flags(const gust__op *op)
{
    bool carries = op->code == GUST__OP_SENDMSG && op->msg->msg_controllen > 0;
    return MSG_NOSIGNAL | (carries ? 0 : MSG_WAITALL);
}

static void fill(struct io_uring_sqe *sqe, const gust__op *op)
{
    const int fd = op->fd->fd;
    switch ((gust__opcode)op->code) {
    case GUST__OP_RECV: fill_recv(sqe, op); break;
    case GUST__OP_SEND:
        io_uring_prep_send(sqe, fd, (char *)op->buf + op->sent, chunk(op->len - op->sent),
                           send_flags(op));
        gust__uring_fill_zerocopy(sqe, op);
        break;
    case GUST__OP_SENDMSG:
        io_uring_prep_sendmsg(sqe, fd, op->msg, (unsigned)send_flags(op));
        gust__uring_fill_zerocopy(sqe, op);
        break;
    case GUST__OP_RECVMSG:
        io_uring_prep_recvmsg(sqe, fd, op->msg, (unsigned)op->msg->msg_flags | MSG_CMSG_CLOEXEC);
        break;
    case GUST__OP_ACCEPT:
        io_uring_prep_accept(sqe, fd, NULL, NULL, SOCK_CLOEXEC);
        if (op->flags & GUST__OP_MULTISHOT)
            sqe->ioprio |= IORING_ACCEPT_MULTISHOT;
        break;
    case GUST__OP_CONNECT: io_uring_prep_connect(sqe, fd, op->addr, op->addr_len); break;
    case GUST__OP_POLL: io_uring_prep_poll_add(sqe, fd, (uint16_t)op->events); break;
    case GUST__OP_FILE: gust__uring_fill_file(sqe, op->file); break;
    case GUST__OP_SPLICE:
        io_uring_prep_splice(sqe, op->in, op->offset, op->out, -1, op->splice_len, SPLICE_F_MOVE);
        break;
    }
}

/* Under base.lock, so no read-modify-write; who reads without it has what the P's
 * last owner did, by taking the P. */
static void in_flight_add_locked(gust__uring *p, int n)
{
    uint32_t now = atomic_load_explicit(&p->base.in_flight, memory_order_relaxed);
    atomic_store_explicit(&p->base.in_flight, now + (uint32_t)n, memory_order_relaxed);
}

void gust__uring_push_op(gust__uring *p, gust__op *op)
{
    struct io_uring_sqe *sqe = gust__ring_sqe(&p->ring);
    fill(sqe, op);
    sqe->user_data = (uintptr_t)op | URING_TAG_OP;
    gust__ring_push(&p->ring);
    op->cqes++;
    in_flight_add_locked(p, 1);
}

/* Under base.lock. */
static void push_cancel(gust__uring *p, gust__op *op)
{
    atomic_store_explicit(&op->state, GUST__OP_CANCELING, memory_order_relaxed);
    struct io_uring_sqe *sqe = gust__ring_sqe(&p->ring);
    io_uring_prep_cancel64(sqe, (uintptr_t)op | URING_TAG_OP, 0);
    sqe->user_data = (uintptr_t)op | URING_TAG_CANCEL;
    gust__ring_push(&p->ring);
    op->cqes++;
    in_flight_add_locked(p, 1);
}

/* A kernel that picks no buffer is given one.  Under base.lock.  False: there is
 * none; the op is over before a cancellation can find it. */
static bool pick_for_kernel(gust__uring *p, gust__op *op)
{
    if (p->buf_ring || !(op->flags & GUST__OP_PICK))
        return true;
    op->picked = gust__uring_buf_take(p);
    if (op->picked)
        return true;
    op->res = -ENOBUFS;
    gust__op_set_done(op);
    return false;
}

static bool uring_start(gust__op *op, gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    gust__lock_take(&base->lock, RANK_POLLER);
    op->home = base;
    bool started = gust__op_claim(op) && pick_for_kernel(p, op);
    if (started)
        gust__uring_push_op(p, op);
    if (started && (op->flags & GUST__OP_TRY))
        push_cancel(p, op);
    gust__lock_drop(&base->lock);
    return started;
}

/* On another P's ring a request is submitted at once, from here: its owner may be
 * asleep.  Our own goes with the next batch, before this M sleeps.  Under base.lock. */
static void submit_if_foreign(gust__uring *p)
{
    if (gust__ring_queued(&p->ring) > 0 && &p->base != gust__poller_current())
        gust__ring_submit(&p->ring);
}

static void uring_cancel(gust__op *op)
{
    gust__uring *p = gust__uring_of(op->home);
    gust__lock_take(&p->base.lock, RANK_POLLER);
    bool inflight = gust__op_state_now(op) == GUST__OP_INFLIGHT;
    if (inflight && op->over) {
        atomic_store_explicit(&op->state, GUST__OP_CANCELING, memory_order_relaxed);
        gust__uring_give_up(op);
    } else if (inflight) {
        push_cancel(p, op);
        submit_if_foreign(p);
    }
    gust__lock_drop(&p->base.lock);
}

/* --- Completions --------------------------------------------------------- */

/* What is to be called once the lock is dropped. */
typedef struct result {
    gust__op *op;
    int32_t res;
    bool more; /* op->more(op, res), else the op is DONE */
} result;

typedef struct results {
    uint32_t len;
    bool has_more;
    result list[2 * URING_REAP_MAX]; /* the last socket of a multishot makes two */
} results;

static void add_result(results *rs, gust__op *op, int32_t res, bool more)
{
    rs->list[rs->len++] = (result){op, res, more};
    rs->has_more |= more;
}

static void take_buffer(gust__uring *p, gust__op *op, const struct io_uring_cqe *cqe)
{
    gust__buf *buf = &p->base.bufs[cqe->flags >> IORING_CQE_BUFFER_SHIFT];
    if (cqe->res > 0)
        op->picked = buf;
    else
        gust__uring_buf_add(p, buf); /* some kernels use one up for the end of the stream */
}

/* A send that is short although nothing is wrong (kernels before 6.0 do not know
 * WAITALL for every send, and no request can have more than CHUNK_MAX bytes)
 * goes on unless it is being cancelled.  True: it does. */
static bool goes_on(gust__uring *p, gust__op *op, int32_t res)
{
    if (res <= 0 || gust__op_sent(op, (size_t)res) || gust__op_state_now(op) != GUST__OP_INFLIGHT)
        return false;
    gust__uring_push_op(p, op);
    return true;
}

/* A splice that was interrupted, but not by us.  True: it goes on. */
static bool splice_goes_on(gust__uring *p, gust__op *op, int32_t res)
{
    if (op->code != GUST__OP_SPLICE || (res != -EINTR && res != -KERNEL_ERESTARTSYS) ||
        gust__op_state_now(op) != GUST__OP_INFLIGHT)
        return false;
    gust__uring_push_op(p, op);
    return true;
}

/* A cancelled op that had been given to a kernel thread says EINTR.  A multishot's
 * last completion may bring one more socket. */
static void set_result(gust__op *op, int32_t res, results *rs)
{
    if (res == -KERNEL_ERESTARTSYS)
        res = -EINTR;
    if (res == -EINTR && gust__op_state_now(op) == GUST__OP_CANCELING)
        res = -ECANCELED;
    op->res = gust__op_error(op, res);
    if ((op->flags & GUST__OP_MULTISHOT) && res >= 0) {
        add_result(rs, op, res, true);
        op->res = 0;
    }
}

static void one_cqe_less(gust__uring *p, gust__op *op, results *rs)
{
    in_flight_add_locked(p, -1);
    if (--op->cqes > 0)
        return;
    gust__op_set_done(op);
    add_result(rs, op, 0, false);
}

/* One completion per request and, if that says F_MORE, one more when the kernel does
 * not need the memory any longer. */
static void send_completed(gust__uring *p, gust__op *op, const struct io_uring_cqe *cqe,
                           results *rs)
{
    if (cqe->flags & IORING_CQE_F_NOTIF) {
        gust__uring_noted(p, op, cqe->res);
        one_cqe_less(p, op, rs);
        return;
    }
    int32_t res = cqe->res;
    if (!gust__uring_zerocopy_refused(p, op, &res) && !goes_on(p, op, res)) {
        set_result(op, res, rs);
        op->over = true;
    }
    if (cqe->flags & IORING_CQE_F_MORE)
        op->notes++;
    else
        one_cqe_less(p, op, rs);
    if (!op->over || op->notes == 0)
        return;
    gust__uring_unacknowledged(p, op);
    if (gust__op_state_now(op) == GUST__OP_CANCELING)
        gust__uring_give_up(op);
}

static void drop_unused_buffer(gust__uring *p, gust__op *op)
{
    gust__uring_buf_add(p, op->picked);
    op->picked = NULL;
}

static void op_completed(gust__uring *p, gust__op *op, const struct io_uring_cqe *cqe, results *rs)
{
    if (cqe->flags & IORING_CQE_F_BUFFER)
        take_buffer(p, op, cqe);
    else if ((op->flags & GUST__OP_PICK) && op->picked && cqe->res <= 0)
        drop_unused_buffer(p, op);
    if (gust__op_is_send(op)) {
        send_completed(p, op, cqe, rs);
        return;
    }
    if (cqe->flags & IORING_CQE_F_MORE) {
        add_result(rs, op, cqe->res, true);
        return;
    }
    if (!splice_goes_on(p, op, cqe->res))
        set_result(op, cqe->res, rs);
    one_cqe_less(p, op, rs);
}

static void completed(gust__uring *p, const struct io_uring_cqe *cqe, results *rs)
{
    gust__op *op = (gust__op *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_TAG_MASK);
    switch (cqe->user_data & URING_TAG_MASK) {
    case URING_TAG_OP: op_completed(p, op, cqe, rs); break;
    case URING_TAG_CANCEL: one_cqe_less(p, op, rs); break;
    case URING_TAG_WAKE:
        if (cqe->user_data >> URING_TAG_BITS == p->wake_generation &&
            !(cqe->flags & IORING_CQE_F_MORE))
            p->wake_armed = false;
        break;
    case URING_TAG_IGNORE: break;
    }
}

/* With base.lock held, which is dropped here.  Until the last of several results
 * of one op is handed out no other M takes completions off this ring: its DONE
 * must come after every `more`. */
static int hand_out_locked(gust__uring *p, const results *rs)
{
    /* Relaxed: read and set under the lock. */
    atomic_store_explicit(&p->handing_out, rs->has_more, memory_order_relaxed);
    gust__lock_drop(&p->base.lock);
    for (uint32_t i = 0; i < rs->len; i++) {
        const result *r = &rs->list[i];
        if (r->more)
            r->op->more(r->op, r->res);
        else
            gust__op_finish(r->op);
    }
    /* Release: pairs with the acquire in uring_reap. */
    if (rs->has_more)
        atomic_store_explicit(&p->handing_out, false, memory_order_release);
    return (int)rs->len;
}

static int uring_reap(gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    struct io_uring_cqe cqes[URING_REAP_MAX];
    results rs;
    rs.len = 0;
    rs.has_more = false;
    if (!gust__ring_ready(&p->ring) && !gust__ring_flagged(&p->ring))
        return 0;
    gust__lock_take(&base->lock, RANK_POLLER);
    if (atomic_load_explicit(&p->handing_out, memory_order_acquire)) {
        gust__lock_drop(&base->lock);
        return 0;
    }
    if (!gust__ring_ready(&p->ring))
        gust__ring_collect(&p->ring);
    uint32_t n = gust__ring_take(&p->ring, cqes, URING_REAP_MAX);
    for (uint32_t i = 0; i < n; i++)
        completed(p, &cqes[i], &rs);
    /* After the places are free: what has overflowed can come in. */
    if (gust__ring_flagged(&p->ring))
        gust__ring_collect(&p->ring);
    submit_if_foreign(p);
    return hand_out_locked(p, &rs);
}

/* --- Submitting, sleeping, waking ---------------------------------------- */

static void uring_submit(gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    if (gust__ring_queued(&p->ring) == 0)
        return;
    gust__lock_take(&base->lock, RANK_POLLER);
    gust__ring_submit(&p->ring);
    gust__lock_drop(&base->lock);
}

static void uring_collect(gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    if (gust__ring_queued(&p->ring) == 0 && !gust__ring_flagged(&p->ring))
        return;
    gust__lock_take(&base->lock, RANK_POLLER);
    gust__ring_collect(&p->ring);
    gust__lock_drop(&base->lock);
}

static bool uring_pending(gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    return gust__ring_ready(&p->ring) || gust__ring_flagged(&p->ring) ||
           gust__ring_queued(&p->ring) > 0;
}

static uint64_t wake_user_data(const gust__uring *p)
{
    return p->wake_generation << URING_TAG_BITS | URING_TAG_WAKE;
}

void gust__uring_push_wake_poll(gust__uring *p)
{
    struct io_uring_sqe *sqe = gust__ring_sqe(&p->ring);
    io_uring_prep_poll_multishot(sqe, p->base.wake_fd, POLLIN);
    sqe->user_data = wake_user_data(p);
    gust__ring_push(&p->ring);
}

static void push_wake_poll_removal(gust__uring *p)
{
    struct io_uring_sqe *sqe = gust__ring_sqe(&p->ring);
    io_uring_prep_poll_remove(sqe, wake_user_data(p));
    sqe->user_data = URING_TAG_IGNORE;
    gust__ring_push(&p->ring);
}

/* Under base.lock.  The poll is submitted before the lock is dropped, so that it
 * is this thread's.  The eventfd is emptied first, or the poll would fire for
 * wakes that are long over; a wake that gets lost so is seen in wake_pending.
 * Threads are told apart by pthread_self, since none of them ends while a poller
 * is open. */
static void watch_eventfd(gust__uring *p)
{
    uint64_t count;
    if (p->wake_armed && (p->ring.sqpoll || pthread_equal(p->wake_thread, pthread_self())))
        return;
    if (p->wake_armed)
        push_wake_poll_removal(p);
    p->wake_generation++;
    p->wake_armed = true;
    p->wake_thread = pthread_self();
    while (read(p->base.wake_fd, &count, sizeof count) < 0 && errno == EINTR)
        ;
    gust__uring_push_wake_poll(p);
    gust__ring_submit(&p->ring);
}

/* SQPOLL: sleeps and wakes are the only system calls; most can be done without.  A
 * sleep that is none answers the wakes before it all the same. */
static bool look_first(gust__uring *p, int64_t *timeout_ns)
{
    uring_submit(&p->base);
    if (!gust__sqpoll_spin(p, timeout_ns))
        return false;
    gust__wake_take(&p->base);
    return true;
}

/* Between the drop of the lock and io_uring_enter others may submit what was
 * counted here; the kernel then finds less and does not sleep, which is only one
 * more round. */
static void uring_sleep(gust__poller *base, int64_t timeout_ns)
{
    gust__uring *p = gust__uring_of(base);
    if (p->ring.sqpoll && look_first(p, &timeout_ns))
        return;
    gust__lock_take(&base->lock, RANK_POLLER);
    watch_eventfd(p);
    bool awake = gust__wake_take(base) || gust__ring_ready(&p->ring) ||
                 atomic_load_explicit(&base->finished, memory_order_relaxed);
    if (awake)
        gust__ring_submit(&p->ring);
    uint32_t queued = gust__ring_queued(&p->ring);
    gust__lock_drop(&base->lock);
    if (awake)
        return;
    gust__ring_wait(&p->ring, queued, timeout_ns);
    gust__wake_take(base);
}

static int uring_fd_init(gust__fd *f)
{
    (void)f;
    return 0;
}

static void uring_fd_fini(gust__fd *f)
{
    (void)f;
}

/* The two kinds differ in how a ring is set up, and in that SQPOLL makes no system call. */
#define RING_BACKEND(its_name, its_probe, its_open, is_sqpoll)                                    \
    {                                                                                             \
        .name = (its_name), .tries_first = false, .tries_sendmsg = !(is_sqpoll),                  \
        .does_files = true, .probe = (its_probe), .open = (its_open), .close = gust__uring_close, \
        .start = uring_start, .cancel = uring_cancel, .sleep = uring_sleep,                       \
        .pending = uring_pending, .submit = uring_submit, .collect = uring_collect,               \
        .reap = uring_reap, .fd_init = uring_fd_init, .fd_fini = uring_fd_fini,                   \
        .zerocopy_min = gust__uring_zerocopy_min, .buf_put = gust__uring_buf_put,                 \
    }

const gust__backend gust__backend_uring =
    RING_BACKEND("io_uring", gust__uring_probe, gust__uring_open, false);
const gust__backend gust__backend_sqpoll =
    RING_BACKEND("sqpoll", gust__sqpoll_probe, gust__sqpoll_open, true);
