/* What a server logs, counts and reports. */
#include "tests/http/lines.h"
#include "tests/net/net_test.h"

#include <gust/chan.h>
#include <gust/http_hijack.h>
#include <gust/http_operations.h>
#include <gust/http_reply.h>
#include <gust/http_router.h>
#include <gust/panic.h>

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;

    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_http_reply(res, 200, "text/plain", arg, strlen(arg));
}

static void panic(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)res;
    gust_panic("%s", (const char *)arg);
}

static void leave(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)res;
    (void)arg;
    gust_goexit();
}

/* `arg` is the protocol to go on with; NULL: none that HTTP knows of. */
static void take(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;

    if (arg)
        CHECK_EQ(gust_http_upgrade(req, res, arg, &conn), 0);
    else
        CHECK_EQ(gust_http_hijack(req, res, &conn), 0);
    CHECK_EQ(gust_http_response_status(res), arg ? 101 : 0);
    CHECK_EQ(gust_conn_close(conn, gust_after(SITE_WAIT_NS)), 0);
}

static gust_http_router *make_router(void)
{
    static char hello[] = "hello", bug[] = "a bug", echo[] = "echo";
    gust_http_router *router;

    CHECK_EQ(gust_http_router_new(&router), 0);
    CHECK_EQ(gust_http_router_handle(router, "/hello/{x}", answer, hello), 0);
    CHECK_EQ(gust_http_router_handle(router, "/panic", panic, bug), 0);
    CHECK_EQ(gust_http_router_handle(router, "/leave", leave, NULL), 0);
    CHECK_EQ(gust_http_router_handle(router, "/take", take, NULL), 0);
    CHECK_EQ(gust_http_router_handle(router, "/upgrade", take, echo), 0);
    return router;
}

static void quiet(const char *line)
{
    (void)line;
}

/* --- The log ------------------------------------------------------------------------ */

/* One after the other, so that the lines are in this order. */
static const char *const requests[] = {
    "GET /hello/1?q HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YW5uOnB3\r\nReferer: r\r\n"
    "User-Agent: \"u\"\r\nConnection: close\r\n\r\n",
    "HEAD /hello/2 HTTP/1.0\r\nAuthorization: Basic !\r\n\r\n",
    "GET /none HTTP/1.0\r\n\r\n",
    "GET /hello/\"3\" HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n",
    "\r\nBREW /pot HTTP/1.1\r\nHost: a\r\n\r\n",
    "\x16\x03\x01",
    "POST /hello/4 HTTP/1.0\r\nContent-Length: 1000\r\n\r\n",
    "GET /panic HTTP/1.0\r\n\r\n",
    "GET /leave HTTP/1.0\r\n\r\n",
    "GET /take HTTP/1.0\r\n\r\n",
    "GET /upgrade HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n",
};

#define REQUESTS (sizeof(requests) / sizeof(requests[0]))

static const char expected_lines[] =
    "127.0.0.1 - ann [] \"GET /hello/1?q HTTP/1.1\" 200 5 \"r\" \"\\x22u\\x22\"\n"
    "127.0.0.1 - - [] \"HEAD /hello/2 HTTP/1.0\" 200 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /none HTTP/1.0\" 404 10 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /hello/\\x223\\x22 HTTP/1.1\" 400 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"BREW /pot HTTP/1.1\" 501 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"\\x16\\x03\\x01\" 400 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"POST /hello/4 HTTP/1.0\" 413 18 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /panic HTTP/1.0\" 500 22 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /leave HTTP/1.0\" 0 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /take HTTP/1.0\" 0 0 \"-\" \"-\"\n"
    "127.0.0.1 - - [] \"GET /upgrade HTTP/1.1\" 101 0 \"-\" \"-\"\n";

/* A connection that was taken is closed before its request is counted. */
static void await_all_counted(const struct site *site, gust_http_server_stats *ret_stats)
{
    gust_time until = gust_after(SITE_WAIT_NS);
    uint64_t counted;

    do {
        gust_http_server_stats_read(site->server, ret_stats);
        counted = 0;
        for (size_t i = 0; i < 6; i++)
            counted += ret_stats->responses[i];
        gust_yield();
    } while (counted < REQUESTS && gust_now() < until);
}

/* One that is cut off may be seen as a reset. */
static void ask_and_forget(const struct site *site, const char *request)
{
    gust_conn *conn = site_dial(site);

    client_send(conn, request);
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, gust_after(SITE_WAIT_NS)) > 0)
        continue;
    client_close(conn);
}

