/* xorshift64*: enough for choosing among targets and for gaps between requests. */
#ifndef GUST_LOAD_RANDOM_H
#define GUST_LOAD_RANDOM_H

#include <stdint.h>

/* A state from any seed: splitmix64, so that neighbouring seeds have nothing in common. */
static inline uint64_t random_seeded(uint64_t seed)
{
    seed += UINT64_C(0x9e3779b97f4a7c15);
    seed = (seed ^ (seed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    seed = (seed ^ (seed >> 27)) * UINT64_C(0x94d049bb133111eb);
    seed ^= seed >> 31;
    return seed ? seed : 1;
}

static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/* Above 0, up to 1. */
static inline double random_part(uint64_t *state)
{
    return ((double)(random_next(state) >> 11) + 1) / 9007199254740992.0;
}

#endif
