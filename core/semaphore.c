/* gust_semaphore, after golang.org/x/sync/semaphore.
 *
 * Always, while the lock is free: held <= size, and the first waiter that has not
 * given up asks for more than size - held, unless it stands right behind one that
 * has just given up and is about to let it in. */
#include "core/waitq.h"

static bool fits(const gust_semaphore *s, int64_t n)
{
    return n <= s->size - s->held;
}

/* What a waiter asks for. */
static int64_t request_of(const gust__waiter *w)
{
    return *(const int64_t *)w->elem;
}

/* Lets the first waiters in that fit; a large request at the head holds up the
 * small ones behind it, or it would never get its turn.  Under the lock.  Returns
 * the chain to make ready. */
static gust__waiter *admit(gust_semaphore *s)
{
    gust__waitlist *list = &s->waiters.list;
    gust__waiter *chain = NULL, **end = &chain, *w;
    while ((w = list->head) && fits(s, request_of(w))) {
        if (!waitlist_win(list, w))
            continue; /* has given up */
        s->held += request_of(w);
        w->outcome = OUTCOME_DONE;
        *end = w;
        end = &w->next;
    }
    return chain;
}

/* The caller has left the queue, where others may have waited behind it. */
static void give_up(gust_semaphore *s)
{
    gust__waiter *admitted;
    gust__lock_take(waitq_lock(&s->waiters), RANK_WAITQ);
    admitted = admit(s);
    gust__lock_drop(waitq_lock(&s->waiters));
    gust__waiters_ready(admitted);
}

void gust_semaphore_init(gust_semaphore *s, int64_t size)
{
    if (size < 0)
        gust_panic("semaphore of a negative size");
    *s = (gust_semaphore)GUST_SEMAPHORE_INIT(size);
}

int gust_semaphore_acquire(gust_semaphore *s, int64_t n, gust_time deadline)
{
    gust__lock *lock = waitq_lock(&s->waiters);
    gust__waiter w = {.elem = &n};
    int err;
    if (n < 0 || n > s->size)
        return -EINVAL;
    GUST__CALL();
    gust__lock_take(lock, RANK_WAITQ);
    if (!s->waiters.list.head && fits(s, n)) {
        s->held += n;
        gust__lock_drop(lock);
        return 0;
    }
    waitlist_push(&s->waiters.list, &w);
    err = gust__wait_linked(&s->waiters.list, lock, RANK_WAITQ, &w, deadline, WAIT_SEMAPHORE);
    if (err < 0)
        give_up(s);
    return err;
}

void gust_semaphore_release(gust_semaphore *s, int64_t n)
{
    GUST__CALL();
    gust__waiter *admitted = NULL;
    bool held;
    gust__lock_take(waitq_lock(&s->waiters), RANK_WAITQ);
    held = n >= 0 && n <= s->held;
    if (held) {
        s->held -= n;
        admitted = admit(s);
    }
    gust__lock_drop(waitq_lock(&s->waiters));
    if (!held)
        gust_panic("semaphore: released more than held");
    gust__waiters_ready(admitted);
}
