/* Who gets how many requests, by each policy. */
#include "tests/harness/test.h"

#include "proxy/set.h"

#include <math.h>
#include <stdio.h>

#define MEMBERS_MAX 10

/* A set of upstreams "http://0", "http://1" ..., which the test sees as well. */
struct group {
    struct proxy_set *set;
    size_t count;
    struct upstream *upstreams[MEMBERS_MAX];
    unsigned hits[MEMBERS_MAX];
    uint64_t random;
};

static const struct health_limits limits = {.failures_max = 1,
                                            .ejection_ns = 3600 * GUST_SEC,
                                            .ejection_max_ns = 3600 * GUST_SEC,
                                            .rise = 1,
                                            .fall = 1};

static void group_open(struct group *g, gust_http_balance balance, size_t count,
                       const struct member *like, unsigned requests_max)
{
    struct member members[MEMBERS_MAX];

    *g = (struct group){.count = count, .random = 1};
    for (size_t i = 0; i < count; i++) {
        char url[32];
        snprintf(url, sizeof(url), "http://%zu", i);
        const gust_http_upstream o = {.url = url, .requests_max = requests_max};
        cr_assert_eq(gust__upstream_new(&o, &g->upstreams[i]), 0);
        members[i] = like ? like[i] : (struct member){.weight = 1};
        members[i].upstream = g->upstreams[i];
    }
    cr_assert_eq(gust__set_new(balance, &limits, members, count, &g->set), 0);
}

static void group_close(struct group *g)
{
    gust__set_free(g->set);
    for (size_t i = 0; i < g->count; i++)
        gust__upstream_disown(g->upstreams[i]);
}

static enum pick_result pick(struct group *g, struct pick p, size_t *ret_index)
{
    struct upstream *u;

    g->random = g->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    p.random = g->random;
    enum pick_result r = gust__set_pick(g->set, &p, &u);
    for (size_t i = 0; r == PICK_OK && i < g->count; i++)
        if (g->upstreams[i] == u)
            *ret_index = i;
    return r;
}

/* Counts `n` requests, one after the other, with keys from 0 on. */
static void serve(struct group *g, unsigned n)
{
    memset(g->hits, 0, sizeof(g->hits));
    for (unsigned key = 0; key < n; key++) {
        size_t i;
        cr_assert_eq(pick(g, (struct pick){.key = gust__upstream_hash(&key, sizeof(key))}, &i),
                     PICK_OK);
        g->hits[i]++;
        gust__upstream_leave(g->upstreams[i]);
    }
}

static void take_down(struct group *g, size_t i)
{
    gust__health_checked(&g->upstreams[i]->health, &limits, false);
}

static void expect_near(const struct group *g, size_t i, double expected)
{
    double allowed = 5 * sqrt(expected) + 2; /* five standard deviations */

    cr_assert(fabs(g->hits[i] - expected) <= allowed, "%zu: %u instead of %.0f", i, g->hits[i],
              expected);
}

/* --- Round robin ---------------------------------------------------------------- */

Test(round_robin, turns_are_in_order_and_spread_out)
{
    const struct member weights[] = {{.weight = 5}, {.weight = 1}, {.weight = 1}};
    const char *expected = "0010200"
                           "0010200";
    struct group g;

    group_open(&g, GUST_HTTP_ROUND_ROBIN, 3, weights, 0);
    for (const char *p = expected; *p; p++) {
        size_t i = 9;
        cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_OK);
        cr_assert_eq(i, (size_t)(*p - '0'), "turn %zu", (size_t)(p - expected));
        gust__upstream_leave(g.upstreams[i]);
    }
    group_close(&g);
}

Test(round_robin, the_turns_of_one_that_is_down_go_to_all_others)
{
    struct group g;

    group_open(&g, GUST_HTTP_ROUND_ROBIN, 4, NULL, 0);
    take_down(&g, 1);
    serve(&g, 300);
    cr_assert_eq(g.hits[0], 100);
    cr_assert_eq(g.hits[1], 0);
    cr_assert_eq(g.hits[2], 100);
    cr_assert_eq(g.hits[3], 100);
    group_close(&g);
}

