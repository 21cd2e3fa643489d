/* Bodies handed on to a connection or a server's response, as proxies do; upgrades; and what
 * ends a call early. */
#include "tests/http_client/origin.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/http_reply.h>
#include <gust/unix.h>

#include <stdio.h>

/* --- A proxy: what its origin answers is relayed ---------------------------------------- */

struct proxy {
    struct origin o;
    struct site site;
    const char *target;
    gust_waitgroup relaying; /* until the next is known */
    int result;              /* of the relay */
    uint64_t copied;
    gust_http_call_info info;
};

static void hand_on(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct proxy *p = arg;
    gust_http_call *call = ask_for(&p->o, "GET", p->target);
    int status = gust_http_call_wait(call);
    (void)req;
    CHECK(status >= 200);
    CHECK_EQ(gust_http_status(res, status), 0);
    p->result = gust_http_call_relay(call, res, &p->copied);
    gust_http_call_info_read(call, &p->info);
    gust_http_call_free(call);
    gust_waitgroup_done(&p->relaying);
}

static void proxy_start(struct proxy *p, const struct exchange *script, size_t count)
{
    p->relaying = (gust_waitgroup)GUST_WAITGROUP_INIT;
    origin_start(&p->o, script, count, NULL);
    site_start(&p->site, &(gust_http_server_options){.handler = hand_on, .arg = p});
}

static void proxy_stop(struct proxy *p)
{
    site_stop(&p->site);
    origin_stop(&p->o);
}

