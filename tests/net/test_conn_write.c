/* Writing: every byte arrives once, in order, whatever the mixture of calls,
 * deadlines and sizes; slow peers hold the writer back; errors stay. */
#include "tests/net/net_test.h"

#define STREAM_LEN ((uint64_t)4 << 20)

/* --- Writing -------------------------------------------------------------------- */

struct stream {
    gust_conn *conn;
    uint64_t len;
    uint64_t seed;
    uint64_t done;
};

static size_t random_len(struct stream *s)
{
    uint64_t r = test_rand(&s->seed);
    size_t max = (size_t)1 << (r % 17); /* up to 64 KiB */
    size_t len = (size_t)(r >> 32) % max + 1;
    return len < s->len - s->done ? len : (size_t)(s->len - s->done);
}

static ssize_t write_in_pieces(gust_conn *c, char *buf, size_t len, uint64_t *seed)
{
    struct iovec iov[100];
    int count = 0;
    for (size_t at = 0; at < len && count < 99; count++) {
        size_t n = (size_t)test_rand(seed) % (len / 50 + 2); /* sometimes 0 */
        n = n < len - at ? n : len - at;
        iov[count] = (struct iovec){buf + at, n};
        at += n;
    }
    size_t covered = 0;
    for (int i = 0; i < count; i++)
        covered += iov[i].iov_len;
    iov[count] = (struct iovec){buf + covered, len - covered};
    return gust_conn_writev(c, iov, count + 1, SOON);
}

static void write_mixture(void *arg)
{
    struct stream *s = arg;
    char *buf = malloc(65536);
    while (s->done < s->len) {
        size_t n = random_len(s);
        stream_fill(buf, n, s->done);
        switch (test_rand(&s->seed) % 4) {
        case 0: CHECK_EQ(gust_conn_write(s->conn, buf, n, SOON), (ssize_t)n); break;
        case 1: CHECK_EQ(write_in_pieces(s->conn, buf, n, &s->seed), (ssize_t)n); break;
        case 2: CHECK_EQ(gust_conn_flush(s->conn), 0); /* fall through */
        case 3: CHECK_EQ(gust_conn_append(s->conn, buf, n, SOON), (ssize_t)n); break;
        }
        memset(buf, 0, n); /* it is ours again */
        s->done += n;
    }
    free(buf);
    CHECK_EQ(gust_conn_close(s->conn, SOON), 0);
}

/* Returns how many bytes came, or what fill or read answered. */
static ssize_t read_mixture(gust_conn *c, uint64_t *seed, char *buf, uint64_t at)
{
    uint64_t r = test_rand(seed);
    gust_time deadline = r % 8 == 0 ? GUST_NOW : r % 8 == 1 ? gust_after(10 * GUST_US) : SOON;
    if (r & 256)
        return gust_conn_read(c, buf, (size_t)(r >> 32) % 20000 + 1, deadline);
    ssize_t n = gust_conn_fill(c, 100000, deadline);
    gust_span view = gust_conn_view(c);
    if (n == -ENOBUFS || (n > 0 && r & 512)) {
        size_t take = (size_t)(r >> 32) % (view.len + 1);
        memcpy(buf, view.data, take);
        gust_conn_consume(c, take);
        return take ? (ssize_t)take : -EAGAIN;
    }
    stream_check(view.data, view.len < 64 ? view.len : 64, at);
    return n == 0 && view.len == 0 ? 0 : n == 0 ? gust_conn_read(c, buf, 100000, SOON) : -EAGAIN;
}

static void check_stream(gust_conn *c, uint64_t len, uint64_t seed)
{
    char *buf = malloc(100000);
    uint64_t at = 0;
    ssize_t n;
    while ((n = read_mixture(c, &seed, buf, at)) != 0) {
        CHECK(n > 0 || n == -EAGAIN || n == -ETIMEDOUT);
        if (n > 0) {
            stream_check(buf, (size_t)n, at);
            at += (uint64_t)n;
        }
    }
    CHECK_EQ(at, len);
    free(buf);
}

