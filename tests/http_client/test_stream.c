/* Bodies that are sent piece by piece, Expect, and both directions at once. */
#include "tests/http_client/origin.h"

#include <gust/chan.h>
#include <gust/timer.h>

#define POST(fields) "POST / HTTP/1.1\r\nHost: x\r\n" fields "\r\n"

static ssize_t write_text(gust_http_call *call, const char *text)
{
    return gust_http_call_write(call, text, strlen(text));
}

/* --- Framing of requests --------------------------------------------------------------- */

static int framing_main(void *arg)
{
    static const struct exchange script[] = {
        {POST("Content-Length: 5\r\n") "hello", OK_BODY("0", ""), STAY},
        {POST(
             "Transfer-Encoding: chunked\r\n") "5\r\nhello\r\n11\r\n0123456789abcdefg\r\n0\r\n\r\n",
         OK_BODY("0", ""), STAY},
        {POST("Transfer-Encoding: chunked\r\n") "1\r\na\r\n0\r\nX-Sum: 1\r\nY: 2\r\n\r\n",
         OK_BODY("0", ""), STAY},
        {POST("Content-Length: 0\r\n"), OK_BODY("0", ""), STAY},
        {POST("Transfer-Encoding: chunked\r\n") "0\r\n\r\n", OK_BODY("0", ""), STAY},
        {POST("Content-Length: 3\r\n") "abc", OK_BODY("0", ""), STAY},
        {GET("/"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    for (size_t i = 0; i < sizeof(script) / sizeof(script[0]); i++) {
        static const int64_t lengths[] = {5, -1, -1, 0, -1, -1, 0};
        gust_http_call *call = new_call(&o, i == 6 ? "GET" : "POST", "/");
        CHECK_EQ(write_text(call, "x"), -EINVAL);
        CHECK_EQ(gust_http_call_trailer(call, "A", "b"), -EINVAL);
        if (i == 5)
            CHECK_EQ(gust_http_call_header(call, "Content-Length", "3"), 0);
        CHECK_EQ(gust_http_call_begin(call, -2), -EINVAL);
        CHECK_EQ(gust_http_call_begin(call, lengths[i]), 0);
        CHECK_EQ(gust_http_call_begin(call, lengths[i]), -EALREADY);
        switch (i) {
        case 0:
            CHECK_EQ(write_text(call, "hel"), 3);
            CHECK_EQ(write_text(call, "lo!"), -EMSGSIZE);
            CHECK_EQ(gust_http_call_trailer(call, "A", "b"), -ENOTSUP);
            CHECK_EQ(gust_http_call_flush(call), 0);
            CHECK_EQ(write_text(call, "lo"), 2);
            break;
        case 1:
            CHECK_EQ(write_text(call, "hello"), 5);
            CHECK_EQ(write_text(call, ""), 0);
            CHECK_EQ(write_text(call, "0123456789abcdefg"), 17);
            break;
        case 2:
            CHECK_EQ(write_text(call, "a"), 1);
            CHECK_EQ(gust_http_call_trailer(call, "X-Sum", "1"), 0);
            CHECK_EQ(gust_http_call_trailer_span(call, gust_span_of("Y"), gust_span_of("2")), 0);
            CHECK_EQ(gust_http_call_trailer(call, "Content-Length", "2"), -EINVAL);
            CHECK_EQ(gust_http_call_trailer(call, "Host", "2"), -EINVAL);
            CHECK_EQ(gust_http_call_trailer(call, "A", "\n"), -EINVAL);
            break;
        case 5: CHECK_EQ(write_text(call, "abc"), 3); break;
        default: break;
        }
        if (i == 3)
            CHECK_EQ(write_text(call, "a"), -EMSGSIZE);
        CHECK_EQ(gust_http_call_end(call), 0);
        CHECK_EQ(gust_http_call_end(call), 0);
        CHECK_EQ(gust_http_call_trailer(call, "A", "b"), -EALREADY);
        CHECK_EQ(gust_http_call_wait(call), 200);
        gust_http_call_free(call);
    }
    origin_stop(&o);
    return 0;
}

Test(stream, bodies_are_sent_by_length_or_by_chunks)
{
    cr_assert_eq(gust_run(framing_main, NULL), 0);
}

static int short_main(void *arg)
{
    static const struct exchange script[] = {{POST("Content-Length: 5\r\n") "abcd", "", LEAVE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_call(&o, "POST", "/");
    CHECK_EQ(gust_http_call_begin(call, 5), 0);
    CHECK_EQ(write_text(call, "abcd"), 4);
    CHECK_EQ(gust_http_call_flush(call), 0);
    CHECK_EQ(gust_http_call_end(call), -ENODATA);
    expect_failure(call, GUST_HTTP_PHASE_SEND, -ENODATA, "");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(stream, less_than_declared_is_an_error_and_no_whole_request)
{
    cr_assert_eq(gust_run(short_main, NULL), 0);
}

/* --- Expect --------------------------------------------------------------------------------- */

#define EXPECTING POST("Content-Length: 4\r\nExpect: 100-continue\r\n")

static gust_http_call *new_expecting(struct origin *o)
{
    gust_http_call *call = new_call(o, "POST", "/");

    CHECK_EQ(gust_http_call_header(call, "Expect", "100-continue"), 0);
    return call;
}

static int continue_main(void *arg)
{
    static const struct exchange script[] = {
        {EXPECTING, "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n", STAY},
        {"body", OK_BODY("0", ""), STAY},
        {EXPECTING, "HTTP/1.1 100 Continue\r\n\r\n", STAY},
        {"body", OK_BODY("0", ""), STAY},
        {EXPECTING, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n", LEAVE},
        {EXPECTING, "HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n", LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_expecting(&o);
    CHECK_EQ(gust_http_call_begin(call, 4), 0);
    CHECK_EQ(write_text(call, "bo"), 2);
    CHECK_EQ(write_text(call, "dy"), 2);
    CHECK_EQ(gust_http_call_end(call), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    call = new_expecting(&o); /* by a program that hands the 100 on */
    CHECK_EQ(gust_http_call_begin(call, 4), 0);
    CHECK_EQ(gust_http_call_next_head(call), 100);
    CHECK_EQ(write_text(call, "body"), 4);
    CHECK_EQ(gust_http_call_end(call), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    call = new_expecting(&o);
    CHECK_EQ(gust_http_call_begin(call, 4), 0);
    CHECK_EQ(write_text(call, "body"), -EALREADY);
    CHECK_EQ(gust_http_call_wait(call), 417);
    gust_http_call_free(call);
    call = new_expecting(&o);
    CHECK_EQ(gust_http_call_send(call, "body", 4), 0);
    CHECK_EQ(gust_http_call_wait(call), 413);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(stream, a_body_waits_for_100_continue)
{
    cr_assert_eq(gust_run(continue_main, NULL), 0);
}

/* A server that knows nothing of it says nothing. */
static int silent_main(void *arg)
{
    static const struct exchange script[] = {{EXPECTING, "", STAY},
                                             {"body", OK_BODY("0", ""), LEAVE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, &(gust_http_client_options){.timeouts.continue_ns = 5 * GUST_MS});
    gust_http_call *call = new_expecting(&o);
    CHECK_EQ(gust_http_call_send(call, "body", 4), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(stream, a_body_does_not_wait_for_ever)
{
    cr_assert_eq(gust_run(silent_main, NULL), 0);
}

static int expect_late_main(void *arg)
{
    static const struct exchange script[] = {{EXPECTING, "", LEAVE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_expecting(&o);
    CHECK_EQ(gust_http_call_begin(call, 4), 0);
    gust_http_call_deadline(call, gust_after(5 * GUST_MS));
    CHECK_EQ(write_text(call, "body"), -ETIMEDOUT);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(stream, the_deadline_ends_that_wait_too)
{
    cr_assert_eq(gust_run(expect_late_main, NULL), 0);
}

/* --- Early answers ---------------------------------------------------------------------------- */

/* Answers before it has read the body, and closes. */
static int early_main(void *arg)
{
    static const struct exchange script[] = {
        {"POST / HTTP/1.1\r\n",
         "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", LEAVE},
    };
    static const char zeroes[65536];
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_call(&o, "POST", "/");
    CHECK_EQ(gust_http_call_begin(call, 1 << 20), 0);
    CHECK_EQ(gust_http_call_write(call, zeroes, sizeof(zeroes)), sizeof(zeroes));
    CHECK_EQ(gust_http_call_wait(call), 413);
    gust_http_call_free(call); /* the request is not complete: the connection is closed */
    origin_stop(&o);
    return 0;
}

Test(stream, an_answer_may_come_before_the_request_has_ended)
{
    cr_assert_eq(gust_run(early_main, NULL), 0);
}

/* --- Both directions at once --------------------------------------------------------------------- */

static void echo(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    ssize_t n;
    (void)arg;
    gust_http_body_limit(req, GUST_HTTP_UNLIMITED);
    while ((n = gust_http_body_next(req, &piece)) > 0) {
        if (gust_http_write(res, piece.data, piece.len) < 0 || gust_http_flush(res) < 0)
            return;
    }
}

struct duplex {
    gust_http_call *call;
    gust_waitgroup sent;
    uint64_t total;
};

static char letter(uint64_t at)
{
    return (char)('a' + at % 23);
}

static void send_all(void *arg)
{
    struct duplex *d = arg;
    char buf[3000];

    for (uint64_t at = 0; at < d->total;) {
        size_t n = d->total - at < sizeof(buf) ? (size_t)(d->total - at) : sizeof(buf);
        for (size_t i = 0; i < n; i++)
            buf[i] = letter(at + i);
        CHECK_EQ(gust_http_call_write(d->call, buf, n), n);
        at += n;
    }
    CHECK_EQ(gust_http_call_end(d->call), 0);
    gust_waitgroup_done(&d->sent);
}

static void start_site(struct site *site, gust_http_handler *handler, void *arg,
                       gust_http_client **client, gust_http_origin **origin)
{
    site_start(site, &(gust_http_server_options){.handler = handler, .arg = arg});
    CHECK_EQ(gust_http_client_new(NULL, client), 0);
    CHECK_EQ(
        gust_http_origin_new(
            *client, &(gust_http_origin_options){.authority = "x", .addr = &site->addr}, origin),
        0);
}

static void stop_site(struct site *site, gust_http_client *client, gust_http_origin *origin)
{
    gust_http_origin_unref(origin);
    gust_http_client_free(client);
    site_stop(site);
}

/* Far more than all buffers hold: neither side gets anywhere without the other. */
static int duplex_main(void *arg)
{
    struct duplex d = {.total = 8 << 20};
    gust_http_client *client;
    gust_http_origin *origin;
    struct site site;
    gust_span piece;
    uint64_t at = 0;
    (void)arg;
    start_site(&site, echo, NULL, &client, &origin);
    for (int i = 0; i < 2; i++) {
        at = 0;
        CHECK_EQ(gust_http_origin_call(origin, text_span("POST"), text_span("/"), &d.call), 0);
        CHECK_EQ(gust_http_call_begin(d.call, i ? -1 : (int64_t)d.total), 0);
        gust_waitgroup_add(&d.sent, 1);
        CHECK_EQ(gust_go(send_all, &d), 0);
        CHECK_EQ(gust_http_call_wait(d.call), 200);
        while (gust_http_call_next(d.call, &piece) > 0)
            for (size_t k = 0; k < piece.len; k++, at++)
                CHECK(piece.data[k] == letter(at));
        CHECK_EQ(at, d.total);
        CHECK_EQ(gust_waitgroup_wait(&d.sent, SOON), 0);
        gust_http_call_free(d.call);
    }
    gust_http_origin_stats stats;
    gust_http_origin_stats_read(origin, &stats);
    CHECK_EQ(stats.opened, 1);
    stop_site(&site, client, origin);
    return 0;
}

Test(stream, one_goroutine_sends_while_another_receives, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(duplex_main, NULL), 0);
}

/* One large body that is sent whole. */
static int large_main(void *arg)
{
    const size_t total = 3 << 20;
    gust_http_client *client;
    gust_http_origin *origin;
    gust_http_call *call;
    struct site site;
    char *body = malloc(total), *data;
    size_t len;
    (void)arg;
    for (size_t i = 0; i < total; i++)
        body[i] = letter(i);
    start_site(&site, echo, NULL, &client, &origin);
    CHECK_EQ(gust_http_origin_call(origin, text_span("PUT"), text_span("/"), &call), 0);
    /* The server answers while it reads: so somebody has to read. */
    struct duplex d = {.call = call, .total = total};
    CHECK_EQ(gust_http_call_begin(call, (int64_t)total), 0);
    gust_waitgroup_add(&d.sent, 1);
    CHECK_EQ(gust_go(send_all, &d), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_read_all(call, total, &data, &len), 0);
    CHECK(len == total && memcmp(data, body, len) == 0);
    CHECK_EQ(gust_waitgroup_wait(&d.sent, SOON), 0);
    gust_http_call_free(call);
    free(data);
    CHECK_EQ(gust_http_origin_call(origin, text_span("PUT"), text_span("/"), &call), 0);
    const size_t some = 200000;
    CHECK_EQ(gust_http_call_send(call, body, some), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_read_all(call, some - 1, &data, &len), -EMSGSIZE);
    gust_http_call_free(call);
    free(body);
    stop_site(&site, client, origin);
    return 0;
}

Test(stream, large_bodies_arrive_whole, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(large_main, NULL), 0);
}

/* --- Back-pressure ---------------------------------------------------------------------------------- */

static void never_read(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_chan *done = arg;
    char dummy;
    (void)req;
    (void)res;
    gust_chan_recv(done, &dummy, SOON);
}

static int pressure_main(void *arg)
{
    static const char zeroes[65536];
    gust_http_client *client;
    gust_http_origin *origin;
    gust_http_call *call;
    struct site site;
    gust_chan *done;
    ssize_t n;
    (void)arg;
    CHECK_EQ(gust_chan_new(1, 0, &done), 0);
    start_site(&site, never_read, done, &client, &origin);
    CHECK_EQ(gust_http_origin_call(origin, text_span("PUT"), text_span("/"), &call), 0);
    CHECK_EQ(gust_http_call_timeouts(call, &(gust_http_timeouts){.send_ns = 20 * GUST_MS}), 0);
    CHECK_EQ(gust_http_call_timeouts(call, &(gust_http_timeouts){.send_ns = -1}), -EINVAL);
    CHECK_EQ(gust_http_call_begin(call, INT64_C(1) << 40), 0);
    while ((n = gust_http_call_write(call, zeroes, sizeof(zeroes))) > 0)
        continue;
    CHECK_EQ(n, -ETIMEDOUT);
    expect_failure(call, GUST_HTTP_PHASE_SEND, -ETIMEDOUT, "");
    CHECK_EQ(gust_http_call_write(call, zeroes, 1), -ETIMEDOUT);
    gust_http_call_free(call);
    gust_chan_close(done);
    stop_site(&site, client, origin);
    gust_chan_unref(done);
    return 0;
}

Test(stream, a_server_that_does_not_read_stops_the_sender, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(pressure_main, NULL), 0);
}

/* --- A slow sender ------------------------------------------------------------------------------------ */

struct slow {
    gust_http_call *call;
    gust_waitgroup done;
    gust_time until;
};

static void send_slowly(void *arg)
{
    struct slow *s = arg;

    while (gust_now() < s->until) {
        CHECK_EQ(gust_http_call_write(s->call, "a", 1), 1);
        CHECK_EQ(gust_http_call_flush(s->call), 0);
        CHECK_EQ(gust_sleep(GUST_MS), 0);
    }
    CHECK_EQ(gust_http_call_end(s->call), 0);
    gust_waitgroup_done(&s->done);
}

static void count_body(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    (void)arg;
    gust_http_body_rate(req, GUST_HTTP_NO_MINIMUM);
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_http_reply(res, 200, NULL, NULL, 0);
}

/* The time for the head does not run while the request is being sent. */
static int slow_main(void *arg)
{
    gust_http_client *client;
    gust_http_origin *origin;
    struct slow s = {.until = gust_after(500 * GUST_MS)};
    struct site site;
    (void)arg;
    start_site(&site, count_body, NULL, &client, &origin);
    CHECK_EQ(gust_http_origin_call(origin, text_span("POST"), text_span("/"), &s.call), 0);
    CHECK_EQ(gust_http_call_timeouts(s.call, &(gust_http_timeouts){.head_ns = 250 * GUST_MS}), 0);
    CHECK_EQ(gust_http_call_begin(s.call, -1), 0);
    gust_waitgroup_add(&s.done, 1);
    CHECK_EQ(gust_go(send_slowly, &s), 0);
    CHECK_EQ(gust_http_call_wait(s.call), 200);
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    gust_http_call_free(s.call);
    stop_site(&site, client, origin);
    return 0;
}

Test(stream, the_time_for_the_head_begins_when_the_request_has_ended)
{
    cr_assert_eq(gust_run(slow_main, NULL), 0);
}
