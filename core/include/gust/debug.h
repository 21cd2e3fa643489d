/* Seeing inside: dumps of all goroutines, leaks, and statistics.
 *
 * A dump names every goroutine, what it waits for and since when, where it is
 * parked and where it was started:
 *
 *     goroutine 17 ("reader") [chan receive, 3.2 s]:
 *       ./server(gust_chan_recv+0x5e)[0x55d0c1a3c1de]
 *       ./server(+0x41d2)[0x55d0c1a391d2]
 *       started at ./server(+0x4305)[0x55d0c1a39305]
 *
 * (`addr2line -fe ./server 0x41d2` names a function that is not exported.)  The
 * process writes one to stderr before it aborts for a reason of its own, and when
 * it gets SIGQUIT, of which it then dies, as a Go program does; unless the program
 * had an action for SIGQUIT before gust_run or asked for it by gust_signal_notify.
 *
 * With GUST_SCHEDTRACE=ms in the environment, a line about the scheduler goes to
 * stderr every so many milliseconds. */
#ifndef GUST_DEBUG_H
#define GUST_DEBUG_H

#include <gust/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a dump to `fd`: the calling goroutine first, if there is one, then all
 * others, at most 1000 in full and the number of the rest.
 *
 * Goroutines go on meanwhile, so the states are of slightly different moments; a
 * running one has no backtrace but the caller's.  Times are as coarse as the clock
 * they began by: up to a millisecond when Ps are busy, up to 10 after idle times;
 * less than one is not shown.  Backtraces of others need process_vm_readv(2).
 * Async-signal-safe; any thread, between the beginning and the end of gust_run. */
void gust_dump_goroutines(int fd);

/* --- Leaks --------------------------------------------------------------- */

/* A moment; gust_leaks_end tells which goroutines are younger. */
typedef struct gust_leaks {
    uint32_t generation;
} gust_leaks;

/* From here on.  May be nested, and never needs an end.  Any thread, in a
 * gust_run. */
void gust_leaks_begin(gust_leaks *ret_leaks);

/* Goroutines that were started since `begun` and still exist, without the caller:
 * waits until there is none, but not longer than `deadline`, and writes those that
 * are left to `fd` as a dump does; fd < 0: writes nothing.  Returns how many.
 * Parks.  Only from a goroutine. */
size_t gust_leaks_end(const gust_leaks *begun, int fd, gust_time deadline);

/* --- Statistics ---------------------------------------------------------- */

/* Bucket i counts the delays from 2^i up to 2^(i+1) nanoseconds; the first one
 * also those below, the last one also those above. */
#define GUST_RUN_DELAY_BUCKETS 40

/* What happened since gust_run began, summed over all Ps and threads. */
typedef struct gust_stats {
    uint64_t spawns;      /* goroutines started, the main one included */
    uint64_t steals;      /* times a P took goroutines from another one's queue */
    uint64_t wakes;       /* idle Ps woken for surplus work */
    uint64_t spins;       /* times a thread began to look for work at others' */
    uint64_t sleeps;      /* times a thread went to sleep in its poller */
    uint64_t threads;     /* started, the first one included */
    uint64_t retakes;     /* Ps taken from announced blocking calls */
    uint64_t demotions;   /* Ps taken from goroutines in user or foreign code */
    uint64_t preemptions; /* goroutines that yielded because they had had their time */
    uint64_t handoffs;    /* Ps that sysmon gave to another thread: both of the above */
    /* How long goroutines that something woke were runnable before they ran: of
     * every 64th on each P. */
    uint64_t run_delay[GUST_RUN_DELAY_BUCKETS];
} gust_stats;

/* Fills *ret_stats; all zero outside of gust_run.  Each number is exact, but they
 * are not of the same moment.  Any thread. */
void gust_stats_read(gust_stats *ret_stats);

/* The delay, in nanoseconds, that the share `q` (0 to 1) of the sampled goroutines
 * did not exceed, rounded up to the end of its bucket.  0 without samples. */
int64_t gust_stats_run_delay_quantile(const gust_stats *stats, double q);

#ifdef __cplusplus
}
#endif
#endif
