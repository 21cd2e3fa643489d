/* Whether an upstream is fit to be asked.  Two judges, each for itself:
 *
 *     requests   that fail in a row eject it for a while, and the next time for longer:
 *
 *                  IN --failures_max in a row--> EJECTED --time--> ON TRIAL
 *                  ON TRIAL --failure--> EJECTED    ON TRIAL --success--> IN
 *
 *     checks     that are made for the purpose take it out after `fall` failures in a
 *                row, and bring it back after `rise` successes; that ends an ejection, too
 *
 * Who picks an upstream asks gust__health_is_up: two loads, and a look at the clock only
 * while it is ejected.  Pure: the time comes from outside.
 *
 * ON TRIAL is IN with all but one of the failures counted. */
#ifndef GUST_PROXY_HEALTH_H
#define GUST_PROXY_HEALTH_H

#include <gust/base.h>

#include <stdatomic.h>

struct health_limits {
    unsigned failures_max; /* in a row; 0: requests do not eject */
    int64_t ejection_ns;   /* the first time; doubled each time */
    int64_t ejection_max_ns;
    unsigned rise;
    unsigned fall;
};

/* All zeroes: up. */
struct health {
    _Atomic gust_time ejected_until; /* 0: it is not */
    _Atomic bool checked_down;
    _Atomic uint32_t failures; /* of requests, in a row */

    /* Under the mutex of whoever ejects. */
    uint32_t ejections; /* that still count */
    gust_time returned; /* when the last one ended, or will */

    /* The one that makes the checks. */
    uint32_t rises;
    uint32_t falls;
};

/* The slow half. */
bool gust__health_returns(struct health *h, const struct health_limits *limits, gust_time now);

static inline bool gust__health_is_up(struct health *h, const struct health_limits *limits)
{
    /* Relaxed: judgements, which guard no memory. */
    if (atomic_load_explicit(&h->checked_down, memory_order_relaxed))
        return false;
    return atomic_load_explicit(&h->ejected_until, memory_order_relaxed) == 0 ||
           gust__health_returns(h, limits, gust_now());
}

static inline void gust__health_success(struct health *h)
{
    if (atomic_load_explicit(&h->failures, memory_order_relaxed) > 0)
        atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
}

/* Counts a failed request; true if it is time to eject. */
bool gust__health_failure(struct health *h, const struct health_limits *limits);

/* Ejects, unless it is ejected already.  Under a mutex. */
void gust__health_eject(struct health *h, const struct health_limits *limits, gust_time now);

/* True if it is ejected, whatever the checks say. */
bool gust__health_is_ejected(struct health *h, gust_time now);

/* A check has ended; true if it has changed whether the upstream is up. */
bool gust__health_checked(struct health *h, const struct health_limits *limits, bool success);

#endif
