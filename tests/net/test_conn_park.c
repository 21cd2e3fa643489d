/* Waiting for input without a goroutine: whatever ends the wait, one goroutine starts,
 * once, and its next read says what it was. */
#include "core/inject.h"
#include "core/netpoll_backend.h"
#include "tests/core/contexts.h"
#include "tests/core/failures.h"
#include "tests/net/net_test.h"

#include <gust/panic.h>
#include <gust/runtime.h>

/* --- A conn that is parked, and what comes of it ---------------------------------- */

struct parked {
    gust_conn *conn;
    gust_time deadline;
    ssize_t result; /* of the first fill, or the view's length */
    char bytes[64];
    _Atomic int started;
    gust_waitgroup over;
};

static void note_input(void *arg)
{
    struct parked *p = arg;
    size_t len = gust_conn_view(p->conn).len;
    CHECK_EQ(atomic_fetch_add(&p->started, 1), 0);
    p->result = len > 0 ? (ssize_t)len : gust_conn_fill(p->conn, 4096, p->deadline);
    CHECK(p->result <= (ssize_t)sizeof p->bytes);
    if (p->result > 0)
        memcpy(p->bytes, gust_conn_view(p->conn).data, (size_t)p->result);
    gust_conn_consume(p->conn, gust_conn_view(p->conn).len);
    gust_waitgroup_done(&p->over);
}

static int park(struct parked *p, gust_conn *c, gust_time deadline)
{
    *p = (struct parked){.conn = c, .deadline = deadline};
    gust_waitgroup_add(&p->over, 1);
    return gust_conn_on_input(c, note_input, p, deadline);
}

static ssize_t outcome(struct parked *p)
{
    CHECK_EQ(gust_waitgroup_wait(&p->over, SOON), 0);
    CHECK_EQ(atomic_load(&p->started), 1);
    return p->result;
}

/* --- What ends the wait ------------------------------------------------------------ */

NetTest(conn_park, starts_with_the_bytes_in_the_view)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
        AWAIT_SOON(is_reading(b));
        CHECK(holds_no_buffer(b));
        CHECK_EQ(atomic_load(&p.started), 0);
        CHECK_EQ(gust_conn_write(a, "hello", 5, SOON), 5);
        CHECK_EQ(outcome(&p), 5);
        CHECK(memcmp(p.bytes, "hello", 5) == 0);
    }
    CHECK(holds_no_buffer(b));
    pair_close(a, b);
}

NetTest(conn_park, needs_no_goroutine_meanwhile)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    AWAIT_SOON(gust_num_goroutines() == 1); /* a listener was closed */
    CHECK_EQ(park(&p, b, SOON), 0);
    CHECK_EQ(gust_num_goroutines(), 1);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

/* What a writer needs is gone meanwhile. */
static bool has_writer(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    bool has = c->wr;
    gust__lock_drop(&c->lock);
    return has;
}

NetTest(conn_park, is_small_once_its_last_write_is_out)
{
    gust_conn *a, *b;
    struct parked p;
    static char large[GUST_CONN_WBUF + 1];
    char byte;
    ssize_t n;
    pair_open(&a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_conn_write(b, "x", 1, SOON), 1);
        CHECK(has_writer(b));
        CHECK_EQ(park(&p, b, SOON), 0);
        AWAIT_SOON(!has_writer(b));
        CHECK_EQ(gust_conn_read(a, &byte, 1, SOON), 1);
        CHECK_EQ(gust_conn_write(b, "y", 1, SOON), 1); /* parked as it is */
        CHECK_EQ(gust_conn_read(a, &byte, 1, SOON), 1);
        AWAIT_SOON(!has_writer(b));
        CHECK_EQ(gust_conn_write(b, large, sizeof large, SOON), sizeof large);
        CHECK(!has_writer(b)); /* this one waited for its own end */
        for (size_t got = 0; got < sizeof large; got += (size_t)n)
            CHECK((n = gust_conn_read(a, large, sizeof large, SOON)) > 0);
        CHECK_EQ(gust_conn_write(a, "z", 1, SOON), 1);
        CHECK_EQ(outcome(&p), 1);
    }
    pair_close(a, b);
}

