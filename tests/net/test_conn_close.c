/* Closing: what is drained, who is woken, and that descriptors and memory go
 * exactly once, whatever is under way. */
#include "tests/net/net_test.h"

/* --- Draining ----------------------------------------------------------------- */

NetTest(conn_close, sends_what_was_written)
{
    gust_conn *a, *b;
    static char out[10000], in[10000];
    size_t got = 0;
    ssize_t n;
    pair_open(&a, &b);
    stream_fill(out, sizeof out, 0);
    CHECK_EQ(gust_conn_append(a, out, sizeof out, SOON), sizeof out);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    while ((n = gust_conn_read(b, in + got, sizeof in - got, SOON)) > 0)
        got += (size_t)n;
    CHECK_EQ(got, sizeof out);
    stream_check(in, got, 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn_close, gives_up_at_its_deadline)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    size_t fds = fd_count();
    (void)stuff(c);
    gust_conn_ref(c);
    CHECK_EQ(gust_conn_close(c, gust_after(10 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(fd_count(), fds - 1);
    CHECK(holds_no_buffer(c));
    gust_conn_unref(c);
    close(peer);
}

NetTest(conn_close, everything_afterwards_is_ebadf)
{
    gust_conn *a, *b;
    gust_addr addr;
    char buf[8];
    pair_open(&a, &b);
    gust_conn_ref(a);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read(a, buf, 8, SOON), -EBADF);
    CHECK_EQ(gust_conn_fill(a, 8, SOON), -EBADF);
    CHECK_EQ(gust_conn_fill(a, 8000, GUST_NOW), -EBADF);
    CHECK_EQ(gust_conn_write(a, buf, 8, SOON), -EBADF);
    CHECK_EQ(gust_conn_append(a, buf, 8, SOON), -EBADF);
    CHECK_EQ(gust_conn_flush(a), -EBADF);
    CHECK_EQ(gust_conn_drain(a, SOON), -EBADF);
    CHECK_EQ(gust_conn_shutdown(a, SHUT_RD, SOON), -EBADF);
    CHECK_EQ(gust_conn_shutdown(a, SHUT_WR, SOON), -EBADF);
    gust_conn_local_addr(a, &addr);
    CHECK_EQ(addr.len, 0);
    gust_conn_ref(a);
    CHECK_EQ(gust_conn_close(a, SOON), -EBADF);
    gust_conn_unref(a);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    CHECK_EQ(gust_conn_close(NULL, SOON), 0);
    gust_conn_unref(NULL);
}

/* --- Without closing -------------------------------------------------------------- */

NetTest(conn_close, last_reference_closes)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    gust_conn_ref(a);
    gust_conn_unref(a);
    gust_conn_unref(a);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 0);
    gust_conn_unref(b);
}

NetTest(conn_close, last_reference_drops_a_send_under_way)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    size_t fds = fd_count();
    (void)stuff(c);
    gust_conn_unref(c);
    AWAIT_SOON(fd_count() == fds - 1);
    close(peer);
}

NetTest(conn_close, last_reference_drops_what_was_only_appended)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(a, "lost", 4, SOON), 4);
    gust_conn_unref(a);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 0);
    gust_conn_unref(b);
}

/* --- Waking ----------------------------------------------------------------------- */

static void blocked_read(void *arg)
{
    char byte;
    CHECK_EQ(gust_conn_read(arg, &byte, 1, SOON), -EBADF);
    gust_conn_unref(arg);
}

static void blocked_fill(void *arg)
{
    CHECK_EQ(gust_conn_fill(arg, 8192, SOON), -EBADF);
    gust_conn_unref(arg);
}

static void blocked_large_write(void *arg)
{
    char *buf = calloc(1, 8 << 20);
    CHECK_EQ(gust_conn_write(arg, buf, 8 << 20, SOON), -EBADF);
    free(buf);
    gust_conn_unref(arg);
}

static void blocked_small_write(void *arg)
{
    static const char buf[GUST_CONN_WBUF];
    CHECK_EQ(gust_conn_write(arg, buf, sizeof buf, SOON), -EBADF);
    gust_conn_unref(arg);
}

static void blocked_drain(void *arg)
{
    CHECK_EQ(gust_conn_drain(arg, SOON), -EBADF);
    gust_conn_unref(arg);
}

static void close_under_reader(void (*reader)(void *arg))
{
    gust_conn *a, *b;
    pair_open(&a, &b);
    go(reader, gust_conn_ref(a));
    go(reader, gust_conn_ref(a)); /* this one waits for the mutex */
    AWAIT_SOON(is_reading(a));
    pair_close(a, b);
    AWAIT_SOON(gust_num_goroutines() == 1);
}

NetTest(conn_close, wakes_readers)
{
    close_under_reader(blocked_read);
    close_under_reader(blocked_fill);
}

static void close_under_writer(void (*writer)(void *arg), bool stuffed, int expected)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    if (stuffed)
        (void)stuff(c);
    go(writer, gust_conn_ref(c));
    AWAIT_SOON(is_writing(c));
    go(writer, gust_conn_ref(c));
    CHECK_EQ(gust_conn_close(c, gust_after(5 * GUST_MS)), expected);
    AWAIT_SOON(gust_num_goroutines() == 1);
    close(peer);
}

