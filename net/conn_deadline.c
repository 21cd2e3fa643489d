/* Lasting deadlines, and the waits that they bound.
 *
 * A wait ends at the earlier of its call's deadline and its side's lasting one.
 * Whoever moves the latter need not know who waits until when:
 *   - later: nothing is done.  The wait ends at the time it was begun with, sees
 *     that the deadline has moved (`moves`), and begins again with the new one;
 *   - earlier: the operation is cancelled, or the waiter woken, and it does the same.
 * So a deadline that is pushed on and on, request by request or by another
 * goroutine, costs a store under the conn's lock; the timer heap is touched as
 * seldom as core/deadline.c does it for the deadlines of calls. */
#include <errno.h>
#include <netinet/tcp.h>

#include "core/waitq.h"
#include "net/conn.h"

/* --- Waiting ------------------------------------------------------------- */

/* On a P that has never looked at the clock the time is 0. */
bool gust__conn_limit_passed_locked(const gust_conn *c, gust__conn_side side)
{
    return c->limit[side] <= LIMIT_PASSED || c->limit[side] <= gust__now_recent();
}

/* The kernel says ETIMEDOUT of a peer that has stopped answering (keepalive, user
 * timeout), once; then comes an end of stream as if all were well.  Who has been told
 * of a deadline would go on and take that for the truth: so it is told as a reset. */
static bool is_dead(int fd)
{
    struct tcp_info info = {.tcpi_state = TCP_ESTABLISHED};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE;
}

static gust__conn_side side_of(gust_conn *c, gust__op **slot)
{
    return slot == &c->rd.op ? SIDE_READ : SIDE_WRITE;
}

/* What the record of an operation that was cancelled needs to be started again. */
static void op_again(gust__op *op, uint8_t flags)
{
    op->flags = flags;
    op->res = 0;
    op->picked = NULL;
    op->over = false;
    op->cqes = 0;
    op->notes = 0;
    op->home = NULL;
    atomic_store_explicit(&op->state, GUST__OP_IDLE, memory_order_relaxed);
}

/* Does an operation that was given up go on, since the deadline that ended it is
 * not the one that counts now? */
static bool goes_on(int res, bool moved)
{
    gust_context *context = gust_context_current();
    return moved && (res == -ETIMEDOUT ||
                     (res == -ECANCELED && !(context && gust__context_canceled(context))));
}

void gust__conn_limit_ended_locked(gust_conn *c, gust__conn_side side, gust_time deadline)
{
    if (c->limit[side] <= deadline)
        c->limit[side] = LIMIT_PASSED;
}

/* *ret_again: with the deadlines as they are now. */
static int wait_once(gust_conn *c, gust__op **slot, gust__op *op, gust__deadline *d,
                     gust_time deadline, bool *ret_again)
{
    const gust__conn_side side = side_of(c, slot);
    /* Such a send is ended by a reset (core/uring_zerocopy.c). */
    const bool resets = op->flags & GUST__OP_ZEROCOPY;
    *ret_again = false;
    gust__lock_take(&c->lock, RANK_CONN);
    bool closing = c->closing;
    bool passed = gust__conn_limit_passed_locked(c, side);
    const uint32_t moves = c->moves[side];
    if (c->limit[side] < deadline)
        deadline = c->limit[side];
    if (!closing && !passed)
        *slot = op;
    gust__lock_drop(&c->lock);
    if (closing || passed)
        return closing ? -EBADF : -ETIMEDOUT;

    int res = gust__op_wait(op, d, deadline);
    if (res == -ETIMEDOUT && !resets && is_dead(c->fd.fd))
        res = -ECONNRESET;

    gust__lock_take(&c->lock, RANK_CONN);
    *slot = NULL;
    closing = c->closing;
    bool moved = c->moves[side] != moves;
    if (res == -ETIMEDOUT && !moved)
        gust__conn_limit_ended_locked(c, side, deadline);
    gust__lock_drop(&c->lock);
    if (res == -ECANCELED && closing)
        return -EBADF;
    *ret_again = !closing && goes_on(res, moved);
    return res;
}

int gust__conn_op_wait(gust_conn *c, gust__op **slot, gust__op *op, gust__deadline *d,
                       gust_time deadline)
{
    const uint8_t flags = op->flags;
    bool again;
    int res = wait_once(c, slot, op, d, deadline, &again);
    while (again) {
        op_again(op, flags);
        res = wait_once(c, slot, op, d, deadline, &again);
    }
    return res;
}

/* --- Moving -------------------------------------------------------------- */

/* True: who waits must hear of it. */
static bool limit_move_locked(gust_conn *c, gust__conn_side side, gust_time when)
{
    bool earlier = when < c->limit[side];
    c->limit[side] = when;
    c->moves[side]++;
    return earlier;
}

static void move_read_locked(gust_conn *c, gust_time when)
{
    if (limit_move_locked(c, SIDE_READ, when) && c->rd.op)
        gust__op_cancel(c->rd.op);
}

static gust__waiter *move_write_locked(gust_conn *c, gust_time when)
{
    if (!limit_move_locked(c, SIDE_WRITE, when))
        return NULL;
    if (c->wr && c->wr->direct)
        gust__op_cancel(c->wr->direct);
    return gust__conn_waiters_locked(c, WAIT_SENT, OUTCOME_DONE);
}

static int set_deadline(gust_conn *c, gust_time when, bool reading, bool writing)
{
    gust__waiter *waiters = NULL;
    if (deadline_passed(when))
        when = LIMIT_PASSED; /* whatever the time is on another P */
    gust__lock_take(&c->lock, RANK_CONN);
    int error = c->closing ? -EBADF : 0;
    if (!error && reading)
        move_read_locked(c, when);
    if (!error && writing)
        waiters = move_write_locked(c, when);
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
    return error;
}

int gust_conn_set_deadline(gust_conn *c, gust_time when)
{
    GUST__CALL();
    return set_deadline(c, when, true, true);
}

int gust_conn_set_read_deadline(gust_conn *c, gust_time when)
{
    GUST__CALL();
    return set_deadline(c, when, true, false);
}

int gust_conn_set_write_deadline(gust_conn *c, gust_time when)
{
    GUST__CALL();
    return set_deadline(c, when, false, true);
}
