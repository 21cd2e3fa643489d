/* Operations in simulation: every transition of core/netpoll.h's table, with each
 * order of a completion, a cancellation and a deadline; and streams under a few
 * hundred seeds. */
#include "tests/core/sim.h"

#include "tests/core/child.h"
#include "tests/core/sockets.h"

static const sim_options exact = {.seed = 1};

#define DELAY (10 * GUST_US)

/* --- One operation ----------------------------------------------------------- */

/* A receive with a callback, on a pair. */
typedef struct probe {
    pair p;
    gust__op op;
    char got[8];
    int done; /* how often the callback was called */
    gust_chan *told;
} probe;

/* On g0. */
static void probe_done(gust__op *op)
{
    probe *b = (probe *)((char *)op - offsetof(probe, op));
    b->done++;
    CHECK_EQ(gust__op_state_now(op), GUST__OP_DONE);
    CHECK_EQ(gust_chan_send(b->told, NULL, GUST_NOW), 0);
}

static void probe_open(probe *b)
{
    memset(b, 0, sizeof *b);
    pair_open(&b->p);
    b->told = chan_make(0, 1);
    b->op = op_recv(&b->p.a, b->got, sizeof b->got);
    b->op.done = probe_done;
}

/* Waits for the callback; returns the result. */
static int probe_end(probe *b)
{
    CHECK_EQ(b->done, 0); /* not from inside start or cancel */
    CHECK_EQ(gust_chan_recv(b->told, NULL, SOON), 1);
    gust_sleep(GUST_SEC);
    CHECK_EQ(b->done, 1);
    return b->op.res;
}

static void probe_close(probe *b)
{
    pair_close(&b->p);
    gust_chan_unref(b->told);
}

/* What is still in the socket. */
static ssize_t left(probe *b)
{
    char rest[64];
    ssize_t n = recv(b->p.a.fd, rest, sizeof rest, MSG_DONTWAIT);
    return n < 0 ? 0 : n;
}

#define IS(state) CHECK_EQ(gust__op_state_now(&b.op), GUST__OP_##state)

