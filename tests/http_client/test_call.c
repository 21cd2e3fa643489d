/* Calls: requests as they are sent, responses as they are framed. */
#include "tests/http_client/origin.h"

/* --- Requests -------------------------------------------------------------------------- */

static int get_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/a?b"),
         "HTTP/1.1 404 Not Found\r\nX-A: 1\r\nx-a:  2 \r\nContent-Length: 5\r\n\r\nhello", STAY},
        {GET("/2"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    gust_http_field field;
    size_t cursor = 0;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = ask_for(&o, "GET", "/a?b");
    CHECK_EQ(gust_http_call_wait(call), 404);
    CHECK_EQ(gust_http_call_status(call), 404);
    CHECK(span_is(gust_http_call_reason(call), "Not Found"));
    CHECK_EQ(gust_http_call_minor(call), 1);
    CHECK_EQ(gust_http_call_content_length(call), 5);
    CHECK(gust_http_call_has_body(call));
    CHECK(span_is(gust_http_call_response_header(call, "x-A"), "1"));
    CHECK(!gust_http_call_response_header(call, "x-b").data);
    CHECK(gust_http_call_response_fields(call, &cursor, &field) && span_is(field.value, "1"));
    CHECK(gust_http_call_response_fields(call, &cursor, &field) && span_is(field.value, "2"));
    CHECK(gust_http_call_response_fields(call, &cursor, &field));
    CHECK(!gust_http_call_response_fields(call, &cursor, &field));
    CHECK(span_is(gust_http_call_response_lines(call),
                  "X-A: 1\r\nx-a:  2 \r\nContent-Length: 5\r\n"));
    expect_body(call, "hello");
    CHECK_EQ(gust_http_call_wait(call), 404);
    CHECK(span_is(gust_http_call_reason(call), "Not Found"));
    gust_http_call_free(call);
    expect_get(&o, "/2", 200, "");
    origin_stop(&o);
    return 0;
}

Test(call, asks_and_tells_what_came)
{
    cr_assert_eq(gust_run(get_main, NULL), 0);
}

static int fields_main(void *arg)
{
    static const struct exchange script[] = {
        {"POST /p HTTP/1.1\r\nContent-Length: 5\r\nConnection: close\r\nHost: other:81\r\n"
         "Accept: */*\r\nA: 1\r\nB: 2\r\n\r\nhello",
         OK_BODY("2", "ok"), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_call(&o, "POST", "/p");
    CHECK_EQ(gust_http_call_header(call, "Host", "other:81"), 0);
    CHECK_EQ(gust_http_call_header(call, "Accept", "*/*"), 0);
    CHECK_EQ(gust_http_call_lines(call, text_span("A: 1\r\nB: 2\r\n")), 0);
    CHECK_EQ(gust_http_call_header(call, "connection", "Close"), 0);
    CHECK_EQ(gust_http_call_header(call, "Host", "x"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "A b", "x"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "A", "x\r\nB: y"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Transfer-Encoding", "chunked"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Connection", "keep-alive"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Expect", "more"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Upgrade", "x"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Content-Length", "x"), -EINVAL);
    CHECK_EQ(gust_http_call_header(call, "Content-Length", "5"), 0);
    CHECK_EQ(gust_http_call_header(call, "Content-Length", "5"), -EINVAL);
    CHECK_EQ(gust_http_call_send(call, "hell", 4), -EMSGSIZE);
    CHECK_EQ(gust_http_call_send(call, "hello", 5), 0);
    CHECK_EQ(gust_http_call_send(call, "hello", 5), -EALREADY);
    CHECK_EQ(gust_http_call_header(call, "A", "x"), -EALREADY);
    CHECK_EQ(gust_http_call_lines(call, text_span("A: 1\r\n")), -EALREADY);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "ok");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, fields_are_sent_and_special_ones_checked)
{
    cr_assert_eq(gust_run(fields_main, NULL), 0);
}

static int refused_main(void *arg)
{
    gust_http_client *client;
    gust_http_origin *origin;
    gust_http_call *call;
    static const char *const authorities[] = {"",    ":80", "a:0", "a:65536",
                                              "a:b", "a/b", "a b", "[::1"};
    (void)arg;
    CHECK_EQ(gust_http_client_new(NULL, &client), 0);
    for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++)
        CHECK_EQ(gust_http_origin_new(
                     client, &(gust_http_origin_options){.authority = authorities[i]}, &origin),
                 -EINVAL);
    CHECK_EQ(
        gust_http_origin_new(client, &(gust_http_origin_options){.authority = "[::1]:80"}, &origin),
        0);
    static const char *const methods[] = {"", "G T", "GET\r"};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        CHECK_EQ(gust_http_origin_call(origin, text_span(methods[i]), text_span("/"), &call),
                 -EINVAL);
    static const char *const targets[] = {"", "/ b", "/\r\nA: b", "/#a", "/\x80"};
    for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++)
        CHECK_EQ(gust_http_origin_call(origin, text_span("GET"), text_span(targets[i]), &call),
                 -EINVAL);
    gust_http_origin_unref(origin);
    gust_http_client_free(client);
    gust_http_client_options bad = {.timeouts.head_ns = -1};
    CHECK_EQ(gust_http_client_new(&bad, &client), -EINVAL);
    bad = (gust_http_client_options){.header_bytes_max = ((size_t)16 << 20) + 1};
    CHECK_EQ(gust_http_client_new(&bad, &client), -EINVAL);
    return 0;
}

Test(call, what_is_no_request_is_refused)
{
    cr_assert_eq(gust_run(refused_main, NULL), 0);
}

/* Up to the limit, and one byte more. */
static int long_request_main(void *arg)
{
    gust_http_client *client;
    gust_http_origin *origin;
    gust_http_call *call;
    const size_t max = GUST_HTTP_CLIENT_REQUEST_BYTES_MAX;
    char *text = malloc(max);
    (void)arg;
    memset(text, '/', max);
    CHECK_EQ(gust_http_client_new(NULL, &client), 0);
    CHECK_EQ(gust_http_origin_new(client, &(gust_http_origin_options){.authority = "x"}, &origin),
             0);
    const size_t around = strlen("GET  HTTP/1.1\r\n");
    CHECK_EQ(
        gust_http_origin_call(origin, text_span("GET"), (gust_span){text, max - around + 1}, &call),
        -ENOBUFS);
    CHECK_EQ(
        gust_http_origin_call(origin, text_span("GET"), (gust_span){text, max - around}, &call), 0);
    CHECK_EQ(gust_http_call_header_span(call, text_span("A"), (gust_span){text, max - 4}),
             -ENOBUFS);
    CHECK_EQ(gust_http_call_header_span(call, text_span("A"), (gust_span){text, max - 5}), 0);
    CHECK_EQ(gust_http_call_lines(call, text_span("")), 0);
    CHECK_EQ(gust_http_call_lines(call, text_span("a")), -ENOBUFS);
    gust_http_call_free(call);
    gust_http_origin_unref(origin);
    gust_http_client_free(client);
    free(text);
    return 0;
}

Test(call, requests_are_bounded)
{
    cr_assert_eq(gust_run(long_request_main, NULL), 0);
}

/* --- Framing of responses ---------------------------------------------------------------- */

static int framing_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/chunked"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n"
         "A: b\r\nC:\td \r\n\r\n",
         STAY},
        {GET("/none"), "HTTP/1.1 204 No Content\r\n\r\n", STAY},
        {GET("/same"), "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", STAY},
        {"HEAD /head HTTP/1.1\r\nHost: x\r\n\r\n", OK_BODY("9", ""), STAY},
        {"HEAD /chunked HTTP/1.1\r\nHost: x\r\n\r\n",
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", STAY},
        {GET("/old"), "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\no",
         STAY},
        {GET("/close"), "HTTP/1.1 200 OK\r\n\r\nuntil the end", CLOSE},
        {GET("/older"), "HTTP/1.0 200\r\n\r\nthe same", CLOSE},
        {GET("/empty"), "HTTP/1.1 200 OK\r\n\r\n", CLOSE},
    };
    struct origin o;
    gust_http_call *call;
    gust_http_field trailer;
    size_t cursor = 0;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    call = ask_for(&o, "GET", "/chunked");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_content_length(call), -1);
    CHECK(!gust_http_call_response_trailer(call, "A").data);
    expect_body(call, "abcde");
    CHECK(span_is(gust_http_call_response_trailer(call, "a"), "b"));
    CHECK(span_is(gust_http_call_response_trailer(call, "C"), "d"));
    CHECK(gust_http_call_response_trailers(call, &cursor, &trailer));
    CHECK(span_is(trailer.name, "A") && span_is(trailer.value, "b"));
    CHECK(gust_http_call_response_trailers(call, &cursor, &trailer));
    CHECK(span_is(trailer.name, "C") && span_is(trailer.value, "d"));
    CHECK(!gust_http_call_response_trailers(call, &cursor, &trailer));
    gust_http_call_free(call);
    expect_get(&o, "/none", 204, "");
    call = ask_for(&o, "GET", "/same");
    CHECK_EQ(gust_http_call_wait(call), 304);
    CHECK(!gust_http_call_has_body(call));
    CHECK_EQ(gust_http_call_content_length(call), 7);
    expect_body(call, "");
    gust_http_call_free(call);
    for (int i = 0; i < 2; i++) {
        call = ask_for(&o, "HEAD", i ? "/chunked" : "/head");
        CHECK_EQ(gust_http_call_wait(call), 200);
        CHECK_EQ(gust_http_call_content_length(call), i ? -1 : 9);
        CHECK(!gust_http_call_has_body(call));
        expect_body(call, "");
        gust_http_call_free(call);
    }
    expect_get(&o, "/old", 200, "o");
    expect_get(&o, "/close", 200, "until the end");
    expect_get(&o, "/older", 200, "the same");
    expect_get(&o, "/empty", 200, "");
    gust_http_origin_stats stats;
    gust_http_origin_stats_read(o.origin, &stats);
    CHECK_EQ(stats.opened, 3);
    CHECK_EQ(stats.reused, 6);
    CHECK_EQ(stats.in_use + stats.idle, 0);
    origin_stop(&o);
    return 0;
}

