#include "proxy/proxy.h"

#include "core/inject.h"
#include "http/syntax.h"

#include <errno.h>
#include <stdlib.h>

/* So many retries at once, before any request has gone well. */
#define RETRY_BURST 100

const char *const gust_http_balance_names[] = {
    [GUST_HTTP_ROUND_ROBIN] = "round_robin", [GUST_HTTP_LEAST_CONNECTIONS] = "least_connections",
    [GUST_HTTP_TWO_CHOICES] = "two_choices", [GUST_HTTP_CONSISTENT_HASH] = "consistent_hash",
    [GUST_HTTP_CONSISTENT_HASH + 1] = NULL,
};

const char *const gust_http_forwarding_names[] = {
    [GUST_HTTP_FORWARDING_REPLACE] = "replace",
    [GUST_HTTP_FORWARDING_APPEND] = "append",
    [GUST_HTTP_FORWARDING_NONE] = "none",
    [GUST_HTTP_FORWARDING_NONE + 1] = NULL,
};

/* --- Options ---------------------------------------------------------------------- */

static void fill_time(int64_t *ns, int64_t otherwise)
{
    if (*ns == 0)
        *ns = otherwise;
}

static void fill_number(unsigned *n, unsigned otherwise)
{
    if (*n == 0)
        *n = otherwise;
}

static void fill_or_none(unsigned *n, unsigned otherwise)
{
    fill_number(n, otherwise);
    if (*n == GUST_HTTP_PROXY_NONE)
        *n = 0;
}

static void fill_in(gust_http_proxy_options *o)
{
    fill_time(&o->connect_timeout_ns, GUST_HTTP_PROXY_CONNECT_TIMEOUT_NS);
    fill_time(&o->first_byte_timeout_ns, GUST_HTTP_PROXY_FIRST_BYTE_TIMEOUT_NS);
    fill_time(&o->idle_timeout_ns, GUST_HTTP_PROXY_IDLE_TIMEOUT_NS);
    fill_time(&o->total_timeout_ns, GUST_FOREVER);
    fill_time(&o->keep_alive_ns, GUST_HTTP_PROXY_KEEP_ALIVE_NS);
    fill_time(&o->ejection_ns, GUST_HTTP_PROXY_EJECTION_NS);
    fill_time(&o->ejection_max_ns, GUST_HTTP_PROXY_EJECTION_MAX_NS);
    fill_time(&o->check_interval_ns, GUST_HTTP_PROXY_CHECK_INTERVAL_NS);
    fill_time(&o->check_timeout_ns, GUST_HTTP_PROXY_CHECK_TIMEOUT_NS);
    fill_time(&o->resolve_ns, GUST_HTTP_PROXY_RESOLVE_NS);
    fill_number(&o->keep_alive_max, GUST_HTTP_PROXY_KEEP_ALIVE_MAX);
    fill_or_none(&o->retries, GUST_HTTP_PROXY_RETRIES);
    fill_or_none(&o->retry_percent, GUST_HTTP_PROXY_RETRY_PERCENT);
    fill_or_none(&o->retry_per_second, GUST_HTTP_PROXY_RETRY_PER_SECOND);
    fill_or_none(&o->failures_max, GUST_HTTP_PROXY_FAILURES_MAX);
    fill_number(&o->ejected_percent_max, GUST_HTTP_PROXY_EJECTED_PERCENT_MAX);
    fill_number(&o->check_rise, GUST_HTTP_PROXY_CHECK_RISE);
    fill_number(&o->check_fall, GUST_HTTP_PROXY_CHECK_FALL);
    if (o->body_bytes_max == 0)
        o->body_bytes_max = GUST_HTTP_UNLIMITED;
    if (!o->via)
        o->via = "gust";
}

static bool times_valid(const gust_http_proxy_options *o)
{
    const int64_t times[] = {
        o->connect_timeout_ns, o->first_byte_timeout_ns, o->idle_timeout_ns,
        o->total_timeout_ns,   o->keep_alive_ns,         o->ejection_ns,
        o->ejection_max_ns,    o->check_interval_ns,     o->check_timeout_ns,
        o->resolve_ns,
    };

    for (size_t i = 0; i < sizeof(times) / sizeof(*times); i++)
        if (times[i] < 0)
            return false;
    return true;
}

