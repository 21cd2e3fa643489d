#include "proxy/retry_budget.h"

void gust__retry_budget_init(struct retry_budget *b, unsigned per_mille, unsigned per_second,
                             unsigned burst, gust_time now)
{
    b->tokens_max = (int64_t)burst * RETRY_TOKEN;
    b->success_units = (int64_t)per_mille * RETRY_TOKEN / 1000;
    b->per_second = (int64_t)per_second * RETRY_TOKEN;
    atomic_init(&b->tokens, b->tokens_max);
    atomic_init(&b->refilled, now);
}

/* Whoever moves the time puts in what it brings. */
static void refill(struct retry_budget *b, gust_time now)
{
    gust_time then = atomic_load_explicit(&b->refilled, memory_order_relaxed);
    int64_t full_ns = b->per_second > 0 ? b->tokens_max * GUST_SEC / b->per_second : 0;
    int64_t gone = now - then < full_ns ? now - then : full_ns;
    int64_t units = gone > 0 ? gone * b->per_second / GUST_SEC : 0;

    if (units > 0 && atomic_compare_exchange_strong(&b->refilled, &then, now))
        atomic_fetch_add_explicit(&b->tokens, units, memory_order_relaxed);
}

bool gust__retry_budget_take(struct retry_budget *b, gust_time now)
{
    refill(b, now);
    int64_t have = atomic_load_explicit(&b->tokens, memory_order_relaxed);
    for (;;) {
        if (have < RETRY_TOKEN)
            return false;
        int64_t capped = have < b->tokens_max ? have : b->tokens_max;
        if (atomic_compare_exchange_weak_explicit(&b->tokens, &have, capped - RETRY_TOKEN,
                                                  memory_order_relaxed, memory_order_relaxed))
            return true;
    }
}
