/* Select behaves as Go's chan_test.go says. */
#include "tests/core/waiters.h"

/* --- One select -------------------------------------------------------------- */

static int ready_main(void *arg)
{
    gust_chan *empty = chan_make(sizeof(int), 1), *full = chan_make(sizeof(int), 1);
    int in = 0, out = 7;
    gust_case cases[2];
    (void)arg;
    send_int(full, 3);
    for (int i = 0; i < 20; i++) {
        cases[0] = recv_case(empty, &in);
        cases[1] = recv_case(full, &in);
        CHECK_EQ(gust_select(cases, 2, SOON), 1);
        CHECK(cases[1].received && in == 3);
        cases[0] = send_case(full, &in);
        cases[1] = recv_case(empty, &in);
        CHECK_EQ(gust_select(cases, 2, SOON), 0);
        cases[0] = recv_case(empty, &in);
        cases[1] = send_case(full, &out);
        CHECK_EQ(gust_select(cases, 2, GUST_NOW), -EAGAIN);
    }
    gust_chan_unref(empty);
    gust_chan_unref(full);
    return 0;
}

Test(select, takes_the_only_case_that_can_proceed)
{
    test_run_without_leaks(ready_main, NULL);
}

static int closed_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 2);
    int in = 9;
    gust_case k = recv_case(c, &in);
    (void)arg;
    send_int(c, 4);
    gust_chan_close(c);
    CHECK_EQ(gust_select(&k, 1, SOON), 0);
    CHECK(k.received && in == 4);
    CHECK_EQ(gust_select(&k, 1, SOON), 0);
    CHECK(!k.received && in == 0);
    k.elem = NULL;
    CHECK_EQ(gust_select(&k, 1, GUST_NOW), 0);
    CHECK(!k.received);
    gust_chan_unref(c);
    return 0;
}

Test(select, recv_from_closed_channel_proceeds_with_zeroes)
{
    test_run_without_leaks(closed_main, NULL);
}

