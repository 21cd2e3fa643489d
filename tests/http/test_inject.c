/* Whatever the system refuses, and whenever: a client of the HTTP server gets a
 * whole answer, an error that says so, or the end of its connection; and the server
 * still shuts down. */
#include "tests/http/scenario.h"

#include <gust/http_hijack.h>
#include <gust/http_log.h>
#include <gust/http_operations.h>
#include <gust/http_rate.h>
#include <gust/http_reply.h>
#include <gust/http_router.h>
#include <gust/http_sse.h>

#include <stdio.h>

#ifndef GUST_DEBUG

Test(http_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

/* Memory for the head (it has a body), for many fields, and for the body. */
static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    char body[3000];
    gust_span piece;
    int added = 0;
    (void)arg;
    memset(body, 'b', sizeof body);
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    for (int i = 0; i < 200; i++)
        added += served(gust_http_header(res, "X-Field", "some value, and not a short one"));
    if (added < 200)
        served(gust_http_status(res, 503));
    for (int i = 0; i < 4; i++)
        if (!moved(gust_http_write(res, body, sizeof body)))
            return;
    served(gust_http_trailer(res, "X-Sum", "12000"));
}

/* One of the three, and a 200 is complete. */
static void check_answer(gust_span got)
{
    static const char ok[] = "HTTP/1.1 200 ", refused[] = "HTTP/1.1 503 ";
    if (got.len == 0)
        return;
    if (got.len >= sizeof ok && memcmp(got.data, ok, sizeof ok - 1) == 0) {
        size_t fields = 0;
        for (const char *at = got.data;
             (at = memmem(at, got.len - (size_t)(at - got.data), "X-Field: ", 9)); at++)
            fields++;
        CHECK_EQ(fields, 200);
    } else {
        CHECK(got.len >= sizeof refused && memcmp(got.data, refused, sizeof refused - 1) == 0);
    }
}

static int request_main(void *arg)
{
    static const struct scenario scenario = {
        .options = {.handler = answer},
        .request = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                   "Content-Length: 10\r\n\r\n0123456789",
        .check = check_answer,
    };
    (void)arg;
    play(&scenario);
    return 0;
}

Test(http_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, request_main);
    fail_each(INJECT_MALLOC, 3, request_main);
}

Test(http_inject, descriptors_may_be_refused_by_epoll, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, request_main);
    fail_each(INJECT_EPOLL_ADD, 3, request_main);
}

Test(http_inject, entering_the_ring_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_URING_ENTER, 1, request_main);
    fail_each(INJECT_URING_ENTER, 3, request_main);
}

/* --- A router -------------------------------------------------------------------- */

static void answer_value(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span value = gust_http_path_value(req, "x");
    (void)arg;
    gust_http_reply(res, value.data ? 200 : 503, NULL, value.data, value.len);
}

/* A value that has to be decoded, and a redirect: right, or refused. */
static void check_routed(gust_span got)
{
    bool is_value = memmem(got.data, got.len, "HTTP/1.1 200 ", 13) != NULL;
    bool is_redirect = memmem(got.data, got.len, "HTTP/1.1 301 ", 13) != NULL;
    if (is_value)
        CHECK(memmem(got.data, got.len, "\r\n\r\na b", 7) != NULL);
    if (is_redirect)
        CHECK(memmem(got.data, got.len, "\r\nLocation: /c?d\r\n", 18) != NULL);
    CHECK(got.len == 0 || (is_value && is_redirect) ||
          memmem(got.data, got.len, "HTTP/1.1 503 ", 13) != NULL);
}

static int router_main(void *arg)
{
    struct scenario scenario = {
        .options = {.handler = gust_http_router_serve},
        .request = "GET /a%20b HTTP/1.1\r\nHost: x\r\n\r\n"
                   "GET /./c?d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        .check = check_routed,
    };
    gust_http_router *router;
    (void)arg;
    if (!served(gust_http_router_new(&router)))
        return 0;
    scenario.options.arg = router;
    if (served(gust_http_router_handle(router, "/{x}", answer_value, NULL)))
        play(&scenario);
    gust_http_router_free(router);
    return 0;
}

/* --- All ways to answer ------------------------------------------------------------ */

