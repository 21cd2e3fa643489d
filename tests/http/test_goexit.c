/* A handler that ends its goroutine ends its connection, and nothing else. */
#include "tests/http/site.h"

#include <gust/panic.h>

#include <stdatomic.h>

#define HEAD " HTTP/1.1\r\nHost: a\r\n"
#define GET(target) "GET " target HEAD "\r\n"
#define FINE_HEAD "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"
#define FINE FINE_HEAD "fine"

static atomic_int deferred;

static void count(void *arg)
{
    (void)arg;
    atomic_fetch_add(&deferred, 1);
}

static void count_and_panic(void *arg)
{
    count(arg);
    gust_panic("on the way out");
}

/* When it leaves is the query of its request. */
static bool is_asked(const gust_http_request *req, const char *what)
{
    return span_is(gust_http_request_query(req), what);
}

static void leave_nested(void *arg)
{
    (void)arg;
    CHECK_EQ(gust_defer(count, NULL), 0);
    gust_goexit();
}

static void leave(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    CHECK_EQ(gust_defer(count, NULL), 0);
    if (is_asked(req, "first"))
        gust_goexit();
    if (is_asked(req, "nested"))
        gust_recover(leave_nested, NULL, NULL);
    if (is_asked(req, "panic")) {
        CHECK_EQ(gust_defer(count_and_panic, NULL), 0);
        gust_goexit();
    }
    if (is_asked(req, "prepared")) {
        gust_http_header(res, "X-Prepared", "yes");
        gust_http_write(res, "collected", 9);
        gust_goexit();
    }
    if (is_asked(req, "begun")) {
        gust_http_write(res, "begun", 5);
        gust_http_flush(res);
        gust_goexit();
    }
    gust_http_reply(res, 200, NULL, "fine", 4);
    if (is_asked(req, "sent"))
        gust_http_flush(res);
    if (is_asked(req, "sent") || is_asked(req, "replied"))
        gust_goexit();
}

static void quiet(const char *line)
{
    (void)line;
}

static void expect_fine(gust_conn *conn)
{
    client_send(conn, GET("/"));
    expect_reply(client_read_reply(conn), "another", FINE);
}

static int leave_everywhere(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = leave});
    gust_conn *other = site_dial(&site);
    expect_fine(other);
    expect_reply(site_ask(&site, GET("/?first")), "first", "");
    expect_reply(site_ask(&site, GET("/?nested")), "nested", "");
    expect_reply(site_ask(&site, GET("/?panic")), "panic", "");
    CHECK_EQ(atomic_load(&deferred), 6);
    expect_reply(site_ask(&site, GET("/?prepared")), "prepared", "");
    expect_reply(site_ask(&site, "POST /?first" HEAD "Content-Length: 5\r\n\r\nabcde"), "a body",
                 "");
    expect_reply(site_ask(&site, GET("/") GET("/?first") GET("/")), "between others", FINE);
    expect_reply(site_ask(&site, GET("/?sent")), "sent", FINE);
    expect_reply(site_ask(&site, GET("/?replied")), "replied", "");
    struct reply r = site_ask(&site, GET("/?begun"));
    CHECK(r.len > 14 && strcmp(r.text + r.len - 14, "\r\n\r\n5\r\nbegun\r\n") == 0);
    free(r.text);
    expect_fine(other);
    client_close(other);
    site_stop(&site);
    return 0;
}

/* The shutdown at the end waits for every connection the server knows of. */
Test(http_goexit, closes_its_connection_and_the_server_goes_on)
{
    gust_set_log(quiet);
    test_run(leave_everywhere, NULL);
}

#define TIMES 200

static int leave_often(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = leave});
    size_t before = gust_num_goroutines();
    for (int i = 0; i < TIMES; i++)
        expect_reply(site_ask(&site, i % 2 ? GET("/?nested") : GET("/?prepared")), "one of many",
                     "");
    CHECK(gust_num_goroutines() < before + TIMES / 10);
    site_stop(&site);
    return 0;
}

/* LeakSanitizer would see what one of them left. */
Test(http_goexit, leaves_nothing_behind)
{
    test_run(leave_often, NULL);
}
