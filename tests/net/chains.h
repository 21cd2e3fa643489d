/* What the tests of copies share: a client, a proxy and a server, and streams whose
 * every byte is known. */
#ifndef GUST_TESTS_NET_CHAINS_H
#define GUST_TESTS_NET_CHAINS_H

#include <gust/copy.h>

#include "net/copy.h"
#include "tests/net/net_test.h"

/* A client, a proxy's two conns, and a server. */
struct chain {
    gust_conn *client, *src, *dst, *server;
};

static inline struct chain chain_open(void)
{
    struct chain ch;
    pair_open(&ch.client, &ch.src);
    pair_open(&ch.dst, &ch.server);
    return ch;
}

static inline void chain_close(struct chain *ch)
{
    gust_conn_close(ch->client, SOON);
    gust_conn_close(ch->src, SOON);
    gust_conn_close(ch->dst, SOON);
    gust_conn_close(ch->server, SOON);
}

static inline void put(gust_conn *c, uint64_t at, size_t len)
{
    static char buf[1 << 20];
    CHECK(len <= sizeof buf);
    stream_fill(buf, len, at);
    CHECK_EQ(gust_conn_write(c, buf, len, SOON), (ssize_t)len);
}

static inline void expect(gust_conn *c, uint64_t at, size_t len)
{
    char buf[8192]; /* of each goroutine */
    while (len > 0) {
        ssize_t n = gust_conn_read(c, buf, len < sizeof buf ? len : sizeof buf, SOON);
        CHECK(n > 0);
        stream_check(buf, (size_t)n, at);
        at += (uint64_t)n;
        len -= (size_t)n;
    }
}

struct stream {
    gust_conn *conn;
    uint64_t len;
    size_t piece;
    gust_waitgroup done;
};

static inline void send_stream(void *arg)
{
    struct stream *s = arg;
    char *buf = malloc(s->piece);
    for (uint64_t at = 0; at < s->len;) {
        size_t len = s->len - at < s->piece ? (size_t)(s->len - at) : s->piece;
        stream_fill(buf, len, at);
        CHECK_EQ(gust_conn_write(s->conn, buf, len, SOON), (ssize_t)len);
        at += len;
    }
    CHECK_EQ(gust_conn_shutdown(s->conn, SHUT_WR, SOON), 0);
    free(buf);
    gust_waitgroup_done(&s->done);
}

static inline void expect_stream(void *arg)
{
    struct stream *s = arg;
    char byte;
    expect(s->conn, 0, s->len);
    CHECK_EQ(gust_conn_read(s->conn, &byte, 1, SOON), 0);
    gust_waitgroup_done(&s->done);
}

static inline void stream_start(struct stream *s, void (*fn)(void *arg))
{
    gust_waitgroup_add(&s->done, 1);
    go(fn, s);
}

static inline void stream_end(struct stream *s)
{
    CHECK_EQ(gust_waitgroup_wait(&s->done, SOON), 0);
}

static inline void copy_stream(uint64_t len, size_t piece)
{
    struct chain ch = chain_open();
    struct stream out = {.conn = ch.client, .len = len, .piece = piece};
    struct stream in = {.conn = ch.server, .len = len};
    uint64_t copied;
    stream_start(&out, send_stream);
    stream_start(&in, expect_stream);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), 0);
    CHECK_EQ(copied, len);
    CHECK_EQ(gust_conn_shutdown(ch.dst, SHUT_WR, SOON), 0);
    stream_end(&out);
    stream_end(&in);
    chain_close(&ch);
}

#endif