static struct reply ask_proxy(struct proxy *p, const char *target)
{
    p->target = target;
    gust_waitgroup_add(&p->relaying, 1);
    struct reply r = site_ask(&p->site, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    CHECK_EQ(gust_waitgroup_wait(&p->relaying, SOON), 0);
    return r;
}

static int relay_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/length"), OK_BODY("5", "hello"), STAY},
        {GET("/empty"), OK_BODY("0", ""), STAY},
        {GET("/none"), "HTTP/1.1 204 No Content\r\n\r\n", STAY},
        {GET("/chunked"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", STAY},
        {GET("/close"), "HTTP/1.1 200 OK\r\n\r\nhello", CLOSE},
    };
    struct proxy p;
    (void)arg;
    proxy_start(&p, script, sizeof(script) / sizeof(script[0]));
    expect_reply(ask_proxy(&p, "/length"), "length",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    CHECK_EQ(p.copied, 5);
    CHECK_EQ(p.info.phase, GUST_HTTP_PHASE_DONE);
    expect_reply(ask_proxy(&p, "/empty"), "empty",
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    expect_reply(ask_proxy(&p, "/none"), "none",
                 "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    free(ask_proxy(&p, "/chunked").text);
    CHECK_EQ(p.copied, 5);
    CHECK_EQ(p.result, 0);
    struct reply r = ask_proxy(&p, "/close");
    CHECK(memmem(r.text, r.len, "hello", 5));
    CHECK_EQ(p.copied, 5);
    free(r.text);
    proxy_stop(&p);
    return 0;
}

Test(relay, bodies_are_handed_on_with_their_framing)
{
    cr_assert_eq(gust_run(relay_main, NULL), 0);
}

/* Never does a body that was cut off look complete. */
static int cut_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/length"), OK_BODY("5", "hell"), CLOSE},
        {GET("/chunked"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
         CLOSE},
        {GET("/malformed"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx\r\n", LEAVE},
    };
    struct proxy p;
    (void)arg;
    proxy_start(&p, script, sizeof(script) / sizeof(script[0]));
    for (size_t i = 0; i < 3; i++) {
        static const char *const targets[] = {"/length", "/chunked", "/malformed"};
        gust_conn *conn = site_dial(&p.site);
        p.target = targets[i];
        gust_waitgroup_add(&p.relaying, 1);
        client_send(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
            continue;
        gust_span got = gust_conn_view(conn);
        CHECK(!memmem(got.data, got.len, "\r\n0\r\n", 5));
        CHECK(i > 0 || !memmem(got.data, got.len, "hello", 5));
        CHECK_EQ(gust_waitgroup_wait(&p.relaying, SOON), 0);
        CHECK_EQ(p.result, i == 2 ? -EBADMSG : -ENODATA);
        CHECK_EQ(p.info.error, p.result);
        CHECK_EQ(p.info.phase, GUST_HTTP_PHASE_BODY);
        client_close(conn);
    }
    proxy_stop(&p);
    return 0;
}

Test(relay, a_body_cut_off_stays_cut_off)
{
    cr_assert_eq(gust_run(cut_main, NULL), 0);
}

/* --- Large ones, from a server ------------------------------------------------------------- */

#define LARGE ((size_t)20 << 20)

struct large {
    struct site origin, proxy;
    gust_http_client *client;
    gust_http_origin *o;
    bool by_close;
    gust_waitgroup relaying; /* until the next is known */
    int result;
    char *text;
};

static void send_large(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct large *l = arg;
    char length[32];
    (void)req;
    snprintf(length, sizeof(length), "%zu", LARGE);
    if (!l->by_close)
        CHECK_EQ(gust_http_header(res, "Content-Length", length), 0);
    for (size_t at = 0; at < LARGE; at += 65536)
        if (gust_http_write(res, l->text + at, 65536) < 0)
            return;
}

static void relay_large(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct large *l = arg;
    gust_http_call *call;
    uint64_t copied;
    (void)req;
    CHECK_EQ(gust_http_origin_call(l->o, text_span("GET"), text_span("/"), &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    l->result = gust_http_call_relay(call, res, &copied);
    gust_http_call_free(call);
    gust_waitgroup_done(&l->relaying);
}

static void large_start(struct large *l)
{
    memset(l, 0, sizeof(*l));
    l->text = malloc(LARGE);
    for (size_t i = 0; i < LARGE; i++)
        l->text[i] = (char)('a' + i % 23);
    site_start(&l->origin, &(gust_http_server_options){.handler = send_large, .arg = l});
    site_start(&l->proxy, &(gust_http_server_options){.handler = relay_large, .arg = l});
    CHECK_EQ(gust_http_client_new(NULL, &l->client), 0);
    CHECK_EQ(gust_http_origin_new(
                 l->client, &(gust_http_origin_options){.authority = "x", .addr = &l->origin.addr},
                 &l->o),
             0);
}

static void large_stop(struct large *l)
{
    site_stop(&l->proxy);
    gust_http_origin_unref(l->o);
    gust_http_client_free(l->client);
    site_stop(&l->origin);
    free(l->text);
}

static int large_main(void *arg)
{
    struct large l;
    gust_http_origin_stats stats;
    gust_http_origin *proxy;
    gust_http_call *call;
    char *data;
    size_t len;
    (void)arg;
    large_start(&l);
    CHECK_EQ(
        gust_http_origin_new(
            l.client, &(gust_http_origin_options){.authority = "p", .addr = &l.proxy.addr}, &proxy),
        0);
    for (int i = 0; i < 2; i++) {
        l.by_close = i == 1; /* chunked, that is */
        gust_waitgroup_add(&l.relaying, 1);
        CHECK_EQ(gust_http_origin_call(proxy, text_span("GET"), text_span("/"), &call), 0);
        CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
        CHECK_EQ(gust_http_call_wait(call), 200);
        CHECK_EQ(gust_http_call_content_length(call), i ? -1 : (int64_t)LARGE);
        CHECK_EQ(gust_http_call_read_all(call, LARGE, &data, &len), 0);
        CHECK(len == LARGE && memcmp(data, l.text, LARGE) == 0);
        CHECK_EQ(gust_waitgroup_wait(&l.relaying, SOON), 0);
        CHECK_EQ(l.result, 0);
        free(data);
        gust_http_call_free(call);
    }
    gust_http_origin_stats_read(l.o, &stats);
    CHECK_EQ(stats.opened, 1); /* the connection was good for both */
    gust_http_origin_unref(proxy);
    large_stop(&l);
    return 0;
}

Test(relay, large_bodies_arrive_whole_and_leave_the_connection_usable, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(large_main, NULL), 0);
}

/* The client goes: that is not the call's error, and the origin hears of it. */
static int gone_main(void *arg)
{
    struct large l;
    gust_http_origin_stats stats;
    (void)arg;
    large_start(&l);
    gust_conn *conn = site_dial(&l.proxy);
    gust_waitgroup_add(&l.relaying, 1);
    client_send(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(gust_conn_fill(conn, 65536, SOON) > 0);
    gust_conn_set_linger(conn, 0);
    client_close(conn);
    CHECK_EQ(gust_waitgroup_wait(&l.relaying, SOON), 0);
    gust_http_origin_stats_read(l.o, &stats);
    CHECK(l.result < 0);
    CHECK_EQ(stats.idle + stats.in_use, 0);
    large_stop(&l);
    return 0;
}

Test(relay, a_client_that_goes_ends_the_call, .timeout = TEST_TIMEOUT_S)
{
    cr_assert_eq(gust_run(gone_main, NULL), 0);
}

/* --- To a connection ------------------------------------------------------------------------- */

static void pair(gust_listener *l, const gust_addr *addr, gust_conn *ends[2])
{
    CHECK_EQ(gust_tcp_dial(addr, SOON, &ends[0]), 0);
    CHECK_EQ(gust_listener_accept(l, SOON, &ends[1]), 0);
}

static int copy_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/length"), OK_BODY("5", "hello"), STAY},
        {GET("/chunked"),
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
         STAY},
        {GET("/close"), "HTTP/1.1 200 OK\r\n\r\nhello", CLOSE},
        {GET("/short"), OK_BODY("5", "hel"), CLOSE},
    };
    static const char *const targets[] = {"/length", "/chunked", "/close", "/short"};
    struct origin o, there;
    gust_conn *ends[2];
    uint64_t copied;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    origin_listen(&there);
    for (size_t i = 0; i < 4; i++) {
        pair(there.listener, &there.addr, ends);
        gust_http_call *call = ask_for(&o, "GET", targets[i]);
        CHECK_EQ(gust_http_call_wait(call), 200);
        CHECK_EQ(gust_http_call_copy(call, ends[0], &copied), i == 3 ? -ENODATA : 0);
        CHECK_EQ(copied, i == 3 ? 3 : 5);
        gust_conn_close(ends[0], SOON);
        while (gust_conn_fill(ends[1], 1 << 16, SOON) > 0)
            continue;
        CHECK(span_is(gust_conn_view(ends[1]), i == 3 ? "hel" : "hello"));
        gust_conn_close(ends[1], GUST_NOW);
        gust_http_call_free(call);
    }
    gust_listener_close(there.listener);
    origin_stop(&o);
    return 0;
}

Test(relay, bodies_are_copied_to_a_connection)
{
    cr_assert_eq(gust_run(copy_main, NULL), 0);
}

/* --- Upgrades ---------------------------------------------------------------------------------- */

static int upgrade_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
         "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nwelcome", STAY},
        {"hello", "bye", CLOSE},
        {"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: a/1, b\r\n\r\n",
         OK_BODY("2", "no"), STAY},
        {"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nhi", LEAVE},
    };
    struct origin o;
    gust_conn *conn;
    char buf[16];
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    gust_http_call *call = new_call(&o, "GET", "/ws");
    CHECK_EQ(gust_http_call_upgrade(call, text_span("")), -EINVAL);
    CHECK_EQ(gust_http_call_upgrade(call, text_span("a b")), -EINVAL);
    CHECK_EQ(gust_http_call_upgrade(call, text_span("a/")), -EINVAL);
    CHECK_EQ(gust_http_call_upgrade(call, text_span("a,")), -EINVAL);
    CHECK_EQ(gust_http_call_upgrade(call, text_span("websocket")), 0);
    CHECK_EQ(gust_http_call_upgrade(call, text_span("websocket")), -EINVAL);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 101);
    CHECK_EQ(gust_http_call_take(call, &conn), 0);
    CHECK_EQ(gust_http_call_take(call, &conn), -EALREADY);
    CHECK(span_is(gust_http_call_response_header(call, "upgrade"), "websocket"));
    gust_http_call_free(call);
    while (gust_conn_view(conn).len < 7)
        CHECK(gust_conn_fill(conn, 100, SOON) > 0);
    CHECK(span_is(gust_conn_view(conn), "welcome"));
    gust_conn_consume(conn, 7);
    CHECK_EQ(gust_conn_write(conn, "hello", 5, SOON), 5);
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0); /* half of it stays open */
    CHECK_EQ(gust_conn_read(conn, buf, sizeof(buf), SOON), 3);
    CHECK_EQ(gust_conn_read(conn, buf, sizeof(buf), SOON), 0);
    gust_conn_close(conn, GUST_NOW);

    call = new_call(&o, "GET", "/ws");
    CHECK_EQ(gust_http_call_upgrade(call, text_span("a/1, b")), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_take(call, &conn), -EPROTO);
    expect_body(call, "no");
    gust_http_call_free(call);

    call = new_call(&o, "CONNECT", "a:1");
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_take(call, &conn), 0);
    gust_http_call_free(call);
    gust_conn_close(conn, GUST_NOW);
    origin_stop(&o);
    return 0;
}

