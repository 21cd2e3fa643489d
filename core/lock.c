/* The lock's slow path, and the rank check of debug builds. */
#include "core/lock.h"

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "core/sched.h"

/* Critical sections are a few dozen instructions, so a holder that runs is done
 * within the first rounds; one that was preempted is not worth more waiting. */
enum { SPIN_ROUNDS = 5, SPIN_PAUSES_FIRST = 4 };

/* Then its CPU is better left to it, or to others. */
#define NAP_NS_FIRST (20 * GUST_US)
#define NAP_NS_MAX (1 * GUST_MS)

bool gust__solo;

static bool try_take(gust__lock *l)
{
    uint32_t word = atomic_load_explicit(&l->word, memory_order_relaxed);
    /* Acquire: pairs with the release in gust__lock_drop. */
    return word == 0 && atomic_compare_exchange_strong_explicit(
                            &l->word, &word, 1, memory_order_acquire, memory_order_relaxed);
}

static bool spin_take(gust__lock *l)
{
    for (unsigned round = 0; round < SPIN_ROUNDS; round++) {
        if (try_take(l))
            return true;
        for (unsigned i = 0; i < (unsigned)SPIN_PAUSES_FIRST << round; i++)
            gust__cpu_relax();
    }
    return false;
}

void gust__lock_slow(gust__lock *l)
{
    struct timespec nap = {.tv_nsec = NAP_NS_FIRST};
    while (!spin_take(l)) {
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < NAP_NS_MAX)
            nap.tv_nsec *= 2;
    }
}

/* --- Ranks ----------------------------------------------------------------- */

#ifdef GUST_DEBUG

/* Select may hold the locks of GUST_SELECT_MAX channels, and a few more. */
enum { HELD_MAX = 1024 + 16 };

/* The locks this thread holds, always in rising order of (rank, address).  A
 * plain thread-local is right here: no holder parks, so whoever pushes and pops
 * is on the same thread.  Never inlined, so that no caller caches its address. */
static __thread struct {
    unsigned count;
    struct held {
        gust__lock *lock;
        gust__rank rank;
    } at[HELD_MAX];
} held;

static const char *rank_name(gust__rank rank)
{
    switch (rank) {
    case RANK_SIGNALS: return "RANK_SIGNALS";
    case RANK_CONN: return "RANK_CONN";
    case RANK_DEADLINE: return "RANK_DEADLINE";
    case RANK_CHAN: return "RANK_CHAN";
    case RANK_WAITQ: return "RANK_WAITQ";
    case RANK_POOL: return "RANK_POOL";
    case RANK_PARKED: return "RANK_PARKED";
    case RANK_CONTEXT: return "RANK_CONTEXT";
    case RANK_FD: return "RANK_FD";
    case RANK_POLLER: return "RANK_POLLER";
    case RANK_TIMERS: return "RANK_TIMERS";
    case RANK_SCHED: return "RANK_SCHED";
    case RANK_STACKS: return "RANK_STACKS";
    case RANK_ALL_G: return "RANK_ALL_G";
    }
    return "an unknown rank";
}

static bool may_follow(const struct held *last, const gust__lock *l, gust__rank rank)
{
    return last->rank < rank || (last->rank == rank && (uintptr_t)last->lock < (uintptr_t)l);
}

__attribute__((noinline)) void gust__rank_push(gust__lock *l, gust__rank rank)
{
    if (held.count > 0) {
        const struct held *last = &held.at[held.count - 1];

        if (!may_follow(last, l, rank))
            gust__fatal("lock order: %s (%p) taken while holding %s (%p)", rank_name(rank),
                        (void *)l, rank_name(last->rank), (void *)last->lock);
    }
    if (held.count == HELD_MAX)
        gust__fatal("lock order: more than %d locks held", (int)HELD_MAX);
    held.at[held.count++] = (struct held){l, rank};
}

__attribute__((noinline)) void gust__solo_check(void)
{
    if (!gust__has_p())
        gust__fatal("a lock of Ps is taken by a thread without one");
}

/* Locks are mostly dropped in reverse, so the search begins at the end. */
__attribute__((noinline)) void gust__rank_pop(gust__lock *l)
{
    unsigned i = held.count;

    while (i > 0 && held.at[i - 1].lock != l)
        i--;
    if (i == 0)
        gust__fatal("lock order: lock %p dropped by a thread that does not hold it", (void *)l);
    for (; i < held.count; i++)
        held.at[i - 1] = held.at[i];
    held.count--;
}

__attribute__((noinline)) unsigned gust__locks_held(void)
{
    return held.count;
}

#endif
