/* Statistics: sums over the counters that Ps and the scheduler keep.
 *
 * A counter has one writer, which adds to it with plain relaxed stores, or is
 * changed rarely enough for a fetch_add; readers take what they find. */
#include <gust/debug.h>

#include "core/proc.h"

static uint64_t value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static unsigned bucket_of(int64_t ns)
{
    unsigned i = ns > 1 ? 63U - (unsigned)__builtin_clzll((unsigned long long)ns) : 0;
    return i < GUST_RUN_DELAY_BUCKETS ? i : GUST_RUN_DELAY_BUCKETS - 1;
}

void gust__run_delay_record(P *p, G *g)
{
    gust__count(&p->run_delay[bucket_of(gust_now() - g->ready_at)]);
    g->ready_at = 0;
}

static void add_p(gust_stats *s, const P *p)
{
    s->spawns += value(&p->spawned);
    s->steals += value(&p->steals);
    s->spins += value(&p->spins);
    s->sleeps += value(&p->sleeps);
    for (int i = 0; i < GUST_RUN_DELAY_BUCKETS; i++)
        s->run_delay[i] += value(&p->run_delay[i]);
}

void gust_stats_read(gust_stats *ret_stats)
{
    gust_stats s = {0};
    if (sched.nprocs > 0) {
        s.wakes = value(&sched.wakes);
        s.retakes = value(&sched.retakes);
        s.demotions = value(&sched.demotions);
        s.preemptions = value(&sched.preemptions);
        s.threads = atomic_load_explicit(&sched.nm, memory_order_relaxed);
        s.handoffs = s.retakes + s.demotions;
    }
    for (int i = 0; i < sched.nprocs; i++)
        add_p(&s, &sched.allp[i]);
    *ret_stats = s;
}

int64_t gust_stats_run_delay_quantile(const gust_stats *stats, double q)
{
    uint64_t total = 0, below = 0;
    for (int i = 0; i < GUST_RUN_DELAY_BUCKETS; i++)
        total += stats->run_delay[i];
    if (total == 0)
        return 0;
    for (int i = 0; i < GUST_RUN_DELAY_BUCKETS; i++) {
        below += stats->run_delay[i];
        if (below > 0 && (double)below >= q * (double)total)
            return INT64_C(2) << i;
    }
    return INT64_C(2) << (GUST_RUN_DELAY_BUCKETS - 1);
}