static bool is_token(const char *text)
{
    return text && *text && chars_prefix(text, strlen(text), CH_TOKEN) == strlen(text);
}

static bool is_target(const char *text)
{
    return text[0] == '/' && chars_prefix(text, strlen(text), CH_TARGET) == strlen(text);
}

static bool names_valid(const gust_http_proxy_options *o)
{
    if (o->host_policy == GUST_HTTP_HOST_FIXED &&
        (!o->host || !*o->host || !gust__http_host_valid(gust_span_of(o->host))))
        return false;
    if (o->balance == GUST_HTTP_CONSISTENT_HASH && o->hash_key == GUST_HTTP_HASH_HEADER &&
        !is_token(o->hash_header))
        return false;
    return (!*o->via || is_token(o->via)) && (!o->check_path || is_target(o->check_path));
}

static bool numbers_valid(const gust_http_proxy_options *o)
{
    return o->upstream_count > 0 && o->upstream_count <= GUST_HTTP_PROXY_UPSTREAMS_MAX &&
           o->retries <= GUST_HTTP_PROXY_RETRIES_MAX && o->retry_percent <= 100 &&
           o->retry_per_second <= 1000000 && o->ejected_percent_max <= 100 &&
           o->proxy_protocol >= 0 && o->proxy_protocol <= 2 &&
           o->balance <= GUST_HTTP_CONSISTENT_HASH;
}

static int check(const gust_http_proxy_options *o)
{
    if (!numbers_valid(o) || !times_valid(o) || !names_valid(o))
        return -EINVAL;
    for (size_t i = 0; i < o->upstream_count; i++) {
        if (!o->upstreams[i].url || o->upstreams[i].weight > GUST_HTTP_PROXY_WEIGHT_MAX)
            return -EINVAL;
        for (size_t j = 0; j < i; j++)
            if (strcmp(o->upstreams[i].url, o->upstreams[j].url) == 0)
                return -EINVAL;
    }
    return 0;
}

/* --- Upstreams ----------------------------------------------------------------------- */

static int open_origin(const struct proxy_config *config, struct upstream *u)
{
    const gust_http_proxy_options *o = &config->options;
    const gust_http_origin_options origin = {
        .authority = u->authority.data,
        .tls = u->tls ? o->tls : NULL,
        .conns_max = u->conns_max,
        .idle_max = o->keep_alive_max,
        .idle_timeout_ns = o->keep_alive_ns,
    };

    if (u->tls && !o->tls)
        return -EPROTONOSUPPORT;
    int r = gust_http_origin_new(config->proxy->client, &origin, &u->origin);
    if (r == 0)
        u->release = gust_http_origin_unref;
    return r;
}

/* What an origin was made with is as it was. */
static bool same_origins(const struct proxy_config *a, const struct proxy_config *b)
{
    return a->options.tls == b->options.tls &&
           a->options.keep_alive_max == b->options.keep_alive_max &&
           a->options.keep_alive_ns == b->options.keep_alive_ns;
}

static struct upstream *find(const struct proxy_config *config, const gust_http_upstream *options)
{
    for (size_t i = 0; i < config->set->count; i++)
        if (gust__upstream_matches(config->set->members[i].upstream, options))
            return config->set->members[i].upstream;
    return NULL;
}

static int make_upstream(const struct proxy_config *config, const struct proxy_config *before,
                         const gust_http_upstream *options, struct upstream **ret_upstream)
{
    struct upstream *u = before && same_origins(config, before) ? find(before, options) : NULL;

    if (u) {
        *ret_upstream = gust__upstream_own(u);
        return 0;
    }
    int r = gust__upstream_new(options, &u);
    if (r < 0)
        return r;
    r = open_origin(config, u);
    if (r < 0)
        gust__upstream_disown(u);
    else
        *ret_upstream = u;
    return r;
}