Test(round_robin, weights_that_need_too_many_turns_are_rounded)
{
    const struct member weights[] = {{.weight = 1000}, {.weight = 999}, {.weight = 998},
                                     {.weight = 997},  {.weight = 996}, {.weight = 1}};
    struct group g;

    group_open(&g, GUST_HTTP_ROUND_ROBIN, 6, weights, 0);
    cr_assert(g.set->turn_count <= SET_TURNS_MAX + 6);
    serve(&g, (unsigned)g.set->turn_count);
    for (size_t i = 0; i < 6; i++) {
        double share = g.set->turn_count * (double)weights[i].weight / 4991;
        cr_assert(fabs(g.hits[i] - share) <= 2, "%zu: %u instead of %.1f", i, g.hits[i], share);
    }
    group_close(&g);
}

Test(round_robin, a_common_divisor_costs_no_turns)
{
    const struct member weights[] = {{.weight = 1000}, {.weight = 500}};
    struct group g;

    group_open(&g, GUST_HTTP_ROUND_ROBIN, 2, weights, 0);
    cr_assert_eq(g.set->turn_count, 3);
    group_close(&g);
}

/* --- All policies ------------------------------------------------------------------ */

static const gust_http_balance policies[] = {GUST_HTTP_ROUND_ROBIN, GUST_HTTP_LEAST_CONNECTIONS,
                                             GUST_HTTP_TWO_CHOICES, GUST_HTTP_CONSISTENT_HASH};

#define FOR_EACH_POLICY(b) \
    for (const gust_http_balance *b = policies; b < policies + sizeof(policies) / sizeof(*b); b++)

Test(balance, one_that_drains_gets_nothing)
{
    const struct member members[] = {{.weight = 1}, {.weight = 1, .draining = true}, {.weight = 1}};

    FOR_EACH_POLICY(policy)
    {
        struct group g;
        group_open(&g, *policy, 3, members, 0);
        serve(&g, 100);
        cr_assert_eq(g.hits[1], 0);
        cr_assert_eq(g.hits[0] + g.hits[2], 100);
        cr_assert(g.hits[0] > 20 && g.hits[2] > 20);
        group_close(&g);
    }
}

Test(balance, without_anybody_there_is_nothing_to_pick)
{
    const struct member draining = {.weight = 1, .draining = true};
    size_t i;

    FOR_EACH_POLICY(policy)
    {
        struct group g;
        group_open(&g, *policy, 1, &draining, 0);
        cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_NONE);
        group_close(&g);
        group_open(&g, *policy, 2, NULL, 0);
        take_down(&g, 0);
        take_down(&g, 1);
        cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_NONE);
        group_close(&g);
    }
}

Test(balance, every_place_is_used_and_not_one_more)
{
    FOR_EACH_POLICY(policy)
    {
        struct group g;
        size_t i;
        group_open(&g, *policy, 3, NULL, 4);
        for (int n = 0; n < 12; n++)
            cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_OK, "policy %d, %d", *policy, n);
        cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_FULL);
        for (i = 0; i < 3; i++)
            cr_assert_eq(upstream_in_flight(g.upstreams[i]), 4);
        for (i = 0; i < 12; i++)
            gust__upstream_leave(g.upstreams[i % 3]);
        group_close(&g);
    }
}

Test(balance, another_one_is_tried_while_there_is_one)
{
    FOR_EACH_POLICY(policy)
    {
        struct group g;
        size_t i = 9;
        group_open(&g, *policy, 3, NULL, 0);
        struct upstream *tried[] = {g.upstreams[0], g.upstreams[2]};
        for (uint64_t key = 0; key < 50; key++) {
            cr_assert_eq(pick(&g, (struct pick){.key = key, .tried = tried, .tried_count = 2}, &i),
                         PICK_OK);
            cr_assert_eq(i, 1, "policy %d", *policy);
            gust__upstream_leave(g.upstreams[i]);
        }
        take_down(&g, 1); /* then the first ones will do */
        cr_assert_eq(pick(&g, (struct pick){.tried = tried, .tried_count = 2}, &i), PICK_OK);
        cr_assert_neq(i, 1);
        gust__upstream_leave(g.upstreams[i]);
        group_close(&g);
    }
}

/* --- Least connections, two choices --------------------------------------------------- */

