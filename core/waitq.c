/* Waits that a deadline may end, and waking many waiters at once. */
#include "core/waitq.h"

/* The deadline came.  On g0 of any M, no lock held.  If a waker was first there
 * is nothing to do; the goroutine stops the alarm before the frame dies, and that
 * waits for this function to return. */
static void alarm_fire(gust__timer *t)
{
    gust__alarm *a = (gust__alarm *)t; /* its first member */
    uint32_t open = 0;
    if (atomic_compare_exchange_strong_explicit(gust__g_select_done(a->g), &open, 1,
                                                memory_order_relaxed, memory_order_relaxed))
        gust__ready_tail(a->g);
}

void gust__alarm_init(gust__alarm *a, G *g, gust_time when)
{
    *a = (gust__alarm){.timer = {.fn = alarm_fire}, .g = g, .when = when};
}

struct timed_park {
    gust__alarm alarm;
    gust__lock *lock; /* NULL: none is held */
};

/* Once the alarm is set the goroutine may be running, but it cannot leave its
 * wait before it has taken the lock dropped here: the frame is alive until then,
 * and not touched afterwards. */
static bool commit_timed(G *g, void *arg)
{
    struct timed_park *park = arg;
    gust__lock *lock = park->lock;
    (void)g;
    alarm_set(&park->alarm);
    if (lock)
        gust__lock_drop(lock);
    return true;
}

static int wait_linked_until(gust__waitlist *list, gust__lock *lock, gust__rank rank,
                             gust__waiter *w, gust_time deadline, gust__wait why)
{
    struct timed_park park = {.lock = lock};
    w->claim = claim_open(w->g);
    gust__alarm_init(&park.alarm, w->g, deadline);
    gust__park(commit_timed, &park, why);
    alarm_stop(&park.alarm);
    if (w->outcome != OUTCOME_NONE)
        return 0;
    gust__lock_take(lock, rank);
    waitlist_remove(list, w);
    gust__lock_drop(lock);
    return deadline_error(deadline);
}

int gust__wait_linked(gust__waitlist *list, gust__lock *lock, gust__rank rank, gust__waiter *w,
                      gust_time deadline, gust__wait why)
{
    if (deadline_passed(deadline)) {
        waitlist_remove(list, w);
        gust__lock_drop(lock);
        return deadline_error(deadline);
    }
    w->g = gust__g();
    w->outcome = OUTCOME_NONE;
    if (deadline != GUST_FOREVER)
        return wait_linked_until(list, lock, rank, w, deadline, why);
    w->claim = NULL;
    gust__park(gust__park_unlock, lock, why);
    return 0;
}

int gust__wait_nothing(gust_time deadline, gust__wait why)
{
    if (!deadline_passed(deadline)) {
        struct timed_park park = {.lock = NULL};
        G *g = gust__g();
        claim_open(g);
        gust__alarm_init(&park.alarm, g, deadline);
        gust__park(commit_timed, &park, why);
        alarm_stop(&park.alarm);
    }
    return deadline_error(deadline);
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