NetTest(conn_write, every_mixture_of_calls_keeps_the_order)
{
    gust_conn *b;
    uint64_t seed = test_seed();
    struct stream s = {.len = STREAM_LEN, .seed = seed};
    pair_open(&s.conn, &b);
    go(write_mixture, &s);
    check_stream(b, STREAM_LEN, seed + 1);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    AWAIT_SOON(gust_num_goroutines() == 1);
}

/* The same towards a peer with small buffers: sends are cut into pieces. */
NetTest(conn_write, slow_peer_gets_the_same_stream)
{
    int peer;
    struct stream s = {.len = STREAM_LEN / 4, .seed = test_seed()};
    char buf[3000];
    uint64_t at = 0;
    ssize_t n;
    s.conn = raw_pair_open(&peer);
    go(write_mixture, &s);
    while ((n = raw_read_some(peer, buf, sizeof buf)) >= 0) {
        stream_check(buf, (size_t)n, at);
        at += (uint64_t)n;
        if (n == 0 || at % 5 == 0)
            gust_yield();
    }
    CHECK_EQ(at, s.len);
    close(peer);
    AWAIT_SOON(gust_num_goroutines() == 1);
}

NetTest(conn_write, large_write_waits_for_a_slow_reader)
{
    int peer;
    struct writer w = {.len = 3 << 20};
    char buf[65536];
    size_t at = 0;
    ssize_t n;
    w.conn = raw_pair_open(&peer);
    w.buf = malloc(w.len);
    stream_fill(w.buf, w.len, 0);
    CHECK_EQ(gust_conn_append(w.conn, w.buf, 100, SOON), 100);
    w.buf += 100, w.len -= 100;
    go(write_all, &w);
    AWAIT_SOON(is_writing(w.conn));
    for (; at < (1 << 20); at += (size_t)n) {
        CHECK((n = raw_read_some(peer, buf, sizeof buf)) >= 0);
        CHECK(!atomic_load(&w.finished));
        stream_check(buf, (size_t)n, at);
        gust_yield();
    }
    while (at < (3 << 20)) {
        CHECK((n = raw_read_some(peer, buf, sizeof buf)) >= 0);
        stream_check(buf, (size_t)n, at);
        at += (size_t)n;
        gust_yield();
    }
    AWAIT_SOON(atomic_load(&w.finished));
    CHECK_EQ(gust_conn_close(w.conn, SOON), 0);
    free(w.buf - 100);
    close(peer);
}

