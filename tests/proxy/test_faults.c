/* Upstreams that die, stall and send nonsense; and clients that go away. */
#include "tests/proxy/front.h"

#include <gust/timer.h>

#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: site\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void answer_hello(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, HELLO);
}

/* Until the other end closes. */
static void wait_for_end(gust_conn *conn)
{
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
}

static void read_and_close(gust_conn *conn, struct backend *b)
{
    if (backend_read_head(conn).len > 0)
        atomic_fetch_add(&b->requests, 1);
}

/* A port where nobody listens. */
static void find_dead_url(char url[64])
{
    struct backend b;

    backend_start(&b, answer_hello);
    strcpy(url, b.url);
    backend_stop(&b);
}

static struct reply ask_one(struct backend *b, gust_http_proxy_options options, const char *request)
{
    struct front f;

    front_start(&f, b->url, options);
    struct reply r = site_ask(&f.site, request);
    front_stop(&f);
    backend_stop(b);
    return r;
}

/* --- No response ------------------------------------------------------------------------ */

static int ask_the_dead(void *arg)
{
    char url[64];
    struct front f;

    (void)arg;
    find_dead_url(url);
    front_start(&f, url, (gust_http_proxy_options){QUIET});
    expect_reply_start(site_ask(&f.site, GET), "the client", "HTTP/1.1 502 Bad Gateway\r\n");
    expect_reply_start(site_ask(&f.site, POST), "the client", "HTTP/1.1 502 Bad Gateway\r\n");
    gust_http_upstream_stats stats;
    front_stats(&f, &stats);
    CHECK_EQ(stats.failures, 6); /* nothing was sent, so both may go three times */
    CHECK_EQ(stats.retries, 4);
    CHECK_EQ(stats.in_flight, 0);
    CHECK_EQ(stats.state, GUST_HTTP_UPSTREAM_UP); /* the only one */
    front_stop(&f);
    return 0;
}

Test(proxy_faults, a_dead_upstream_is_502)
{
    test_run_without_leaks(ask_the_dead, NULL);
}

static void stall(gust_conn *conn, struct backend *b)
{
    (void)b;
    backend_read_head(conn);
    wait_for_end(conn);
}

static int ask_the_slow(void *arg)
{
    struct backend b;

    (void)arg;
    backend_start(&b, stall);
    expect_reply_start(
        ask_one(&b,
                (gust_http_proxy_options){QUIET, .first_byte_timeout_ns = 20 * GUST_MS,
                                          .retries = GUST_HTTP_PROXY_NONE},
                GET),
        "the client", "HTTP/1.1 504 Gateway Timeout\r\n");
    backend_start(&b, stall);
    expect_reply_start(
        ask_one(&b, (gust_http_proxy_options){QUIET, .total_timeout_ns = 20 * GUST_MS}, GET),
        "the client", "HTTP/1.1 504 Gateway Timeout\r\n");
    return 0;
}

Test(proxy_faults, a_slow_upstream_is_504)
{
    test_run_without_leaks(ask_the_slow, NULL);
}

/* --- Half a response ---------------------------------------------------------------------- */

static void send_part(gust_conn *conn, struct backend *b)
{
    const char *part = b->arg;

    if (backend_read_head(conn).len == 0)
        return;
    gust_conn_consume(conn, gust_conn_view(conn).len);
    client_send(conn, part);
}

/* What the client gets until its connection ends, in whatever way. */
static struct reply read_what_comes(gust_conn *conn)
{
    wait_for_end(conn);
    return client_take(conn, gust_conn_view(conn).len);
}

static struct reply ask_for_part(const char *part)
{
    struct backend b;
    struct front f;

    backend_start(&b, send_part);
    b.arg = (void *)part;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n");
    struct reply r = read_what_comes(conn);
    client_close(conn);
    gust_http_upstream_stats stats;
    front_stats(&f, &stats);
    CHECK_EQ(stats.cut, 1);
    front_stop(&f);
    backend_stop(&b);
    return r;
}

static char large[40000];

