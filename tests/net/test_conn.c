/* Reading: partial reads, deadlines, the view and its limits, and who holds
 * memory when. */
#include "core/inject.h"
#include "core/netpoll_backend.h"
#include "tests/net/net_test.h"

/* --- Goroutines -------------------------------------------------------------- */

static void read_one(void *arg)
{
    char byte;
    CHECK_EQ(gust_conn_read(arg, &byte, 1, SOON), 1);
    gust_conn_unref(arg);
}

static void fill_one(void *arg)
{
    CHECK_EQ(gust_conn_fill(arg, 65536, SOON), 1);
    gust_conn_consume(arg, 1);
    gust_conn_unref(arg);
}

/* --- Reading ---------------------------------------------------------------- */

NetTest(conn, reads_are_partial_and_end_with_0)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "0123456789", 10, SOON), 10);
    CHECK_EQ(gust_conn_drain(a, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, 0, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, 3, SOON), 3);
    CHECK_EQ(gust_conn_read(b, buf + 3, 4, SOON), 4);
    CHECK_EQ(gust_conn_read(b, buf + 7, 9, SOON), 3);
    CHECK(memcmp(buf, "0123456789", 10) == 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, 1, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, 1, SOON), 0);
    CHECK_EQ(gust_conn_fill(b, 100, SOON), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn, deadline_ends_a_read_and_the_next_goes_on)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    gust_time start = gust_now();
    CHECK_EQ(gust_conn_read(b, buf, 8, start + 20 * GUST_MS), -ETIMEDOUT);
    CHECK(gust_now() >= start + 20 * GUST_MS);
    CHECK_EQ(gust_conn_fill(b, 8, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_read(b, buf, 8, start), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(a, "hello", 5, SOON), 5);
    CHECK_EQ(gust_conn_read(b, buf, 8, SOON), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    pair_close(a, b);
}

NetTest(conn, now_tries_without_waiting)
{
    gust_conn *a, *b;
    char buf[8];
    ssize_t n;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_read(b, buf, 8, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_fill(b, 9000, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_write(a, "x", 1, GUST_NOW), 1);
    AWAIT_SOON((n = gust_conn_read(b, buf, 8, GUST_NOW)) != -EAGAIN);
    CHECK_EQ(n, 1);
    CHECK_EQ(gust_conn_write(a, "y", 1, GUST_NOW), 1);
    AWAIT_SOON((n = gust_conn_fill(b, 9000, GUST_NOW)) != -EAGAIN);
    CHECK_EQ(n, 1);
    CHECK_EQ(gust_conn_drain(a, SOON), 0);
    pair_close(a, b);
}

NetTest(conn, second_reader_queues_behind_the_first)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    go(read_one, gust_conn_ref(b));
    AWAIT_SOON(is_reading(b));
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_fill(b, 100, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(a, "12", 2, SOON), 2);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    AWAIT_SOON(gust_num_goroutines() == 1);
    pair_close(a, b);
}

/* --- The view ---------------------------------------------------------------- */

static void write_stream(gust_conn *c, size_t len)
{
    char *buf = malloc(len);
    stream_fill(buf, len, 0);
    CHECK_EQ(gust_conn_write(c, buf, len, SOON), (ssize_t)len);
    CHECK_EQ(gust_conn_drain(c, SOON), 0);
    free(buf);
}

static void view_check(gust_conn *c, size_t len, uint64_t at)
{
    gust_span view = gust_conn_view(c);
    CHECK_EQ(view.len, len);
    stream_check(view.data, view.len, at);
}

/* One byte more than the view may hold is sent. */
static void fill_to_the_limit(size_t max)
{
    gust_conn *a, *b;
    ssize_t n;
    size_t len = 0;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_view(b).len, 0);
    write_stream(a, max + 1);
    while ((n = gust_conn_fill(b, max, SOON)) > 0) {
        len += (size_t)n;
        CHECK(len <= max);
        view_check(b, len, 0);
    }
    CHECK_EQ(n, -ENOBUFS);
    CHECK_EQ(len, max);
    CHECK_EQ(gust_conn_fill(b, max, GUST_NOW), -ENOBUFS);
    if (max > 1) { /* one byte of room again */
        gust_conn_consume(b, 1);
        CHECK_EQ(gust_conn_fill(b, max, SOON), 1);
        view_check(b, max, 1);
        gust_conn_consume(b, max);
    } else {
        gust_conn_consume(b, 1);
        CHECK_EQ(gust_conn_fill(b, max, SOON), 1);
        gust_conn_consume(b, 1);
    }
    CHECK(holds_no_buffer(b));
    pair_close(a, b);
}

NetTest(conn, view_grows_to_its_limit_and_no_further)
{
    static const size_t limits[] = {1,     2,     7,     4095,  4096,   4097,  8191,
                                    16383, 16384, 16385, 65536, 100000, 300000};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        fill_to_the_limit(limits[i]);
}

NetTest(conn, limit_of_0_is_always_reached)
{
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_fill(b, 0, SOON), -ENOBUFS);
    pair_close(a, b);
}