static int nothing_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    gust_time deadline = gust_after(2 * GUST_MS);
    int in = 0;
    gust_case cases[3] = {recv_case(NULL, &in), send_case(NULL, &in), recv_case(c, &in)};
    (void)arg;
    CHECK_EQ(gust_select(NULL, 0, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_select(NULL, 0, 1), -ETIMEDOUT);
    CHECK_EQ(gust_select(NULL, 0, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_select(cases, 2, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_select(cases, 3, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    CHECK_EQ(receivers_waiting(c), 0);
    CHECK_EQ(gust_select(cases, 3, GUST_NOW), -EAGAIN);
    gust_chan_unref(c);
    return 0;
}

Test(select, sleeps_until_the_deadline_if_nothing_can_proceed)
{
    test_run_without_leaks(nothing_main, NULL);
}

static int past_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    int value = 6;
    gust_case k = send_case(c, &value);
    (void)arg;
    CHECK_EQ(gust_select(&k, 1, 1), 0);
    CHECK_EQ(gust_select(&k, 1, 1), -ETIMEDOUT);
    CHECK_EQ(recv_int(c), 6);
    gust_chan_unref(c);
    return 0;
}

Test(select, a_past_deadline_tries_once)
{
    test_run_without_leaks(past_main, NULL);
}

static int null_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    int value = 1;
    (void)arg;
    for (int i = 0; i < 200; i++) {
        gust_case cases[3] = {send_case(NULL, &value), send_case(c, &value),
                              recv_case(NULL, &value)};
        CHECK_EQ(gust_select(cases, 3, SOON), 1);
        CHECK_EQ(recv_int(c), 1);
    }
    gust_chan_unref(c);
    return 0;
}

Test(select, never_chooses_a_null_channel)
{
    test_run_without_leaks(null_main, NULL);
}

/* --- Waking up ----------------------------------------------------------------- */

struct waking {
    gust_chan *chans[3];
    gust_waitgroup group;
    int chosen, value;
    bool received;
};

static void select_one(void *arg)
{
    struct waking *w = arg;
    gust_case cases[3];
    for (int i = 0; i < 3; i++)
        cases[i] = recv_case(w->chans[i], &w->value);
    w->chosen = gust_select(cases, 3, SOON);
    CHECK(w->chosen >= 0);
    w->received = cases[w->chosen].received;
    gust_waitgroup_done(&w->group);
}

static void waking_start(struct waking *w)
{
    gust_waitgroup_add(&w->group, 1);
    go(select_one, w);
    for (int i = 0; i < 3; i++)
        AWAIT(receivers_waiting(w->chans[i]) == 1);
}

static void waking_check(struct waking *w, int chosen, bool received, int value)
{
    CHECK_EQ(gust_waitgroup_wait(&w->group, SOON), 0);
    CHECK_EQ(w->chosen, chosen);
    CHECK_EQ(w->received, received);
    CHECK_EQ(w->value, value);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(receivers_waiting(w->chans[i]), 0);
}

static int waking_main(void *arg)
{
    struct waking w = {.chosen = -1};
    (void)arg;
    for (int i = 0; i < 3; i++)
        w.chans[i] = chan_make(sizeof(int), (size_t)i);
    for (int i = 0; i < 3; i++) {
        waking_start(&w);
        send_int(w.chans[i], 10 + i);
        waking_check(&w, i, true, 10 + i);
    }
    waking_start(&w);
    gust_chan_close(w.chans[1]);
    waking_check(&w, 1, false, 0);
    for (int i = 0; i < 3; i++)
        gust_chan_unref(w.chans[i]);
    return 0;
}

Test(select, the_case_that_woke_it_is_chosen_and_the_others_are_withdrawn)
{
    test_run_without_leaks(waking_main, NULL);
}

/* Go's TestSelectDuplicateChannel. */
static void select_duplicate(void *arg)
{
    struct waking *w = arg;
    gust_case cases[3] = {recv_case(w->chans[0], &w->value), recv_case(w->chans[0], &w->value),
                          recv_case(w->chans[1], &w->value)};
    w->chosen = gust_select(cases, 3, SOON);
    gust_waitgroup_done(&w->group);
}

static int duplicate_main(void *arg)
{
    struct waking w = {.chans = {chan_make(sizeof(int), 0), chan_make(sizeof(int), 0)}};
    (void)arg;
    gust_waitgroup_add(&w.group, 1);
    go(select_duplicate, &w);
    AWAIT(receivers_waiting(w.chans[0]) == 2 && receivers_waiting(w.chans[1]) == 1);
    send_int(w.chans[0], 5);
    CHECK_EQ(gust_waitgroup_wait(&w.group, SOON), 0);
    CHECK(w.chosen == 0 || w.chosen == 1);
    CHECK_EQ(w.value, 5);
    CHECK_EQ(receivers_waiting(w.chans[0]), 0);
    CHECK_EQ(gust_chan_send(w.chans[0], &w.value, GUST_NOW), -EAGAIN);
    gust_chan_unref(w.chans[0]);
    gust_chan_unref(w.chans[1]);
    return 0;
}

Test(select, the_same_channel_may_stand_in_several_cases)
{
    test_run_without_leaks(duplicate_main, NULL);
}

static int own_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    int in = 0, out = 1;
    gust_case cases[2] = {send_case(c, &out), recv_case(c, &in)};
    (void)arg;
    CHECK_EQ(gust_select(cases, 2, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_select(cases, 2, gust_after(2 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(in, 0);
    gust_chan_unref(c);
    return 0;
}

Test(select, does_not_receive_what_it_sends_itself)
{
    test_run_without_leaks(own_main, NULL);
}

/* --- Panics --------------------------------------------------------------------- */

static int send_closed_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    int value = 1;
    gust_case k = send_case(c, &value);
    (void)arg;
    gust_chan_close(c);
    gust_select(&k, 1, GUST_NOW);
    return 0;
}

Test(select, a_chosen_send_on_a_closed_channel_panics, .signal = SIGABRT)
{
    gust_run(send_closed_main, NULL);
}

static void select_send(void *arg)
{
    int value = 1;
    gust_case cases[2] = {send_case(arg, &value), send_case(NULL, &value)};
    gust_select(cases, 2, GUST_FOREVER);
}

static int close_under_select_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    (void)arg;
    go(select_send, c);
    AWAIT(senders_waiting(c) == 1);
    gust_chan_close(c);
    gust_sleep(5 * GUST_SEC);
    return 0;
}

Test(select, close_makes_a_parked_send_case_panic, .signal = SIGABRT)
{
    gust_run(close_under_select_main, NULL);
}

/* --- Chance ----------------------------------------------------------------------- */

/* Within five standard deviations of a fair die with `sides` sides. */
static void check_fair(const int *hits, int sides, int throws)
{
    for (int i = 0; i < sides; i++) {
        double off = hits[i] - (double)throws / sides;
        double variance = (double)throws / sides * (1 - 1.0 / sides);
        CHECK(off * off <= 25 * variance);
    }
}

/* Two to five cases that are ready, behind none or one that is not. */
static void check_uniform(gust_chan **chans, int ready, int blocked)
{
    enum { THROWS = 10000 };
    int hits[5] = {0};
    for (int i = 0; i < THROWS; i++) {
        gust_case cases[6] = {recv_case(chans[0], NULL)};
        for (int k = 0; k < ready; k++)
            cases[blocked + k] = send_case(chans[k], NULL);
        int chosen = gust_select(cases, (size_t)(blocked + ready), SOON) - blocked;
        CHECK(chosen >= 0);
        hits[chosen]++;
        CHECK_EQ(gust_chan_recv(chans[chosen], NULL, GUST_NOW), 1);
    }
    check_fair(hits, ready, THROWS);
}

static int uniform_main(void *arg)
{
    gust_chan *chans[5];
    (void)arg;
    for (int i = 0; i < 5; i++)
        chans[i] = chan_make(0, 1);
    for (int ready = 2; ready <= 5; ready++) {
        check_uniform(chans, ready, 0);
        check_uniform(chans, ready, 1);
    }
    for (int i = 0; i < 5; i++)
        gust_chan_unref(chans[i]);
    return 0;
}

Test(select, chooses_uniformly_among_ready_cases)
{
    test_run_without_leaks(uniform_main, NULL);
}

static int weighted_main(void *arg)
{
    enum { THROWS = 10000 };
    gust_chan *a = chan_make(0, 1), *b = chan_make(0, 1);
    int hits[3] = {0};
    (void)arg;
    gust_chan_close(a);
    gust_chan_close(b);
    for (int i = 0; i < THROWS; i++) {
        gust_case cases[3] = {recv_case(a, NULL), recv_case(a, NULL), recv_case(b, NULL)};
        hits[gust_select(cases, 3, SOON)]++;
    }
    check_fair(hits, 3, THROWS);
    gust_chan_unref(a);
    gust_chan_unref(b);
    return 0;
}

Test(select, chance_is_per_case_not_per_channel)
{
    test_run_without_leaks(weighted_main, NULL);
}

/* --- Many cases -------------------------------------------------------------------- */

static int many_main(void *arg)
{
    static const size_t counts[] = {15, 16, 17, 100, GUST_SELECT_MAX};
    static gust_case cases[GUST_SELECT_MAX];
    static gust_chan *chans[GUST_SELECT_MAX];
    (void)arg;
    for (size_t i = 0; i < GUST_SELECT_MAX; i++)
        chans[i] = chan_make(0, 1);
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) {
        for (size_t i = 0; i < counts[n]; i++)
            cases[i] = recv_case(chans[i], NULL);
        CHECK_EQ(gust_select(cases, counts[n], GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_select(cases, counts[n], gust_after(100 * GUST_US)), -ETIMEDOUT);
        for (size_t i = 0; i < counts[n]; i += 7) {
            CHECK_EQ(gust_chan_send(chans[i], NULL, GUST_NOW), 0);
            CHECK_EQ(gust_select(cases, counts[n], GUST_NOW), i);
        }
    }
    for (size_t i = 0; i < GUST_SELECT_MAX; i++)
        gust_chan_unref(chans[i]);
    return 0;
}

Test(select, takes_up_to_its_maximum_of_cases)
{
    test_run_without_leaks(many_main, NULL);
}

static int too_many_main(void *arg)
{
    static gust_case cases[GUST_SELECT_MAX + 1];
    (void)arg;
    CHECK_EQ(gust_select(cases, GUST_SELECT_MAX + 1, GUST_NOW), -EINVAL);
    return 0;
}

Test(select, more_cases_than_the_maximum_are_refused)
{
    test_run_without_leaks(too_many_main, NULL);
}
