/* Answering requests with a router. */
#include "http/router.h"

#include <string.h>

#include "http/middleware.h"
#include "http/path.h"
#include "http/response.h"

/* --- The router's own answers ------------------------------------------------- */

static void answer_bad_path(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust__http_answer(res, 400);
}

static void answer_not_found(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust__http_answer(res, 404);
}

/* "OPTIONS *" is about the server as a whole, of which the router knows nothing. */
static void answer_asterisk(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, NULL, 0);
}

/* arg: the set of those that are. */
static void answer_not_allowed(gust_http_request *req, gust_http_response *res, void *arg)
{
    const uint64_t *allowed = arg;
    char list[METHOD_LIST_MAX];
    size_t len = gust__http_method_list(*allowed, list);

    (void)req;
    if (gust_http_header_span(res, "Allow", (gust_span){list, len}) < 0)
        gust__http_answer(res, 503);
    else
        gust__http_answer(res, 405);
}

/* --- Redirects ----------------------------------------------------------------- */

/* Sets Location to the path, which is not escaped yet, and the request's query. */
static int add_location(gust_http_request *req, gust_http_response *res, gust_span path)
{
    gust_span query = gust_http_request_query(req);
    char *location = gust_http_alloc(req, 3 * path.len + 1 + query.len);

    if (!location)
        return -ENOMEM;
    size_t len = gust__http_path_escape(path, location);
    if (query.data) {
        location[len++] = '?';
        memcpy(location + len, query.data, query.len);
        len += query.len;
    }
    return gust_http_header_span(res, "Location", (gust_span){location, len});
}

void gust__http_redirect(gust_http_request *req, gust_http_response *res, gust_span path)
{
    gust_http_method method = gust_http_request_method(req);
    int r = add_location(req, res, path);

    if (r == -ENOBUFS)
        gust__http_answer(res, 414);
    else if (r < 0)
        gust__http_answer(res, 503);
    else
        gust__http_answer(res, method == GUST_HTTP_GET || method == GUST_HTTP_HEAD ? 301 : 308);
}

static void redirect_to_clean(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span path = gust_http_request_path(req);
    char *clean = gust_http_alloc(req, path.len);

    (void)arg;
    if (clean)
        gust__http_redirect(req, res, (gust_span){clean, gust__http_path_clean(path, clean)});
    else
        gust__http_answer(res, 503);
}

static void redirect_to_slash(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span path = gust_http_request_path(req);
    char *with_slash = gust_http_alloc(req, path.len + 1);

    (void)arg;
    if (!with_slash) {
        gust__http_answer(res, 503);
        return;
    }
    memcpy(with_slash, path.data, path.len);
    with_slash[path.len] = '/';
    gust__http_redirect(req, res, (gust_span){with_slash, path.len + 1});
}

/* --- The decision ---------------------------------------------------------------- */

struct decision {
    gust_http_handler *handler;
    void *arg;
    uint64_t allowed; /* for answer_not_allowed */
};

static void decide_by_route(const gust_http_router *router, gust_http_request *req, gust_span path,
                            struct decision *d)
{
    struct route_query query = {
        .host = gust_http_request_host(req), .path = path, .method = gust_http_request_method(req)};
    struct route_match m = gust__route_tree_find(&router->tree, &query);

    d->allowed = m.allowed;
    if (!(m.route && m.exact) && path.data[path.len - 1] != '/') {
        query.slash = true;
        struct route_match below = gust__route_tree_find(&router->tree, &query);
        if (below.route && below.exact) {
            d->handler = redirect_to_slash;
            return;
        }
        d->allowed |= below.allowed;
    }
    if (m.route) {
        req->route = m.route;
        d->handler = m.route->handler;
        d->arg = m.route->arg;
    } else if (d->allowed) {
        d->handler = answer_not_allowed;
        d->arg = &d->allowed;
    } else {
        d->handler = answer_not_found;
    }
}

static void decide(const gust_http_router *router, gust_http_request *req, struct decision *d)
{
    gust_span path = gust_http_request_path(req);

    req->route = NULL;
    *d = (struct decision){.handler = answer_asterisk};
    if (path.data[0] != '/')
        return;
    switch (gust__http_path_form(path)) {
    case PATH_CLEAN: decide_by_route(router, req, path, d); break;
    case PATH_UNCLEAN: d->handler = redirect_to_clean; break;
    case PATH_MALFORMED: d->handler = answer_bad_path; break;
    }
}

void gust_http_router_serve(gust_http_request *req, gust_http_response *res, void *router)
{
    const gust_http_router *r = router;
    struct decision d;

    decide(r, req, &d);
    const gust_http_chain chain = {r->layers, r->layer_count, d.handler, d.arg};
    gust__http_chain_run(&chain, req, res);
}

/* --- What a handler asks ----------------------------------------------------------- */

const char *gust_http_request_pattern(const gust_http_request *req)
{
    return req->route ? req->route->pattern->text : NULL;
}

/* The segment of the pattern that is this wildcard; the count if there is none. */
static unsigned find_wildcard(const struct http_pattern *p, const char *name)
{
    size_t len = strlen(name);
    unsigned i = 0;

    for (; i < p->count; i++) {
        const struct pattern_segment *s = &p->segments[i];
        bool named = s->kind == SEGMENT_SINGLE || s->kind == SEGMENT_MULTI;
        if (len > 0 && named && s->text.len == len && memcmp(s->text.data, name, len) == 0)
            break;
    }
    return i;
}

/* What is behind the slash that follows the first n segments. */
static gust_span skip_segments(gust_span path, unsigned n)
{
    const char *end = path.data + path.len;
    const char *p = path.data + 1;

    for (; n > 0; n--)
        p = (const char *)memchr(p, '/', (size_t)(end - p)) + 1;
    return (gust_span){p, (size_t)(end - p)};
}

static gust_span decoded(gust_http_request *req, gust_span s)
{
    if (!memchr(s.data, '%', s.len))
        return s;
    char *bytes = gust_http_alloc(req, s.len);
    if (!bytes)
        return (gust_span){NULL, 0};
    return (gust_span){bytes, gust__http_percent_decode(s, bytes)};
}

gust_span gust__http_route_rest(const gust_http_request *req)
{
    const struct http_pattern *p = req->route ? req->route->pattern : NULL;
    gust_span path = gust_http_request_path(req);

    if (!p || p->segments[p->count - 1].kind != SEGMENT_MULTI)
        return (gust_span){NULL, 0};
    return skip_segments(path, p->count - 1);
}

gust_span gust_http_path_value(gust_http_request *req, const char *name)
{
    const struct http_pattern *p = req->route ? req->route->pattern : NULL;
    unsigned at = p ? find_wildcard(p, name) : 0;

    if (!p || at == p->count)
        return (gust_span){NULL, 0};
    /* The path has matched, so it has that many segments. */
    gust_span value = skip_segments(gust_http_request_path(req), at);
    if (p->segments[at].kind == SEGMENT_SINGLE) {
        const char *slash = memchr(value.data, '/', value.len);
        value.len = slash ? (size_t)(slash - value.data) : value.len;
    }
    return decoded(req, value);
}
