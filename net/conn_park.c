/* Waiting for input without a goroutine.
 *
 * The wait is a receive into a poller's buffer, as gust_conn_fill would make it, so
 * that the bytes are there when the goroutine starts: no second request for them.
 *
 *      on_input                 completion, on g0         the new goroutine
 *   1. enters the reader's side 4. starts it              5. rd.op = NULL, the view
 *   2. rd.op = the wait's                                 6. leaves the side
 *   3. starts the operation                               7. fn(arg)
 *
 * Between 3 and 6 the conn looks to others as if a goroutine were reading: a close
 * asks for rd.op back and waits for the side, and so for the descriptor.  If it was a
 * lasting deadline that was moved, 5 begins the wait again (conn_deadline.c).
 *
 * What a writer needs goes at 2, or when the last send is done. */
#include <errno.h>
#include <gust/runtime.h>

#include "core/context.h"
#include "core/proc.h"
#include "net/conn.h"

static void run(void *parked);

static gust_time earlier(gust_time a, gust_time b)
{
    return a < b ? a : b;
}

/* Under the lock: the wait's operation is c's, or is not any more. */
static void set_parked_locked(gust_conn *c, bool parked)
{
    c->park_use = parked ? PARK_WAIT : PARK_NONE;
    c->rd.op = parked ? &c->park.wait.op : NULL;
}

static void set_wait_locked(gust_conn *c)
{
    c->park.wait = (gust__parked){
        .op = {.code = GUST__OP_RECV, .flags = GUST__OP_PICK, .fd = &c->fd},
        .main = run,
        .note = c->moves[SIDE_READ],
    };
    if (c->drained)
        c->park.wait.op.flags |= GUST__OP_DRAINED;
    set_parked_locked(c, true);
}

/* By the reader.  0: c is the new goroutine's. */
static int start(gust_conn *c, const void *caller)
{
    gust__conn_park *park = &c->park;
    gust__lock_take(&c->lock, RANK_CONN);
    int error = c->closing ? -EBADF : c->park_use == PARK_WATCH ? -EBUSY : 0;
    gust_time deadline = earlier(park->deadline, c->limit[SIDE_READ]);
    if (!error)
        set_wait_locked(c);
    gust__conn_writer *at_rest = gust__conn_writer_rest_locked(c);
    gust__lock_drop(&c->lock);
    gust__conn_writer_free(at_rest);
    if (error)
        return error;

    gust__deadline_begin(&c->rd_deadline, &park->wait.op, deadline);
    error = gust__parked_start(&park->wait, caller);
    if (error) {
        gust__deadline_end(&c->rd_deadline);
        gust__lock_take(&c->lock, RANK_CONN);
        set_parked_locked(c, false);
        gust__lock_drop(&c->lock);
    }
    return error;
}

/* With something in the view, or an error to report, there is nothing to wait for. */
static int go_now(void (*fn)(void *arg), void *arg, const void *caller)
{
    const G *g = gust__g();
    return gust__go(&(gust__spawn){.fn = fn,
                                   .arg = arg,
                                   .name = g->name,
                                   .stack_size = g->stack_size,
                                   .context = g->context,
                                   .spawn_pc = caller});
}

/* By the reader; the layer's code runs outside of every call. */
static bool has_input(gust_conn *c)
{
    return c->rd.len > 0 || c->rd.error || (conn_layer(c) && c->layer->ops->has_input(c));
}

static int wait_or_go(gust_conn *c, bool now, const void *caller)
{
    GUST__CALL();
    if (now) {
        gust__conn_leave(c, SIDE_READ); /* nobody else uses the conn, but to close it */
        return go_now(c->park.fn, c->park.arg, caller);
    }
    int error = start(c, caller);
    if (error)
        gust__conn_leave(c, SIDE_READ);
    return error;
}

static int on_input(gust_conn *c, void (*fn)(void *arg), void *arg, gust_time deadline,
                    const void *caller)
{
    int error = gust_conn_flush(c);
    if (error)
        return error;
    error = gust__conn_enter(c, SIDE_READ, GUST_NOW);
    if (error)
        return error == -EAGAIN ? -EBUSY : error;
    c->park.fn = fn;
    c->park.arg = arg;
    c->park.deadline = deadline;
    return wait_or_go(c, has_input(c), caller);
}

int gust_conn_on_input(gust_conn *c, void (*fn)(void *arg), void *arg, gust_time deadline)
{
    return on_input(c, fn, arg, deadline, __builtin_return_address(0));
}

int gust_conn_park(gust_conn *c, void (*fn)(void *arg), void *arg, gust_time deadline)
{
    int error = on_input(c, fn, arg, deadline, __builtin_return_address(0));
    if (error)
        return error;
    gust_goexit();
}

gust_time gust_conn_input_deadline(const gust_conn *c)
{
    return c->park.deadline;
}

/* Ends what others may do with the operation.  Was it given up because of a deadline
 * that is not the one that counts now? */
static bool is_in_vain(gust_conn *c)
{
    gust_context *context = gust_context_current();
    const bool canceled =
        c->park.wait.op.res == -ECANCELED && !(context && gust__context_canceled(context));
    gust__deadline_end(&c->rd_deadline);
    gust__lock_take(&c->lock, RANK_CONN);
    set_parked_locked(c, false);
    gust_time deadline = earlier(c->park.deadline, c->limit[SIDE_READ]);
    bool passed = deadline_passed(deadline);
    bool moved = c->moves[SIDE_READ] != c->park.wait.note;
    bool in_vain = canceled && moved && !passed && !c->closing;
    if (canceled && passed)
        gust__conn_limit_ended_locked(c, SIDE_READ, deadline);
    gust__lock_drop(&c->lock);
    return in_vain;
}

/* A cancellation, a deadline, a close: the next receive finds out about these itself.
 * Without a free buffer it shall not wait for one: the bytes may be there.  An error of the
 * socket, though, is reported once; the kernel's ETIMEDOUT is a dead peer's
 * (conn_deadline.c). */
static void take_result(gust_conn *c, gust__op *op)
{
    if (op->res > 0)
        gust__conn_picked(c, op->picked, op->res);
    else if (op->res == -ENOBUFS)
        gust__conn_fill_now(c);
    else if (op->res < 0 && op->res != -ECANCELED)
        c->rd.error = op->res == -ETIMEDOUT ? -ECONNRESET : op->res;
}

/* On the new goroutine. */
static void run(void *parked)
{
    gust__parked *wait = parked;
    gust_conn *c = (gust_conn *)((char *)wait - offsetof(gust_conn, park.wait));
    void (*fn)(void *arg) = c->park.fn;
    void *arg = c->park.arg;
    {
        GUST__CALL();
        if (is_in_vain(c) && start(c, wait->spawn_pc) == 0)
            return;
        take_result(c, &wait->op);
        gust__conn_leave(c, SIDE_READ);
    }
    fn(arg);
}
