#include "bench/load/arrivals.h"

#include "bench/load/random.h"

#include <math.h>

/* Times between the events of a Poisson process are exponentially distributed.  Fractions of
 * a nanosecond count: without them a high rate would be off. */
static void step(struct arrivals *a)
{
    double gap_ns = (double)GUST_SEC / a->rate;
    a->next_ns += a->is_poisson ? -log(random_part(&a->random)) * gap_ns : gap_ns;
}

void arrivals_init(struct arrivals *a, double rate, bool is_poisson, uint64_t seed, gust_time begin)
{
    *a = (struct arrivals){
        .rate = rate, .is_poisson = is_poisson, .begin = begin, .random = random_seeded(seed)};
    if (is_poisson)
        step(a);
}

gust_time arrivals_take(struct arrivals *a)
{
    gust_time due = arrivals_due(a);
    step(a);
    return due;
}

uint64_t arrivals_before(const struct arrivals *a, gust_time end)
{
    double left_ns = (double)(end - a->begin) - a->next_ns;
    return left_ns > 0 ? (uint64_t)ceil(left_ns * a->rate / (double)GUST_SEC) : 0;
}
