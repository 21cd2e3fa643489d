/* What handlers do and what clients see. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/tcp.h>

/* --- Handlers ------------------------------------------------------------------ */

static void say_nothing(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)res;
    (void)arg;
}

static void reply_hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_reply(res, 200, "text/plain", "hello", 5), 0);
}

static void reply_no_content(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_status(res, 204), 0);
    CHECK_EQ(gust_http_write(res, "x", 1), -EMSGSIZE);
}

static void reply_not_modified(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_status(res, 304), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "1234"), 0);
    CHECK_EQ(gust_http_write(res, "x", 1), -EMSGSIZE);
}

static void write_twice(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "X-One", "1"), 0);
    CHECK_EQ(gust_http_write(res, "hel", 3), 3);
    CHECK_EQ(gust_http_write(res, "", 0), 0);
    CHECK_EQ(gust_http_write(res, "lo", 2), 2);
}

static void write_and_flush(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_write(res, "hello", 5), 5);
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK_EQ(gust_http_write(res, "0123456789abcdef", 16), 16);
}

static void write_with_trailers(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "Trailer", "X-Sum"), 0);
    CHECK_EQ(gust_http_write(res, "hello", 5), 5);
    CHECK_EQ(gust_http_trailer(res, "X-Sum", "42"), 0);
    CHECK_EQ(gust_http_trailer(res, "Content-Length", "5"), -EINVAL);
    CHECK_EQ(gust_http_trailer(res, "X", "a\r\nb"), -EINVAL);
}

static void refuse_trailers(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_trailer(res, "X-Sum", "42"), -ENOTSUP);
    CHECK_EQ(gust_http_write(res, "hello", 5), 5);
}

static void declare_and_stream(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "content-length", "5"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "6"), -EINVAL);
    CHECK_EQ(gust_http_trailer(res, "X", "y"), -ENOTSUP);
    CHECK_EQ(gust_http_write(res, "hel", 3), 3);
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK_EQ(gust_http_write(res, "lo!", 3), -EMSGSIZE);
    CHECK_EQ(gust_http_write(res, "lo", 2), 2);
    CHECK_EQ(gust_http_write(res, "!", 1), -EMSGSIZE);
}

static void write_less_than_declared(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "Content-Length", "10"), 0);
    CHECK_EQ(gust_http_write(res, "hello", 5), 5);
}