static void take(gust_http_request *req, gust_http_response *res)
{
    gust_conn *conn;
    if (!served(gust_http_hijack(req, res, &conn))) {
        served(gust_http_error(res, 503, NULL));
        return;
    }
    moved(gust_conn_write(conn, "HTTP/1.1 200 taken", 18, SOON));
    gust_conn_close(conn, SOON);
}

/* Long enough for the heap each time. */
static void answer_as_asked(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char much[3000];
    const gust_http_field field = {{"Link", 4}, {"</a>", 4}};
    gust_span path = gust_http_request_path(req);
    (void)arg;
    if (span_is(path, "/redirect")) {
        if (!served(gust_http_redirect(req, res, 302, "elsewhere")))
            served(gust_http_error(res, 503, NULL));
    } else if (span_is(path, "/print")) {
        served(gust_http_inform(res, 103, &field, 1));
        if (!moved(gust_http_printf(res, "%*s", (int)sizeof much, "x")))
            gust_http_error(res, 503, NULL);
    } else if (span_is(path, "/events")) {
        if (served(gust_http_sse_start(res)) && served(gust_http_sse_comment(res, "still there")))
            served(gust_http_sse_send(res, &(gust_http_sse_event){.data = {much, sizeof much}}));
    } else {
        take(req, res);
    }
}

static void check_answered(gust_span got)
{
    CHECK(got.len == 0 || (got.len > 9 && memcmp(got.data, "HTTP/1.1 ", 9) == 0));
}

static int answers_main(void *arg)
{
    static const char *const paths[] = {"redirect", "print", "events", "take"};
    const size_t goroutines = gust_num_goroutines();
    (void)arg;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        char request[128];
        const struct scenario scenario = {
            .options = {.handler = answer_as_asked},
            .request = request,
            .check = check_answered,
        };
        snprintf(request, sizeof request,
                 "GET /%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", paths[i]);
        play(&scenario);
    }
    /* No shutdown waits for one that has taken its connection. */
    while (gust_num_goroutines() > goroutines)
        gust_yield();
    return 0;
}

Test(http_inject, answers_of_all_kinds_may_be_refused_memory, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, answers_main);
    fail_each(INJECT_MALLOC, 3, answers_main);
}

Test(http_inject, a_router_may_be_refused_memory, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, router_main);
    fail_each(INJECT_MALLOC, 3, router_main);
}

/* --- A log, a table of clients, a limit on their requests ---------------------------- */

static int drop_lines(const char *lines, size_t len, void *arg)
{
    (void)lines;
    (void)len;
    (void)arg;
    return 0;
}

static void say_ok(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "ok", 2);
}

static void check_ok(gust_span got)
{
    CHECK(got.len == 0 || memmem(got.data, got.len, "HTTP/1.1 200 ", 13) ||
          memmem(got.data, got.len, "HTTP/1.1 503 ", 13));
}

static void play_with(gust_http_log *log, gust_http_rate *rate)
{
    gust_proxy_prefix trusted = {.bits = 8};
    const gust_http_layer layer = {gust_http_rate_layer, rate};
    gust_http_chain chain = {&layer, 1, say_ok, NULL};
    struct scenario scenario = {
        .options = {.handler = gust_http_chain_serve,
                    .arg = &chain,
                    .log = log,
                    .client_connections_max = 100,
                    .trusted_proxies = &trusted,
                    .trusted_proxy_count = 1},
        .request = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        .check = check_ok,
    };

    CHECK_EQ(gust_addr_parse("127.0.0.0:0", &trusted.addr), 0);
    play(&scenario);
}

static int operations_main(void *arg)
{
    const gust_http_log_options options = {.write = drop_lines, .flush_ns = GUST_MS};
    gust_http_rate *rate = NULL;
    gust_http_log *log;
    (void)arg;
    if (!served(gust_http_log_new(&options, &log)))
        return 0;
    if (served(gust_http_rate_new(&(gust_http_rate_options){.requests = 1000}, &rate)))
        play_with(log, rate);
    gust_http_rate_free(rate);
    CHECK_EQ(gust_http_log_close(log, SOON), 0);
    return 0;
}

Test(http_inject, what_operators_ask_for_may_be_refused_memory, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, operations_main);
    fail_each(INJECT_MALLOC, 3, operations_main);
}

#endif
