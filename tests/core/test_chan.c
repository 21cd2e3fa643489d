/* Channels behave as Go's chan_test.go says. */
#include "tests/core/waiters.h"

/* --- Elements and order --------------------------------------------------- */

struct count_up {
    gust_chan *chan;
    int count;
};

static void send_count_up(void *arg)
{
    struct count_up up = *(struct count_up *)arg; /* gone after the last send */
    for (int i = 0; i < up.count; i++)
        send_int(up.chan, i);
}

static int fifo_main(void *arg)
{
    static const size_t capacities[] = {0, 1, 2, 7, 100};
    (void)arg;
    for (size_t i = 0; i < sizeof capacities / sizeof *capacities; i++) {
        struct count_up up = {chan_make(sizeof(int), capacities[i]), 500};
        go(send_count_up, &up);
        for (int k = 0; k < up.count; k++)
            CHECK_EQ(recv_int(up.chan), k);
        gust_chan_unref(up.chan);
    }
    return 0;
}

Test(chan, elements_arrive_in_order_at_every_capacity)
{
    test_run(fifo_main, NULL);
}

static int sizes_main(void *arg)
{
    unsigned char out[70], in[70];
    (void)arg;
    for (size_t size = 0; size <= 64; size++) {
        gust_chan *c = chan_make(size, 3);
        /* Seven elements through three slots: the ring wraps.  Odd addresses. */
        for (int i = 0; i < 7; i++) {
            memset(out, i + 1, sizeof out);
            memset(in, 0, sizeof in);
            CHECK_EQ(gust_chan_send(c, out + 1, GUST_NOW), 0);
            CHECK_EQ(gust_chan_recv(c, in + 1, GUST_NOW), 1);
            CHECK(memcmp(in + 1, out + 1, size) == 0);
            CHECK(in[0] == 0 && in[size + 1] == 0);
        }
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, elements_of_every_size_arrive_whole)
{
    test_run(sizes_main, NULL);
}

struct block {
    char bytes[3000];
};

static void send_blocks(void *arg)
{
    struct block b;
    for (int i = 0; i < 20; i++) {
        memset(&b, i, sizeof b);
        CHECK_EQ(gust_chan_send(arg, &b, SOON), 0);
    }
}

static int large_main(void *arg)
{
    struct block b, expected;
    (void)arg;
    for (size_t capacity = 0; capacity < 3; capacity++) {
        gust_chan *c = chan_make(sizeof(struct block), capacity);
        go(send_blocks, c);
        for (int i = 0; i < 20; i++) {
            memset(&expected, i, sizeof expected);
            CHECK_EQ(gust_chan_recv(c, &b, SOON), 1);
            CHECK(memcmp(&b, &expected, sizeof b) == 0);
        }
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, large_elements_are_handed_over_whole)
{
    test_run(large_main, NULL);
}

static void send_events(void *arg)
{
    for (int i = 0; i < 10; i++)
        CHECK_EQ(gust_chan_send(arg, NULL, SOON), 0);
    gust_chan_close(arg);
}

static int events_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        gust_chan *c = chan_make(0, capacity);
        int count = 0;
        go(send_events, c);
        while (gust_chan_recv(c, NULL, SOON) == 1)
            count++;
        CHECK_EQ(count, 10);
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, elements_without_size_are_events)
{
    test_run(events_main, NULL);
}

static int drop_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 2);
    (void)arg;
    send_int(c, 1);
    send_int(c, 2);
    CHECK_EQ(gust_chan_recv(c, NULL, GUST_NOW), 1);
    CHECK_EQ(recv_int(c), 2);
    gust_chan_unref(c);
    return 0;
}

Test(chan, recv_into_null_drops_the_element)
{
    test_run(drop_main, NULL);
}

/* --- Making and counting --------------------------------------------------- */

Test(chan, sizes_that_overflow_are_refused)
{
    gust_chan *c = NULL;
    cr_assert_eq(gust_chan_new(SIZE_MAX, 2, &c), -EINVAL);
    cr_assert_eq(gust_chan_new(2, SIZE_MAX / 2, &c), -EINVAL);
    cr_assert_eq(gust_chan_new(1, SIZE_MAX, &c), -EINVAL);
    cr_assert_null(c);
}