static void set_special_fields(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "date", "yesterday"), 0);
    CHECK_EQ(gust_http_header(res, "Date", "today"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Connection", "close"), 0);
    CHECK_EQ(gust_http_header(res, "Connection", "upgrade"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Transfer-Encoding", "chunked"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Set-Cookie", "a=1"), 0);
    CHECK_EQ(gust_http_header(res, "Set-Cookie", "b=2"), 0);
}

static void try_to_split_the_response(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_header(res, "X", "a\r\nY: b"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X", "a\nY: b"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X", "a\rb"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X", "a\x7f"), -EINVAL);
    CHECK_EQ(gust_http_header_span(res, "X", (gust_span){"a\0b", 3}), -EINVAL);
    CHECK_EQ(gust_http_header(res, "", "a"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X Y", "a"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X:", "a"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "X\r\nY", "a"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Content-Length", "+5"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Content-Length", "5 "), -EINVAL);
    CHECK_EQ(gust_http_reply(res, 200, "text/\r\nplain", "x", 1), -EINVAL);
    CHECK_EQ(gust_http_status(res, 99), -EINVAL);
    CHECK_EQ(gust_http_status(res, 101), -EINVAL);
    CHECK_EQ(gust_http_status(res, 1000), -EINVAL);
    CHECK_EQ(gust_http_header_span(res, "X-Empty", (gust_span){NULL, 0}), 0);
    CHECK_EQ(gust_http_status(res, 299), 0);
}

static void change_after_the_body_began(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_write(res, "x", 1), 1);
    CHECK_EQ(gust_http_status(res, 500), -EALREADY);
    CHECK_EQ(gust_http_header(res, "X", "y"), -EALREADY);
    CHECK_EQ(gust_http_reply(res, 500, NULL, "y", 1), -EALREADY);
}

/* --- One request, one answer ------------------------------------------------------ */

#define CLOSE "Connection: close\r\n"
#define GET11 "GET / HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"
#define HEAD11 "HEAD / HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"
#define GET10 "GET / HTTP/1.0\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n"

static const struct {
    const char *name;
    gust_http_handler *handler;
    const char *request;
    const char *expected;
} cases[] = {
    {"nothing", say_nothing, GET11, OK "Content-Length: 0\r\n" CLOSE "\r\n"},
    {"reply", reply_hello, GET11,
     OK "Content-Length: 5\r\n" CLOSE "Content-Type: text/plain\r\n\r\nhello"},
    {"reply to HEAD", reply_hello, HEAD11,
     OK "Content-Length: 5\r\n" CLOSE "Content-Type: text/plain\r\n\r\n"},
    {"reply to HTTP/1.0", reply_hello, GET10,
     OK "Content-Length: 5\r\n" CLOSE "Content-Type: text/plain\r\n\r\nhello"},
    {"204", reply_no_content, GET11, "HTTP/1.1 204 No Content\r\n" CLOSE "\r\n"},
    {"304", reply_not_modified, GET11,
     "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n" CLOSE "\r\n"},
    {"two writes", write_twice, GET11, OK "Content-Length: 5\r\n" CLOSE "X-One: 1\r\n\r\nhello"},
    {"two writes to HEAD", write_twice, HEAD11,
     OK "Content-Length: 5\r\n" CLOSE "X-One: 1\r\n\r\n"},
    {"flush", write_and_flush, GET11,
     OK "Transfer-Encoding: chunked\r\n" CLOSE
        "\r\n5\r\nhello\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"},
    {"flush to HEAD", write_and_flush, HEAD11, OK "Transfer-Encoding: chunked\r\n" CLOSE "\r\n"},
    {"flush to HTTP/1.0", write_and_flush, GET10, OK CLOSE "\r\nhello0123456789abcdef"},
    {"trailers", write_with_trailers, GET11,
     OK "Transfer-Encoding: chunked\r\n" CLOSE
        "Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n"},
    {"trailers to HTTP/1.0", refuse_trailers, GET10, OK "Content-Length: 5\r\n" CLOSE "\r\nhello"},
    {"trailers to HEAD", refuse_trailers, HEAD11, OK "Content-Length: 5\r\n" CLOSE "\r\n"},
    {"declared length", declare_and_stream, GET11, OK "Content-Length: 5\r\n" CLOSE "\r\nhello"},
    {"less than declared", write_less_than_declared, GET11,
     OK "Content-Length: 10\r\n" CLOSE "\r\nhello"},
    {"special fields", set_special_fields, "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
     OK "Content-Length: 0\r\n" CLOSE
        "date: yesterday\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\n"},
    {"response splitting", try_to_split_the_response, GET11,
     "HTTP/1.1 299 \r\nContent-Length: 0\r\n" CLOSE "X-Empty: \r\n\r\n"},
    {"too late", change_after_the_body_began, GET11, OK "Content-Length: 1\r\n" CLOSE "\r\nx"},
};

static int answer_all_cases(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct site site;
        site_start(&site, &(gust_http_server_options){.handler = cases[i].handler});
        expect_reply(site_ask(&site, cases[i].request), cases[i].name, cases[i].expected);
        site_stop(&site);
    }
    return 0;
}

Test(response, looks_as_the_handler_asked)
{
    test_run(answer_all_cases, NULL);
}

static int truncate_keeps_no_connection(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = write_less_than_declared});
    expect_reply(site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "keep-alive",
                 OK "Content-Length: 10\r\n\r\nhello");
    site_stop(&site);
    return 0;
}

Test(response, shorter_than_declared_closes_the_connection)
{
    test_run(truncate_keeps_no_connection, NULL);
}

/* --- Sizes: 2048 is collected, 2049 is chunked ------------------------------------- */

static void write_arg_bytes(gust_http_request *req, gust_http_response *res, void *arg)
{
    size_t *len = arg;
    char *body = malloc(*len + 1);

    (void)req;
    CHECK(body);
    memset(body, 'b', *len);
    CHECK_EQ(gust_http_write(res, body, *len), *len);
    free(body);
}