NetTest(conn, rest_of_a_view_survives_a_timeout)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    write_stream(a, 10);
    for (size_t len = 0; len < 10; len = gust_conn_view(b).len)
        CHECK(gust_conn_fill(b, 100, SOON) > 0);
    gust_conn_consume(b, 4);
    CHECK_EQ(gust_conn_fill(b, 100, gust_after(GUST_MS)), -ETIMEDOUT);
    view_check(b, 6, 4);
    CHECK_EQ(gust_conn_read(b, buf, 2, GUST_NOW), 2); /* read takes from the view first */
    stream_check(buf, 2, 4);
    view_check(b, 4, 6);
    pair_close(a, b);
}

/* --- Who holds memory ---------------------------------------------------------- */

static void consume_stream(gust_conn *c, size_t len)
{
    for (size_t got = 0; got < len;) {
        CHECK(gust_conn_fill(c, 65536, SOON) > 0);
        got += gust_conn_view(c).len;
        gust_conn_consume(c, gust_conn_view(c).len);
    }
}

/* 4096 and 65536: the receive fills its buffer, and there is nothing more. */
NetTest(conn, idle_conn_holds_no_buffer)
{
    static const size_t lengths[] = {1, 4095, 4096, 4097, 10000, 4096 + 65536};
    gust_conn *a, *b;
    pair_open(&a, &b);
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        struct writer w = {.conn = a, .buf = calloc(1, lengths[i]), .len = lengths[i]};
        go(write_all, &w);
        consume_stream(b, lengths[i]);
        AWAIT_SOON(atomic_load(&w.finished));
        CHECK_EQ(gust_conn_drain(a, SOON), 0);
        CHECK(holds_no_buffer(a) && holds_no_buffer(b));
        go(fill_one, gust_conn_ref(b));
        AWAIT_SOON(is_reading(b));
        CHECK(holds_no_buffer(b));
        CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
        AWAIT_SOON(gust_num_goroutines() == 1);
        free(w.buf);
    }
    pair_close(a, b);
}

static int no_buffers_main(void *arg)
{
    enum { COUNT = 20 };
    gust_conn *a[COUNT], *b[COUNT];
    (void)arg;
    for (int i = 0; i < COUNT; i++) {
        pair_open(&a[i], &b[i]);
        write_stream(a[i], 100);
        CHECK_EQ(gust_conn_fill(b[i], 5000, SOON), 100);
    }
    for (int i = 0; i < COUNT; i++) {
        view_check(b[i], 100, 0);
        pair_close(a[i], b[i]);
    }
    return 0;
}

Test(conn, reads_go_on_when_the_poller_has_no_buffer_left)
{
    gust__netpoll_limits_now.buf_count = 2;
    test_run(no_buffers_main, NULL);
}

struct crowd {
    _Atomic int got;
    gust_chan *all_got;
};

struct one_of_crowd {
    struct crowd *crowd;
    gust_conn *conn;
};

/* Keeps its byte in the view until all have one. */
static void fill_and_hold(void *arg)
{
    struct one_of_crowd *o = arg;
    CHECK_EQ(gust_conn_fill(o->conn, 5000, SOON), 1);
    atomic_fetch_add(&o->crowd->got, 1);
    CHECK_EQ(gust_chan_recv(o->crowd->all_got, NULL, SOON), 0);
    gust_conn_consume(o->conn, 1);
    gust_conn_unref(o->conn);
}

/* All wait on sockets that they have found empty before, when bytes come for more
 * of them than there are buffers. */
static int crowd_main(void *arg)
{
    enum { COUNT = 8 };
    gust_conn *a[COUNT], *b[COUNT];
    struct one_of_crowd each[COUNT];
    struct crowd crowd = {0};
    (void)arg;
    CHECK_EQ(gust_chan_new(1, 0, &crowd.all_got), 0);
    for (int i = 0; i < COUNT; i++) {
        pair_open(&a[i], &b[i]);
        CHECK_EQ(gust_conn_write(a[i], "x", 1, SOON), 1);
        CHECK_EQ(gust_conn_fill(b[i], 5000, SOON), 1);
        gust_conn_consume(b[i], 1);
        each[i] = (struct one_of_crowd){&crowd, gust_conn_ref(b[i])};
        go(fill_and_hold, &each[i]);
    }
    for (int i = 0; i < COUNT; i++)
        AWAIT_SOON(is_reading(b[i]));
    for (int i = 0; i < COUNT; i++)
        CHECK_EQ(gust_conn_write(a[i], "y", 1, SOON), 1);
    AWAIT_SOON(atomic_load(&crowd.got) == COUNT);
    gust_chan_close(crowd.all_got);
    AWAIT_SOON(gust_num_goroutines() == 1);
    for (int i = 0; i < COUNT; i++)
        pair_close(a[i], b[i]);
    gust_chan_unref(crowd.all_got);
    return 0;
}

Test(conn, waiting_readers_get_their_bytes_when_no_buffer_is_left)
{
    gust__netpoll_limits_now.buf_count = 2;
    test_run(crowd_main, NULL);
}

