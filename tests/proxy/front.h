/* A proxy with a server in front of it, and upstreams that do what a test wants.
 * Everything here is for goroutines, and every wait is bounded by SITE_WAIT_NS. */
#ifndef GUST_TESTS_PROXY_FRONT_H
#define GUST_TESTS_PROXY_FRONT_H

#include "tests/http/site.h"

#include <gust/http_proxy.h>

#include <stdatomic.h>
#include <stdio.h>

#ifndef SOON
#define SOON gust_after(SITE_WAIT_NS)
#endif

#define BACKENDS_MAX 3

/* An upstream that is no HTTP server: each connection is given to `fn`, one after the other,
 * which need not close it. */
struct backend {
    gust_listener *listener;
    void (*fn)(gust_conn *conn, struct backend *b);
    gust_waitgroup accepting;
    atomic_uint accepted;
    atomic_uint requests; /* counted by fn */
    void *arg;
    char url[64];
};

static void backend_main(void *arg)
{
    struct backend *b = arg;
    gust_conn *conn;

    while (gust_listener_accept(b->listener, GUST_FOREVER, &conn) == 0) {
        atomic_fetch_add(&b->accepted, 1);
        b->fn(conn, b);
        gust_conn_close(conn, SOON);
    }
    gust_waitgroup_done(&b->accepting);
}

static inline void backend_listen(struct backend *b, const gust_addr *addr)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr bound;

    CHECK_EQ(gust_tcp_listen(addr, NULL, &b->listener), 0);
    gust_listener_addr(b->listener, &bound);
    snprintf(b->url, sizeof(b->url), "http://%s", gust_addr_format(&bound, text));
}

static inline void backend_start_at(struct backend *b, void (*fn)(gust_conn *, struct backend *),
                                    const gust_addr *addr)
{
    memset(b, 0, sizeof(*b));
    b->fn = fn;
    backend_listen(b, addr);
    gust_waitgroup_add(&b->accepting, 1);
    CHECK_EQ(gust_go(backend_main, b), 0);
}

static inline void backend_start(struct backend *b, void (*fn)(gust_conn *, struct backend *))
{
    gust_addr addr;

    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    backend_start_at(b, fn, &addr);
}

static inline void backend_stop(struct backend *b)
{
    gust_listener_close(gust_listener_ref(b->listener));
    CHECK_EQ(gust_waitgroup_wait(&b->accepting, SOON), 0);
    gust_listener_unref(b->listener);
}

/* Reads a head, which is left in the view; returns it, or nothing at the end of the stream. */
static inline gust_span backend_read_head(gust_conn *conn)
{
    for (;;) {
        gust_span view = gust_conn_view(conn);
        const char *end = view.len > 0 ? memmem(view.data, view.len, "\r\n\r\n", 4) : NULL;
        if (end)
            return (gust_span){view.data, (size_t)(end - view.data) + 4};
        if (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) <= 0)
            return (gust_span){NULL, 0};
    }
}

/* Answers every request without a body with the same bytes, on the same connection. */
static inline void backend_answer_all(gust_conn *conn, struct backend *b, const char *reply)
{
    gust_span head;

    while ((head = backend_read_head(conn)).len > 0) {
        atomic_fetch_add(&b->requests, 1);
        gust_conn_consume(conn, head.len);
        if (gust_conn_write(conn, reply, strlen(reply), SOON) < 0)
            return;
    }
}

/* --- The proxy ------------------------------------------------------------------- */

struct front {
    struct site site;
    gust_http_proxy *proxy;
};

/* Upstreams and proxy options as they are; server options but for the handler. */
static inline void front_start_with(struct front *f, const gust_http_proxy_options *options,
                                    gust_http_server_options server)
{
    CHECK_EQ(gust_http_proxy_new(options, &f->proxy), 0);
    server.handler = gust_http_proxy_serve;
    server.arg = f->proxy;
    site_start(&f->site, &server);
}

/* One upstream. */
static inline void front_start(struct front *f, const char *url, gust_http_proxy_options options)
{
    const gust_http_upstream upstream = {.url = url};

    options.upstreams = &upstream;
    options.upstream_count = 1;
    front_start_with(f, &options, (gust_http_server_options){.handler = NULL});
}

static inline void front_stop(struct front *f)
{
    site_stop(&f->site);
    gust_http_proxy_free(f->proxy);
}

static void front_keep_stats(const gust_http_upstream_stats *stats, void *arg)
{
    gust_http_upstream_stats **next = arg;

    *(*next)++ = *stats;
    (*next)[-1].url = NULL;
}

static inline void front_stats(const struct front *f, gust_http_upstream_stats *ret_stats)
{
    gust_http_proxy_stats_read(f->proxy, front_keep_stats, &ret_stats);
}

/* What the proxy sends of itself is in the way of most tests. */
#define QUIET .forwarding = GUST_HTTP_FORWARDING_NONE, .via = ""

static inline bool has_text(struct reply r, const char *text)
{
    return memmem(r.text, r.len, text, strlen(text)) != NULL;
}

static inline void expect_has(struct reply r, const char *text)
{
    if (!has_text(r, text))
        gust_panic("got\n%s\nwithout\n%s", r.text, text);
    free(r.text);
}

#endif
