/* When requests fall due in an open loop: a list of times without an end, which depends on
 * the rate and the seed, and on nothing that is answered.  Pure. */
#ifndef GUST_LOAD_ARRIVALS_H
#define GUST_LOAD_ARRIVALS_H

#include <gust/base.h>

struct arrivals {
    double rate;     /* per second */
    bool is_poisson; /* else they come at equal distances */
    gust_time begin;
    double next_ns; /* after `begin` */
    uint64_t random;
};

/* The first is due at `begin`, or for a Poisson process a random time after it. */
void arrivals_init(struct arrivals *a, double rate, bool is_poisson, uint64_t seed,
                   gust_time begin);

/* The next one, which arrivals_take moves on from. */
static inline gust_time arrivals_due(const struct arrivals *a)
{
    return a->begin + (gust_time)a->next_ns;
}

gust_time arrivals_take(struct arrivals *a);

/* How many of those not taken fall due before `end`; of a Poisson process, how many are to be
 * expected. */
uint64_t arrivals_before(const struct arrivals *a, gust_time end);

#endif
