/* Timers inside the runtime: a 4-ary heap per P under that heap's own lock.
 *
 * A gust__timer is memory of its user (often on a goroutine's stack).  It is
 * ARMED while it sits in a heap and FIRING while its callback runs; the
 * callback runs on some M's g0 with no lock held and must not park; callbacks of
 * one timer do not overlap.  If it arms
 * the timer again, that is the last thing it does with the timer's memory; if
 * nobody will call gust__timer_stop, it may give that memory away.
 *
 * States:  IDLE --gust__timer_set--> ARMED --timers_run--> FIRING --> IDLE
 *          ARMED --gust__timer_set (moves it)--> ARMED
 *          ARMED --gust__timer_stop--> IDLE */
#ifndef GUST_CORE_TIMERS_H
#define GUST_CORE_TIMERS_H

#include <gust/base.h>
#include <stdatomic.h>

#include "core/lock.h"

typedef struct gust__timer gust__timer;
typedef struct gust__timers gust__timers;
typedef void gust__timer_fn(gust__timer *t);

struct gust__timer {
    gust__timer_fn *fn;                 /* set by the user before the first set */
    _Atomic(gust__timers *) heap;       /* the heap it sits in or fires from; NULL: never armed */
    gust_time when;                     /* under heap->lock */
    _Atomic uint32_t index;             /* place in the heap + 1; 0: not in it.  Written under
                                     heap->lock, read by anyone */
    _Atomic(gust__timers *) fired_from; /* the heap whose `firing` may still name it; the same */
};

/* One P's timers. */
struct gust__timers {
    gust__lock lock; /* RANK_TIMERS */
    uint32_t len, cap;
    struct gust__timer_slot {
        gust_time when;
        gust__timer *t;
    } * slots;
    _Atomic(gust_time)
        earliest; /* slots[0].when or GUST_FOREVER; written under lock, read by anyone */
    _Atomic(gust__timer *) firing; /* whose callback runs now; written under lock */
};

/* Arms t in the current P's heap to fire once at `when`, moving it if it was
 * armed.  Returns true if it was armed before.  From a goroutine or g0 of an M
 * that has a P. */
bool gust__timer_set(gust__timer *t, gust_time when);

/* Disarms.  Returns true if it was armed and so will not fire.  If the callback
 * runs right now, waits (spinning) until it is over: after the call the memory
 * is the caller's.  Not from the timer's own callback, nor under a lock that
 * the callback takes. */
bool gust__timer_stop(gust__timer *t);

#endif
