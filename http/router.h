/* A router.  router.c builds it, router_serve.c answers requests with it. */
#ifndef GUST_HTTP_ROUTER_INTERNAL_H
#define GUST_HTTP_ROUTER_INTERNAL_H

#include <gust/http_router.h>

#include "http/route_tree.h"

/* Room for two patterns and what is wrong with them. */
#define ROUTER_ERROR_MAX (2 * GUST_HTTP_PATTERN_MAX + 256)

struct gust_http_router {
    struct route_tree tree;
    struct http_route *newest; /* of all routes, by `older` */
    gust_http_layer *layers;
    size_t layer_count;
    char error[ROUTER_ERROR_MAX];
};

/* Redirects to the path, as it stands in a request or decoded, with the request's query;
 * the answer is complete. */
void gust__http_redirect(gust_http_request *req, gust_http_response *res, gust_span path);

/* What of the path stands in the place of the wildcard at the end of the pattern that was
 * found, not decoded; data is NULL if it has none. */
gust_span gust__http_route_rest(const gust_http_request *req);

#endif
