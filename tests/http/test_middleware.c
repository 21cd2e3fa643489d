/* Layers around handlers: their order, what they may do, where they apply. */
#include "tests/http/site.h"

#include <gust/http_middleware.h>
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

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    note('h');
    gust_http_reply(res, 200, NULL, NULL, 0);
}

static char a[] = "Aa", b[] = "Bb", c[] = "Cc";

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
