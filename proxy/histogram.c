#include "proxy/histogram.h"

static unsigned bucket_of(uint64_t us)
{
    return log_linear_bucket(us > HISTOGRAM_MAX_US ? HISTOGRAM_MAX_US : us, HISTOGRAM_BITS);
}

static void clear(struct histogram_window *w)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        atomic_store_explicit(&w->counts[i], 0, memory_order_relaxed);
}

/* Whoever finds the window over begins the next one.  After a long silence what both hold
 * is old. */
static void turn(struct histogram *h, gust_time ends, gust_time now)
{
    if (!atomic_compare_exchange_strong(&h->window_ends, &ends, now + HISTOGRAM_WINDOW_NS))
        return;
    unsigned filling = atomic_load_explicit(&h->filling, memory_order_relaxed);
    clear(&h->windows[!filling]);
    if (now - ends >= HISTOGRAM_WINDOW_NS)
        clear(&h->windows[filling]);
    atomic_store_explicit(&h->filling, !filling, memory_order_relaxed);
}

static void turn_if_over(struct histogram *h, gust_time now)
{
    gust_time ends = atomic_load_explicit(&h->window_ends, memory_order_relaxed);

    if (now >= ends)
        turn(h, ends, now);
}

void gust__histogram_add(struct histogram *h, int64_t ns, gust_time now)
{
    turn_if_over(h, now);
    struct histogram_window *w =
        &h->windows[atomic_load_explicit(&h->filling, memory_order_relaxed)];
    unsigned bucket = bucket_of(ns > 0 ? (uint64_t)ns / 1000 : 0);
    atomic_fetch_add_explicit(&w->counts[bucket], 1, memory_order_relaxed);
}

void gust__histogram_read(struct histogram *h, gust_time now, struct histogram_counts *ret_counts)
{
    turn_if_over(h, now);
    ret_counts->total = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        ret_counts->counts[i] = 0;
        for (int w = 0; w < 2; w++)
            ret_counts->counts[i] +=
                atomic_load_explicit(&h->windows[w].counts[i], memory_order_relaxed);
        ret_counts->total += ret_counts->counts[i];
    }
}

int64_t gust__histogram_percentile(const struct histogram_counts *counts, unsigned per_mille)
{
    uint64_t rank = (counts->total * per_mille + 999) / 1000;
    uint64_t seen = 0;

    if (counts->total == 0)
        return 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if ((seen += counts->counts[i]) >= rank && seen > 0)
            return (int64_t)log_linear_end(i, HISTOGRAM_BITS) * 1000;
    return 0;
}
