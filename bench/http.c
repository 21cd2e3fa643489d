/* The server that `bench http`, `latency` and `soak` measure: a router with 50 routes.
 *
 *     http ADDRESS:PORT DIRECTORY
 *
 *     GET /users/{id}       13 bytes
 *     POST /echo            the request's body
 *     GET /files/{path...}  what lies in DIRECTORY
 *     GET /events           three server-sent events
 *     GET /slow             13 bytes, 10 ms later
 *     GET /chunked          64 KiB in pieces, of unknown length
 *
 * and others like them.  SIGTERM ends it, with status 1 if it leaves goroutines behind. */
#include <gust/chan.h>
#include <gust/debug.h>
#include <gust/http_files.h>
#include <gust/http_router.h>
#include <gust/http_sse.h>
#include <gust/runtime.h>
#include <gust/signal.h>
#include <gust/timer.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define ROUTES 50
#define EVENTS 3
#define SHUTDOWN_NS (5 * GUST_SEC)
#define CHUNKED_SIZE ((size_t)64 << 10)
#define PIECE_SIZE ((size_t)4 << 10)

typedef struct server {
    const char *address;
    const char *directory;
    gust_http_router *router;
    gust_http_files *files;
    gust_http_server *http;
    gust_listener *listener;
    gust_chan *signals;
} server;

/* --- Handlers ------------------------------------------------------------- */

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, "text/plain", "Hello, World!", 13);
}

static void slow(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_sleep(10 * GUST_MS);
    hello(req, res, arg);
}

static void echo(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span length = gust_http_request_header(req, "Content-Length");
    gust_span piece;

    (void)arg;
    if (length.data)
        gust_http_header_span(res, "Content-Length", length);
    while (gust_http_body_next(req, &piece) > 0) {
        if (gust_http_write(res, piece.data, piece.len) < 0)
            return;
    }
}

static void chunked(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char piece[PIECE_SIZE];

    (void)req;
    (void)arg;
    for (size_t sent = 0; sent < CHUNKED_SIZE; sent += PIECE_SIZE)
        if (gust_http_write(res, piece, PIECE_SIZE) < 0)
            return;
}

static void events(gust_http_request *req, gust_http_response *res, void *arg)
{
    const gust_http_sse_event tick = {.data = {"tick", 4}};

    (void)req;
    (void)arg;
    if (gust_http_sse_start(res) < 0)
        return;
    for (int i = 0; i < EVENTS; i++)
        if (gust_http_sse_send(res, &tick) < 0)
            return;
}

/* --- Life ----------------------------------------------------------------- */

static int route_others(gust_http_router *router)
{
    static const char *const kinds[] = {"orders", "items", "carts", "teams"};
    char pattern[64];
    int r = 0;

    for (unsigned i = 0; r == 0 && i < ROUTES - 6; i++) {
        snprintf(pattern, sizeof pattern, "GET /api/v%u/%s/{id}%s", i / 8, kinds[i % 4],
                 i % 8 < 4 ? "" : "/parts");
        r = gust_http_router_handle(router, pattern, hello, NULL);
    }
    return r;
}

static int route_all(server *s)
{
    const struct {
        const char *pattern;
        gust_http_handler *handler;
    } routes[] = {
        {"GET /users/{id}", hello},
        {"POST /echo", echo},
        {"GET /files/{path...}", gust_http_files_serve},
        {"GET /events", events},
        {"GET /slow", slow},
        {"GET /chunked", chunked},
    };
    int r = gust_http_router_new(&s->router);

    for (size_t i = 0; r == 0 && i < sizeof routes / sizeof *routes; i++)
        r = gust_http_router_handle(s->router, routes[i].pattern, routes[i].handler, s->files);
    return r ? r : route_others(s->router);
}

static void stop_on_signal(void *arg)
{
    server *s = arg;
    int signo;

    gust_chan_recv(s->signals, &signo, GUST_FOREVER);
    gust_http_server_shutdown(s->http, gust_after(SHUTDOWN_NS));
}

static int start(server *s)
{
    const gust_http_files_options files = {.root = s->directory};
    /* No load is to wait for a client's patience, nor to be cut off by it. */
    gust_http_server_options options = {.handler = gust_http_router_serve,
                                        .idle_timeout_ns = 3600 * GUST_SEC};
    gust_addr addr;
    int r = gust_http_files_new(&files, &s->files);

    if (r == 0)
        r = route_all(s);
    options.arg = s->router;
    if (r == 0)
        r = gust_http_server_new(&options, &s->http);
    if (r == 0)
        r = gust_addr_parse(s->address, &addr);
    if (r == 0)
        r = gust_listen(&addr, &s->listener);
    if (r == 0)
        r = gust_chan_new(sizeof(int), 1, &s->signals);
    if (r == 0)
        r = gust_signal_notify(s->signals, SIGTERM);
    return r ? r : gust_go(stop_on_signal, s);
}

static int serve(void *arg)
{
    server *s = arg;
    gust_leaks leaks;
    gust_leaks_begin(&leaks);
    int r = start(s);

    if (r == 0)
        r = gust_http_server_serve(s->http, s->listener);
    if (r < 0)
        fprintf(stderr, "http: %s, %s: %s\n", s->address, s->directory, strerror(-r));
    gust_http_server_free(s->http);
    gust_listener_close(s->listener);
    gust_http_router_free(s->router);
    gust_http_files_free(s->files);
    gust_chan_unref(s->signals);
    return r < 0 || gust_leaks_end(&leaks, 2, gust_after(SHUTDOWN_NS)) > 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: http ADDRESS:PORT DIRECTORY\n");
        return 2;
    }
    server s = {.address = argv[1], .directory = argv[2]};
    return gust_run(serve, &s) == 0 ? 0 : 1;
}