static int log_all(void *arg)
{
    gust_http_router *router = make_router();
    gust_http_server_stats stats;
    struct lines lines;
    struct site site;

    (void)arg;
    lines_open(&lines, GUST_HTTP_LOG_COMBINED);
    site_start(&site, &(gust_http_server_options){.handler = gust_http_router_serve,
                                                  .arg = router,
                                                  .body_bytes_max = 100,
                                                  .log = lines.log});
    for (size_t i = 0; i < REQUESTS; i++) {
        ask_and_forget(&site, requests[i]);
        lines_await(&lines, i + 1);
    }
    await_all_counted(&site, &stats);
    site_stop(&site);
    lines_close(&lines);
    lines_drop_times(&lines);
    if (strcmp(lines.text, expected_lines) != 0)
        gust_panic("got\n%s", lines.text);
    CHECK_EQ(stats.accepted, REQUESTS);
    CHECK_EQ(stats.responses[0], 2);
    CHECK_EQ(stats.responses[1], 1);
    CHECK_EQ(stats.responses[2], 2);
    CHECK_EQ(stats.responses[4], 4);
    CHECK_EQ(stats.responses[5], 2);
    gust_http_router_free(router);
    return 0;
}

Test(access, every_request_has_its_line_and_is_counted)
{
    gust_set_log(quiet);
    test_run(log_all, NULL);
}

static int log_json(void *arg)
{
    gust_http_router *router = make_router();
    struct lines lines;
    struct site site;

    (void)arg;
    lines_open(&lines, GUST_HTTP_LOG_JSON);
    site_start(&site, &(gust_http_server_options){
                          .handler = gust_http_router_serve, .arg = router, .log = lines.log});
    ask_and_forget(&site, "GET /hello/x HTTP/1.1\r\nHost: h:1\r\nConnection: close\r\n\r\n");
    lines_await(&lines, 1);
    CHECK(strstr(lines.text, "\"addr\":\"127.0.0.1\",\"user\":null,\"host\":\"h:1\","
                             "\"request\":\"GET /hello/x HTTP/1.1\",\"protocol\":\"HTTP/1.1\","
                             "\"tls\":null,\"pattern\":\"/hello/{x}\",\"status\":200,"
                             "\"bytes\":5,\"seconds\":"));
    /* Also of a connection that stays and asks again. */
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 2; i++) {
        client_send(conn, "GET /hello/x HTTP/1.1\r\nHost: a\r\n\r\n");
        free(client_read_reply(conn).text);
    }
    lines_await(&lines, 3);
    client_close(conn);
    site_stop(&site);
    lines_close(&lines);
    gust_http_router_free(router);
    return 0;
}

Test(access, json_has_the_pattern_and_the_host)
{
    test_run(log_json, NULL);
}

/* --- The hook -------------------------------------------------------------------------- */

struct seen {
    gust_chan *errors;
};

static void note_error(const gust_http_error_info *error, void *arg)
{
    gust_http_error_info copy = *error;
    struct seen *seen = arg;

    if (copy.kind == GUST_HTTP_ERROR_PANIC)
        CHECK_EQ(strcmp(error->text, "a bug"), 0);
    else
        CHECK_EQ(error->text[0], '\0');
    CHECK_EQ(copy.remote.any.sa_family, AF_INET);
    copy.text = NULL;
    CHECK_EQ(gust_chan_send(seen->errors, &copy, GUST_NOW), 0);
}

