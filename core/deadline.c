/* Deadlines of operations that follow each other.
 *
 * A busy connection sets a new, later deadline for each request.  Only `when`
 * moves then; the timer stays where it is, and when it fires too early it arms
 * itself for the rest.  So the heap is touched once per timeout, not once per
 * request, and not at all if no operation is under way at that moment.
 *
 * Always: armed <= when while an operation is under way; `calls` counts the
 * timer's callbacks that are still to come, so that fini can wait for them: one
 * that sits in the heap, and those that left it and have not got the lock. */
#include "core/lock.h"
#include "core/netpoll.h"
#include "core/sched.h"

/* Under d->lock. */
static void arm(gust__deadline *d, gust_time when)
{
    d->armed = when;
    if (!gust__timer_set(&d->timer, when))
        d->calls++;
}

static void fire(gust__timer *t)
{
    gust__deadline *d = (gust__deadline *)((char *)t - offsetof(gust__deadline, timer));
    gust__lock_take(&d->lock, RANK_DEADLINE);
    if (--d->calls == 0)
        d->armed = GUST_FOREVER;
    if (d->op && d->when <= gust_now()) {
        d->expired = true;
        gust__op_cancel(d->op);
    } else if (d->op && d->when < d->armed) {
        arm(d, d->when);
    }
    gust__lock_drop(&d->lock);
}

void gust__deadline_init(gust__deadline *d)
{
    *d = (gust__deadline){.timer = {.fn = fire}, .armed = GUST_FOREVER};
}

static bool calls_left(gust__deadline *d, bool stopped)
{
    gust__lock_take(&d->lock, RANK_DEADLINE);
    d->calls -= stopped;
    bool left = d->calls > 0;
    gust__lock_drop(&d->lock);
    return left;
}

void gust__deadline_fini(gust__deadline *d)
{
    while (calls_left(d, gust__timer_stop(&d->timer)))
        ;
}

void gust__deadline_begin(gust__deadline *d, gust__op *op, gust_time when)
{
    gust__lock_take(&d->lock, RANK_DEADLINE);
    d->op = op;
    d->when = when;
    d->expired = false;
    if (when < d->armed)
        arm(d, when);
    gust__lock_drop(&d->lock);
}

bool gust__deadline_end(gust__deadline *d)
{
    gust__lock_take(&d->lock, RANK_DEADLINE);
    d->op = NULL;
    bool expired = d->expired;
    gust__lock_drop(&d->lock);
    return expired;
}
