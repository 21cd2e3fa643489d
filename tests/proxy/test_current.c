/* The set of the moment, replaced while others pick from it. */
#include "tests/harness/test.h"

#include "proxy/set.h"

#include <gust/timer.h>

#define PICKERS 4
#define REPLACEMENTS 200

struct play {
    struct proxy_current current;
    struct upstream *upstreams[2];
    atomic_bool over;
    _Atomic uint64_t picked;
    gust_waitgroup done;
};

static const struct health_limits limits = {.failures_max = 0};

static struct proxy_set *set_of(struct upstream *u)
{
    const struct member m = {.upstream = u, .weight = 1};
    struct proxy_set *set;

    CHECK_EQ(gust__set_new(GUST_HTTP_ROUND_ROBIN, &limits, &m, 1, &set), 0);
    return set;
}

static void pick_all_the_time(void *arg)
{
    struct play *p = arg;
    struct upstream *u;

    while (!atomic_load(&p->over)) {
        CHECK_EQ(gust__current_pick(&p->current, (struct pick){0}, &u), PICK_OK);
        CHECK(u == p->upstreams[0] || u == p->upstreams[1]);
        atomic_fetch_add(&p->picked, 1);
        gust__upstream_leave(u);
        gust_yield();
    }
    gust_waitgroup_done(&p->done);
}

static int replace_and_pick(void *arg)
{
    static struct play p;

    (void)arg;
    CHECK_EQ(gust__upstream_new(&(gust_http_upstream){.url = "http://a"}, &p.upstreams[0]), 0);
    CHECK_EQ(gust__upstream_new(&(gust_http_upstream){.url = "http://b"}, &p.upstreams[1]), 0);
    gust__current_init(&p.current, set_of(p.upstreams[0]));
    gust_waitgroup_add(&p.done, PICKERS);
    for (int i = 0; i < PICKERS; i++)
        CHECK_EQ(gust_go(pick_all_the_time, &p), 0);
    for (int i = 1; i <= REPLACEMENTS; i++) {
        uint64_t before = atomic_load(&p.picked);
        gust__set_free(gust__current_replace(&p.current, set_of(p.upstreams[i & 1])));
        while (atomic_load(&p.picked) == before)
            gust_yield();
    }
    atomic_store(&p.over, true);
    CHECK_EQ(gust_waitgroup_wait(&p.done, gust_after(20 * GUST_SEC)), 0);
    gust__set_free(gust__current_replace(&p.current, NULL));
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(upstream_in_flight(p.upstreams[i]), 0);
        gust__upstream_disown(p.upstreams[i]);
    }
    return 0;
}

Test(current, a_set_is_replaced_under_those_who_pick)
{
    test_run_without_leaks(replace_and_pick, NULL);
}
