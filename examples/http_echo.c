/* A small HTTP server: says hello and echoes what it is sent.
 *
 *     http_echo [--listen ADDR:PORT|unix:/PATH] [--header-timeout SECONDS]
 *               [--idle-timeout SECONDS] [--debug-paths] [--tls-cert FILE --tls-key FILE]
 *
 *     GET  /       Hello, World!
 *     POST /echo   the request's body, of any length, as it comes in
 *
 * If a service manager passes a listening socket (LISTEN_FDS), it serves that one.
 *
 * With --debug-paths, to see that a handler which knows nothing of gust stalls
 * nobody:
 *
 *     GET  /block?ms=N   sleeps in plain usleep(3)
 *     GET  /spin?ms=N    burns CPU
 *
 * SIGHUP reads the certificate again.  SIGTERM and SIGINT stop it: requests in flight
 * get ten seconds to finish.  A second one ends it at once. */
#include <gust/chan.h>
#include <gust/http.h>
#include <gust/inherit.h>
#include <gust/runtime.h>
#include <gust/signal.h>

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "examples/tls.h"

static const char usage[] =
    "usage: http_echo [--listen ADDR:PORT|unix:/PATH] [--header-timeout SECONDS]\n"
    "                 [--idle-timeout SECONDS] [--debug-paths] " TLS_USAGE "\n"
    "  --listen ADDR:PORT        numbers, as 0.0.0.0:80, [::1]:80 or :80 (127.0.0.1:8080)\n"
    "  --listen unix:/PATH       a Unix socket; unix:@NAME: an abstract one\n"
    "  --header-timeout SECONDS  for a client to send a request's header (10)\n"
    "  --idle-timeout SECONDS    between two requests of a connection (60)\n"
    "  --debug-paths             /block?ms=N sleeps, /spin?ms=N burns CPU, unannounced\n"
    "  --tls-cert, --tls-key     PEM files: serves HTTPS; SIGHUP reads them again\n"
    "A listening socket that is passed by LISTEN_FDS (socket activation) goes before --listen.\n";

#define DEBUG_MS_MAX 60000

static const char hello[] = "Hello, World!";

/* --- Handlers --------------------------------------------------------------- */

static void answer_hello(gust_http_response *res)
{
    gust_http_reply(res, 200, "text/plain", hello, sizeof(hello) - 1);
}

/* Keeps the type and, where it is known, the length; else both are chunked. */
static void answer_echo(gust_http_request *req, gust_http_response *res)
{
    gust_span type = gust_http_request_header(req, "Content-Type");
    gust_span length = gust_http_request_header(req, "Content-Length");
    gust_span piece;

    gust_http_body_limit(req, GUST_HTTP_UNLIMITED);
    if (type.data)
        gust_http_header_span(res, "Content-Type", type);
    if (length.data)
        gust_http_header_span(res, "Content-Length", length);
    while (gust_http_body_next(req, &piece) > 0) {
        if (gust_http_write(res, piece.data, piece.len) < 0)
            return;
    }
}

static void answer_wrong_method(gust_http_response *res, const char *allow)
{
    gust_http_header(res, "Allow", allow);
    gust_http_reply(res, 405, "text/plain", "Method Not Allowed\n", 19);
}

static bool span_is(gust_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* Reads "ms=N"; -1 if it is anything else. */
static int64_t query_ms(gust_span query)
{
    int64_t ms = 0;

    if (query.len < 4 || memcmp(query.data, "ms=", 3) != 0)
        return -1;
    for (size_t i = 3; i < query.len; i++) {
        if (query.data[i] < '0' || query.data[i] > '9')
            return -1;
        ms = ms * 10 + (query.data[i] - '0');
        if (ms > DEBUG_MS_MAX)
            return -1;
    }
    return ms;
}

static void block(int64_t ms)
{
    usleep((useconds_t)(ms * 1000));
}

static void spin(int64_t ms)
{
    gust_time end = gust_after(ms * GUST_MS);

    while (gust_now() < end)
        continue;
}

static void answer_after(gust_http_request *req, gust_http_response *res, void (*wait)(int64_t ms))
{
    int64_t ms = query_ms(gust_http_request_query(req));

    if (ms < 0) {
        gust_http_reply(res, 400, "text/plain", "wants ?ms=N, up to 60000\n", 25);
        return;
    }
    wait(ms);
    answer_hello(res);
}

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    const bool *debug_paths = arg;
    gust_span path = gust_http_request_path(req);
    gust_http_method method = gust_http_request_method(req);

    if (span_is(path, "/")) {
        if (method == GUST_HTTP_GET || method == GUST_HTTP_HEAD)
            answer_hello(res);
        else
            answer_wrong_method(res, "GET, HEAD");
    } else if (span_is(path, "/echo")) {
        if (method == GUST_HTTP_POST)
            answer_echo(req, res);
        else
            answer_wrong_method(res, "POST");
    } else if (*debug_paths && span_is(path, "/block")) {
        answer_after(req, res, block);
    } else if (*debug_paths && span_is(path, "/spin")) {
        answer_after(req, res, spin);
    } else {
        gust_http_reply(res, 404, "text/plain", "Not Found\n", 10);
    }
}

