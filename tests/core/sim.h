/* A simulated poller and clock, for tests that real sockets cannot do twice in the
 * same way.
 *
 * Time stands still while goroutines run and jumps to the next event when none can,
 * so a timeout of a minute takes microseconds.  What the kernel would decide by
 * chance is drawn from a seed: when a request is looked at, how many bytes it moves,
 * when its completion is reported and in which order, and whether a cancellation
 * comes in time.  With one P and no sysmon nothing else is left to chance: the same
 * seed gives the same run, which the trace shows.
 *
 * Descriptors are real ones, since net makes, shuts down and closes them by itself;
 * any stream of two sockets that knows no network will do (socketpair).  Listening
 * and connecting TCP sockets work too: a simulated connect looks for the listener of
 * that port, and turns the socket into one end of a socketpair.
 *
 * If nothing can ever happen again, the program is ended: "the simulation stands
 * still".  A loop that yields while it waits for a time would never end either: only
 * a P that is out of work lets time pass (but for a microsecond at every 32nd
 * dispatch while operations are in flight). */
#ifndef GUST_TESTS_CORE_SIM_H
#define GUST_TESTS_CORE_SIM_H

#include <gust/base.h>
#include <stdint.h>

/* Who wins if a cancellation finds an operation that could just be done. */
typedef enum sim_cancel {
    SIM_CANCEL_RANDOM,
    SIM_CANCEL_WINS,
    SIM_CANCEL_LOSES,
} sim_cancel;

/* Zeroes: no delays, all bytes at once, random cancellations. */
typedef struct sim_options {
    uint64_t seed;
    int64_t delay_ns_max; /* of each of: looking at a request, doing it, reporting it */
    size_t bytes_max;     /* that one step moves; 0: no limit */
    sim_cancel cancel;
} sim_options;

/* gust_run in a simulation; checks that it returns 0. */
void sim_run(const sim_options *options, int (*main_fn)(void *arg), void *arg);

/* Changes these in a running simulation. */
void sim_delay(int64_t delay_ns_max);
void sim_cancels(sim_cancel who);

/* The next number of the run's sequence, below `bound`. */
uint64_t sim_rand(uint64_t bound);

/* Adds a line to the trace, with the time. */
void sim_note(const char *format, ...) GUST_PRINTF(1, 2);

/* What has happened in the last run; valid until the next. */
const char *sim_trace(void);

/* Runs the scenario for `count` seeds (a tenth of it under a sanitizer), or for
 * GUST_TEST_SEED alone.  A failure prints the seed to standard error before the
 * program ends. */
void sim_seeds(sim_options options, int count, int (*main_fn)(void *arg), void *arg);

#endif
