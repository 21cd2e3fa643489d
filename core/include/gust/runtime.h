/* The runtime: starting it, goroutines, and calls that block in foreign code.
 *
 * A goroutine is a function on its own stack, multiplexed with all others onto
 * at most gust_maxprocs() running threads.  It may continue on another thread
 * after any gust call, so no thread-local address may live across one. */
#ifndef GUST_RUNTIME_H
#define GUST_RUNTIME_H

#include <gust/base.h>
#include <gust/panic.h>

struct gust_context; /* gust/context.h */

#ifdef __cplusplus
extern "C" {
#endif

/* Starts the runtime on the calling thread, runs main_fn(arg) as its first
 * goroutine and returns that function's value once it returns.  Goroutines
 * still running then are abandoned, as when Go's main returns: wait for those
 * whose work matters.  May be called again after it returned.
 *
 * Environment: GUST_MAXPROCS, GUST_NETPOLL (auto, uring, sqpoll, epoll),
 * GUST_SQPOLL_IDLE_MS (how long the kernel's thread of sqpoll stays awake for nothing),
 * GUST_STACK_SIZE (bytes), GUST_STACK_GUARD (auto, madvise, mprotect, none),
 * GUST_SCHEDTRACE (milliseconds, see <gust/debug.h>).
 * Errors: -EINVAL if one of these cannot be understood, -EBUSY if a runtime is
 * running already (or one of its threads never came back from foreign code),
 * -ENOMEM, -EAGAIN and what io_uring_setup(2) or epoll_create1(2) answer.  The
 * reason is logged.  Blocks until main_fn returns; not from a goroutine. */
int gust_run(int (*main_fn)(void *arg), void *arg);

/* Starts fn(arg) as a goroutine and returns at once.  The goroutine ends when fn
 * returns or calls gust_goexit.  It inherits the caller's context.  What the caller
 * wrote before is visible to fn (the spawn happens-before the first statement of fn).
 * Errors: -ENOMEM.  Only from a goroutine. */
int gust_go(void (*fn)(void *arg), void *arg);

/* How gust_go_with starts a goroutine; zeroes are the defaults. */
typedef struct gust_go_options {
    const char *name;             /* borrowed for the goroutine's life; shown in reports */
    size_t stack_size;            /* bytes, rounded up to pages; 0: GUST_STACK_SIZE or 256 KiB */
    struct gust_context *context; /* what it runs under; NULL: the caller's context.  The
                                     goroutine takes a reference of its own */
} gust_go_options;

/* gust_go with options.  Errors: -ENOMEM, -EINVAL if stack_size is below 16
 * KiB or above 1 GiB. */
int gust_go_with(const gust_go_options *options, void (*fn)(void *arg), void *arg);

/* Lets other goroutines run; the caller goes to the end of the global queue, as
 * with Go's runtime.Gosched, or to that of the only P's.  Only from a goroutine. */
void gust_yield(void);

/* Yields if the caller has used up its time slice (10 ms) or somebody waits for
 * its P; else costs about a nanosecond.  For loops that compute for long and call
 * nothing else of gust; without it they lose their P and go on as plain threads,
 * which is safe too, but slower to come back from.  Any thread. */
void gust_yield_if_needed(void);

/* Ends the calling goroutine, from any depth of calls and recover scopes, once its
 * deferred functions have run (<gust/panic.h>).  Its stack is reused: nothing may
 * point into it.  In the main goroutine: gust_run does not return, the others go on,
 * and when none is left that is a deadlock, as in Go. */
GUST_NORETURN void gust_goexit(void);

/* The caller's goroutine number, from 1 (the main one); 0 outside goroutines.
 * Never reused within a gust_run. */
uint64_t gust_goid(void);

/* The number of Ps: how many goroutines run at the same time at most.  Set by
 * GUST_MAXPROCS, else the CPUs this process may use (affinity mask and cgroup
 * CPU quota).  0 before the first gust_run.  Any thread. */
int gust_maxprocs(void);

/* Goroutines that exist now: waiting to start, runnable, running and parked.
 * A snapshot; what those did that it no longer counts is visible to the caller.
 * Any thread. */
size_t gust_num_goroutines(void);

/* "io_uring", "sqpoll" or "epoll": what the running runtime polls with; "" before. */
const char *gust_netpoll_name(void);

/* Announces a stretch of foreign code that may block the thread (a plain
 * read, getaddrinfo, a database call).  The P is handed to another thread if
 * the stretch outlasts a sysmon tick (20 us to 10 ms) and the P has work.
 * Between begin and end only non-gust code may run.  Calls do not nest.
 * Neither call blocks, except that end may wait for a P to become free.
 * Only from a goroutine.  The errno of the foreign call must be read before
 * gust_blocking_end. */
void gust_blocking_begin(void);
void gust_blocking_end(void);

/* Wires the calling goroutine to its thread, as Go's runtime.LockOSThread: it runs
 * on no other, and no other goroutine runs there, until it has called unlock as
 * often as lock.  For libraries that keep state per thread (OpenGL, credentials,
 * namespaces).  Each park then costs two switches of threads.  If the goroutine
 * ends while locked its thread is not used again.  unlock panics if the caller is
 * not locked.  Only from a goroutine. */
void gust_lock_os_thread(void);
void gust_unlock_os_thread(void);

/* Where the library says what an operator may need to know (which poller was
 * chosen, a fallback taken).  NULL restores the default, one line on stderr.
 * `line` has no newline and is borrowed for the call.  May be called from any
 * thread of the runtime, so the hook must not block and must not call gust.
 * Set it before gust_run. */
typedef void gust_log_fn(const char *line);
void gust_set_log(gust_log_fn *hook);

#ifdef __cplusplus
}
#endif
#endif
