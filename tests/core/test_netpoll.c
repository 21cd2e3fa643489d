/* Operations through gust__op_wait and gust__op_start: every transition of the
 * state table in core/netpoll.h, and what each operation answers. */
#include <poll.h>

#include "core/sched.h"
#include "tests/core/sockets.h"

/* --- Receiving --------------------------------------------------------------- */

static int recv_ready_main(void *arg)
{
    pair p;
    char buf[8];
    (void)arg;
    pair_open(&p);
    CHECK_EQ(send(p.b.fd, "abc", 3, 0), 3);
    CHECK_EQ(do_recv(&p.a, buf, sizeof buf, SOON), 3);
    CHECK(memcmp(buf, "abc", 3) == 0);
    pair_close(&p);
    return 0;
}

Test(netpoll, recv_returns_what_is_there)
{
    test_run(recv_ready_main, NULL);
}

static int recv_waits_main(void *arg)
{
    pair p;
    char byte = 0;
    (void)arg;
    for (int i = 0; i < 100; i++) {
        waiting w = {.result = -1};
        pair_open(&p);
        waiting_start(&w, op_recv(&p.a, &byte, 1), i % 2 ? GUST_FOREVER : SOON);
        put_byte(&p.b, (char)i);
        CHECK_EQ(waiting_end(&w), 1);
        CHECK_EQ(byte, (char)i);
        pair_close(&p);
    }
    return 0;
}

Test(netpoll, recv_waits_for_bytes)
{
    test_run(recv_waits_main, NULL);
}

static int end_of_stream_main(void *arg)
{
    pair p;
    char byte;
    waiting w = {.result = -1};
    (void)arg;
    tcp_pair_open(&p);
    waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
    shutdown(p.b.fd, SHUT_WR);
    CHECK_EQ(waiting_end(&w), 0);
    CHECK_EQ(do_recv(&p.a, &byte, 1, SOON), 0);
    /* The other direction still works. */
    CHECK_EQ(do_send(&p.a, "x", 1, SOON), 1);
    expect_byte(&p.b, 'x');
    pair_close(&p);
    return 0;
}

Test(netpoll, recv_returns_zero_at_the_end_of_the_stream)
{
    test_run(end_of_stream_main, NULL);
}

/* Into a picked buffer and into one's own by turns. */
static int drained_recv(gust__fd *f, bool pick)
{
    char buf[16];
    gust__op op = pick ? op_recv_picked(f) : op_recv(f, buf, sizeof buf);
    op.flags |= GUST__OP_DRAINED;
    int n = gust__op_wait(&op, NULL, SOON);
    if (op.picked)
        gust__buf_put(op.picked);
    return n;
}

struct late {
    gust__fd *f;
    gust_waitgroup done;
};

static void send_late(void *arg)
{
    struct late *l = arg;
    gust_yield();
    put_byte(l->f, 'y');
    gust_waitgroup_done(&l->done);
}

/* After a short read: more bytes, then bytes and the end at once, then the end. */
static int drained_main(void *arg)
{
    char buf[16];
    (void)arg;
    for (int i = 0; i < 100; i++) {
        pair p;
        tcp_pair_open(&p);
        put_byte(&p.b, 'x');
        CHECK_EQ(do_recv(&p.a, buf, sizeof buf, SOON), 1);
        struct late late = {.f = &p.b};
        gust_waitgroup_add(&late.done, 1);
        go(send_late, &late);
        CHECK_EQ(drained_recv(&p.a, i % 2), 1);
        put_byte(&p.b, 'z');
        shutdown(p.b.fd, SHUT_WR);
        CHECK_EQ(drained_recv(&p.a, i % 2), 1);
        CHECK_EQ(drained_recv(&p.a, i % 2), 0);
        CHECK_EQ(drained_recv(&p.a, i % 2), 0);
        CHECK_EQ(gust_waitgroup_wait(&late.done, SOON), 0);
        pair_close(&p);
    }
    return 0;
}

Test(netpoll, recv_from_a_drained_stream_misses_nothing)
{
    test_run(drained_main, NULL);
}