static int measure_boundary(void *arg)
{
    struct site site;
    size_t len = 2048;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = write_arg_bytes, .arg = &len});
    expect_reply_start(site_ask(&site, GET11), "2048", OK "Content-Length: 2048\r\n");
    len = 2049;
    expect_reply_start(site_ask(&site, GET11), "2049",
                       OK "Transfer-Encoding: chunked\r\n" CLOSE "\r\n801\r\nbbb");
    len = 1 << 20;
    struct reply r = site_ask(&site, GET11);
    CHECK_EQ(r.len, strlen(OK "Transfer-Encoding: chunked\r\n" CLOSE "\r\n") +
                        strlen("100000\r\n\r\n0\r\n\r\n") + len);
    free(r.text);
    site_stop(&site);
    return 0;
}

Test(response, is_chunked_beyond_2_kib)
{
    test_run(measure_boundary, NULL);
}

/* --- A header that outgrows its buffer ---------------------------------------------- */

static void add_many_fields(gust_http_request *req, gust_http_response *res, void *arg)
{
    char value[1001];
    int count = 0;
    int r;

    (void)req;
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    while ((r = gust_http_header(res, "X-Long", value)) == 0)
        count++;
    CHECK_EQ(r, -ENOBUFS);
    CHECK_EQ(gust_http_write(res, "body", 4), 4);
    *(int *)arg = count;
}

static int bound_the_header(void *arg)
{
    struct site site;
    int count = 0;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = add_many_fields, .arg = &count});
    struct reply r = site_ask(&site, GET11);
    CHECK_EQ(count, 65536 / 1010);
    CHECK_EQ(r.len, strlen(OK "Content-Length: 4\r\n" CLOSE "\r\nbody") + (size_t)count * 1010);
    free(r.text);
    site_stop(&site);
    return 0;
}

Test(response, header_is_bounded_by_64_kib)
{
    test_run(bound_the_header, NULL);
}

/* --- A client that does not read ------------------------------------------------------ */

/* What the handler can be ahead of the client: socket buffers (tcp_wmem allows 4 MiB
 * by default; the client's does not grow) and two blocks of ours. */
#define AHEAD_MAX ((size_t)16 << 20)
#define CLIENT_BUFFER (128 << 10)

struct flood {
    _Atomic size_t taken;
    size_t total;
};

static void write_a_lot(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char piece[16384];
    struct flood *flood = arg;

    (void)req;
    while (flood->taken < flood->total) {
        CHECK_EQ(gust_http_write(res, piece, sizeof(piece)), sizeof(piece));
        flood->taken += sizeof(piece);
    }
}

static int read_slower_than_written(void *arg)
{
    struct flood flood = {.total = (size_t)64 << 20};
    struct site site;
    size_t received = 0;
    ssize_t n;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = write_a_lot, .arg = &flood});
    gust_conn *conn = site_dial(&site);
    CHECK_EQ(gust_conn_set_buffers(conn, CLIENT_BUFFER, 0), 0);
    client_send(conn, "GET / HTTP/1.0\r\n\r\n");
    while ((n = gust_conn_fill(conn, 65536, gust_after(SITE_WAIT_NS))) > 0) {
        received += (size_t)n;
        gust_conn_consume(conn, (size_t)n);
        CHECK(flood.taken <= received + AHEAD_MAX);
        gust_yield();
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(flood.taken, flood.total);
    CHECK(received > flood.total);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(response, waits_for_a_client_that_does_not_read)
{
    test_run(read_slower_than_written, NULL);
}

static void write_until_it_fails(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char piece[16384];
    ssize_t n;

    (void)req;
    while ((n = gust_http_write(res, piece, sizeof(piece))) > 0)
        continue;
    CHECK_EQ(gust_http_write(res, piece, 1), n);
    CHECK_EQ(gust_chan_send(arg, &n, GUST_NOW), 0);
}

static int never_read(void *arg)
{
    gust_chan *failed;
    struct site site;
    ssize_t error;

    (void)arg;
    CHECK_EQ(gust_chan_new(sizeof(error), 1, &failed), 0);
    site_start(&site, &(gust_http_server_options){.handler = write_until_it_fails,
                                                  .arg = failed,
                                                  .write_timeout_ns = 50 * GUST_MS});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(gust_chan_recv(failed, &error, gust_after(SITE_WAIT_NS)), 1);
    CHECK_EQ(error, -ETIMEDOUT);
    client_close(conn);
    site_stop(&site);
    gust_chan_unref(failed);
    return 0;
}

Test(response, write_times_out_if_the_client_never_reads)
{
    test_run(never_read, NULL);
}
