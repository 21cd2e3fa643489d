/* What happens between requests: keep-alive, pipelining, timeouts, the end. */
#include "tests/http/site.h"

#include <stdio.h>

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "hello", 5);
}

/* Answers with the path: tells the order of answers. */
static void name_path(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span path = gust_http_request_path(req);

    (void)arg;
    gust_http_reply(res, 200, NULL, path.data, path.len);
}

/* --- Keep-alive ------------------------------------------------------------------- */

#define HELLO(connection) "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n" connection "\r\nhello"

static int stay_and_go(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello});
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 3; i++) {
        client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_reply(client_read_reply(conn), "1.1 stays", HELLO(""));
        client_send(conn, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        expect_reply(client_read_reply(conn), "1.0 stays", HELLO("Connection: keep-alive\r\n"));
        client_send(conn, "\r\nHEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        CHECK(gust_conn_fill(conn, 65536, gust_after(SITE_WAIT_NS)) > 0);
        expect_reply(client_take(conn, gust_conn_view(conn).len), "HEAD stays",
                     "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    }
    client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    expect_reply(client_read_all(conn), "1.1 goes", HELLO("Connection: close\r\n"));
    client_close(conn);
    expect_reply(site_ask(&site, "GET / HTTP/1.0\r\n\r\n"), "1.0 goes",
                 HELLO("Connection: close\r\n"));
    site_stop(&site);
    return 0;
}

Test(conn, stays_or_closes_as_the_client_asks)
{
    test_run(stay_and_go, NULL);
}

static int rest(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello});
    size_t before = gust_num_goroutines();
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 3; i++) {
        client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        expect_reply(client_read_reply(conn), "stays", HELLO(""));
        gust_time until = gust_after(SITE_WAIT_NS);
        while (gust_num_goroutines() > before) {
            CHECK(gust_now() < until);
            gust_yield();
        }
    }
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, idle_one_has_no_goroutine)
{
    test_run(rest, NULL);
}

/* A client that ends its direction at once still gets its answers. */
static int half_close(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\nGET /");
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, gust_after(SITE_WAIT_NS)), 0);
    expect_reply(client_read_all(conn), "half closed", HELLO("") HELLO(""));
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, answers_a_client_that_has_ended_its_direction)
{
    test_run(half_close, NULL);
}

/* --- Pipelining --------------------------------------------------------------------- */

static void ask_pipelined(const struct site *site, int count)
{
    char *requests = malloc((size_t)count * 64);
    char *expected = malloc((size_t)count * 96);
    size_t n = 0;
    size_t m = 0;

    CHECK(requests && expected);
    for (int i = 0; i < count; i++) {
        const char *close = i == count - 1 ? "Connection: close\r\n" : "";
        n += (size_t)sprintf(requests + n, "GET /%03d HTTP/1.1\r\nHost: a\r\n%s\r\n", i, close);
        m += (size_t)sprintf(expected + m, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n%s\r\n/%03d",
                             close, i);
    }
    expect_reply(site_ask(site, requests), "pipelined", expected);
    free(requests);
    free(expected);
}

static int pipeline(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = name_path});
    for (int count = 1; count <= 100; count++)
        ask_pipelined(&site, count);
    site_stop(&site);
    return 0;
}

Test(conn, answers_pipelined_requests_in_order)
{
    test_run(pipeline, NULL);
}

/* Both requests arrive in one piece, so both answers leave in one. */
static int coalesce(void *arg)
{
    static const char two[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n"
                              "GET /part";
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = name_path});
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 10; i++) {
        client_send(conn, i == 0 ? two : " HTTP/1.1\r\nHost: a\r\n\r\nGET /part");
        CHECK(gust_conn_fill(conn, 65536, gust_after(SITE_WAIT_NS)) > 0);
        expect_reply(client_take(conn, gust_conn_view(conn).len), "one piece",
                     i == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/a"
                              "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/b"
                            : "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n/part");
    }
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, coalesces_answers_and_never_holds_one_back)
{
    test_run(coalesce, NULL);
}

/* --- Timeouts ------------------------------------------------------------------------- */

#define SHORT_NS (50 * GUST_MS)

/* For a header: long enough for a client on a busy machine to send a whole one. */
#define HEADER_NS (400 * GUST_MS)

static int wait_idle(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello, .idle_timeout_ns = SHORT_NS});
    gust_conn *conn = site_dial(&site);
    gust_time start = gust_now();
    client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect_reply(client_read_reply(conn), "answer", HELLO(""));
    expect_reply(client_read_all(conn), "idle", "");
    CHECK(gust_now() - start >= SHORT_NS);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, idle_closes_without_a_word)
{
    test_run(wait_idle, NULL);
}

#define TIMED_OUT                                                                       \
    "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Type: text/plain\r\n" \
    "Content-Length: 16\r\n\r\nRequest Timeout\n"

/* A byte every few milliseconds: progress does not extend the deadline. */
static int trickle(void *arg)
{
    struct site site;
    ssize_t n = 0;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = hello, .header_timeout_ns = HEADER_NS});
    gust_conn *conn = site_dial(&site);
    expect_reply(client_read_all(conn), "silent", "");
    client_close(conn);

    gust_time start = gust_now();
    conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.1\r\nX: ");
    do {
        /* Fails with the server's close; the answer is read all the same. */
        n = gust_conn_write(conn, "x", 1, gust_after(SITE_WAIT_NS));
        if (n == 1)
            n = gust_conn_fill(conn, 65536, gust_after(5 * GUST_MS));
    } while (n == -ETIMEDOUT);
    CHECK(n > 0);
    CHECK(gust_now() - start >= HEADER_NS);
    expect_reply(client_read_all(conn), "slow", TIMED_OUT);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, header_deadline_is_not_extended_by_progress)
{
    test_run(trickle, NULL);
}

static int begin_second(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = hello, .header_timeout_ns = HEADER_NS});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET");
    expect_reply(client_read_reply(conn), "answer", HELLO(""));
    expect_reply(client_read_all(conn), "half a second request", TIMED_OUT);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(conn, header_deadline_starts_anew_with_each_request)
{
    test_run(begin_second, NULL);
}

/* --- The end ---------------------------------------------------------------------------- */

/* More input than the server reads is on its way when it answers and closes: the
 * answer must not be lost to a reset. */
static int keep_talking(void *arg)
{
    static char junk[200000];
    struct site site;

    (void)arg;
    memset(junk, 'x', sizeof(junk));
    site_start(&site, &(gust_http_server_options){.handler = hello});
    for (int i = 0; i < 20; i++) {
        gust_conn *conn = site_dial(&site);
        client_send(conn, "GET / HTTP/1.1\r\n\r\n");
        client_send_bytes(conn, junk, sizeof(junk));
        expect_reply_start(client_read_all(conn), "refused", "HTTP/1.1 400 Bad Request\r\n");
        client_close(conn);
    }
    site_stop(&site);
    return 0;
}

Test(conn, refusal_survives_a_client_that_keeps_talking)
{
    test_run(keep_talking, NULL);
}

static int vanish(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello});
    for (int i = 0; i < 20; i++) {
        gust_conn *conn = site_dial(&site);
        client_send(conn, i % 2 ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n" : "POST / HT");
        client_close(conn);
    }
    expect_reply(site_ask(&site, "GET / HTTP/1.0\r\n\r\n"), "others are served",
                 HELLO("Connection: close\r\n"));
    site_stop(&site);
    return 0;
}

Test(conn, client_may_vanish_at_any_time)
{
    test_run(vanish, NULL);
}
