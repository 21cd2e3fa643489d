/* Waits that a deadline or a cancellation may end, and waking many waiters at once. */
#include "core/waitq.h"

#include "core/proc.h"

/* The deadline came.  On g0 of any M, no lock held.  If a waker was first there
 * is nothing to do; the goroutine stops the alarm before the frame dies, and that
 * waits for this function to return. */
static void alarm_fire(gust__timer *t)
{
    gust__alarm *a = (gust__alarm *)t; /* its first member */
    G *g = a->wait.g;
    if (claim_try(gust__g_select_done(g)))
        gust__ready_tail(g);
}

void gust__alarm_init(gust__alarm *a, G *g, gust_time when, gust_context *context)
{
    *a = (gust__alarm){
        .timer = {.fn = alarm_fire}, .when = when, .context = context, .wait = {.g = g}};
}

/* With a context, the timer is set under the context's lock: a goroutine that one
 * of the two wakes cannot leave its wait before that lock is dropped. */
bool gust__alarm_set(gust__alarm *a)
{
    gust__timer *timer = a->when == GUST_FOREVER ? NULL : &a->timer;
    if (!a->context) {
        if (timer)
            gust__timer_set(timer, a->when);
        return true;
    }
    if (gust__context_wait_begin(a->context, &a->wait, timer, a->when))
        return true;
    /* Nobody sees the goroutine yet, so the claim is had for the asking.  It keeps
     * off the wakers who will see it before it has left its lists. */
    atomic_store_explicit(gust__g_select_done(a->wait.g), 1, memory_order_relaxed);
    a->wait.canceled = true;
    return false;
}

void gust__alarm_stop(gust__alarm *a)
{
    if (a->when != GUST_FOREVER)
        gust__timer_stop(&a->timer);
    if (a->context)
        gust__context_wait_end(a->context, &a->wait);
}

struct alarm_park {
    gust__alarm alarm;
    gust__lock *lock; /* NULL: none is held */
};

/* Once the alarm is set the goroutine may be running, but it cannot leave its
 * wait before it has taken the lock dropped here: the frame is alive until then,
 * and not touched afterwards. */
static bool commit_alarm(G *g, void *arg)
{
    struct alarm_park *park = arg;
    gust__lock *lock = park->lock;
    (void)g;
    bool parked = gust__alarm_set(&park->alarm);
    if (lock)
        gust__lock_drop(lock);
    return parked;
}

__attribute__((noinline)) static int wait_linked_alarm(gust__waitlist *list, gust__lock *lock,
                                                       gust__rank rank, gust__waiter *w,
                                                       gust_time deadline, gust_context *context,
                                                       gust__wait why)
{
    struct alarm_park park = {.lock = lock};
    w->claim = claim_open(w->g);
    gust__alarm_init(&park.alarm, w->g, deadline, context);
    gust__park(commit_alarm, &park, why);
    gust__alarm_stop(&park.alarm);
    if (w->outcome != OUTCOME_NONE)
        return 0;
    gust__lock_take(lock, rank);
    waitlist_remove(list, w);
    gust__lock_drop(lock);
    return alarm_error(&park.alarm);
}

int gust__wait_linked(gust__waitlist *list, gust__lock *lock, gust__rank rank, gust__waiter *w,
                      gust_time deadline, gust__wait why)
{
    /* g0, which has no goroutine to look at, comes here with GUST_NOW only. */
    G *g = deadline == GUST_NOW ? NULL : gust__g();
    gust_context *context = !g || w->steadfast ? NULL : g->context;
    int refused = wait_refused(context, deadline);
    if (refused) {
        waitlist_remove(list, w);
        gust__lock_drop(lock);
        return refused;
    }
    w->g = g;
    w->outcome = OUTCOME_NONE;
    if (deadline != GUST_FOREVER || context)
        return wait_linked_alarm(list, lock, rank, w, deadline, context, why);
    w->claim = NULL;
    gust__park(gust__park_unlock, lock, why);
    return 0;
}

int gust__wait_nothing(gust_time deadline, gust__wait why)
{
    G *g = gust__g();
    int refused = wait_refused(g->context, deadline);
    if (refused)
        return refused;
    struct alarm_park park = {.lock = NULL};
    claim_open(g);
    gust__alarm_init(&park.alarm, g, deadline, g->context);
    gust__park(commit_alarm, &park, why);
    gust__alarm_stop(&park.alarm);
    return alarm_error(&park.alarm);
}

gust__waiter *gust__waitlist_take_all(gust__waitlist *list, gust__outcome outcome)
{
    gust__waiter *chain = NULL, **end = &chain, *w;
    while ((w = waitlist_take(list))) {
        w->outcome = outcome;
        *end = w;
        end = &w->next;
    }
    return chain;
}

void gust__waiters_ready(gust__waiter *chain)
{
    while (chain) {
        /* The node is gone as soon as its goroutine can run. */
        gust__waiter *w = chain;
        chain = w->next;
        gust__ready_tail(w->g);
    }
}
