/* The futex side of the runtime's lock, and the rank check of debug builds.
 *
 * States of the word, and who makes each transition:
 *   0 free      --lock_take, spin_take-->  1 held
 *   0, 1, 2     --gust__lock_slow-->       2 held, and somebody may sleep
 *   1, 2        --lock_drop-->             0 free; from 2, one sleeper is woken
 * A woken thread takes the lock as 2, because it cannot know whether it was the
 * only sleeper: at worst one futex call too many, never one too few. */
#include "core/lock.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/sched.h"

/* Critical sections are a few dozen instructions, so a holder that runs is done
 * within the first rounds; one that was preempted is not worth more waiting. */
enum { SPIN_ROUNDS = 5, SPIN_PAUSES_FIRST = 4 };

static bool spin_take(gust__lock *l)
{
    for (unsigned round = 0; round < SPIN_ROUNDS; round++) {
        uint32_t word = atomic_load_explicit(&l->word, memory_order_relaxed);

        if (word == 2)
            return false; /* somebody sleeps already: the wait is a long one */
        /* Acquire: pairs with the release in gust__lock_drop. */
        if (word == 0 && atomic_compare_exchange_strong_explicit(
                             &l->word, &word, 1, memory_order_acquire, memory_order_relaxed))
            return true;
        for (unsigned i = 0; i < (unsigned)SPIN_PAUSES_FIRST << round; i++)
            gust__cpu_relax();
    }
    return false;
}

void gust__lock_slow(gust__lock *l)
{
    if (spin_take(l))
        return;
    /* Acquire: pairs with the release in gust__lock_drop. */
    while (atomic_exchange_explicit(&l->word, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &l->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
}

void gust__unlock_slow(gust__lock *l)
{
    /* The word is free already and the lock's memory may be gone if its next
     * holder freed it: a wake at a stale address only wakes somebody early. */
    syscall(SYS_futex, &l->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
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

#endif