Test(call, bodies_end_where_their_framing_says)
{
    cr_assert_eq(gust_run(framing_main, NULL), 0);
}

static int pieces_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("10", "0123456789"), LEAVE}};
    struct origin o;
    gust_span piece;
    char buf[4];
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = ask_for(&o, "GET", "/");
    CHECK_EQ(gust_http_call_next(call, &piece), -EINVAL);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_read(call, buf, 0), 0);
    CHECK(gust_http_call_read(call, buf, 4) > 0 && buf[0] == '0');
    expect_body(call, "456789" + 0);
    CHECK_EQ(gust_http_call_next(call, &piece), 0);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, bodies_are_read_in_pieces)
{
    cr_assert_eq(gust_run(pieces_main, NULL), 0);
}

/* --- Interim responses ---------------------------------------------------------------------- */

static int interim_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"),
         "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na",
         STAY},
        {GET("/2"), "HTTP/1.1 102 Processing\r\n\r\n" OK_BODY("1", "b"), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = ask_for(&o, "GET", "/1");
    CHECK_EQ(gust_http_call_next_head(call), 103);
    CHECK(span_is(gust_http_call_response_header(call, "Link"), "</a>"));
    CHECK(!gust_http_call_has_body(call));
    CHECK_EQ(gust_http_call_next_head(call), 100);
    CHECK(!gust_http_call_response_header(call, "Link").data);
    CHECK_EQ(gust_http_call_next_head(call), 200);
    CHECK_EQ(gust_http_call_next_head(call), 200);
    expect_body(call, "a");
    gust_http_call_free(call);
    expect_get(&o, "/2", 200, "b");
    origin_stop(&o);
    return 0;
}