NetTest(conn_park, sends_first_what_has_to_wait)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    struct parked p;
    uint64_t taken = stuff(c);
    CHECK_EQ(park(&p, c, SOON), 0);
    CHECK(has_writer(c));
    raw_read_stream(peer, taken);
    AWAIT_SOON(!has_writer(c));
    raw_write(peer, "x", 1);
    CHECK_EQ(outcome(&p), 1);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    close(peer);
}

NetTest(conn_park, starts_when_the_peer_closes)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(park(&p, b, SOON), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(outcome(&p), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn_park, reports_a_reset_once)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    struct parked p;
    char byte;
    CHECK_EQ(park(&p, c, SOON), 0);
    AWAIT_SOON(is_reading(c));
    raw_reset(peer);
    CHECK_EQ(outcome(&p), -ECONNRESET);
    CHECK_EQ(gust_conn_read(c, &byte, 1, SOON), 0);
    gust_conn_close(c, GUST_NOW);
}

NetTest(conn_park, a_reset_that_is_known_starts_at_once)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    struct parked p;
    raw_reset(peer);
    CHECK_EQ(park(&p, c, SOON), 0);
    CHECK_EQ(outcome(&p), -ECONNRESET);
    gust_conn_close(c, GUST_NOW);
}

NetTest(conn_park, starts_at_the_deadline)
{
    gust_conn *a, *b;
    struct parked p;
    const gust_time deadlines[] = {gust_after(20 * GUST_MS), gust_now(), 1};
    pair_open(&a, &b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(park(&p, b, deadlines[i]), 0);
        CHECK_EQ(outcome(&p), -ETIMEDOUT);
        CHECK(gust_now() >= deadlines[i]);
        CHECK_EQ(gust_conn_input_deadline(b), deadlines[i]);
    }
    /* The conn is as it was. */
    CHECK_EQ(park(&p, b, SOON), 0);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

NetTest(conn_park, starts_when_another_closes_the_conn)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(park(&p, gust_conn_ref(b), SOON), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    CHECK_EQ(outcome(&p), -EBADF);
    CHECK_EQ(gust_conn_close(p.conn, SOON), -EBADF); /* drops the reference */
    CHECK_EQ(gust_conn_close(a, SOON), 0);
}

NetTest(conn_park, starts_at_once_with_what_the_view_holds)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "abc", 3, SOON), 3);
    CHECK_EQ(gust_conn_fill(b, 4096, SOON), 3);
    gust_conn_consume(b, 1);
    CHECK_EQ(park(&p, b, SOON), 0);
    CHECK_EQ(outcome(&p), 2);
    CHECK(memcmp(p.bytes, "bc", 2) == 0);
    pair_close(a, b);
}

/* --- Lasting deadlines --------------------------------------------------------------- */

NetTest(conn_park, starts_at_the_lasting_deadline)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_read_deadline(b, gust_after(20 * GUST_MS)), 0);
    CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
    CHECK_EQ(outcome(&p), -ETIMEDOUT);
    CHECK_EQ(gust_conn_set_read_deadline(b, GUST_FOREVER), 0);
    CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
    CHECK_EQ(gust_conn_set_read_deadline(b, 1), 0);
    CHECK_EQ(outcome(&p), -ETIMEDOUT);
    pair_close(a, b);
}

static bool waits_with_the_limit_as_it_is(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    bool up_to_date = c->rd.op && c->park.wait.note == c->moves[SIDE_READ];
    gust__lock_drop(&c->lock);
    return up_to_date && is_reading(c);
}

