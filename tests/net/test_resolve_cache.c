/* The cache of answers: its two bounds, age and number, at N, N + 1 and 0. */
#include <stdio.h>
#include <stdlib.h>

#include "net/resolve.h"
#include "tests/harness/test.h"

static gust__cache cache;

static gust__question question(const char *host)
{
    return (gust__question){.host = host, .service = "80", .socktype = SOCK_STREAM};
}

static void put(const char *host, gust_time now)
{
    gust_addrs *addrs = calloc(1, sizeof *addrs + sizeof addrs->list[0]);
    gust__question q = question(host);
    addrs->count = 1;
    addrs->list[0].len = (socklen_t)now;
    gust__cache_put(&cache, &q, addrs, now);
    free(addrs);
}

/* When the answer was put; -1: there is none. */
static int64_t get(const char *host, gust_time now)
{
    gust__question q = question(host);
    const gust_addrs *addrs = gust__cache_get(&cache, &q, now);
    return addrs ? (int64_t)addrs->list[0].len : -1;
}

Test(resolve_cache, keeps_an_answer_for_its_time)
{
    gust__cache_setup(&cache, 100, 10);
    put("a", 1000);
    cr_assert_eq(get("a", 1000), 1000);
    cr_assert_eq(get("a", 1099), 1000);
    cr_assert_eq(get("a", 1100), -1);
    cr_assert_eq(cache.count, 0);
    gust__cache_setup(&cache, 0, 0);
}

Test(resolve_cache, keeps_the_newest)
{
    char host[16];
    gust__cache_setup(&cache, 1000, 3);
    for (int i = 0; i < 3; i++) {
        snprintf(host, sizeof host, "h%d", i);
        put(host, i);
    }
    cr_assert_eq(get("h0", 3), 0);
    put("h3", 3);
    cr_assert_eq(cache.count, 3);
    cr_assert_eq(get("h0", 3), -1);
    cr_assert_eq(get("h1", 3), 1);
    cr_assert_eq(get("h3", 3), 3);
    put("h1", 4); /* once more: the former is young enough */
    cr_assert_eq(cache.count, 3);
    cr_assert_eq(get("h1", 4), 1);
    cr_assert_eq(get("h2", 4), 2);
    gust__cache_setup(&cache, 0, 0);
}

Test(resolve_cache, keeps_nothing_by_default)
{
    gust__cache_setup(&cache, 0, 10);
    put("a", 1);
    cr_assert_eq(get("a", 1), -1);
}

Test(resolve_cache, time_does_not_overflow)
{
    gust__cache_setup(&cache, GUST_FOREVER, 10);
    put("a", 1000);
    cr_assert_eq(get("a", GUST_FOREVER - 1), 1000);
    gust__cache_setup(&cache, GUST_FOREVER, 10);
    cr_assert_eq(get("a", 1000), -1);
    cr_assert_eq(cache.count, 0);
}

Test(resolve_cache, tells_questions_apart)
{
    gust__question q = question("Host"), same = question("hOST"), other;
    gust_addrs *addrs = calloc(1, sizeof *addrs + sizeof addrs->list[0]);
    addrs->count = 1;
    gust__cache_setup(&cache, 100, 10);
    gust__cache_put(&cache, &q, addrs, 0);
    cr_assert(gust__cache_get(&cache, &same, 0));
    other = (same.service = "81", same);
    cr_assert(!gust__cache_get(&cache, &other, 0));
    other = (q.family = AF_INET, q);
    cr_assert(!gust__cache_get(&cache, &other, 0));
    other = question("Host"), other.socktype = SOCK_DGRAM;
    cr_assert(!gust__cache_get(&cache, &other, 0));
    other = question("Host"), other.flags = AI_PASSIVE;
    cr_assert(!gust__cache_get(&cache, &other, 0));
    other = question("Hosts");
    cr_assert(!gust__cache_get(&cache, &other, 0));
    gust__cache_setup(&cache, 0, 0);
    free(addrs);
}

/* More than there are buckets. */
Test(resolve_cache, holds_many)
{
    char host[16];
    gust__cache_setup(&cache, 10000, 1000);
    for (int i = 0; i < 1500; i++) {
        snprintf(host, sizeof host, "host%d", i);
        put(host, i);
    }
    cr_assert_eq(cache.count, 1000);
    for (int i = 0; i < 1500; i++) {
        snprintf(host, sizeof host, "host%d", i);
        cr_assert_eq(get(host, 1500), i < 500 ? -1 : i);
    }
    gust__cache_setup(&cache, 0, 0);
}
