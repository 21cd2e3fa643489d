/* Channels under many goroutines: patterns of Go programs, and crowds whose sums
 * must come out. */
#include "tests/core/waiters.h"

/* --- Patterns ----------------------------------------------------------------- */

struct pair {
    gust_chan *ping, *pong;
    int rounds;
};

static void answer(void *arg)
{
    struct pair p = *(struct pair *)arg; /* gone after the last send */
    for (int i = 0; i < p.rounds; i++)
        send_int(p.pong, recv_int(p.ping) + 1);
}

static int ping_pong_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 2; capacity++) {
        struct pair p = {chan_make(sizeof(int), capacity), chan_make(sizeof(int), capacity), 5000};
        go(answer, &p);
        for (int i = 0; i < p.rounds; i++) {
            send_int(p.ping, i);
            CHECK_EQ(recv_int(p.pong), i + 1);
        }
        gust_chan_unref(p.ping);
        gust_chan_unref(p.pong);
    }
    return 0;
}

Test(chan, ping_pong)
{
    test_run(ping_pong_main, NULL);
}

struct numbered {
    gust_chan *chan;
    int number;
};

static void send_own_number(void *arg)
{
    struct numbered *n = arg;
    send_int(n->chan, n->number);
}

static int fan_in_main(void *arg)
{
    static struct numbered senders[1000];
    gust_chan *c = chan_make(sizeof(int), 0);
    long long sum = 0;
    (void)arg;
    for (int i = 0; i < 1000; i++) {
        senders[i] = (struct numbered){.chan = c, .number = i};
        go(send_own_number, &senders[i]);
    }
    for (int i = 0; i < 1000; i++)
        sum += recv_int(c);
    CHECK_EQ(sum, 999 * 1000 / 2);
    gust_chan_unref(c);
    return 0;
}

Test(chan, a_thousand_goroutines_send_to_one)
{
    test_run(fan_in_main, NULL);
}

/* The prime sieve of the Go tutorial: a chain of filters that grows. */
struct filter {
    gust_chan *in, *out;
    int prime;
};

static void filter_run(void *arg)
{
    struct filter *f = arg;
    int value;
    while (gust_chan_recv(f->in, &value, SOON) == 1)
        if (value % f->prime)
            send_int(f->out, value);
    gust_chan_close(f->out);
    gust_chan_unref(f->in);
}

static void generate(void *arg)
{
    for (int i = 2; i <= 541; i++)
        send_int(arg, i);
    gust_chan_close(arg);
}

static int sieve_main(void *arg)
{
    static struct filter filters[100];
    gust_chan *c = chan_make(sizeof(int), 0);
    int prime = 0;
    (void)arg;
    go(generate, c);
    for (int i = 0; i < 100; i++) {
        prime = recv_int(c);
        filters[i] = (struct filter){c, chan_make(sizeof(int), 0), prime};
        go(filter_run, &filters[i]);
        c = filters[i].out;
    }
    CHECK_EQ(prime, 541);
    CHECK_EQ(gust_chan_recv(c, NULL, SOON), 0);
    gust_chan_unref(c);
    AWAIT(gust_num_goroutines() == 1);
    return 0;
}

Test(chan, prime_sieve)
{
    test_run(sieve_main, NULL);
}

/* --- Crowds -------------------------------------------------------------------- */

struct job {
    uint64_t value;
    uint64_t check; /* ~value: a torn copy shows */
};

struct crowd {
    gust_chan *chan;
    gust_waitgroup producers, consumers;
    _Atomic uint64_t sent, received; /* sums */
    _Atomic long sent_count, received_count;
    _Atomic uint64_t seed;
    int rounds;
    bool timed;
};

/* A timed crowd gives up often: about as long as an exchange takes. */
static gust_time crowd_deadline(const struct crowd *w, uint64_t *rand)
{
    return w->timed ? gust_after((int64_t)(test_rand(rand) % 50) * GUST_US) : SOON;
}

