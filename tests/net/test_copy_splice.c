/* Copies by splice, on both pollers: refused at any point, with a send buffer that the
 * kernel keeps short, and cut off in the middle by either side. */
#include <netinet/tcp.h>

#include "tests/core/failures.h"
#include "tests/net/chains.h"

/* --- Refused ----------------------------------------------------------------------- */

#ifdef GUST_DEBUG

/* Whichever splice is the first that is refused, it goes on without, and tries no more.
 * It may have done so before: a machine that is short of time looks like a full buffer. */
NetTest(copy_splice, a_refused_splice_loses_nothing)
{
    uint64_t failed = 0;
    gust__splice_min = 1;
    for (uint64_t nth = 1; nth <= 5; nth++) {
        gust__inject_arm(INJECT_SPLICE, nth, INJECT_FOR_EVER);
        copy_stream(8 << 20, 1 << 20);
        uint64_t n = gust__inject_disarm();
        CHECK(n <= 1);
        failed += n;
    }
    CHECK(failed > 0);
}

#endif

static void copy_with_option(int level, int name, int value)
{
    enum { LEN = 4 << 20 };
    struct chain ch = chain_open();
    CHECK_EQ(setsockopt(ch.dst->fd.fd, level, name, &value, sizeof value), 0);
    struct stream out = {.conn = ch.client, .len = LEN, .piece = 1 << 20};
    struct stream in = {.conn = ch.server, .len = LEN};
    uint64_t copied;
    gust__splice_min = 1;
    stream_start(&out, send_stream);
    stream_start(&in, expect_stream);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), 0);
    CHECK_EQ(copied, LEN);
    CHECK_EQ(gust_conn_shutdown(ch.dst, SHUT_WR, SOON), 0);
    stream_end(&out);
    stream_end(&in);
    chain_close(&ch);
}

NetTest(copy_splice, a_short_send_buffer_is_filled_by_copying)
{
    copy_with_option(SOL_SOCKET, SO_SNDBUF, 1);
    copy_with_option(SOL_SOCKET, SO_SNDBUF, 30000);
    copy_with_option(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 1);
    copy_with_option(IPPROTO_TCP, TCP_NOTSENT_LOWAT, 20000);
}

/* --- Cut off ------------------------------------------------------------------------ */

struct copying {
    gust_conn *dst, *src;
    int error;
    uint64_t copied;
    gust_waitgroup done;
};

static void copy_until_error(void *arg)
{
    struct copying *k = arg;
    k->error = gust_conn_copy(k->dst, k->src, GUST_COPY_ALL, SOON, &k->copied);
    gust_waitgroup_done(&k->done);
}

static void copying_start(struct copying *k)
{
    gust__splice_min = 1;
    gust_waitgroup_add(&k->done, 1);
    go(copy_until_error, k);
}

/* Reads the stream of a raw socket, from `at` on, until it has got that far. */
static void raw_expect(int fd, uint64_t at, uint64_t until)
{
    static char buf[65536];
    for (gust_time give_up = SOON; at < until; gust_yield()) {
        CHECK(gust_now() < give_up);
        size_t len = until - at < sizeof buf ? (size_t)(until - at) : sizeof buf;
        ssize_t n = raw_read_some(fd, buf, len);
        CHECK(n >= 0);
        stream_check(buf, (size_t)n, at);
        at += (uint64_t)n;
    }
}

enum { LONG = 16 << 20, HALF = 5 << 20 };

/* What was not counted is still src's, in its order. */
NetTest(copy_splice, a_reset_of_the_destination_leaves_the_rest_with_the_source)
{
    int peer;
    struct copying k = {.dst = raw_pair_open(&peer)};
    gust_conn *client;
    pair_open(&client, &k.src);
    struct stream out = {.conn = client, .len = LONG, .piece = 1 << 20};
    stream_start(&out, send_stream);
    copying_start(&k);
    raw_expect(peer, 0, HALF);
    raw_reset(peer);
    CHECK_EQ(gust_waitgroup_wait(&k.done, SOON), 0);
    CHECK(k.error == -ECONNRESET || k.error == -EPIPE);
    CHECK(k.copied >= HALF && k.copied < LONG);
    expect(k.src, k.copied, LONG - k.copied);
    stream_end(&out);
    gust_conn_close(client, SOON);
    gust_conn_close(k.src, SOON);
    gust_conn_close(k.dst, GUST_NOW);
}

