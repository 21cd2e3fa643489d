/* gust_mutex, after Go's sync.Mutex.
 *
 * The state word: LOCKED; WOKEN, somebody is awake and will try, so unlock need
 * not wake another; STARVING, unlock hands the mutex to the first waiter and
 * newcomers do not grab it; above these the number of waiters.
 *
 * Normal mode: a woken waiter competes with running goroutines, which usually
 * win: that is fast but unfair, so a waiter that was kept out for 1 ms turns on
 * starving mode.  The waiter that gets the mutex turns it off again if it waited
 * less or is the last.
 *
 * A wake-up is a token, given to the first goroutine queued or kept in m->tokens
 * for one that is about to queue.  With R the goroutines that have counted
 * themselves as waiters and not yet got a token, T the tokens nobody has got:
 *   normal:    R = waiters + T and T <= 1 (unlock uncounts the waiter; T = 1
 *              implies WOKEN);
 *   STARVING:  waiters >= 1; while unlocked the mutex is being handed over, and
 *              waiters still counts the one that gets or has got the token.
 * So a waiter that gives up must leave the count, or, if it is the only one
 * that can take a token that is on its way, must take that (give_up).
 *
 * Unlocking and deciding whom to wake is one compare-and-swap, where Go has two
 * steps: after it the word is not touched again, so that a goroutine which gets
 * the mutex and knows that no other will want it may free the memory.  A token
 * that is on its way keeps a waiter, and so the memory, alive.
 *
 * With a single P (gust__solo) the word is written without locked instructions: all
 * that write it are calls, and in a call a goroutine has the P. */
#include <stdatomic.h>

#include "core/waitq.h"

#define LOCKED 1u /* known to sync.h, whose inline functions are the fast paths */
#define WOKEN 2u
#define STARVING 4u
#define WAITER 8u

#define STARVING_NS_MIN GUST_MS
#define SPIN_ROUNDS_MAX 4
#define SPIN_PAUSES 30

static _Atomic uint32_t *state_of(gust_mutex *m)
{
    return (_Atomic uint32_t *)&m->state;
}

static uint32_t state_load(gust_mutex *m)
{
    return atomic_load_explicit(state_of(m), memory_order_relaxed);
}

/* Acquire and release in one: which of the two a transition needs is clear from
 * what it does to LOCKED, and on x86 it costs the same. */
