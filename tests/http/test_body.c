/* Request bodies: framing, splits, limits, expectations, trailers. */
#include "tests/http/site.h"

#include <gust/chan.h>

#include <stdio.h>

/* --- Handlers ------------------------------------------------------------------ */

/* Answers with the body it read, or with the error in a field if it could; the
 * limit comes from the argument. */
static void echo(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    ssize_t n;

    if (arg)
        gust_http_body_limit(req, *(uint64_t *)arg);
    while ((n = gust_http_body_next(req, &piece)) > 0)
        CHECK_EQ(gust_http_write(res, piece.data, piece.len), n);
    gust_span again;
    CHECK_EQ(gust_http_body_next(req, &again), n);
}

static void echo_trailers(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    gust_http_field field;
    size_t cursor = 0;

    (void)arg;
    CHECK(gust_http_request_trailer(req, "x-sum").data == NULL);
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_span sum = gust_http_request_trailer(req, "x-sum");
    CHECK(gust_http_request_header(req, "x-sum").data == NULL);
    while (gust_http_request_trailers(req, &cursor, &field)) {
        gust_http_write(res, field.name.data, field.name.len);
        gust_http_write(res, "=", 1);
        gust_http_write(res, field.value.data, field.value.len);
        gust_http_write(res, ";", 1);
    }
    CHECK(sum.data == NULL || span_is(sum, "42"));
}

static void ignore_body(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "ignored", 7);
}

/* --- Splits ---------------------------------------------------------------------- */

#define CHUNKED_POST "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

static const char stream[] = CHUNKED_POST "\r\n"
                                          "5\r\nhello\r\n1;x=y\r\n \r\n5\r\nworld\r\n0\r\n"
                                          "X-Sum: 42\r\n\r\n"
                                          "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n"
                                          "Connection: close\r\n\r\nmore";

static const char stream_answers[] = "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"
                                     "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n"
                                     "Connection: close\r\n\r\nmore";

static int split_in_two(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = echo});
    for (size_t split = 1; split < sizeof(stream) - 1; split++) {
        gust_conn *conn = site_dial(&site);
        client_send_bytes(conn, stream, split);
        gust_yield();
        client_send_bytes(conn, stream + split, sizeof(stream) - 1 - split);
        expect_reply(client_read_all(conn), "split", stream_answers);
        client_close(conn);
    }
    site_stop(&site);
    return 0;
}

Test(body, reads_the_same_in_every_split)
{
    test_run(split_in_two, NULL);
}

static int send_single_bytes(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = echo});
    gust_conn *conn = site_dial(&site);
    for (size_t i = 0; i < sizeof(stream) - 1; i++) {
        client_send_bytes(conn, stream + i, 1);
        gust_yield();
    }
    expect_reply(client_read_all(conn), "bytes", stream_answers);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(body, reads_the_same_byte_by_byte)
{
    test_run(send_single_bytes, NULL);
}

/* --- Large bodies ------------------------------------------------------------------ */

#define LARGE ((size_t)4 << 20)

static void sum_body(gust_http_request *req, gust_http_response *res, void *arg)
{
    char buf[5000];
    uint64_t sum = 0;
    uint64_t count = 0;
    char text[64];
    ssize_t n;

    (void)arg;
    gust_http_body_limit(req, GUST_HTTP_UNLIMITED);
    while ((n = gust_http_body_read(req, buf, sizeof(buf))) > 0) {
        for (ssize_t i = 0; i < n; i++)
            sum = sum * 31 + (uint8_t)buf[i];
        count += (uint64_t)n;
    }
    CHECK_EQ(n, 0);
    int len = sprintf(text, "%llu %llu", (unsigned long long)count, (unsigned long long)sum);
    gust_http_reply(res, 200, NULL, text, (size_t)len);
}

static char *large_body(uint64_t *ret_sum)
{
    char *body = malloc(LARGE);
    uint64_t sum = 0;

    CHECK(body);
    for (size_t i = 0; i < LARGE; i++) {
        body[i] = (char)(i * 7 + i / 251);
        sum = sum * 31 + (uint8_t)body[i];
    }
    *ret_sum = sum;
    return body;
}

static void expect_sum(gust_conn *conn, uint64_t sum)
{
    char expected[64];

    sprintf(expected, "\r\n\r\n%llu %llu", (unsigned long long)LARGE, (unsigned long long)sum);
    struct reply r = client_read_reply(conn);
    CHECK(strstr(r.text, expected) != NULL);
    free(r.text);
}