NetTest(conn_write, writing_now_takes_all_or_nothing)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    char buf[GUST_CONN_WBUF + 1];
    CHECK_EQ(gust_conn_write(c, buf, sizeof buf, GUST_NOW), -EAGAIN);
    uint64_t taken = stuff(c);
    CHECK_EQ(gust_conn_write(c, buf, 4096, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_write(c, buf, 4096, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_drain(c, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_drain(c, gust_after(GUST_MS)), -ETIMEDOUT);
    raw_read_stream(peer, taken);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    CHECK_EQ(raw_read_some(peer, buf, 1), -1);
    close(peer);
}

struct turn {
    gust_conn *conn;
    char letter;
    gust_time deadline;
    ssize_t result;
    gust_waitgroup over;
};

enum { TURN_LEN = 10000 };

static void write_letters(void *arg)
{
    struct turn *t = arg;
    char buf[TURN_LEN];
    memset(buf, t->letter, sizeof buf);
    t->result = gust_conn_write(t->conn, buf, sizeof buf, t->deadline);
    gust_waitgroup_done(&t->over);
}

static size_t waiting(gust_conn *c)
{
    return waiters_count(&c->waiters, &c->lock, RANK_CONN);
}

/* The first waits for what is under way, the others for the first. */
NetTest(conn_write, writers_take_turns)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    uint64_t taken = stuff(c);
    struct turn turns[] = {{c, 'a', SOON, 0, GUST_WAITGROUP_INIT},
                           {c, 'b', gust_after(20 * GUST_MS), 0, GUST_WAITGROUP_INIT},
                           {c, 'c', SOON, 0, GUST_WAITGROUP_INIT}};
    char buf[TURN_LEN], expected[TURN_LEN];
    for (int i = 0; i < 3; i++) {
        gust_waitgroup_add(&turns[i].over, 1);
        go(write_letters, &turns[i]);
        AWAIT_SOON(waiting(c) == (size_t)i + 1 || gust_now() >= turns[1].deadline);
    }
    CHECK_EQ(gust_waitgroup_wait(&turns[1].over, SOON), 0);
    CHECK_EQ(turns[1].result, -ETIMEDOUT);
    raw_read_stream(peer, taken);
    for (int i = 0; i < 3; i += 2) {
        memset(expected, turns[i].letter, TURN_LEN);
        raw_read(peer, buf, TURN_LEN);
        CHECK(memcmp(buf, expected, TURN_LEN) == 0);
        CHECK_EQ(gust_waitgroup_wait(&turns[i].over, SOON), 0);
        CHECK_EQ(turns[i].result, TURN_LEN);
    }
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    close(peer);
}

NetTest(conn_write, append_waits_for_flush)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(a, "ab", 2, SOON), 2);
    CHECK_EQ(gust_conn_append(a, "cd", 2, SOON), 2);
    CHECK_EQ(gust_conn_read(b, buf, 8, gust_after(5 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_flush(a), 0);
    CHECK_EQ(gust_conn_read(b, buf, 8, SOON), 4);
    CHECK(memcmp(buf, "abcd", 4) == 0);
    CHECK_EQ(gust_conn_flush(a), 0); /* nothing to do */
    pair_close(a, b);
}

NetTest(conn_write, block_takes_exactly_its_size)
{
    gust_conn *a, *b;
    char buf[GUST_CONN_WBUF];
    pair_open(&a, &b);
    stream_fill(buf, sizeof buf, 0);
    CHECK_EQ(gust_conn_append(a, buf, sizeof buf - 1, GUST_NOW), sizeof buf - 1);
    CHECK_EQ(gust_conn_append(a, buf + sizeof buf - 1, 1, GUST_NOW), 1);
    CHECK_EQ(conn_filled(a), GUST_CONN_WBUF);
    CHECK(!conn_is_sending(a));
    CHECK_EQ(gust_conn_append(a, "", 0, GUST_NOW), 0);
    CHECK_EQ(gust_conn_drain(a, SOON), 0);
    for (size_t at = 0; at < sizeof buf;) {
        char in[5000];
        ssize_t n = gust_conn_read(b, in, sizeof in, SOON);
        CHECK(n > 0);
        stream_check(in, (size_t)n, at);
        at += (size_t)n;
    }
    pair_close(a, b);
}

NetTest(conn_write, lengths_that_overflow_are_refused)
{
    gust_conn *a, *b;
    char byte = 0;
    struct iovec iov[2] = {{&byte, SIZE_MAX / 2}, {&byte, SIZE_MAX / 2 + 2}};
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_writev(a, iov, 2, SOON), -EINVAL);
    CHECK_EQ(gust_conn_writev(a, iov, 0, SOON), 0);
    pair_close(a, b);
}

/* --- Errors ------------------------------------------------------------------------ */

NetTest(conn_write, reset_is_reported_and_stays)
{
    int peer;
    char buf[100] = "";
    gust_conn *c = raw_pair_open(&peer);
    ssize_t n;
    raw_reset(peer);
    CHECK_EQ(gust_conn_read(c, buf, sizeof buf, SOON), -ECONNRESET);
    AWAIT_SOON((n = gust_conn_write(c, buf, sizeof buf, SOON)) < 0);
    CHECK_EQ(n, -EPIPE);
    CHECK_EQ(gust_conn_flush(c), -EPIPE);
    CHECK_EQ(gust_conn_drain(c, SOON), -EPIPE);
    CHECK_EQ(gust_conn_append(c, buf, 1, SOON), -EPIPE);
    CHECK_EQ(gust_conn_close(c, SOON), -EPIPE);
}

