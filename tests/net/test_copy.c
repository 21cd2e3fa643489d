/* Copies from conn to conn: what goes where, whatever ends them. */
#include <gust/copy.h>
#include <sys/resource.h>

#include "tests/core/contexts.h"
#include "tests/net/chains.h"

/* --- Small -------------------------------------------------------------------------- */

NetTest(copy, bytes_in_the_view_go_first)
{
    struct chain ch = chain_open();
    uint64_t copied = 99;
    put(ch.client, 0, 10);
    while (gust_conn_view(ch.src).len < 10)
        CHECK(gust_conn_fill(ch.src, 100, SOON) > 0);
    gust_conn_consume(ch.src, 3);
    put(ch.client, 10, 5);
    CHECK_EQ(gust_conn_shutdown(ch.client, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), 0);
    CHECK_EQ(copied, 12);
    expect(ch.server, 3, 12);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), 0);
    CHECK_EQ(copied, 0);
    chain_close(&ch);
}

NetTest(copy, no_more_than_the_limit)
{
    struct chain ch = chain_open();
    uint64_t copied;
    char buf[8];
    put(ch.client, 0, 10);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, 0, SOON, &copied), 0);
    CHECK_EQ(copied, 0);
    CHECK_EQ(gust_conn_fill(ch.src, 100, SOON), 10);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, 4, SOON, &copied), 0);
    CHECK_EQ(copied, 4);
    CHECK_EQ(gust_conn_view(ch.src).len, 6);
    put(ch.client, 10, 5);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, 8, SOON, &copied), 0);
    CHECK_EQ(copied, 8);
    expect(ch.server, 0, 12);
    CHECK_EQ(gust_conn_read(ch.src, buf, sizeof buf, SOON), 3);
    stream_check(buf, 3, 12);
    chain_close(&ch);
}

NetTest(copy, now_copies_what_is_there)
{
    struct chain ch = chain_open();
    uint64_t copied, sum = 0;
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, 10, GUST_NOW, &copied), -EAGAIN);
    CHECK_EQ(copied, 0);
    put(ch.client, 0, 100);
    for (int error = 0; sum < 100; sum += copied) {
        error = gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, GUST_NOW, &copied);
        CHECK_EQ(error, -EAGAIN);
    }
    expect(ch.server, 0, 100);
    chain_close(&ch);
}

/* --- Large: by splice where the poller has it ---------------------------------------- */

NetTest(copy, large_streams_arrive_whole)
{
    copy_stream(4 << 20, 1 << 20);
    copy_stream(1 << 20, 5000);
    copy_stream(100001, 100001);
    gust__splice_min = 1; /* always, where it can */
    copy_stream(4 << 20, 300000);
    copy_stream(300000, 1000);
    gust__splice_min = SIZE_MAX; /* never */
    copy_stream(2 << 20, 300000);
}

struct half {
    gust_conn *dst, *src;
    gust_waitgroup *done;
};

static void copy_half(void *arg)
{
    struct half *h = arg;
    uint64_t copied;
    CHECK_EQ(gust_conn_copy(h->dst, h->src, GUST_COPY_ALL, SOON, &copied), 0);
    CHECK_EQ(gust_conn_shutdown(h->dst, SHUT_WR, SOON), 0);
    gust_waitgroup_done(h->done);
}

NetTest(copy, a_proxy_is_two_copies)
{
    enum { LEN = 2 << 20 };
    struct chain ch = chain_open();
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    struct half halves[2] = {{ch.dst, ch.src, &done}, {ch.src, ch.dst, &done}};
    struct stream s[4] = {{.conn = ch.client, .len = LEN, .piece = 100000},
                          {.conn = ch.server, .len = LEN},
                          {.conn = ch.server, .len = LEN, .piece = 100000},
                          {.conn = ch.client, .len = LEN}};
    gust_waitgroup_add(&done, 2);
    for (int i = 0; i < 2; i++)
        go(copy_half, &halves[i]);
    for (int i = 0; i < 4; i++)
        stream_start(&s[i], i % 2 ? expect_stream : send_stream);
    for (int i = 0; i < 4; i++)
        stream_end(&s[i]);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    chain_close(&ch);
}

