/* The runtime's own lock: for critical sections of a few dozen instructions that
 * never park.
 *
 * The drop is a plain store, and so costs next to nothing; a futex mutex needs a
 * locked instruction there to find out whether somebody sleeps, and that was a
 * quarter of a channel operation (28 ns with it, 17 without).  The price is paid
 * by whoever meets a holder that the kernel has put aside: after a few
 * microseconds of spinning it naps, from 20 us on, and is woken by nobody.
 *
 * May be taken by any M, on a goroutine's stack or on g0, and by sysmon; not by
 * signal handlers.  A holder does not park: the one exception is a park's
 * commit function, which unlocks, on the same thread, what the goroutine
 * locked before it switched away.
 *
 * With a single P most locks have no competitors: see gust__solo.
 *
 * Every lock has a rank.  A thread takes locks in rising rank only (equal ranks:
 * rising address, as select does); debug builds check it, and this table is the
 * lock order of the project. */
#ifndef GUST_CORE_LOCK_H
#define GUST_CORE_LOCK_H

#include <gust/sync.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum gust__rank {
    RANK_SIGNALS,  /* the table of caught signals */
    RANK_CONN,     /* a conn's or listener's bookkeeping (net) */
    RANK_DEADLINE, /* one gust__deadline */
    RANK_CHAN,     /* one channel */
    RANK_WAITQ,    /* one gust__waitq */
    RANK_POOL,     /* one P's items of a gust_pool */
    RANK_PARKED,   /* one P's parked waits that have a context */
    RANK_CONTEXT,  /* one context; registering a wait comes last, under the above */
    RANK_FD,       /* one epoll descriptor */
    RANK_POLLER,   /* one poller's ring or buffer pool */
    RANK_TIMERS,   /* one P's timer heap */
    RANK_SCHED,    /* global queue, idle Ms and Ps */
    RANK_STACKS,   /* the stack arena */
    RANK_ALL_G,    /* the list of every goroutine */
} gust__rank;

static inline void gust__cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#else
    __asm__ volatile("yield");
#endif
}

/* 0 free, 1 held.  All zeroes is unlocked. */
typedef struct gust__lock {
    _Atomic uint32_t word;
} gust__lock;

void gust__lock_slow(gust__lock *l);

#ifdef GUST_DEBUG
void gust__rank_push(gust__lock *l, gust__rank rank);
void gust__rank_pop(gust__lock *l);
/* How many the calling thread holds; 0 where that is not checked. */
unsigned gust__locks_held(void);
#else
static inline void gust__rank_push(gust__lock *l, gust__rank rank)
{
    (void)l, (void)rank;
}
static inline void gust__rank_pop(gust__lock *l)
{
    (void)l;
}
static inline unsigned gust__locks_held(void)
{
    return 0;
}
#endif

/* gust__solo: there is one P, so the M that has it is alone with whatever only such an M
 * touches.  A P is not taken from an M within a call (core/call.h), and no lock is
 * held across two: what needs a locked instruction among several Ps, which is most
 * of what a channel operation costs, is a plain one then.  It is written by
 * gust_run while no other thread runs, and declared in gust/sync.h. */

/* Of locks that only Ms with a P take. */
static inline bool gust__rank_is_of_ps(gust__rank rank)
{
    switch (rank) {
    case RANK_CONN:
    case RANK_DEADLINE:
    case RANK_CHAN:
    case RANK_WAITQ:
    case RANK_POOL:
    case RANK_PARKED:
    case RANK_CONTEXT:
    case RANK_TIMERS: return true;
    case RANK_SIGNALS:
    case RANK_FD:
    case RANK_POLLER:
    case RANK_SCHED:
    case RANK_STACKS:
    case RANK_ALL_G: return false;
    }
    return false;
}

#ifdef GUST_DEBUG
/* Aborts if the calling thread has no P. */
void gust__solo_check(void);
#else
static inline void gust__solo_check(void) {}
#endif

/* True if it is had without competition. */
static inline bool gust__lock_take_solo(gust__lock *l, gust__rank rank)
{
    if (!gust__solo || !gust__rank_is_of_ps(rank))
        return false;
    gust__solo_check();
    if (__builtin_expect(atomic_load_explicit(&l->word, memory_order_relaxed) != 0, 0))
        return false;
    atomic_store_explicit(&l->word, 1, memory_order_relaxed);
    return true;
}

static inline void gust__lock_take(gust__lock *l, gust__rank rank)
{
    uint32_t free_word = 0;
    gust__rank_push(l, rank);
    if (gust__lock_take_solo(l, rank))
        return;
    /* Acquire: pairs with the release in gust__lock_drop of the last holder. */
    if (!atomic_compare_exchange_strong_explicit(&l->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        gust__lock_slow(l);
}

static inline void gust__lock_drop(gust__lock *l)
{
    gust__rank_pop(l);
    /* Release: publishes the critical section to the next holder, who may free the
     * lock: nothing of it is touched after this. */
    atomic_store_explicit(&l->word, 0, memory_order_release);
}

#endif
