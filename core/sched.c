/* The scheduler loop: which goroutine runs next, and how one stops running.
 *
 * A goroutine that stops running leaves word of what is to be done about it: its
 * commit function.  Whoever runs next on that thread calls it first, so the
 * goroutine is really off its stack before anybody can wake it.  That is g0, the
 * thread's own stack, where every M runs gust__schedule; or, for a park or a yield
 * when the next goroutine is there for the taking, that goroutine itself
 * (switch_directly): one switch of stacks instead of two.
 *
 * find_runnable looks, in this order, at: due timers; the global queue on every
 * 61st tick; the own run queue; the global queue; finished I/O; other Ps (steal);
 * and then lets go of the P and sleeps in its poller.  The protocol that loses no
 * wake-up on that last step is in thread.c. */
#include "core/sched.h"

#include <errno.h>

#include "core/chaos.h"
#include "core/demote.h"
#include "core/held_lock.h"
#include "core/proc.h"

/* Go's schedtick % 61: a fair look at the global queue even when local
 * goroutines keep each other busy. */
#define GLOBAL_TICK 61
/* Dispatches between two looks at the poller while there is work. */
#define POLL_TICK 32
/* Dispatches between two looks at the clock while there is work. */
#define TIMER_TICK 16
/* Runnext dispatches in a row before the others in the queue have a turn. */
#define INHERIT_MAX 64
#define STEAL_TRIES 4
/* One of so many goroutines made ready is timed until it runs. */
#define RUN_DELAY_SAMPLE 64

/* What every switch of goroutines does: calls would be a tenth of its time. */
#define EVERY_SWITCH static inline __attribute__((always_inline))

gust__sched gust__sched_state;
__thread M *gust__tls_m __attribute__((tls_model("initial-exec")));

/* --- Making goroutines runnable ------------------------------------------ */

void gust__globq_push_locked(G *g)
{
    gust__glist_push(&sched.glist, g);
    atomic_store_explicit(&sched.glist_count, sched.glist.count, memory_order_relaxed);
}

void gust__globq_push(G *g)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    gust__globq_push_locked(g);
    gust__lock_drop(&sched.lock);
}

static void globq_push_list(gust__glist *l)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    gust__glist_move(&sched.glist, l);
    atomic_store_explicit(&sched.glist_count, sched.glist.count, memory_order_relaxed);
    gust__lock_drop(&sched.lock);
}

void gust__runq_ready(P *p, G *g, bool next)
{
    gust__glist overflow;
    if (gust__chaos(4))
        next = !next;
    if (gust__chaos(8)) {
        gust__globq_push(g);
        return;
    }
    if (next)
        g = gust__runq_set_next(&p->runq, g);
    if (!g)
        return;
    gust__runq_push(&p->runq, g, &overflow);
    if (overflow.count)
        globq_push_list(&overflow);
}

#ifdef GUST_DEBUG
static void ready_check(const G *g)
{
    M *m = gust__m();
    uint32_t state = atomic_load_explicit(&g->state, memory_order_relaxed);
    if (state != G_PARKED)
        gust__fatal("goroutine %llu made ready in state %u", (unsigned long long)g->id, state);
    /* There the P may go to another M at any moment. */
    if (atomic_load_explicit(&m->marks.depth, memory_order_relaxed) == 0)
        gust__fatal("goroutine %llu made ready outside of a call", (unsigned long long)g->id);
}
#else
static void ready_check(const G *g)
{
    (void)g;
}
#endif

static P *ready_on_current(G *g, bool next)
{
    P *p = gust__m()->p;
    ready_check(g);
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    if (p->readied++ % RUN_DELAY_SAMPLE == 0)
        g->ready_at = gust_now();
    gust__runq_ready(p, g, next);
    return p;
}

/* A hand-off: the caller usually parks soon, so the one goroutine is no surplus
 * and waking an idle P for it (~5 us) would be a waste.  If the caller goes on
 * for long instead, sysmon notices the waiting goroutine and wakes a P. */
void gust__ready(G *g)
{
    P *p = ready_on_current(g, true);
    if (gust__runq_len(&p->runq) > 0)
        gust__wakep();
}