Test(call, interim_responses_are_told_or_passed_over)
{
    cr_assert_eq(gust_run(interim_main, NULL), 0);
}

/* So many are all right, one more is not. */
static int interims_max_main(void *arg)
{
    static const char one[] = "HTTP/1.1 100 Continue\r\n\r\n", final[] = OK_BODY("0", "");
    static char replies[2][sizeof(one) * (GUST_HTTP_CLIENT_INTERIM_MAX + 1) + sizeof(final)];
    const struct exchange script[] = {{GET("/0"), replies[0], STAY},
                                      {GET("/1"), replies[1], LEAVE}};
    struct origin o;
    (void)arg;
    for (int more = 0; more < 2; more++) {
        for (int i = 0; i < GUST_HTTP_CLIENT_INTERIM_MAX + more; i++)
            strcat(replies[more], one);
        strcat(replies[more], final);
    }
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/0", 200, "");
    gust_http_call *call = ask_for(&o, "GET", "/1");
    CHECK_EQ(gust_http_call_wait(call), -EBADMSG);
    expect_failure(call, GUST_HTTP_PHASE_HEAD, -EBADMSG, "too many interim responses");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, interim_responses_are_bounded)
{
    cr_assert_eq(gust_run(interims_max_main, NULL), 0);
}

/* --- Broken responses -------------------------------------------------------------------------- */

