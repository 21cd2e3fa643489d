/* Locks that park the goroutine, not the thread.
 *
 * All of these are plain structs in the caller's memory; all zeroes is a valid
 * initial state (GUST_MUTEX_INIT and so on say so by name).  They must not be
 * copied once used, nor used outside goroutines. */
#ifndef GUST_SYNC_H
#define GUST_SYNC_H

#include <gust/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Internal to the primitives below: a queue of parked goroutines, and the lock
 * that guards it. */
typedef struct gust__waitlist {
    struct gust__waiter *head;
    struct gust__waiter *tail;
} gust__waitlist;

typedef struct gust__waitq {
    uint32_t lock;
    uint32_t reserved;
    gust__waitlist list;
} gust__waitq;

/* Mutual exclusion, as Go's sync.Mutex: spins briefly, then parks; a waiter
 * that is kept out for 1 ms switches it to starvation mode, where unlock hands
 * the lock to the first waiter directly.  Not tied to a goroutine: any may
 * unlock.  An unlock happens-before the lock that follows it. */
typedef struct gust_mutex {
    uint32_t state;
    uint32_t tokens; /* wake-ups nobody has taken yet; under waiters.lock */
    gust__waitq waiters;
} gust_mutex;

/* clang-format off */
#define GUST_MUTEX_INIT {0}
/* clang-format on */

void gust_mutex_lock(gust_mutex *m);

/* Like gust_mutex_lock, but gives up at `deadline`.
 * Errors: -ETIMEDOUT; -EAGAIN in its place if the deadline was GUST_NOW. */
int gust_mutex_lock_until(gust_mutex *m, gust_time deadline);

/* Panics if m is not locked. */
void gust_mutex_unlock(gust_mutex *m);

/* Waits for a set of goroutines to finish, as Go's sync.WaitGroup.  A done
 * that brings the count to zero happens-before the waits it releases. */
typedef struct gust_waitgroup {
    int64_t count;
    gust__waitq waiters;
} gust_waitgroup;

/* clang-format off */
#define GUST_WAITGROUP_INIT {0}
/* clang-format on */

/* Adds delta, which may be negative.  An add from zero must happen-before the
 * wait.  Panics if the count becomes negative. */
void gust_waitgroup_add(gust_waitgroup *wg, int delta);
void gust_waitgroup_done(gust_waitgroup *wg);

/* Waits until the count is zero.  Errors: -ETIMEDOUT; -EAGAIN in its place if
 * the deadline was GUST_NOW. */
int gust_waitgroup_wait(gust_waitgroup *wg, gust_time deadline);

/* Runs a function exactly once, however many goroutines ask. */
typedef struct gust_once {
    uint32_t done;
    uint32_t reserved;
    gust_mutex mutex;
} gust_once;

/* clang-format off */
#define GUST_ONCE_INIT {0}
/* clang-format on */

/* Calls fn(arg) if no gust_once_do on `o` has done so yet; otherwise waits for
 * that call to return.  fn's return happens-before every return of
 * gust_once_do.  fn must not call gust_once_do on the same `o`. */
void gust_once_do(gust_once *o, void (*fn)(void *arg), void *arg);

#ifdef __cplusplus
}
#endif
#endif
