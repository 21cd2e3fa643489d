/* Deadlines that last: which calls they end, and that moving them loses nothing. */
#include "core/proc.h"
#include "tests/core/contexts.h"
#include "tests/net/net_test.h"

/* --- Passed ------------------------------------------------------------------- */

NetTest(conn_deadline, passed_one_fails_reads_without_a_try)
{
    gust_conn *a, *b;
    char buf[8];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "abcd", 4, SOON), 4);
    CHECK_EQ(gust_conn_fill(b, 4096, SOON), 4);
    CHECK_EQ(gust_conn_write(a, "efgh", 4, SOON), 4);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_NOW), 0);
    CHECK_EQ(gust_conn_fill(b, 4096, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 4); /* the view's */
    for (int i = 0; i < 3; i++) {
        gust_time deadline = (gust_time[]){GUST_FOREVER, SOON, GUST_NOW}[i];
        CHECK_EQ(gust_conn_read(b, buf, sizeof buf, deadline), -ETIMEDOUT);
        CHECK_EQ(gust_conn_fill(b, 4096, deadline), -ETIMEDOUT);
    }
    /* The other direction is not concerned. */
    CHECK_EQ(gust_conn_write(b, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 1);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_FOREVER), 0);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 4);
    CHECK(memcmp(buf, "efgh", 4) == 0);
    pair_close(a, b);
}

NetTest(conn_deadline, passed_one_has_passed_where_nobody_has_looked_at_the_clock)
{
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_NOW), 0);
    {
        GUST__CALL();
        gust_time *now = &gust__m()->p->now;
        const gust_time before = *now;
        *now = 0;
        CHECK(gust__conn_limit_passed_locked(b, SIDE_READ));
        *now = before;
    }
    pair_close(a, b);
}

NetTest(conn_deadline, passed_one_fails_writes_and_takes_nothing)
{
    gust_conn *a, *b;
    static char large[4 * GUST_CONN_WBUF];
    char buf[8];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(a, "1", 1, SOON), 1);
    CHECK_EQ(gust_conn_set_write_deadline(a, gust_now() - 1), 0);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_append(a, "x", 1, GUST_NOW), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(a, large, sizeof large, GUST_FOREVER), -ETIMEDOUT);
    CHECK_EQ(gust_conn_drain(a, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_set_write_deadline(a, SOON), 0);
    CHECK_EQ(gust_conn_write(a, "2", 1, SOON), 1);
    CHECK_EQ(gust_conn_drain(a, SOON), 0);
    AWAIT_SOON(gust_conn_view(b).len == 2 || gust_conn_fill(b, 64, SOON) < 0);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 2);
    CHECK(memcmp(buf, "12", 2) == 0);
    /* A close drains by its own deadline. */
    CHECK_EQ(gust_conn_append(a, "3", 1, SOON), 1);
    CHECK_EQ(gust_conn_set_deadline(a, GUST_NOW), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 1);
    CHECK_EQ(buf[0], '3');
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn_deadline, a_closed_conn_has_none)
{
    gust_conn *a, *b;
    pair_open(&a, &b);
    gust_conn_ref(a);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_set_deadline(a, SOON), -EBADF);
    CHECK_EQ(gust_conn_set_read_deadline(a, GUST_FOREVER), -EBADF);
    CHECK_EQ(gust_conn_set_write_deadline(a, GUST_NOW), -EBADF);
    gust_conn_unref(a);
    gust_conn_close(b, SOON);
}

/* --- Moved while a call waits --------------------------------------------------- */

enum what { READ, FILL_SMALL, FILL, WRITE, DRAIN };

struct blocked {
    gust_conn *conn;
    enum what what;
    gust_time deadline;
    char *buf;
    size_t len;
    ssize_t result;
    gust_waitgroup done;
};

static void block(void *arg)
{
    struct blocked *b = arg;
    switch (b->what) {
    case READ: b->result = gust_conn_read(b->conn, b->buf, b->len, b->deadline); break;
    case FILL_SMALL: b->result = gust_conn_fill(b->conn, 64, b->deadline); break;
    case FILL: b->result = gust_conn_fill(b->conn, 65536, b->deadline); break;
    case WRITE: b->result = gust_conn_write(b->conn, b->buf, b->len, b->deadline); break;
    case DRAIN: b->result = gust_conn_drain(b->conn, b->deadline); break;
    }
    gust_waitgroup_done(&b->done);
}

