/* Pools give back what was put, once; they make and free outside of themselves,
 * and keep within their bound. */
#include "core/proc.h"
#include "tests/core/waiters.h"

struct item {
    _Atomic bool in_use;
    int number;
    struct item *next; /* a list of the test's own */
};

struct shop {
    gust_pool *pool;
    gust_waitgroup group;
    _Atomic uint64_t seed;
    _Atomic int made, freed;
};

static void *item_make(void *arg)
{
    struct shop *s = arg;
    struct item *item = calloc(1, sizeof *item);
    item->number = ++s->made;
    return item;
}

static void item_free(void *item, void *arg)
{
    struct shop *s = arg;
    CHECK(!((struct item *)item)->in_use);
    s->freed++;
    free(item);
}

static void shop_open(struct shop *s, size_t max_per_p)
{
    gust_pool_options options = {item_make, item_free, s, max_per_p};
    *s = (struct shop){.pool = NULL};
    CHECK_EQ(gust_pool_new(&options, &s->pool), 0);
}

/* Everything that was made is in the pool now. */
static void shop_close(struct shop *s)
{
    gust_pool_free(s->pool);
    CHECK_EQ(s->freed, s->made);
}

static int current_p(void)
{
    GUST__CALL();
    return gust__m()->p->id;
}

/* --- One P: there the order and the bound are certain --------------------------------- */

static int lifo_main(void *arg)
{
    struct shop s;
    struct item *items[5];
    (void)arg;
    shop_open(&s, 0);
    for (int i = 0; i < 5; i++)
        items[i] = gust_pool_get(s.pool);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(items[i]->number, i + 1);
    for (int i = 0; i < 5; i++)
        gust_pool_put(s.pool, items[i]);
    for (int i = 4; i >= 0; i--)
        CHECK(gust_pool_get(s.pool) == items[i]);
    for (int i = 0; i < 5; i++)
        gust_pool_put(s.pool, items[i]);
    shop_close(&s);
    return 0;
}

Test(pool, last_in_first_out)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(lifo_main, NULL);
}

/* Go's TestPool and TestPoolNew. */
static int empty_main(void *arg)
{
    gust_pool *pool = NULL;
    gust_pool_options none = {.max_per_p = 2};
    struct shop s;
    (void)arg;
    CHECK_EQ(gust_pool_new(&none, &pool), 0);
    CHECK(!gust_pool_get(pool));
    gust_pool_put(pool, NULL);
    CHECK(!gust_pool_get(pool));
    gust_pool_put(pool, malloc(1)); /* freed by free(3), with the pool */
    gust_pool_free(pool);
    gust_pool_free(NULL);
    shop_open(&s, 0);
    free(gust_pool_get(s.pool));
    free(gust_pool_get(s.pool));
    CHECK_EQ(s.made, 2);
    gust_pool_free(s.pool);
    CHECK_EQ(s.freed, 0);
    return 0;
}

Test(pool, an_empty_one_makes_an_item_or_gives_none)
{
    test_run(empty_main, NULL);
}

static int options_main(void *arg)
{
    gust_pool *pool = NULL;
    gust_pool_options most = {.max_per_p = 1u << 20}, more = {.max_per_p = (1u << 20) + 1};
    (void)arg;
    CHECK_EQ(gust_pool_new(&more, &pool), -EINVAL);
    CHECK(!pool);
    CHECK_EQ(gust_pool_new(&most, &pool), 0);
    gust_pool_free(pool);
    return 0;
}

Test(pool, the_bound_has_a_bound)
{
    test_run(options_main, NULL);
}

static int bound_main(void *arg)
{
    size_t bound = *(size_t *)arg, puts = bound + 1;
    struct item *items = NULL;
    struct shop s;
    shop_open(&s, bound);
    for (size_t i = 0; i < puts; i++) {
        struct item *item = gust_pool_get(s.pool);
        item->next = items;
        items = item;
    }
    for (size_t i = 0; i < puts; i++) {
        struct item *item = items;
        items = item->next;
        CHECK_EQ(s.freed, 0);
        gust_pool_put(s.pool, item);
    }
    CHECK_EQ(s.freed, 1); /* the last one put */
    shop_close(&s);
    return 0;
}

Test(pool, what_is_put_beyond_the_bound_is_freed)
{
    size_t bounds[] = {1, 2, 64};
    setenv("GUST_MAXPROCS", "1", 1);
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
        test_run(bound_main, &bounds[i]);
}

/* --- Several Ps ------------------------------------------------------------------------ */

/* Runs on while others want to: so that two of these are on two Ps. */
struct thief {
    struct shop shop;
    _Atomic int here, there; /* Ps; -1: not known yet */
    _Atomic bool filled, over;
};

