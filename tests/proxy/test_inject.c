/* Whatever the system refuses, and whenever: a client gets a whole response, an error, or a
 * broken one, and nothing is left of the request. */
#include "tests/http/scenario.h"

#include <gust/http_proxy.h>

#include <stdio.h>

#ifndef GUST_DEBUG

Test(proxy_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

#define VALUE_LEN 2500
#define ANSWER_END "\r\n0\r\nX-Sum: 1\r\n\r\n"

/* A long header, what was sent in chunks, a trailer. */
static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    char value[VALUE_LEN + 1] = {0};
    gust_span piece;
    ssize_t n;
    (void)arg;
    memset(value, 'v', VALUE_LEN);
    bool whole = served(gust_http_header(res, "X-Long", value));
    while ((n = gust_http_body_next(req, &piece)) > 0)
        whole = whole && moved(gust_http_write(res, piece.data, piece.len));
    whole = whole && served(gust_http_trailer(res, "X-Sum", "1"));
    if (!whole || n < 0)
        gust_http_status(res, 500);
}

/* Of a 200 what is there at the end of its length is its end, or it is a broken one. */
static void check_reply(gust_span got)
{
    if (got.len == 0 || memmem(got.data, got.len, " 500 ", 5))
        return;
    CHECK(got.len > 12 && memcmp(got.data, "HTTP/1.1 ", 9) == 0);
    bool is_error = got.data[9] == '5' || got.data[9] == '4';
    bool is_ok = memcmp(got.data + 9, "200", 3) == 0;
    CHECK(is_error || is_ok);
    size_t end = strlen(ANSWER_END);
    if (is_ok && memmem(got.data, got.len, "\r\n0\r\n", 5))
        CHECK_EQ(memcmp(got.data + got.len - end, ANSWER_END, end), 0);
}

/* The second is streamed, since not all of it has a length. */
static const char *const requests[] = {
    "GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    "3\r\nabc\r\n4\r\ndefg\r\n0\r\nX-T: 1\r\n\r\n",
};

static void ask_through(const gust_addr *front)
{
    static char request[VALUE_LEN + 512];
    for (int i = 0; i < 2; i++) {
        /* A header that needs more than the usual room. */
        const char *fields = strchr(requests[i], '\n') + 1;
        int n = snprintf(request, sizeof(request), "%.*sX-Long: ", (int)(fields - requests[i]),
                         requests[i]);
        memset(request + n, 'v', VALUE_LEN);
        snprintf(request + n + VALUE_LEN, sizeof(request) - (size_t)n - VALUE_LEN, "\r\n%s",
                 fields);
        const struct scenario s = {.request = request, .check = check_reply};
        ask(front, &s);
    }
}

/* A server on a port of its own; false if it was refused. */
static bool place_open(struct place *p, const gust_http_server_options *options)
{
    gust_addr addr;
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    if (!served(gust_tcp_listen(&addr, NULL, &p->listener)))
        return false;
    if (!served(gust_http_server_new(options, &p->server)))
        return false;
    gust_waitgroup_add(&p->done, 1);
    if (served(gust_go(serve, p)))
        return true;
    gust_waitgroup_done(&p->done);
    return false;
}

static void place_close(struct place *p)
{
    if (p->server)
        CHECK_EQ(gust_http_server_shutdown(p->server, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&p->done, SOON), 0);
    gust_http_server_free(p->server);
    gust_listener_close(p->listener);
}

static void front_stats_check(const gust_http_upstream_stats *stats, void *arg)
{
    (void)arg;
    CHECK_EQ(stats->in_flight, 0);
}

static void proxy_to(const gust_addr *upstream)
{
    char text[GUST_ADDR_TEXT_MAX], url[GUST_ADDR_TEXT_MAX + 8];
    const gust_http_upstream one = {.url = url};
    const gust_http_proxy_options options = {.upstreams = &one,
                                             .upstream_count = 1,
                                             .forwarded = true,
                                             .check_path = "/",
                                             .check_interval_ns = 3600 * GUST_SEC};
    struct place front = {.server = NULL};
    gust_http_proxy *proxy;
    gust_addr addr;

    snprintf(url, sizeof(url), "http://%s/z", gust_addr_format(upstream, text));
    if (!served(gust_http_proxy_new(&options, &proxy)))
        return;
    if (place_open(&front,
                   &(gust_http_server_options){.handler = gust_http_proxy_serve, .arg = proxy})) {
        gust_listener_addr(front.listener, &addr);
        ask_through(&addr);
        served(gust_http_proxy_reload(proxy, &options));
        ask_through(&addr);
    }
    place_close(&front);
    gust_http_proxy_stats_read(proxy, front_stats_check, NULL);
    gust_http_proxy_free(proxy);
}

static int proxy_main(void *arg)
{
    struct place upstream = {.server = NULL};
    gust_addr addr;
    (void)arg;
    if (place_open(&upstream, &(gust_http_server_options){.handler = answer})) {
        gust_listener_addr(upstream.listener, &addr);
        proxy_to(&addr);
    }
    place_close(&upstream);
    return 0;
}

Test(proxy_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, proxy_main);
    fail_each(INJECT_MALLOC, 3, proxy_main);
}

Test(proxy_inject, descriptors_may_be_refused_by_epoll, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, proxy_main);
}

#endif
