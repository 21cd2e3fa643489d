#include "proxy/current.h"

#include <sched.h>

void gust__current_init(struct current *c, struct counted *first)
{
    for (unsigned i = 0; i < CURRENT_SHARDS; i++)
        c->shards[i] = (struct current_shard){
            .current = first,
            .random = (uint64_t)gust_now() * 2 + 1 + ((uint64_t)i << 48),
        };
}

struct counted *gust__current_replace(struct current *c, struct counted *next)
{
    struct counted *before = c->shards[0].current; /* only we change it */

    for (unsigned i = 0; i < CURRENT_SHARDS; i++) {
        gust_mutex_lock(&c->shards[i].mutex);
        c->shards[i].current = next;
        gust_mutex_unlock(&c->shards[i].mutex);
    }
    return before;
}

static uint64_t next_random(struct current_shard *s)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return s->random;
}

struct counted *gust__current_take(struct current *c, unsigned *ret_shard, uint64_t *ret_random)
{
    int cpu = sched_getcpu();
    unsigned shard = cpu < 0 ? 0 : (unsigned)cpu % CURRENT_SHARDS;
    struct current_shard *s = &c->shards[shard];

    gust_mutex_lock(&s->mutex);
    struct counted *it = s->current;
    *ret_random = next_random(s);
    atomic_fetch_add_explicit(&it->users[shard].count, 1, memory_order_relaxed);
    gust_mutex_unlock(&s->mutex);
    *ret_shard = shard;
    return it;
}

bool gust__counted_is_unused(struct counted *it)
{
    for (unsigned i = 0; i < CURRENT_SHARDS; i++)
        if (atomic_load_explicit(&it->users[i].count, memory_order_acquire) > 0)
            return false;
    return true;
}
