/* The configuration of the moment, and who uses which.
 *
 * A request uses one configuration from its begin to its end, also if another one has taken
 * its place meanwhile.  Users are counted per CPU, roughly, so that no two CPUs write to the
 * same line for each request: who takes the current configuration holds the mutex of its
 * CPU's shard for that moment; who replaces it takes all these mutexes one after the other,
 * and after that nobody comes to the old one any more. */
#ifndef GUST_PROXY_CURRENT_H
#define GUST_PROXY_CURRENT_H

#include <gust/sync.h>

#include <stdatomic.h>

#define CURRENT_SHARDS 16

struct user_count {
    _Alignas(64) _Atomic uint64_t count;
};

/* The beginning of what is taken and replaced. */
struct counted {
    struct user_count users[CURRENT_SHARDS];
};

struct current_shard {
    _Alignas(64) gust_mutex mutex;
    struct counted *current;
    uint64_t random;
};

struct current {
    struct current_shard shards[CURRENT_SHARDS];
};

void gust__current_init(struct current *c, struct counted *first);

/* Returns what was current before.  By one at a time. */
struct counted *gust__current_replace(struct current *c, struct counted *next);

/* Takes what is current; *ret_shard is for the put.  *ret_random is a random number. */
struct counted *gust__current_take(struct current *c, unsigned *ret_shard, uint64_t *ret_random);

static inline void current_put(struct counted *it, unsigned shard)
{
    /* Release: pairs with the acquire in gust__counted_is_unused. */
    atomic_fetch_sub_explicit(&it->users[shard].count, 1, memory_order_release);
}

/* True if nobody uses it: for good, if it is not current. */
bool gust__counted_is_unused(struct counted *it);

#endif