static int upload(void *arg)
{
    struct site site;
    char line[128];
    uint64_t sum;
    char *body = large_body(&sum);

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = sum_body});
    gust_conn *conn = site_dial(&site);
    sprintf(line, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", LARGE);
    client_send(conn, line);
    client_send_bytes(conn, body, LARGE);
    expect_sum(conn, sum);
    client_send(conn, CHUNKED_POST "\r\n");
    for (size_t at = 0, size = 1; at < LARGE; at += size, size = size * 3 + 1) {
        if (size > LARGE - at)
            size = LARGE - at;
        sprintf(line, "%zx\r\n", size);
        client_send(conn, line);
        client_send_bytes(conn, body + at, size);
        client_send(conn, "\r\n");
    }
    client_send(conn, "0\r\n\r\n");
    expect_sum(conn, sum);
    client_close(conn);
    site_stop(&site);
    free(body);
    return 0;
}

Test(body, large_ones_arrive_unharmed)
{
    test_run(upload, NULL);
}

/* --- Bad bodies: 400, 413, 431, and never a second request -------------------------- */

#define REFUSED(status, reason, len)                                                       \
    "HTTP/1.1 " #status " " reason "\r\nConnection: close\r\nContent-Type: text/plain\r\n" \
    "Content-Length: " #len "\r\n\r\n" reason "\n"
#define REFUSED_400 REFUSED(400, "Bad Request", 12)
#define REFUSED_408 REFUSED(408, "Request Timeout", 16)
#define REFUSED_413 REFUSED(413, "Content Too Large", 18)
#define REFUSED_431 REFUSED(431, "Request Header Fields Too Large", 32)

#define NEXT "GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

static const struct {
    const char *name;
    const char *request;
    const char *expected;
} bad_bodies[] = {
    {"chunk size", CHUNKED_POST "\r\nx\r\n" NEXT, REFUSED_400},
    {"chunk end", CHUNKED_POST "\r\n5\r\nhelloXX0\r\n\r\n" NEXT, REFUSED_400},
    {"second chunk", CHUNKED_POST "\r\n5\r\nhello\r\n-1\r\n" NEXT, REFUSED_400},
    {"LF in trailers", CHUNKED_POST "\r\n0\r\nA: b\n\r\n" NEXT, REFUSED_400},
    {"folded trailer", CHUNKED_POST "\r\n0\r\nA: b\r\n c\r\n\r\n" NEXT, REFUSED_400},
    {"space in a trailer's name", CHUNKED_POST "\r\n0\r\nA : b\r\n\r\n" NEXT, REFUSED_400},
    {"request for trailers", CHUNKED_POST "\r\n0\r\n" NEXT, REFUSED_400},
    {"11 of 10 bytes declared",
     "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n01234567890" NEXT, REFUSED_413},
    {"11 of 10 bytes in chunks", CHUNKED_POST "\r\n5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n" NEXT,
     REFUSED_413},
    {"too many trailers", CHUNKED_POST "\r\n0\r\nA: b\r\nC: d\r\nE: f\r\nG: h\r\n\r\n" NEXT,
     REFUSED_431},
};

static int send_bad_bodies(void *arg)
{
    uint64_t limit = 10;
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = echo, .arg = &limit, .header_fields_max = 3});
    for (size_t i = 0; i < sizeof(bad_bodies) / sizeof(bad_bodies[0]); i++)
        expect_reply(site_ask(&site, bad_bodies[i].request), bad_bodies[i].name,
                     bad_bodies[i].expected);
    expect_reply(
        site_ask(&site, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nConnection: close\r\n"
                        "\r\n0123456789"),
        "10 of 10 bytes declared",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789");
    expect_reply(site_ask(&site,
                          CHUNKED_POST "Connection: close\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n"
                                       "0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n"),
                 "10 of 10 bytes in chunks",
                 "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n0123456789");
    site_stop(&site);
    return 0;
}

Test(body, bad_ones_are_refused_and_the_connection_closes)
{
    test_run(send_bad_bodies, NULL);
}

/* A chunked answer that had begun must not look complete. */
static void echo_flushing(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;

    (void)arg;
    while (gust_http_body_next(req, &piece) > 0) {
        CHECK_EQ(gust_http_write(res, piece.data, piece.len), piece.len);
        CHECK_EQ(gust_http_flush(res), 0);
    }
}

static int break_off(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = echo_flushing});
    expect_reply(site_ask(&site, CHUNKED_POST "\r\n5\r\nhello\r\nxyz\r\n" NEXT), "broken off",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    site_stop(&site);
    return 0;
}

Test(body, failure_cuts_off_a_response_that_had_begun)
{
    test_run(break_off, NULL);
}

static int stall(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = echo, .read_timeout_ns = 30 * GUST_MS});
    expect_reply(site_ask(&site, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell"),
                 "stalled", REFUSED_408);
    site_stop(&site);
    return 0;
}

Test(body, that_stalls_times_out)
{
    test_run(stall, NULL);
}

/* --- Expect: 100-continue -------------------------------------------------------------- */

#define EXPECTING(length) \
    "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: " length "\r\n\r\n"

