/* A server that plays a script, and a client of it.
 * Everything here is for goroutines, and every wait is bounded by SITE_WAIT_NS. */
#ifndef GUST_TESTS_HTTP_CLIENT_ORIGIN_H
#define GUST_TESTS_HTTP_CLIENT_ORIGIN_H

#include "tests/http/site.h"

#include <gust/http_client.h>

/* What the server expects to read, to the byte, what it answers, and what it does then. */
enum then {
    STAY,  /* the next exchange comes on the same connection */
    CLOSE, /* ends the connection; the next exchange comes on another */
    RESET, /* the same, by a reset */
    LEAVE, /* the client is to end it */
};

struct exchange {
    const char *expected;
    const char *reply;
    enum then then;
};

struct origin {
    const struct exchange *script;
    size_t count;
    gust_listener *listener;
    gust_addr addr;
    gust_waitgroup playing;
    _Atomic unsigned closed; /* connections, by the server */
    _Atomic unsigned played; /* exchanges */
    gust_http_client *client;
    gust_http_origin *origin;
};

#ifndef SOON
#define SOON gust_after(SITE_WAIT_NS)
#endif

static inline void read_expected(gust_conn *conn, const struct exchange *x)
{
    gust_span got;
    size_t len = strlen(x->expected);

    while (gust_conn_view(conn).len < len && gust_conn_fill(conn, 1 << 24, SOON) > 0)
        continue;
    got = gust_conn_view(conn);
    if (got.len < len || memcmp(got.data, x->expected, len) != 0)
        gust_panic("the server got\n%.*s\ninstead of\n%s", (int)got.len, got.data, x->expected);
    gust_conn_consume(conn, len);
}

static inline void end_conn(gust_conn *conn, enum then how)
{
    ssize_t n;

    if (how == LEAVE || how == STAY) {
        do
            gust_conn_consume(conn, gust_conn_view(conn).len);
        while ((n = gust_conn_fill(conn, 1 << 16, SOON)) > 0);
        CHECK(n != -ETIMEDOUT);
    }
    if (how == RESET)
        gust_conn_set_linger(conn, 0);
    gust_conn_close(conn, SOON);
}

static inline void play_script(void *arg)
{
    struct origin *o = arg;
    const struct exchange *x = o->script, *end = x + o->count;

    while (x < end) {
        gust_conn *conn;
        CHECK_EQ(gust_listener_accept(o->listener, SOON, &conn), 0);
        enum then then;
        do {
            read_expected(conn, x);
            CHECK(gust_conn_write(conn, x->reply, strlen(x->reply), SOON) >= 0);
            o->played++;
            then = x->then;
        } while (++x < end && then == STAY);
        end_conn(conn, then);
        o->closed++;
    }
    gust_waitgroup_done(&o->playing);
}

static inline void origin_listen(struct origin *o)
{
    gust_addr addr;

    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    CHECK_EQ(gust_tcp_listen(&addr, NULL, &o->listener), 0);
    gust_listener_addr(o->listener, &o->addr);
}

/* `options` may be NULL: what they say of the address is set here. */
static inline void origin_start(struct origin *o, const struct exchange *script, size_t count,
                                const gust_http_client_options *options)
{
    memset(o, 0, sizeof(*o));
    o->script = script;
    o->count = count;
    origin_listen(o);
    CHECK_EQ(gust_http_client_new(options, &o->client), 0);
    CHECK_EQ(gust_http_origin_new(o->client,
                                  &(gust_http_origin_options){.authority = "x", .addr = &o->addr},
                                  &o->origin),
             0);
    gust_waitgroup_add(&o->playing, 1);
    CHECK_EQ(gust_go(play_script, o), 0);
}

#define ORIGIN_START(o, script, ...) \
    origin_start(o, script, sizeof(script) / sizeof((script)[0]), __VA_ARGS__)

/* From then on the client can know it. */
static inline void await_closed(struct origin *o, unsigned count)
{
    gust_time until = SOON;

    while (o->closed < count) {
        CHECK(gust_now() < until);
        gust_yield();
    }
}

static inline void await_played(struct origin *o, unsigned count)
{
    gust_time until = SOON;

    while (o->played < count) {
        CHECK(gust_now() < until);
        gust_yield();
    }
}

static inline void origin_stop(struct origin *o)
{
    gust_http_origin_unref(o->origin);
    gust_http_client_free(o->client);
    CHECK_EQ(gust_waitgroup_wait(&o->playing, SOON), 0);
    gust_listener_close(o->listener);
}

/* --- Calls ------------------------------------------------------------------------- */

static inline gust_span text_span(const char *text)
{
    return (gust_span){text, strlen(text)};
}

static inline gust_http_call *new_call(struct origin *o, const char *method, const char *path)
{
    gust_http_call *call;

    CHECK_EQ(gust_http_origin_call(o->origin, text_span(method), text_span(path), &call), 0);
    return call;
}

static inline void expect_body(gust_http_call *call, const char *expected)
{
    char *data;
    size_t len;

    CHECK_EQ(gust_http_call_read_all(call, 1 << 24, &data, &len), 0);
    if (len != strlen(expected) || memcmp(data, expected, len) != 0)
        gust_panic("body: got\n%s\ninstead of\n%s", data, expected);
    free(data);
}

/* A request without a body. */
static inline gust_http_call *ask_for(struct origin *o, const char *method, const char *path)
{
    gust_http_call *call = new_call(o, method, path);

    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    return call;
}

static inline void expect_get(struct origin *o, const char *path, int status, const char *body)
{
    gust_http_call *call = ask_for(o, "GET", path);

    CHECK_EQ(gust_http_call_wait(call), status);
    expect_body(call, body);
    gust_http_call_free(call);
}

/* The call has failed so. */
static inline void expect_failure(const gust_http_call *call, gust_http_phase phase, int error,
                                  const char *reason)
{
    gust_http_call_info info;

    gust_http_call_info_read(call, &info);
    if (info.phase != phase || info.error != error || strcmp(info.reason, reason) != 0)
        gust_panic("failed in %s with %d (%s), not in %s with %d (%s)",
                   gust_http_phase_name(info.phase), info.error, info.reason,
                   gust_http_phase_name(phase), error, reason);
}

#define GET(target) "GET " target " HTTP/1.1\r\nHost: x\r\n\r\n"
#define OK_BODY(length, body) "HTTP/1.1 200 OK\r\nContent-Length: " length "\r\n\r\n" body

#endif
