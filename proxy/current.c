#include "proxy/set.h"

#include <sched.h>

void gust__current_init(struct proxy_current *c, struct proxy_set *set)
{
    for (unsigned i = 0; i < CURRENT_SHARDS; i++)
        c->shards[i] = (struct current_shard){
            .set = set,
            .random = (uint64_t)gust_now() * 2 + 1 + ((uint64_t)i << 48),
        };
}

struct proxy_set *gust__current_replace(struct proxy_current *c, struct proxy_set *set)
{
    struct proxy_set *before = c->shards[0].set; /* only we change it */

    for (unsigned i = 0; i < CURRENT_SHARDS; i++) {
        gust_mutex_lock(&c->shards[i].mutex);
        c->shards[i].set = set;
        gust_mutex_unlock(&c->shards[i].mutex);
    }
    return before;
}

static uint64_t next_random(struct current_shard *s)
{
    s->random = s->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return s->random;
}

enum pick_result gust__current_pick(struct proxy_current *c, struct pick pick,
                                    struct upstream **ret_upstream)
{
    int cpu = sched_getcpu();
    struct current_shard *s = &c->shards[cpu < 0 ? 0 : (unsigned)cpu % CURRENT_SHARDS];

    gust_mutex_lock(&s->mutex);
    pick.random = next_random(s);
    enum pick_result r = gust__set_pick(s->set, &pick, ret_upstream);
    gust_mutex_unlock(&s->mutex);
    return r;
}