static void spin_until(_Atomic bool *flag)
{
    while (!*flag)
        gust__cpu_relax();
}

static void fill(void *arg)
{
    struct thief *t = arg;
    struct item *items[8];
    for (int i = 0; i < 8; i++)
        items[i] = gust_pool_get(t->shop.pool);
    t->there = current_p();
    for (int i = 0; i < 8; i++)
        gust_pool_put(t->shop.pool, items[i]);
    if (current_p() != t->there)
        t->there = -1; /* moved: this round says nothing */
    t->filled = true;
    spin_until(&t->over);
    gust_waitgroup_done(&t->shop.group);
}

/* Returns true if the two were on different Ps, and so the items were stolen. */
static bool steal_round(void)
{
    struct thief t = {.there = -1};
    shop_open(&t.shop, 0);
    gust_waitgroup_add(&t.shop.group, 1);
    go(fill, &t);
    spin_until(&t.filled);
    int here = current_p();
    struct item *items[8];
    for (int i = 0; i < 8; i++)
        items[i] = gust_pool_get(t.shop.pool);
    bool apart = t.there >= 0 && here != t.there && current_p() == here;
    /* All but the one that was put there last. */
    CHECK(!apart || t.shop.made == 9);
    t.over = true;
    CHECK_EQ(gust_waitgroup_wait(&t.shop.group, SOON), 0);
    for (int i = 0; i < 8; i++)
        gust_pool_put(t.shop.pool, items[i]);
    shop_close(&t.shop);
    return apart;
}

static int steal_main(void *arg)
{
    (void)arg;
    AWAIT(steal_round());
    return 0;
}

Test(pool, an_empty_p_takes_from_the_others)
{
    setenv("GUST_MAXPROCS", "2", 1);
    test_run(steal_main, NULL);
}

/* make and free may do what a goroutine may: they run in no call of ours. */
static void *slow_make(void *arg)
{
    CHECK_EQ(gust__m()->marks.depth, 0);
    gust_yield();
    return item_make(arg);
}

static void slow_free(void *item, void *arg)
{
    CHECK_EQ(gust__m()->marks.depth, 0);
    gust_yield();
    item_free(item, arg);
}

static int outside_main(void *arg)
{
    struct shop s = {.pool = NULL};
    gust_pool_options options = {slow_make, slow_free, &s, 1};
    (void)arg;
    CHECK_EQ(gust_pool_new(&options, &s.pool), 0);
    for (int i = 0; i < 10; i++) {
        struct item *a = gust_pool_get(s.pool), *b = gust_pool_get(s.pool);
        gust_pool_put(s.pool, a);
        gust_pool_put(s.pool, b);
    }
    CHECK(s.freed > 0 || sched.nprocs > 1);
    shop_close(&s);
    return 0;
}

Test(pool, make_and_free_may_park)
{
    test_run(outside_main, NULL);
}

/* --- Stress: Go's TestPoolStress, and that no item has two owners ------------------------- */

enum { HELD_MAX = 6 };

static void item_hold(struct item *item)
{
    CHECK(!atomic_exchange(&item->in_use, true));
    item->next = NULL; /* plain: the put is before the get */
}

static void item_give(struct shop *s, struct item *item)
{
    item->in_use = false;
    gust_pool_put(s->pool, item);
}

static void trade(void *arg)
{
    struct shop *s = arg;
    uint64_t rand = atomic_fetch_add(&s->seed, 1) << 32;
    struct item *held[HELD_MAX];
    size_t count = 0;
    for (int i = 0; i < 3000; i++) {
        if (count < HELD_MAX && (count == 0 || test_rand(&rand) % 2)) {
            held[count] = gust_pool_get(s->pool);
            item_hold(held[count++]);
        } else {
            item_give(s, held[--count]);
        }
        switch (test_rand(&rand) % 64) {
        case 0: gust_sleep((int64_t)(test_rand(&rand) % 30) * GUST_US); break;
        case 1: gust_yield(); break;
        default: break;
        }
    }
    while (count > 0)
        item_give(s, held[--count]);
    gust_waitgroup_done(&s->group);
}

static int trade_main(void *arg)
{
    struct shop s;
    shop_open(&s, 4);
    s.seed = *(uint64_t *)arg;
    gust_waitgroup_add(&s.group, 12);
    for (int i = 0; i < 12; i++)
        go(trade, &s);
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    CHECK(s.made >= 1);
    CHECK(s.made - s.freed <= 4 * sched.nprocs);
    shop_close(&s);
    return 0;
}

Test(pool, an_item_has_one_owner_at_a_time)
{
    uint64_t seed = test_seed();
    test_run(trade_main, &seed);
}
