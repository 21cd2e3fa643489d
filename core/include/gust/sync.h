/* Locks that park the goroutine, not the thread; semaphores, once, pools.
 *
 * All but gust_pool are plain structs in the caller's memory; all zeroes is a
 * valid initial state (GUST_MUTEX_INIT and so on say so by name).  They must not
 * be copied once used, nor used outside goroutines.
 *
 * Waiting.  Every call that waits takes a deadline and can fail:
 *   -ETIMEDOUT  the deadline came first; -EAGAIN in its place if the deadline was
 *               GUST_NOW (such a call is a try);
 *   -ECANCELED  the goroutine's context was cancelled while it would have had to
 *               wait.
 * A call that need not wait succeeds whatever its deadline and context are.  After
 * an error the caller has nothing, and is in no queue.  The calls without a
 * deadline that return nothing (gust_mutex_lock, gust_rwmutex_rdlock and wrlock,
 * gust_once_do) wait for as long as it takes, even if the context is cancelled.
 *
 * Memory model.  It is Go's (go.dev/ref/mem) in C11's terms.  A data race, two
 * accesses to the same memory of which one writes, neither is atomic and neither
 * happens-before the other, is undefined behaviour, as it is between threads.
 * "A is before B" below is C11's synchronizes-with: what was done before A is
 * visible after B.  Together with the order of each goroutine's own statements
 * these edges make happens-before:
 *   goroutine   gust_go is before the first statement of the new goroutine.  The
 *               end of a goroutine is before nothing: use a wait group or a channel.
 *   channel     see gust/chan.h.
 *   mutex       the n-th unlock is before the return of the (n+1)-th lock.  A lock
 *               that failed has no edge.
 *   rwmutex     for every rdlock there is an n: the n-th wrunlock is before its
 *               return, and its rdunlock is before the return of the (n+1)-th
 *               wrlock.
 *   waitgroup   every done (an add that lowers the count) is before the return of
 *               each wait that its zero releases.
 *   cond        a signal or broadcast is before the return of each wait it ends.
 *   semaphore   a release is before the return of every acquire that comes after
 *               it in the order in which they took effect.
 *   once        the return of fn is before every return of gust_once_do or
 *               gust_once_value_get on that once.
 *   pool        a put, or make's return, is before the return of the get that
 *               returns that item.
 *   timer       gust_timer_reset, or the making of a ticker, is before what it
 *               starts.
 *   atomics     C11's, with any of its orders, between goroutines as between
 *               threads.  Those of memory_order_seq_cst, the default, behave as
 *               Go's sync/atomic: one total order, and a read is after the write it
 *               sees.  A goroutine that goes on in another thread takes everything
 *               it did with it.
 * Nothing else orders two goroutines; neither gust_yield nor gust_sleep, nor that
 * both ran on one thread. */
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

/* The rest of what follows in line, for a mutex that is not simply free or held
 * with nobody waiting; and all of it with a single P (gust__solo), where calls that
 * need no locked instruction cost less than the two in line. */
void gust__mutex_lock_slow(gust_mutex *m);
void gust__mutex_unlock_slow(gust_mutex *m);
extern bool gust__solo;

/* Waits as long as it takes, also if the goroutine's context is cancelled. */
static inline void gust_mutex_lock(gust_mutex *m)
{
    uint32_t state = 0;
    if (gust__solo || !__atomic_compare_exchange_n(&m->state, &state, 1, false, __ATOMIC_ACQUIRE,
                                                   __ATOMIC_RELAXED))
        gust__mutex_lock_slow(m);
}

/* Like gust_mutex_lock, but gives up at `deadline`.
 * Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED: see "Waiting". */
int gust_mutex_lock_until(gust_mutex *m, gust_time deadline);

/* Panics if m is not locked. */
static inline void gust_mutex_unlock(gust_mutex *m)
{
    uint32_t state = 1;
    if (gust__solo || !__atomic_compare_exchange_n(&m->state, &state, 0, false, __ATOMIC_RELEASE,
                                                   __ATOMIC_RELAXED))
        gust__mutex_unlock_slow(m);
}

/* Readers together, or one writer alone, as Go's sync.RWMutex.  A writer that
 * waits keeps new readers out, so readers cannot starve it; all readers that wait
 * when a writer unlocks get in before the next writer.  Therefore a goroutine must
 * not take the read lock twice: a writer may come in between.  Not tied to a
 * goroutine: any may unlock.  At most 2^30 - 1 readers.
 *
 * May be freed by whoever held it for writing last, once no other will use it. */
typedef struct gust_rwmutex {
    uint32_t state;
    uint32_t drained;   /* the last reader has left; under waiters.lock */
    gust_mutex writers; /* held by the one that writes, or will next */
    gust__waitq waiters;
    gust__waitlist writer; /* the writer that waits for readers; the same */
} gust_rwmutex;

/* clang-format off */
#define GUST_RWMUTEX_INIT {0}
/* clang-format on */

void gust_rwmutex_rdlock(gust_rwmutex *rw);
void gust_rwmutex_wrlock(gust_rwmutex *rw);

/* Like the above, but give up at `deadline`.  A writer that gives up lets the
 * readers in that it kept out.
 * Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED: see "Waiting". */
