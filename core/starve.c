/* Goroutines that wait for memory for their stack.
 *
 * One of them tries again whenever a goroutine ends, which gives a stack back; when
 * one has got its stack, since then there may be more; and by a timer, since memory
 * also comes back in ways that nobody tells us of.  So while there is none, it is
 * asked for a few hundred times a second, however many wait, and no M spins.
 *
 * Always, under sched.lock: if somebody is in sched.starved, the timer is armed, or
 * about to be, or its callback has not got the lock yet (starved_armed). */
#include "core/proc.h"

#define RETRY_NS (2 * GUST_MS)

/* Under sched.lock. */
static void publish_count_locked(void)
{
    atomic_store_explicit(&sched.starved_count, sched.starved.count, memory_order_relaxed);
}

/* Under sched.lock: true if the caller has to arm the timer, without the lock. */
static bool timer_wanted_locked(void)
{
    bool wanted = sched.starved.count > 0 && !sched.starved_armed;
    sched.starved_armed |= wanted;
    return wanted;
}

static void retry_fire(gust__timer *t)
{
    (void)t;
    gust__lock_take(&sched.lock, RANK_SCHED);
    sched.starved_armed = false;
    gust__lock_drop(&sched.lock);
    gust__starved_release(gust__m()->p);
}

static void retry_arm(void)
{
    sched.starved_timer.fn = retry_fire;
    gust__timer_set(&sched.starved_timer, gust_after(RETRY_NS));
}

void gust__starve(G *g)
{
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        gust__log("no memory for a goroutine's stack; it waits (said once)");
    gust__lock_take(&sched.lock, RANK_SCHED);
    gust__glist_push(&sched.starved, g);
    publish_count_locked();
    bool arm = timer_wanted_locked();
    gust__lock_drop(&sched.lock);
    if (arm)
        retry_arm();
}

void gust__starved_release(P *p)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    G *g = gust__glist_pop(&sched.starved);
    publish_count_locked();
    bool arm = timer_wanted_locked();
    gust__lock_drop(&sched.lock);
    if (arm)
        retry_arm();
    if (g)
        gust__runq_ready(p, g, false);
}
