/* gust_waitgroup: a counter, and the goroutines that wait for its zero.
 *
 * The count reaches zero only under the waiters' lock, and the waiters found
 * there at that moment are the ones released: a wait that comes later, after the
 * group was put to use again, is not woken by a zero of the past.
 *
 * A wait that finds zero passes through the lock as well: by then whoever made
 * it zero has touched the group for the last time, and the caller may free it. */
#include <stdatomic.h>

#include "core/waitq.h"

static _Atomic int64_t *count_of(gust_waitgroup *wg)
{
    return (_Atomic int64_t *)&wg->count;
}

/* Adds delta if the count stays above zero. */
static bool add_above_zero(gust_waitgroup *wg, int delta)
{
    int64_t old = atomic_load_explicit(count_of(wg), memory_order_relaxed);
    /* Release and acquire: what every done's caller wrote is visible to the one
     * that brings the count to zero, and by the lock to the waiters. */
    while (old + delta > 0)
        if (atomic_compare_exchange_weak_explicit(count_of(wg), &old, old + delta,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return true;
    return false;
}

void gust_waitgroup_add(gust_waitgroup *wg, int delta)
{
    gust__waiter *released = NULL;
    int64_t count;
    if (add_above_zero(wg, delta))
        return;
    GUST__CALL();
    gust__lock_take(waitq_lock(&wg->waiters), RANK_WAITQ);
    count = atomic_fetch_add_explicit(count_of(wg), delta, memory_order_acq_rel) + delta;
    if (count == 0)
        released = gust__waitlist_take_all(&wg->waiters.list, OUTCOME_DONE);
    gust__lock_drop(waitq_lock(&wg->waiters));
    if (count < 0)
        gust_panic("negative waitgroup counter");
    gust__waiters_ready(released);
}

void gust_waitgroup_done(gust_waitgroup *wg)
{
    gust_waitgroup_add(wg, -1);
}

int gust_waitgroup_wait(gust_waitgroup *wg, gust_time deadline)
{
    GUST__CALL();
    gust__lock *lock = waitq_lock(&wg->waiters);
    gust__waiter w = {.elem = NULL};
    gust__lock_take(lock, RANK_WAITQ);
    /* Acquire: pairs with the release of the dones that did not take the lock. */
    if (atomic_load_explicit(count_of(wg), memory_order_acquire) == 0) {
        gust__lock_drop(lock);
        return 0;
    }
    waitlist_push(&wg->waiters.list, &w);
    return gust__wait_linked(&wg->waiters.list, lock, RANK_WAITQ, &w, deadline, WAIT_WAITGROUP);
}