int gust_rwmutex_rdlock_until(gust_rwmutex *rw, gust_time deadline);
int gust_rwmutex_wrlock_until(gust_rwmutex *rw, gust_time deadline);

/* Panic if the lock is not held in that way. */
void gust_rwmutex_rdunlock(gust_rwmutex *rw);
void gust_rwmutex_wrunlock(gust_rwmutex *rw);

/* A place to wait until a condition, guarded by a mutex, may have become true, as
 * Go's sync.Cond.  Waiters are woken in the order in which they came. */
typedef struct gust_cond {
    gust__waitq waiters;
} gust_cond;

/* clang-format off */
#define GUST_COND_INIT {{0}}
/* clang-format on */

/* Unlocks m, waits for a signal, and locks m again; no signal given after the
 * unlock is missed.  m must be locked by the caller, and is locked again at every
 * return, also of an error; that part is ended by neither deadline nor context.
 * Returns 0 only after a signal, but the condition may have become false again:
 * wait in a loop.  A signal is never lost to a wait that fails at the same moment.
 * Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED: see "Waiting". */
int gust_cond_wait(gust_cond *c, gust_mutex *m, gust_time deadline);

/* Wakes the first waiter, or all; nothing happens if there is none.  The caller
 * may hold the mutex, but need not. */
void gust_cond_signal(gust_cond *c);
void gust_cond_broadcast(gust_cond *c);

/* A number of units that goroutines take and give back, as
 * golang.org/x/sync/semaphore.  First come, first served: who asks for much is not
 * starved by those who ask for little.  Not tied to a goroutine. */
typedef struct gust_semaphore {
    int64_t size;
    int64_t held;
    gust__waitq waiters;
} gust_semaphore;

/* clang-format off */
#define GUST_SEMAPHORE_INIT(units) {.size = (units)}
/* clang-format on */

/* The same for memory that is not initialised.  Panics if size is negative. */
void gust_semaphore_init(gust_semaphore *s, int64_t size);

/* Takes n units.  Errors: -EINVAL if n is negative or above the size (Go would
 * wait for ever); -ETIMEDOUT, -EAGAIN, -ECANCELED: see "Waiting".  Whoever waited
 * behind a request that has failed is let in if it fits now. */
int gust_semaphore_acquire(gust_semaphore *s, int64_t n, gust_time deadline);

/* Gives n units back.  Panics if n is negative or more than is held. */
void gust_semaphore_release(gust_semaphore *s, int64_t n);

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

/* Waits until the count is zero.
 * Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED: see "Waiting". */
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
 * gust_once_do.  fn must not call gust_once_do on the same `o`, and must return. */
void gust_once_do(gust_once *o, void (*fn)(void *arg), void *arg);

/* Computes a value exactly once, as Go's sync.OnceValues.  The result is kept, be
 * it a value or an error: an error is not tried again.  To do that, use another
 * gust_once_value.  The value belongs to whoever owns the once. */
typedef struct gust_once_value {
    int err;
    int reserved;
    void *value;
    gust_once once;
} gust_once_value;

/* clang-format off */
#define GUST_ONCE_VALUE_INIT {0}
/* clang-format on */

/* Returns 0 and sets *ret_value, or returns a negative errno value. */
typedef int gust_once_value_fn(void *arg, void **ret_value);

/* Gives every caller what the one call of fn(arg) has returned; the first makes
 * that call, the others wait for it, with the rules of gust_once_do.  *ret_value
 * is written only on success.  Errors: fn's. */
int gust_once_value_get(gust_once_value *o, gust_once_value_fn *fn, void *arg, void **ret_value);

/* Free objects for use again, as Go's sync.Pool.  There is no garbage collector
 * to empty it, so it is bounded: what is put beyond the bound is freed at once.
 *
 * Items are kept per P, last in first out.  A get looks at its own P first, then
 * takes from the others (all but the one that was put there last), then makes one.
 * Any goroutine may put what another got. */
typedef struct gust_pool gust_pool;

/* Zeroes are the defaults.  make and free are called as by the goroutine itself:
 * they may block. */
typedef struct gust_pool_options {
    void *(*make)(void *arg);            /* a new item, or NULL; NULL: none are made */
    void (*free)(void *item, void *arg); /* NULL: free(3) */
    void *arg;                           /* for both */
    size_t max_per_p;                    /* items kept per P; 0: 64 */
} gust_pool_options;

/* Makes an empty pool, to be used until this gust_run ends.
 * Errors: -EINVAL if max_per_p is above 2^20, -ENOMEM.  Only from a goroutine. */
int gust_pool_new(const gust_pool_options *options, gust_pool **ret_pool);

/* An item, now the caller's; NULL if there is none and make gave none.  Says
 * nothing about which item: what it holds is as it was put. */
void *gust_pool_get(gust_pool *pool);

/* Gives an item back, or one that is new to the pool; NULL is ignored. */
void gust_pool_put(gust_pool *pool, void *item);

/* Frees the items in the pool and the pool; nobody may be using it.  What was got
 * and not put back is its holder's to free.  Any thread.  NULL is accepted. */
void gust_pool_free(gust_pool *pool);

#ifdef __cplusplus
}
#endif
#endif