static void produce(void *arg)
{
    struct crowd *w = arg;
    uint64_t rand = atomic_fetch_add(&w->seed, 1) << 32;
    for (int i = 0; i < w->rounds; i++) {
        uint64_t value = test_rand(&rand);
        struct job job = {value, ~value};
        int err = gust_chan_send(w->chan, &job, crowd_deadline(w, &rand));
        CHECK(err == 0 || (w->timed && err == -ETIMEDOUT));
        if (err == 0) {
            w->sent += value;
            w->sent_count++;
        }
        if (value % 16 == 0)
            gust_yield();
    }
    gust_waitgroup_done(&w->producers);
}

static void consume(void *arg)
{
    struct crowd *w = arg;
    uint64_t rand = atomic_fetch_add(&w->seed, 1) << 32;
    for (;;) {
        struct job job;
        int got = gust_chan_recv(w->chan, &job, crowd_deadline(w, &rand));
        if (got == 0)
            break;
        CHECK(got == 1 || (w->timed && got == -ETIMEDOUT));
        if (got == 1) {
            CHECK(job.check == ~job.value);
            w->received += job.value;
            w->received_count++;
        }
    }
    gust_waitgroup_done(&w->consumers);
}

static void crowd_run(struct crowd *w, size_t capacity, int producers, int consumers)
{
    w->chan = chan_make(sizeof(struct job), capacity);
    gust_waitgroup_add(&w->producers, producers);
    gust_waitgroup_add(&w->consumers, consumers);
    for (int i = 0; i < producers; i++)
        go(produce, w);
    for (int i = 0; i < consumers; i++)
        go(consume, w);
    CHECK_EQ(gust_waitgroup_wait(&w->producers, SOON), 0);
    gust_chan_close(w->chan);
    CHECK_EQ(gust_waitgroup_wait(&w->consumers, SOON), 0);
    CHECK_EQ(w->sent_count, w->received_count);
    CHECK(w->sent == w->received);
    CHECK_EQ(gust_chan_len(w->chan), 0);
    gust_chan_unref(w->chan);
}

static int crowd_main(void *arg)
{
    static const size_t capacities[] = {0, 1, 5};
    uint64_t seed = *(uint64_t *)arg;
    for (size_t i = 0; i < 3; i++) {
        struct crowd w = {.rounds = 500, .seed = seed};
        crowd_run(&w, capacities[i], 7, 5);
        CHECK_EQ(w.sent_count, 7 * 500);
    }
    return 0;
}

Test(chan, producers_and_consumers_lose_and_double_nothing)
{
    uint64_t seed = test_seed();
    test_run(crowd_main, &seed);
}

static int timed_crowd_main(void *arg)
{
    static const size_t capacities[] = {0, 1, 5};
    uint64_t seed = *(uint64_t *)arg;
    for (size_t i = 0; i < 3; i++) {
        struct crowd w = {.rounds = 300, .seed = seed, .timed = true};
        crowd_run(&w, capacities[i], 6, 6);
    }
    return 0;
}

Test(chan, deadlines_racing_with_hand_overs_lose_and_double_nothing)
{
    uint64_t seed = test_seed();
    test_run(timed_crowd_main, &seed);
}

/* The element is a pointer; what it points to is plain memory.  ThreadSanitizer
 * sees whether the channel orders the accesses. */
static void send_pointers(void *arg)
{
    for (int i = 0; i < 200; i++) {
        int *cell = malloc(sizeof *cell);
        *cell = i;
        CHECK_EQ(gust_chan_send(arg, &cell, SOON), 0);
    }
}

static int publish_main(void *arg)
{
    (void)arg;
    for (size_t capacity = 0; capacity < 4; capacity++) {
        gust_chan *c = chan_make(sizeof(int *), capacity);
        go(send_pointers, c);
        for (int i = 0; i < 200; i++) {
            int *cell = NULL;
            CHECK_EQ(gust_chan_recv(c, &cell, SOON), 1);
            CHECK_EQ(*cell, i);
            free(cell);
        }
        gust_chan_unref(c);
    }
    return 0;
}

Test(chan, a_send_publishes_what_was_written_before)
{
    test_run(publish_main, NULL);
}