/* --- Ended early ---------------------------------------------------------------------- */

/* A copy is cut off again and again, at random; what it has not counted is still
 * src's. */
static void cut_copies(size_t min)
{
    enum { LEN = 3 << 20 };
    struct chain ch = chain_open();
    struct stream out = {.conn = ch.client, .len = LEN, .piece = 200000};
    struct stream in = {.conn = ch.server, .len = LEN};
    uint64_t copied, sum = 0, state = test_seed();
    int error = -ETIMEDOUT;
    gust__splice_min = min;
    stream_start(&out, send_stream);
    stream_start(&in, expect_stream);
    while (sum < LEN) {
        gust_time deadline = gust_after((int64_t)(test_rand(&state) % 300) * GUST_US);
        uint64_t limit = 1 + test_rand(&state) % 500000;
        error = gust_conn_copy(ch.dst, ch.src, limit, deadline, &copied);
        CHECK(error == 0 || error == -ETIMEDOUT);
        CHECK(copied <= limit);
        sum += copied;
        if (copied == 0)
            gust_sleep(50 * GUST_US);
    }
    CHECK_EQ(sum, LEN);
    CHECK_EQ(gust_conn_shutdown(ch.dst, SHUT_WR, SOON), 0);
    stream_end(&out);
    stream_end(&in);
    chain_close(&ch);
}

NetTest(copy, no_byte_is_lost_when_a_deadline_ends_it)
{
    cut_copies(1);
    cut_copies(32768);
    cut_copies(SIZE_MAX);
}

struct stuck {
    struct chain *chain;
    int error;
    uint64_t copied;
    gust_waitgroup done;
};

static void copy_stuck(void *arg)
{
    struct stuck *s = arg;
    s->error =
        gust_conn_copy(s->chain->dst, s->chain->src, GUST_COPY_ALL, GUST_FOREVER, &s->copied);
    gust_waitgroup_done(&s->done);
}

/* The server reads nothing until the copy is given up in the middle of a piece. */
static void cancel_stuck(size_t min, bool by_context)
{
    enum { LEN = 1 << 20 };
    int peer;
    struct chain ch = {.dst = raw_pair_open(&peer)};
    gust_context *context = context_make(NULL);
    struct stuck stuck = {.chain = &ch};
    uint64_t copied = 0, got = 0;
    static char buf[65536];
    gust__splice_min = min;
    pair_open(&ch.client, &ch.src);
    struct stream out = {.conn = ch.client, .len = LEN, .piece = 65536};
    stream_start(&out, send_stream);
    gust_waitgroup_add(&stuck.done, 1);
    go_under(context, copy_stuck, &stuck);
    AWAIT_SOON(is_writing(ch.dst) && is_stuck(ch.dst->fd.fd));
    if (by_context)
        gust_context_cancel(context, 0);
    else
        CHECK_EQ(gust_conn_set_write_deadline(ch.dst, GUST_NOW), 0);
    CHECK_EQ(gust_waitgroup_wait(&stuck.done, SOON), 0);
    CHECK_EQ(stuck.error, by_context ? -ECANCELED : -ETIMEDOUT);
    CHECK_EQ(gust_conn_set_deadline(ch.dst, GUST_FOREVER), 0);
    /* Another one ends it; the two halves fit together. */
    for (int error = -EAGAIN; got < LEN;) {
        if (stuck.copied + copied < LEN) {
            uint64_t more;
            error = gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, gust_after(GUST_MS), &more);
            CHECK(error == 0 || error == -ETIMEDOUT);
            copied += more;
        }
        ssize_t n = raw_read_some(peer, buf, sizeof buf);
        CHECK(n >= 0);
        stream_check(buf, (size_t)n, got);
        got += (uint64_t)n;
        gust_yield();
    }
    CHECK_EQ(stuck.copied + copied, LEN);
    stream_end(&out);
    gust_context_unref(context);
    gust_conn_close(ch.client, SOON);
    gust_conn_close(ch.src, SOON);
    gust_conn_close(ch.dst, SOON);
    close(peer);
}