struct broken {
    struct exchange x;
    gust_http_phase phase;
    int error;
    const char *reason;
};

#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct broken broken[] = {
    {{GET("/"), "", CLOSE},
     GUST_HTTP_PHASE_HEAD,
     -ECONNRESET,
     "the connection ended before a response"},
    {{GET("/"), "HTTP/1.1 200 OK\r\nA: b\r\n", CLOSE},
     GUST_HTTP_PHASE_HEAD,
     -ECONNRESET,
     "the connection ended within the header"},
    {{GET("/"), "SSH-2.0-x\r\n", LEAVE}, GUST_HTTP_PHASE_HEAD, -EBADMSG, "not HTTP/1.x"},
    {{GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na", LEAVE},
     GUST_HTTP_PHASE_HEAD,
     -EBADMSG,
     "more than one Content-Length"},
    {{GET("/"), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      LEAVE},
     GUST_HTTP_PHASE_HEAD,
     -EBADMSG,
     "both Content-Length and Transfer-Encoding"},
    {{GET("/"), "HTTP/1.1 101 Switching Protocols\r\n\r\n", LEAVE},
     GUST_HTTP_PHASE_HEAD,
     -EPROTO,
     "the server switches to a protocol nobody asked for"},
    {{GET("/"), "HTTP/1.1 100 Continue\r\nContent-Length: 3\r\n\r\n", LEAVE},
     GUST_HTTP_PHASE_HEAD,
     -EBADMSG,
     "an interim response with a body"},
    {{GET("/"), OK_BODY("5", "abcd"), CLOSE},
     GUST_HTTP_PHASE_BODY,
     -ENODATA,
     "the connection ended before the body"},
    {{GET("/"), CHUNKED "5\r\nabcde\r\n", CLOSE},
     GUST_HTTP_PHASE_BODY,
     -ENODATA,
     "the connection ended before the body"},
    {{GET("/"), CHUNKED "5\r\nabcdef\r\n0\r\n\r\n", LEAVE},
     GUST_HTTP_PHASE_BODY,
     -EBADMSG,
     "malformed chunk"},
    {{GET("/"), CHUNKED "x\r\n", LEAVE}, GUST_HTTP_PHASE_BODY, -EBADMSG, "malformed chunk"},
    {{GET("/"), CHUNKED "0\r\nA : b\r\n\r\n", LEAVE},
     GUST_HTTP_PHASE_BODY,
     -EBADMSG,
     "malformed trailer"},
    {{GET("/"), CHUNKED "0\r\nA: b\n\r\n", LEAVE},
     GUST_HTTP_PHASE_BODY,
     -EBADMSG,
     "line end without CR"},
    {{GET("/"), CHUNKED "0\r\nA: b\r\n", CLOSE},
     GUST_HTTP_PHASE_BODY,
     -ENODATA,
     "the connection ended before the body"},
};

static int broken_main(void *arg)
{
    const struct broken *b = arg;
    struct origin o;
    char *data;
    size_t len;

    origin_start(&o, &b->x, 1, NULL);
    gust_http_call *call = ask_for(&o, "GET", "/");
    int r = gust_http_call_wait(call);
    if (b->phase == GUST_HTTP_PHASE_BODY) {
        CHECK_EQ(r, 200);
        r = gust_http_call_read_all(call, 1 << 16, &data, &len);
    }
    CHECK_EQ(r, b->error);
    expect_failure(call, b->phase, b->error, b->reason);
    CHECK_EQ(gust_http_call_read(call, &len, 1), b->error);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, what_is_broken_or_ambiguous_is_an_error)
{
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        cr_assert_eq(gust_run(broken_main, (void *)&broken[i]), 0);
}