/* --- Picked buffers ---------------------------------------------------------- */

static int picked_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    /* More often than there are buffers. */
    for (int i = 0; i < 2 * GUST__BUF_COUNT; i++) {
        gust__op op = op_recv_picked(&p.a);
        put_byte(&p.b, (char)i);
        CHECK_EQ(gust__op_wait(&op, NULL, i % 3 ? SOON : GUST_NOW), 1);
        CHECK_EQ(op.picked->data[0], (char)i);
        gust__buf_put(op.picked);
    }
    shutdown(p.b.fd, SHUT_WR);
    for (int i = 0; i < 2 * GUST__BUF_COUNT; i++) {
        gust__op op = op_recv_picked(&p.a);
        CHECK_EQ(gust__op_wait(&op, NULL, SOON), 0);
        CHECK(!op.picked);
    }
    pair_close(&p);
    return 0;
}

Test(netpoll, recv_picks_a_buffer_that_can_be_put_back)
{
    test_run(picked_main, NULL);
}

/* Fills `ops` until no buffer is left; returns how many receives got one. */
static int hold_all_buffers(pair *p, gust__op *ops, int max)
{
    for (int i = 0; i < max; i++) {
        ops[i] = op_recv_picked(&p->a);
        put_byte(&p->b, 'x');
        int n = gust__op_wait(&ops[i], NULL, SOON);
        if (n == -ENOBUFS)
            return i;
        CHECK_EQ(n, 1);
    }
    return max;
}

static int no_buffers_main(void *arg)
{
    pair p;
    const int max = 2 * gust_maxprocs() + 1;
    gust__op *ops = calloc((size_t)max, sizeof *ops);
    (void)arg;
    pair_open(&p);
    int held = hold_all_buffers(&p, ops, max);
    CHECK(held >= 2 && held < max);
    /* The byte is still there, for a buffer of our own or once there are others. */
    for (int i = 0; i < held; i++)
        gust__buf_put(ops[i].picked);
    gust__op op = op_recv_picked(&p.a);
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 1);
    gust__buf_put(op.picked);
    free(ops);
    pair_close(&p);
    return 0;
}

Test(netpoll, no_buffer_left_is_enobufs_and_loses_nothing)
{
    gust__netpoll_limits_now.buf_count = 2;
    test_run(no_buffers_main, NULL);
}

/* --- Cancelling -------------------------------------------------------------- */

static int cancel_before_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    pair_open(&p);
    put_byte(&p.b, 'x');
    const gust_time deadlines[] = {GUST_FOREVER, SOON, GUST_NOW};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        gust__op op = op_recv(&p.a, &byte, 1);
        gust__op_cancel(&op);
        CHECK_EQ(gust__op_state_now(&op), GUST__OP_CANCELED);
        CHECK_EQ(gust__op_wait(&op, NULL, deadlines[i]), -ECANCELED);
    }
    expect_byte(&p.a, 'x');
    pair_close(&p);
    return 0;
}

Test(netpoll, an_op_cancelled_before_its_start_does_nothing)
{
    test_run(cancel_before_main, NULL);
}

static int cancel_in_flight_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 200; i++) {
        waiting w = {.result = 1};
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        gust__op_cancel(&w.op);
        gust__op_cancel(&w.op); /* once more does no harm */
        CHECK_EQ(waiting_end(&w), -ECANCELED);
        CHECK_EQ(gust__op_state_now(&w.op), GUST__OP_DONE);
        gust__op_cancel(&w.op); /* nor when it is over */
    }
    put_byte(&p.b, 'x');
    expect_byte(&p.a, 'x');
    pair_close(&p);
    return 0;
}

Test(netpoll, an_op_cancelled_in_flight_leaves_the_descriptor_usable)
{
    test_run(cancel_in_flight_main, NULL);
}

