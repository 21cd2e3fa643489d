/* The scheduler's internal interface: G, M, P, park and ready.
 *
 * G is a goroutine, M a thread, P the right to run goroutines (there are
 * gust_maxprocs() of them) together with what makes running them cheap: a run
 * queue, timers, a poller, warm stacks.  An M needs a P to run a G.
 *
 * States of a G, and who makes each transition:
 *   WAITING_START --execute (attaches a stack)--> RUNNING
 *   RUNNABLE      --execute-->                    RUNNING
 *   RUNNING       --gust__park (then commit)-->   PARKED
 *   RUNNING       --gust_yield-->                 RUNNABLE (global queue), unless
 *                                                 nobody else wants the P
 *   RUNNING       --gust_blocking_begin-->        BLOCKING (foreign code)
 *   BLOCKING      --gust_blocking_end-->          RUNNING, or RUNNABLE without a P
 *   PARKED        --gust__ready-->                RUNNABLE
 *   RUNNING       --goexit-->                     DEAD (record reused)
 *
 * docs/architecture.md draws the same for P and M. */
#ifndef GUST_CORE_SCHED_H
#define GUST_CORE_SCHED_H

#include <gust/runtime.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "core/call.h"
#include "core/ctx.h"
#include "core/lock.h"
#include "core/netpoll.h"
#include "core/stack.h"
#include "core/timers.h"

typedef struct gust__p P;

typedef enum gust__gstate {
    G_WAITING_START,
    G_RUNNABLE,
    G_RUNNING,
    G_BLOCKING,
    G_PARKED,
    G_DEAD,
} gust__gstate;

/* Why a goroutine is parked; gust__wait_name gives the words for reports. */
typedef enum gust__wait {
    WAIT_NONE,
    WAIT_CHAN_SEND,
    WAIT_CHAN_RECV,
    WAIT_CHAN_NULL,
    WAIT_SELECT,
    WAIT_MUTEX,
    WAIT_WAITGROUP,
    WAIT_RWMUTEX_READ,
    WAIT_RWMUTEX_WRITE,
    WAIT_COND,
    WAIT_SEMAPHORE,
    WAIT_SLEEP,
    WAIT_IO,
} gust__wait;

const char *gust__wait_name(gust__wait why);

/* Runs on the same thread once the goroutine has left its stack: on g0, or on the
 * stack of the goroutine that runs next (gust__g() is not the one that parks).
 * False: it does not park after all, and goes on, at once or as the P's next.  Must not
 * touch the goroutine's stack once it has
 * published the goroutine to anyone: it may be running again. */
typedef bool gust__commit_fn(G *g, void *arg);

/* Parks the calling goroutine until gust__ready.  What `commit` does comes after
 * the switch and so before any wake-up: publish the waiter, take the lock, call
 * gust__park, and let commit drop the lock. */
void gust__park(gust__commit_fn *commit, void *arg, gust__wait why);

/* Commit function for the usual case: arg is a gust__lock to drop. */
bool gust__park_unlock(G *g, void *arg);

/* Makes a parked goroutine runnable.  Once per park.  Everything the caller
 * wrote before is visible to g when its gust__park returns.
 * gust__ready: it runs next on the current P (takes runnext), for hand-offs.
 * gust__ready_tail: behind the others in the P's queue, for batches.
 * Both wake an idle P if there is surplus work.  Any M with a P; g0 too. */
void gust__ready(G *g);
void gust__ready_tail(G *g);

/* The time at the current P's last look at the clock, a few dispatches ago (0: it
 * never had to look).  For decisions that a timer will correct; from an M with a P. */
gust_time gust__now_recent(void);

/* The clock of a simulation; NULL: CLOCK_MONOTONIC.  Set while no runtime runs.
 * sysmon, which watches threads by the real time, rests while there is one. */
typedef gust_time gust__clock(void);
extern gust__clock *gust__clock_simulated;

/* Is the calling thread an M that has a P, and keeps it until the call is over? */
bool gust__has_p(void);

/* The calling goroutine; NULL on g0 and on foreign threads. */
G *gust__g(void);

/* Yields to the local queue's tail with the current P's next goroutine running
 * first (Go's goyield); used by the mutex's starvation hand-off. */
void gust__yield_local(void);

/* True if spinning for a lock may pay: several Ps, another one running, and
 * this P's queue empty. */
bool gust__can_spin(void);

/* Per-goroutine scratch of select: 0 free, 1 claimed by a waker. */
_Atomic uint32_t *gust__g_select_done(G *g);

/* --- Rarely needed by other files --------------------------------------- */

/* Per M, fast, not for secrets. */
uint32_t gust__rand(void);
uint64_t gust__rand64(void); /* never 0 */
/* The state in which M number `id` begins. */
uint64_t gust__rand_begin(int id);

/* Prints to stderr like printf, a line "gust: ...", then a backtrace and all
 * goroutines; then aborts.  For broken invariants. Signal-handler safe except for
 * the format's own conversions. */
_Noreturn void gust__fatal(const char *format, ...) GUST_PRINTF(1, 2);

/* The end of every report that ends the process: a dump to stderr and abort().
 * `current_too`: with the calling goroutine, or the backtrace if there is none; it
 * has not been reported yet.  If threads come here at
 * the same time, the first one dumps.  Signal handler safe. */
_Noreturn void gust__dump_and_abort(bool current_too);

/* The end of a panic that nobody recovers: prints it and aborts. */
_Noreturn void gust__panic_die(const char *format, va_list args) GUST_PRINTF(1, 0);

/* One line through the log hook. */
void gust__log(const char *format, ...) GUST_PRINTF(1, 2);

#endif