/* A test whose body is the main goroutine of an exact simulation. */
#define SimTest(suite, name)                \
    static void name##_body(void);          \
    static int name##_main(void *arg)       \
    {                                       \
        (void)arg;                          \
        name##_body();                      \
        return 0;                           \
    }                                       \
    Test(suite, name)                       \
    {                                       \
        sim_run(&exact, name##_main, NULL); \
    }                                       \
    static void name##_body(void)

SimTest(sim_op, from_inflight_to_done)
{
    probe b;
    probe_open(&b);
    IS(IDLE);
    gust__op_start(&b.op);
    IS(INFLIGHT);
    put_byte(&b.p.b, 'x');
    CHECK_EQ(probe_end(&b), 1);
    IS(DONE);
    CHECK_EQ(b.got[0], 'x');
    probe_close(&b);
}

SimTest(sim_op, canceled_before_its_start_it_moves_nothing)
{
    probe b;
    probe_open(&b);
    put_byte(&b.p.b, 'x');
    gust__op_cancel(&b.op);
    IS(CANCELED);
    gust__op_cancel(&b.op);
    IS(CANCELED);
    gust__op_start(&b.op);
    IS(DONE); /* and the callback comes at the next reap */
    CHECK_EQ(probe_end(&b), -ECANCELED);
    CHECK_EQ(left(&b), 1);
    probe_close(&b);
}

SimTest(sim_op, a_cancel_in_time_moves_nothing)
{
    probe b;
    probe_open(&b);
    sim_cancels(SIM_CANCEL_WINS);
    gust__op_start(&b.op);
    put_byte(&b.p.b, 'x');
    gust__op_cancel(&b.op);
    IS(CANCELING);
    gust__op_cancel(&b.op); /* once is enough */
    IS(CANCELING);
    CHECK_EQ(probe_end(&b), -ECANCELED);
    CHECK_EQ(left(&b), 1);
    probe_close(&b);
}

SimTest(sim_op, a_cancel_too_late_for_the_kernel_drops_nothing)
{
    probe b;
    probe_open(&b);
    sim_cancels(SIM_CANCEL_LOSES);
    gust__op_start(&b.op);
    put_byte(&b.p.b, 'x');
    gust__op_cancel(&b.op);
    IS(CANCELING);
    CHECK_EQ(probe_end(&b), 1);
    CHECK_EQ(left(&b), 0);
    probe_close(&b);
}

/* The completion is in the queue when the cancel comes. */
SimTest(sim_op, a_cancel_between_completion_and_reap_drops_nothing)
{
    probe b;
    probe_open(&b);
    put_byte(&b.p.b, 'x');
    gust__op_start(&b.op);
    while (b.got[0] != 'x') { /* performed, but reported in 10 us at most */
        sim_delay(DELAY);
        gust_sleep(1);
    }
    IS(INFLIGHT);
    gust__op_cancel(&b.op);
    IS(CANCELING);
    CHECK_EQ(probe_end(&b), 1);
    CHECK_EQ(left(&b), 0);
    probe_close(&b);
}

SimTest(sim_op, a_cancel_after_the_end_changes_nothing)
{
    probe b;
    probe_open(&b);
    gust__op_start(&b.op);
    put_byte(&b.p.b, 'x');
    CHECK_EQ(probe_end(&b), 1);
    gust__op_cancel(&b.op);
    IS(DONE);
    CHECK_EQ(b.op.res, 1);
    probe_close(&b);
}

/* The end of the stream is a result like any other. */
SimTest(sim_op, the_end_of_the_stream_beats_a_late_cancel)
{
    probe b;
    probe_open(&b);
    sim_cancels(SIM_CANCEL_LOSES);
    gust__op_start(&b.op);
    CHECK_EQ(shutdown(b.p.b.fd, SHUT_WR), 0);
    gust__op_cancel(&b.op);
    CHECK_EQ(probe_end(&b), 0);
    probe_close(&b);
}

/* --- Partial sends ------------------------------------------------------------ */

enum { MUCH = 4 << 20 };

static ssize_t drain(int fd)
{
    static char buf[65536];
    ssize_t n, all = 0;
    while ((n = recv(fd, buf, sizeof buf, MSG_DONTWAIT)) > 0)
        all += n;
    return all;
}

/* More than the socket holds: the send stops in the middle until it is ended. */
static int send_much(gust__fd *f, gust_time deadline)
{
    static char much[MUCH];
    return do_send(f, much, sizeof much, deadline);
}

SimTest(sim_op, a_send_cut_short_by_its_deadline_tells_how_much_went)
{
    pair p;
    pair_open(&p);
    gust_time when = gust_after(60 * GUST_SEC);
    int n = send_much(&p.a, when);
    CHECK_EQ(gust_now(), when);
    CHECK(n > 0 && n < MUCH);
    CHECK_EQ(drain(p.b.fd), n);
    pair_close(&p);
}

/* --- Deadlines ------------------------------------------------------------------ */

static int recv_with(gust__fd *f, gust__deadline *d, gust_time when)
{
    char byte;
    gust__op op = op_recv(f, &byte, 1);
    return gust__op_wait(&op, d, when);
}

SimTest(sim_deadline, a_minute_ends_on_the_nanosecond)
{
    pair p;
    pair_open(&p);
    for (int i = 0; i < 100; i++) {
        gust_time when = gust_after(60 * GUST_SEC + i);
        CHECK_EQ(recv_with(&p.a, NULL, when), -ETIMEDOUT);
        CHECK_EQ(gust_now(), when);
    }
    pair_close(&p);
}

static gust__fd *put_at_fd;

static void put_later(void *arg)
{
    gust_sleep_until(*(gust_time *)arg);
    put_byte(put_at_fd, 'x');
}

/* The byte comes at the very time of the deadline: whichever is served first, it is
 * not lost. */
static void race_at_deadline(sim_cancel who, int64_t early_ns, int expected)
{
    pair p;
    gust_time when = gust_after(GUST_SEC), put_at = when - early_ns;
    pair_open(&p);
    sim_cancels(who);
    put_at_fd = &p.b;
    go(put_later, &put_at);
    CHECK_EQ(recv_with(&p.a, NULL, when), expected);
    gust_sleep(1);
    CHECK_EQ(drain(p.a.fd), expected == 1 ? 0 : 1);
    pair_close(&p);
}

SimTest(sim_deadline, bytes_that_come_with_it_are_taken_or_left)
{
    race_at_deadline(SIM_CANCEL_WINS, 1, 1);
    race_at_deadline(SIM_CANCEL_LOSES, 1, 1);
    race_at_deadline(SIM_CANCEL_WINS, -1, -ETIMEDOUT);
    sim_delay(2 * GUST_SEC); /* there, but not looked at before the deadline */
    race_at_deadline(SIM_CANCEL_WINS, GUST_SEC / 2, -ETIMEDOUT);
    race_at_deadline(SIM_CANCEL_LOSES, GUST_SEC / 2, 1);
}

SimTest(sim_deadline, moved_later_it_spares_and_moved_earlier_it_hurries)
{
    pair p;
    gust__deadline d;
    pair_open(&p);
    gust__deadline_init(&d);
    gust_time first = gust_after(10 * GUST_SEC);
    put_byte(&p.b, 'x');
    CHECK_EQ(recv_with(&p.a, &d, first), 1);
    CHECK_EQ(d.armed, first);
    /* The timer fires at `first`, sees the later time, and goes on. */
    CHECK_EQ(recv_with(&p.a, &d, first + 7), -ETIMEDOUT);
    CHECK_EQ(gust_now(), first + 7);
    CHECK_EQ(d.armed, GUST_FOREVER);
    put_byte(&p.b, 'x');
    CHECK_EQ(recv_with(&p.a, &d, first + 60 * GUST_SEC), 1);
    CHECK_EQ(recv_with(&p.a, &d, first + GUST_SEC), -ETIMEDOUT);
    CHECK_EQ(gust_now(), first + GUST_SEC);
    /* Between operations it fires for nobody. */
    CHECK_EQ(recv_with(&p.a, &d, gust_after(1)), -ETIMEDOUT);
    gust__deadline_fini(&d);
    pair_close(&p);
}

static void cancel_later(void *arg)
{
    gust_sleep(GUST_SEC);
    gust__op_cancel(arg);
}

SimTest(sim_deadline, who_cancels_first_is_who_is_named)
{
    pair p;
    char byte;
    pair_open(&p);
    sim_cancels(SIM_CANCEL_WINS);
    for (int late = 0; late < 2; late++) {
        gust__op op = op_recv(&p.a, &byte, 1);
        go(cancel_later, &op);
        gust_time when = gust_after(GUST_SEC + (late ? 1 : -1));
        CHECK_EQ(gust__op_wait(&op, NULL, when), late ? -ECANCELED : -ETIMEDOUT);
        gust_sleep(GUST_SEC); /* the record is valid when the other cancels */
        CHECK_EQ(gust__op_state_now(&op), GUST__OP_DONE);
    }
    pair_close(&p);
}

SimTest(sim_deadline, now_tries_and_does_not_wait)
{
    pair p;
    pair_open(&p);
    for (int pick = 0; pick < 2; pick++) {
        gust_time begin = gust_now();
        for (int there = 0; there < 2; there++) {
            char byte = 0;
            gust__op op = pick ? op_recv_picked(&p.a) : op_recv(&p.a, &byte, 1);
            if (there)
                put_byte(&p.b, 'x');
            CHECK_EQ(gust__op_wait(&op, NULL, GUST_NOW), there ? 1 : -EAGAIN);
            if (op.picked)
                gust__buf_put(op.picked);
        }
        CHECK_EQ(gust_now(), begin);
    }
    pair_close(&p);
}

/* --- Streams, under many seeds ----------------------------------------------------- */

enum { STREAMS = 4, STREAM_BYTES = 3000 };

static const sim_options rough = {.delay_ns_max = 300 * GUST_US, .bytes_max = 400};

typedef struct stream {
    pair p;
    int number;
    gust_waitgroup *group;
} stream;

static char byte_at(const stream *s, int i)
{
    return (char)(i * 7 + i / 256 + s->number);
}

static gust_time some_time(void)
{
    return gust_after((int64_t)sim_rand(1000) * GUST_US);
}

static bool ended_in_time(int n, gust_time when)
{
    CHECK(n > 0 || (n == -ETIMEDOUT && gust_now() >= when));
    return n > 0;
}

static void stream_send(void *arg)
{
    stream *s = arg;
    char bytes[900];
    for (int at = 0; at < STREAM_BYTES;) {
        int len = 1 + (int)sim_rand(sizeof bytes);
        gust_time when = some_time();
        if (len > STREAM_BYTES - at)
            len = STREAM_BYTES - at;
        for (int i = 0; i < len; i++)
            bytes[i] = byte_at(s, at + i);
        int n = do_send(&s->p.b, bytes, (size_t)len, when);
        sim_note("stream %d sent %d", s->number, n);
        at += ended_in_time(n, when) ? n : 0;
    }
    gust_waitgroup_done(s->group);
}

static void stream_recv(void *arg)
{
    stream *s = arg;
    char bytes[700];
    gust__deadline d;
    gust__deadline_init(&d);
    for (int at = 0; at < STREAM_BYTES;) {
        bool pick = sim_rand(3) == 0;
        gust_time when = some_time();
        gust__op op = pick ? op_recv_picked(&s->p.a) : op_recv(&s->p.a, bytes, sizeof bytes);
        int n = gust__op_wait(&op, sim_rand(2) ? &d : NULL, when);
        sim_note("stream %d got %d", s->number, n);
        if (!ended_in_time(n, when))
            continue;
        for (int i = 0; i < n; i++)
            CHECK_EQ(pick ? op.picked->data[i] : bytes[i], byte_at(s, at + i));
        if (pick)
            gust__buf_put(op.picked);
        at += n;
    }
    gust__deadline_fini(&d);
    gust_waitgroup_done(s->group);
}

static int streams_main(void *arg)
{
    stream all[STREAMS];
    gust_waitgroup group = {0};
    (void)arg;
    gust_waitgroup_add(&group, 2 * STREAMS);
    for (int i = 0; i < STREAMS; i++) {
        all[i] = (stream){.number = i, .group = &group};
        pair_open(&all[i].p);
        go(stream_recv, &all[i]);
        go(stream_send, &all[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&group, gust_after(3600 * GUST_SEC)), 0);
    for (int i = 0; i < STREAMS; i++)
        pair_close(&all[i].p);
    return 0;
}

Test(sim, bytes_come_once_and_in_order_under_every_seed)
{
    sim_seeds(rough, 300, streams_main, NULL);
}

Test(sim, the_same_seed_gives_the_same_run)
{
    sim_options options = rough;
    for (options.seed = 1; options.seed <= 10; options.seed++) {
        sim_run(&options, streams_main, NULL);
        char *first = strdup(sim_trace());
        sim_run(&options, streams_main, NULL);
        cr_assert_str_eq(first, sim_trace(), "seed %d", (int)options.seed);
        options.seed += 1000;
        sim_run(&options, streams_main, NULL);
        cr_assert_str_neq(first, sim_trace());
        options.seed -= 1000;
        free(first);
    }
}

/* --- Standing still ------------------------------------------------------------------ */

static int wait_for_nothing_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    recv_with(&p.a, NULL, GUST_FOREVER);
    return 0;
}

static void stand_still(void)
{
    sim_run(&exact, wait_for_nothing_main, NULL);
}

Test(sim, a_run_in_which_nothing_can_happen_ends)
{
    char text[4096];
    int status = child_run(stand_still, text, sizeof text);
    cr_assert(WIFSIGNALED(status), "%s", text);
    cr_assert(strstr(text, "stands still"), "%s", text);
}