static bool state_change(gust_mutex *m, uint32_t *old, uint32_t new)
{
    if (gust__solo) {
        uint32_t expected = *old;
        gust__solo_check();
        *old = state_load(m);
        if (*old != expected)
            return false;
        atomic_store_explicit(state_of(m), new, memory_order_relaxed);
        return true;
    }
    return atomic_compare_exchange_strong_explicit(state_of(m), old, new, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static uint32_t waiters_in(uint32_t state)
{
    return state / WAITER;
}

/* --- Tokens --------------------------------------------------------------- */

/* How long a goroutine is willing to wait. */
struct patience {
    gust_time deadline;
    bool steadfast; /* a cancellation does not matter */
};

/* Waits for a token.  first: queue in front, for a waiter that was woken before.
 * Errors: those of gust__wait_linked. */
static int token_take(gust_mutex *m, bool first, struct patience patience)
{
    gust__waitlist *list = &m->waiters.list;
    gust__lock *lock = waitq_lock(&m->waiters);
    gust__waiter w = {.steadfast = patience.steadfast};
    gust__lock_take(lock, RANK_WAITQ);
    if (m->tokens) {
        m->tokens--;
        gust__lock_drop(lock);
        return 0;
    }
    if (first)
        waitlist_push_front(list, &w);
    else
        waitlist_push(list, &w);
    return gust__wait_linked(list, lock, RANK_WAITQ, &w, patience.deadline, WAIT_MUTEX);
}

/* Gives a token.  Returns true if a goroutine got it and was made ready. */
static bool token_give(gust_mutex *m)
{
    gust__lock *lock = waitq_lock(&m->waiters);
    gust__waiter *w;
    gust__lock_take(lock, RANK_WAITQ);
    w = waitlist_take(&m->waiters.list);
    if (w)
        w->outcome = OUTCOME_DONE;
    else
        m->tokens++;
    gust__lock_drop(lock);
    if (w)
        gust__ready(w->g);
    return w;
}

/* --- Lock ----------------------------------------------------------------- */

static void spin(void)
{
    for (int i = 0; i < SPIN_PAUSES; i++)
        gust__cpu_relax();
}

static bool lock_if_free(gust_mutex *m)
{
    uint32_t old = state_load(m);
    while (!(old & (LOCKED | STARVING)))
        if (state_change(m, &old, old | LOCKED))
            return true;
    return false;
}

/* The caller got the token of a hand-over: the mutex is its own. */
static void take_over(gust_mutex *m, uint32_t old, bool starving)
{
    uint32_t new;
    /* A compare-and-swap, because others may leave: the last waiter must see that
     * it is the last. */
    do {
        new = old + LOCKED - WAITER;
        if (!starving || waiters_in(old) == 1)
            new &= ~STARVING;
    } while (!state_change(m, &old, new));
}

/* A waiter gives up.  Returns true if it is no waiter any more, false if a
 * token is on its way and nobody else could take it. */
static bool leave(gust_mutex *m)
{
    uint32_t old = state_load(m);
    for (;;) {
        bool handing_over = (old & STARVING) && !(old & LOCKED);
        uint32_t waiters = waiters_in(old);
        uint32_t new = old - WAITER;
        if (waiters == 0 || (waiters == 1 && handing_over))
            return false;
        if (waiters == 1)
            new &= ~STARVING; /* nobody is left to be handed the mutex */
        if (state_change(m, &old, new))
            return true;
    }
}

/* Got a token too late, but a wake-up cannot be refused: takes the mutex if it is
 * to be had, or leaves it to whoever holds it now to wake another and returns
 * `error`. */
static int use_late_token(gust_mutex *m, int error)
{
    uint32_t old = state_load(m);
    bool locked;
    if (old & STARVING) {
        take_over(m, old, false);
        return 0;
    }
    do {
        locked = old & LOCKED;
    } while (!state_change(m, &old, (old | LOCKED) & ~WOKEN));
    return locked ? error : 0;
}

/* Ends a wait with `error`.  Returns 0 if it got the mutex after all. */
static int give_up(gust_mutex *m, int error)
{
    while (!leave(m)) {
        if (token_take(m, true, (struct patience){GUST_NOW, true}) == 0)
            return use_late_token(m, error);
        gust__yield_local(); /* the giver is about to put the token down */
    }
    return error;
}

/* One goroutine's attempt to lock. */
struct attempt {
    gust_time wait_start; /* 0: has not waited yet */
    bool starving;
    bool woken; /* WOKEN is set on its account */
    int spins;
};

/* While the mutex is likely to be free in a moment, waiting for that is cheaper
 * than a park.  Returns false if it is not likely. */
static bool spin_once(gust_mutex *m, struct attempt *a, uint32_t *old)
{
    if ((*old & (LOCKED | STARVING)) != LOCKED || a->spins == SPIN_ROUNDS_MAX || !gust__can_spin())
        return false;
    if (!a->woken && !(*old & WOKEN) && waiters_in(*old) && state_change(m, old, *old | WOKEN))
        a->woken = true;
    spin();
    a->spins++;
    *old = state_load(m);
    return true;
}

/* The state this goroutine wants: locked by itself, or with itself as a waiter. */
static uint32_t wanted(const struct attempt *a, uint32_t old)
{
    uint32_t new = old;
    if (!(old & STARVING))
        new |= LOCKED;
    if (old & (LOCKED | STARVING))
        new += WAITER;
    if (a->starving && (old & LOCKED))
        new |= STARVING;
    if (a->woken)
        new &= ~WOKEN;
    return new;
}

/* Apart from the calls, whose way is short where the mutex is free. */
__attribute__((noinline)) static int lock_slow(gust_mutex *m, struct patience patience)
{
    struct attempt a = {0};
    uint32_t old = state_load(m);
    for (;;) {
        bool again = a.wait_start != 0;
        if (spin_once(m, &a, &old) || !state_change(m, &old, wanted(&a, old)))
            continue;
        if (!(old & (LOCKED | STARVING)))
            return 0;
        if (!again)
            a.wait_start = gust_now();
        int error = token_take(m, again, patience);
        if (error)
            return give_up(m, error);
        a.starving = a.starving || gust_now() - a.wait_start > STARVING_NS_MIN;
        old = state_load(m);
        if (old & STARVING) {
            take_over(m, old, a.starving);
            return 0;
        }
        a.woken = true;
        a.spins = 0;
    }
}

void gust__mutex_lock_slow(gust_mutex *m)
{
    GUST__CALL();
    if (!lock_if_free(m))
        lock_slow(m, (struct patience){GUST_FOREVER, true});
}

int gust_mutex_lock_until(gust_mutex *m, gust_time deadline)
{
    GUST__CALL();
    if (lock_if_free(m))
        return 0;
    int refused = wait_refused(gust_context_current(), deadline);
    return refused ? refused : lock_slow(m, (struct patience){deadline, false});
}

/* --- Unlock --------------------------------------------------------------- */

void gust__mutex_unlock_slow(gust_mutex *m)
{
    GUST__CALL();
    uint32_t old = state_load(m), new;
    bool wake;
    do {
        if (!(old & LOCKED))
            gust_panic("unlock of unlocked mutex");
        new = old - LOCKED;
        wake = waiters_in(old) && !(old & (WOKEN | STARVING));
        if (wake)
            new = (new - WAITER) | WOKEN;
    } while (!state_change(m, &old, new));
    /* The next owner of a hand-over should run at once: everybody waits for it. */
    if (old & STARVING) {
        if (token_give(m))
            gust__yield_local();
    } else if (wake) {
        token_give(m);
    }
}
