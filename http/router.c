/* Building a router. */
#include "http/router.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/inject.h"

int gust_http_router_new(gust_http_router **ret_router)
{
    gust_http_router *r = gust__calloc(1, sizeof(*r));

    if (!r)
        return -ENOMEM;
    *ret_router = r;
    return 0;
}

static void free_route(struct http_route *route)
{
    free(route->pattern);
    free(route);
}

void gust_http_router_free(gust_http_router *router)
{
    if (!router)
        return;
    while (router->newest) {
        struct http_route *route = router->newest;
        router->newest = route->older;
        free_route(route);
    }
    gust__route_tree_fini(&router->tree);
    free(router->layers);
    free(router);
}

const char *gust_http_router_error(const gust_http_router *router)
{
    return router->error;
}

/* Returns `error`. */
GUST_PRINTF(3, 4)
static int refuse(gust_http_router *router, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(router->error, sizeof(router->error), format, args);
    va_end(args);
    return error;
}

/* A pattern may be too long to be named in full. */
#define SHOWN_MAX GUST_HTTP_PATTERN_MAX

static int refuse_conflict(gust_http_router *router, const struct http_pattern *p,
                           const struct http_pattern *old)
{
    bool same = gust__http_pattern_compare(p, old) == PATTERN_EQUAL;

    return refuse(router, -EEXIST, "pattern \"%s\" conflicts with \"%s\": %s", p->text, old->text,
                  same ? "they match the same requests"
                       : "some requests match both, and neither is more specific");
}

static int check_conflicts(gust_http_router *router, const struct http_pattern *p)
{
    for (const struct http_route *old = router->newest; old; old = old->older)
        if (gust__http_pattern_conflict(p, old->pattern))
            return refuse_conflict(router, p, old->pattern);
    return 0;
}

/* Takes the pattern if it succeeds. */
static int add_route(gust_http_router *router, struct http_pattern *p, gust_http_handler *handler,
                     void *arg)
{
    struct http_route *route = gust__malloc(sizeof(*route));

    if (!route)
        return -ENOMEM;
    *route = (struct http_route){.pattern = p, .handler = handler, .arg = arg};
    if (gust__route_tree_add(&router->tree, route) < 0) {
        free(route);
        return -ENOMEM;
    }
    route->older = router->newest;
    router->newest = route;
    return 0;
}

int gust_http_router_handle(gust_http_router *router, const char *pattern,
                            gust_http_handler *handler, void *arg)
{
    const char *why = "out of memory";
    struct http_pattern *p = NULL;

    if (!handler)
        return refuse(router, -EINVAL, "pattern \"%.*s\": no handler", SHOWN_MAX, pattern);
    int r = gust__http_pattern_new(pattern, &p, &why);
    if (r < 0)
        return refuse(router, r, "pattern \"%.*s\": %s", SHOWN_MAX, pattern, why);
    r = check_conflicts(router, p);
    if (r == 0) {
        r = add_route(router, p, handler, arg);
        if (r < 0)
            refuse(router, r, "pattern \"%s\": out of memory", pattern);
    }
    if (r < 0)
        free(p);
    return r;
}

int gust_http_router_use(gust_http_router *router, gust_http_middleware *middleware, void *arg)
{
    size_t count = router->layer_count;

    if (!middleware)
        return -EINVAL;
    gust_http_layer *layers = gust__realloc(router->layers, (count + 1) * sizeof(*layers));
    if (!layers)
        return -ENOMEM;
    layers[count] = (gust_http_layer){middleware, arg};
    router->layers = layers;
    router->layer_count = count + 1;
    return 0;
}
