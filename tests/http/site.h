/* A server on a port of its own, and a client that speaks in plain text.
 * Everything here is for goroutines, and every wait is bounded by SITE_WAIT_NS. */
#ifndef GUST_TESTS_HTTP_SITE_H
#define GUST_TESTS_HTTP_SITE_H

#include "tests/harness/test.h"

#include <gust/http.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <gust/timer.h>

#include <errno.h>
#include <stdlib.h>

#define SITE_WAIT_NS (20 * GUST_SEC)

struct site {
    gust_http_server *server;
    gust_listener *listener;
    gust_addr addr;
    gust_waitgroup serving;
    int result; /* of gust_http_server_serve */
};

static void site_serve(void *arg)
{
    struct site *site = arg;

    site->result = gust_http_server_serve(site->server, site->listener);
    gust_waitgroup_done(&site->serving);
}

static inline void site_start(struct site *site, const gust_http_server_options *options)
{
    gust_addr addr;

    memset(site, 0, sizeof(*site));
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    CHECK_EQ(gust_tcp_listen(&addr, NULL, &site->listener), 0);
    gust_listener_addr(site->listener, &site->addr);
    CHECK_EQ(gust_http_server_new(options, &site->server), 0);
    gust_waitgroup_add(&site->serving, 1);
    CHECK_EQ(gust_go(site_serve, site), 0);
}

/* Waits for a shutdown that somebody else began, and releases the site. */
static inline void site_end(struct site *site)
{
    CHECK_EQ(gust_waitgroup_wait(&site->serving, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(site->result, 0);
    gust_http_server_free(site->server);
    gust_listener_close(site->listener);
}

static inline void site_stop(struct site *site)
{
    CHECK_EQ(gust_http_server_shutdown(site->server, gust_after(SITE_WAIT_NS)), 0);
    site_end(site);
}

/* --- Client ------------------------------------------------------------------ */

/* Bytes with a NUL behind them; freed by the caller. */
struct reply {
    char *text;
    size_t len;
};

static inline gust_conn *site_dial(const struct site *site)
{
    gust_conn *conn;

    CHECK_EQ(gust_tcp_dial(&site->addr, gust_after(SITE_WAIT_NS), &conn), 0);
    return conn;
}

static inline void client_send_bytes(gust_conn *conn, const void *bytes, size_t n)
{
    CHECK_EQ(gust_conn_write(conn, bytes, n, gust_after(SITE_WAIT_NS)), n);
    CHECK_EQ(gust_conn_drain(conn, gust_after(SITE_WAIT_NS)), 0);
}

static inline void client_send(gust_conn *conn, const char *text)
{
    client_send_bytes(conn, text, strlen(text));
}

static inline void client_close(gust_conn *conn)
{
    gust_conn_close(conn, GUST_NOW);
}

/* "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n" would differ from run to run. */
static inline void reply_drop_dates(struct reply *r)
{
    char *date;

    while ((date = memmem(r->text, r->len, "Date: ", 6)) &&
           r->len - (size_t)(date - r->text) >= 37) {
        memmove(date, date + 37, r->len - (size_t)(date - r->text) - 37 + 1);
        r->len -= 37;
    }
}

/* Takes the first n bytes of the view. */
static inline struct reply client_take(gust_conn *conn, size_t n)
{
    struct reply r = {malloc(n + 1), n};

    CHECK(r.text);
    memcpy(r.text, gust_conn_view(conn).data, n);
    r.text[n] = '\0';
    gust_conn_consume(conn, n);
    reply_drop_dates(&r);
    return r;
}

#define CLIENT_VIEW_MAX ((size_t)1 << 28)

/* Everything until the server closes. */
static inline struct reply client_read_all(gust_conn *conn)
{
    ssize_t n;

    while ((n = gust_conn_fill(conn, CLIENT_VIEW_MAX, gust_after(SITE_WAIT_NS))) > 0)
        continue;
    CHECK_EQ(n, 0);
    return client_take(conn, gust_conn_view(conn).len);
}

/* How long the response at the start of the view is; 0 if it is not complete.
 * Knows Content-Length only. */
static inline size_t client_reply_len(gust_conn *conn)
{
    gust_span view = gust_conn_view(conn);
    const char *end = memmem(view.data, view.len, "\r\n\r\n", 4);

    if (!end)
        return 0;
    size_t head = (size_t)(end - view.data) + 4;
    const char *length = memmem(view.data, head, "Content-Length: ", 16);
    size_t total = head + (length ? strtoul(length + 16, NULL, 10) : 0);
    return total <= view.len ? total : 0;
}

/* One response, the connection stays open. */
static inline struct reply client_read_reply(gust_conn *conn)
{
    size_t len;

    while ((len = client_reply_len(conn)) == 0)
        CHECK(gust_conn_fill(conn, CLIENT_VIEW_MAX, gust_after(SITE_WAIT_NS)) > 0);
    return client_take(conn, len);
}

/* Fails the test, with both texts, if they differ. */
static inline void expect_reply(struct reply r, const char *what, const char *expected)
{
    if (r.len != strlen(expected) || memcmp(r.text, expected, r.len) != 0)
        gust_panic("%s: got\n%s\ninstead of\n%s", what, r.text, expected);
    free(r.text);
}

/* The same for the start of the reply. */
static inline void expect_reply_start(struct reply r, const char *what, const char *expected)
{
    if (r.len < strlen(expected) || memcmp(r.text, expected, strlen(expected)) != 0)
        gust_panic("%s: got\n%s\ninstead of\n%s", what, r.text, expected);
    free(r.text);
}

/* Sends a request on a connection of its own and reads until the server closes. */
static inline struct reply site_ask_bytes(const struct site *site, const char *request, size_t n)
{
    gust_conn *conn = site_dial(site);

    client_send_bytes(conn, request, n);
    struct reply r = client_read_all(conn);
    client_close(conn);
    return r;
}

static inline struct reply site_ask(const struct site *site, const char *request)
{
    return site_ask_bytes(site, request, strlen(request));
}

static inline bool span_is(gust_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

#endif