/* Returns once it waits. */
static void block_start(struct blocked *b)
{
    gust_waitgroup_add(&b->done, 1);
    go(block, b);
    if (b->what == WRITE || b->what == DRAIN)
        AWAIT_SOON(is_writing(b->conn));
    else
        AWAIT_SOON(is_reading(b->conn));
}

static ssize_t block_end(struct blocked *b)
{
    CHECK_EQ(gust_waitgroup_wait(&b->done, SOON), 0);
    return b->result;
}

NetTest(conn_deadline, one_that_is_set_to_now_wakes_a_blocked_reader)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    for (int i = 0; i < 12; i++) {
        struct blocked by = {
            .conn = b, .what = (enum what)(i % 3), .deadline = i % 2 ? SOON : GUST_FOREVER};
        by.buf = buf;
        by.len = sizeof buf;
        block_start(&by);
        CHECK_EQ((i & 4 ? gust_conn_set_deadline : gust_conn_set_read_deadline)(b, GUST_NOW), 0);
        CHECK_EQ(block_end(&by), -ETIMEDOUT);
        CHECK_EQ(gust_conn_set_deadline(b, GUST_FOREVER), 0);
        stream_fill(buf, 5, (uint64_t)i);
        CHECK_EQ(gust_conn_write(a, buf, 5, SOON), 5);
        CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
        stream_check(buf, 5, (uint64_t)i);
    }
    pair_close(a, b);
}

/* Earlier than the call's, but in the future: the wait begins anew. */
NetTest(conn_deadline, a_reader_goes_on_under_a_moved_deadline)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    for (int i = 0; i < 9; i++) {
        struct blocked by = {.conn = b, .what = (enum what)(i % 3), .deadline = GUST_FOREVER};
        by.buf = buf;
        by.len = sizeof buf;
        block_start(&by);
        for (int k = 9; k > 0; k--) {
            CHECK_EQ(gust_conn_set_read_deadline(b, gust_after((10 + k) * GUST_SEC)), 0);
            gust_yield();
        }
        CHECK_EQ(gust_conn_write(a, "abc", 3, SOON), 3);
        CHECK_EQ(block_end(&by), 3);
        gust_conn_consume(b, gust_conn_view(b).len);
        CHECK_EQ(gust_conn_set_read_deadline(b, GUST_FOREVER), 0);
    }
    pair_close(a, b);
}

