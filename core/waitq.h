/* Goroutines that wait for something: the queues they stand in, and the deadline
 * and the cancellation of their context, which may end the wait first.
 *
 * A waiter is a node on the waiting goroutine's stack.  Always:
 *   - it is linked and unlinked under the lock that guards its list;
 *   - exactly one waker gets it.  Whoever unlinks a waiter without a claim word
 *     has it; one with a claim word (a wait that can end in several ways: a
 *     select, a deadline, a context) must be won by a CAS on that word too;
 *   - once won its goroutine cannot run until gust__ready, so the winner may use
 *     the node after dropping the lock, up to that call;
 *   - the goroutine takes every lock whose lists it stands in and unlinks what is
 *     left there before its frame dies. */
#ifndef GUST_CORE_WAITQ_H
#define GUST_CORE_WAITQ_H

#include <errno.h>
#include <gust/sync.h>
#include <stdatomic.h>

#include "core/context.h"
#include "core/sched.h"

/* How a wait ended.  Written by the waker under the list's lock, published by
 * gust__ready. */
typedef enum gust__outcome {
    OUTCOME_NONE,   /* no waker: still waiting, or the alarm ended it */
    OUTCOME_DONE,   /* what was waited for has happened */
    OUTCOME_CLOSED, /* the channel was closed */
} gust__outcome;

typedef struct gust__waiter {
    struct gust__waiter *next;
    struct gust__waiter *prev;
    G *g;
    _Atomic uint32_t *claim; /* NULL: unlinking it is enough */
    void *elem;              /* channels: the element, or the place for it */
    gust__outcome outcome;
    bool steadfast; /* set by the caller: no cancellation ends this wait */
} gust__waiter;

/* Like every change of a list: under its lock.  Only the head is also read
 * without (waitlist_looks_empty), hence stored atomically. */
static inline void waitlist_set_head(gust__waitlist *list, gust__waiter *w)
{
    __atomic_store_n(&list->head, w, __ATOMIC_RELAXED);
}

static inline void waitlist_push(gust__waitlist *list, gust__waiter *w)
{
    w->next = NULL;
    w->prev = list->tail;
    if (list->tail)
        list->tail->next = w;
    else
        waitlist_set_head(list, w);
    list->tail = w;
}

static inline void waitlist_push_front(gust__waitlist *list, gust__waiter *w)
{
    w->next = list->head;
    w->prev = NULL;
    if (list->head)
        list->head->prev = w;
    else
        list->tail = w;
    waitlist_set_head(list, w);
}

/* Unlinks w; nothing happens if it is not linked any more. */
static inline void waitlist_remove(gust__waitlist *list, gust__waiter *w)
{
    if (w->prev)
        w->prev->next = w->next;
    else if (list->head == w)
        waitlist_set_head(list, w->next);
    else
        return;
    if (w->next)
        w->next->prev = w->prev;
    else
        list->tail = w->prev;
    w->next = w->prev = NULL;
}

/* Wins a goroutine by its claim word; false: somebody else has won it.
 * Relaxed: the word only says who won.  What the winner writes is published by
 * gust__ready; the goroutine reopens the word only when nobody can see it. */
static inline bool claim_try(_Atomic uint32_t *claim)
{
    uint32_t open = 0;
    if (gust__solo)
        return !atomic_load_explicit(claim, memory_order_relaxed) &&
               (atomic_store_explicit(claim, 1, memory_order_relaxed), true);
    return atomic_compare_exchange_strong_explicit(claim, &open, 1, memory_order_relaxed,
                                                   memory_order_relaxed);
}

/* Unlinks w, which is linked; false: somebody else has won it.  Otherwise the
 * caller sets its outcome and later makes it ready, once. */
static inline bool waitlist_win(gust__waitlist *list, gust__waiter *w)
{
    waitlist_remove(list, w);
    return !w->claim || claim_try(w->claim);
}

/* Unlinks and wins the first waiter that nobody else has won; NULL if there is
 * none. */