void gust__ready_tail(G *g)
{
    P *p = ready_on_current(g, false);
    if (gust__runq_len(&p->runq) > 1)
        gust__wakep();
}

/* --- Finding the next goroutine ------------------------------------------ */

static bool globq_looks_empty(void)
{
    return atomic_load_explicit(&sched.glist_count, memory_order_relaxed) == 0;
}

static G *globq_get(P *p, uint32_t max)
{
    if (globq_looks_empty())
        return NULL;
    gust__lock_take(&sched.lock, RANK_SCHED);
    uint32_t share = sched.glist.count / (uint32_t)sched.nprocs + 1;
    uint32_t n = share < max ? share : max;
    G *first = gust__glist_pop(&sched.glist);
    gust__glist overflow;
    for (G *g; first && --n > 0 && (g = gust__glist_pop(&sched.glist));)
        gust__runq_push(&p->runq, g, &overflow); /* max leaves room: no overflow */
    atomic_store_explicit(&sched.glist_count, sched.glist.count, memory_order_relaxed);
    gust__lock_drop(&sched.lock);
    return first;
}

static int run_timers(P *p)
{
    gust_time earliest = gust__timers_earliest(&p->timers);
    if (earliest == GUST_FOREVER)
        return 0;
    p->now = gust_now();
    return earliest <= p->now ? gust__timers_run(&p->timers, p->now) : 0;
}

/* The own queue, with a bound on how long runnext pairs may keep it to
 * themselves.  *ret_inherit: goes on in the same time slice. */
EVERY_SWITCH G *next_local(P *p, bool *ret_inherit)
{
    G *g = gust__runq_pop(&p->runq, ret_inherit);
    if (!*ret_inherit) {
        p->inherited = 0;
        return g;
    }
    if (++p->inherited < INHERIT_MAX)
        return g;
    p->inherited = 0;
    *ret_inherit = false;
    gust__runq_ready(p, g, false);
    return gust__runq_pop(&p->runq, ret_inherit);
}

/* Only if what comes fits in the queue.  Otherwise its oldest goroutines would have to make
 * room, and wait in the global queue, from which a P that is kept busy takes one in
 * GLOBAL_TICK, for those that came last.  But a queue that others keep full must not keep
 * the poller waiting, either. */
static bool poll_is_due(P *p, uint32_t n)
{
    const uint32_t fits = GUST__RUNQ_SIZE - GUST__REAP_MAX;
    if (gust__runq_len(&p->runq) > fits && n - p->polled < GUST__RUNQ_SIZE)
        return false;
    p->polled = n;
    return true;
}

/* Work that comes round by the clock or the tick, while goroutines keep the P
 * busy. */
static G *periodic(P *p)
{
    uint32_t n = ++p->dispatches;
    if (n % TIMER_TICK == 0)
        run_timers(p);
    if (n % POLL_TICK == 0 && poll_is_due(p, n) && gust__poller_pending(p->poller))
        gust__poller_poll(p->poller);
    if (n % GLOBAL_TICK == 0)
        return globq_get(p, 1);
    return NULL;
}

/* Does for a busy P what it does not get to: timers that are due, and completions
 * if it has been with one goroutine for long.  What becomes runnable is p's. */
static G *look_after(P *p, P *victim)
{
    bool inherit;
    gust_time now = gust_now();
    if (gust__timers_earliest(&victim->timers) <= now)
        gust__timers_run(&victim->timers, now);
    if (atomic_load_explicit(&victim->stuck, memory_order_relaxed) &&
        gust__poller_pending(victim->poller))
        gust__poller_poll(victim->poller);
    return gust__runq_pop(&p->runq, &inherit);
}

static G *steal_from(P *p, P *victim, bool last)
{
    if (victim == p)
        return NULL;
    if (last) {
        G *g = look_after(p, victim);
        if (g)
            return g;
    }
    return gust__runq_steal(&p->runq, &victim->runq, last);
}