/* The byte and the cancellation race; whoever wins, the byte comes once. */
static int cancel_race_main(void *arg)
{
    pair p;
    int received = 0;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 500; i++) {
        char byte = 0;
        waiting w = {.result = -1};
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        put_byte(&p.b, (char)i);
        gust__op_cancel(&w.op);
        int n = waiting_end(&w);
        CHECK(n == 1 || n == -ECANCELED);
        received += n == 1;
        if (n == 1)
            CHECK_EQ(byte, (char)i);
        else
            expect_byte(&p.a, (char)i);
    }
    fprintf(stderr, "%d of 500 operations beat their cancellation\n", received);
    pair_close(&p);
    return 0;
}

Test(netpoll, a_cancellation_that_comes_too_late_drops_no_bytes)
{
    test_run(cancel_race_main, NULL);
}

/* --- Trying ------------------------------------------------------------------ */

static int try_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 2; i++) {
        /* "Never" and "until a moment ago". */
        gust_time deadline = i == 0 ? GUST_NOW : gust_now();
        int expected = i == 0 ? -EAGAIN : -ETIMEDOUT;
        gust__op picked = op_recv_picked(&p.a), polled = op_poll(&p.a, POLLIN);
        CHECK_EQ(do_recv(&p.a, &byte, 1, deadline), expected);
        CHECK_EQ(gust__op_wait(&picked, NULL, deadline), expected);
        CHECK_EQ(gust__op_wait(&polled, NULL, deadline), expected);
    }
    put_byte(&p.b, 'x');
    CHECK_EQ(do_recv(&p.a, &byte, 1, GUST_NOW), 1);
    gust__op polled = op_poll(&p.a, POLLOUT);
    CHECK_EQ(gust__op_wait(&polled, NULL, GUST_NOW), POLLOUT);
    pair_close(&p);
    return 0;
}

Test(netpoll, a_deadline_in_the_past_tries_and_does_not_wait)
{
    test_run(try_main, NULL);
}

/* --- Poll -------------------------------------------------------------------- */

static int poll_main(void *arg)
{
    pair p;
    char byte;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        waiting w = {.result = -1};
        pair_open(&p);
        waiting_start(&w, op_poll(&p.a, POLLIN), SOON);
        put_byte(&p.b, 'x');
        CHECK_EQ(waiting_end(&w), POLLIN);
        gust__op both = op_poll(&p.a, POLLIN | POLLOUT);
        CHECK_EQ(gust__op_wait(&both, NULL, SOON), POLLIN | POLLOUT);
        expect_byte(&p.a, 'x');
        waiting_start(&w, op_poll(&p.a, POLLIN), SOON);
        gust__op_cancel(&w.op);
        CHECK_EQ(waiting_end(&w), -ECANCELED);
        waiting_start(&w, op_poll(&p.a, POLLIN), SOON);
        gust__fd_close(&p.b);
        CHECK(waiting_end(&w) & (POLLIN | POLLHUP));
        CHECK_EQ(do_recv(&p.a, &byte, 1, SOON), 0);
        gust__fd_close(&p.a);
    }
    return 0;
}

Test(netpoll, poll_waits_for_readiness)
{
    test_run(poll_main, NULL);
}

/* --- Completion by callback -------------------------------------------------- */

struct notified {
    gust__op op;
    _Atomic(M *) starter; /* whose thread is in the start; others may reap meanwhile */
    _Atomic bool called;
};

static void note_done(gust__op *op)
{
    struct notified *n = (struct notified *)op;
    CHECK(!gust__g());
    CHECK(n->starter != gust__m());
    n->called = true;
}

static int callback_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 100; i++) {
        struct notified n = {.op = op_send(&p.a, "x", 1)};
        n.op.done = note_done;
        if (i % 2)
            gust__op_cancel(&n.op);
        n.starter = gust__m();
        gust__op_start(&n.op);
        n.starter = NULL;
        AWAIT(n.called);
        CHECK_EQ(n.op.res, i % 2 ? -ECANCELED : 1);
        if (i % 2 == 0)
            expect_byte(&p.b, 'x');
    }
    pair_close(&p);
    return 0;
}

Test(netpoll, done_is_called_on_g0_and_never_from_start)
{
    test_run(callback_main, NULL);
}
