/* What is known of the upstreams. */
#include "proxy/proxy.h"

static gust_http_upstream_state state_of(const struct member *m, gust_time now)
{
    struct health *h = &m->upstream->health;

    if (m->draining)
        return GUST_HTTP_UPSTREAM_DRAINING;
    if (atomic_load_explicit(&h->checked_down, memory_order_relaxed))
        return GUST_HTTP_UPSTREAM_DOWN;
    return gust__health_is_ejected(h, now) ? GUST_HTTP_UPSTREAM_EJECTED : GUST_HTTP_UPSTREAM_UP;
}

const char *gust_http_upstream_state_name(gust_http_upstream_state state)
{
    switch (state) {
    case GUST_HTTP_UPSTREAM_UP: return "up";
    case GUST_HTTP_UPSTREAM_DRAINING: return "draining";
    case GUST_HTTP_UPSTREAM_EJECTED: return "ejected";
    case GUST_HTTP_UPSTREAM_DOWN: return "down";
    }
    return "unknown";
}

static uint64_t count_of(struct upstream *u, enum upstream_count which)
{
    return atomic_load_explicit(&u->counts[which], memory_order_relaxed);
}

static gust_http_upstream_stats read_member(const struct member *m, gust_time now)
{
    struct upstream *u = m->upstream;
    struct histogram_counts latency;

    gust__histogram_read(&u->latency, now, &latency);
    return (gust_http_upstream_stats){
        .url = u->url,
        .state = state_of(m, now),
        .weight = m->weight,
        .in_flight = upstream_in_flight(u),
        .requests = count_of(u, COUNT_REQUESTS),
        .responses = count_of(u, COUNT_RESPONSES),
        .failures = count_of(u, COUNT_FAILURES),
        .cut = count_of(u, COUNT_CUT),
        .retries = count_of(u, COUNT_RETRIES),
        .refused = count_of(u, COUNT_REFUSED),
        .ejections = count_of(u, COUNT_EJECTIONS),
        .p50_ns = gust__histogram_percentile(&latency, 500),
        .p90_ns = gust__histogram_percentile(&latency, 900),
        .p99_ns = gust__histogram_percentile(&latency, 990),
    };
}

void gust_http_proxy_stats_read(gust_http_proxy *proxy,
                                void (*fn)(const gust_http_upstream_stats *stats, void *arg),
                                void *arg)
{
    unsigned shard;
    uint64_t random;
    struct proxy_config *config = gust__proxy_take(proxy, &shard, &random);
    gust_time now = gust_now();

    for (size_t i = 0; i < config->set->count; i++) {
        gust_http_upstream_stats stats = read_member(&config->set->members[i], now);
        fn(&stats, arg);
    }
    current_put(&config->counted, shard);
}
