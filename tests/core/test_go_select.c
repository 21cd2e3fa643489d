/* Select against what Go's own select tests check, where test_select.c and
 * test_select_many.c do not: each test names the Go test it answers to. */
#include <malloc.h>

#include "tests/core/waiters.h"

static gust_chan *int_chan(size_t capacity)
{
    return chan_make(sizeof(int), capacity);
}

/* --- One moment --------------------------------------------------------------------
 * One of two channels is ready at every moment: the second becomes so before the
 * first ceases to be.  So a select that only tries must get something; channels that
 * never are ready keep it on its way from the one to the other. */

enum { MOMENTS = 20000, CASES = 16 };

struct moment {
    gust_chan *first, *second, *never[CASES];
    gust_waitgroup group;
    _Atomic int begun, tried; /* rounds: by the one who moves, by the one who tries */
};

/* Both are to come out at the same time, on one P too. */
static void moment_await(_Atomic int *rounds, int count)
{
    for (int spins = 0; *rounds < count; spins++)
        if (spins % 200 == 199)
            gust_yield();
}

static void try_both(void *arg)
{
    struct moment *m = arg;
    for (int i = 1; i <= MOMENTS; i++) {
        moment_await(&m->begun, i);
        gust_case cases[CASES] = {recv_case(m->first, NULL), recv_case(m->second, NULL)};
        for (int k = 2; k < CASES; k++)
            cases[k] = recv_case(m->never[k], NULL);
        CHECK(gust_select(cases, CASES, GUST_NOW) >= 0);
        m->tried = i;
    }
    gust_waitgroup_done(&m->group);
}

static void moment_round(struct moment *m, int round, bool by_close)
{
    m->first = int_chan(1);
    m->second = int_chan(!by_close);
    send_int(m->first, 1);
    m->begun = round;
    for (volatile int i = 0; i < round % 200; i++)
        continue;
    if (by_close)
        gust_chan_close(m->second);
    else
        send_int(m->second, 1);
    (void)gust_chan_recv(m->first, NULL, GUST_NOW);
    moment_await(&m->tried, round);
    gust_chan_unref(m->first);
    gust_chan_unref(m->second);
}

static int moment_main(void *arg)
{
    struct moment m = {0};
    for (int i = 0; i < CASES; i++)
        m.never[i] = int_chan(1);
    gust_waitgroup_add(&m.group, 1);
    go(try_both, &m);
    for (int i = 1; i <= MOMENTS; i++)
        moment_round(&m, i, *(bool *)arg);
    CHECK_EQ(gust_waitgroup_wait(&m.group, SOON), 0);
    for (int i = 0; i < CASES; i++)
        gust_chan_unref(m.never[i]);
    return 0;
}

/* Go's TestNonblockSelectRace. */
Test(select, a_try_does_not_miss_what_moves_from_one_channel_to_another)
{
    bool by_close = false;
    test_run(moment_main, &by_close);
}

/* Go's TestNonblockSelectRace2. */
Test(select, a_try_does_not_miss_a_close_that_comes_before_the_last_element_goes)
{
    bool by_close = true;
    test_run(moment_main, &by_close);
}

/* --- Every form of a select ---------------------------------------------------------
 * One case can proceed, at every place among up to three that cannot, of every
 * kind. */

enum kind { NULL_SEND, NULL_RECV, FULL_SEND, EMPTY_RECV, KINDS };

struct forms {
    gust_chan *full, *empty;
    int value;
};

static gust_case form_blocked(struct forms *f, enum kind kind)
{
    switch (kind) {
    case NULL_SEND: return send_case(NULL, &f->value);
    case NULL_RECV: return recv_case(NULL, &f->value);
    case FULL_SEND: return send_case(f->full, &f->value);
    case EMPTY_RECV:
    case KINDS: break;
    }
    return recv_case(f->empty, &f->value);
}