NetTest(conn_deadline, the_earlier_of_both_ends_a_read)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_read_deadline(b, gust_after(5 * GUST_MS)), 0);
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_FOREVER), -ETIMEDOUT);
    /* It has passed for good. */
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_FOREVER), -ETIMEDOUT);
    CHECK_EQ(gust_conn_set_read_deadline(b, SOON), 0);
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_FOREVER), 1);
    CHECK_EQ(gust_conn_read(b, &byte, 1, gust_after(5 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_write(a, "y", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    pair_close(a, b);
}

/* The wait ends at the old time and begins again. */
NetTest(conn_deadline, one_that_is_pushed_on_keeps_a_reader_waiting)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    for (int i = 0; i < 6; i++) {
        struct blocked by = {.conn = b, .what = (enum what)(i % 3), .deadline = GUST_FOREVER};
        gust_time old = gust_after(50 * GUST_MS);
        by.buf = buf;
        by.len = sizeof buf;
        gust_waitgroup_add(&by.done, 1);
        CHECK_EQ(gust_conn_set_read_deadline(b, old), 0);
        go(block, &by);
        CHECK_EQ(gust_conn_set_read_deadline(b, i & 1 ? SOON : GUST_FOREVER), 0);
        bool in_time = gust_now() < old; /* else this machine was asleep, and it may have passed */
        AWAIT_SOON(gust_now() > old + 5 * GUST_MS);
        CHECK_EQ(gust_conn_write(a, "abc", 3, SOON), 3);
        ssize_t n = block_end(&by);
        CHECK(n == 3 || (!in_time && n == -ETIMEDOUT));
        if (n != 3)
            CHECK_EQ(gust_conn_fill(b, 4096, SOON), 3);
        gust_conn_consume(b, gust_conn_view(b).len);
    }
    pair_close(a, b);
}

NetTest(conn_deadline, a_cancelled_context_is_told_apart)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    gust_context *context = context_make(NULL);
    struct blocked by = {.conn = b, .what = READ, .deadline = GUST_FOREVER, .buf = buf, .len = 1};
    gust_waitgroup_add(&by.done, 1);
    go_under(context, block, &by);
    AWAIT_SOON(is_reading(b));
    CHECK_EQ(gust_conn_set_read_deadline(b, SOON), 0);
    gust_context_cancel(context, 0);
    CHECK_EQ(block_end(&by), -ECANCELED);
    gust_context_unref(context);
    pair_close(a, b);
}

/* --- Writing --------------------------------------------------------------------- */

/* Its blocks, the kernel's buffer and the peer's window are full. */
static gust_conn *stuffed_open(int *ret_peer)
{
    gust_conn *c = raw_pair_open(ret_peer);
    stuff(c);
    return c;
}

NetTest(conn_deadline, one_that_is_set_to_now_wakes_a_blocked_writer)
{
    int peer;
    static char large[256 << 10];
    for (int i = 0; i < 6; i++) {
        gust_conn *c = i % 3 == 2 ? raw_pair_open(&peer) : stuffed_open(&peer);
        struct blocked by = {.conn = c, .what = i % 3 == 1 ? DRAIN : WRITE, .buf = large};
        by.len = i % 3 == 2 ? sizeof large : 100;
        by.deadline = i % 2 ? SOON : GUST_FOREVER;
        block_start(&by);
        CHECK_EQ((i & 2 ? gust_conn_set_deadline : gust_conn_set_write_deadline)(c, GUST_NOW), 0);
        ssize_t n = block_end(&by);
        CHECK_EQ(n, -ETIMEDOUT);
        gust_conn_unref(c);
        close(peer);
    }
}

NetTest(conn_deadline, a_writer_goes_on_under_a_moved_deadline)
{
    int peer;
    static char large[256 << 10], got[sizeof large];
    gust_conn *c = raw_pair_open(&peer);
    stream_fill(large, sizeof large, 0);
    struct blocked by = {.conn = c, .what = WRITE, .deadline = GUST_FOREVER, .buf = large};
    by.len = sizeof large;
    block_start(&by);
    for (int k = 20; k > 0; k--) {
        CHECK_EQ(gust_conn_set_write_deadline(c, gust_after((20 + k) * GUST_SEC)), 0);
        gust_yield();
    }
    for (size_t have = 0; have < sizeof got;) {
        ssize_t n = raw_read_some(peer, got + have, sizeof got - have);
        CHECK(n >= 0);
        have += (size_t)n;
        gust_yield();
    }
    CHECK_EQ(block_end(&by), sizeof large);
    stream_check(got, sizeof got, 0);
    gust_conn_close(c, SOON);
    close(peer);
}

NetTest(conn_deadline, the_lasting_one_ends_a_drain)
{
    int peer;
    gust_conn *c = stuffed_open(&peer);
    CHECK_EQ(gust_conn_set_write_deadline(c, gust_after(5 * GUST_MS)), 0);
    CHECK_EQ(gust_conn_drain(c, GUST_FOREVER), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(c, "x", 1, GUST_FOREVER), -ETIMEDOUT);
    gust_conn_unref(c);
    close(peer);
}

/* --- What it costs ---------------------------------------------------------------- */

static gust_time armed_at(gust_conn *c, uint32_t *ret_calls)
{
    GUST__CALL();
    gust__lock_take(&c->rd_deadline.lock, RANK_DEADLINE);
    gust_time armed = c->rd_deadline.armed;
    *ret_calls = c->rd_deadline.calls;
    gust__lock_drop(&c->rd_deadline.lock);
    return armed;
}

NetTest(conn_deadline, pushing_it_on_leaves_the_timer_where_it_is)
{
    gust_conn *a, *b;
    char buf[16];
    gust_time first = 0;
    uint32_t calls;
    pair_open(&a, &b);
    for (int i = 0; i < 20; i++) {
        struct blocked by = {.conn = b, .what = READ, .deadline = GUST_FOREVER, .buf = buf};
        by.len = sizeof buf;
        CHECK_EQ(gust_conn_set_read_deadline(b, SOON), 0);
        block_start(&by);
        gust_time armed = armed_at(b, &calls);
        first = first ? first : armed;
        CHECK_EQ(armed, first);
        CHECK_EQ(calls, 1);
        CHECK_EQ(gust_conn_write(a, "abc", 3, SOON), 3);
        CHECK_EQ(block_end(&by), 3);
    }
    pair_close(a, b);
}

/* --- Many moves while bytes flow ---------------------------------------------------- */

enum { FLOW = 1 << 20, MOVERS = 2 };

struct flow {
    gust_conn *conn;
    uint64_t seed;
    _Atomic bool over;
    gust_waitgroup done;
};

static void move_about(void *arg)
{
    struct flow *f = arg;
    uint64_t state = f->seed;
    while (!atomic_load(&f->over)) {
        uint64_t dice = test_rand(&state) % 4;
        gust_time when = dice == 0 ? GUST_NOW : gust_after((int64_t)(dice * GUST_MS / 2));
        gust_conn_set_read_deadline(f->conn, dice == 3 ? GUST_FOREVER : when);
        /* So that the reader gets somewhere in between. */
        gust_sleep((int64_t)(test_rand(&state) % 200) * GUST_US);
    }
    gust_conn_set_read_deadline(f->conn, GUST_FOREVER);
    gust_waitgroup_done(&f->done);
}

static void send_flow(void *arg)
{
    struct flow *f = arg;
    char buf[1000];
    for (uint64_t at = 0; at < FLOW; at += sizeof buf) {
        stream_fill(buf, sizeof buf, at);
        CHECK_EQ(gust_conn_write(f->conn, buf, sizeof buf, SOON), sizeof buf);
    }
    CHECK_EQ(gust_conn_close(f->conn, SOON), 0);
    gust_waitgroup_done(&f->done);
}

/* Each call is tried again until it has an answer. */
static ssize_t some_of_flow(gust_conn *c, uint64_t *state)
{
    ssize_t n;
    while ((n = gust_conn_fill(c, 1 + test_rand(state) % 20000, SOON)) == -ETIMEDOUT)
        gust_sleep(20 * GUST_US);
    return n;
}

NetTest(conn_deadline, no_byte_is_lost_while_it_moves_about)
{
    struct flow out = {.done = GUST_WAITGROUP_INIT}, in[MOVERS];
    gust_conn *b;
    uint64_t at = 0, seed = test_seed(), state = seed;
    ssize_t n;
    pair_open(&out.conn, &b);
    gust_waitgroup_add(&out.done, 1);
    for (int i = 0; i < MOVERS; i++) {
        in[i] = (struct flow){.conn = b, .seed = seed + 1 + (uint64_t)i};
        gust_waitgroup_add(&in[i].done, 1);
        go(move_about, &in[i]);
    }
    go(send_flow, &out);
    while ((n = some_of_flow(b, &state)) > 0) {
        gust_span view = gust_conn_view(b);
        stream_check(view.data, view.len, at);
        at += view.len;
        gust_conn_consume(b, view.len);
    }
    CHECK_EQ(n, 0);
    CHECK(at >= FLOW);
    for (int i = 0; i < MOVERS; i++) {
        atomic_store(&in[i].over, true);
        CHECK_EQ(gust_waitgroup_wait(&in[i].done, SOON), 0);
    }
    CHECK_EQ(gust_waitgroup_wait(&out.done, SOON), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

/* What a wait without a goroutine does when the poller has no buffer: the deadline that
 * keeps it from receiving is no error of the socket's. */
NetTest(conn_deadline, a_passed_one_is_not_kept_as_an_error)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_NOW), 0);
    {
        GUST__CALL();
        gust__conn_fill_now(b);
    }
    CHECK_EQ(gust_conn_view(b).len, 0);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_FOREVER), 0);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    pair_close(a, b);
}
