/* Panics: how a bug ends what it is in, and nothing else if somebody says so.
 *
 * gust_panic, and the misuses that gust answers with one (a send on a closed
 * channel, an unlock of a mutex that is not locked), stop the program, unless the
 * goroutine is in a recover scope: then they end the innermost one.
 *
 *     static void work(void *arg)
 *     {
 *         struct job *job = arg;
 *         gust_mutex_lock(&job->mutex);
 *         gust_defer(job_unlock, job);
 *         ...
 *     }
 *     if (gust_recover(work, job, &info))
 *         gust_panic_log(&info, "job");
 *
 * The stack is left at once, as by longjmp(3): C has no destructors, so what the
 * functions on it hold stays held unless a deferred function releases it.  Scopes
 * are for the places where one request's bug must not end the others.
 *
 * Not recoverable: broken invariants of gust itself, faults, deadlocks, and a panic
 * where no goroutine's code runs. */
#ifndef GUST_PANIC_H
#define GUST_PANIC_H

#include <gust/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUST_PANIC_MESSAGE_MAX 256 /* bytes, the NUL included */
#define GUST_PANIC_FRAMES_MAX 32

/* What a recovered panic was. */
typedef struct gust_panic_info {
    uint64_t goid; /* of the goroutine that panicked: the caller of gust_recover */
    size_t frame_count;
    void *frames[GUST_PANIC_FRAMES_MAX];  /* return addresses, innermost first, for
                                             backtrace_symbols(3) or addr2line(1) */
    char message[GUST_PANIC_MESSAGE_MAX]; /* cut to fit */
} gust_panic_info;

/* Panics with a message.  Ends the innermost recover scope of the goroutine; without
 * one prints the message, the goroutine, where it was started and a backtrace, and
 * aborts.  For broken contracts, not for errors a caller can handle.  Recovered
 * between gust_blocking_begin and gust_blocking_end, it ends that stretch too. */
GUST_NORETURN void gust_panic(const char *format, ...) GUST_PRINTF(1, 2);

/* Runs fn(arg) in a recover scope.  False: it returned.  True: it panicked, its
 * stack is gone, and *ret_info (unless NULL) says why.
 *
 * Scopes nest.  Between the panic and the return of gust_recover the deferred
 * functions run, on the stack of the panic: what they are given may lie in the
 * frames that are about to go.  If one of them panics, the others still run, and
 * that panic is the one reported.  Local variables of the caller keep their values,
 * as its frame is not touched; those of fn are gone.
 * Costs about 20 ns.  Only from a goroutine. */
bool gust_recover(void (*fn)(void *arg), void *arg, gust_panic_info *ret_info);

/* The same for a caller who has no room for the info: seen(info, seen_arg) is
 * called for every panic that reaches this scope, on the stack of the panic, before
 * the deferred functions.  It must not panic.  NULL: nobody wants to know. */
typedef void gust_panic_seen_fn(const gust_panic_info *info, void *arg);
bool gust_recover_with(void (*fn)(void *arg), void *arg, gust_panic_seen_fn *seen, void *seen_arg);

/* Has fn(arg) called when the innermost recover scope ends, be it by return or by
 * a panic, or the goroutine by gust_goexit; outside of any scope when the goroutine
 * ends.  The last deferred is called first, each once, in user code: it may block.
 * If the scope's function returns, that happens after: what `arg` points to must
 * outlive its frame.
 * Errors: -ENOMEM: fn will not be called.  Only from a goroutine. */
int gust_defer(void (*fn)(void *arg), void *arg);

/* Says through the log hook what a recovered panic was: a line "WHAT: panic:
 * MESSAGE (goroutine N)" and one for each frame. */
void gust_panic_log(const gust_panic_info *info, const char *what);

#ifdef __cplusplus
}
#endif
#endif
