/* How often a client may ask, as a layer (<gust/http_middleware.h>): around a router, or
 * around the routes that cost much.
 *
 *     gust_http_rate_new(&(gust_http_rate_options){.requests = 5, .per_ns = 60 * GUST_SEC},
 *                        &logins);
 *     const gust_http_layer layers[] = {{gust_http_rate_layer, logins}};
 *
 * Each client has a bucket of tokens: a request takes one, and they come back one by one,
 * evenly.  Without a token the answer is 429, with a Retry-After.  A client is an address
 * (gust_http_request_client_addr, <gust/http_operations.h>); in IPv6 a /64. */
#ifndef GUST_HTTP_RATE_H
#define GUST_HTTP_RATE_H

#include <gust/http_middleware.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_http_rate gust_http_rate;

/* What a zero means. */
#define GUST_HTTP_RATE_CLIENTS_MAX 65536

typedef struct gust_http_rate_options {
    unsigned requests; /* so many ... */
    int64_t per_ns;    /* ... in this time; 0: a second */
    unsigned burst;    /* how many may come at once; 0: requests */

    /* Clients that are remembered, about 100 bytes each.  If there are more, those are
     * forgotten, and begin anew, that have not asked for longest. */
    unsigned clients_max;
} gust_http_rate_options;

/* Errors: -EINVAL if requests is 0, the time negative, or so many requests do not fit it;
 * -ENOMEM. */
int gust_http_rate_new(const gust_http_rate_options *options, gust_http_rate **ret_rate);

/* A gust_http_middleware; `rate` is a gust_http_rate.  Where there is no memory to
 * remember a client, it is let through. */
void gust_http_rate_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                          void *rate);

/* How many requests were refused. */
uint64_t gust_http_rate_refused(const gust_http_rate *rate);

/* Once no request uses it any more.  NULL is accepted. */
void gust_http_rate_free(gust_http_rate *rate);

#ifdef __cplusplus
}
#endif
#endif