/* All Ps, four times, from a random one on; runnext and timers in the last round. */
static G *steal(P *p)
{
    uint32_t n = (uint32_t)sched.nprocs;
    for (int try = 0; try < STEAL_TRIES; try++) {
        uint32_t start = gust__rand() % n;
        for (uint32_t i = 0; i < n; i++) {
            G *g = steal_from(p, &sched.allp[(start + i) % n], try == STEAL_TRIES - 1);
            if (g) {
                gust__count(&p->steals);
                return g;
            }
        }
        if (atomic_load_explicit(&sched.stopping, memory_order_relaxed))
            return NULL;
    }
    return NULL;
}

/* At most half of the busy Ps may spin. */
static bool may_spin(M *m)
{
    if (m->spinning)
        return true;
    uint32_t busy =
        (uint32_t)sched.nprocs - atomic_load_explicit(&sched.npidle, memory_order_relaxed);
    if (2 * atomic_load_explicit(&sched.nmspinning, memory_order_relaxed) >= busy)
        return false;
    m->spinning = true;
    gust__count(&m->p->spins);
    atomic_fetch_add_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    return true;
}

static G *try_steal(M *m)
{
    if (sched.nprocs == 1 || !may_spin(m))
        return NULL;
    P *p = m->p;
    G *g = steal(p);
    if (g)
        /* It may run for long: what this P has queued must not wait for it. */
        gust__poller_submit(p->poller);
    return g;
}

/* Looks elsewhere first. */
static G *find_elsewhere(M *m)
{
    G *g = NULL;
    if (gust__chaos(2))
        g = globq_get(m->p, 1);
    if (!g && gust__runq_empty(&m->p->runq)) /* steal wants it empty */
        g = try_steal(m);
    return g;
}

static G *find_now(M *m, bool *ret_inherit)
{
    P *p = m->p;
    G *g = periodic(p);
    if (!g && gust__chaos(8))
        g = find_elsewhere(m);
    if (g)
        return g;
    if ((g = next_local(p, ret_inherit)))
        return g;
    run_timers(p);
    if ((g = gust__runq_pop(&p->runq, ret_inherit)))
        return g;
    if ((g = globq_get(p, GUST__RUNQ_SIZE / 2)))
        return g;
    if (gust__poller_reap(p->poller) > 0 && (g = gust__runq_pop(&p->runq, ret_inherit)))
        return g;
    return try_steal(m);
}

/* Blocks until there is a goroutine to run; NULL when the runtime stops. */
static G *find_runnable(M *m, bool *ret_inherit)
{
    for (;;) {
        *ret_inherit = false;
        if (atomic_load_explicit(&sched.stopping, memory_order_relaxed))
            return NULL;
        G *g = find_now(m, ret_inherit);
        if (g)
            return g;
        if (!gust__m_idle(m))
            return NULL;
    }
}

/* --- Entering a goroutine ------------------------------------------------- */

static bool attach_or_starve(P *p, G *g)
{
    if (gust__g_attach(p, g) < 0) {
        gust__starve(g);
        return false;
    }
    gust__starved_next(p);
    return true;
}

