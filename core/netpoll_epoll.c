/* The epoll backend: the same operations, performed by system calls here when
 * the kernel says that they may go on.
 *
 * Each P's poller has an epoll instance.  A descriptor is in one of them, its
 * home, for reading and writing at once and edge-triggered, so that it costs no
 * further epoll_ctl.  An edge comes once: it is kept in the descriptor's record
 * until an operation has tried and found nothing.
 *
 * Always, under desc->lock: an op is parked (desc->op) only if it has tried since
 * the last edge in its direction, or the edge is still in `events` or in epoll.
 * All tries of parked ops are under that lock; a try without it, before parking,
 * decides nothing but whether to park.
 *
 * A thread that sleeps has no P and so completes nothing: it only stores events
 * in the descriptors and puts these on the poller's list, for whoever reaps. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>

#include "core/netpoll_epoll.h"
#include "core/sched.h"

/* Sockets that a multishot accept hands out before others get their turn. */
#define ACCEPTS_MAX 64

#define WATCHED_EVENTS (EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP | EPOLLET)
#define READ_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP | EPOLLHUP | EPOLLERR)
#define WRITE_EVENTS (EPOLLOUT | EPOLLHUP | EPOLLERR)
#define HANG_UP_EVENTS (EPOLLRDHUP | EPOLLHUP | EPOLLERR)

/* --- Descriptors --------------------------------------------------------- */

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0)
        return -errno;
    if (!(flags & O_NONBLOCK) && fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
        return -errno;
    return 0;
}

static int epoll_fd_init(gust__fd *f)
{
    int error = set_nonblocking(f->fd);
    if (error)
        return error;
    f->desc = gust__desc_new(f->fd);
    return f->desc ? 0 : -ENOMEM;
}

/* Taken out by hand, since closing does not do it while a forked child has the
 * same file open. */
static void epoll_fd_fini(gust__fd *f)
{
    gust__desc *d = f->desc;
    gust__lock_take(&d->lock, RANK_FD);
    if (d->home)
        gust__epoll_ctl(d->home, EPOLL_CTL_DEL, d->fd, 0, 0);
    gust__lock_drop(&d->lock);
    gust__desc_free(d);
    f->desc = NULL;
}

/* Under d->lock.  The number of parked ops moves with the descriptor. */
static int move_home(gust__desc *d, gust__epoll *p)
{
    gust__epoll *old = d->home;
    int parked =
        (d->op[DIR_READ] != NULL) + (d->op[DIR_WRITE] != NULL) + (d->op[DIR_HANG_UP] != NULL);
    if (d->op[DIR_READ] && d->op[DIR_READ] == d->op[DIR_WRITE])
        parked--;
    int error = gust__epoll_ctl(p, EPOLL_CTL_ADD, d->fd, WATCHED_EVENTS, gust__desc_tag(d));
    if (error)
        return error;
    gust__epoll_ctl(old, EPOLL_CTL_DEL, d->fd, 0, 0);
    d->home = p;
    gust__in_flight_add(&p->base, parked);
    gust__in_flight_add(&old->base, -parked);
    return 0;
}

/* Under d->lock, after an op was parked.  An epoll instance in which nobody
 * sleeps may belong to an idle P, and then nobody would look.  in_flight was
 * raised before, and the sleeper lowers `sleepers` before it looks at in_flight
 * (both sequentially consistent): either we see that it is gone, or it sees that
 * there is something to watch. */
static int stay_watched(gust__desc *d, gust__epoll *p)
{
    if (d->home != p && atomic_load_explicit(&d->home->sleepers, memory_order_seq_cst) == 0)
        return move_home(d, p);
    return 0;
}

/* Under d->lock.  Makes epoll report again what is ready now. */
static void ask_again(gust__desc *d)
{
    gust__epoll_ctl(d->home, EPOLL_CTL_MOD, d->fd, WATCHED_EVENTS, gust__desc_tag(d));
}

/* --- Parking an op ------------------------------------------------------- */