static int expect_continue(void *arg)
{
    uint64_t limit = 10;
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = echo, .arg = &limit});
    gust_conn *conn = site_dial(&site);
    client_send(conn, EXPECTING("5"));
    expect_reply(client_read_reply(conn), "interim", "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(conn, "hello");
    expect_reply(client_read_reply(conn), "final",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    /* The body came along: there is nothing left to ask for. */
    client_send(conn, EXPECTING("5") "hello");
    expect_reply(client_read_reply(conn), "unasked",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    /* A body that will be refused is not asked for. */
    client_send(conn, EXPECTING("11"));
    expect_reply(client_read_all(conn), "too long", REFUSED_413);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(body, is_asked_for_with_100_continue)
{
    test_run(expect_continue, NULL);
}

static int expect_in_vain(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = ignore_body});
    expect_reply(site_ask(&site, EXPECTING("5")), "ignored",
                 "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nignored");
    site_stop(&site);
    return 0;
}

Test(body, that_was_not_asked_for_closes_the_connection)
{
    test_run(expect_in_vain, NULL);
}

/* --- Trailers ----------------------------------------------------------------------------- */

static int send_trailers(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = echo_trailers});
    gust_conn *conn = site_dial(&site);
    client_send(conn, CHUNKED_POST "\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\nOther: x \r\n\r\n");
    expect_reply(client_read_reply(conn), "trailers",
                 "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\nX-Sum=42;Other=x;");
    client_send(conn, CHUNKED_POST "\r\n0\r\n\r\n");
    expect_reply(client_read_reply(conn), "no trailers",
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(body, trailers_come_after_the_end)
{
    test_run(send_trailers, NULL);
}

/* --- Unread bodies ------------------------------------------------------------------------ */

static struct reply ask_ignored(const struct site *site, size_t len)
{
    gust_conn *conn = site_dial(site);
    char line[128];
    char *body = calloc(1, len);

    CHECK(body);
    sprintf(line, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", len);
    client_send(conn, line);
    gust_conn_write(conn, body, len, gust_after(SITE_WAIT_NS));
    gust_conn_write(conn, "GET / HTTP/1.0\r\n\r\n", 18, gust_after(SITE_WAIT_NS));
    gust_conn_flush(conn);
    struct reply r = client_read_all(conn);
    client_close(conn);
    free(body);
    return r;
}

static int leave_bodies(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = ignore_body});
    expect_reply(ask_ignored(&site, GUST_HTTP_DISCARD_BYTES_MAX), "N",
                 "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nignored"
                 "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nignored");
    expect_reply(ask_ignored(&site, GUST_HTTP_DISCARD_BYTES_MAX + 1), "N + 1",
                 "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nignored");
    site_stop(&site);
    return 0;
}

Test(body, unread_is_dropped_up_to_a_bound)
{
    test_run(leave_bodies, NULL);
}

/* --- Back-pressure -------------------------------------------------------------------------- */

struct gate {
    gust_chan *open;
    _Atomic size_t sent;
};

static void wait_then_read(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct gate *gate = arg;
    gust_span piece;

    gust_http_body_limit(req, GUST_HTTP_UNLIMITED);
    CHECK_EQ(gust_chan_recv(gate->open, NULL, gust_after(SITE_WAIT_NS)), 0);
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_http_reply(res, 200, NULL, "read", 4);
}

#define PUSH_TOTAL ((size_t)32 << 20)
#define PUSH_PIECE ((size_t)65536)

/* Sends until the socket takes no more, which it must while nobody reads. */
static int push_against_a_handler_that_waits(void *arg)
{
    static const char piece[PUSH_PIECE];
    struct gate gate = {0};
    struct site site;
    char line[128];
    size_t sent = 0;
    ssize_t n;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &gate.open), 0);
    site_start(&site, &(gust_http_server_options){.handler = wait_then_read, .arg = &gate});
    gust_conn *conn = site_dial(&site);
    sprintf(line, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", PUSH_TOTAL);
    client_send(conn, line);
    while (sent < PUSH_TOTAL) {
        /* The socket is full once nothing moved for a while; then the gate opens. */
        n = gust_conn_drain(conn, gust_after(200 * GUST_MS));
        if (n == -ETIMEDOUT)
            break;
        CHECK_EQ(n, 0);
        CHECK_EQ(gust_conn_append(conn, piece, 16000, gust_after(SITE_WAIT_NS)), 16000);
        sent += 16000;
    }
    CHECK(sent < PUSH_TOTAL);
    gust_chan_close(gate.open);
    while (sent < PUSH_TOTAL) {
        size_t len = PUSH_TOTAL - sent < PUSH_PIECE ? PUSH_TOTAL - sent : PUSH_PIECE;
        CHECK_EQ(gust_conn_write(conn, piece, len, gust_after(SITE_WAIT_NS)), len);
        sent += len;
    }
    expect_reply(client_read_reply(conn), "pushed",
                 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nread");
    client_close(conn);
    site_stop(&site);
    gust_chan_unref(gate.open);
    return 0;
}

Test(body, unread_stops_its_client)
{
    test_run(push_against_a_handler_that_waits, NULL);
}
