/* Bodies that are streamed in both directions, and what follows an upgrade. */
#include "tests/proxy/front.h"

#include <gust/http_hijack.h>

#define BODY_LEN 3000000

/* An upstream that is a gust server. */
struct fixture {
    struct site upstream;
    struct front front;
    char url[64];
};

static void fixture_start(struct fixture *x, gust_http_handler *handler,
                          gust_http_proxy_options options)
{
    char text[GUST_ADDR_TEXT_MAX];

    site_start(&x->upstream,
               &(gust_http_server_options){.handler = handler, .body_bytes_max = 100000000});
    snprintf(x->url, sizeof(x->url), "http://%s", gust_addr_format(&x->upstream.addr, text));
    front_start(&x->front, x->url, options);
}

static void fixture_stop(struct fixture *x)
{
    front_stop(&x->front);
    site_stop(&x->upstream);
}

/* --- Uploads ------------------------------------------------------------------------ */

static uint32_t sum_of(const char *p, size_t n, uint32_t sum)
{
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + (uint8_t)p[i];
    return sum;
}

static void sum_up(gust_http_request *req, gust_http_response *res, void *arg)
{
    char text[128];
    gust_span piece;
    uint32_t sum = 0;
    size_t len = 0;
    ssize_t n;

    (void)arg;
    while ((n = gust_http_body_next(req, &piece)) > 0) {
        sum = sum_of(piece.data, (size_t)n, sum);
        len += (size_t)n;
    }
    gust_span trailer = gust_http_request_trailer(req, "X-Sum");
    int text_len = snprintf(text, sizeof(text), "%zu %u %.*s", len, sum, (int)trailer.len,
                            trailer.len ? trailer.data : "");
    gust_http_reply(res, n == 0 ? 200 : 400, NULL, text, (size_t)text_len);
}

static char *make_body(void)
{
    char *body = malloc(BODY_LEN);

    CHECK(body);
    for (size_t i = 0; i < BODY_LEN; i++)
        body[i] = (char)(i * 2654435761u >> 13);
    return body;
}

static void expect_sum(struct reply r, const char *body, const char *trailer)
{
    char text[128];

    snprintf(text, sizeof(text), "\r\n\r\n%d %u %s", BODY_LEN, sum_of(body, BODY_LEN, 0), trailer);
    expect_has(r, text);
}

static int upload(void *arg)
{
    struct fixture x;
    char *body = make_body(), head[128];

    (void)arg;
    fixture_start(&x, sum_up, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&x.front.site);
    snprintf(head, sizeof(head), "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: %d\r\n\r\n",
             BODY_LEN);
    for (int i = 0; i < 2; i++) { /* the connection can go on */
        client_send(conn, head);
        client_send_bytes(conn, body, BODY_LEN);
        struct reply r = client_read_reply(conn);
        CHECK(!has_text(r, "Connection: close"));
        expect_sum(r, body, "");
    }
    client_close(conn);
    free(body);
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, a_large_upload_arrives)
{
    test_run_without_leaks(upload, NULL);
}

static void send_chunked(gust_conn *conn, const char *body, const char *end)
{
    for (size_t at = 0; at < BODY_LEN;) {
        size_t n = at + 70001 < BODY_LEN ? 70001 : BODY_LEN - at;
        char line[32];
        snprintf(line, sizeof(line), "%zx\r\n", n);
        client_send(conn, line);
        client_send_bytes(conn, body + at, n);
        client_send(conn, "\r\n");
        at += n;
    }
    client_send(conn, end);
}

static int upload_chunked(void *arg)
{
    struct fixture x;
    char *body = make_body();

    (void)arg;
    fixture_start(&x, sum_up, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&x.front.site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n");
    send_chunked(conn, body, "0\r\nX-Sum: yes\r\n\r\n");
    expect_sum(client_read_reply(conn), body, "yes");
    client_close(conn);
    free(body);
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, a_chunked_upload_keeps_its_trailers)
{
    test_run_without_leaks(upload_chunked, NULL);
}

static int break_upload(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, sum_up, (gust_http_proxy_options){QUIET});
    expect_reply_start(
        site_ask(&x.front.site,
                 "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\nnonsense\r\n"),
        "the client", "HTTP/1.1 400 Bad Request\r\n");
    gust_http_upstream_stats stats;
    front_stats(&x.front, &stats);
    CHECK_EQ(stats.failures, 0); /* it is not to blame */
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, a_malformed_upload_is_400)
{
    test_run_without_leaks(break_upload, NULL);
}

