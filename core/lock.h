/* The runtime's own lock: a futex mutex for critical sections of a few dozen
 * instructions that never park.
 *
 * May be taken by any M, on a goroutine's stack or on g0, and by sysmon; not by
 * signal handlers.  A holder does not park: the one exception is a park's
 * commit function, which unlocks on g0, on the same thread, what the goroutine
 * locked before it switched away.
 *
 * Every lock has a rank.  A thread takes locks in rising rank only (equal ranks:
 * rising address, as select does); debug builds check it, and this table is the
 * lock order of the project. */
#ifndef GUST_CORE_LOCK_H
#define GUST_CORE_LOCK_H

#include <stdatomic.h>
#include <stdint.h>

typedef enum gust__rank {
    RANK_SIGNALS,  /* the table of caught signals */
    RANK_CONN,     /* a conn's or listener's bookkeeping (net) */
    RANK_DEADLINE, /* one gust__deadline */
    RANK_CHAN,     /* one channel */
    RANK_WAITQ,    /* one gust__waitq */
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

/* 0 free, 1 held, 2 held and somebody sleeps.  All zeroes is unlocked. */
typedef struct gust__lock {
    _Atomic uint32_t word;
} gust__lock;

void gust__lock_slow(gust__lock *l);
void gust__unlock_slow(gust__lock *l);

#ifdef GUST_DEBUG
void gust__rank_push(gust__lock *l, gust__rank rank);
void gust__rank_pop(gust__lock *l);
#else
static inline void gust__rank_push(gust__lock *l, gust__rank rank)
{
    (void)l, (void)rank;
}
static inline void gust__rank_pop(gust__lock *l)
{
    (void)l;
}
#endif

static inline void gust__lock_take(gust__lock *l, gust__rank rank)
{
    uint32_t free_word = 0;
    gust__rank_push(l, rank);
    /* Acquire: pairs with the release in gust__lock_drop of the last holder. */
    if (!atomic_compare_exchange_strong_explicit(&l->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        gust__lock_slow(l);
}

static inline void gust__lock_drop(gust__lock *l)
{
    gust__rank_pop(l);
    /* Release: publishes the critical section to the next holder. */
    if (atomic_exchange_explicit(&l->word, 0, memory_order_release) == 2)
        gust__unlock_slow(l);
}

#endif
