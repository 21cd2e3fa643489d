/* A small HTTP server: says hello and echoes what it is sent.
 *
 *     http_echo [--listen ADDR:PORT|unix:/PATH] [--header-timeout SECONDS]
 *               [--idle-timeout SECONDS] [--debug-paths] [--tls-cert FILE --tls-key FILE]
 *
 *     GET  /       Hello, World!
 *     POST /echo   the request's body, of any length, as it comes in
 *
 * With --debug-paths, to see that a handler which knows nothing of gust stalls
 * nobody:
 *
 *     GET  /block?ms=N   sleeps in plain usleep(3)
 *     GET  /spin?ms=N    burns CPU */
#include <unistd.h>

#include "examples/serve.h"

#define DEBUG_MS_MAX 60000

static const char hello[] = "Hello, World!";

static bool debug_paths;
static gust_http_server_options server;

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
    } else if (debug_paths && span_is(path, "/block")) {
        answer_after(req, res, block);
    } else if (debug_paths && span_is(path, "/spin")) {
        answer_after(req, res, spin);
    } else {
        gust_http_reply(res, 404, "text/plain", "Not Found\n", 10);
    }
}

static int serve(void *arg)
{
    server.handler = handle;
    return app_serve(&(app){.options = server});
}

int main(int argc, char **argv)
{
    static const option options[] = {
        {"--header-timeout", "SECONDS", "for a client to send a request's header (10)",
         option_seconds, &server.header_timeout_ns},
        {"--idle-timeout", "SECONDS", "between two requests of a connection (60)", option_seconds,
         &server.idle_timeout_ns},
        {"--debug-paths", NULL, "/block?ms=N sleeps, /spin?ms=N burns CPU, unannounced",
         option_flag, &debug_paths},
        APP_OPTIONS,
        {0}};
    return app_main(argv, options, serve);
}