NetTest(conn_park, waits_on_when_a_lasting_deadline_is_moved)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gust_conn_set_read_deadline(b, gust_after((100 - i) * GUST_SEC)), 0);
        AWAIT_SOON(waits_with_the_limit_as_it_is(b));
    }
    CHECK_EQ(atomic_load(&p.started), 0);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

/* On every P, whatever time it was there when it last looked. */
NetTest(conn_park, a_lasting_deadline_that_ended_the_wait_has_passed)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_read_deadline(b, gust_after(5 * GUST_MS)), 0);
    CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
    CHECK_EQ(outcome(&p), -ETIMEDOUT);
    CHECK_EQ(b->limit[SIDE_READ], LIMIT_PASSED);
    pair_close(a, b);
}

/* Deadlines that are moved all the time, also between the end of a wait and its new
 * beginning: nobody starts before there is something to read. */
NetTest(conn_park, waits_on_however_often_a_lasting_deadline_is_moved)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    CHECK_EQ(park(&p, b, GUST_FOREVER), 0);
    for (int i = 0; i < 3000; i++)
        CHECK_EQ(gust_conn_set_read_deadline(b, gust_after((4000 - i) * GUST_SEC)), 0);
    CHECK_EQ(atomic_load(&p.started), 0);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

/* --- Contexts ------------------------------------------------------------------------ */

NetTest(conn_park, starts_when_its_context_is_cancelled)
{
    gust_conn *a, *b;
    struct parked p;
    gust_context *context = context_make(NULL);
    pair_open(&a, &b);
    gust_context_swap(gust_context_ref(context));
    CHECK_EQ(park(&p, b, SOON), 0);
    gust_context_unref(gust_context_swap(NULL));
    CHECK_EQ(waits_under(context), 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(outcome(&p), -ECANCELED);
    gust_context_unref(context);
    pair_close(a, b);
}

static const int key;

static void note_value(void *arg)
{
    struct parked *p = arg;
    const char *value = gust_context_value(gust_context_current(), &key);
    CHECK(value && strcmp(value, "kept") == 0);
    note_input(p);
}

/* The wait's reference is all that is left of the context. */
NetTest(conn_park, the_new_goroutine_has_the_context)
{
    static char value[] = "kept";
    gust_conn *a, *b;
    struct parked p = {.deadline = SOON};
    gust_context *context = context_with(NULL, &key, value);
    pair_open(&a, &b);
    p.conn = b;
    gust_waitgroup_add(&p.over, 1);
    gust_context_swap(context);
    CHECK_EQ(gust_conn_on_input(b, note_value, &p, SOON), 0);
    gust_context_unref(gust_context_swap(NULL));
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

NetTest(conn_park, nothing_starts_under_a_cancelled_context)
{
    gust_conn *a, *b;
    struct parked p;
    gust_context *context = context_make(NULL);
    pair_open(&a, &b);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(park(&p, b, SOON), -ECANCELED);
    gust_context_unref(gust_context_swap(NULL));
    CHECK_EQ(park(&p, b, SOON), 0); /* it is not taken for parked */
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

/* --- Who may use the conn ------------------------------------------------------------- */

static void read_one(void *arg)
{
    struct parked *p = arg;
    p->result = gust_conn_read(p->conn, p->bytes, 1, SOON);
    gust_waitgroup_done(&p->over);
}

NetTest(conn_park, not_while_another_goroutine_reads)
{
    gust_conn *a, *b;
    struct parked reader = {0}, p;
    pair_open(&a, &b);
    reader.conn = b;
    gust_waitgroup_add(&reader.over, 1);
    go(read_one, &reader);
    AWAIT_SOON(is_reading(b));
    CHECK_EQ(park(&p, b, SOON), -EBUSY);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(gust_waitgroup_wait(&reader.over, SOON), 0);
    CHECK_EQ(reader.result, 1);
    pair_close(a, b);
}

NetTest(conn_park, not_after_close)
{
    gust_conn *a, *b;
    struct parked p;
    pair_open(&a, &b);
    gust_conn_ref(b);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    CHECK_EQ(park(&p, b, SOON), -EBADF);
    gust_conn_unref(b);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
}

NetTest(conn_park, sends_what_was_appended_and_lets_others_write)
{
    gust_conn *a, *b;
    struct parked p;
    char buf[8];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(b, "123", 3, SOON), 3);
    CHECK_EQ(park(&p, b, SOON), 0);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 3);
    CHECK_EQ(gust_conn_write(b, "45", 2, SOON), 2);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 2);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&p), 1);
    pair_close(a, b);
}

