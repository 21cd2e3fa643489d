/* gust_cond: a queue of goroutines that wait for a signal.
 *
 * A waiter stands in the queue before it unlocks the mutex, so no signal given
 * after that is lost.  But it cannot hold the queue's lock while it unlocks, and
 * so it may be taken before it is parked.  Such a waiter has no g yet: it must
 * not be made ready, and sees its outcome when it comes back for the lock.  Go's
 * notifyList has tickets for the same purpose; here the place in the queue is the
 * ticket.
 *
 * A waiter whose wait is given up is won either by that or by a signal, never by
 * both (core/waitq.h): a signal that finds it lost goes to the next one. */
#include "core/waitq.h"

/* Waits for the signal of w, which is or was linked. */
static int signal_wait(gust_cond *c, gust__waiter *w, gust_time deadline)
{
    gust__lock *lock = waitq_lock(&c->waiters);
    gust__lock_take(lock, RANK_WAITQ);
    if (w->outcome == OUTCOME_DONE) {
        gust__lock_drop(lock);
        return 0;
    }
    return gust__wait_linked(&c->waiters.list, lock, RANK_WAITQ, w, deadline, WAIT_COND);
}

int gust_cond_wait(gust_cond *c, gust_mutex *m, gust_time deadline)
{
    GUST__CALL();
    gust__waiter w = {.g = NULL};
    int err;
    gust__lock_take(waitq_lock(&c->waiters), RANK_WAITQ);
    waitlist_push(&c->waiters.list, &w);
    gust__lock_drop(waitq_lock(&c->waiters));
    gust_mutex_unlock(m);
    err = signal_wait(c, &w, deadline);
    gust_mutex_lock(m);
    return err;
}

void gust_cond_signal(gust_cond *c)
{
    gust__waiter *w;
    G *g = NULL;
    /* A waiter whose condition the caller has made true is in the list: it came
     * there before it unlocked the mutex under which that was done. */
    if (waitlist_looks_empty(&c->waiters.list))
        return;
    GUST__CALL();
    gust__lock_take(waitq_lock(&c->waiters), RANK_WAITQ);
    w = waitlist_take(&c->waiters.list);
    if (w) {
        w->outcome = OUTCOME_DONE;
        g = w->g;
    }
    gust__lock_drop(waitq_lock(&c->waiters));
    if (g)
        gust__ready(g);
}

/* Takes all waiters.  Under the lock.  Returns those to be made ready; one that
 * has not parked yet may be gone once the lock is dropped. */
static gust__waiter *take_parked(gust_cond *c)
{
    gust__waiter *chain = NULL, **end = &chain, *w;
    while ((w = waitlist_take(&c->waiters.list))) {
        w->outcome = OUTCOME_DONE;
        if (!w->g)
            continue;
        *end = w;
        end = &w->next;
    }
    return chain;
}

void gust_cond_broadcast(gust_cond *c)
{
    gust__waiter *parked;
    if (waitlist_looks_empty(&c->waiters.list))
        return; /* as in gust_cond_signal */
    GUST__CALL();
    gust__lock_take(waitq_lock(&c->waiters), RANK_WAITQ);
    parked = take_parked(c);
    gust__lock_drop(waitq_lock(&c->waiters));
    gust__waiters_ready(parked);
}
