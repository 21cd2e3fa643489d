/* Cancellations that race with what is waited for: each wait ends in one way, and
 * nothing is lost, doubled, or left in use. */
#include <poll.h>

#include "tests/core/contexts.h"
#include "tests/core/sockets.h"

#define WORKERS 8

/* --- Channels ---------------------------------------------------------------------- */

#define ROUNDS 1500

struct market {
    gust_chan *chans[3];
    target targets[WORKERS];
    gust_waitgroup workers;
    _Atomic int next;
    _Atomic int value; /* every element is another */
    _Atomic int64_t sent, sent_sum, received, received_sum;
    _Atomic int canceled;
    uint64_t seed;
};

static void count_sent(struct market *m, int value)
{
    m->sent++;
    m->sent_sum += value;
}

static void count_received(struct market *m, int value)
{
    m->received++;
    m->received_sum += value;
}

static gust_time some_deadline(uint64_t *rand)
{
    switch (test_rand(rand) % 4) {
    case 0: return gust_after((int64_t)(test_rand(rand) % 50) * GUST_US);
    case 1: return test_rand(rand) % 4 ? SOON : GUST_NOW;
    }
    return GUST_FOREVER;
}

static int trade_select(struct market *m, uint64_t *rand, int value)
{
    int in = -1;
    gust_case cases[3] = {send_case(m->chans[test_rand(rand) % 3], &value),
                          recv_case(m->chans[test_rand(rand) % 3], &in), recv_case(NULL, NULL)};
    int chosen = gust_select(cases, 3, some_deadline(rand));
    if (chosen == 0)
        count_sent(m, value);
    else if (chosen == 1)
        count_received(m, in);
    return chosen;
}

/* Negative: why it failed. */
static int trade(struct market *m, uint64_t *rand)
{
    gust_chan *c = m->chans[test_rand(rand) % 3];
    int result, value = m->value++;
    switch (test_rand(rand) % 3) {
    case 0:
        if ((result = gust_chan_send(c, &value, some_deadline(rand))) == 0)
            count_sent(m, value);
        return result;
    case 1:
        if ((result = gust_chan_recv(c, &value, some_deadline(rand))) == 1)
            count_received(m, value);
        return result;
    }
    return trade_select(m, rand, value);
}

static void trader(void *arg)
{
    struct market *m = arg;
    int number = m->next++;
    uint64_t rand = m->seed + (uint64_t)number;
    target_renew(&m->targets[number]);
    for (int i = 0; i < ROUNDS; i++) {
        int result = trade(m, &rand);
        CHECK(result >= 0 || result == -ECANCELED || result == -ETIMEDOUT || result == -EAGAIN);
        CHECK(result != -ECANCELED || gust_context_err(gust_context_current()));
        if (gust_context_err(gust_context_current())) {
            m->canceled += result == -ECANCELED;
            target_renew(&m->targets[number]);
        }
    }
    CHECK_EQ(waits_under(gust_context_current()), 0);
    target_leave(&m->targets[number]);
    gust_waitgroup_done(&m->workers);
}

/* Runs a scenario, which returns how many waits were cancelled, `times` times; and then
 * until there was one: on a busy machine the sniper may come too late for all. */
static void until_hit(int (*scenario)(uint64_t seed), uint64_t *seed, int times)
{
    const gust_time until = SOON;
    int canceled = 0;
    for (int i = 0; i < times || canceled == 0; i++) {
        CHECK(i < times || gust_now() < until);
        canceled += scenario((*seed)++);
    }
}

static int market_run(uint64_t seed)
{
    struct market m = {.seed = seed};
    int value;
    for (size_t i = 0; i < 3; i++)
        m.chans[i] = chan_make(sizeof(int), i);
    gust_waitgroup_add(&m.workers, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        go(trader, &m);
    sniper s = {.targets = m.targets,
                .count = WORKERS,
                .rand = m.seed,
                .pause_ns_max = 20 * GUST_US,
                .workers = &m.workers};
    sniper_start(&s);
    sniper_end(&s);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(receivers_waiting(m.chans[i]), 0);
        CHECK_EQ(senders_waiting(m.chans[i]), 0);
        while (gust_chan_recv(m.chans[i], &value, GUST_NOW) == 1)
            count_received(&m, value);
        gust_chan_unref(m.chans[i]);
    }
    CHECK_EQ(m.sent, m.received);
    CHECK_EQ(m.sent_sum, m.received_sum);
    return m.canceled;
}