Test(relay, upgrades_hand_the_connection_over)
{
    cr_assert_eq(gust_run(upgrade_main, NULL), 0);
}

/* --- What ends a call early ------------------------------------------------------------------------ */

static int late_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/head"), "", LEAVE},
        {GET("/body"), OK_BODY("5", "hel"), LEAVE},
        {GET("/deadline"), OK_BODY("5", "hel"), LEAVE},
    };
    struct origin o;
    gust_span piece;
    ssize_t n;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    const gust_http_timeouts short_ones = {.head_ns = 10 * GUST_MS, .body_ns = 10 * GUST_MS};
    gust_http_call *call = ask_for(&o, "GET", "/head");
    CHECK_EQ(gust_http_call_timeouts(call, &short_ones), 0);
    CHECK_EQ(gust_http_call_wait(call), -ETIMEDOUT);
    expect_failure(call, GUST_HTTP_PHASE_HEAD, -ETIMEDOUT, "");
    gust_http_call_free(call);
    for (int i = 0; i < 2; i++) {
        call = ask_for(&o, "GET", i ? "/deadline" : "/body");
        CHECK_EQ(gust_http_call_wait(call), 200);
        if (i)
            gust_http_call_deadline(call, gust_after(10 * GUST_MS));
        else
            CHECK_EQ(gust_http_call_timeouts(call, &short_ones), 0);
        while ((n = gust_http_call_next(call, &piece)) > 0)
            continue;
        CHECK_EQ(n, -ETIMEDOUT);
        expect_failure(call, GUST_HTTP_PHASE_BODY, -ETIMEDOUT, "");
        gust_http_call_free(call);
    }
    origin_stop(&o);
    return 0;
}

