/* What the HTTP examples share: a router for their routes, --listen ADDR:PORT, TLS if the
 * command line asks for it, serving until SIGTERM or SIGINT, and a shutdown that lets
 * requests finish. */
#ifndef GUST_EXAMPLES_SERVER_H
#define GUST_EXAMPLES_SERVER_H

#include <gust/http_router.h>
#include <gust/inherit.h>
#include <signal.h>

#include "examples/tls.h"

#define SHUTDOWN_NS (10 * GUST_SEC)

typedef struct app_route {
    const char *pattern;
    gust_http_handler *handler;
} app_route;

typedef struct app {
    const char *name;
    const app_route *routes; /* the last one has no pattern */
    void *arg;               /* of all handlers */
    /* Called as the shutdown begins: ends what would go on for ever.  NULL: nothing. */
    void (*stopping)(void *arg);
    gust_addr addr;
    gust_http_router *router;
    gust_http_server *server;
    gust_chan *signals;
} app;

static inline void stop_on_signal(void *arg)
{
    app *a = arg;
    int signo;
    if (gust_chan_recv(a->signals, &signo, GUST_FOREVER) != 1)
        return;
    gust_signal_notify(NULL, SIGTERM); /* a second one ends the program at once */
    gust_signal_notify(NULL, SIGINT);
    if (a->stopping)
        a->stopping(a->arg);
    gust_http_server_shutdown(a->server, gust_after(SHUTDOWN_NS));
}

static inline int app_route_all(app *a)
{
    int r = gust_http_router_new(&a->router);
    for (const app_route *route = a->routes; r == 0 && route->pattern; route++)
        r = gust_http_router_handle(a->router, route->pattern, route->handler, a->arg);
    return r;
}

static inline int app_start(app *a, gust_listener **ret_listener)
{
    int r = app_route_all(a);
    const gust_http_server_options options = {.handler = gust_http_router_serve, .arg = a->router};
    if (r == 0)
        r = gust_listen_activated(&a->addr, ret_listener);
    if (r == 0)
        r = tls_listen(*ret_listener);
    if (r == 0)
        r = gust_http_server_new(&options, &a->server);
    if (r == 0)
        r = gust_chan_new(sizeof(int), 1, &a->signals);
    if (r == 0)
        r = gust_signal_notify(a->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(a->signals, SIGINT);
    return r < 0 ? r : gust_go(stop_on_signal, a);
}

/* Returns 0, or 1 and has said why. */
static inline int app_serve(void *arg)
{
    app *a = arg;
    char text[GUST_ADDR_TEXT_MAX];
    gust_listener *listener = NULL;
    int r = app_start(a, &listener);
    if (r == 0) {
        gust_listener_addr(listener, &a->addr);
        dprintf(1, "%s: http%s://%s\n", a->name, tls_identity.cert_file ? "s" : "",
                gust_addr_format(&a->addr, text));
        r = gust_http_server_serve(a->server, listener);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s: %s\n", a->name, gust_addr_format(&a->addr, text), strerror(-r));
    gust_http_server_free(a->server);
    gust_http_router_free(a->router);
    gust_listener_close(listener);
    gust_chan_unref(a->signals);
    return r < 0;
}

/* The exit status of a program that is this app. */
static inline int app_main(app *a, int argc, char **argv)
{
    bool ok = tls_take_args(&argc, argv), given = argc == 3 && strcmp(argv[1], "--listen") == 0;
    if (ok && (argc == 1 || given) &&
        gust_addr_parse(given ? argv[2] : "127.0.0.1:8080", &a->addr) == 0)
        return gust_run(app_serve, a) != 0;
    fprintf(stderr, "usage: %s [--listen ADDR:PORT] " TLS_USAGE "\n", a->name);
    return 2;
}

#endif