static int market_main(void *arg)
{
    until_hit(market_run, arg, 1);
    return 0;
}

Test(cancel_race, channels_and_selects_lose_and_double_nothing)
{
    uint64_t seed = test_seed();
    test_run(market_main, &seed);
}

/* --- Mutexes, wait groups, sleep ----------------------------------------------------- */

struct bench {
    gust_mutex mutex;
    int owners; /* plain, under mutex */
    gust_waitgroup group;
    target targets[WORKERS];
    gust_waitgroup workers, keeper;
    _Atomic int next, canceled;
    uint64_t seed;
};

static int lock_some(struct bench *b, uint64_t *rand)
{
    int error = 0;
    if (test_rand(rand) % 8 == 0)
        gust_mutex_lock(&b->mutex);
    else
        error = gust_mutex_lock_until(&b->mutex, some_deadline(rand));
    if (error)
        return error;
    CHECK_EQ(b->owners++, 0);
    if (test_rand(rand) % 2)
        gust_yield();
    CHECK_EQ(--b->owners, 0);
    gust_mutex_unlock(&b->mutex);
    return 0;
}

static int sleep_some(uint64_t *rand)
{
    gust_time until = gust_after((int64_t)(test_rand(rand) % 60) * GUST_US);
    int error = gust_sleep_until(until);
    CHECK(error == -ECANCELED || gust_now() >= until);
    return error;
}

static int work_some(struct bench *b, uint64_t *rand)
{
    switch (test_rand(rand) % 3) {
    case 0: return lock_some(b, rand);
    case 1: return sleep_some(rand);
    }
    return gust_waitgroup_wait(&b->group, some_deadline(rand));
}

static void bench_worker(void *arg)
{
    struct bench *b = arg;
    int number = b->next++;
    uint64_t rand = b->seed + (uint64_t)number;
    target_renew(&b->targets[number]);
    for (int i = 0; i < ROUNDS; i++) {
        int error = work_some(b, &rand);
        CHECK(error == 0 || error == -ECANCELED || error == -ETIMEDOUT || error == -EAGAIN);
        if (gust_context_err(gust_context_current())) {
            b->canceled += error == -ECANCELED;
            target_renew(&b->targets[number]);
        }
    }
    CHECK_EQ(waits_under(gust_context_current()), 0);
    target_leave(&b->targets[number]);
    gust_waitgroup_done(&b->workers);
}

/* Opens and shuts the wait group all the time. */
static void group_keeper(void *arg)
{
    struct bench *b = arg;
    while (gust_waitgroup_wait(&b->workers, GUST_NOW) < 0) {
        gust_waitgroup_add(&b->group, 1);
        gust_sleep(30 * GUST_US);
        gust_waitgroup_done(&b->group);
        gust_yield();
    }
    gust_waitgroup_done(&b->keeper);
}

static int bench_run(uint64_t seed)
{
    struct bench b = {.seed = seed};
    gust_waitgroup_add(&b.keeper, 1);
    gust_waitgroup_add(&b.workers, WORKERS);
    for (int i = 0; i < WORKERS; i++)
        go(bench_worker, &b);
    sniper s = {.targets = b.targets,
                .count = WORKERS,
                .rand = b.seed,
                .pause_ns_max = 20 * GUST_US,
                .workers = &b.workers};
    go(group_keeper, &b);
    sniper_start(&s);
    sniper_end(&s);
    CHECK_EQ(gust_waitgroup_wait(&b.keeper, SOON), 0);
    CHECK_EQ(queue_len(&b.group.waiters), 0);
    CHECK_EQ(b.mutex.state, 0);
    CHECK_EQ(b.mutex.tokens, 0);
    CHECK_EQ(queue_len(&b.mutex.waiters), 0);
    return b.canceled;
}

static int bench_main(void *arg)
{
    until_hit(bench_run, arg, 1);
    return 0;
}

Test(cancel_race, mutexes_wait_groups_and_sleeps_stay_whole)
{
    uint64_t seed = test_seed();
    test_run(bench_main, &seed);
}

/* --- Bytes ----------------------------------------------------------------------------- */

#define STREAM_BYTES 60000
#define RECORDS 40 /* of the last operations, which nobody may touch any more */

struct stream {
    pair pair;
    target targets[2];
    gust_waitgroup workers;
    uint64_t seed;
    _Atomic int canceled;
};