static int no_buffers_main(void *arg)
{
    gust_conn *a[4], *b[4];
    struct parked p[4];
    (void)arg;
    for (int i = 0; i < 4; i++) {
        pair_open(&a[i], &b[i]);
        CHECK_EQ(park(&p[i], b[i], SOON), 0);
    }
    for (int i = 0; i < 4; i++)
        CHECK_EQ(gust_conn_write(a[i], "x", 1, SOON), 1);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(outcome(&p[i]), 1);
    for (int i = 0; i < 4; i++)
        pair_close(a[i], b[i]);
    return 0;
}

Test(conn_park, starts_when_the_poller_has_no_buffer_left)
{
    gust__netpoll_limits_now.buf_count = 2;
    test_run(no_buffers_main, NULL);
}

#ifdef GUST_DEBUG

static int no_memory_main(void *arg)
{
    gust_chan *chan = chan_make(0, 0);
    gust_conn *a, *b;
    struct parked p;
    (void)arg;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_drain(a, SOON), 0); /* its block is spare, for the next write */
    CHECK_EQ(gust_conn_read(b, &(char){0}, 1, SOON), 1);
    CHECK_EQ(park(&p, b, SOON), 0);
    use_up_goroutines(chan);
    CHECK_EQ(gust_conn_write(a, "y", 1, SOON), 1);
    AWAIT_SOON(atomic_load(&b->park.wait.op.state) == GUST__OP_DONE);
    for (int i = 0; i < 100; i++)
        gust_yield();
    CHECK_EQ(atomic_load(&p.started), 0);
    CHECK(gust__inject_disarm() > 0);
    CHECK_EQ(outcome(&p), 1);
    gust_chan_close(chan);
    AWAIT_SOON(gust_num_goroutines() == 1);
    gust_chan_unref(chan);
    pair_close(a, b);
    return 0;
}

Test(conn_park, starts_when_there_is_memory_for_a_goroutine_again)
{
    setenv("GUST_MAXPROCS", "1", 1); /* each P has records of its own */
    test_run(no_memory_main, NULL);
}

#endif

/* --- The caller ------------------------------------------------------------------------ */

static void set_flag(void *flag)
{
    atomic_store((_Atomic int *)flag, 1);
}

struct sleeper {
    struct parked p;
    _Atomic int deferred, returned;
};

static void park_for_good(void *arg)
{
    struct sleeper *s = arg;
    CHECK_EQ(gust_defer(set_flag, &s->deferred), 0);
    gust_conn_park(s->p.conn, note_input, &s->p, SOON);
    atomic_store(&s->returned, 1);
}

NetTest(conn_park, ends_the_goroutine_that_calls)
{
    gust_conn *a, *b;
    struct sleeper s = {.p.deadline = SOON};
    pair_open(&a, &b);
    AWAIT_SOON(gust_num_goroutines() == 1);
    s.p.conn = b;
    gust_waitgroup_add(&s.p.over, 1);
    go(park_for_good, &s);
    AWAIT_SOON(atomic_load(&s.deferred) && gust_num_goroutines() == 1);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(outcome(&s.p), 1);
    CHECK(!atomic_load(&s.returned));
    pair_close(a, b);
}

