/* Selects of many goroutines on the same channels. */
#include "tests/core/waiters.h"

struct self {
    gust_chan *chan;
    gust_waitgroup *group;
    int number;
};

/* Go's TestSelfSelect: two goroutines, each offers to send its number and to
 * receive on one channel. */
static void self_select(void *arg)
{
    struct self *s = arg;
    for (int i = 0; i < 1000; i++) {
        int in = -1;
        bool send_first = s->number == 0 || i % 2 == 0;
        gust_case cases[2] = {send_case(s->chan, &s->number), recv_case(s->chan, &in)};
        if (!send_first) {
            cases[0] = recv_case(s->chan, &in);
            cases[1] = send_case(s->chan, &s->number);
        }
        int chosen = gust_select(cases, 2, SOON);
        CHECK(chosen >= 0);
        if (cases[chosen].op == GUST_RECV)
            CHECK(in >= 0 && (s->chan->capacity > 0 || in != s->number));
    }
    gust_waitgroup_done(s->group);
}

static int self_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity <= 10; capacity += 10) {
        gust_waitgroup group = GUST_WAITGROUP_INIT;
        struct self selves[2];
        gust_chan *c = chan_make(sizeof(int), capacity);
        gust_waitgroup_add(&group, 2);
        for (int i = 0; i < 2; i++) {
            selves[i] = (struct self){c, &group, i};
            go(self_select, &selves[i]);
        }
        CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
        gust_chan_unref(c);
    }
    return 0;
}

Test(select, goroutines_that_send_and_receive_on_one_channel_meet_each_other)
{
    test_run(self_main, NULL);
}

/* Go's TestSelectStress: on each of four channels one goroutine sends and one
 * receives; two more do all four channels by select.  Everything sent arrives,
 * or the test does not end. */
#define STRESS_ROUNDS 2000

struct stress {
    gust_chan *chans[4];
    gust_waitgroup group;
    _Atomic int next;
    _Atomic long long sum; /* sent minus received */
};

static void stress_send(void *arg)
{
    struct stress *s = arg;
    gust_chan *c = s->chans[s->next++ % 4];
    for (int i = 0; i < STRESS_ROUNDS; i++) {
        send_int(c, i);
        s->sum += i;
    }
    gust_waitgroup_done(&s->group);
}

static void stress_recv(void *arg)
{
    struct stress *s = arg;
    gust_chan *c = s->chans[s->next++ % 4];
    for (int i = 0; i < STRESS_ROUNDS; i++)
        s->sum -= recv_int(c);
    gust_waitgroup_done(&s->group);
}

/* Does `op` STRESS_ROUNDS times on each channel; one that is finished is NULL. */
static void stress_select(struct stress *s, gust_select_op op)
{
    int left[4], value = 3;
    gust_case cases[4];
    for (int i = 0; i < 4; i++) {
        left[i] = STRESS_ROUNDS;
        cases[i] = (gust_case){.op = op, .chan = s->chans[i], .elem = &value};
    }
    for (int i = 0; i < 4 * STRESS_ROUNDS; i++) {
        int chosen = gust_select(cases, 4, SOON);
        CHECK(chosen >= 0);
        s->sum += op == GUST_SEND ? value : -value;
        if (--left[chosen] == 0)
            cases[chosen].chan = NULL;
    }
    gust_waitgroup_done(&s->group);
}

static void stress_select_send(void *arg)
{
    stress_select(arg, GUST_SEND);
}

static void stress_select_recv(void *arg)
{
    stress_select(arg, GUST_RECV);
}

static int stress_main(void *arg)
{
    struct stress s = {.chans = {chan_make(sizeof(int), 0), chan_make(sizeof(int), 0),
                                 chan_make(sizeof(int), 2), chan_make(sizeof(int), 3)}};
    (void)arg;
    gust_waitgroup_add(&s.group, 10);
    for (int i = 0; i < 4; i++)
        go(stress_send, &s);
    /* They draw their channels from one counter: all senders first. */
    AWAIT(s.next == 4);
    for (int i = 0; i < 4; i++)
        go(stress_recv, &s);
    go(stress_select_send, &s);
    go(stress_select_recv, &s);
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    CHECK_EQ(s.sum, 0);
    for (int i = 0; i < 4; i++)
        gust_chan_unref(s.chans[i]);
    return 0;
}

Test(select, stress_with_plain_and_selected_operations)
{
    test_run(stress_main, NULL);
}

/* Selects over the same channels in different orders, with deadlines about as
 * long as an exchange: what was sent is what was received. */
struct race {
    gust_chan *chans[3];
    gust_waitgroup senders, receivers;
    _Atomic uint64_t sum; /* sent minus received */
    _Atomic uint64_t seed;
    _Atomic long timeouts;
};