NetTest(conn_write, reset_ends_a_large_write)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    char *buf = calloc(1, 8 << 20);
    raw_reset(peer);
    CHECK(gust_conn_write(c, buf, 8 << 20, SOON) < 0);
    int error = gust_conn_flush(c);
    CHECK(error == -ECONNRESET || error == -EPIPE);
    CHECK_EQ(gust_conn_close(c, SOON), error);
    free(buf);
}

NetTest(conn_write, deadline_ends_a_large_write_for_good)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    char *buf = calloc(1, 8 << 20);
    CHECK_EQ(gust_conn_write(c, buf, 8 << 20, gust_after(20 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(c, buf, 1, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_close(c, SOON), -ETIMEDOUT);
    free(buf);
    close(peer);
}

/* --- One direction ------------------------------------------------------------------ */

NetTest(conn_write, shutdown_of_writing_leaves_reading)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(a, "bye", 3, SOON), 3);
    CHECK_EQ(gust_conn_shutdown(a, SHUT_WR, SOON), 0); /* drains first */
    CHECK_EQ(gust_conn_read(b, buf, 8, SOON), 3);
    CHECK_EQ(gust_conn_read(b, buf, 8, SOON), 0);
    CHECK_EQ(gust_conn_write(b, "hello", 5, SOON), 5);
    CHECK_EQ(gust_conn_read(a, buf, 8, SOON), 5);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    CHECK_EQ(gust_conn_read(a, buf, 8, SOON), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
}

static void read_end(void *arg)
{
    char byte;
    CHECK_EQ(gust_conn_read(arg, &byte, 1, SOON), 0);
    gust_conn_unref(arg);
}

NetTest(conn_write, shutdown_of_reading_ends_a_blocked_read)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    go(read_end, gust_conn_ref(a));
    AWAIT_SOON(is_reading(a));
    CHECK_EQ(gust_conn_shutdown(a, SHUT_RD, SOON), 0);
    AWAIT_SOON(gust_num_goroutines() == 1);
    CHECK_EQ(gust_conn_write(a, "still", 5, SOON), 5);
    CHECK_EQ(gust_conn_read(b, buf, 8, SOON), 5);
    pair_close(a, b);
}

/* --- At once, or in order ---------------------------------------------------------- */

/* With epoll a small write is a system call of the writer's: nothing is under way when it
 * returns.  (The ring's is sent at the next look at it.) */
NetTest(conn_write, what_the_socket_takes_is_sent_at_once)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_conn_write(a, "hello", 5, SOON), 5);
        if (strcmp(gust__netpoll_name(), "epoll") == 0)
            CHECK(!conn_is_sending(a));
        CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
    }
    pair_close(a, b);
}

struct drainer {
    gust_conn *conn;
    gust_waitgroup done;
};

static void drain(void *arg)
{
    struct drainer *d = arg;
    CHECK_EQ(gust_conn_drain(d->conn, SOON), 0);
    gust_waitgroup_done(&d->done);
}

/* A send that is done where it is started tells nobody.  So if somebody waits for it, who
 * began to while a layer had the block, it is not done there. */
NetTest(conn_write, who_waits_for_a_lent_block_hears_that_it_is_sent)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    gust__loan loan;
    struct drainer d = {.conn = a};
    gust_waitgroup_add(&d.done, 1);
    CHECK_EQ(gust_conn_append(a, "hello", 5, SOON), 5);
    CHECK_EQ(gust__conn_lend(a, false, &loan), 0);
    go(drain, &d);
    AWAIT_SOON(waiters_count(&a->waiters, &a->lock, RANK_CONN) == 1);
    gust__conn_give_back(a, 0, true);
    CHECK_EQ(gust_waitgroup_wait(&d.done, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
    pair_close(a, b);
}