static char byte_at(size_t i)
{
    return (char)((i * 2654435761U) >> 13);
}

struct record {
    gust__op op;
    char buf[3000];
};

/* What the kernel or a poller still had would show. */
static void retire(struct record *r)
{
    CHECK_EQ(gust__op_state_now(&r->op), GUST__OP_DONE);
    memset(r, 0xe7, sizeof *r);
}

static void check_retired(const struct record *r)
{
    for (size_t i = 0; i < sizeof *r; i++)
        CHECK_EQ(((const unsigned char *)r)[i], 0xe7);
}

static struct record *records_new(void)
{
    struct record *all = malloc(RECORDS * sizeof *all);
    memset(all, 0xe7, RECORDS * sizeof *all);
    return all;
}

static int stream_op(struct stream *s, struct record *r, int side, uint64_t *rand)
{
    gust_time deadline =
        test_rand(rand) % 3 ? GUST_FOREVER : gust_after((int64_t)(test_rand(rand) % 30000));
    int res = gust__op_wait(&r->op, NULL, deadline);
    CHECK(res > 0 || res == -ECANCELED || res == -ETIMEDOUT);
    if (gust_context_err(gust_context_current())) {
        s->canceled += res == -ECANCELED;
        target_renew(&s->targets[side]);
    }
    return res;
}

static void stream_sender(void *arg)
{
    struct stream *s = arg;
    struct record *all = records_new();
    uint64_t rand = s->seed;
    size_t at = 0;
    target_renew(&s->targets[0]);
    for (int i = 0; at < STREAM_BYTES; i = (i + 1) % RECORDS) {
        struct record *r = &all[i];
        size_t len = 1 + test_rand(&rand) % sizeof r->buf;
        check_retired(r);
        len = len < STREAM_BYTES - at ? len : STREAM_BYTES - at;
        for (size_t k = 0; k < len; k++)
            r->buf[k] = byte_at(at + k);
        r->op = op_send(&s->pair.a, r->buf, len);
        int res = stream_op(s, r, 0, &rand);
        at += res > 0 ? (size_t)res : 0;
        retire(r);
    }
    free(all);
    target_leave(&s->targets[0]);
    gust_waitgroup_done(&s->workers);
}

static void stream_receiver(void *arg)
{
    struct stream *s = arg;
    struct record *all = records_new();
    uint64_t rand = s->seed + 1;
    size_t at = 0;
    target_renew(&s->targets[1]);
    for (int i = 0; at < STREAM_BYTES; i = (i + 1) % RECORDS) {
        struct record *r = &all[i];
        bool pick = test_rand(&rand) % 3 == 0;
        check_retired(r);
        r->op = pick ? op_recv_picked(&s->pair.b) : op_recv(&s->pair.b, r->buf, 700);
        int res = stream_op(s, r, 1, &rand);
        const char *got = res > 0 && pick ? r->op.picked->data : r->buf;
        for (int k = 0; k < res; k++)
            CHECK_EQ(got[k], byte_at(at++));
        if (res > 0 && pick)
            gust__buf_put(r->op.picked);
        retire(r);
    }
    free(all);
    target_leave(&s->targets[1]);
    gust_waitgroup_done(&s->workers);
}

