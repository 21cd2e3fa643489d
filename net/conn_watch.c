/* Looking whether the peer is still there, while nobody reads.
 *
 * A poll for the end of its direction, which takes no byte out of the socket and does
 * not mind who else waits there:
 *
 *     watch --starts op--> watched --completion, on g0--> 1. unless `ended`: cancels the
 *       |                     |                              context; drops it
 *       |                     |                           2. not watched, wakes who waits
 *       |      unwatch or close: `ended`, ask for op back;
 *       |      wait for 2
 *
 * Between 1 and 2 the conn counts as watched: who has seen the end of the watch knows
 * that the context is cancelled by now, or will not be, and that nothing holds it. */
#include <errno.h>
#include <poll.h>

#include "core/context.h"
#include "core/sched.h"
#include "net/conn.h"

/* On g0.  The conn stays valid until it is not watched any more. */
static void done(gust__op *op)
{
    gust_conn *c = (gust_conn *)((char *)op - offsetof(gust_conn, park.watch.op));
    gust_context *context = c->park.watch.context;
    gust__lock_take(&c->lock, RANK_CONN);
    bool ended = c->park.watch.ended;
    gust__lock_drop(&c->lock);
    if (op->res > 0 && !ended)
        gust_context_cancel(context, -ECONNRESET);
    gust_context_unref(context);

    gust__lock_take(&c->lock, RANK_CONN);
    c->park_use = PARK_NONE;
    gust__waiter *waiters = gust__conn_waiters_locked(c, WAIT_WATCH, OUTCOME_DONE);
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
}

int gust_conn_watch(gust_conn *c, gust_context *context)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = c->closing ? -EBADF : c->park_use != PARK_NONE ? -EBUSY : 0;
    if (!error) {
        c->park_use = PARK_WATCH;
        c->park.watch = (gust__conn_watch){
            .op = {.code = GUST__OP_POLL, .fd = &c->fd, .events = POLLRDHUP, .done = done},
            .context = gust_context_ref(context),
        };
        gust__op_start(&c->park.watch.op);
    }
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_watch_cancel_locked(gust_conn *c)
{
    if (c->park_use != PARK_WATCH)
        return;
    c->park.watch.ended = true;
    gust__op_cancel(&c->park.watch.op);
}

static void settle_locked(gust_conn *c)
{
    while (c->park_use == PARK_WATCH)
        (void)gust__conn_wait_locked(c, WAIT_WATCH, GUST_FOREVER, true);
}

void gust__conn_watch_settle(gust_conn *c)
{
    gust__lock_take(&c->lock, RANK_CONN);
    settle_locked(c);
    gust__lock_drop(&c->lock);
}

void gust_conn_unwatch(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    gust__conn_watch_cancel_locked(c);
    settle_locked(c);
    gust__lock_drop(&c->lock);
}
