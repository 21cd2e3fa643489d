/* Middleware: code around handlers, such as a log, a check of credentials, a limit.
 *
 *     static void log_time(gust_http_request *req, gust_http_response *res,
 *                          gust_http_next *next, void *arg)
 *     {
 *         gust_time start = gust_now();
 *         gust_http_next_run(next);
 *         note(arg, req, gust_now() - start);
 *     }
 *
 * A layer decides whether, and when, what it is around runs.  It may set header fields
 * before; what it does after finds the response finished by the handler, though perhaps
 * not sent.  A panic in the handler passes through the layers as through any function:
 * what has to happen all the same belongs in gust_defer. */
#ifndef GUST_HTTP_MIDDLEWARE_H
#define GUST_HTTP_MIDDLEWARE_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a layer is around, for this request.  Valid until the layer returns. */
typedef struct gust_http_next gust_http_next;

typedef void gust_http_middleware(gust_http_request *req, gust_http_response *res,
                                  gust_http_next *next, void *arg);

/* Runs the next layer or, after the last one, the handler; returns once it has.  At most
 * once per call of a layer: a layer that does not call it answers by itself. */
void gust_http_next_run(gust_http_next *next);

typedef struct gust_http_layer {
    gust_http_middleware *middleware;
    void *arg;
} gust_http_layer;

/* A handler with layers around it, the first one outermost: with {log}, {check} a
 * request goes through log, check, handler, and back through check and log.  The memory
 * is the user's, usually static, and stays as it is while requests are served. */
typedef struct gust_http_chain {
    const gust_http_layer *layers;
    size_t layer_count;
    gust_http_handler *handler;
    void *arg;
} gust_http_chain;

/* A gust_http_handler: `chain` is a gust_http_chain.  So a chain can be the handler of a
 * route, of a server, or of another chain.  Needs no memory but the stack. */
void gust_http_chain_serve(gust_http_request *req, gust_http_response *res, void *chain);

#ifdef __cplusplus
}
#endif
#endif
