/* Whatever the system refuses, and whenever: a client of the HTTP server gets a
 * whole answer, an error that says so, or the end of its connection; and the server
 * still shuts down. */
#include "tests/http/scenario.h"

#include <gust/http_router.h>

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

Test(http_inject, a_router_may_be_refused_memory, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, router_main);
    fail_each(INJECT_MALLOC, 3, router_main);
}

#endif
