/* What is current, replaced while others take it. */
#include "tests/harness/test.h"

#include "proxy/current.h"

#include <gust/timer.h>

#include <stdlib.h>

#define TAKERS 4
#define REPLACEMENTS 200

struct play {
    struct current current;
    atomic_bool over;
    _Atomic uint64_t taken;
    gust_waitgroup done;
};

/* What is freed must not be found any more: `alive` would be another number then. */
struct thing {
    struct counted counted;
    _Atomic uint32_t alive;
};

#define ALIVE 0x600dU

static struct thing *thing_new(void)
{
    struct thing *t = aligned_alloc(64, sizeof(*t));

    CHECK(t);
    memset(t, 0, sizeof(*t));
    atomic_store(&t->alive, ALIVE);
    return t;
}

static void thing_free(struct thing *t)
{
    CHECK(gust__counted_is_unused(&t->counted));
    atomic_store(&t->alive, 0);
    free(t);
}

static void take_all_the_time(void *arg)
{
    struct play *p = arg;

    while (!atomic_load(&p->over)) {
        unsigned shard;
        uint64_t random;
        struct counted *it = gust__current_take(&p->current, &shard, &random);
        gust_yield();
        CHECK_EQ(atomic_load(&((struct thing *)it)->alive), ALIVE);
        current_put(it, shard);
        atomic_fetch_add(&p->taken, 1);
    }
    gust_waitgroup_done(&p->done);
}

static int replace_and_take(void *arg)
{
    static struct play p;

    (void)arg;
    gust__current_init(&p.current, &thing_new()->counted);
    gust_waitgroup_add(&p.done, TAKERS);
    for (int i = 0; i < TAKERS; i++)
        CHECK_EQ(gust_go(take_all_the_time, &p), 0);
    for (int i = 0; i < REPLACEMENTS; i++) {
        uint64_t before = atomic_load(&p.taken);
        struct counted *old = gust__current_replace(&p.current, &thing_new()->counted);
        while (!gust__counted_is_unused(old) || atomic_load(&p.taken) == before)
            gust_yield();
        thing_free((struct thing *)old);
    }
    atomic_store(&p.over, true);
    CHECK_EQ(gust_waitgroup_wait(&p.done, gust_after(20 * GUST_SEC)), 0);
    thing_free((struct thing *)gust__current_replace(&p.current, NULL));
    return 0;
}

Test(current, is_replaced_under_those_who_take_it)
{
    test_run_without_leaks(replace_and_take, NULL);
}

static int count_users(void *arg)
{
    static struct current c;
    unsigned a, b;
    uint64_t random;

    (void)arg;
    struct thing *t = thing_new();
    gust__current_init(&c, &t->counted);
    CHECK_EQ(gust__current_take(&c, &a, &random), &t->counted);
    CHECK_EQ(gust__current_take(&c, &b, &random), &t->counted);
    current_put(&t->counted, a);
    CHECK(!gust__counted_is_unused(&t->counted));
    current_put(&t->counted, b);
    thing_free(t);
    return 0;
}

Test(current, knows_whether_it_is_used)
{
    test_run(count_users, NULL);
}
