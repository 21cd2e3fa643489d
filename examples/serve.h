/* What the small HTTP examples have in common: the option --listen ADDR:PORT, those of
 * tls.h, a line that says where they listen, and serving until SIGTERM or SIGINT. */
#ifndef GUST_EXAMPLES_SERVE_H
#define GUST_EXAMPLES_SERVE_H

#include "examples/tls.h"

#include <gust/http.h>

/* What follows `name` in the command line; `preset` if it is not there. */
static inline const char *option(char **argv, const char *name, const char *preset)
{
    for (char **arg = argv + 1; arg[0] && arg[1]; arg += 2)
        if (strcmp(arg[0], name) == 0)
            return arg[1];
    return preset;
}

/* Called with each signal; true if it is one to stop at. */
typedef bool on_signal(int signo);

struct stopper {
    gust_http_server *server;
    gust_chan *signals;
    on_signal *on_signal;
    gust_time timeout_ns; /* for requests in flight */
};

static inline void stop_on_signal(void *arg)
{
    struct stopper *s = arg;
    int signo;
    while (gust_chan_recv(s->signals, &signo, GUST_FOREVER) == 1)
        if (!s->on_signal || s->on_signal(signo))
            break;
    gust_signal_notify(NULL, SIGTERM); /* a second one ends it at once */
    gust_signal_notify(NULL, SIGINT);
    gust_http_server_shutdown(s->server, gust_after(s->timeout_ns));
}

static inline int catch_signals(struct stopper *s, int more)
{
    int r = gust_chan_new(sizeof(int), 4, &s->signals);
    if (r == 0)
        r = gust_signal_notify(s->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(s->signals, SIGINT);
    if (r == 0 && more)
        r = gust_signal_notify(s->signals, more);
    return r ? r : gust_go(stop_on_signal, s);
}

/* Serves until a signal comes; `more` is another one for on_signal (0: none).  Says what
 * goes wrong.  Releases the server. */
static inline int serve_until_signal(char **argv, struct stopper *s, int more)
{
    char text[GUST_ADDR_TEXT_MAX];
    const char *listen = option(argv, "--listen", "127.0.0.1:8080");
    gust_listener *listener = NULL;
    gust_addr addr;
    int r;
    if ((r = gust_addr_parse(listen, &addr)) == 0 && (r = gust_listen(&addr, &listener)) == 0 &&
        (r = tls_listen(listener)) == 0 && (r = catch_signals(s, more)) == 0) {
        gust_listener_addr(listener, &addr);
        dprintf(1, "listening on http%s://%s\n", tls_identity.cert_file ? "s" : "",
                gust_addr_format(&addr, text));
        r = gust_http_server_serve(s->server, listener);
    }
    if (r < 0)
        fprintf(stderr, "%s: %s: %s\n", argv[0], listen, strerror(-r));
    gust_http_server_free(s->server);
    gust_listener_close(listener);
    gust_chan_unref(s->signals);
    return r;
}

#endif