static const struct {
    const char *request;
    gust_http_error_kind kind;
    int status, error;
} errors[] = {
    {"GET / HTTP/1.1\r\n\r\n", GUST_HTTP_ERROR_MALFORMED, 400, 0},
    {"BREW / HTTP/1.0\r\n\r\n", GUST_HTTP_ERROR_UNSUPPORTED, 501, 0},
    {"GET / HTTP/3.0\r\n\r\n", GUST_HTTP_ERROR_UNSUPPORTED, 505, 0},
    {"GET /0123456789012345678901234567890123456789", GUST_HTTP_ERROR_REQUEST_LINE, 414, 0},
    {"GET / HTTP/1.0\r\na: b\r\na: b\r\na: b\r\na: b\r\n\r\n", GUST_HTTP_ERROR_HEADER_LIMIT, 431,
     0},
    {"GET / HTTP/1.0\r\na: b", GUST_HTTP_ERROR_HEADER_TIMEOUT, 408, -ETIMEDOUT},
    {"", GUST_HTTP_ERROR_HEADER_TIMEOUT, 0, -ETIMEDOUT},
    {"POST /hello/x HTTP/1.0\r\nContent-Length: 1000\r\n\r\n", GUST_HTTP_ERROR_BODY_LIMIT, 413,
     -EMSGSIZE},
    {"POST /hello/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx",
     GUST_HTTP_ERROR_MALFORMED, 400, -EBADMSG},
    {"POST /hello/x HTTP/1.0\r\nContent-Length: 10\r\n\r\n", GUST_HTTP_ERROR_BODY_TIMEOUT, 408,
     -ETIMEDOUT},
    {"GET /panic HTTP/1.0\r\n\r\n", GUST_HTTP_ERROR_PANIC, 500, 0},
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

static int report_all(void *arg)
{
    gust_http_router *router = make_router();
    gust_http_server_stats stats;
    struct seen seen;
    struct site site;
    uint64_t counted = 0;

    (void)arg;
    CHECK_EQ(gust_chan_new(sizeof(gust_http_error_info), 1, &seen.errors), 0);
    site_start(&site, &(gust_http_server_options){.handler = gust_http_router_serve,
                                                  .arg = router,
                                                  .body_bytes_max = 100,
                                                  .request_line_max = 40,
                                                  .header_fields_max = 3,
                                                  .header_timeout_ns = GUST_SEC,
                                                  .read_timeout_ns = 50 * GUST_MS,
                                                  .on_error = note_error,
                                                  .hook_arg = &seen});
    for (size_t i = 0; i < ERRORS; i++) {
        gust_http_error_info got;
        ask_and_forget(&site, errors[i].request);
        CHECK_EQ(gust_chan_recv(seen.errors, &got, gust_after(SITE_WAIT_NS)), 1);
        if (got.kind != errors[i].kind || got.status != errors[i].status ||
            got.error != errors[i].error)
            gust_panic("%s: %s, %d, %d", errors[i].request, gust_http_error_name(got.kind),
                       got.status, got.error);
    }
    gust_http_server_stats_read(site.server, &stats);
    for (int i = 0; i < GUST_HTTP_ERROR_KINDS; i++)
        counted += stats.errors[i];
    CHECK_EQ(counted, ERRORS);
    site_stop(&site);
    gust_chan_unref(seen.errors);
    gust_http_router_free(router);
    return 0;
}

Test(access, the_hook_hears_of_every_error_once)
{
    gust_set_log(quiet);
    test_run(report_all, NULL);
}

/* --- States of connections ------------------------------------------------------------------ */

static gust_http_server_stats stats_of(const struct site *site)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats;
}

static size_t conns_of(const struct site *site)
{
    gust_http_server_stats stats = stats_of(site);

    return stats.conns_new + stats.conns_active + stats.conns_idle + stats.conns_closing;
}

/* It lingers for what this client might yet send, but not for long: if that was over
 * before anybody looked, another one is tried.  Leaves it open. */
static gust_conn *find_closing(const struct site *site, size_t others)
{
    gust_time until = gust_after(SITE_WAIT_NS);

    for (;;) {
        gust_conn *conn = site_dial(site);
        uint64_t answered = stats_of(site).responses[2];
        client_send(conn, "GET / HTTP/1.0\r\n\r\n");
        AWAIT_SOON(stats_of(site).responses[2] > answered);
        while (conns_of(site) > others) {
            CHECK(gust_now() < until);
            if (stats_of(site).conns_closing == 1)
                return conn;
            gust_yield();
        }
        client_close(conn);
    }
}

static int count_states(void *arg)
{
    static char hello[] = "hello";
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer, .arg = hello});
    gust_conn *fresh = site_dial(&site), *idle = site_dial(&site), *active = site_dial(&site);
    AWAIT_SOON(stats_of(&site).conns_new == 3);
    client_send(idle, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    free(client_read_reply(idle).text);
    AWAIT_SOON(stats_of(&site).conns_idle == 1);
    client_send(active, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    AWAIT_SOON(stats_of(&site).conns_active == 1);
    gust_http_server_stats stats = stats_of(&site);
    CHECK_EQ(stats.accepted, 3);
    CHECK_EQ(stats.conns_new, 1);
    CHECK_EQ(stats.conns_idle, 1);
    CHECK_EQ(stats.conns_active, 1);
    CHECK_EQ(stats.responses[2], 1);
    gust_conn *closing = find_closing(&site, 3);
    client_close(closing);
    client_close(fresh);
    client_close(idle);
    client_close(active);
    AWAIT_SOON(conns_of(&site) == 0);
    site_stop(&site);
    return 0;
}

Test(access, connections_are_counted_by_state)
{
    test_run(count_states, NULL);
}