Test(chan, last_owner_frees_channel_and_buffered_elements)
{
    gust_chan *c = NULL;
    cr_assert_eq(gust_chan_new(16, 4, &c), 0);
    cr_assert_eq(gust_chan_ref(c), c);
    gust_chan_unref(c);
    cr_assert_eq(gust_chan_cap(c), 4);
    gust_chan_unref(c);
    gust_chan_unref(NULL);
}

static int len_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 2);
    int value = 7;
    (void)arg;
    CHECK_EQ(gust_chan_len(NULL), 0);
    CHECK_EQ(gust_chan_cap(NULL), 0);
    CHECK_EQ(gust_chan_cap(c), 2);
    CHECK_EQ(gust_chan_len(c), 0);
    CHECK_EQ(gust_chan_recv(c, &value, GUST_NOW), -EAGAIN);
    CHECK_EQ(value, 7);
    send_int(c, 1);
    send_int(c, 2);
    CHECK_EQ(gust_chan_len(c), 2);
    CHECK_EQ(gust_chan_send(c, &value, GUST_NOW), -EAGAIN);
    CHECK_EQ(recv_int(c), 1);
    CHECK_EQ(gust_chan_len(c), 1);
    gust_chan_unref(c);
    return 0;
}

Test(chan, len_and_cap_tell_when_a_try_fails)
{
    test_run(len_main, NULL);
}

/* --- Who waits, and for whom ----------------------------------------------- */

struct rendezvous {
    gust_chan *chan;
    _Atomic bool returned;
};

static void rendezvous_send(void *arg)
{
    struct rendezvous *r = arg;
    send_int(r->chan, 42);
    r->returned = true;
}

static int rendezvous_main(void *arg)
{
    struct rendezvous r = {.chan = chan_make(sizeof(int), 0)};
    int value = 0;
    (void)arg;
    CHECK_EQ(gust_chan_send(r.chan, &value, GUST_NOW), -EAGAIN);
    go(rendezvous_send, &r);
    AWAIT(senders_waiting(r.chan) == 1);
    CHECK(!r.returned);
    CHECK_EQ(gust_chan_recv(r.chan, &value, GUST_NOW), 1);
    CHECK_EQ(value, 42);
    AWAIT(r.returned);
    gust_chan_unref(r.chan);
    return 0;
}

Test(chan, unbuffered_send_returns_once_a_receiver_has_the_element)
{
    test_run(rendezvous_main, NULL);
}

struct numbered {
    gust_chan *chan;
    gust_chan *results;
    int number;
    int got;
};

static void send_own_number(void *arg)
{
    struct numbered *n = arg;
    send_int(n->chan, n->number);
}

/* Two elements in the ring, three senders behind it. */
static int rotation_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 2);
    struct numbered senders[3];
    (void)arg;
    send_int(c, 0);
    send_int(c, 1);
    for (int i = 0; i < 3; i++) {
        senders[i] = (struct numbered){.chan = c, .number = i + 2};
        go(send_own_number, &senders[i]);
        AWAIT(senders_waiting(c) == (size_t)i + 1);
    }
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(gust_chan_len(c), i < 3 ? 2 : 5 - i);
        CHECK_EQ(recv_int(c), i);
    }
    gust_chan_unref(c);
    return 0;
}

Test(chan, recv_from_full_buffer_lets_the_first_sender_in)
{
    test_run(rotation_main, NULL);
}

static void recv_own_number(void *arg)
{
    struct numbered *n = arg;
    n->got = recv_int(n->chan);
    send_int(n->results, n->number);
}