static int limit_upload(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, sum_up, (gust_http_proxy_options){QUIET, .body_bytes_max = 4});
    expect_has(site_ask(&x.front.site, "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 4\r\n"
                                       "Connection: close\r\n\r\nabcd"),
               "\r\n\r\n4 ");
    expect_reply_start(site_ask(&x.front.site,
                                "POST / HTTP/1.1\r\nHost: site\r\n"
                                "Content-Length: 5\r\nConnection: close\r\n\r\nabcde"),
                       "the client", "HTTP/1.1 413 ");
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, a_body_has_its_limit)
{
    test_run_without_leaks(limit_upload, NULL);
}

/* --- 100-continue ------------------------------------------------------------------------ */

static void refuse_or_read(gust_http_request *req, gust_http_response *res, void *arg)
{
    if (gust_http_request_header(req, "X-Refuse").data)
        gust_http_reply(res, 403, NULL, "no", 2);
    else
        sum_up(req, res, arg);
}

static int expect_continue(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, refuse_or_read, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&x.front.site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n"
                      "Expect: 100-continue\r\n\r\n");
    expect_reply(client_read_reply(conn), "the client", "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(conn, "abc");
    expect_has(client_read_reply(conn), "\r\n\r\n3 ");
    client_close(conn);
    expect_reply_start(site_ask(&x.front.site,
                                "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\n"
                                "X-Refuse: 1\r\nExpect: 100-continue\r\n\r\n"),
                       "the client", "HTTP/1.1 403 Forbidden\r\n");
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, the_upstream_says_whether_a_body_is_wanted)
{
    test_run_without_leaks(expect_continue, NULL);
}

/* --- Both at once --------------------------------------------------------------------------- */

#define EARLY_LEN 4096 /* more than is collected before a response begins to be sent */

static void answer_early(gust_conn *conn, struct backend *b)
{
    char body[EARLY_LEN];

    (void)b;
    if (backend_read_head(conn).len == 0)
        return;
    memset(body, 'x', sizeof(body));
    client_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n");
    client_send_bytes(conn, body, sizeof(body));
    client_send(conn, "\r\n0\r\n\r\n");
    while (gust_conn_view(conn).len > 0) {
        gust_conn_consume(conn, gust_conn_view(conn).len);
        if (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) <= 0)
            return;
    }
}

static int answer_before_the_end(void *arg)
{
    struct backend b;
    struct front f;

    (void)arg;
    backend_start(&b, answer_early);
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 300000\r\n\r\nabc");
    struct reply r = client_read_all(conn); /* and nothing more is sent */
    CHECK(r.len > EARLY_LEN && memcmp(r.text + r.len - 7, "\r\n0\r\n\r\n", 7) == 0);
    expect_reply_start(
        r, "the client",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
    client_close(conn);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_streams, an_answer_need_not_wait_for_the_body)
{
    test_run_without_leaks(answer_before_the_end, NULL);
}

/* Answers each line at once. */
static void talk(gust_conn *conn, struct backend *b)
{
    (void)b;
    if (backend_read_head(conn).len == 0)
        return;
    gust_conn_consume(conn, backend_read_head(conn).len);
    client_send(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (;;) {
        gust_span view = gust_conn_view(conn);
        if (view.len > 0 && memmem(view.data, view.len, "0\r\n\r\n", 5))
            break;
        const char *end = view.len > 0 ? memmem(view.data, view.len, "x\r\n", 3) : NULL;
        if (end) {
            gust_conn_consume(conn, (size_t)(end - view.data) + 3);
            client_send(conn, "1\r\ny\r\n");
        } else if (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) <= 0) {
            return;
        }
    }
    client_send(conn, "0\r\n\r\n");
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
}

/* Waits until the view ends so. */
static void client_await(gust_conn *conn, const char *end)
{
    size_t len = strlen(end);

    for (;;) {
        gust_span view = gust_conn_view(conn);
        if (view.len >= len && memcmp(view.data + view.len - len, end, len) == 0)
            break;
        CHECK(gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0);
    }
    gust_conn_consume(conn, gust_conn_view(conn).len);
}

static int talk_both_ways(void *arg)
{
    struct backend b;
    struct front f;

    (void)arg;
    backend_start(&b, talk);
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: site\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        client_send(conn, "1\r\nx\r\n");
        client_await(conn, "1\r\ny\r\n");
    }
    client_send(conn, "0\r\n\r\n");
    client_await(conn, "0\r\n\r\n");
    client_close(conn);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_streams, both_directions_may_go_on_together)
{
    test_run_without_leaks(talk_both_ways, NULL);
}