static int reset_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("5", "ab"), RESET}};
    struct origin o;
    gust_span piece;
    ssize_t n;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = ask_for(&o, "GET", "/");
    int r = gust_http_call_wait(call); /* the reset may overtake what was sent before */
    if (r == 200) {
        while ((n = gust_http_call_next(call, &piece)) > 0)
            continue;
        r = (int)n;
    }
    CHECK_EQ(r, -ECONNRESET);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, a_reset_is_an_error)
{
    cr_assert_eq(gust_run(reset_main, NULL), 0);
}

/* --- Limits -------------------------------------------------------------------------------------- */

#define HEAD_OF_40 "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"

static int header_limit_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), HEAD_OF_40 "abcdef", LEAVE}};
    const size_t *max = arg;
    struct origin o;

    ORIGIN_START(&o, script, &(gust_http_client_options){.header_bytes_max = *max});
    gust_http_call *call = ask_for(&o, "GET", "/");
    if (*max >= strlen(HEAD_OF_40)) {
        CHECK_EQ(gust_http_call_wait(call), 200);
        expect_body(call, "abcdef");
    } else {
        CHECK_EQ(gust_http_call_wait(call), -EMSGSIZE);
        expect_failure(call, GUST_HTTP_PHASE_HEAD, -EMSGSIZE, "header too large");
    }
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, headers_are_bounded)
{
    size_t max = strlen(HEAD_OF_40);

    cr_assert_eq(gust_run(header_limit_main, &max), 0);
    max--;
    cr_assert_eq(gust_run(header_limit_main, &max), 0);
}

static int fields_limit_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\n\r\n0\r\nC: d\r\nE: f\r\n\r\n",
         LEAVE},
        {GET("/"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nA: b\r\nB: c\r\n\r\n0\r\n\r\n",
         LEAVE},
        {GET("/"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nC: d\r\nE: f\r\n\r\n",
         LEAVE},
    };
    struct origin o;
    gust_span piece;
    (void)arg;
    ORIGIN_START(
        &o, script,
        &(gust_http_client_options){.header_fields_max = 2, .idle_max = GUST_HTTP_CLIENT_NO_IDLE});
    expect_get(&o, "/", 200, "");
    gust_http_call *call = ask_for(&o, "GET", "/");
    CHECK_EQ(gust_http_call_wait(call), -EMSGSIZE);
    expect_failure(call, GUST_HTTP_PHASE_HEAD, -EMSGSIZE, "too many header fields");
    gust_http_call_free(call);
    call = ask_for(&o, "GET", "/");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_next(call, &piece), -EMSGSIZE);
    expect_failure(call, GUST_HTTP_PHASE_BODY, -EMSGSIZE, "too many trailers");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(call, fields_and_trailers_are_bounded)
{
    cr_assert_eq(gust_run(fields_limit_main, NULL), 0);
}

/* By length, by chunks, by the close: `limit` bytes are read, one less is not enough. */
static int body_limit_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/"), OK_BODY("4", "abcd"), LEAVE},
        {GET("/"), CHUNKED "2\r\nab\r\n2\r\ncd\r\n0\r\n\r\n", LEAVE},
        {GET("/"), "HTTP/1.1 200 OK\r\n\r\nabcd", CLOSE},
    };
    const uint64_t *limit = arg;
    struct origin o;
    gust_span piece;
    ssize_t n;

    ORIGIN_START(&o, script, &(gust_http_client_options){.idle_max = GUST_HTTP_CLIENT_NO_IDLE});
    for (int i = 0; i < 3; i++) {
        gust_http_call *call = new_call(&o, "GET", "/");
        gust_http_call_body_limit(call, *limit);
        CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
        CHECK_EQ(gust_http_call_wait(call), 200);
        while ((n = gust_http_call_next(call, &piece)) > 0)
            continue;
        CHECK_EQ(n, *limit < 4 ? -EMSGSIZE : 0);
        gust_http_call_free(call);
    }
    origin_stop(&o);
    return 0;
}

Test(call, bodies_are_bounded)
{
    static const uint64_t limits[] = {0, 3, 4, 5};

    for (size_t i = 0; i < 4; i++)
        cr_assert_eq(gust_run(body_limit_main, (void *)&limits[i]), 0);
}
