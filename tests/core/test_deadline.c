/* Deadlines of operations: they end what waits, they move without touching the
 * timer heap, and they never cost bytes. */
#include "tests/core/sockets.h"

/* What is in d, as a whole. */
static gust_time armed_at(gust__deadline *d)
{
    GUST__CALL();
    gust__lock_take(&d->lock, RANK_DEADLINE);
    gust_time armed = d->armed;
    gust__lock_drop(&d->lock);
    return armed;
}

static int recv_with(gust__fd *f, gust__deadline *d, gust_time when)
{
    char byte;
    gust__op op = op_recv(f, &byte, 1);
    return gust__op_wait(&op, d, when);
}

static int expiry_main(void *arg)
{
    pair p;
    gust__deadline d;
    (void)arg;
    pair_open(&p);
    gust__deadline_init(&d);
    for (int i = 0; i < 10; i++) {
        gust_time when = gust_after(2 * GUST_MS);
        CHECK_EQ(recv_with(&p.a, i % 2 ? &d : NULL, when), -ETIMEDOUT);
        CHECK(gust_now() >= when);
    }
    /* Nothing of it sticks. */
    put_byte(&p.b, 'x');
    CHECK_EQ(recv_with(&p.a, &d, SOON), 1);
    gust__deadline_fini(&d);
    pair_close(&p);
    return 0;
}

Test(deadline, it_ends_an_operation_and_leaves_the_descriptor_usable)
{
    test_run(expiry_main, NULL);
}

/* A receive that is in flight before its byte comes, so that the deadline of
 * both backends is used. */
struct served {
    pair p;
    gust__deadline d;
    gust__op op;
    gust_time when;
    int result;
    gust_waitgroup done;
};

static void serve(void *arg)
{
    struct served *s = arg;
    s->result = gust__op_wait(&s->op, &s->d, s->when);
    gust_waitgroup_done(&s->done);
}

static void serve_start(struct served *s, char *byte, gust_time when)
{
    s->op = op_recv(&s->p.a, byte, 1);
    s->when = when;
    gust_waitgroup_add(&s->done, 1);
    go(serve, s);
    AWAIT(gust__op_state_now(&s->op) != GUST__OP_IDLE);
}

static int serve_end(struct served *s)
{
    CHECK_EQ(gust_waitgroup_wait(&s->done, SOON), 0);
    return s->result;
}

static int lazy_main(void *arg)
{
    char byte;
    struct served s = {.result = -1};
    (void)arg;
    pair_open(&s.p);
    gust__deadline_init(&s.d);
    gust_time first = gust_after(3600 * GUST_SEC);
    for (int i = 0; i < 50; i++) {
        serve_start(&s, &byte, first + i * GUST_SEC);
        CHECK_EQ(armed_at(&s.d), first);
        put_byte(&s.p.b, 'x');
        CHECK_EQ(serve_end(&s), 1);
    }
    /* An earlier one does move the timer, or it would be late. */
    serve_start(&s, &byte, first - GUST_SEC);
    CHECK_EQ(armed_at(&s.d), first - GUST_SEC);
    put_byte(&s.p.b, 'x');
    CHECK_EQ(serve_end(&s), 1);
    CHECK_EQ(recv_with(&s.p.a, &s.d, gust_after(GUST_MS)), -ETIMEDOUT);
    gust__deadline_fini(&s.d);
    pair_close(&s.p);
    return 0;
}

Test(deadline, moving_it_later_leaves_the_timer_alone)
{
    test_run(lazy_main, NULL);
}

/* The timer fires for the first deadline while the second is in force: it must
 * spare the operation and arm itself for the rest. */
static int rearm_main(void *arg)
{
    char byte;
    struct served s = {.result = -1};
    (void)arg;
    pair_open(&s.p);
    gust__deadline_init(&s.d);
    gust_time early = gust_after(5 * GUST_MS), late = early + 20 * GUST_MS;
    serve_start(&s, &byte, early);
    put_byte(&s.p.b, 'x');
    int n = serve_end(&s);
    CHECK(n == 1 || n == -ETIMEDOUT); /* the latter on a machine that sleeps */
    CHECK_EQ(recv_with(&s.p.a, &s.d, n == 1 ? late : SOON), n == 1 ? -ETIMEDOUT : 1);
    CHECK(n != 1 || gust_now() >= late);
    gust__deadline_fini(&s.d);
    pair_close(&s.p);
    return 0;
}

