/* For tests that have each call of a kind fail in turn (core/inject.h). */
#ifndef GUST_TESTS_CORE_FAILURES_H
#define GUST_TESTS_CORE_FAILURES_H

#include <errno.h>
#include <gust/chan.h>
#include <gust/runtime.h>

#include "core/ctx.h"
#include "core/inject.h"
#include "tests/harness/test.h"

#ifdef GUST_DEBUG

/* More calls of one kind than any scenario makes. */
#define CALLS_MAX 3000

/* What a call may answer when the system has refused something. */
static inline bool is_refusal(int error)
{
    return error == -ENOMEM || error == -EAGAIN || error == -EMFILE || error == -ENOSPC ||
           error == -EBUSY || error == -EINTR;
}

/* What the other end sees of it: the connection ends. */
static inline bool is_hang_up(int n)
{
    return n == 0 || n == -ECONNRESET || n == -EPIPE;
}

/* True if a call has done its work; else it must have been refused. */
static inline bool served(int result)
{
    if (!is_refusal(result))
        CHECK_EQ(result < 0 ? result : 0, 0);
    return result >= 0;
}

/* The same for a transfer: the other end may have been refused something, and closed. */
static inline bool moved(ssize_t n)
{
    return !is_hang_up((int)n) && served((int)n);
}

static inline void wait_for_close(void *chan)
{
    CHECK_EQ(gust_chan_recv(chan, NULL, GUST_FOREVER), 0);
}

/* Starts goroutines until there is no record left for another; they end when chan is
 * closed.  Refuses all memory from here on, until gust__inject_disarm. */
static inline void use_up_goroutines(gust_chan *chan)
{
    int error = 0;
    gust__inject_arm(INJECT_MALLOC, 1, INJECT_FOR_EVER);
    while (!error)
        error = gust_go(wait_for_close, chan);
    CHECK_EQ(error, -ENOMEM);
}

static inline void quiet(const char *line)
{
    (void)line;
}

/* Which call is to fail after the nth. */
static inline int next_nth(int nth)
{
#ifdef GUST__TSAN
    return nth + 1 + nth / 8; /* a goroutine is a thousand times as dear there */
#else
    return nth + 1;
#endif
}

/* Has calls of a kind fail, `times` in a row, from the nth on, for all n. */
static inline void fail_each(gust__inject_kind kind, uint64_t times, int (*scenario)(void *arg))
{
    uint64_t failed = 1;
    int nth = 1;
    gust_set_log(quiet);
    for (; failed > 0; nth = next_nth(nth)) {
        cr_assert_lt(nth, CALLS_MAX);
        gust__inject_arm(kind, (uint64_t)nth, times);
        int result = gust_run(scenario, NULL);
        failed = gust__inject_disarm();
        cr_assert(result == 0 || (failed > 0 && is_refusal(result)), "%s:%d: %d",
                  gust__inject_name(kind), nth, result);
        if (failed > 0 && nth % 8 < 2) {
            result = gust_run(scenario, NULL);
            cr_assert_eq(result, 0, "after %s:%d: %d", gust__inject_name(kind), nth, result);
        }
    }
    gust_set_log(NULL);
    cr_assert_eq(gust_run(scenario, NULL), 0);
}

#endif
#endif
