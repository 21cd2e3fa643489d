/* Sleep, timers and tickers. */
#ifndef GUST_TIMER_H
#define GUST_TIMER_H

#include <gust/base.h>
#include <gust/chan.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Parks the calling goroutine for at least `ns` nanoseconds (<= 0: yields) and
 * returns 0; -ECANCELED if its context was cancelled first. */
int gust_sleep(int64_t ns);

/* The same until `when`, or a little later. */
int gust_sleep_until(gust_time when);

typedef struct gust_timer gust_timer;

/* Makes a stopped timer that starts fn(arg) in a goroutine of its own each time
 * it fires (Go's time.AfterFunc).  Errors: -ENOMEM. */
int gust_timer_new(void (*fn)(void *arg), void *arg, gust_timer **ret_timer);

/* (Re)arms the timer to fire once at `when`.  Returns true if it was armed. */
bool gust_timer_reset(gust_timer *t, gust_time when);

/* Disarms.  Returns true if the timer was armed: fn will not run for that
 * arming.  False: it has fired, or was not armed. */
bool gust_timer_stop(gust_timer *t);

/* Stops and frees.  NULL is accepted. */
void gust_timer_free(gust_timer *t);

typedef struct gust_ticker gust_ticker;

/* Makes a ticker whose channel gets a gust_time every `period_ns`.  Its buffer
 * holds one tick; ticks nobody took in time are dropped, as in Go.
 * Errors: -EINVAL if period_ns <= 0, -ENOMEM. */
int gust_ticker_new(int64_t period_ns, gust_ticker **ret_ticker);

/* The channel to receive from, element type gust_time; valid until the ticker
 * is freed (take a reference to keep it longer). */
gust_chan *gust_ticker_chan(gust_ticker *t);

/* Changes the period; the next tick comes one new period from now.  By one
 * goroutine at a time.
 * Errors: -EINVAL if period_ns <= 0. */
int gust_ticker_reset(gust_ticker *t, int64_t period_ns);

/* Stops and frees.  The channel is not closed, as in Go.  NULL is accepted. */
void gust_ticker_free(gust_ticker *t);

#ifdef __cplusplus
}
#endif
#endif
