/* The proxy inside.
 *
 *     proxy.c     making, reloading and freeing one
 *     config.c    what one set of options has become
 *     current.c   the configuration of the moment
 *     set.c, balance.c, upstream.c, health.c   who gets a request
 *     workers.c   checks, and looking names up again
 *     serve.c     a request: which upstream, once more or not, what the client is told
 *     ask.c       asking one upstream
 *     stream.c    the request's body on its way to it
 *     respond.c   the response on its way back
 *     tunnel.c    what follows an upgrade
 *     fields.c    header fields
 *     histogram.c, retry_budget.c, stats.c, stats_page.c
 *
 * Always: a configuration that was replaced is in `retired` until nobody uses it. */
#ifndef GUST_PROXY_PROXY_H
#define GUST_PROXY_PROXY_H

#include "proxy/current.h"
#include "proxy/fields.h"
#include "proxy/retry_budget.h"
#include "proxy/set.h"

#include <gust/context.h>
#include <gust/http_client.h>

#include <sys/queue.h>

struct proxy_config {
    struct counted counted; /* requests and workers */
    SLIST_ENTRY(proxy_config) link;
    gust_http_proxy *proxy;
    gust_http_proxy_options options; /* zeroes are filled in; strings are copies */
    struct proxy_set *set;
    struct forward_rules rules;
    gust_http_timeouts timeouts;
    gust_context *context; /* the workers' */
    struct retry_budget budget;
    char via[]; /* "Via: 1.1 NAME\r\n" */
};

struct gust_http_proxy {
    struct current current;
    gust_http_client *client;
    gust_context *tunnels; /* what they run under, since no server ends them */

    gust_mutex mutex; /* what follows, and ejections */
    SLIST_HEAD(, proxy_config) retired;
    gust_waitgroup workers;
};

/* --- config.c --- */

/* Makes one; upstreams that `before` has, if it is not NULL, are taken over.
 * Errors: as gust_http_proxy_new. */
int gust__config_new(gust_http_proxy *proxy, const gust_http_proxy_options *options,
                     const struct proxy_config *before, struct proxy_config **ret_config);

/* NULL is accepted. */
void gust__config_free(struct proxy_config *config);

/* --- proxy.c --- */

struct proxy_config *gust__proxy_take(gust_http_proxy *proxy, unsigned *ret_shard,
                                      uint64_t *ret_random);

/* Ejects an upstream that has failed too often, if enough others are left. */
void gust__proxy_eject(struct proxy_config *config, struct upstream *u);

/* --- workers.c --- */

/* Starts the goroutines of a configuration, which end when its context is cancelled.
 * Errors: -ENOMEM; those that were started have to be ended. */
int gust__workers_start(struct proxy_config *config);

#endif