/* `code` says the kinds, one digit to the base KINDS each. */
static void form_check(struct forms *f, size_t count, size_t place, unsigned code,
                       gust_select_op op, gust_time deadline)
{
    gust_chan *ready = int_chan(1);
    gust_case cases[4];
    int value = 5;
    for (size_t i = 0; i < count; i++, code /= KINDS)
        cases[i] = form_blocked(f, code % KINDS);
    if (op == GUST_RECV)
        send_int(ready, 8);
    cases[place] = (gust_case){.op = op, .chan = ready, .elem = &value};
    CHECK_EQ(gust_select(cases, count, deadline), place);
    if (op == GUST_RECV)
        CHECK(cases[place].received && value == 8);
    else
        CHECK_EQ(recv_int(ready), 5);
    cases[place] = form_blocked(f, code % KINDS);
    CHECK_EQ(gust_select(cases, count, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_chan_len(f->full), 1);
    gust_chan_unref(ready);
}

static void form_check_places(struct forms *f, size_t count, unsigned code)
{
    for (size_t place = 0; place < count; place++) {
        form_check(f, count, place, code, GUST_SEND, GUST_NOW);
        form_check(f, count, place, code, GUST_SEND, SOON);
        form_check(f, count, place, code, GUST_RECV, GUST_NOW);
        form_check(f, count, place, code, GUST_RECV, SOON);
    }
}

static int forms_main(void *arg)
{
    struct forms f = {int_chan(1), int_chan(1), 3};
    (void)arg;
    send_int(f.full, 1);
    for (size_t count = 1; count <= 4; count++)
        for (unsigned code = 0; code < 1u << (2 * count); code++)
            form_check_places(&f, count, code);
    gust_chan_unref(f.full);
    gust_chan_unref(f.empty);
    return 0;
}

/* Go's test/chan/select5.go and select3.go. */
Test(select, the_ready_case_is_found_at_every_place_among_every_kind_of_case)
{
    test_run(forms_main, NULL);
}

/* Both sides of an exchange in every form, the one or the other waiting first. */
enum form { PLAIN, SELECT_ONE, SELECT_TWO, FORMS };

struct side {
    gust_chan *chan, *other;
    gust_waitgroup *group;
    enum form form;
    gust_select_op op;
    int value;
};

static void exchange(struct side *s)
{
    gust_case cases[2] = {{.op = s->op, .chan = s->chan, .elem = &s->value},
                          {.op = s->op, .chan = s->other, .elem = &s->value}};
    if (s->form != PLAIN)
        CHECK_EQ(gust_select(cases, s->form == SELECT_ONE ? 1 : 2, SOON), 0);
    else if (s->op == GUST_SEND)
        send_int(s->chan, s->value);
    else
        s->value = recv_int(s->chan);
}

static void exchange_go(void *arg)
{
    struct side *s = arg;
    exchange(s);
    gust_waitgroup_done(s->group);
}

static void exchange_check(enum form sends, enum form receives, bool sender_waits)
{
    gust_chan *c = int_chan(0);
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    struct side send = {c, int_chan(0), &group, sends, GUST_SEND, 6};
    struct side recv = {c, int_chan(0), &group, receives, GUST_RECV, 0};
    gust_waitgroup_add(&group, 1);
    go(exchange_go, sender_waits ? &send : &recv);
    AWAIT(sender_waits ? senders_waiting(c) : receivers_waiting(c));
    exchange(sender_waits ? &recv : &send);
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    CHECK_EQ(recv.value, 6);
    CHECK_EQ(senders_waiting(c) + receivers_waiting(c), 0);
    CHECK_EQ(senders_waiting(send.other) + receivers_waiting(recv.other), 0);
    gust_chan_unref(c);
    gust_chan_unref(send.other);
    gust_chan_unref(recv.other);
}

static int exchange_main(void *arg)
{
    (void)arg;
    for (int sends = PLAIN; sends < FORMS; sends++) {
        for (int receives = PLAIN; receives < FORMS; receives++) {
            exchange_check((enum form)sends, (enum form)receives, true);
            exchange_check((enum form)sends, (enum form)receives, false);
        }
    }
    return 0;
}

/* Go's test/chan/select7.go. */
Test(select, plain_and_selected_operations_meet_in_every_form)
{
    test_run(exchange_main, NULL);
}

/* --- Queues ---------------------------------------------------------------------------- */

struct queue {
    gust_chan *shared, *other, *done;
    int copies; /* how often the select names `shared` */
    int values[3];
};

static void queue_select(void *arg)
{
    struct queue *q = arg;
    gust_case cases[3];
    for (int i = 0; i < q->copies; i++)
        cases[i] = recv_case(q->shared, &q->values[i]);
    cases[q->copies] = recv_case(q->other, &q->values[q->copies]);
    CHECK_EQ(gust_select(cases, (size_t)q->copies + 1, SOON), q->copies);
    send_int(q->done, 0);
}

static void queue_recv(void *arg)
{
    struct queue *q = arg;
    send_int(q->done, recv_int(q->shared));
}

/* `before` plain receivers stand before the select and `after` behind it, one more
 * comes once the select has gone elsewhere. */
static void queue_check(int copies, int before, int after)
{
    struct queue q = {int_chan(0), int_chan(0), int_chan(10), copies, {1, 2, 3}};
    size_t waiting = 0;
    for (int i = 0; i < before; i++) {
        go(queue_recv, &q);
        AWAIT(receivers_waiting(q.shared) == waiting + 1);
        waiting++;
    }
    go(queue_select, &q);
    waiting += (size_t)copies;
    AWAIT(receivers_waiting(q.shared) == waiting && receivers_waiting(q.other) == 1);
    for (int i = 0; i < after; i++) {
        go(queue_recv, &q);
        AWAIT(receivers_waiting(q.shared) == waiting + 1);
        waiting++;
    }
    send_int(q.other, 9);
    CHECK_EQ(recv_int(q.done), 0);
    CHECK_EQ(receivers_waiting(q.shared), before + after);
    for (int i = 0; i < copies; i++)
        CHECK_EQ(q.values[i], i + 1); /* not touched: their cases were not chosen */
    CHECK_EQ(q.values[copies], 9);
    go(queue_recv, &q);
    for (int i = 0; i < before + after + 1; i++) {
        send_int(q.shared, 10 + i);
        CHECK_EQ(recv_int(q.done), 10 + i);
    }
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(q.shared);
    gust_chan_unref(q.other);
    gust_chan_unref(q.done);
}

static int queue_main(void *arg)
{
    (void)arg;
    for (int copies = 1; copies <= 2; copies++)
        for (int before = 0; before < 3; before++)
            for (int after = 0; after < 3; after++)
                queue_check(copies, before, after);
    return 0;
}

/* Go's TestSelectDuplicateChannel, TestSelectStackAdjust, test/chan/select6.go. */
Test(select, one_that_goes_elsewhere_leaves_the_queue_and_its_elements_as_they_were)
{
    test_run(queue_main, NULL);
}

/* --- Once only --------------------------------------------------------------------------- */

enum { VALUES = 5000, WAYS = 4 };

struct split {
    gust_chan *ways[WAYS], *joined;
    gust_waitgroup muxes;
    _Atomic int hired;
};

static void split_send(void *arg)
{
    struct split *s = arg;
    for (int i = 0; i < VALUES; i++) {
        gust_case cases[WAYS];
        for (int k = 0; k < WAYS; k++)
            cases[k] = send_case(s->ways[k], &i);
        CHECK(gust_select(cases, WAYS, SOON) >= 0);
    }
    for (int k = 0; k < WAYS; k++)
        gust_chan_close(s->ways[k]);
}

static void split_mux(void *arg)
{
    struct split *s = arg;
    gust_chan *way = s->ways[s->hired++];
    int value;
    while (gust_chan_recv(way, &value, SOON) == 1)
        send_int(s->joined, value);
    gust_waitgroup_done(&s->muxes);
}

static void split_end(void *arg)
{
    struct split *s = arg;
    CHECK_EQ(gust_waitgroup_wait(&s->muxes, SOON), 0);
    gust_chan_close(s->joined);
}

static int split_main(void *arg)
{
    static bool seen[VALUES];
    struct split s = {.joined = int_chan(0)};
    int value, count = 0;
    (void)arg;
    gust_waitgroup_add(&s.muxes, WAYS);
    for (int k = 0; k < WAYS; k++)
        s.ways[k] = int_chan(0);
    for (int k = 0; k < WAYS; k++)
        go(split_mux, &s);
    go(split_send, &s);
    go(split_end, &s);
    for (; gust_chan_recv(s.joined, &value, SOON) == 1; count++) {
        CHECK(!seen[value]);
        seen[value] = true;
    }
    CHECK_EQ(count, VALUES);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(s.joined);
    for (int k = 0; k < WAYS; k++)
        gust_chan_unref(s.ways[k]);
    return 0;
}

/* Go's test/chan/doubleselect.go. */
Test(select, each_value_leaves_by_one_case_only)
{
    test_run(split_main, NULL);
}

/* --- Chance ---------------------------------------------------------------------------------- */

enum { DRAWS = 1000 };

struct coins {
    gust_chan *chan, *done;
    int ones;
};

static void coins_count(void *arg)
{
    struct coins *k = arg;
    for (int i = 0; i < DRAWS; i++) {
        gust_yield();
        k->ones += recv_int(k->chan);
    }
    send_int(k->done, 0);
}

static void coins_check(size_t capacity)
{
    struct coins k = {int_chan(capacity), int_chan(0), 0};
    int zero = 0, one = 1;
    go(coins_count, &k);
    for (int i = 0; i < DRAWS; i++) {
        gust_case cases[2] = {send_case(k.chan, &one), send_case(k.chan, &zero)};
        CHECK(gust_select(cases, 2, SOON) >= 0);
    }
    recv_int(k.done);
    /* Seven standard deviations. */
    CHECK(k.ones > DRAWS / 2 - 111 && k.ones < DRAWS / 2 + 111);
    gust_chan_unref(k.chan);
    gust_chan_unref(k.done);
}

static int coins_main(void *arg)
{
    (void)arg;
    coins_check(DRAWS); /* never full */
    return 0;
}

/* Go's TestPseudoRandomSend, buffered. */
Test(select, two_sends_on_one_channel_are_drawn_by_chance)
{
    test_run(coins_main, NULL);
}

static int parked_coins_main(void *arg)
{
    (void)arg;
    coins_check(0);
    return 0;
}

/* Go's TestPseudoRandomSend, unbuffered. */
Test(select, two_sends_that_wait_on_one_channel_are_drawn_by_chance)
{
    test_run(parked_coins_main, NULL);
}

enum { TRIALS = 4000 };

struct fair {
    gust_chan *full[2], *empty[2], *out, *done;
};

static void fair_draw(void *arg)
{
    struct fair *f = arg;
    for (;;) {
        int value = 0;
        gust_case draw[4] = {recv_case(f->empty[0], &value), recv_case(f->empty[1], &value),
                             recv_case(f->full[0], &value), recv_case(f->full[1], &value)};
        gust_case pass[2] = {send_case(f->out, &value), recv_case(f->done, NULL)};
        CHECK(gust_select(draw, 4, SOON) >= 2);
        if (gust_select(pass, 2, SOON) == 1)
            return;
    }
}

static int fair_main(void *arg)
{
    struct fair f = {{int_chan(TRIALS + 1), int_chan(TRIALS + 1)},
                     {int_chan(0), int_chan(0)},
                     int_chan(0),
                     int_chan(0)};
    int ones = 0;
    (void)arg;
    for (int i = 0; i < TRIALS + 1; i++) {
        send_int(f.full[0], 0);
        send_int(f.full[1], 1);
    }
    go(fair_draw, &f);
    for (int i = 0; i < TRIALS; i++)
        ones += recv_int(f.out);
    /* Seven standard deviations. */
    CHECK(ones > TRIALS / 2 - 222 && ones < TRIALS / 2 + 222);
    gust_chan_close(f.done);
    AWAIT(gust_num_goroutines() == 1);
    for (int i = 0; i < 2; i++) {
        gust_chan_unref(f.full[i]);
        gust_chan_unref(f.empty[i]);
    }
    gust_chan_unref(f.out);
    gust_chan_unref(f.done);
    return 0;
}

/* Go's TestSelectFairness. */
Test(select, two_full_channels_are_drained_evenly)
{
    test_run(fair_main, NULL);
}

/* --- Memory ------------------------------------------------------------------------------------ */

enum { WIDE = 20 }; /* more than a select has room for in its frame */

struct wide {
    gust_chan *chan, *never, *done;
    int rounds;
};

static void wide_send(void *arg)
{
    struct wide *w = arg;
    for (int i = 0; i < w->rounds; i++)
        send_int(w->chan, i);
    send_int(w->done, 0);
}

static void wide_round(struct wide *w)
{
    gust_case cases[WIDE];
    go(wide_send, w);
    for (int i = 0; i < w->rounds; i++) {
        int value = -1;
        for (int k = 0; k < WIDE; k++)
            cases[k] = recv_case(k == i % WIDE ? w->chan : w->never, &value);
        CHECK_EQ(gust_select(cases, WIDE, SOON), i % WIDE);
        CHECK_EQ(value, i);
    }
    recv_int(w->done);
}

static int memory_main(void *arg)
{
    struct wide w = {int_chan(0), int_chan(0), int_chan(0), 3000};
    (void)arg;
    wide_round(&w);
    size_t before = mallinfo2().uordblks; /* 0 under the sanitizers */
    wide_round(&w);
    CHECK(mallinfo2().uordblks < before + 100 * 1024);
    gust_chan_unref(w.chan);
    gust_chan_unref(w.never);
    gust_chan_unref(w.done);
    return 0;
}

/* Go's test/chan/select2.go. */
Test(select, thousands_use_no_more_memory_than_one)
{
    test_run(memory_main, NULL);
}
