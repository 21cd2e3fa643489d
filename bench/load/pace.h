/* When the next request of a connection begins, and whether it counts.
 *
 * Closed loop: when the connection is free.  Open loop: when the next request falls due that
 * nobody has taken (arrivals.h).  A free connection takes the next one though it may lie ahead,
 * and sleeps until then; so as many of the coming requests are taken as connections are free.
 * While none is, requests fall due all the same, and whoever becomes free takes the oldest, late.
 * That is a queue of any length that needs no memory, and no goroutine to fill it.
 *
 * A request belongs to the time in which it begins, or fell due; those between `begin` and `end`
 * count.  In an open loop those due before `end` go on being sent for PACE_GRACE_NS; what is
 * left then is unsent. */
#ifndef GUST_LOAD_PACE_H
#define GUST_LOAD_PACE_H

#include "bench/load/arrivals.h"
#include "bench/load/tally.h"

#include <gust/sync.h>

#define PACE_GRACE_NS (1 * GUST_SEC)

struct pace {
    const struct plan *plan;
    double rate;             /* 0: a closed loop */
    _Atomic gust_time begin; /* GUST_FOREVER before it is known */
    _Atomic gust_time end;
    _Atomic uint64_t counted; /* requests that count, begun; kept if there is a maximum */
    gust_mutex mutex;         /* of the rest, in an open loop */
    struct arrivals arrivals;
    bool is_over;
};

/* Nothing counts, and in an open loop nothing may be asked for, until pace_start. */
void pace_init(struct pace *p, const struct plan *plan, double rate);

/* Says when requests count; `now` is when the first ones fall due. */
void pace_start(struct pace *p, gust_time now);

/* Waits until the caller's next requests are to begin, and writes when each of them does, or
 * was to.  *now is the time; it is brought up to date.  Returns how many, at most
 * plan->pipeline; 0: the run is over, or was cancelled. */
unsigned pace_next(struct pace *p, gust_time *now, gust_time *starts, struct tally *tally);

static inline bool pace_counts(const struct pace *p, gust_time start)
{
    return start >= atomic_load_explicit(&p->begin, memory_order_relaxed) &&
           start < atomic_load_explicit(&p->end, memory_order_relaxed);
}

#endif