/* What was counted arrives, whatever has become of the source. */
NetTest(copy_splice, a_reset_of_the_source_leaves_what_was_counted)
{
    int peer;
    char byte;
    struct copying k = {.src = raw_pair_open(&peer)};
    gust_conn *server;
    static char buf[65536];
    uint64_t sent = 0;
    pair_open(&k.dst, &server);
    copying_start(&k);
    for (gust_time until = SOON; sent < HALF; gust_yield()) {
        CHECK(gust_now() < until);
        stream_fill(buf, sizeof buf, sent);
        ssize_t n = send(peer, buf, sizeof buf, MSG_DONTWAIT | MSG_NOSIGNAL);
        expect(server, sent, n > 0 ? (size_t)n : 0);
        sent += n > 0 ? (uint64_t)n : 0;
    }
    raw_reset(peer);
    CHECK_EQ(gust_waitgroup_wait(&k.done, SOON), 0);
    CHECK_EQ(k.error, -ECONNRESET);
    CHECK_EQ(k.copied, sent);
    CHECK_EQ(gust_conn_close(k.dst, SOON), 0);
    CHECK_EQ(gust_conn_read(server, &byte, 1, SOON), 0);
    gust_conn_close(server, SOON);
    gust_conn_close(k.src, GUST_NOW);
}

static void copy_to_idle_peer(int lowat)
{
    int peer;
    struct copying k = {.dst = raw_pair_open(&peer)};
    const int size = 150000;
    gust_conn *client;
    setsockopt(k.dst->fd.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    pair_open(&client, &k.src);
    struct stream out = {.conn = client, .len = LONG, .piece = 1 << 20};
    stream_start(&out, send_stream);
    copying_start(&k);
    raw_expect(peer, 0, HALF); /* it splices by now */
    setsockopt(k.dst->fd.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &lowat, sizeof lowat);
    AWAIT_SOON(is_writing(k.dst) && is_stuck(k.dst->fd.fd));
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gust_sleep(GUST_MS), 0);
        AWAIT_SOON(is_writing(k.dst)); /* parked; in a call for a tick at most */
    }
    raw_expect(peer, HALF, LONG);
    CHECK_EQ(gust_waitgroup_wait(&k.done, SOON), 0);
    CHECK_EQ(k.error, 0);
    CHECK_EQ(k.copied, LONG);
    stream_end(&out);
    gust_conn_close(client, SOON);
    gust_conn_close(k.src, SOON);
    gust_conn_close(k.dst, SOON);
    close(peer);
}

/* Neither its P nor a thread, also if the send buffer has less room than it says. */
NetTest(copy_splice, a_peer_that_does_not_read_holds_up_nobody)
{
    copy_to_idle_peer(0);
    copy_to_idle_peer(1);
}

/* --- Urgent data --------------------------------------------------------------------- */

/* Nobody asked for it, and nobody gets it; what comes before and after is copied. */
NetTest(copy_splice, urgent_data_does_not_end_the_stream)
{
    enum { LEN = 1 << 20 };
    struct chain ch = chain_open();
    struct stream in = {.conn = ch.server, .len = 2 * LEN};
    struct copying k = {.dst = ch.dst, .src = ch.src};
    stream_start(&in, expect_stream);
    copying_start(&k);
    put(ch.client, 0, LEN);
    CHECK_EQ(gust_conn_drain(ch.client, SOON), 0);
    CHECK_EQ(send(ch.client->fd.fd, "!", 1, MSG_OOB | MSG_NOSIGNAL), 1);
    put(ch.client, LEN, LEN);
    CHECK_EQ(gust_conn_shutdown(ch.client, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&k.done, SOON), 0);
    CHECK_EQ(k.error, 0);
    CHECK_EQ(k.copied, 2 * LEN);
    CHECK_EQ(gust_conn_shutdown(ch.dst, SHUT_WR, SOON), 0);
    stream_end(&in);
    chain_close(&ch);
}
