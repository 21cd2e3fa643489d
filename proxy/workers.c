/* What goes on beside the requests: an upstream is checked, a name is looked up again.  A
 * goroutine for each, under the context of its configuration, which it uses meanwhile. */
#include "proxy/proxy.h"

#include "core/inject.h"

#include <gust/resolve.h>
#include <gust/runtime.h>
#include <gust/timer.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

struct worker {
    struct proxy_config *config;
    struct upstream *upstream; /* owned */
};

/* By one that is going to return. */
static void worker_end(struct worker *w)
{
    gust_http_proxy *proxy = w->config->proxy;

    gust__upstream_disown(w->upstream);
    current_put(&w->config->counted, 0);
    free(w);
    gust_waitgroup_done(&proxy->workers);
}

/* --- Checks --------------------------------------------------------------------------- */

/* Connections of its own: those of requests may all be taken, and show only that old ones
 * work.  Errors: as gust_http_origin_new. */
static int open_check(const struct worker *w, gust_http_origin **ret_origin)
{
    const gust_http_origin_options options = {
        .authority = w->upstream->authority.data,
        .tls = w->upstream->tls ? w->config->options.tls : NULL,
        .idle_max = GUST_HTTP_CLIENT_NO_IDLE,
    };

    return gust_http_origin_new(w->config->proxy->client, &options, ret_origin);
}

static bool answers_well(gust_http_call *call, const struct proxy_config *config)
{
    gust_http_call_deadline(call, gust_after(config->options.check_timeout_ns));
    if (config->options.host_policy == GUST_HTTP_HOST_FIXED &&
        gust_http_call_header(call, "Host", config->options.host) < 0)
        return false;
    if (gust_http_call_header(call, "Connection", "close") < 0 ||
        gust_http_call_send(call, NULL, 0) < 0)
        return false;
    int status = gust_http_call_wait(call);
    return status >= 200 && status < 400;
}

static bool check_once(const struct worker *w, gust_http_origin *origin, gust_span target)
{
    gust_http_call *call;

    if (gust_http_origin_call(origin, (gust_span){"GET", 3}, target, &call) < 0)
        return false;
    bool well = answers_well(call, w->config);
    gust_http_call_free(call);
    return well;
}

static void check_again_and_again(const struct worker *w, gust_http_origin *origin)
{
    const gust_http_proxy_options *o = &w->config->options;
    gust_span prefix = w->upstream->prefix;
    size_t len = prefix.len + strlen(o->check_path);
    char *target = gust__malloc(len + 1);

    if (!target)
        return;
    memcpy(target, prefix.data, prefix.len);
    strcpy(target + prefix.len, o->check_path);
    do {
        bool well = check_once(w, origin, (gust_span){target, len});
        if (gust_context_err(w->config->context) == 0)
            gust__health_checked(&w->upstream->health, &w->config->set->health, well);
    } while (gust_sleep(o->check_interval_ns) == 0);
    free(target);
}

static void check_main(void *arg)
{
    struct worker *w = arg;
    gust_http_origin *origin;

    if (open_check(w, &origin) == 0) {
        check_again_and_again(w, origin);
        gust_http_origin_unref(origin);
    }
    worker_end(w);
}

/* --- Names ------------------------------------------------------------------------------- */

static bool is_name(const struct upstream *u)
{
    unsigned char addr[16];

    return inet_pton(AF_INET, u->name, addr) != 1 && inet_pton(AF_INET6, u->name, addr) != 1;
}

static bool has(const gust_addrs *addrs, const gust_addr *addr)
{
    for (size_t i = 0; i < addrs->count; i++)
        if (addrs->list[i].len == addr->len &&
            memcmp(&addrs->list[i].any, &addr->any, addr->len) == 0)
            return true;
    return false;
}

/* One of the old addresses is not there any more. */
static bool has_lost(const gust_addrs *before, const gust_addrs *now)
{
    for (size_t i = 0; i < before->count; i++)
        if (!has(now, &before->list[i]))
            return true;
    return false;
}

/* New connections are looked up by the client as they are made; those from before the first
 * look-up may lead anywhere. */
static void resolve_main(void *arg)
{
    const gust_resolve_options options = {.socktype = SOCK_STREAM};
    struct worker *w = arg;
    int64_t every_ns = w->config->options.resolve_ns;
    gust_addrs *before = NULL, *now;

    do {
        if (gust_resolve(w->upstream->name, w->upstream->port, &options, gust_after(every_ns),
                         &now) < 0)
            continue;
        if (!before || has_lost(before, now))
            gust_http_origin_renew(w->upstream->origin);
        gust_addrs_free(before);
        before = now;
    } while (gust_sleep(every_ns) == 0);
    gust_addrs_free(before);
    worker_end(w);
}

/* --- All of them -------------------------------------------------------------------------- */

static int start(struct proxy_config *config, struct upstream *u, void (*fn)(void *arg))
{
    struct worker *w = gust__malloc(sizeof(*w));

    if (!w)
        return -ENOMEM;
    *w = (struct worker){config, gust__upstream_own(u)};
    atomic_fetch_add_explicit(&config->counted.users[0].count, 1, memory_order_relaxed);
    gust_waitgroup_add(&config->proxy->workers, 1);
    int r = gust_go(fn, w);
    if (r < 0)
        worker_end(w);
    return r;
}

int gust__workers_start(struct proxy_config *config)
{
    gust_context *context = gust_context_swap(config->context);
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->set->count; i++) {
        struct upstream *u = config->set->members[i].upstream;
        if (config->options.check_path)
            r = start(config, u, check_main);
        if (r == 0 && config->options.resolve_ns != GUST_FOREVER && is_name(u))
            r = start(config, u, resolve_main);
    }
    gust_context_swap(context);
    return r;
}
