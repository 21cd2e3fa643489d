/* Channels against what Go's own channel tests check, where test_chan.c and
 * test_chan_many.c do not: each test names the Go test it answers to. */
#include "tests/core/waiters.h"

static const size_t capacities[] = {0, 1, 2, 3, 10, 100};
#define FOR_EACH_CAPACITY(name) for (const size_t *name = capacities; name < capacities + 6; name++)

/* --- What blocks, at every capacity --------------------------------------------- */

struct party {
    gust_chan *chan;
    gust_waitgroup group;
    _Atomic int passed;
};

static void pass_by_recv(void *arg)
{
    struct party *p = arg;
    CHECK_EQ(gust_chan_recv(p->chan, NULL, SOON), 1);
    p->passed++;
    gust_waitgroup_done(&p->group);
}

static int recv_blocks_main(void *arg)
{
    (void)arg;
    FOR_EACH_CAPACITY(capacity)
    {
        struct party p = {.chan = chan_make(sizeof(int), *capacity)};
        gust_case k = recv_case(p.chan, NULL);
        gust_waitgroup_add(&p.group, 2);
        go(pass_by_recv, &p);
        go(pass_by_recv, &p);
        AWAIT(receivers_waiting(p.chan) == 2);
        CHECK_EQ(p.passed, 0);
        CHECK_EQ(gust_chan_recv(p.chan, NULL, GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_select(&k, 1, GUST_NOW), -EAGAIN);
        send_int(p.chan, 0);
        send_int(p.chan, 0);
        CHECK_EQ(gust_waitgroup_wait(&p.group, SOON), 0);
        gust_chan_unref(p.chan);
    }
    return 0;
}

/* Go's TestChan: receive from an empty channel. */
Test(chan, recv_from_an_empty_channel_waits_at_every_capacity)
{
    test_run(recv_blocks_main, NULL);
}

static void pass_by_send(void *arg)
{
    struct party *p = arg;
    send_int(p->chan, -1);
    p->passed++;
    gust_waitgroup_done(&p->group);
}

static int send_blocks_main(void *arg)
{
    (void)arg;
    FOR_EACH_CAPACITY(capacity)
    {
        struct party p = {.chan = chan_make(sizeof(int), *capacity)};
        int value = 7;
        gust_case k = send_case(p.chan, &value);
        for (size_t i = 0; i < *capacity; i++) {
            CHECK_EQ(gust_chan_len(p.chan), i);
            send_int(p.chan, (int)i);
        }
        CHECK_EQ(gust_chan_cap(p.chan), *capacity);
        gust_waitgroup_add(&p.group, 1);
        go(pass_by_send, &p);
        AWAIT(senders_waiting(p.chan) == 1);
        CHECK_EQ(p.passed, 0);
        CHECK_EQ(gust_chan_send(p.chan, &value, GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_select(&k, 1, GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_chan_len(p.chan), *capacity);
        for (size_t i = 0; i < *capacity; i++)
            CHECK_EQ(recv_int(p.chan), i);
        CHECK_EQ(recv_int(p.chan), -1);
        CHECK_EQ(gust_waitgroup_wait(&p.group, SOON), 0);
        gust_chan_unref(p.chan);
    }
    return 0;
}

/* Go's TestChan: send to a full channel, len and cap. */
Test(chan, send_to_a_full_channel_waits_at_every_capacity)
{
    test_run(send_blocks_main, NULL);
}

static void pass_by_close(void *arg)
{
    struct party *p = arg;
    int value = 99;
    CHECK_EQ(gust_chan_recv(p->chan, &value, SOON), 0);
    CHECK_EQ(value, 0);
    gust_waitgroup_done(&p->group);
}

static int close_unblocks_main(void *arg)
{
    (void)arg;
    FOR_EACH_CAPACITY(capacity)
    {
        struct party p = {.chan = chan_make(sizeof(int), *capacity)};
        gust_waitgroup_add(&p.group, 1);
        go(pass_by_close, &p);
        AWAIT(receivers_waiting(p.chan) == 1);
        gust_chan_close(p.chan);
        CHECK_EQ(gust_waitgroup_wait(&p.group, SOON), 0);
        gust_chan_unref(p.chan);
    }
    return 0;
}

/* Go's TestChan: close unblocks receive. */
Test(chan, close_ends_a_recv_at_every_capacity)
{
    test_run(close_unblocks_main, NULL);
}

/* --- Every value once, from everybody ---------------------------------------------- */

enum { CROWD = 4, EACH = 500 };

struct tally {
    gust_chan *chan;
    gust_waitgroup group;
    _Atomic int seen[EACH];
};

static void send_each(void *arg)
{
    struct tally *t = arg;
    for (int i = 0; i < EACH; i++)
        send_int(t->chan, i);
    gust_waitgroup_done(&t->group);
}

static void recv_each(void *arg)
{
    struct tally *t = arg;
    for (int i = 0; i < EACH; i++)
        t->seen[recv_int(t->chan)]++;
    gust_waitgroup_done(&t->group);
}

static int tally_main(void *arg)
{
    (void)arg;
    FOR_EACH_CAPACITY(capacity)
    {
        struct tally t = {.chan = chan_make(sizeof(int), *capacity)};
        gust_waitgroup_add(&t.group, 2 * CROWD);
        for (int i = 0; i < CROWD; i++)
            go(send_each, &t);
        for (int i = 0; i < CROWD; i++)
            go(recv_each, &t);
        CHECK_EQ(gust_waitgroup_wait(&t.group, SOON), 0);
        for (int i = 0; i < EACH; i++)
            CHECK_EQ(t.seen[i], CROWD);
        gust_chan_unref(t.chan);
    }
    return 0;
}

/* Go's TestChan: four senders, four receivers. */
Test(chan, each_value_arrives_once_from_each_of_four_senders)
{
    test_run(tally_main, NULL);
}

static const int primes[] = {2, 3, 7, 11, 13, 17, 19, 23, 27, 31};
enum { WORKERS = 23, PRIMES = 10, JOBS = 20000 };

struct shop {
    gust_chan *jobs, *results;
    gust_waitgroup workers;
    _Atomic int hired;
};

static void work(void *arg)
{
    struct shop *s = arg;
    int awkward = primes[s->hired++ % PRIMES], job;
    while (gust_chan_recv(s->jobs, &job, SOON) == 1) {
        if (job == awkward)
            gust_yield(); /* upsets the order */
        send_int(s->results, job);
    }
    gust_waitgroup_done(&s->workers);
}

static void feed(void *arg)
{
    struct shop *s = arg;
    for (int i = 0; i < JOBS; i++)
        send_int(s->jobs, primes[i % PRIMES]);
    gust_chan_close(s->jobs);
    CHECK_EQ(gust_waitgroup_wait(&s->workers, SOON), 0);
    gust_chan_close(s->results);
}

static int shop_main(void *arg)
{
    struct shop s = {chan_make(sizeof(int), 3 * WORKERS), chan_make(sizeof(int), 3 * WORKERS),
                     GUST_WAITGROUP_INIT, 0};
    int count = 0, result;
    long sum = 0, expected = 0;
    (void)arg;
    gust_waitgroup_add(&s.workers, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        go(work, &s);
    go(feed, &s);
    for (; gust_chan_recv(s.results, &result, SOON) == 1; count++)
        sum += result;
    for (int i = 0; i < JOBS; i++)
        expected += primes[i % PRIMES];
    CHECK_EQ(count, JOBS);
    CHECK_EQ(sum, expected);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(s.jobs);
    gust_chan_unref(s.results);
    return 0;
}

/* Go's TestMultiConsumer. */
Test(chan, workers_between_two_channels_pass_on_every_job)
{
    test_run(shop_main, NULL);
}

/* --- Order ------------------------------------------------------------------------- */

struct place {
    gust_chan *chan;
    int number;
    bool by_select;
};

static void send_place(void *arg)
{
    struct place *p = arg;
    gust_case cases[2] = {send_case(NULL, NULL), send_case(p->chan, &p->number)};
    if (p->by_select)
        CHECK_EQ(gust_select(cases, 2, SOON), 1);
    else
        send_int(p->chan, p->number);
}

static int senders_order_main(void *arg)
{
    struct place places[10];
    gust_chan *c = chan_make(sizeof(int), 0);
    (void)arg;
    for (int i = 0; i < 10; i++) {
        places[i] = (struct place){c, i, i % 3 == 1};
        go(send_place, &places[i]);
        AWAIT(senders_waiting(c) == (size_t)i + 1);
    }
    for (int i = 0; i < 10; i++)
        CHECK_EQ(recv_int(c), i);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(c);
    return 0;
}

/* Go's test/chan/fifo.go. */
Test(chan, senders_without_a_buffer_are_served_in_the_order_they_came)
{
    test_run(senders_order_main, NULL);
}

#ifdef GUST__TSAN
enum { DAISIES = 100 }; /* a stack costs it 10 ms */
#else
enum { DAISIES = 10000 };
#endif

struct daisy {
    gust_chan *left, *right;
};

static void daisy_pass(void *arg)
{
    struct daisy *d = arg;
    send_int(d->left, recv_int(d->right) + 1);
}

static int daisy_main(void *arg)
{
    static struct daisy daisies[DAISIES];
    gust_chan *leftmost = chan_make(sizeof(int), 0), *left = leftmost;
    (void)arg;
    for (int i = 0; i < DAISIES; i++) {
        daisies[i] = (struct daisy){left, chan_make(sizeof(int), 0)};
        go(daisy_pass, &daisies[i]);
        left = daisies[i].right;
    }
    send_int(left, 1);
    CHECK_EQ(recv_int(leftmost), DAISIES + 1);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(leftmost);
    for (int i = 0; i < DAISIES; i++)
        gust_chan_unref(daisies[i].right);
    return 0;
}

/* Go's test/chan/goroutines.go. */
Test(chan, a_chain_of_thousands_hands_one_value_along)
{
    test_run(daisy_main, NULL);
}

/* --- Tries --------------------------------------------------------------------------- */

enum { ELEM_MAX = 24 };

struct meeting {
    gust_chan *chan;
    gust_waitgroup group;
    unsigned char elem[ELEM_MAX];
};

static void meet_by_recv(void *arg)
{
    struct meeting *m = arg;
    CHECK_EQ(gust_chan_recv(m->chan, m->elem, SOON), 1);
    gust_waitgroup_done(&m->group);
}

static void meet_by_send(void *arg)
{
    struct meeting *m = arg;
    CHECK_EQ(gust_chan_send(m->chan, m->elem, SOON), 0);
    gust_waitgroup_done(&m->group);
}

static void elem_fill(unsigned char *elem, size_t size, int seed)
{
    for (size_t i = 0; i < size; i++)
        elem[i] = (unsigned char)(seed + (int)i);
}

static void try_to_send(struct meeting *m, size_t size)
{
    unsigned char sent[ELEM_MAX] = {0};
    memset(m->elem, 0, ELEM_MAX);
    elem_fill(sent, size, 100);
    gust_waitgroup_add(&m->group, 1);
    go(meet_by_recv, m);
    AWAIT(receivers_waiting(m->chan) == 1);
    CHECK_EQ(gust_chan_send(m->chan, sent, GUST_NOW), 0);
    CHECK_EQ(gust_waitgroup_wait(&m->group, SOON), 0);
    CHECK(memcmp(m->elem, sent, ELEM_MAX) == 0); /* and nothing beyond it */
}

static void try_to_recv(struct meeting *m, size_t size)
{
    unsigned char received[ELEM_MAX] = {0};
    memset(m->elem, 0, ELEM_MAX);
    elem_fill(m->elem, size, 30);
    gust_waitgroup_add(&m->group, 1);
    go(meet_by_send, m);
    AWAIT(m->chan->capacity ? gust_chan_len(m->chan) == 1 : senders_waiting(m->chan) == 1);
    CHECK_EQ(gust_chan_recv(m->chan, received, GUST_NOW), 1);
    CHECK_EQ(gust_waitgroup_wait(&m->group, SOON), 0);
    CHECK(memcmp(m->elem, received, ELEM_MAX) == 0);
}

static int tries_main(void *arg)
{
    static const size_t sizes[] = {1, 2, 4, 7, 8, 16, 24};
    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct meeting m = {.chan = chan_make(sizes[i], capacity)};
            CHECK_EQ(gust_chan_recv(m.chan, m.elem, GUST_NOW), -EAGAIN);
            try_to_send(&m, sizes[i]);
            try_to_recv(&m, sizes[i]);
            gust_chan_unref(m.chan);
        }
    }
    return 0;
}

/* Go's test/chan/nonblock.go. */
Test(chan, a_try_meets_who_waits_whatever_the_size_of_the_element)
{
    test_run(tries_main, NULL);
}

/* --- Answers ---------------------------------------------------------------------------
 * One channel per request: who asked drops it as soon as the answer is there, while
 * the sender is still on its way out of the call. */

enum { ASKERS = 20, REQUESTS = 300 };

struct request {
    gust_chan *answer, *cancelled;
};

static void *answer_make(void)
{
    int *cell = malloc(sizeof *cell);
    *cell = 42;
    return cell;
}

static void answer_by_send(void *arg)
{
    struct request r = *(struct request *)arg;
    void *cell = answer_make();
    CHECK_EQ(gust_chan_send(r.answer, &cell, SOON), 0);
}

/* A select comes back to its channels after it was served: it owns them. */
static void answer_by_select(void *arg)
{
    struct request r = *(struct request *)arg;
    void *cell = answer_make();
    gust_case cases[2] = {{.op = GUST_SEND, .chan = r.answer, .elem = &cell},
                          {.op = GUST_RECV, .chan = r.cancelled}};
    CHECK_EQ(gust_select(cases, 2, SOON), 0);
    gust_chan_unref(r.answer);
    gust_chan_unref(r.cancelled);
}

static void ask(bool by_select)
{
    struct request r = {chan_make(sizeof(int *), 0), chan_make(0, 0)};
    int *cell = NULL;
    if (by_select) {
        gust_chan_ref(r.answer);
        gust_chan_ref(r.cancelled);
    }
    go(by_select ? answer_by_select : answer_by_send, &r);
    CHECK_EQ(gust_chan_recv(r.answer, &cell, SOON), 1);
    gust_chan_unref(r.answer);
    gust_chan_unref(r.cancelled);
    gust_yield();
    CHECK_EQ(*cell, 42);
    free(cell);
}

struct askers {
    gust_waitgroup group;
    bool by_select;
};

static void ask_often(void *arg)
{
    struct askers *a = arg;
    for (int i = 0; i < REQUESTS; i++)
        ask(a->by_select);
    gust_waitgroup_done(&a->group);
}

static int askers_main(void *arg)
{
    struct askers a = {.by_select = *(bool *)arg};
    gust_waitgroup_add(&a.group, ASKERS);
    for (int i = 0; i < ASKERS; i++)
        go(ask_often, &a);
    CHECK_EQ(gust_waitgroup_wait(&a.group, SOON), 0);
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

/* Go's TestChanSendBarrier. */
Test(chan, an_answer_arrives_whole_and_its_channel_may_be_dropped_at_once)
{
    bool by_select = false;
    test_run(askers_main, &by_select);
}

/* Go's TestChanSendSelectBarrier. */
Test(chan, an_answer_sent_by_select_arrives_whole)
{
    bool by_select = true;
    test_run(askers_main, &by_select);
}
