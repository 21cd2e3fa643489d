#include "proxy/health.h"

#define DOUBLINGS_MAX 20

/* After its time: on trial.  One of those who find that out makes the change. */
bool gust__health_returns(struct health *h, const struct health_limits *limits, gust_time now)
{
    gust_time until = atomic_load_explicit(&h->ejected_until, memory_order_relaxed);

    if (until == 0)
        return true;
    if (now < until)
        return false;
    uint32_t trial = limits->failures_max > 0 ? limits->failures_max - 1 : 0;
    if (atomic_compare_exchange_strong(&h->ejected_until, &until, 0))
        atomic_store_explicit(&h->failures, trial, memory_order_relaxed);
    return true;
}

bool gust__health_failure(struct health *h, const struct health_limits *limits)
{
    if (limits->failures_max == 0)
        return false;
    uint32_t failures = 1 + atomic_fetch_add_explicit(&h->failures, 1, memory_order_relaxed);
    return failures >= limits->failures_max;
}

/* An ejection is forgiven for each ejection_ns that has gone well since the last. */
static void forgive(struct health *h, const struct health_limits *limits, gust_time now)
{
    int64_t well = h->returned && now > h->returned ? (now - h->returned) / limits->ejection_ns : 0;

    h->ejections = well < h->ejections ? h->ejections - (uint32_t)well : 0;
}

static int64_t next_ejection_ns(const struct health *h, const struct health_limits *limits)
{
    int64_t ns = limits->ejection_ns;

    for (uint32_t i = 0; i < h->ejections && i < DOUBLINGS_MAX && ns < limits->ejection_max_ns; i++)
        ns *= 2;
    return ns < limits->ejection_max_ns ? ns : limits->ejection_max_ns;
}

void gust__health_eject(struct health *h, const struct health_limits *limits, gust_time now)
{
    if (gust__health_is_ejected(h, now))
        return;
    forgive(h, limits, now);
    h->returned = now + next_ejection_ns(h, limits);
    h->ejections++;
    atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    atomic_store_explicit(&h->ejected_until, h->returned, memory_order_relaxed);
}

bool gust__health_is_ejected(struct health *h, gust_time now)
{
    return atomic_load_explicit(&h->ejected_until, memory_order_relaxed) > now;
}

bool gust__health_checked(struct health *h, const struct health_limits *limits, bool success)
{
    bool down = atomic_load_explicit(&h->checked_down, memory_order_relaxed);

    h->rises = success ? h->rises + 1 : 0;
    h->falls = success ? 0 : h->falls + 1;
    if (down ? h->rises < limits->rise : h->falls < limits->fall)
        return false;
    if (down) {
        atomic_store_explicit(&h->ejected_until, 0, memory_order_relaxed);
        atomic_store_explicit(&h->failures, 0, memory_order_relaxed);
    }
    atomic_store_explicit(&h->checked_down, !down, memory_order_relaxed);
    return true;
}