static void park_closed(void *arg)
{
    struct sleeper *s = arg;
    s->p.result = gust_conn_park(s->p.conn, note_input, &s->p, SOON);
    set_flag(&s->returned);
    gust_waitgroup_done(&s->p.over);
}

NetTest(conn_park, returns_to_the_caller_with_an_error)
{
    gust_conn *a, *b;
    struct sleeper s = {0};
    pair_open(&a, &b);
    s.p.conn = gust_conn_ref(b);
    gust_waitgroup_add(&s.p.over, 1);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    go(park_closed, &s);
    CHECK_EQ(gust_waitgroup_wait(&s.p.over, SOON), 0);
    CHECK_EQ(s.p.result, -EBADF);
    CHECK(atomic_load(&s.returned) && !atomic_load(&s.p.started));
    gust_conn_unref(s.p.conn);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
}

/* --- All at once -------------------------------------------------------------------------
 *
 * Conns that echo a byte each time they wake, while their waits are ended by bytes,
 * short deadlines and, at last, closes. */

enum { CONNS = 12, ROUNDS = 60 };

struct echo {
    gust_conn *conn;
    uint64_t seed;
    int echoed;
    gust_waitgroup *over;
};

static void echo_byte(void *arg);

static void echo_again(struct echo *e)
{
    uint64_t r = e->seed = e->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    gust_time deadline = r >> 62 ? SOON : gust_after((int64_t)(r >> 40) % GUST_MS);
    int error = gust_conn_on_input(e->conn, echo_byte, e, deadline);
    if (error) {
        CHECK(error == -EBADF || error == -EPIPE || error == -ECONNRESET);
        gust_conn_unref(e->conn);
        gust_waitgroup_done(e->over);
    }
}

static void echo_byte(void *arg)
{
    struct echo *e = arg;
    char byte;
    ssize_t n = gust_conn_read(e->conn, &byte, 1, GUST_NOW);
    if (n == 1) {
        CHECK_EQ(byte, stream_byte((uint64_t)e->echoed++));
        gust_conn_write(e->conn, &byte, 1, SOON);
    } else if (n != -EAGAIN) {
        CHECK(n == -EBADF || n == -ECONNRESET || n == 0);
    }
    echo_again(e);
}

NetTest(conn_park, survives_bytes_deadlines_and_closes_at_once)
{
    gust_conn *clients[CONNS];
    struct echo echoes[CONNS];
    gust_waitgroup over = GUST_WAITGROUP_INIT;
    uint64_t seed = test_seed();
    gust_waitgroup_add(&over, CONNS);
    for (int i = 0; i < CONNS; i++) {
        gust_conn *c;
        pair_open(&clients[i], &c);
        echoes[i] = (struct echo){.conn = c, .seed = seed + (uint64_t)i, .over = &over};
        gust_conn_ref(c);
        echo_again(&echoes[i]);
    }
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < CONNS; i++) {
            char byte = stream_byte((uint64_t)round);
            CHECK_EQ(gust_conn_write(clients[i], &byte, 1, SOON), 1);
            if ((seed >> (round % 64) ^ (uint64_t)i) & 1)
                continue; /* two bytes on their way at once */
            gust_yield();
        }
    for (int i = 0; i < CONNS; i++) {
        char bytes[ROUNDS];
        for (size_t have = 0; have < ROUNDS;) {
            ssize_t n = gust_conn_read(clients[i], bytes + have, ROUNDS - have, SOON);
            CHECK(n > 0);
            have += (size_t)n;
        }
        stream_check(bytes, ROUNDS, 0);
        gust_conn_close(echoes[i].conn, GUST_NOW);
    }
    CHECK_EQ(gust_waitgroup_wait(&over, SOON), 0);
    for (int i = 0; i < CONNS; i++) {
        CHECK_EQ(echoes[i].echoed, ROUNDS);
        CHECK_EQ(gust_conn_close(clients[i], SOON), 0);
    }
}