static int receivers_main(void *arg)
{
    struct numbered receivers[5];
    gust_chan *c = chan_make(sizeof(int), 0);
    gust_chan *results = chan_make(sizeof(int), 5);
    (void)arg;
    for (int i = 0; i < 5; i++) {
        receivers[i] = (struct numbered){.chan = c, .results = results, .number = i};
        go(recv_own_number, &receivers[i]);
        AWAIT(receivers_waiting(c) == (size_t)i + 1);
    }
    for (int i = 0; i < 5; i++)
        send_int(c, 100 + i);
    for (int i = 0; i < 5; i++)
        recv_int(results);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(receivers[i].got, 100 + i);
    gust_chan_unref(c);
    gust_chan_unref(results);
    return 0;
}

Test(chan, receivers_are_served_in_the_order_they_came)
{
    test_run(receivers_main, NULL);
}

/* --- Closing ---------------------------------------------------------------- */

static int drain_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        gust_chan *c = chan_make(sizeof(int), capacity);
        int value = 99;
        for (size_t i = 0; i < capacity; i++)
            send_int(c, (int)i);
        gust_chan_close(c);
        for (size_t i = 0; i < capacity; i++)
            CHECK_EQ(recv_int(c), i);
        for (int i = 0; i < 3; i++) {
            value = 99;
            CHECK_EQ(gust_chan_recv(c, &value, i ? GUST_NOW : GUST_FOREVER), 0);
            CHECK_EQ(value, 0);
            CHECK_EQ(gust_chan_recv(c, NULL, GUST_NOW), 0);
        }
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, recv_drains_before_reporting_close)
{
    test_run(drain_main, NULL);
}

struct closing {
    gust_chan *chan;
    gust_waitgroup group;
    _Atomic int closed;
    int written_before; /* plain on purpose: close must publish it */
};

static void recv_close(void *arg)
{
    struct closing *k = arg;
    int value = 99;
    CHECK_EQ(gust_chan_recv(k->chan, &value, SOON), 0);
    CHECK_EQ(value, 0);
    CHECK_EQ(k->written_before, 5);
    k->closed++;
    gust_waitgroup_done(&k->group);
}

static int close_wakes_main(void *arg)
{
    struct closing k = {.chan = chan_make(sizeof(int), 1)};
    (void)arg;
    gust_waitgroup_add(&k.group, 50);
    for (int i = 0; i < 50; i++)
        go(recv_close, &k);
    AWAIT(receivers_waiting(k.chan) == 50);
    k.written_before = 5;
    gust_chan_close(k.chan);
    CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
    CHECK_EQ(k.closed, 50);
    gust_chan_unref(k.chan);
    return 0;
}

Test(chan, close_wakes_every_receiver)
{
    test_run(close_wakes_main, NULL);
}

/* Go's TestNonblockRecvRace: the buffered element is there before the close, so
 * a try must find either the element or "closed". */
static void recv_never_empty(void *arg)
{
    struct closing *k = arg;
    CHECK(gust_chan_recv(k->chan, NULL, GUST_NOW) >= 0);
    gust_waitgroup_done(&k->group);
}

static int close_race_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3000; i++) {
        struct closing k = {.chan = chan_make(sizeof(int), 1)};
        send_int(k.chan, 1);
        gust_waitgroup_add(&k.group, 1);
        go(recv_never_empty, &k);
        gust_chan_close(k.chan);
        gust_chan_recv(k.chan, NULL, GUST_NOW);
        CHECK_EQ(gust_waitgroup_wait(&k.group, SOON), 0);
        gust_chan_unref(k.chan);
    }
    return 0;
}

Test(chan, a_try_never_sees_a_closing_channel_empty_and_open)
{
    test_run(close_race_main, NULL);
}

/* --- Panics ------------------------------------------------------------------ */

static int send_on_closed_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    int value = 1;
    gust_chan_close(c);
    gust_chan_send(c, &value, *(gust_time *)arg);
    return 0;
}

Test(chan, send_on_closed_channel_panics, .signal = SIGABRT)
{
    gust_time deadline = GUST_FOREVER;
    gust_run(send_on_closed_main, &deadline);
}

Test(chan, try_send_on_closed_channel_panics, .signal = SIGABRT)
{
    gust_time deadline = GUST_NOW;
    gust_run(send_on_closed_main, &deadline);
}