/* The head, and no more until the test is over. */
static void read_nothing(gust_conn *conn, struct backend *b)
{
    gust_waitgroup *over = b->arg;

    backend_read_head(conn);
    CHECK_EQ(gust_waitgroup_wait(over, SOON), 0);
}

static int stop_reading(void *arg)
{
    struct backend b;
    struct front f;
    char *body = make_body();
    gust_waitgroup over = GUST_WAITGROUP_INIT;

    (void)arg;
    gust_waitgroup_add(&over, 1);
    backend_start(&b, read_nothing);
    b.arg = &over;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET, .idle_timeout_ns = 100 * GUST_MS});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 300000000\r\n\r\n");
    while (gust_conn_write(conn, body, BODY_LEN, SOON) > 0 && gust_conn_view(conn).len == 0)
        gust_conn_fill(conn, CLIENT_VIEW_MAX, GUST_NOW);
    while (gust_conn_view(conn).len == 0 && gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
    expect_reply_start(client_take(conn, gust_conn_view(conn).len), "the client",
                       "HTTP/1.1 504 Gateway Timeout\r\n");
    client_close(conn);
    gust_waitgroup_done(&over);
    free(body);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_streams, an_upstream_that_does_not_read_is_504)
{
    test_run_without_leaks(stop_reading, NULL);
}

/* --- Upgrades ---------------------------------------------------------------------------------- */

/* Echoes what comes, in upper case, and says goodbye after its end. */
static void shout(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;
    char buf[256];
    ssize_t n;

    (void)arg;
    gust_http_header(res, "X-Key", "1");
    if (gust_http_upgrade(req, res, "shout", &conn) < 0) {
        gust_http_reply(res, 426, NULL, "upgrade", 7);
        return;
    }
    while ((n = gust_conn_read(conn, buf, sizeof(buf), SOON)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            buf[i] = (char)(buf[i] & ~0x20);
        client_send_bytes(conn, buf, (size_t)n);
    }
    client_send(conn, "BYE");
    gust_conn_close(conn, SOON);
}

#define UPGRADE "GET / HTTP/1.1\r\nHost: site\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n"

static int upgrade(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, shout, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&x.front.site);
    client_send(conn, UPGRADE "early");
    client_await(conn, "EARLY");
    client_send(conn, "late");
    client_await(conn, "LATE");
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
    client_await(conn, "BYE");
    CHECK_EQ(gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON), 0);
    client_close(conn);
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, an_upgrade_is_a_tunnel_whose_ends_end_one_by_one)
{
    test_run_without_leaks(upgrade, NULL);
}

static int no_upgrade(void *arg)
{
    const char *const requests[] = {
        "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\nUpgrade: shout\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site\r\nConnection: close, Upgrade\r\nUpgrade: h2c, shout\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: site\r\nConnection: close, Upgrade\r\nUpgrade: shout, H2c\r\n\r\n",
    };
    struct fixture x;

    (void)arg;
    fixture_start(&x, shout, (gust_http_proxy_options){QUIET});
    for (int i = 0; i < 3; i++)
        expect_reply_start(site_ask(&x.front.site, requests[i]), "the client", "HTTP/1.1 426 ");
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, not_everything_is_an_upgrade)
{
    test_run_without_leaks(no_upgrade, NULL);
}

static int idle_tunnel(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, shout, (gust_http_proxy_options){QUIET, .idle_timeout_ns = 50 * GUST_MS});
    gust_conn *conn = site_dial(&x.front.site);
    client_send(conn, UPGRADE);
    ssize_t n;
    while ((n = gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON)) > 0)
        continue;
    CHECK(n == 0 || n == -ECONNRESET); /* closed, in whatever way */
    client_close(conn);
    fixture_stop(&x);
    return 0;
}

Test(proxy_streams, a_tunnel_in_which_nothing_moves_is_closed)
{
    test_run_without_leaks(idle_tunnel, NULL);
}

static int free_tunnel(void *arg)
{
    struct fixture x;

    (void)arg;
    fixture_start(&x, shout, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&x.front.site);
    client_send(conn, UPGRADE "early");
    client_await(conn, "EARLY");
    fixture_stop(&x); /* while it is open */
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
    client_close(conn);
    return 0;
}

Test(proxy_streams, a_proxy_that_is_freed_closes_its_tunnels)
{
    test_run_without_leaks(free_tunnel, NULL);
}
