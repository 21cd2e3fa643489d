/* Sleep, timers and tickers, on top of the timer heaps. */
#include <gust/timer.h>

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "core/inject.h"
#include "core/proc.h"
#include "core/waitq.h"

#define SPAWN_RETRY_NS (1 * GUST_MS)

gust__clock *gust__clock_simulated;

gust_time gust_now(void)
{
    struct timespec ts;
    if (__builtin_expect(gust__clock_simulated != NULL, 0))
        return gust__clock_simulated();
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (gust_time)ts.tv_sec * GUST_SEC + ts.tv_nsec;
}

gust_time gust_after(int64_t ns)
{
    gust_time now = gust_now(), when;
    if (__builtin_add_overflow(now, ns, &when))
        return ns > 0 ? GUST_FOREVER : GUST_NOW;
    return when;
}

/* --- Sleep --------------------------------------------------------------- */

typedef struct sleeper {
    gust__timer timer;
    G *g;
    gust_time when;
} sleeper;

static void sleeper_fire(gust__timer *t)
{
    gust__ready_tail(((sleeper *)t)->g); /* the sleeper's frame may be gone now */
}

/* Commit: the timer is armed only once the goroutine is parked. */
static bool sleeper_arm(G *g, void *arg)
{
    sleeper *s = arg;
    s->g = g;
    gust__timer_set(&s->timer, s->when);
    return true;
}

int gust_sleep_until(gust_time when)
{
    GUST__CALL();
    if (when <= gust_now()) {
        gust_yield();
        return 0;
    }
    if (gust_context_current())
        return gust__wait_nothing(when, WAIT_SLEEP) == -ECANCELED ? -ECANCELED : 0;
    sleeper s = {.timer.fn = sleeper_fire, .when = when};
    gust__park(sleeper_arm, &s, WAIT_SLEEP);
    return 0;
}

int gust_sleep(int64_t ns)
{
    return gust_sleep_until(gust_after(ns));
}

/* --- Timers -------------------------------------------------------------- */

struct gust_timer {
    gust__timer timer;
    gust__spawn spawn;
    _Atomic bool freeing; /* the callback does not arm it again */
};

/* Starts the goroutine; if there is no memory for it now, soon. */
static void timer_fire(gust__timer *base)
{
    gust_timer *t = (gust_timer *)base;
    if (gust__go(&t->spawn) < 0 && !atomic_load_explicit(&t->freeing, memory_order_relaxed))
        gust__timer_set(base, gust_after(SPAWN_RETRY_NS));
}

int gust_timer_new(void (*fn)(void *arg), void *arg, gust_timer **ret_timer)
{
    gust_timer *t = gust__malloc(sizeof *t);
    M *m = gust__m();
    if (!t)
        return -ENOMEM;
    *t = (gust_timer){
        /* The heap it is most likely to be armed in; any will do. */
        .timer = {.fn = timer_fire, .heap = m && m->p ? &m->p->timers : NULL},
        .spawn = {.fn = fn, .arg = arg, .name = "timer", .spawn_pc = __builtin_return_address(0)},
    };
    *ret_timer = t;
    return 0;
}

bool gust_timer_reset(gust_timer *t, gust_time when)
{
    GUST__CALL();
    return gust__timer_set(&t->timer, when);
}

/* The second stop is for a callback that ran during the first one and armed the
 * timer again for want of memory. */
bool gust_timer_stop(gust_timer *t)
{
    GUST__CALL();
    return gust__timer_stop(&t->timer) || gust__timer_stop(&t->timer);
}

/* As with tickers: the first stop waits for a callback that began too early to see
 * the flag, the second takes out what it armed. */
void gust_timer_free(gust_timer *t)
{
    if (!t)
        return;
    GUST__CALL();
    atomic_store_explicit(&t->freeing, true, memory_order_relaxed);
    gust__timer_stop(&t->timer);
    gust__timer_stop(&t->timer);
    free(t);
}

/* --- Tickers ------------------------------------------------------------- */

struct gust_ticker {
    gust__timer timer;
    gust_chan *chan;
    _Atomic int64_t period; /* 0: being stopped, the callback does not arm again */
    gust_time next;         /* the callback's, and the owner's while it is stopped */
};

/* Sends without waiting: a full buffer drops the tick.  Ticks missed altogether
 * (the runtime was busy) are skipped, the phase is kept. */
static void ticker_fire(gust__timer *base)
{
    gust_ticker *t = (gust_ticker *)base;
    gust_time now = gust_now();
    int64_t period = atomic_load_explicit(&t->period, memory_order_relaxed);
    if (period == 0)
        return;
    (void)gust_chan_send(t->chan, &now, GUST_NOW);
    t->next += period * (1 + (now - t->next) / period);
    gust__timer_set(base, t->next);
}

/* The first stop waits for a callback that began before it could see that the
 * period is 0; the second takes out what that callback armed. */
static void ticker_stop(gust_ticker *t)
{
    atomic_store_explicit(&t->period, 0, memory_order_relaxed);
    gust__timer_stop(&t->timer);
    gust__timer_stop(&t->timer);
}

int gust_ticker_reset(gust_ticker *t, int64_t period_ns)
{
    GUST__CALL();
    if (period_ns <= 0)
        return -EINVAL;
    ticker_stop(t);
    atomic_store_explicit(&t->period, period_ns, memory_order_relaxed);
    t->next = gust_after(period_ns);
    gust__timer_set(&t->timer, t->next);
    return 0;
}

int gust_ticker_new(int64_t period_ns, gust_ticker **ret_ticker)
{
    if (period_ns <= 0)
        return -EINVAL;
    gust_ticker *t = gust__calloc(1, sizeof *t);
    if (!t)
        return -ENOMEM;
    int err = gust_chan_new(sizeof(gust_time), 1, &t->chan);
    if (err < 0) {
        free(t);
        return err;
    }
    t->timer.fn = ticker_fire;
    gust_ticker_reset(t, period_ns);
    *ret_ticker = t;
    return 0;
}

gust_chan *gust_ticker_chan(gust_ticker *t)
{
    return t->chan;
}

void gust_ticker_free(gust_ticker *t)
{
    GUST__CALL();
    if (!t)
        return;
    ticker_stop(t);
    gust_chan_unref(t->chan);
    free(t);
}
