/* Whatever the system refuses, and whenever: a client of the HTTP server gets a
 * whole answer, an error that says so, or the end of its connection; and the server
 * still shuts down. */
#include "tests/core/failures.h"
#include "tests/http/site.h"

#include <gust/http_log.h>
#include <gust/http_operations.h>
#include <gust/http_rate.h>
#include <gust/http_router.h>

#ifndef GUST_DEBUG

Test(http_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

#define SOON gust_after(SITE_WAIT_NS)

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

/* What is asked, of whom, and what may come back. */
struct scenario {
    gust_http_server_options options;
    const char *request;
    void (*check)(gust_span got);
};

static void ask(const gust_addr *addr, const struct scenario *s)
{
    gust_conn *c;
    ssize_t n = 1;
    if (!served(gust_tcp_dial(addr, SOON, &c)))
        return;
    if (moved(gust_conn_write(c, s->request, strlen(s->request), SOON))) {
        while (moved(n = gust_conn_fill(c, 1 << 20, SOON)))
            continue;
        if (n == 0)
            s->check(gust_conn_view(c));
    }
    gust_conn_close(c, GUST_NOW);
}

struct place {
    gust_http_server *server;
    gust_listener *listener;
    gust_waitgroup done;
};

static void serve(void *arg)
{
    struct place *p = arg;
    CHECK_EQ(gust_http_server_serve(p->server, p->listener), 0);
    gust_waitgroup_done(&p->done);
}

static void serve_and_ask(struct place *p, const struct scenario *s)
{
    gust_addr addr;
    gust_listener_addr(p->listener, &addr);
    gust_waitgroup_add(&p->done, 1);
    if (!served(gust_go(serve, p))) {
        gust_waitgroup_done(&p->done);
        return;
    }
    for (int i = 0; i < 3; i++)
        ask(&addr, s);
    CHECK_EQ(gust_http_server_shutdown(p->server, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&p->done, SOON), 0);
}

static void play(const struct scenario *s)
{
    struct place p = {.server = NULL};
    gust_addr addr;
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    if (!served(gust_tcp_listen(&addr, NULL, &p.listener)))
        return;
    if (served(gust_http_server_new(&s->options, &p.server)))
        serve_and_ask(&p, s);
    gust_http_server_free(p.server);
    gust_listener_close(p.listener);
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