static unsigned dirs_of(const gust__op *op)
{
    unsigned dirs = 0;
    switch ((gust__opcode)op->code) {
    case GUST__OP_RECV:
    case GUST__OP_RECVMSG:
    case GUST__OP_ACCEPT: return 1U << DIR_READ;
    case GUST__OP_SEND:
    case GUST__OP_SENDMSG:
    case GUST__OP_CONNECT: return 1U << DIR_WRITE;
    case GUST__OP_SPLICE: return 1U << (op->fd->fd == op->in ? DIR_READ : DIR_WRITE);
    case GUST__OP_POLL:
        if (op->events == POLLRDHUP)
            return 1U << DIR_HANG_UP;
        if (op->events & (POLLOUT | POLLWRNORM))
            dirs |= 1U << DIR_WRITE;
        if (!dirs || op->events & ~(POLLOUT | POLLWRNORM))
            dirs |= 1U << DIR_READ;
        break;
    case GUST__OP_FILE: break;
    }
    return dirs;
}

/* Under d->lock, as all below. */
static void park(gust__desc *d, gust__op *op)
{
    unsigned dirs = dirs_of(op);
    for (int dir = 0; dir < DIR_COUNT; dir++) {
        if (!(dirs & 1U << dir))
            continue;
        if (d->op[dir])
            gust__fatal("two operations wait on descriptor %d", d->fd);
        d->op[dir] = op;
    }
    gust__in_flight_add(&d->home->base, 1);
}

static bool is_parked(const gust__desc *d, const gust__op *op)
{
    return d->op[DIR_READ] == op || d->op[DIR_WRITE] == op || d->op[DIR_HANG_UP] == op;
}

static void unpark(gust__desc *d, gust__op *op)
{
    for (int dir = 0; dir < DIR_COUNT; dir++)
        if (d->op[dir] == op)
            d->op[dir] = NULL;
    gust__in_flight_add(&d->home->base, -1);
}

/* Is there an edge that no try has answered?  Takes it, unless the op is a poll,
 * which leaves what it finds to the next. */
static bool take_edge(gust__desc *d, const gust__op *op, unsigned dirs)
{
    bool edge = (d->ready & dirs) || (d->hung_up && (dirs & ~(1U << DIR_WRITE)));
    if (op->code != GUST__OP_POLL)
        d->ready &= (uint8_t)~dirs;
    return edge;
}

/* gust__op_try for an op whose edge was taken.  One that got no buffer has not looked:
 * the edge stays for the next. */
static bool try_edge(gust__desc *d, gust__op *op)
{
    if (!gust__op_try(op))
        return false;
    if (op->res == -ENOBUFS && op->flags & GUST__OP_PICK)
        d->ready |= 1U << DIR_READ;
    return true;
}

/* True: op waits.  False: op->res is set. */
static bool start_locked(gust__desc *d, gust__op *op, gust__epoll *p)
{
    bool multishot = op->flags & GUST__OP_MULTISHOT;
    if (!d->home) {
        int error = gust__epoll_ctl(p, EPOLL_CTL_ADD, d->fd, WATCHED_EVENTS, gust__desc_tag(d));
        if (error) {
            op->res = error;
            return false;
        }
        d->home = p; /* and epoll reports what is ready now */
    } else if (!multishot && take_edge(d, op, dirs_of(op)) && try_edge(d, op)) {
        return false;
    }
    park(d, op);
    int error = stay_watched(d, p);
    if (error) {
        /* Nobody may look where it is: an error now is better than no answer. */
        unpark(d, op);
        op->res = gust__op_error(op, error);
        return false;
    }
    if (multishot)
        ask_again(d);
    return true;
}

static bool epoll_start(gust__op *op, gust__poller *base)
{
    gust__desc *d = op->fd->desc;
    gust__lock_take(&d->lock, RANK_FD);
    bool waits = gust__op_claim(op) && start_locked(d, op, gust__epoll_of(base));
    gust__lock_drop(&d->lock);
    return waits;
}

static void epoll_cancel(gust__op *op)
{
    gust__desc *d = op->fd->desc;
    gust__lock_take(&d->lock, RANK_FD);
    bool parked = is_parked(d, op);
    bool ours = parked && !d->dispatching;
    if (ours) {
        unpark(d, op);
        op->res = gust__op_error(op, -ECANCELED);
    } else if (parked) {
        atomic_store_explicit(&op->state, GUST__OP_CANCELING, memory_order_relaxed);
    } else {
        uint32_t state = GUST__OP_IDLE; /* handed over meanwhile, or DONE */
        atomic_compare_exchange_strong_explicit(&op->state, &state, GUST__OP_CANCELED,
                                                memory_order_relaxed, memory_order_relaxed);
    }
    gust__lock_drop(&d->lock);
    if (ours)
        gust__poller_finish_later(gust__poller_current(), op);
}