static int race_select(struct race *r, gust_select_op op, int *value, uint64_t *rand,
                       bool *ret_received)
{
    gust_case cases[3];
    size_t first = test_rand(rand) % 3;
    for (size_t i = 0; i < 3; i++)
        cases[i] = (gust_case){.op = op, .chan = r->chans[(first + i) % 3], .elem = value};
    int chosen = gust_select(cases, 3, gust_after((int64_t)(test_rand(rand) % 50) * GUST_US));
    if (chosen >= 0)
        *ret_received = cases[chosen].received;
    return chosen;
}

static void race_send(void *arg)
{
    struct race *r = arg;
    uint64_t rand = atomic_fetch_add(&r->seed, 1) << 32;
    bool unused;
    for (int i = 0; i < 300; i++) {
        int value = (int)(test_rand(&rand) % 1000) + 1;
        int chosen = race_select(r, GUST_SEND, &value, &rand, &unused);
        CHECK(chosen >= 0 || chosen == -ETIMEDOUT);
        if (chosen >= 0)
            r->sum += (uint64_t)value;
    }
    gust_waitgroup_done(&r->senders);
}

static void race_recv(void *arg)
{
    struct race *r = arg;
    uint64_t rand = atomic_fetch_add(&r->seed, 1) << 32;
    for (;;) {
        bool received = false;
        int value = 0;
        int chosen = race_select(r, GUST_RECV, &value, &rand, &received);
        CHECK(chosen >= 0 || chosen == -ETIMEDOUT);
        if (chosen >= 0 && !received)
            break;
        r->sum -= (uint64_t)value;
    }
    gust_waitgroup_done(&r->receivers);
}

static int race_main(void *arg)
{
    struct race r = {.seed = *(uint64_t *)arg};
    for (size_t i = 0; i < 3; i++)
        r.chans[i] = chan_make(sizeof(int), i);
    gust_waitgroup_add(&r.senders, 6);
    gust_waitgroup_add(&r.receivers, 6);
    for (int i = 0; i < 6; i++) {
        go(race_send, &r);
        go(race_recv, &r);
    }
    CHECK_EQ(gust_waitgroup_wait(&r.senders, SOON), 0);
    AWAIT(gust_chan_len(r.chans[1]) == 0 && gust_chan_len(r.chans[2]) == 0);
    for (size_t i = 0; i < 3; i++)
        gust_chan_close(r.chans[i]);
    CHECK_EQ(gust_waitgroup_wait(&r.receivers, SOON), 0);
    CHECK_EQ(r.sum, 0);
    for (size_t i = 0; i < 3; i++)
        gust_chan_unref(r.chans[i]);
    return 0;
}

Test(select, deadlines_racing_with_hand_overs_lose_and_double_nothing)
{
    uint64_t seed = test_seed();
    test_run(race_main, &seed);
}

/* A token wanders around a ring of channels, put into the next before it is taken
 * from the last: one of them has it at every moment, though none for long.  So a
 * default must not be taken. */
enum { RING = 8 };

struct token {
    gust_chan *chans[RING];
    gust_waitgroup group;
    _Atomic bool stop;
};

static void token_move(void *arg)
{
    struct token *t = arg;
    for (int i = 0; !t->stop; i++) {
        CHECK_EQ(gust_chan_send(t->chans[(i + 1) % RING], NULL, GUST_NOW), 0);
        /* Not parked: it would come back on the P of the one it races with. */
        AWAIT(gust_chan_recv(t->chans[i % RING], NULL, GUST_NOW) == 1);
        if (i % 100 == 0)
            gust_yield();
    }
    gust_waitgroup_done(&t->group);
}

static int token_main(void *arg)
{
    struct token t = {.stop = false};
    gust_case cases[RING];
    (void)arg;
    for (int i = 0; i < RING; i++) {
        t.chans[i] = chan_make(0, 3);
        cases[i] = recv_case(t.chans[i], NULL);
    }
    CHECK_EQ(gust_chan_send(t.chans[0], NULL, GUST_NOW), 0);
    gust_waitgroup_add(&t.group, 1);
    go(token_move, &t);
    for (int i = 0; i < 20000; i++) {
        int chosen = gust_select(cases, RING, GUST_NOW);
        CHECK(chosen >= 0);
        CHECK_EQ(gust_chan_send(t.chans[chosen], NULL, GUST_NOW), 0);
    }
    t.stop = true;
    CHECK_EQ(gust_waitgroup_wait(&t.group, SOON), 0);
    for (int i = 0; i < RING; i++)
        gust_chan_unref(t.chans[i]);
    return 0;
}

Test(select, default_is_taken_only_if_nothing_is_ready_at_one_moment)
{
    test_run(token_main, NULL);
}