NetTest(conn_close, wakes_writers)
{
    close_under_writer(blocked_large_write, false, -ECANCELED);
    close_under_writer(blocked_large_write, true, -ETIMEDOUT);
    close_under_writer(blocked_small_write, true, -ETIMEDOUT);
    close_under_writer(blocked_drain, true, -ETIMEDOUT);
}

static void close_too(void *arg)
{
    int error = gust_conn_close(arg, SOON);
    CHECK(error == 0 || error == -EBADF);
}

NetTest(conn_close, several_closers_close_once)
{
    for (int i = 0; i < 50; i++) {
        gust_conn *a, *b;
        pair_open(&a, &b);
        CHECK_EQ(gust_conn_append(a, "x", 1, SOON), 1);
        for (int k = 0; k < 4; k++)
            go(close_too, gust_conn_ref(a));
        gust_conn_unref(a);
        gust_conn_unref(b);
    }
    AWAIT_SOON(gust_num_goroutines() == 1);
}

/* --- Everything at once -------------------------------------------------------------- */

struct chaos {
    gust_conn *conn;
    uint64_t seed;
    gust_waitgroup *done;
};

static void check_outcome(ssize_t n)
{
    CHECK(n >= 0 || n == -EBADF || n == -EPIPE || n == -ECONNRESET || n == -ETIMEDOUT ||
          n == -EAGAIN || n == -ECANCELED || n == -ENOTCONN);
}

static gust_time random_deadline(uint64_t *seed)
{
    uint64_t r = test_rand(seed);
    return r % 4 == 0 ? GUST_NOW : r % 4 == 1 ? gust_after((int64_t)(r >> 8) % GUST_MS) : SOON;
}

static void pause_at_random(uint64_t *seed)
{
    for (uint64_t n = test_rand(seed) % 20; n > 0; n--)
        gust_yield();
}

static void chaos_end(struct chaos *ch)
{
    gust_waitgroup_done(ch->done);
    free(ch);
}

static void chaos_read(void *arg)
{
    struct chaos *ch = arg;
    char buf[2000];
    ssize_t n;
    do {
        if (test_rand(&ch->seed) % 2)
            n = gust_conn_read(ch->conn, buf, sizeof buf, random_deadline(&ch->seed));
        else if ((n = gust_conn_fill(ch->conn, 20000, random_deadline(&ch->seed))) > 0)
            gust_conn_consume(ch->conn, gust_conn_view(ch->conn).len);
        check_outcome(n);
    } while (n > 0 || n == -ETIMEDOUT || n == -EAGAIN);
    gust_conn_unref(ch->conn);
    chaos_end(ch);
}

static void chaos_write(void *arg)
{
    static const char buf[100000];
    struct chaos *ch = arg;
    ssize_t n;
    do {
        size_t len = (size_t)test_rand(&ch->seed) % (test_rand(&ch->seed) % 2 ? 500 : sizeof buf);
        gust_time deadline = random_deadline(&ch->seed);
        switch (test_rand(&ch->seed) % 4) {
        case 0: n = gust_conn_append(ch->conn, buf, len, deadline); break;
        case 1: n = gust_conn_flush(ch->conn); break;
        case 2: n = gust_conn_drain(ch->conn, deadline); break;
        default: n = gust_conn_write(ch->conn, buf, len, deadline); break;
        }
        check_outcome(n);
    } while (n >= 0 || n == -EAGAIN);
    gust_conn_unref(ch->conn);
    chaos_end(ch);
}

static void chaos_close(void *arg)
{
    struct chaos *ch = arg;
    pause_at_random(&ch->seed);
    switch (test_rand(&ch->seed) % 8) {
    case 0: check_outcome(gust_conn_shutdown(ch->conn, SHUT_RD, SOON)); break;
    case 1: check_outcome(gust_conn_shutdown(ch->conn, SHUT_WR, gust_after(GUST_MS))); break;
    }
    pause_at_random(&ch->seed);
    check_outcome(gust_conn_close(ch->conn, gust_after((int64_t)test_rand(&ch->seed) % GUST_MS)));
    chaos_end(ch);
}

static void chaos_go(void (*fn)(void *arg), gust_conn *c, uint64_t *seed, gust_waitgroup *done)
{
    struct chaos *ch = malloc(sizeof *ch);
    *ch = (struct chaos){gust_conn_ref(c), test_rand(seed), done};
    gust_waitgroup_add(done, 1);
    go(fn, ch);
}

NetTest(conn_close, at_any_moment_leaks_nothing)
{
    uint64_t seed = test_seed();
    for (int round = 0; round < 150; round++) {
        gust_waitgroup done = GUST_WAITGROUP_INIT;
        gust_conn *ends[2];
        pair_open(&ends[0], &ends[1]);
        for (int i = 0; i < 2; i++) {
            chaos_go(chaos_read, ends[i], &seed, &done);
            chaos_go(chaos_write, ends[i], &seed, &done);
            chaos_go(chaos_write, ends[i], &seed, &done);
            chaos_go(chaos_close, ends[i], &seed, &done);
            gust_conn_unref(ends[i]);
        }
        CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    }
}