/* --- Start and end ---------------------------------------------------------- */

struct config {
    gust_addr addr;
    gust_http_server_options server;
    bool debug_paths;
};

struct stopper {
    gust_http_server *server;
    gust_chan *signals;
};

static void stop_on_signal(void *arg)
{
    struct stopper *stopper = arg;
    int signo;

    if (gust_chan_recv(stopper->signals, &signo, GUST_FOREVER) != 1)
        return;
    gust_signal_notify(NULL, SIGTERM);
    gust_signal_notify(NULL, SIGINT);
    gust_http_server_shutdown(stopper->server, gust_after(10 * GUST_SEC));
}

static int catch_signals(struct stopper *stopper)
{
    int r = gust_chan_new(sizeof(int), 1, &stopper->signals);

    if (r == 0)
        r = gust_signal_notify(stopper->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(stopper->signals, SIGINT);
    if (r == 0)
        r = gust_go(stop_on_signal, stopper);
    return r;
}

static void announce(gust_listener *listener)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    int procs = gust_maxprocs();

    gust_listener_addr(listener, &addr);
    printf("http_echo: %s%s (%s, %d P%s)\n",
           addr.any.sa_family == AF_UNIX ? ""
           : tls_identity.cert_file      ? "https://"
                                         : "http://",
           gust_addr_format(&addr, text), gust_netpoll_name(), procs, procs == 1 ? "" : "s");
    fflush(stdout);
}

static int open_listener(const gust_addr *addr, gust_listener **ret_listener)
{
    char text[GUST_ADDR_TEXT_MAX];
    int r = gust_listen_activated(addr, ret_listener);

    if (r < 0)
        fprintf(stderr, "http_echo: cannot listen on %s: %s\n", gust_addr_format(addr, text),
                strerror(-r));
    if (r == 0 && (r = tls_listen(*ret_listener)) < 0)
        gust_listener_close(*ret_listener);
    return r;
}

static int serve(void *arg)
{
    struct config *config = arg;
    struct stopper stopper = {0};
    gust_listener *listener;
    int r;

    if (open_listener(&config->addr, &listener) < 0)
        return 1;
    r = gust_http_server_new(&config->server, &stopper.server);
    if (r == 0)
        r = catch_signals(&stopper);
    if (r == 0) {
        announce(listener);
        r = gust_http_server_serve(stopper.server, listener);
    }
    if (r < 0)
        fprintf(stderr, "http_echo: cannot serve: %s\n", strerror(-r));
    gust_http_server_free(stopper.server);
    gust_listener_close(listener);
    gust_chan_unref(stopper.signals);
    return r < 0;
}

/* --- Arguments --------------------------------------------------------------- */

static bool parse_seconds(const char *text, int64_t *ret_ns)
{
    char *end;
    double seconds = strtod(text, &end);

    if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 1e6))
        return false;
    *ret_ns = (int64_t)(seconds * (double)GUST_SEC);
    return *ret_ns > 0; /* 0 would mean the default */
}

static bool parse_option(int option, const char *value, struct config *config)
{
    switch (option) {
    case 'l': return gust_addr_parse(value, &config->addr) == 0;
    case 'h': return parse_seconds(value, &config->server.header_timeout_ns);
    case 'i': return parse_seconds(value, &config->server.idle_timeout_ns);
    case 'd': return config->debug_paths = true;
    default: return false; /* getopt_long has said why */
    }
}

static bool parse_args(int argc, char **argv, struct config *config)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"header-timeout", required_argument, NULL, 'h'},
        {"idle-timeout", required_argument, NULL, 'i'},
        {"debug-paths", no_argument, NULL, 'd'},
        {0},
    };
    bool ok = gust_addr_parse("127.0.0.1:8080", &config->addr) == 0;
    int c, index;

    while (ok && (c = getopt_long(argc, argv, "", options, &index)) != -1) {
        ok = parse_option(c, optarg, config);
        if (!ok && c != '?')
            fprintf(stderr, "http_echo: --%s cannot be '%s'\n", options[index].name, optarg);
    }
    return ok && optind == argc;
}

int main(int argc, char **argv)
{
    struct config config = {.server = {.handler = handle, .arg = &config.debug_paths}};

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    if (!tls_take_args(&argc, argv) || !parse_args(argc, argv, &config)) {
        fputs(usage, stderr);
        return 2;
    }
    return gust_run(serve, &config) == 0 ? 0 : 1;
}