/* A new time slice: the last goroutine's need not trouble the next. */
static void slice_begin(M *m, P *p)
{
    uint32_t yield = STEAL_YIELD;
    atomic_store_explicit(&p->schedtick,
                          atomic_load_explicit(&p->schedtick, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    if (gust__chaos(4))
        gust__demote_ask(p);
    else if (atomic_load_explicit(&m->marks.steal, memory_order_relaxed) == STEAL_YIELD)
        atomic_compare_exchange_strong_explicit(&m->marks.steal, &yield, STEAL_NONE,
                                                memory_order_relaxed, memory_order_relaxed);
}

/* g is what m runs from here on; the switch to it follows. */
static void enter(M *m, G *g)
{
    gust__m_set_curg(m, g);
    atomic_store_explicit(&g->state, G_RUNNING, memory_order_relaxed);
    atomic_store_explicit(&m->marks.depth, g->depth, memory_order_relaxed);
}

EVERY_SWITCH void account(M *m, P *p, G *g, bool inherit)
{
    if (!inherit)
        slice_begin(m, p);
    if (__builtin_expect(g->ready_at != 0, 0))
        gust__run_delay_record(p, g);
}

/* The goroutine that found m->handed goes on, and may find another. */
static void take_back(M *m)
{
    if (m->handed)
        gust__runq_ready(m->p, m->handed, true);
    m->handed = NULL;
}

/* Runs g, and those that follow it directly, until one leaves for g0; then does
 * what that one asked for, and runs it again if it does not want to leave after
 * all. */
static void execute(M *m, G *g, bool inherit)
{
    if (!g->stack.low && !attach_or_starve(m->p, g))
        return;
    account(m, m->p, g, inherit);
    for (;;) {
        enter(m, g);
        gust__ctx_switch(&m->g0, &g->ctx, false);
        g = m->curg;
        if (m->commit(g, m->commit_arg))
            break;
        take_back(m);
    }
    gust__m_set_curg(m, NULL);
}

/* What next_at_hand has found. */
static G *handed_take(M *m, bool *ret_inherit)
{
    G *g = m->handed;
    m->handed = NULL;
    *ret_inherit = m->handed_inherits;
    return g;
}

/* The goroutine that m is to run; NULL when the runtime stops. */
static G *next(M *m, bool *ret_inherit)
{
    for (;;) {
        *ret_inherit = false;
        if (m->lockedg || m->retired)
            return gust__locked_next(m);
        if (!m->p && !gust__m_stop(m))
            return NULL;
        G *g = m->handed ? handed_take(m, ret_inherit) : find_runnable(m, ret_inherit);
        if (!g)
            return NULL;
        if (m->spinning)
            gust__m_stop_spinning(m);
        if (!g->lockedm)
            return g;
        gust__locked_start(m, g);
    }
}

void gust__schedule(M *m)
{
    bool inherit;
    for (G *g; (g = next(m, &inherit));)
        execute(m, g, inherit);
}

/* --- Leaving a goroutine -------------------------------------------------- */

static void leave(M *m, gust__commit_fn *commit, void *arg)
{
    gust__held_locks_check();
    m->commit = commit;
    m->commit_arg = arg;
    m->curg->depth = atomic_load_explicit(&m->marks.depth, memory_order_relaxed);
#ifdef GUST_DEBUG
    if (m->curg->depth == 0)
        gust__fatal("goroutine %llu leaves its stack outside of a call",
                    (unsigned long long)m->curg->id);
#endif
}

/* A goroutine is back on its stack: if another one has left this thread for it,
 * does what that one asked for. */
static void arrive(void)
{
    M *m = gust__m();
    G *left = m->left;
    if (!left)
        return;
    m->left = NULL;
    if (m->commit(left, m->commit_arg))
        return;
    atomic_store_explicit(&left->state, G_RUNNABLE, memory_order_relaxed);
    gust__runq_ready(m->p, left, true);
    if (gust__runq_len(&m->p->runq) > 0)
        gust__wakep();
}

/* The only place where goroutines that go on later leave their stacks: see
 * gust__ctx_swap_alike. */
__attribute__((noinline)) static void switch_to(gust__ctx *from, gust__ctx *to)
{
    gust__ctx_switch_alike(from, to);
    arrive();
}

void gust__to_g0(gust__commit_fn *commit, void *arg, bool g_ends)
{
    M *m = gust__m();
    leave(m, commit, arg);
    if (g_ends)
        gust__ctx_switch(&m->curg->ctx, &m->g0, true);
    else
        switch_to(&m->curg->ctx, &m->g0);
}

EVERY_SWITCH void switch_directly(M *m, G *to, gust__commit_fn *commit, void *arg)
{
    G *from = m->curg;
    leave(m, commit, arg);
    m->left = from;
    enter(m, to);
    switch_to(&from->ctx, &to->ctx);
}

/* Must g0 see to something before the next goroutine runs? */
EVERY_SWITCH bool g0_is_wanted(M *m)
{
    uint32_t n = m->p->dispatches + 1;
    return n % TIMER_TICK == 0 || n % GLOBAL_TICK == 0 || m->lockedg ||
           atomic_load_explicit(&sched.stopping, memory_order_relaxed) || gust__chaos(2);
}

/* A goroutine of the own queue that can be switched to as it is, or NULL.  One that
 * needs g0, for a stack or for its thread, is handed to it. */
EVERY_SWITCH G *next_at_hand(M *m)
{
    P *p = m->p;
    bool inherit;
    G *g = next_local(p, &inherit);
    if (!g)
        return NULL;
    p->dispatches++;
    if (g->stack.low && !g->lockedm) {
        account(m, p, g, inherit);
        return g;
    }
    m->handed = g;
    m->handed_inherits = inherit;
    return NULL;
}

static void switch_away(gust__commit_fn *commit, void *arg)
{
    M *m = gust__m();
    G *next = g0_is_wanted(m) ? NULL : next_at_hand(m);
    if (next)
        switch_directly(m, next, commit, arg);
    else
        gust__to_g0(commit, arg, false);
}

void gust__park(gust__commit_fn *commit, void *arg, gust__wait why)
{
    G *g = gust__m()->curg;
    g->wait = why;
    g->since = atomic_load_explicit(&sched.clock, memory_order_relaxed);
    atomic_store_explicit(&g->state, G_PARKED, memory_order_relaxed);
    switch_away(commit, arg);
}

bool gust__park_unlock(G *g, void *arg)
{
    (void)g;
    gust__lock_drop(arg);
    return true;
}

/* Under sched.lock, which is dropped here.  Whoever makes a P idle looks at the
 * global queue under that lock: if none is idle now, none needs to be woken. */
static bool swap_commit(G *g, void *arg)
{
    (void)arg;
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    gust__globq_push_locked(g);
    bool idle = atomic_load_explicit(&sched.npidle, memory_order_relaxed) > 0;
    gust__lock_drop(&sched.lock);
    if (idle)
        gust__wakep();
    return true;
}

static bool yield_local_commit(G *g, void *arg)
{
    (void)arg;
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    gust__runq_ready(gust__m()->p, g, false);
    return true;
}

/* To the end of the global queue.  With one P and nobody there, the end of its own
 * is as far behind, and needs no lock; unless g0 looks there first, and so would not
 * get to what comes after it. */
static bool yield_commit(G *g, void *arg)
{
    M *m = gust__m();
    if (gust__solo && m->curg != g && globq_looks_empty())
        return yield_local_commit(g, arg);
    gust__lock_take(&sched.lock, RANK_SCHED);
    if (m->curg != g || m->handed || !gust__runq_empty(&m->p->runq))
        return swap_commit(g, arg);
    /* Alone here, this M will take it right back. */
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    gust__globq_push_locked(g);
    gust__lock_drop(&sched.lock);
    return true;
}

/* Like next_at_hand, from the global queue.  If there is one it comes with
 * sched.lock, for swap_commit. */
static G *global_at_hand(M *m)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    G *g = sched.glist.head;
    if (!g || !g->stack.low || g->lockedm) {
        gust__lock_drop(&sched.lock);
        return NULL;
    }
    gust__glist_pop(&sched.glist);
    m->p->dispatches++;
    account(m, m->p, g, false);
    return g;
}

/* A goroutine that yields in a loop is to see the timers on time. */
static bool timer_is_due(P *p)
{
    gust_time earliest = gust__timers_earliest(&p->timers);
    return earliest != GUST_FOREVER && earliest <= gust_now();
}

/* Not a turn of the others, but a new slice. */
static void go_on(M *m)
{
    gust__held_locks_check();
    m->p->dispatches++;
    account(m, m->p, m->curg, false);
}

void gust_yield(void)
{
    GUST__CALL();
    M *m = gust__m();
    bool by_g0 = g0_is_wanted(m);
    G *next = by_g0 ? NULL : next_at_hand(m);
    if (next) {
        switch_directly(m, next, yield_commit, NULL);
        return;
    }
    by_g0 = by_g0 || m->handed || timer_is_due(m->p);
    if (!by_g0 && globq_looks_empty())
        go_on(m);
    else if (!by_g0 && (next = global_at_hand(m)))
        switch_directly(m, next, swap_commit, NULL);
    else
        gust__to_g0(yield_commit, NULL, false);
}

void gust__preempted(void)
{
    if (!gust__chaos_on && gust__runq_empty(&gust__m()->p->runq) && globq_looks_empty())
        return;
    atomic_fetch_add_explicit(&sched.preemptions, 1, memory_order_relaxed);
    gust__to_g0(yield_commit, NULL, false);
}

void gust__yield_local(void)
{
    switch_away(yield_local_commit, NULL);
}
