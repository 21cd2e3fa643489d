/* What the HTTP examples have in common: they listen, say where, and serve until SIGTERM or
 * SIGINT.  Then requests in flight have ten seconds; a second signal ends the program at
 * once.  A socket that is passed by LISTEN_FDS (socket activation) goes before --listen. */
#ifndef GUST_EXAMPLES_SERVE_H
#define GUST_EXAMPLES_SERVE_H

#include <gust/http_router.h>

#include "examples/tls.h"

#define SHUTDOWN_NS (10 * GUST_SEC)

typedef struct app_route {
    const char *pattern;
    gust_http_handler *handler;
    void *arg;
} app_route;

typedef struct app {
    gust_http_server_options options;
    const app_route *routes; /* the last has no pattern; NULL: options.handler takes all */
    void (*on_usr1)(void);   /* NULL: SIGUSR1 ends the program */
} app;

/* An app that is being served. */
typedef struct app_run {
    const app *app;
    gust_listener *listener;
    gust_http_router *router;
    gust_http_server *server;
    gust_chan *signals;
} app_run;

static gust_addr listen_addr;

#define APP_OPTIONS                                                                               \
    {"--listen", "ADDR:PORT",                                                                     \
     "where (127.0.0.1:8080); or unix:/PATH, unix:@NAME; LISTEN_FDS goes before it", option_addr, \
     &listen_addr},                                                                               \
        TLS_OPTIONS

/* For examples without options of their own. */
static const option app_options[] = {APP_OPTIONS, {0}};

static inline void app_obey_signals(void *arg)
{
    app_run *run = arg;
    int signo;
    while (gust_chan_recv(run->signals, &signo, GUST_FOREVER) == 1 && signo == SIGUSR1)
        run->app->on_usr1();
    gust_signal_notify(NULL, SIGTERM);
    gust_signal_notify(NULL, SIGINT);
    gust_http_server_shutdown(run->server,
                              gust_after(run->app->options.lame_duck_ns + SHUTDOWN_NS));
}

static inline int app_catch_signals(app_run *run)
{
    int r = gust_chan_new(sizeof(int), 4, &run->signals);
    if (r == 0)
        r = gust_signal_notify(run->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(run->signals, SIGINT);
    if (r == 0 && run->app->on_usr1)
        r = gust_signal_notify(run->signals, SIGUSR1);
    return r ? r : gust_go(app_obey_signals, run);
}

static inline int app_make_router(app_run *run)
{
    int r = gust_http_router_new(&run->router);
    for (const app_route *route = run->app->routes; r == 0 && route->pattern; route++)
        r = gust_http_router_handle(run->router, route->pattern, route->handler, route->arg);
    if (r < 0 && run->router)
        failed(gust_http_router_error(run->router), r);
    return r;
}

static inline int app_make_server(app_run *run)
{
    gust_http_server_options options = run->app->options;
    int r = run->app->routes ? app_make_router(run) : 0;
    if (run->router) {
        options.handler = gust_http_router_serve;
        options.arg = run->router;
    }
    return r ? r : gust_http_server_new(&options, &run->server);
}

/* "json_api: http://127.0.0.1:8080" */
static inline void app_announce(gust_listener *listener)
{
    const char *scheme = tls_identity.cert_file ? "https://" : "http://";
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    gust_listener_addr(listener, &addr);
    dprintf(1, "%s: %s%s\n", program_invocation_short_name,
            addr.any.sa_family == AF_UNIX ? "" : scheme, gust_addr_format(&addr, text));
}

/* Serves until a signal.  Returns the exit status, and has said what went wrong. */
static inline int app_serve(const app *a)
{
    app_run run = {.app = a, .listener = tls_listen(&listen_addr)};
    if (!run.listener)
        return 1; /* it has been said why */
    int r = app_make_server(&run);
    if (r == 0)
        r = app_catch_signals(&run);
    if (r == 0) {
        app_announce(run.listener);
        r = gust_http_server_serve(run.server, run.listener);
    }
    gust_http_server_free(run.server);
    gust_http_router_free(run.router);
    gust_listener_close(run.listener);
    gust_chan_unref(run.signals);
    return r < 0 ? failed("cannot serve", r) : 0;
}

/* Returns the exit status of a program with these options whose main goroutine is `serve`. */
static inline int app_main(char **argv, const option *options, int (*serve)(void *arg))
{
    gust_addr_parse("127.0.0.1:8080", &listen_addr);
    options_parse(argv, options);
    tls_check_options(options);
    return gust_run(serve, NULL) != 0;
}

#endif