/* --- Acting on events ---------------------------------------------------- */

static void note_ready(gust__desc *d, uint32_t events)
{
    if (events & HANG_UP_EVENTS)
        d->hung_up = true;
    if (events & READ_EVENTS)
        d->ready |= 1U << DIR_READ;
    if (events & WRITE_EVENTS)
        d->ready |= 1U << DIR_WRITE;
}

static void complete(gust__desc *d, gust__op *op)
{
    unpark(d, op);
    gust__op_set_done(op);
}

/* A reap receives for many connections before the first of their goroutines runs.  So
 * that nothing is brought into the cache only to be driven out again, these do it
 * themselves.  A cancel from here on finds an op that has not been started. */
static void hand_over(gust__desc *d, gust__op *op)
{
    unpark(d, op);
    op->flags |= GUST__OP_READY;
    atomic_store_explicit(&op->state, GUST__OP_IDLE, memory_order_relaxed);
}

/* Hands out the sockets that wait, with d->lock dropped around each.  A cancel
 * that comes meanwhile only marks the op.  True: the op is DONE. */
static bool accept_many(gust__desc *d, gust__op *op, int *ret_count)
{
    bool done = false;
    d->dispatching = true;
    while (!done && *ret_count < ACCEPTS_MAX && gust__op_try(op)) {
        if (op->res < 0) {
            done = true;
            break;
        }
        gust__lock_drop(&d->lock);
        op->more(op, op->res);
        ++*ret_count;
        gust__lock_take(&d->lock, RANK_FD);
        if (gust__op_state_now(op) == GUST__OP_CANCELING) {
            op->res = -ECANCELED;
            done = true;
        }
    }
    d->dispatching = false;
    if (done)
        complete(d, op);
    else if (*ret_count == ACCEPTS_MAX)
        ask_again(d);
    return done;
}

/* The op parked in `dir` if its owner is to be told now, else NULL.  While a multishot
 * accept has dropped the lock, a late event of a former home may bring a second M
 * here: it leaves the op to the first, which tries again in any case. */
static gust__op *act(gust__desc *d, int dir, int *ret_count)
{
    gust__op *op = d->op[dir];
    if (!op || d->dispatching || !take_edge(d, op, 1U << dir))
        return NULL;
    if (op->flags & GUST__OP_MULTISHOT)
        return accept_many(d, op, ret_count) ? op : NULL;
    if (!op->done) {
        hand_over(d, op);
        return op;
    }
    if (!try_edge(d, op))
        return NULL;
    complete(d, op);
    return op;
}

static int dispatch(gust__desc *d)
{
    int count = 0;
    gust__op *told[DIR_COUNT];
    if (!gust__desc_begin(d))
        return 0;
    note_ready(d, d->events);
    d->events = 0;
    for (int dir = 0; dir < DIR_COUNT; dir++)
        told[dir] = act(d, dir, &count);
    gust__lock_drop(&d->lock);
    for (int dir = 0; dir < DIR_COUNT; dir++) {
        if (!told[dir])
            continue;
        gust__op_finish(told[dir]);
        count++;
    }
    return count;
}

static int epoll_reap(gust__poller *base)
{
    gust__desc *descs[EPOLL_EVENTS_MAX];
    int n = gust__desc_take(gust__epoll_of(base), descs, EPOLL_EVENTS_MAX), count = 0;
    for (int i = 0; i < n; i++)
        count += dispatch(descs[i]);
    return count;
}

/* --- The backend --------------------------------------------------------- */

static bool epoll_pending(gust__poller *base)
{
    return atomic_load_explicit(&base->in_flight, memory_order_seq_cst) > 0 ||
           atomic_load_explicit(&gust__epoll_of(base)->reported, memory_order_relaxed);
}

static void epoll_submit(gust__poller *base)
{
    (void)base;
}

const gust__backend gust__backend_epoll = {
    .name = "epoll",
    .tries_first = true,
    .tries_sendmsg = true,
    .probe = gust__epoll_probe,
    .open = gust__epoll_open,
    .close = gust__epoll_close,
    .start = epoll_start,
    .cancel = epoll_cancel,
    .sleep = gust__epoll_sleep,
    .pending = epoll_pending,
    .submit = epoll_submit,
    .collect = gust__epoll_collect,
    .reap = epoll_reap,
    .fd_init = epoll_fd_init,
    .fd_fini = epoll_fd_fini,
    .buf_put = gust__epoll_buf_put,
};