static inline gust__waiter *waitlist_take(gust__waitlist *list)
{
    gust__waiter *w;
    while ((w = list->head))
        if (waitlist_win(list, w))
            return w;
    return NULL;
}

/* Without the lock: what was true at some moment during the call.  Acquire:
 * reads that follow are not older than this one. */
static inline bool waitlist_looks_empty(const gust__waitlist *list)
{
    return !__atomic_load_n(&list->head, __ATOMIC_ACQUIRE);
}

/* The lock of a public gust__waitq (RANK_WAITQ). */
static inline gust__lock *waitq_lock(gust__waitq *q)
{
    _Static_assert(sizeof(gust__lock) == sizeof q->lock, "gust__waitq.lock must hold a gust__lock");
    return (gust__lock *)&q->lock;
}

/* Opens g's claim word for a new wait, before any waker can see it. */
static inline _Atomic uint32_t *claim_open(G *g)
{
    _Atomic uint32_t *claim = gust__g_select_done(g);
    atomic_store_explicit(claim, 0, memory_order_relaxed);
    return claim;
}

static inline bool deadline_passed(gust_time deadline)
{
    return deadline != GUST_FOREVER && (deadline <= GUST_NOW || deadline <= gust_now());
}

/* Why a goroutine under `context` (or NULL) must not begin to wait: -EAGAIN,
 * -ECANCELED or -ETIMEDOUT; 0 if it may. */
static inline int wait_refused(const gust_context *context, gust_time deadline)
{
    if (deadline == GUST_NOW)
        return -EAGAIN;
    if (context && gust__context_canceled(context))
        return -ECANCELED;
    return deadline_passed(deadline) ? -ETIMEDOUT : 0;
}

/* What ends a wait if no waker does: a timer for its deadline (GUST_FOREVER sets
 * none) and a place in the goroutine's context.  Both lie on the waiting
 * goroutine's stack; the first to claim the goroutine makes it ready. */
typedef struct gust__alarm {
    gust__timer timer;
    gust_time when;
    gust_context *context; /* NULL: none, or one that does not matter */
    gust__context_wait wait;
} gust__alarm;

/* Before the park; claim_open comes first. */
void gust__alarm_init(gust__alarm *a, G *g, gust_time when, gust_context *context);

/* In the park's commit function, whose result it returns: the alarm may wake the
 * goroutine at once, so it must not go off before the goroutine has stopped
 * running.  False: the context has been cancelled; the claim word is taken.  After
 * true the alarm's memory may be gone, unless the caller holds a lock that the
 * goroutine takes first. */
bool gust__alarm_set(gust__alarm *a) __attribute__((warn_unused_result));

/* After the park, with no lock held.  Then the alarm's memory is the caller's. */
void gust__alarm_stop(gust__alarm *a);

/* The error of a wait that the alarm ended; after gust__alarm_stop. */
static inline int alarm_error(const gust__alarm *a)
{
    return a->context && a->wait.canceled ? -ECANCELED : -ETIMEDOUT;
}

/* Parks the caller, which holds `lock` (of rank `rank`) and has linked w into
 * `list`, until it is taken from there or until `deadline`.  Drops the lock.
 * Returns 0 (w->outcome says how it ended), or a negative errno value if the wait
 * was given up: no waker has won w then.  w is unlinked in every case. */
int gust__wait_linked(gust__waitlist *list, gust__lock *lock, gust__rank rank, gust__waiter *w,
                      gust_time deadline, gust__wait why);

/* Parks the caller until `deadline`: it waits for nothing that can happen.
 * Returns -ETIMEDOUT, -EAGAIN or -ECANCELED.  The caller holds no lock. */
int gust__wait_nothing(gust_time deadline, gust__wait why);

/* Takes all waiters of a list, chained through `next`, for waiters_ready. */
gust__waiter *gust__waitlist_take_all(gust__waitlist *list, gust__outcome outcome);

/* Makes a chain of taken waiters ready, first come first served.  No lock held. */
void gust__waiters_ready(gust__waiter *chain);

#endif