static void send_forever(void *arg)
{
    int value = 1;
    gust_chan_send(arg, &value, GUST_FOREVER);
}

/* Left by the panic only: a channel that was not closed under the sender makes
 * the receive below succeed, and the test fails by returning. */
static int close_under_sender_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    (void)arg;
    go(send_forever, c);
    AWAIT(senders_waiting(c) == 1);
    gust_chan_close(c);
    gust_sleep(5 * GUST_SEC);
    return 0;
}

Test(chan, close_makes_a_parked_sender_panic, .signal = SIGABRT)
{
    gust_run(close_under_sender_main, NULL);
}

static int close_twice_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 0);
    (void)arg;
    gust_chan_close(c);
    gust_chan_close(c);
    return 0;
}

Test(chan, close_of_closed_channel_panics, .signal = SIGABRT)
{
    gust_run(close_twice_main, NULL);
}

static int close_null_main(void *arg)
{
    gust_chan_close(arg);
    return 0;
}

Test(chan, close_of_null_channel_panics, .signal = SIGABRT)
{
    gust_run(close_null_main, NULL);
}

/* --- Deadlines ----------------------------------------------------------------- */

static int null_main(void *arg)
{
    gust_time deadline = gust_after(2 * GUST_MS);
    int value = 1;
    (void)arg;
    CHECK_EQ(gust_chan_send(NULL, &value, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_chan_recv(NULL, &value, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_chan_recv(NULL, &value, 1), -ETIMEDOUT);
    CHECK_EQ(gust_chan_send(NULL, &value, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    deadline = gust_after(2 * GUST_MS);
    CHECK_EQ(gust_chan_recv(NULL, &value, deadline), -ETIMEDOUT);
    CHECK(gust_now() >= deadline);
    return 0;
}

Test(chan, null_channel_blocks_until_the_deadline)
{
    test_run(null_main, NULL);
}

static int deadline_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        gust_chan *c = chan_make(sizeof(int), capacity);
        gust_time deadline = gust_after(2 * GUST_MS);
        int value = 5;
        CHECK_EQ(gust_chan_recv(c, &value, deadline), -ETIMEDOUT);
        CHECK(gust_now() >= deadline);
        CHECK_EQ(value, 5);
        CHECK_EQ(receivers_waiting(c), 0);
        for (size_t i = 0; i < capacity; i++)
            send_int(c, 0);
        deadline = gust_after(2 * GUST_MS);
        CHECK_EQ(gust_chan_send(c, &value, deadline), -ETIMEDOUT);
        CHECK(gust_now() >= deadline);
        CHECK_EQ(senders_waiting(c), 0);
        CHECK_EQ(gust_chan_len(c), capacity);
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, a_wait_ends_at_its_deadline_and_leaves_no_trace)
{
    test_run(deadline_main, NULL);
}

static int past_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    int value = 5;
    (void)arg;
    CHECK_EQ(gust_chan_send(c, &value, 1), 0);
    CHECK_EQ(gust_chan_send(c, &value, 1), -ETIMEDOUT);
    CHECK_EQ(gust_chan_recv(c, &value, 1), 1);
    CHECK_EQ(gust_chan_recv(c, &value, 1), -ETIMEDOUT);
    CHECK_EQ(gust_chan_recv(c, &value, -1), -ETIMEDOUT);
    CHECK_EQ(gust_chan_recv(c, &value, GUST_NOW), -EAGAIN);
    gust_chan_unref(c);
    return 0;
}

Test(chan, a_past_deadline_tries_once)
{
    test_run(past_main, NULL);
}

static int early_main(void *arg)
{
    struct count_up up = {chan_make(sizeof(int), 0), 1000};
    (void)arg;
    go(send_count_up, &up);
    for (int i = 0; i < up.count; i++)
        CHECK_EQ(recv_int(up.chan), i);
    gust_chan_unref(up.chan);
    return 0;
}

Test(chan, a_deadline_that_does_not_come_changes_nothing)
{
    test_run(early_main, NULL);
}
