/* A router: finds the handler for a request by method, host and path.
 *
 *     gust_http_router_handle(router, "GET /{$}", show_home, NULL);
 *     gust_http_router_handle(router, "GET /users/{id}", show_user, &db);
 *     gust_http_router_handle(router, "/static/", serve_files, NULL);
 *     options.handler = gust_http_router_serve;
 *     options.arg = router;
 *
 * Patterns are those of Go's ServeMux: "[METHOD ][HOST]/[PATH]".
 *
 *     /users        this path
 *     /users/{id}   one segment in the place of {id}, not empty
 *     /files/{p...} the rest of the path in the place of {p...}, which may be empty
 *     /static/      a slash at the end: all paths below it, and itself
 *     /static/{$}   this path with its slash, nothing below it
 *
 * Without a method a pattern is for all of them; GET serves HEAD, too.  Without a host
 * it is for all of them; one with a host goes before one without.  A host is told apart
 * without regard to case, and the request's port does not count.
 *
 * If several patterns match, the most specific one wins: the one whose requests are a
 * part of the other's.  The order in which they were registered does not matter.  Two of
 * which neither is more specific, while some request would match both, conflict: the
 * second one is refused.
 *
 * Segments are compared decoded, and "%2F" in one does not split it.
 *
 * What the router answers by itself:
 *
 *     404 without a match
 *     405 if there would be one for other methods, which Allow names
 *     301 for /tree to /tree/, if only that is registered, and to the clean path where
 *         the request's has "//", or "." or ".." for a segment; 308 unless the method is
 *         GET or HEAD, since clients repeat a 301 as a GET.  The query is kept.
 *     400 if the path has a '%' that encodes nothing
 *     200 for "OPTIONS *" */
#ifndef GUST_HTTP_ROUTER_H
#define GUST_HTTP_ROUTER_H

#include <gust/http.h>
#include <gust/http_middleware.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_http_router gust_http_router;

/* Bounds on a pattern: bytes of it, of its host, and segments. */
#define GUST_HTTP_PATTERN_MAX 1024
#define GUST_HTTP_PATTERN_HOST_MAX 255
#define GUST_HTTP_PATTERN_SEGMENTS_MAX 64

/* Makes a router without routes.  A router is built first and serves then: no function
 * that changes it may be called while it serves.  Errors: -ENOMEM. */
int gust_http_router_new(gust_http_router **ret_router);

/* Frees a router that serves no request.  NULL is accepted. */
void gust_http_router_free(gust_http_router *router);

/* Registers a handler; `arg` is passed to every call of it.  The pattern is copied.
 * Costs time in the number of routes; a look-up does not.
 * Errors: -EINVAL if the pattern is malformed or can match nothing, or without a
 * handler; -EEXIST if it conflicts with another one; -ENOMEM.  Nothing has been
 * registered then, and gust_http_router_error says why. */
int gust_http_router_handle(gust_http_router *router, const char *pattern,
                            gust_http_handler *handler, void *arg);

/* What was wrong with the pattern that was refused last: a line of text that names it
 * and, for a conflict, the other one.  Empty if none was.  Valid until the next one is
 * registered. */
const char *gust_http_router_error(const gust_http_router *router);

/* Puts a layer around all that the router answers, its own answers as well; the first
 * one is outermost.  The route has been found when it runs: gust_http_request_pattern
 * and gust_http_path_value say which.  For a single route see gust_http_chain.
 * Errors: -EINVAL without a middleware, -ENOMEM. */
int gust_http_router_use(gust_http_router *router, gust_http_middleware *middleware, void *arg);

/* A gust_http_handler: `router` is a gust_http_router.  A router can be the handler of
 * another's route. */
void gust_http_router_serve(gust_http_request *req, gust_http_response *res, void *router);

/* What stands in the path in the place of the wildcard {name} or {name...}, decoded: so
 * it may hold any byte, and a value used as the name of a file may be ".." or, because
 * of "%2F", hold slashes.  Lies in the request or in its memory (gust_http_alloc).  data
 * is NULL if the pattern has no such wildcard, or without memory to decode it. */
gust_span gust_http_path_value(gust_http_request *req, const char *name);

/* The pattern that was found for the request, as it was registered; NULL if there is
 * none.  With a router inside another, the inner one's. */
const char *gust_http_request_pattern(const gust_http_request *req);

#ifdef __cplusplus
}
#endif
#endif