NetTest(copy, a_cancelled_copy_can_be_taken_up_again)
{
    for (int i = 0; i < 2; i++) {
        cancel_stuck(1, i);
        cancel_stuck(32768, i);
        cancel_stuck(SIZE_MAX, i);
    }
}

NetTest(copy, errors_of_either_side_are_reported)
{
    enum { LEN = 400000 };
    for (int i = 0; i < 2; i++) {
        struct chain ch = chain_open();
        uint64_t copied;
        gust__splice_min = i ? 1 : 32768;
        /* dst is shut for writing: the bytes stay src's. */
        CHECK_EQ(gust_conn_shutdown(ch.dst, SHUT_WR, SOON), 0);
        struct stream out = {.conn = ch.client, .len = LEN, .piece = 65536};
        stream_start(&out, send_stream);
        int error = gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied);
        CHECK_EQ(error, -EPIPE);
        /* What was small enough for the write buffer had been taken over. */
        expect(ch.src, copied, LEN - copied);
        stream_end(&out);
        chain_close(&ch);
    }
    int peer;
    struct chain ch = {.src = raw_pair_open(&peer)};
    uint64_t copied;
    pair_open(&ch.dst, &ch.server);
    raw_write(peer, "abc", 3);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, 3, SOON, &copied), 0);
    raw_reset(peer);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), -ECONNRESET);
    CHECK_EQ(gust_conn_view(ch.src).len, 0);
    gust_conn_ref(ch.src);
    gust_conn_close(ch.src, SOON);
    CHECK_EQ(gust_conn_copy(ch.dst, ch.src, GUST_COPY_ALL, SOON, &copied), -EBADF);
    gust_conn_unref(ch.src);
    gust_conn_close(ch.dst, SOON);
    gust_conn_close(ch.server, SOON);
}

/* Whichever end is closed under it, and however the bytes travel. */
static void close_under(size_t min, bool close_src)
{
    enum { LEN = 1 << 20 };
    int peer;
    struct chain ch = {.dst = raw_pair_open(&peer)};
    struct stuck stuck = {.chain = &ch};
    gust__splice_min = min;
    pair_open(&ch.client, &ch.src);
    struct stream out = {.conn = ch.client, .len = LEN, .piece = 65536};
    gust_waitgroup_add(&stuck.done, 1);
    go(copy_stuck, &stuck);
    if (close_src) {
        AWAIT_SOON(is_reading(ch.src));
    } else {
        stream_start(&out, send_stream);
        AWAIT_SOON(is_writing(ch.dst) && is_stuck(ch.dst->fd.fd));
    }
    gust_conn_close(gust_conn_ref(close_src ? ch.src : ch.dst), GUST_NOW);
    CHECK_EQ(gust_waitgroup_wait(&stuck.done, SOON), 0);
    CHECK_EQ(stuck.error, -EBADF);
    if (!close_src) {
        expect(ch.src, stuck.copied, LEN - stuck.copied);
        stream_end(&out);
    }
    gust_conn_unref(ch.client);
    gust_conn_unref(ch.src);
    gust_conn_unref(ch.dst);
    close(peer);
}

NetTest(copy, closing_either_end_ends_it)
{
    for (int i = 0; i < 2; i++) {
        close_under(1, i);
        close_under(SIZE_MAX, i);
    }
}

/* --- Pipes ----------------------------------------------------------------------------- */

NetTest(copy, pipes_are_bounded)
{
    static gust__pipe pipes[GUST__PIPES_MAX + 1];
    struct rlimit limit;
    int count = 0, error = 0;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count <= GUST__PIPES_MAX && (error = gust__pipe_open(&pipes[count])) == 0)
        count++;
    CHECK(error == -EMFILE || (error == -ENOBUFS && count == GUST__PIPES_MAX));
    /* Without one, all goes by way of the view. */
    if (error == -ENOBUFS)
        copy_stream(1 << 20, 300000);
    while (count > 0)
        gust__pipe_close(&pipes[--count]);
    copy_stream(1 << 20, 300000);
}