Test(deadline, the_old_timer_spares_an_operation_with_a_later_deadline)
{
    test_run(rearm_main, NULL);
}

static int idle_main(void *arg)
{
    char byte;
    struct served s = {.result = -1};
    (void)arg;
    pair_open(&s.p);
    gust__deadline_init(&s.d);
    serve_start(&s, &byte, gust_after(2 * GUST_MS));
    CHECK_EQ(serve_end(&s), -ETIMEDOUT);
    serve_start(&s, &byte, gust_after(GUST_MS));
    gust__op_cancel(&s.op);
    int n = serve_end(&s);
    CHECK(n == -ECANCELED || n == -ETIMEDOUT);
    /* It fires with no operation under way, and is not armed any more. */
    AWAIT(armed_at(&s.d) == GUST_FOREVER);
    gust__deadline_fini(&s.d);
    pair_close(&s.p);
    return 0;
}

Test(deadline, it_rests_between_operations)
{
    test_run(idle_main, NULL);
}

static int other_cancel_main(void *arg)
{
    char byte;
    struct served s = {.result = -1};
    (void)arg;
    pair_open(&s.p);
    gust__deadline_init(&s.d);
    serve_start(&s, &byte, SOON);
    gust__op_cancel(&s.op);
    CHECK_EQ(serve_end(&s), -ECANCELED);
    gust__deadline_fini(&s.d);
    pair_close(&s.p);
    return 0;
}

Test(deadline, a_cancellation_by_others_is_not_a_timeout)
{
    test_run(other_cancel_main, NULL);
}

/* --- Races ------------------------------------------------------------------- */

enum { STREAMS = 16, BYTES = 300 };

struct stream {
    pair p;
    uint64_t seed;
    gust_waitgroup *group;
};

/* Sends a byte at random moments... */
static void stream_send(void *arg)
{
    struct stream *s = arg;
    uint64_t state = s->seed;
    for (int i = 0; i < BYTES; i++) {
        char byte = (char)i;
        if (test_rand(&state) % 4 == 0)
            gust_sleep_until(gust_after((int64_t)(test_rand(&state) % 200) * GUST_US));
        CHECK_EQ(do_send(&s->p.b, &byte, 1, SOON), 1);
    }
    gust_waitgroup_done(s->group);
}

/* ...and receives with deadlines that are about as long. */
static void stream_recv(void *arg)
{
    struct stream *s = arg;
    gust__deadline d;
    uint64_t state = ~s->seed;
    gust__deadline_init(&d);
    for (int i = 0; i < BYTES;) {
        char byte = 0;
        gust__op op = op_recv(&s->p.a, &byte, 1);
        gust_time when = gust_after((int64_t)(test_rand(&state) % 200) * GUST_US);
        int n = gust__op_wait(&op, test_rand(&state) % 3 ? &d : NULL, when);
        CHECK(n == 1 || n == -ETIMEDOUT);
        if (n == 1)
            CHECK_EQ(byte, (char)i++);
    }
    gust__deadline_fini(&d);
    gust_waitgroup_done(s->group);
}

static int race_main(void *arg)
{
    static struct stream all[STREAMS];
    gust_waitgroup group = {0};
    uint64_t seed = test_seed();
    (void)arg;
    gust_waitgroup_add(&group, 2 * STREAMS);
    for (int i = 0; i < STREAMS; i++) {
        pair_open(&all[i].p);
        all[i].seed = test_rand(&seed);
        all[i].group = &group;
        go(stream_recv, &all[i]);
        go(stream_send, &all[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    for (int i = 0; i < STREAMS; i++)
        pair_close(&all[i].p);
    return 0;
}

Test(deadline, bytes_that_race_with_it_come_once_and_in_order)
{
    test_run(race_main, NULL);
}