static int break_off(void *arg)
{
    (void)arg;
    /* By length: fewer bytes than were promised. */
    memset(large, 'x', sizeof(large) - 1);
    memcpy(large, "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", 42);
    struct reply r = ask_for_part(large);
    CHECK(r.len < 50000);
    free(r.text);
    /* Chunked: no last chunk. */
    char *chunked = large + 100;
    memcpy(chunked, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n", 53);
    r = ask_for_part(chunked);
    CHECK(!has_text(r, "\r\n0\r\n"));
    free(r.text);
    /* Short: the header may have been held back. */
    r = ask_for_part("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    CHECK(!has_text(r, "\r\n0\r\n"));
    free(r.text);
    r = ask_for_part("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello");
    CHECK(!has_text(r, "Content-Length: 5"));
    free(r.text);
    return 0;
}

Test(proxy_faults, a_response_that_breaks_off_does_not_look_complete)
{
    test_run_without_leaks(break_off, NULL);
}

static void send_part_and_stall(gust_conn *conn, struct backend *b)
{
    send_part(conn, b);
    wait_for_end(conn);
}

static int stall_in_body(void *arg)
{
    struct backend b;

    (void)arg;
    backend_start(&b, send_part_and_stall);
    b.arg = (void *)"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    struct front f;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET, .idle_timeout_ns = 50 * GUST_MS});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n");
    struct reply r = read_what_comes(conn);
    CHECK(has_text(r, "5\r\nhello\r\n")); /* what came was passed on at once */
    CHECK(!has_text(r, "\r\n0\r\n"));
    free(r.text);
    client_close(conn);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_faults, a_body_that_stalls_is_cut_off)
{
    test_run_without_leaks(stall_in_body, NULL);
}

/* --- Retries -------------------------------------------------------------------------------- */

struct pair {
    struct backend bad, good;
    struct front front;
};

static void pair_start(struct pair *p, void (*bad)(gust_conn *, struct backend *),
                       gust_http_proxy_options options)
{
    backend_start(&p->bad, bad);
    backend_start(&p->good, answer_hello);
    const gust_http_upstream upstreams[] = {{.url = p->bad.url}, {.url = p->good.url}};
    options.upstreams = upstreams;
    options.upstream_count = 2;
    front_start_with(&p->front, &options, (gust_http_server_options){.handler = NULL});
}

static void pair_stop(struct pair *p)
{
    front_stop(&p->front);
    backend_stop(&p->bad);
    backend_stop(&p->good);
}

static int retry(void *arg)
{
    struct pair p;

    (void)arg;
    pair_start(&p, read_and_close, (gust_http_proxy_options){QUIET});
    for (int i = 0; i < 4; i++)
        expect_reply_start(site_ask(&p.front.site, GET), "GET", "HTTP/1.1 200 OK\r\n");
    CHECK_EQ(atomic_load(&p.good.requests), 4);
    CHECK(atomic_load(&p.bad.requests) >= 1);
    pair_stop(&p);
    return 0;
}

Test(proxy_faults, what_may_be_done_twice_is_sent_to_another)
{
    test_run_without_leaks(retry, NULL);
}

static int no_retry_of_post(void *arg)
{
    struct pair p;

    (void)arg;
    pair_start(&p, read_and_close, (gust_http_proxy_options){QUIET});
    expect_reply_start(site_ask(&p.front.site, POST), "POST", "HTTP/1.1 502 Bad Gateway\r\n");
    CHECK_EQ(atomic_load(&p.good.requests), 0);
    pair_stop(&p);
    return 0;
}

Test(proxy_faults, what_may_not_be_done_twice_is_not)
{
    test_run_without_leaks(no_retry_of_post, NULL);
}

static void answer_503(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno");
}

static int retry_503(void *arg)
{
    struct pair p;

    (void)arg;
    pair_start(&p, answer_503, (gust_http_proxy_options){QUIET, .retry_unavailable = true});
    for (int i = 0; i < 2; i++)
        expect_reply_start(site_ask(&p.front.site, GET), "GET", "HTTP/1.1 200 OK\r\n");
    pair_stop(&p);
    pair_start(&p, answer_503, (gust_http_proxy_options){QUIET});
    expect_reply_start(site_ask(&p.front.site, GET), "GET", "HTTP/1.1 503 ");
    pair_stop(&p);
    return 0;
}

Test(proxy_faults, a_503_is_passed_on_unless_it_is_to_be_tried_again)
{
    test_run_without_leaks(retry_503, NULL);
}

static int run_out_of_budget(void *arg)
{
    const gust_http_proxy_options o = {QUIET, .retry_percent = GUST_HTTP_PROXY_NONE,
                                       .retry_per_second = GUST_HTTP_PROXY_NONE};
    struct pair p;

    (void)arg;
    pair_start(&p, read_and_close, o);
    expect_reply_start(site_ask(&p.front.site, GET), "GET", "HTTP/1.1 502 ");
    pair_stop(&p);
    return 0;
}

Test(proxy_faults, there_is_a_budget_of_retries)
{
    test_run_without_leaks(run_out_of_budget, NULL);
}

/* --- Who is out ---------------------------------------------------------------------------------- */

static int eject(void *arg)
{
    struct pair p;
    gust_http_upstream_stats stats[2];

    (void)arg;
    pair_start(&p, read_and_close,
               (gust_http_proxy_options){QUIET, .failures_max = 3, .ejection_ns = 3600 * GUST_SEC,
                                         .ejection_max_ns = 3600 * GUST_SEC});
    for (int i = 0; i < 20; i++)
        expect_reply_start(site_ask(&p.front.site, GET), "GET", "HTTP/1.1 200 OK\r\n");
    CHECK_EQ(atomic_load(&p.bad.requests), 3);
    front_stats(&p.front, stats);
    CHECK_EQ(stats[0].state, GUST_HTTP_UPSTREAM_EJECTED);
    CHECK_EQ(stats[0].ejections, 1);
    CHECK_EQ(stats[1].state, GUST_HTTP_UPSTREAM_UP);
    pair_stop(&p);
    return 0;
}

Test(proxy_faults, failures_in_a_row_eject)
{
    test_run_without_leaks(eject, NULL);
}

static int eject_all(void *arg)
{
    char dead[2][64];
    struct front f;
    gust_http_upstream_stats stats[2];

    (void)arg;
    find_dead_url(dead[0]);
    find_dead_url(dead[1]);
    if (strcmp(dead[0], dead[1]) == 0)
        return 0; /* the kernel gave the port again */
    const gust_http_upstream upstreams[] = {{.url = dead[0]}, {.url = dead[1]}};
    const gust_http_proxy_options o = {
        .upstreams = upstreams, .upstream_count = 2, .failures_max = 1};
    front_start_with(&f, &o, (gust_http_server_options){.handler = NULL});
    for (int i = 0; i < 5; i++)
        expect_reply_start(site_ask(&f.site, GET), "GET", "HTTP/1.1 502 ");
    front_stats(&f, stats);
    CHECK((stats[0].state == GUST_HTTP_UPSTREAM_EJECTED) !=
          (stats[1].state == GUST_HTTP_UPSTREAM_EJECTED));
    front_stop(&f);
    return 0;
}

Test(proxy_faults, at_most_a_share_is_ejected)
{
    test_run_without_leaks(eject_all, NULL);
}

/* --- Full ------------------------------------------------------------------------------------------ */

struct gate {
    gust_waitgroup arrived;
    gust_waitgroup open;
};

static void wait_at_gate(gust_conn *conn, struct backend *b)
{
    struct gate *g = b->arg;

    if (backend_read_head(conn).len == 0)
        return;
    gust_conn_consume(conn, gust_conn_view(conn).len);
    gust_waitgroup_done(&g->arrived);
    CHECK_EQ(gust_waitgroup_wait(&g->open, SOON), 0);
    client_send(conn, HELLO);
    wait_for_end(conn);
}

static int fill_up(void *arg)
{
    struct gate gate = {.arrived = GUST_WAITGROUP_INIT};
    struct backend b;
    struct front f;

    (void)arg;
    gust_waitgroup_add(&gate.arrived, 1);
    gust_waitgroup_add(&gate.open, 1);
    backend_start(&b, wait_at_gate);
    b.arg = &gate;
    const gust_http_upstream upstream = {.url = b.url, .requests_max = 1};
    const gust_http_proxy_options o = {.upstreams = &upstream, .upstream_count = 1, QUIET};
    front_start_with(&f, &o, (gust_http_server_options){.handler = NULL});
    gust_conn *first = site_dial(&f.site);
    client_send(first, GET);
    CHECK_EQ(gust_waitgroup_wait(&gate.arrived, SOON), 0);
    expect_reply_start(site_ask(&f.site, GET), "the second",
                       "HTTP/1.1 503 Service Unavailable\r\n");
    gust_waitgroup_done(&gate.open);
    expect_reply_start(client_read_all(first), "the first", "HTTP/1.1 200 OK\r\n");
    client_close(first);
    gust_http_upstream_stats stats;
    front_stats(&f, &stats);
    CHECK(stats.refused >= 1);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_faults, an_upstream_that_is_full_is_503_at_once)
{
    test_run_without_leaks(fill_up, NULL);
}

/* --- Clients -------------------------------------------------------------------------------------------- */

static void note_end(gust_conn *conn, struct backend *b)
{
    struct gate *g = b->arg;

    if (backend_read_head(conn).len == 0)
        return;
    gust_waitgroup_done(&g->arrived);
    wait_for_end(conn);
    gust_waitgroup_done(&g->open);
}

static int go_away(void *arg)
{
    struct gate gate = {.arrived = GUST_WAITGROUP_INIT};
    struct backend b;
    struct front f;

    (void)arg;
    gust_waitgroup_add(&gate.arrived, 1);
    gust_waitgroup_add(&gate.open, 1);
    backend_start(&b, note_end);
    b.arg = &gate;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *client = site_dial(&f.site);
    client_send(client, GET);
    CHECK_EQ(gust_waitgroup_wait(&gate.arrived, SOON), 0);
    client_close(client);
    CHECK_EQ(gust_waitgroup_wait(&gate.open, SOON), 0);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_faults, a_client_that_goes_ends_its_request)
{
    test_run_without_leaks(go_away, NULL);
}