/* --- Large messages -------------------------------------------------------------- */

static int bytes_there(gust_conn *c)
{
    int there = 0;
    CHECK_EQ(ioctl(c->fd.fd, FIONREAD, &there), 0);
    return there;
}

NetTest(conn, a_large_message_is_filled_in_one_piece)
{
    gust_conn *a, *b;
    static char message[60000];
    pair_open(&a, &b);
    stream_fill(message, sizeof message, 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_conn_write(a, message, sizeof message, SOON), sizeof message);
        AWAIT_SOON(bytes_there(b) == sizeof message);
        CHECK_EQ(gust_conn_fill(b, 65536, SOON), sizeof message);
        stream_check(gust_conn_view(b).data, sizeof message, 0);
        gust_conn_consume(b, sizeof message);
        CHECK(holds_no_buffer(b));
        CHECK(b->large);
    }
    /* Who waits for the next one has no buffer for it before it comes. */
    go(fill_one, gust_conn_ref(b));
    AWAIT_SOON(is_reading(b));
    CHECK(holds_no_buffer(b));
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    AWAIT_SOON(gust_num_goroutines() == 1);
    CHECK(!b->large);
    /* No more than the caller wants, nor where there is no more. */
    CHECK_EQ(gust_conn_write(a, message, 8192 + 4096, SOON), 8192 + 4096);
    AWAIT_SOON(bytes_there(b) == 8192 + 4096);
    CHECK_EQ(gust_conn_fill(b, 8192, SOON), 8192);
    gust_conn_consume(b, 8192);
    AWAIT_SOON(gust_conn_fill(b, 4096, SOON) == 4096);
    gust_conn_consume(b, 4096);
    pair_close(a, b);
}

#ifdef GUST_DEBUG

/* It is a larger message than a poller's buffer holds; that one needs no memory. */
NetTest(conn, a_large_message_needs_no_large_buffer)
{
    gust_conn *a, *b;
    static char message[20000];
    pair_open(&a, &b);
    b->large = true;
    CHECK_EQ(gust_conn_write(a, message, sizeof message, SOON), sizeof message);
    AWAIT_SOON(bytes_there(b) == sizeof message);
    gust__inject_arm(INJECT_MALLOC, 1, INJECT_FOR_EVER);
    CHECK_EQ(gust_conn_fill(b, 65536, SOON), GUST__BUF_SIZE);
    CHECK(gust__inject_disarm() > 0);
    consume_stream(b, sizeof message);
    pair_close(a, b);
}

#endif

/* A reset that comes behind a full buffer is told by the next call. */
NetTest(conn, an_error_behind_a_full_buffer_is_reported)
{
    int peer;
    char block[GUST__BUF_SIZE];
    gust_conn *c = raw_pair_open(&peer);
    stream_fill(block, sizeof block, 0);
    raw_write(peer, block, sizeof block);
    AWAIT_SOON(bytes_there(c) == sizeof block);
    CHECK_EQ(gust_conn_fill(c, 65536, SOON), sizeof block);
    raw_reset(peer);
    gust_conn_consume(c, sizeof block);
    CHECK_EQ(gust_conn_fill(c, 65536, SOON), -ECONNRESET);
    gust_conn_close(c, SOON);
}

/* --- Memory ------------------------------------------------------------------ */

enum { GAMES = 16, BOUNCES = 1000 };

struct player {
    gust_conn *conn;
    int *bounces; /* for who has the ball */
    gust_waitgroup *over;
};

static void play(void *arg)
{
    struct player *p = arg;
    char ball;
    while (gust_conn_read(p->conn, &ball, 1, SOON) == 1 && ++*p->bounces < BOUNCES)
        CHECK_EQ(gust_conn_write(p->conn, &ball, 1, SOON), 1);
    CHECK_EQ(gust_conn_close(p->conn, SOON), 0);
    gust_waitgroup_done(p->over);
}

/* For ThreadSanitizer.  Many games, because it is by chance that nothing else orders the
 * two of one. */
NetTest(conn, what_is_written_before_a_send_is_seen_after_the_receive)
{
    struct player players[GAMES][2];
    gust_waitgroup over = {0};
    int bounces[GAMES] = {0};
    gust_waitgroup_add(&over, 2 * GAMES);
    for (int i = 0; i < GAMES; i++) {
        pair_open(&players[i][0].conn, &players[i][1].conn);
        CHECK_EQ(gust_conn_write(players[i][0].conn, "o", 1, SOON), 1);
        CHECK_EQ(gust_conn_drain(players[i][0].conn, SOON), 0);
        for (int j = 0; j < 2; j++) {
            players[i][j].bounces = &bounces[i];
            players[i][j].over = &over;
            CHECK_EQ(gust_go(play, &players[i][j]), 0);
        }
    }
    CHECK_EQ(gust_waitgroup_wait(&over, SOON), 0);
    for (int i = 0; i < GAMES; i++)
        CHECK_EQ(bounces[i], BOUNCES);
}