static void stream_run(struct stream *s)
{
    char byte;
    const int small = 4096;
    setsockopt(s->pair.a.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    gust_waitgroup_add(&s->workers, 2);
    go(stream_sender, s);
    go(stream_receiver, s);
    sniper sn = {.targets = s->targets,
                 .count = 2,
                 .rand = s->seed,
                 .pause_ns_max = 50 * GUST_US,
                 .workers = &s->workers};
    sniper_start(&sn);
    sniper_end(&sn);
    CHECK(recv(s->pair.b.fd, &byte, 1, MSG_DONTWAIT) < 0); /* nothing more was sent */
    pair_close(&s->pair);
}

static int stream_once(uint64_t seed)
{
    struct stream s = {.seed = seed};
    if (seed % 2)
        tcp_pair_open(&s.pair);
    else
        pair_open(&s.pair);
    stream_run(&s);
    return s.canceled;
}

static int stream_main(void *arg)
{
    until_hit(stream_once, arg, 6);
    return 0;
}

Test(cancel_race, streams_lose_and_double_no_byte)
{
    uint64_t seed = test_seed();
    test_run(stream_main, &seed);
}

/* --- Connections ------------------------------------------------------------------------ */

#define CALLS 300

/* Dialers send a byte once they are connected and wait for the answer; those cut
 * short close.  So exactly as many bytes must arrive as connects succeeded.  The
 * answer bounds how many are on their way: with a backlog that is full the kernel
 * completes a connect long before there is something to accept. */
struct exchange {
    gust__fd listener;
    struct sockaddr_in addr;
    target targets[3];
    gust_waitgroup workers, dialers;
    _Atomic int connected, served, canceled;
    uint64_t seed;
};

static void ask(struct exchange *x, gust__fd *f)
{
    gust_context *own = gust_context_swap(NULL);
    x->connected++;
    put_byte(f, 'x');
    expect_byte(f, 'y');
    gust_context_swap(own);
}

static void dial_once(struct exchange *x, int number, uint64_t *rand)
{
    gust__fd f;
    gust__op op = {.code = GUST__OP_CONNECT,
                   .fd = &f,
                   .addr = (struct sockaddr *)&x->addr,
                   .addr_len = sizeof x->addr};
    CHECK_EQ(gust__fd_init(&f, tcp_socket()), 0);
    int res = gust__op_wait(&op, NULL, test_rand(rand) % 2 ? GUST_FOREVER : SOON);
    CHECK_EQ(gust__op_state_now(&op), GUST__OP_DONE);
    CHECK(res == 0 || res == -ECANCELED);
    if (res == 0)
        ask(x, &f);
    if (gust_context_err(gust_context_current())) {
        x->canceled += res == -ECANCELED;
        target_renew(&x->targets[number]);
    }
    gust__fd_close(&f);
}

static void dial_many(struct exchange *x, int number)
{
    uint64_t rand = x->seed + (uint64_t)number;
    target_renew(&x->targets[number]);
    for (int i = 0; i < CALLS; i++)
        dial_once(x, number, &rand);
    target_leave(&x->targets[number]);
    gust_waitgroup_done(&x->dialers);
    gust_waitgroup_done(&x->workers);
}

static void dial_first(void *x)
{
    dial_many(x, 0);
}

static void dial_second(void *x)
{
    dial_many(x, 1);
}

static void serve(struct exchange *x, int fd)
{
    gust__fd f;
    char byte;
    gust_context *own = gust_context_swap(NULL);
    CHECK_EQ(gust__fd_init(&f, fd), 0);
    int n = do_recv(&f, &byte, 1, SOON);
    if (n == 1) {
        x->served++;
        put_byte(&f, 'y');
    }
    CHECK(n == 0 || n == 1 || n == -ECONNRESET);
    gust__fd_close(&f);
    gust_context_swap(own);
}

static void accept_all(void *arg)
{
    struct exchange *x = arg;
    target_renew(&x->targets[2]);
    for (;;) {
        bool last = gust_waitgroup_wait(&x->dialers, GUST_NOW) == 0;
        gust__op op = {.code = GUST__OP_ACCEPT, .fd = &x->listener};
        int fd = gust__op_wait(&op, NULL, last ? GUST_NOW : GUST_FOREVER);
        CHECK_EQ(gust__op_state_now(&op), GUST__OP_DONE);
        if (fd >= 0)
            serve(x, fd);
        else if (last)
            break;
        if (gust_context_err(gust_context_current())) {
            x->canceled += fd == -ECANCELED;
            target_renew(&x->targets[2]);
        }
    }
    target_leave(&x->targets[2]);
    gust_waitgroup_done(&x->workers);
}

static int exchange_run(uint64_t seed)
{
    struct exchange x = {.seed = seed};
    CHECK_EQ(gust__fd_init(&x.listener, tcp_listen(&x.addr)), 0);
    gust_waitgroup_add(&x.dialers, 2);
    gust_waitgroup_add(&x.workers, 3);
    go(dial_first, &x);
    go(dial_second, &x);
    go(accept_all, &x);
    sniper s = {.targets = x.targets,
                .count = 3,
                .rand = x.seed,
                .pause_ns_max = 60 * GUST_US,
                .workers = &x.workers};
    sniper_start(&s);
    sniper_end(&s);
    CHECK_EQ(x.connected, x.served);
    gust__fd_close(&x.listener);
    return x.canceled;
}

static int exchange_main(void *arg)
{
    until_hit(exchange_run, arg, 1);
    return 0;
}

Test(cancel_race, accepts_and_connects_lose_no_connection)
{
    uint64_t seed = test_seed();
    test_run(exchange_main, &seed);
}
