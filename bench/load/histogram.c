#include "bench/load/histogram.h"

#include <math.h>

static int64_t in_range(int64_t ns)
{
    return ns < 0 ? 0 : ns > HISTOGRAM_MAX_NS ? HISTOGRAM_MAX_NS : ns;
}

static int64_t bucket_end(unsigned bucket)
{
    return (int64_t)log_linear_end(bucket, HISTOGRAM_BITS);
}

static int64_t bucket_middle(unsigned bucket)
{
    int64_t begin = bucket == 0 ? 0 : bucket_end(bucket - 1) + 1;
    return begin + (bucket_end(bucket) - begin) / 2;
}

void histogram_add(struct histogram *h, int64_t ns)
{
    ns = in_range(ns);
    unsigned bucket = log_linear_bucket((uint64_t)ns, HISTOGRAM_BITS);
    atomic_fetch_add_explicit(&h->counts[bucket], 1, memory_order_relaxed);
    int64_t max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
    while (ns > max && !atomic_compare_exchange_weak_explicit(
                           &h->max_ns, &max, ns, memory_order_relaxed, memory_order_relaxed))
        continue;
}

void counts_add(struct counts *c, struct histogram *h)
{
    int64_t max = atomic_load_explicit(&h->max_ns, memory_order_relaxed);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint64_t n = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
        c->counts[i] += n;
        c->total += n;
    }
    if (max > c->max_ns)
        c->max_ns = max;
}

void counts_since(const struct counts *now, const struct counts *before, struct counts *ret_counts)
{
    *ret_counts = (struct counts){.total = now->total - before->total};
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        ret_counts->counts[i] = now->counts[i] - before->counts[i];
        if (ret_counts->counts[i] > 0)
            ret_counts->max_ns = bucket_end(i);
    }
    if (ret_counts->max_ns > now->max_ns)
        ret_counts->max_ns = now->max_ns;
}

int64_t counts_percentile(const struct counts *c, double percent)
{
    uint64_t rank = (uint64_t)ceil((double)c->total * percent / 100);
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += c->counts[i];
        if (seen > 0 && seen >= rank)
            return bucket_end(i) < c->max_ns ? bucket_end(i) : c->max_ns;
    }
    return c->max_ns;
}

int64_t counts_mean(const struct counts *c)
{
    double sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        sum += (double)c->counts[i] * (double)bucket_middle(i);
    return c->total > 0 ? (int64_t)(sum / (double)c->total) : 0;
}

uint64_t counts_up_to(const struct counts *c, int64_t ns)
{
    uint64_t seen = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && bucket_end(i) <= ns; i++)
        seen += c->counts[i];
    return seen;
}
