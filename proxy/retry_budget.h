/* How many requests may be sent again: a part of those that went well, so that retries do
 * not finish off upstreams that are already short of something, and so many per second in
 * any case, so that a quiet proxy may retry at all.  As Finagle's budget: a bucket of tokens,
 * where a success puts in a part of a token and a retry takes a whole one.
 *
 * A full bucket, which is the usual one, costs a request a look. */
#ifndef GUST_PROXY_RETRY_BUDGET_H
#define GUST_PROXY_RETRY_BUDGET_H

#include <gust/base.h>

#include <stdatomic.h>

#define RETRY_TOKEN 1000 /* units: a thousandth of a retry */

struct retry_budget {
    _Atomic int64_t tokens; /* in units; RETRY_TOKEN * burst at most, but for races */
    _Atomic gust_time refilled;
    int64_t tokens_max;
    int64_t success_units; /* what a success puts in */
    int64_t per_second;    /* units */
};

/* Begins full.  `per_mille` of the requests that go well may be retries, `per_second` more
 * in any case, `burst` of them at once. */
void gust__retry_budget_init(struct retry_budget *b, unsigned per_mille, unsigned per_second,
                             unsigned burst, gust_time now);

static inline void gust__retry_budget_success(struct retry_budget *b)
{
    /* Relaxed: a number that need not be exact. */
    if (atomic_load_explicit(&b->tokens, memory_order_relaxed) < b->tokens_max)
        atomic_fetch_add_explicit(&b->tokens, b->success_units, memory_order_relaxed);
}

/* Takes a retry out; false if there is none. */
bool gust__retry_budget_take(struct retry_budget *b, gust_time now);

#endif