static void expect_least(gust_http_balance policy)
{
    const struct member weights[] = {{.weight = 1}, {.weight = 3}};
    struct group g;
    size_t i = 9;

    group_open(&g, policy, 2, weights, 0);
    for (int n = 0; n < 40; n++)
        cr_assert_eq(pick(&g, (struct pick){0}, &i), PICK_OK);
    /* Two choices see both members nearly always. */
    unsigned first = upstream_in_flight(g.upstreams[0]);
    cr_assert(first >= 9 && first <= 12, "%u", first);
    for (unsigned n = 0; n < 40; n++)
        gust__upstream_leave(g.upstreams[n >= first]);
    group_close(&g);
}

Test(least_connections, the_load_is_even_for_the_weights)
{
    expect_least(GUST_HTTP_LEAST_CONNECTIONS);
}

Test(least_connections, equals_take_turns)
{
    struct group g;

    group_open(&g, GUST_HTTP_LEAST_CONNECTIONS, 3, NULL, 0);
    serve(&g, 300);
    for (size_t i = 0; i < 3; i++)
        cr_assert_eq(g.hits[i], 100);
    group_close(&g);
}

Test(two_choices, the_load_is_even_for_the_weights)
{
    expect_least(GUST_HTTP_TWO_CHOICES);
}

Test(two_choices, the_most_loaded_of_three_is_never_picked)
{
    struct group g;

    group_open(&g, GUST_HTTP_TWO_CHOICES, 3, NULL, 0);
    for (int n = 0; n < 5; n++)
        cr_assert(gust__upstream_enter(g.upstreams[1]));
    serve(&g, 300);
    cr_assert(g.hits[1] <= 3, "%u", g.hits[1]); /* drawn eight times in a row */
    cr_assert(g.hits[0] > 80 && g.hits[2] > 80);
    for (int n = 0; n < 5; n++)
        gust__upstream_leave(g.upstreams[1]);
    group_close(&g);
}

/* --- Consistent hash -------------------------------------------------------------------- */

static void note_owners(struct group *g, size_t *owners, unsigned n)
{
    for (unsigned key = 0; key < n; key++) {
        cr_assert_eq(
            pick(g, (struct pick){.key = gust__upstream_hash(&key, sizeof(key))}, &owners[key]),
            PICK_OK);
        gust__upstream_leave(g->upstreams[owners[key]]);
    }
}

Test(consistent_hash, keys_are_spread_by_weight)
{
    const struct member weights[] = {{.weight = 1}, {.weight = 2}, {.weight = 5}};
    struct group g;

    group_open(&g, GUST_HTTP_CONSISTENT_HASH, 3, weights, 0);
    serve(&g, 8000);
    for (size_t i = 0; i < 3; i++)
        expect_near(&g, i, 1000.0 * weights[i].weight);
    group_close(&g);
    group_open(&g, GUST_HTTP_CONSISTENT_HASH, 5, NULL, 0);
    serve(&g, 5000);
    for (size_t i = 0; i < 5; i++)
        expect_near(&g, i, 1000);
    group_close(&g);
}

Test(consistent_hash, only_the_keys_of_one_that_goes_move)
{
    size_t before[1000], after[1000];
    struct group g;

    group_open(&g, GUST_HTTP_CONSISTENT_HASH, 5, NULL, 0);
    note_owners(&g, before, 1000);
    take_down(&g, 2);
    note_owners(&g, after, 1000);
    for (int key = 0; key < 1000; key++) {
        cr_assert_neq(after[key], 2);
        cr_assert(before[key] == 2 || before[key] == after[key], "key %d", key);
        g.hits[after[key]] += before[key] == 2;
    }
    for (size_t i = 0; i < 5; i++)
        cr_assert(i == 2 || g.hits[i] > 20, "%zu got %u", i, g.hits[i]);
    group_close(&g);
}

Test(consistent_hash, a_popular_key_does_not_bury_its_owner)
{
    struct group g;
    size_t i = 9;

    group_open(&g, GUST_HTTP_CONSISTENT_HASH, 4, NULL, 0);
    for (int n = 0; n < 100; n++)
        cr_assert_eq(pick(&g, (struct pick){.key = 42}, &i), PICK_OK);
    for (i = 0; i < 4; i++) {
        cr_assert(upstream_in_flight(g.upstreams[i]) <= 32, "%zu has %u", i,
                  upstream_in_flight(g.upstreams[i])); /* 1.25 of 25, rounded up */
        while (upstream_in_flight(g.upstreams[i]) > 0)
            gust__upstream_leave(g.upstreams[i]);
    }
    group_close(&g);
}
