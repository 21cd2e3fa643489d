/* Whatever the system refuses, and whenever: a call ends with an error or its whole response,
 * nothing is left of it, and the client still works. */
#include "tests/http/scenario.h"

#include "tests/http_client/origin.h"

#include <stdio.h>

#ifndef GUST_DEBUG

Test(client_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

/* A long header, a chunked body of what was sent, a trailer; or a redirect. */
static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    static char value[2000];
    gust_span piece;
    (void)arg;
    if (span_is(gust_http_request_path(req), "/from")) {
        served(gust_http_header(res, "Location", "/to"));
        served(gust_http_status(res, 307));
        return;
    }
    memset(value, 'v', sizeof(value) - 1);
    bool whole = served(gust_http_header(res, "X-Long", value));
    while (gust_http_body_next(req, &piece) > 0)
        whole = whole && moved(gust_http_write(res, piece.data, piece.len));
    whole = whole && served(gust_http_trailer(res, "X-Sum", "1"));
    if (!whole) /* cut it off */
        gust_http_header(res, "Connection", "close");
}

/* An error that some refusal, at either end, may bring. */
static bool went_well(ssize_t result)
{
    if (result == -EBADMSG || result == -ENODATA || result == -ECONNABORTED)
        return false;
    return !is_hang_up(result == 0 ? 1 : (int)result) && served((int)result);
}

static void read_answer(gust_http_call *call)
{
    gust_span piece;
    ssize_t n;
    int status = gust_http_call_wait(call);

    if (!went_well(status) || status != 200)
        return;
    while ((n = gust_http_call_next(call, &piece)) > 0)
        continue;
    if (n == 0 && gust_http_call_response_trailer(call, "X-Sum").data)
        CHECK_EQ(gust_http_call_response_header(call, "X-Long").len, 1999);
    else
        went_well(n);
}

static void put(gust_http_origin *origin)
{
    static char long_value[2000];
    gust_http_call *call;

    memset(long_value, 'v', sizeof(long_value) - 1);
    if (!went_well(gust_http_origin_call(origin, text_span("PUT"), text_span("/"), &call)))
        return;
    if (went_well(gust_http_call_header(call, "A", long_value)) &&
        went_well(gust_http_call_begin(call, -1)) &&
        went_well(gust_http_call_write(call, long_value, 2000)) &&
        went_well(gust_http_call_trailer(call, "B", "c")) && went_well(gust_http_call_end(call)))
        read_answer(call);
    gust_http_call_free(call);
}

static void get(gust_http_client *client, const gust_addr *addr)
{
    gust_http_call *call;
    char url[600];
    int n = snprintf(url, sizeof(url), "http://u:p@127.0.0.1:%u/from?", gust_addr_port(addr));

    memset(url + n, 'x', 400);
    url[n + 400] = '\0';
    if (!went_well(gust_http_call_new(client, "GET", url, &call)))
        return;
    if (went_well(gust_http_call_send(call, NULL, 0)))
        read_answer(call);
    gust_http_call_free(call);
}

static void use_client(gust_http_client *client, const gust_addr *addr)
{
    const gust_http_origin_options options = {.authority = "x", .addr = addr, .conns_max = 1};
    gust_http_origin *origin;

    for (int i = 0; i < 2; i++)
        get(client, addr);
    if (!went_well(gust_http_origin_new(client, &options, &origin)))
        return;
    for (int i = 0; i < 2; i++)
        put(origin);
    gust_http_origin_stats stats;
    gust_http_origin_stats_read(origin, &stats);
    CHECK_EQ(stats.in_use, 0);
    CHECK_EQ(stats.waiting, 0);
    gust_http_origin_unref(origin);
}

static void ask_all(struct place *p)
{
    const gust_http_client_options options = {.redirects_max = 1, .proxy_from_env = true};
    gust_http_client *client;
    gust_addr addr;

    gust_listener_addr(p->listener, &addr);
    gust_waitgroup_add(&p->done, 1);
    if (!served(gust_go(serve, p))) {
        gust_waitgroup_done(&p->done);
        return;
    }
    if (served(gust_http_client_new(&options, &client))) {
        use_client(client, &addr);
        gust_http_client_free(client);
    }
    CHECK_EQ(gust_http_server_shutdown(p->server, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&p->done, SOON), 0);
}

static int calls_main(void *arg)
{
    const gust_http_server_options options = {.handler = answer};
    struct place p = {.server = NULL};
    gust_addr addr;
    (void)arg;
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    if (!served(gust_tcp_listen(&addr, NULL, &p.listener)))
        return 0;
    if (served(gust_http_server_new(&options, &p.server)))
        ask_all(&p);
    gust_http_server_free(p.server);
    gust_listener_close(p.listener);
    return 0;
}

Test(client_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    setenv("HTTP_PROXY", "http://u:p@h:1", 1);
    setenv("NO_PROXY", "*", 1);
    fail_each(INJECT_MALLOC, 1, calls_main);
    fail_each(INJECT_MALLOC, 3, calls_main);
    unsetenv("HTTP_PROXY");
    unsetenv("NO_PROXY");
}

Test(client_inject, descriptors_may_be_refused_by_epoll, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, calls_main);
}

Test(client_inject, entering_the_ring_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_URING_ENTER, 1, calls_main);
}

#endif
