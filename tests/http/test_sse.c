/* Server-sent events as they go over the wire. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/http_sse.h>

#include <stdio.h>

#define SOON gust_after(SITE_WAIT_NS)
#define SPAN(text) ((gust_span){text, sizeof(text) - 1})
#define HEAD                                                         \
    "HTTP/1.1 200 OK\r\nConnection: close\r\nX-Mine: 1\r\n"          \
    "Content-Type: text/event-stream\r\nCache-Control: no-store\r\n" \
    "X-Accel-Buffering: no\r\n\r\n"

/* --- What is written ----------------------------------------------------------------------- */

static void send_all_kinds(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    CHECK(span_is(gust_http_sse_last_id(req), "41"));
    CHECK_EQ(gust_http_header(res, "X-Mine", "1"), 0);
    CHECK_EQ(gust_http_header(res, "cache-control", "public"), 0);
    CHECK_EQ(gust_http_sse_start(res), 0);
    CHECK_EQ(gust_http_sse_start(res), -EALREADY);
    CHECK_EQ(gust_http_sse_retry(res, 1500), 0);
    CHECK_EQ(gust_http_sse_retry(res, 0), 0);
    CHECK_EQ(gust_http_sse_retry(res, -1), -EINVAL);
    CHECK_EQ(gust_http_sse_comment(res, NULL), 0);
    CHECK_EQ(gust_http_sse_comment(res, "still here"), 0);
    CHECK_EQ(gust_http_sse_comment(res, "a\ndata: b"), -EINVAL);
    CHECK_EQ(gust_http_sse_comment(res, "a\r"), -EINVAL);
#define EVENT(...) gust_http_sse_send(res, &(gust_http_sse_event){__VA_ARGS__})
    CHECK_EQ(EVENT(.data = SPAN("one")), 0);
    CHECK_EQ(EVENT(.id = "7", .name = "tick", .data = SPAN("a\nb\r\nc\rd")), 0);
    CHECK_EQ(EVENT(.data = SPAN("")), 0);
    CHECK_EQ(EVENT(.data = SPAN("\n\r\n\r")), 0);
    CHECK_EQ(EVENT(.data = SPAN(" b\0c")), 0);
    CHECK_EQ(EVENT(.id = ""), 0);
    CHECK_EQ(EVENT(.id = "1\n", .data = SPAN("x")), -EINVAL);
    CHECK_EQ(EVENT(.id = "1\rdata: y", .data = SPAN("x")), -EINVAL);
    CHECK_EQ(EVENT(.name = "a\r\nb", .data = SPAN("x")), -EINVAL);
#undef EVENT
}

static const char sent[] = HEAD "retry: 1500\n\nretry: 0\n\n:\n\n: still here\n\n"
                                "data: one\n\n"
                                "id: 7\nevent: tick\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
                                "data: \n\n"
                                "data: \ndata: \ndata: \ndata: \n\n"
                                "data:  b\0c\n\n"
                                "id: \n\n";

static int follow_all_kinds(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = send_all_kinds});
    struct reply r = site_ask(&site, "GET / HTTP/1.0\r\nLast-Event-ID: 41\r\n\r\n");
    CHECK_EQ(r.len, sizeof(sent) - 1);
    CHECK_EQ(memcmp(r.text, sent, r.len), 0);
    free(r.text);
    site_stop(&site);
    return 0;
}

Test(sse, events_are_lines_as_the_standard_has_them)
{
    test_run(follow_all_kinds, NULL);
}

static void send_length(gust_http_request *req, gust_http_response *res, void *arg)
{
    const size_t *len = arg;
    char *text = malloc(*len);

    (void)req;
    CHECK(text);
    memset(text, 'a', *len);
    CHECK_EQ(gust_http_sse_start(res), 0);
    CHECK_EQ(gust_http_sse_send(res, &(gust_http_sse_event){.data = {text, *len}}), 0);
    free(text);
}

/* Of 1024 bytes, with what is around them, and above. */
static int follow_all_lengths(void *arg)
{
    static size_t lengths[] = {1024 - 8, 1024 - 7, 100000};
    char chunk[32];

    (void)arg;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct site site;
        site_start(&site, &(gust_http_server_options){.handler = send_length, .arg = &lengths[i]});
        struct reply r = site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        snprintf(chunk, sizeof(chunk), "\r\n\r\n%zx\r\ndata: aaa", lengths[i] + 8);
        CHECK(strstr(r.text, chunk));
        CHECK(strstr(r.text, "aaa\n\n\r\n0\r\n\r\n"));
        free(r.text);
        site_stop(&site);
    }
    return 0;
}

Test(sse, an_event_of_any_length_is_one_chunk)
{
    test_run(follow_all_lengths, NULL);
}

/* --- When ------------------------------------------------------------------------------------ */

static void send_when_told(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    int r = gust_http_sse_start(res);
    while (r == 0 && (r = gust_chan_recv(arg, NULL, gust_after(SITE_WAIT_NS))) == 1)
        r = gust_http_sse_send(res, &(gust_http_sse_event){.data = SPAN("now")});
    CHECK_EQ(r, -ECANCELED);
    CHECK_EQ(gust_http_sse_comment(res, NULL), -ECANCELED);
    CHECK_EQ(gust_http_sse_send(res, &(gust_http_sse_event){.data = SPAN("x")}), -ECANCELED);
    CHECK_EQ(gust_http_sse_retry(res, 1), -ECANCELED);
}

static int follow_what_is_new(void *arg)
{
    gust_chan *tell;
    struct site site;
    const char *expected = "data: now\n\n";

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &tell), 0);
    site_start(&site, &(gust_http_server_options){.handler = send_when_told, .arg = tell});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.0\r\n\r\n");
    expect_reply_start(client_read_reply(conn), "header", "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_chan_send(tell, NULL, SOON), 0);
        for (size_t got = 0; got < strlen(expected);) {
            char byte;
            CHECK_EQ(gust_conn_read(conn, &byte, 1, SOON), 1);
            CHECK_EQ(byte, expected[got++]);
        }
    }
    client_close(conn);
    site_stop(&site); /* the handler has ended, or it would wait for it */
    gust_chan_unref(tell);
    return 0;
}

Test(sse, events_go_out_at_once_and_end_with_the_client)
{
    test_run_without_leaks(follow_what_is_new, NULL);
}