static int make_set(struct proxy_config *config, const struct proxy_config *before)
{
    const gust_http_proxy_options *o = &config->options;
    const struct health_limits limits = {o->failures_max, o->ejection_ns, o->ejection_max_ns,
                                         o->check_rise, o->check_fall};
    struct member members[GUST_HTTP_PROXY_UPSTREAMS_MAX];
    size_t n;
    int r = 0;

    for (n = 0; n < o->upstream_count; n++) {
        const gust_http_upstream *u = &o->upstreams[n];
        members[n].weight = u->weight ? u->weight : 1;
        members[n].draining = u->drain;
        r = make_upstream(config, before, u, &members[n].upstream);
        if (r < 0)
            break;
    }
    if (r == 0)
        r = gust__set_new(o->balance, &limits, members, n, &config->set);
    while (n-- > 0)
        gust__upstream_disown(members[n].upstream); /* the set owns them */
    return r;
}

/* --- Life --------------------------------------------------------------------------------- */

static int copy_string(const char **string)
{
    if (!*string)
        return 0;
    size_t size = strlen(*string) + 1;
    char *copy = gust__malloc(size);
    if (copy)
        memcpy(copy, *string, size);
    *string = copy;
    return copy ? 0 : -ENOMEM;
}

/* Those that could not be copied are NULL then. */
static int copy_strings(gust_http_proxy_options *o)
{
    int host = copy_string(&o->host), header = copy_string(&o->hash_header);
    int path = copy_string(&o->check_path);

    o->via = NULL; /* is in config->via */
    return host < 0 || header < 0 || path < 0 ? -ENOMEM : 0;
}

static void set_rules(struct proxy_config *config)
{
    const gust_http_proxy_options *o = &config->options;
    char *end = config->via;

    if (*o->via)
        end = stpcpy(stpcpy(stpcpy(end, "Via: 1.1 "), o->via), "\r\n");
    config->rules = (struct forward_rules){
        o->forwarding, o->forwarded, {config->via, (size_t)(end - config->via)}};
    config->timeouts = (gust_http_timeouts){
        .wait_ns = o->connect_timeout_ns,
        .connect_ns = o->connect_timeout_ns,
        .tls_ns = o->connect_timeout_ns,
        .send_ns = o->idle_timeout_ns,
        .head_ns = o->first_byte_timeout_ns,
        .body_ns = o->idle_timeout_ns,
        .continue_ns = GUST_HTTP_CLIENT_CONTINUE_TIMEOUT_NS,
    };
    gust__retry_budget_init(&config->budget, o->retry_percent * 10, o->retry_per_second,
                            o->retry_per_second > 0 || o->retry_percent > 0 ? RETRY_BURST : 0,
                            gust_now());
}

int gust__config_new(gust_http_proxy *proxy, const gust_http_proxy_options *options,
                     const struct proxy_config *before, struct proxy_config **ret_config)
{
    gust_http_proxy_options filled = *options;

    fill_in(&filled);
    int r = check(&filled);
    if (r < 0)
        return r;
    size_t size = sizeof(struct proxy_config) + strlen(filled.via) + sizeof("Via: 1.1 \r\n");
    struct proxy_config *config = gust__aligned_alloc(64, (size + 63) & ~(size_t)63);
    if (!config)
        return -ENOMEM;
    *config = (struct proxy_config){.proxy = proxy, .options = filled};
    set_rules(config);
    if (filled.tls)
        gust_tls_config_ref(filled.tls);
    r = copy_strings(&config->options);
    if (r == 0)
        r = gust_context_new(NULL, &config->context);
    if (r == 0)
        r = make_set(config, before);
    config->options.upstreams = NULL;
    if (r < 0)
        gust__config_free(config);
    else
        *ret_config = config;
    return r;
}

void gust__config_free(struct proxy_config *config)
{
    if (!config)
        return;
    gust__set_free(config->set);
    gust_context_unref(config->context);
    gust_tls_config_unref(config->options.tls);
    free((char *)config->options.host);
    free((char *)config->options.hash_header);
    free((char *)config->options.check_path);
    free(config);
}
