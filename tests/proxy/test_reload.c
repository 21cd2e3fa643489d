/* New options under the requests of old ones, checks, and the PROXY protocol. */
#include "tests/proxy/front.h"

#include <gust/proxy.h>
#include <gust/timer.h>

#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"
#define OLD "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold"
#define NEW "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"

static void answer_new(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, NEW);
}

/* --- Reload ------------------------------------------------------------------------- */

struct gate {
    gust_waitgroup arrived;
    gust_waitgroup open;
};

static void answer_old_late(gust_conn *conn, struct backend *b)
{
    struct gate *g = b->arg;

    if (backend_read_head(conn).len == 0)
        return;
    gust_waitgroup_done(&g->arrived);
    CHECK_EQ(gust_waitgroup_wait(&g->open, SOON), 0);
    client_send(conn, OLD);
}

static void reload_to(struct front *f, const char *url)
{
    const gust_http_upstream upstream = {.url = url};

    CHECK_EQ(gust_http_proxy_reload(
                 f->proxy,
                 &(gust_http_proxy_options){.upstreams = &upstream, .upstream_count = 1, QUIET}),
             0);
}

static int reload(void *arg)
{
    struct gate gate = {.arrived = GUST_WAITGROUP_INIT};
    struct backend before, after;
    struct front f;

    (void)arg;
    gust_waitgroup_add(&gate.arrived, 1);
    gust_waitgroup_add(&gate.open, 1);
    backend_start(&before, answer_old_late);
    before.arg = &gate;
    backend_start(&after, answer_new);
    front_start(&f, before.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, GET);
    CHECK_EQ(gust_waitgroup_wait(&gate.arrived, SOON), 0);
    reload_to(&f, after.url);
    expect_has(site_ask(&f.site, GET), "new");
    CHECK_EQ(gust_http_proxy_reload(f.proxy, &(gust_http_proxy_options){.upstream_count = 0}),
             -EINVAL);
    expect_has(site_ask(&f.site, GET), "new"); /* as it was */
    gust_waitgroup_done(&gate.open);
    expect_has(client_read_all(conn), "old");
    client_close(conn);
    front_stop(&f);
    backend_stop(&before);
    backend_stop(&after);
    return 0;
}

Test(proxy_reload, requests_end_as_they_began)
{
    test_run_without_leaks(reload, NULL);
}

static int keep_upstreams(void *arg)
{
    struct backend b;
    struct front f;
    gust_http_upstream_stats stats;

    (void)arg;
    backend_start(&b, answer_new);
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    for (int i = 0; i < 3; i++) {
        expect_has(site_ask(&f.site, GET), "new");
        reload_to(&f, b.url);
    }
    front_stats(&f, &stats);
    CHECK_EQ(stats.requests, 3);
    CHECK_EQ(atomic_load(&b.accepted), 1); /* one connection served them all */
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_reload, upstreams_that_stay_keep_what_they_have)
{
    test_run_without_leaks(keep_upstreams, NULL);
}

/* --- Checks ----------------------------------------------------------------------------- */

/* Well while b->arg is not set. */
static void answer_check(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b,
                       atomic_load((atomic_bool *)b->arg)
                           ? "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
                           : NEW);
}

static void await_state(struct front *f, gust_http_upstream_state state)
{
    gust_time deadline = SOON;
    gust_http_upstream_stats stats;

    do {
        CHECK(gust_now() < deadline);
        gust_sleep(GUST_MS);
        front_stats(f, &stats);
    } while (stats.state != state);
}

static int check(void *arg)
{
    atomic_bool ill = true;
    struct backend b;
    struct front f;

    (void)arg;
    backend_start(&b, answer_check);
    b.arg = &ill;
    front_start(&f, b.url,
                (gust_http_proxy_options){QUIET, .check_path = "/health",
                                          .check_interval_ns = GUST_MS,
                                          .check_timeout_ns = SITE_WAIT_NS});
    await_state(&f, GUST_HTTP_UPSTREAM_DOWN);
    expect_reply_start(site_ask(&f.site, GET), "the client", "HTTP/1.1 503 ");
    atomic_store(&ill, false);
    await_state(&f, GUST_HTTP_UPSTREAM_UP);
    /* One after the other: the backend serves one connection at a time. */
    expect_has(site_ask(&f.site, GET), "new");
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_checks, take_an_upstream_out_and_bring_it_back)
{
    test_run_without_leaks(check, NULL);
}

/* --- The PROXY protocol --------------------------------------------------------------------- */

static void read_proxy_header(gust_conn *conn, struct backend *b)
{
    gust_proxy_header header;
    ssize_t n;

    while ((n = gust_proxy_header_parse(gust_conn_view(conn), &header)) == 0)
        CHECK(gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0);
    CHECK(n > 0);
    CHECK_EQ(header.version, *(int *)b->arg);
    CHECK_EQ(header.source.any.sa_family, AF_INET);
    gust_conn_consume(conn, (size_t)n);
    CHECK_EQ(memcmp(backend_read_head(conn).data, "GET / ", 6), 0);
    client_send(conn, NEW);
}

static int introduce(void *arg)
{
    (void)arg;
    for (int version = 1; version <= 2; version++) {
        struct backend b;
        struct front f;
        backend_start(&b, read_proxy_header);
        b.arg = &version;
        front_start(&f, b.url, (gust_http_proxy_options){QUIET, .proxy_protocol = version});
        for (int i = 0; i < 2; i++)
            expect_has(site_ask(&f.site, GET), "new");
        CHECK_EQ(atomic_load(&b.accepted), 2);
        front_stop(&f);
        backend_stop(&b);
    }
    return 0;
}

Test(proxy_protocol, the_client_is_named_to_the_upstream)
{
    test_run_without_leaks(introduce, NULL);
}