Test(relay, each_phase_has_its_time)
{
    cr_assert_eq(gust_run(late_main, NULL), 0);
}

struct stopped {
    struct origin o;
    gust_http_call *call;
    gust_context *context;
    gust_waitgroup done;
    int result;
};

static void wait_for_head(void *arg)
{
    struct stopped *s = arg;
    s->result = gust_http_call_wait(s->call);
    gust_waitgroup_done(&s->done);
}

/* By its context, or by an abort; before the wait begins, or while it lasts. */
static int stopped_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/"), "", LEAVE}, {GET("/"), "", LEAVE}, {"", "", LEAVE}};
    struct stopped s;
    (void)arg;
    memset(&s, 0, sizeof(s));
    ORIGIN_START(&s.o, script, NULL);
    for (int i = 0; i < 2; i++) {
        s.call = ask_for(&s.o, "GET", "/");
        CHECK_EQ(gust_context_new(NULL, &s.context), 0);
        gust_waitgroup_add(&s.done, 1);
        CHECK_EQ(gust_go_with(&(gust_go_options){.context = s.context}, wait_for_head, &s), 0);
        gust_yield();
        if (i)
            gust_http_call_abort(s.call);
        else
            gust_context_cancel(s.context, 0);
        CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
        CHECK_EQ(s.result, i ? -EBADF : -ECANCELED);
        gust_context_unref(s.context);
        gust_http_call_free(s.call);
    }
    gust_http_call *call = new_call(&s.o, "GET", "/");
    gust_http_call_abort(call);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), -EBADF);
    gust_http_call_free(call);
    origin_stop(&s.o);
    return 0;
}

Test(relay, contexts_and_aborts_end_a_call)
{
    cr_assert_eq(gust_run(stopped_main, NULL), 0);
}
