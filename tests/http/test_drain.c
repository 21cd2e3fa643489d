/* A shutdown that gives load balancers time to notice: the lame duck. */
#include "tests/http/site.h"
#include "tests/net/net_test.h"

#include <gust/chan.h>
#include <gust/http_operations.h>
#include <gust/http_router.h>

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "hello", 5);
}

static const char *sick(void *arg)
{
    return *(bool *)arg ? "no database\n" : NULL;
}

static gust_http_router *make_router(gust_http_health_check *check)
{
    gust_http_router *router;

    CHECK_EQ(gust_http_router_new(&router), 0);
    CHECK_EQ(gust_http_router_handle(router, "/", hello, NULL), 0);
    CHECK_EQ(gust_http_router_handle(router, "/live", gust_http_health_live, NULL), 0);
    CHECK_EQ(gust_http_router_handle(router, "/ready", gust_http_health_ready, check), 0);
    return router;
}

static void expect(gust_conn *conn, const char *request, const char *start, const char *body)
{
    client_send(conn, request);
    struct reply r = client_read_reply(conn);
    if (strncmp(r.text, start, strlen(start)) != 0 ||
        strcmp(strstr(r.text, "\r\n\r\n") + 4, body) != 0)
        gust_panic("%s: got\n%s", request, r.text);
    free(r.text);
}

static int ask_for_health(void *arg)
{
    bool is_sick = false;
    gust_http_health_check check = {sick, &is_sick};
    gust_http_router *router = make_router(&check);
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_router_serve, .arg = router});
    gust_conn *conn = site_dial(&site);
    expect(conn, GET("/live"), "HTTP/1.1 200 ", "ok\n");
    expect(conn, GET("/ready"), "HTTP/1.1 200 ", "ok\n");
    is_sick = true;
    expect(conn, GET("/live"), "HTTP/1.1 200 ", "ok\n");
    expect(conn, GET("/ready"), "HTTP/1.1 503 ", "no database\n");
    is_sick = false;
    expect(conn, GET("/ready"), "HTTP/1.1 200 ", "ok\n");
    client_close(conn);
    site_stop(&site);
    gust_http_router_free(router);
    return 0;
}

Test(drain, health_is_what_the_check_says)
{
    test_run(ask_for_health, NULL);
}

/* --- The lame duck ------------------------------------------------------------------------ */

struct duck {
    struct site site;
    gust_http_router *router;
    gust_chan *drains; /* on_drain was called */
    gust_chan *ended;  /* a shutdown, with its result */
    gust_time deadline;
};

static void note_drain(void *arg)
{
    struct duck *d = arg;

    CHECK_EQ(gust_chan_send(d->drains, NULL, GUST_NOW), 0);
}

static void shut_down(void *arg)
{
    struct duck *d = arg;
    int r = gust_http_server_shutdown(d->site.server, d->deadline);

    CHECK_EQ(gust_chan_send(d->ended, &r, GUST_NOW), 0);
}

/* The duck is lame upon return. */
static void duck_begin(struct duck *d, int64_t lame_ns, gust_time deadline)
{
    *d = (struct duck){.router = make_router(NULL), .deadline = deadline};
    CHECK_EQ(gust_chan_new(0, 2, &d->drains), 0);
    CHECK_EQ(gust_chan_new(sizeof(int), 2, &d->ended), 0);
    site_start(&d->site, &(gust_http_server_options){.handler = gust_http_router_serve,
                                                     .arg = d->router,
                                                     .on_drain = note_drain,
                                                     .hook_arg = d,
                                                     .lame_duck_ns = lame_ns});
    gust_conn *conn = site_dial(&d->site);
    expect(conn, GET("/ready"), "HTTP/1.1 200 ", "ok\n");
    client_close(conn);
    CHECK_EQ(gust_go(shut_down, d), 0);
    CHECK_EQ(gust_chan_recv(d->drains, NULL, gust_after(SITE_WAIT_NS)), 1);
}

static int duck_result(struct duck *d)
{
    int r;

    CHECK_EQ(gust_chan_recv(d->ended, &r, gust_after(SITE_WAIT_NS)), 1);
    return r;
}

static void duck_end(struct duck *d)
{
    site_end(&d->site);
    CHECK_EQ(gust_chan_recv(d->drains, NULL, GUST_NOW), -EAGAIN); /* it was called once */
    gust_chan_unref(d->drains);
    gust_chan_unref(d->ended);
    gust_http_router_free(d->router);
}

/* New connections and old ones are served, and stay; only the health is another. */
static int be_lame(void *arg)
{
    struct duck d;

    (void)arg;
    duck_begin(&d, 3600 * GUST_SEC, GUST_FOREVER);
    gust_conn *conn = site_dial(&d.site);
    expect(conn, GET("/ready"), "HTTP/1.1 503 ", "shutting down\n");
    expect(conn, GET("/live"), "HTTP/1.1 200 ", "ok\n");
    for (int i = 0; i < 3; i++)
        expect(conn, GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "hello");
    CHECK_EQ(gust_chan_recv(d.ended, NULL, GUST_NOW), -EAGAIN);
    /* The second one does not wait for an hour, and ends the first. */
    CHECK_EQ(gust_http_server_shutdown(d.site.server, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(duck_result(&d), 0);
    expect_reply(client_read_all(conn), "idle", "");
    client_close(conn);
    duck_end(&d);
    return 0;
}

Test(drain, a_lame_duck_serves_and_says_that_it_is_not_ready)
{
    test_run(be_lame, NULL);
}

static int lame_for_a_while(void *arg)
{
    struct duck d;
    gust_time begin = gust_now();

    (void)arg;
    duck_begin(&d, 50 * GUST_MS, GUST_FOREVER);
    CHECK_EQ(duck_result(&d), 0);
    CHECK(gust_now() - begin >= 50 * GUST_MS);
    duck_end(&d);
    /* The deadline counts from the beginning. */
    duck_begin(&d, 3600 * GUST_SEC, gust_after(30 * GUST_MS));
    int r = duck_result(&d);
    CHECK(r == 0 || r == -ETIMEDOUT);
    duck_end(&d);
    return 0;
}

Test(drain, it_ends_by_itself_or_at_the_deadline)
{
    test_run(lame_for_a_while, NULL);
}
