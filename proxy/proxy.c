#include "proxy/proxy.h"

#include "core/inject.h"

#include <gust/timer.h>

#include <errno.h>
#include <stdlib.h>

/* How often gust_http_proxy_free looks whether requests have ended. */
#define AWAIT_NS GUST_MS

/* --- Ejections ----------------------------------------------------------------------- */

/* Of those that could be asked; true if one more may go, and another is left. */
static bool may_eject(const struct proxy_config *config, gust_time now)
{
    unsigned there = 0, ejected = 0;

    for (size_t i = 0; i < config->set->count; i++) {
        const struct member *m = &config->set->members[i];
        if (m->draining)
            continue;
        there++;
        ejected += gust__health_is_ejected(&m->upstream->health, now);
    }
    return there > 1 && (ejected + 1) * 100 <= there * config->options.ejected_percent_max;
}

void gust__proxy_eject(struct proxy_config *config, struct upstream *u)
{
    gust_time now = gust_now();

    gust_mutex_lock(&config->proxy->mutex);
    if (!gust__health_is_ejected(&u->health, now) && may_eject(config, now)) {
        gust__health_eject(&u->health, &config->set->health, now);
        upstream_count(u, COUNT_EJECTIONS);
    }
    gust_mutex_unlock(&config->proxy->mutex);
}

/* --- Configurations -------------------------------------------------------------------- */

static struct proxy_config *config_of(struct counted *counted)
{
    return (struct proxy_config *)counted; /* its first member */
}

struct proxy_config *gust__proxy_take(gust_http_proxy *proxy, unsigned *ret_shard,
                                      uint64_t *ret_random)
{
    return config_of(gust__current_take(&proxy->current, ret_shard, ret_random));
}

/* Frees those of the retired that nobody uses any more. */
static void sweep_locked(gust_http_proxy *proxy)
{
    struct proxy_config *next;

    for (struct proxy_config *c = SLIST_FIRST(&proxy->retired); c; c = next) {
        next = SLIST_NEXT(c, link);
        if (!gust__counted_is_unused(&c->counted))
            continue;
        SLIST_REMOVE(&proxy->retired, c, proxy_config, link);
        gust__config_free(c);
    }
}

static void retire_locked(gust_http_proxy *proxy, struct proxy_config *config)
{
    gust_context_cancel(config->context, -ECANCELED);
    SLIST_INSERT_HEAD(&proxy->retired, config, link);
    sweep_locked(proxy);
}

/* --- Life --------------------------------------------------------------------------------- */

static int make_config(gust_http_proxy *proxy, const gust_http_proxy_options *options,
                       const struct proxy_config *before, struct proxy_config **ret_config)
{
    struct proxy_config *config;

    int r = gust__config_new(proxy, options, before, &config);
    if (r < 0)
        return r;
    r = gust__workers_start(config);
    if (r < 0)
        retire_locked(proxy, config);
    else
        *ret_config = config;
    return r;
}

int gust_http_proxy_new(const gust_http_proxy_options *options, gust_http_proxy **ret_proxy)
{
    struct proxy_config *config;
    gust_http_proxy *proxy = gust__aligned_alloc(_Alignof(gust_http_proxy), sizeof(*proxy));

    if (!proxy)
        return -ENOMEM;
    *proxy = (gust_http_proxy){.client = NULL};
    int r = gust_http_client_new(NULL, &proxy->client);
    if (r == 0)
        r = gust_context_new(NULL, &proxy->tunnels);
    if (r < 0)
        goto free;
    gust_mutex_lock(&proxy->mutex);
    r = make_config(proxy, options, NULL, &config);
    gust_mutex_unlock(&proxy->mutex);
    if (r < 0)
        goto free;
    gust__current_init(&proxy->current, &config->counted);
    *ret_proxy = proxy;
    return 0;

free:
    gust_http_proxy_free(proxy);
    return r;
}

int gust_http_proxy_reload(gust_http_proxy *proxy, const gust_http_proxy_options *options)
{
    struct proxy_config *config;

    gust_mutex_lock(&proxy->mutex);
    const struct proxy_config *before = config_of(proxy->current.shards[0].current);
    int r = make_config(proxy, options, before, &config);
    if (r == 0)
        retire_locked(proxy, config_of(gust__current_replace(&proxy->current, &config->counted)));
    gust_mutex_unlock(&proxy->mutex);
    return r;
}

/* Until nobody uses any configuration: handlers may outlive their server by a moment, and
 * that they end is counted in no other place. */
static void await_unused(gust_http_proxy *proxy)
{
    for (;;) {
        gust_mutex_lock(&proxy->mutex);
        sweep_locked(proxy);
        bool unused = SLIST_EMPTY(&proxy->retired);
        gust_mutex_unlock(&proxy->mutex);
        if (unused)
            return;
        gust_sleep(AWAIT_NS);
    }
}

void gust_http_proxy_free(gust_http_proxy *proxy)
{
    if (!proxy)
        return;
    struct proxy_config *config = config_of(proxy->current.shards[0].current);
    gust_mutex_lock(&proxy->mutex);
    if (config)
        retire_locked(proxy, config);
    gust_mutex_unlock(&proxy->mutex);
    if (proxy->tunnels)
        gust_context_cancel(proxy->tunnels, -ESHUTDOWN);
    gust_context *context = gust_context_swap(NULL);
    await_unused(proxy);
    gust_waitgroup_wait(&proxy->workers, GUST_FOREVER);
    gust_context_swap(context);
    gust_context_unref(proxy->tunnels);
    gust_http_client_free(proxy->client);
    free(proxy);
}
