/* Helpers of the tests of channels and locks: starting goroutines, seeing who
 * waits where, and random numbers that can be replayed. */
#ifndef GUST_TESTS_CORE_WAITERS_H
#define GUST_TESTS_CORE_WAITERS_H

#include <errno.h>
#include <gust/chan.h>
#include <gust/sync.h>
#include <gust/timer.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/chan.h"
#include "core/waitq.h"
#include "tests/core/calls.h"
#include "tests/harness/test.h"

/* "Soon" for what must happen; only a failing test waits that long. */
#define SOON gust_after(30 * GUST_SEC)

/* For what is only so if nothing is shuffled: order, counts, patience. */
static inline void no_chaos(void)
{
    unsetenv("GUST_CHAOS");
}

static inline void go(void (*fn)(void *arg), void *arg)
{
    CHECK_EQ(gust_go(fn, arg), 0);
}

static inline size_t waiters_count(gust__waitlist *list, gust__lock *lock, gust__rank rank)
{
    size_t count = 0;
    GUST__CALL();
    gust__lock_take(lock, rank);
    for (gust__waiter *w = list->head; w; w = w->next)
        count++;
    gust__lock_drop(lock);
    return count;
}

static inline size_t receivers_waiting(gust_chan *c)
{
    return waiters_count(&c->recvq, &c->lock, RANK_CHAN);
}

static inline size_t senders_waiting(gust_chan *c)
{
    return waiters_count(&c->sendq, &c->lock, RANK_CHAN);
}

static inline size_t queue_len(gust__waitq *q)
{
    return waiters_count(&q->list, waitq_lock(q), RANK_WAITQ);
}

/* Lets others run until a condition holds; the test's own bound ends it. */
#define AWAIT(cond)       \
    do {                  \
        while (!(cond))   \
            gust_yield(); \
    } while (0)

static inline gust_chan *chan_make(size_t elem_size, size_t capacity)
{
    gust_chan *c = NULL;
    CHECK_EQ(gust_chan_new(elem_size, capacity, &c), 0);
    return c;
}

static inline void send_int(gust_chan *c, int value)
{
    CHECK_EQ(gust_chan_send(c, &value, SOON), 0);
}

static inline int recv_int(gust_chan *c)
{
    int value = -1;
    CHECK_EQ(gust_chan_recv(c, &value, SOON), 1);
    return value;
}

static inline gust_case recv_case(gust_chan *c, int *ret_value)
{
    return (gust_case){.op = GUST_RECV, .chan = c, .elem = ret_value};
}

static inline gust_case send_case(gust_chan *c, int *value)
{
    return (gust_case){.op = GUST_SEND, .chan = c, .elem = value};
}

/* GUST_TEST_SEED, else the time; printed, so that a failure can be replayed. */
static inline uint64_t test_seed(void)
{
    const char *text = getenv("GUST_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
    fprintf(stderr, "GUST_TEST_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* splitmix64: the next number of the sequence that `state` stands in. */
static inline uint64_t test_rand(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif
