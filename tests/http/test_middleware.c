/* Layers around handlers: their order, what they may do, where they apply. */
#include "tests/http/site.h"

#include <gust/http_router.h>
#include <gust/panic.h>

#include <stdio.h>

/* What ran, a letter each, in the order it ran. */
static char trace[64];

static void note(char letter)
{
    size_t n = strlen(trace);

    CHECK(n + 1 < sizeof(trace));
    trace[n] = letter;
    trace[n + 1] = '\0';
}

static void around(gust_http_request *req, gust_http_response *res, gust_http_next *next, void *arg)
{
    const char *letters = arg;

    (void)req;
    (void)res;
    note(letters[0]);
    gust_http_next_run(next);
    note(letters[1]);
}

static void refuse(gust_http_request *req, gust_http_response *res, gust_http_next *next, void *arg)
{
    (void)req;
    (void)next;
    (void)arg;
    note('!');
    gust_http_reply(res, 403, NULL, NULL, 0);
}

static void add_field(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                      void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "X-Layer", "last"), 0);
    gust_http_next_run(next);
}

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    note('h');
    gust_http_reply(res, 200, NULL, NULL, 0);
}

static char a[] = "Aa", b[] = "Bb", c[] = "Cc", r[] = "Rr";

static const gust_http_layer abc[] = {{around, a}, {around, b}, {around, c}};
static const gust_http_layer guarded[] = {{around, a}, {refuse, NULL}, {around, c}};

static void expect_trace(const struct site *site, const char *path, const char *expected_trace,
                         const char *start)
{
    char request[100];

    trace[0] = '\0';
    sprintf(request, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
    expect_reply_start(site_ask(site, request), path, start);
    if (strcmp(trace, expected_trace) != 0)
        gust_panic("%s: %s instead of %s", path, trace, expected_trace);
}

/* --- Chains ------------------------------------------------------------------------- */

static int serve_a_chain(void *arg)
{
    gust_http_chain inner = {abc, 1, handle, NULL};
    gust_http_chain outer = {abc + 1, 2, gust_http_chain_serve, &inner};
    gust_http_chain bare = {NULL, 0, gust_http_chain_serve, &outer};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &bare});
    expect_trace(&site, "/", "BCAhacb", "HTTP/1.1 200 ");
    site_stop(&site);
    return 0;
}

Test(middleware, the_first_layer_is_outermost)
{
    test_run(serve_a_chain, NULL);
}

static int serve_a_guarded_chain(void *arg)
{
    gust_http_chain chain = {guarded, 3, handle, NULL};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &chain});
    expect_trace(&site, "/", "A!a", "HTTP/1.1 403 ");
    site_stop(&site);
    return 0;
}

Test(middleware, a_layer_may_answer_by_itself)
{
    test_run(serve_a_guarded_chain, NULL);
}

static void note_deferred(void *arg)
{
    (void)arg;
    note('d');
}

static void defer(gust_http_request *req, gust_http_response *res, gust_http_next *next, void *arg)
{
    (void)req;
    (void)res;
    CHECK_EQ(gust_defer(note_deferred, arg), 0);
    gust_http_next_run(next);
    note('x');
}

static void panic(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)res;
    (void)arg;
    gust_panic("in a handler");
}

static int panic_in_a_chain(void *arg)
{
    static const gust_http_layer layers[] = {{around, a}, {defer, NULL}};
    gust_http_chain chain = {layers, 2, panic, NULL};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &chain});
    expect_trace(&site, "/", "Ad", "HTTP/1.1 500 ");
    site_stop(&site);
    return 0;
}

Test(middleware, a_panic_passes_through_and_runs_what_was_deferred)
{
    test_run(panic_in_a_chain, NULL);
}

/* --- Routers ------------------------------------------------------------------------- */

static void look_at_route(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                          void *arg)
{
    const char *pattern = gust_http_request_pattern(req);

    (void)arg;
    CHECK_EQ(gust_http_header(res, "X-Pattern", pattern ? pattern : "none"), 0);
    CHECK_EQ(gust_http_header_span(res, "X-Id", gust_http_path_value(req, "id")), 0);
    gust_http_next_run(next);
}

static void build(gust_http_router *router, gust_http_chain *one_route)
{
    CHECK_EQ(gust_http_router_use(router, around, r), 0);
    CHECK_EQ(gust_http_router_handle(router, "/plain/{id}", handle, NULL), 0);
    CHECK_EQ(gust_http_router_handle(router, "/chain/", gust_http_chain_serve, one_route), 0);
    CHECK_EQ(gust_http_router_use(router, look_at_route, NULL), 0);
    CHECK_EQ(gust_http_router_use(router, add_field, NULL), 0);
}

/* The server's fields come first. */
static void expect_route(const struct site *site, const char *path, const char *expected_trace,
                         const char *status, const char *fields)
{
    char request[100];

    trace[0] = '\0';
    sprintf(request, "GET %s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", path);
    struct reply got = site_ask(site, request);
    if (strcmp(trace, expected_trace) != 0 || strncmp(got.text + 9, status, 3) != 0 ||
        !strstr(got.text, fields))
        gust_panic("%s: %s\n%s\ninstead of %s\n%s %s", path, trace, got.text, expected_trace,
                   status, fields);
    free(got.text);
}

static int route(void *arg)
{
    gust_http_chain one_route = {abc, 2, handle, NULL};
    gust_http_router *router;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_http_router_new(&router), 0);
    build(router, &one_route);
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = router});
    expect_route(&site, "/plain/%37", "Rhr", "200",
                 "X-Pattern: /plain/{id}\r\nX-Id: 7\r\nX-Layer: last\r\n");
    expect_route(&site, "/chain/", "RABhbar", "200", "X-Pattern: /chain/\r\nX-Id: \r\n");
    expect_route(&site, "/chain", "Rr", "301", "X-Pattern: none\r\nX-Id: \r\nX-Layer: last\r\n");
    expect_route(&site, "/nothing", "Rr", "404", "X-Pattern: none\r\n");
    expect_route(&site, "/%", "Rr", "400", "X-Pattern: none\r\n");
    site_stop(&site);
    gust_http_router_free(router);
    return 0;
}

Test(middleware, of_a_router_is_around_all_it_answers_and_knows_the_route)
{
    test_run(route, NULL);
}
