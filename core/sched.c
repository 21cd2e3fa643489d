/* The scheduler loop: which goroutine runs next, and how one stops running.
 *
 * Every M runs gust__schedule on its own stack (g0) and switches to goroutines
 * from there; a goroutine that parks, yields or ends switches back to g0, which
 * then does what that needs (the commit function).  Doing it on g0 means the
 * goroutine is really off its stack before anybody can wake it.
 *
 * find_runnable looks, in this order, at: due timers; the global queue on every
 * 61st tick; the own run queue; the global queue; finished I/O; other Ps (steal);
 * and then lets go of the P and sleeps in its poller.  The protocol that loses no
 * wake-up on that last step is in thread.c. */
#include "core/sched.h"

#include <errno.h>

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

gust__sched gust__sched_state;
__thread M *gust__tls_m __attribute__((tls_model("initial-exec")));

/* --- Leaving a goroutine ------------------------------------------------- */

void gust__to_g0(gust__commit_fn *commit, void *arg, bool g_ends)
{
    M *m = gust__m();
    m->commit = commit;
    m->commit_arg = arg;
    gust__ctx_switch(&m->curg->ctx, &m->g0, g_ends);
}

void gust__park(gust__commit_fn *commit, void *arg, gust__wait why)
{
    G *g = gust__m()->curg;
    g->wait = why;
    atomic_store_explicit(&g->state, G_PARKED, memory_order_relaxed);
    gust__to_g0(commit, arg, false);
}

bool gust__park_unlock(G *g, void *arg)
{
    (void)g;
    gust__lock_drop(arg);
    return true;
}

static bool yield_commit(G *g, void *arg)
{
    (void)arg;
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    gust__globq_push(g);
    /* Alone here, this M will take it right back. */
    if (!gust__runq_empty(&gust__m()->p->runq))
        gust__wakep();
    return true;
}

void gust_yield(void)
{
    gust__to_g0(yield_commit, NULL, false);
}

static bool yield_local_commit(G *g, void *arg)
{
    (void)arg;
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
    gust__runq_ready(gust__m()->p, g, false);
    return true;
}

void gust__yield_local(void)
{
    gust__to_g0(yield_local_commit, NULL, false);
}

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
    for (G *g; (g = gust__glist_pop(l));)
        gust__globq_push_locked(g);
    gust__lock_drop(&sched.lock);
}

void gust__runq_ready(P *p, G *g, bool next)
{
    gust__glist overflow;
    if (next)
        g = gust__runq_set_next(&p->runq, g);
    if (!g)
        return;
    gust__runq_push(&p->runq, g, &overflow);
    if (overflow.count)
        globq_push_list(&overflow);
}

static P *ready_on_current(G *g, bool next)
{
    P *p = gust__m()->p;
#ifdef GUST_DEBUG
    uint32_t state = atomic_load_explicit(&g->state, memory_order_relaxed);
    if (state != G_PARKED)
        gust__fatal("goroutine %llu made ready in state %u", (unsigned long long)g->id, state);
#endif
    atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
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

static G *globq_get(P *p, uint32_t max)
{
    if (atomic_load_explicit(&sched.glist_count, memory_order_relaxed) == 0)
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
static G *next_local(P *p, bool *ret_inherit)
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

/* Work that comes round by the clock or the tick, while goroutines keep the P
 * busy. */
static G *periodic(P *p)
{
    uint32_t n = ++p->dispatches;
    if (n % TIMER_TICK == 0)
        run_timers(p);
    if (n % POLL_TICK == 0 && gust__poller_pending(p->poller))
        gust__poller_poll(p->poller);
    if (n % GLOBAL_TICK == 0)
        return globq_get(p, 1);
    return NULL;
}

static G *steal_from(P *p, P *victim, bool last)
{
    if (victim == p)
        return NULL;
    if (last && gust__timers_earliest(&victim->timers) <= gust_now()) {
        gust__timers_run(&victim->timers, gust_now());
        bool inherit;
        G *g = gust__runq_pop(&p->runq, &inherit);
        if (g)
            return g;
    }
    return gust__runq_steal(&p->runq, &victim->runq, last);
}

/* All Ps in random order, four times; runnext and timers in the last round. */
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

static G *find_now(M *m, bool *ret_inherit)
{
    P *p = m->p;
    G *g = periodic(p);
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

/* --- Running it ---------------------------------------------------------- */

/* A goroutine whose stack cannot be had waits for others to end: it goes to the
 * back of the global queue. */
static bool attach_or_requeue(P *p, G *g)
{
    int err = gust__g_attach(p, g);
    if (err == 0)
        return true;
    static _Atomic bool said;
    if (!atomic_exchange(&said, true))
        gust__log("no memory for a goroutine's stack; retrying");
    gust__globq_push(g);
    return false;
}

/* Runs g until it leaves its stack, then commits what it asked for; again, if
 * the commit says so. */
static void execute(M *m, G *g, bool inherit)
{
    P *p = m->p;
    if (!inherit)
        atomic_store_explicit(&p->schedtick,
                              atomic_load_explicit(&p->schedtick, memory_order_relaxed) + 1,
                              memory_order_relaxed);
    if (!g->stack.low && !attach_or_requeue(p, g))
        return;
    m->curg = g;
    do {
        atomic_store_explicit(&g->state, G_RUNNING, memory_order_relaxed);
        gust__ctx_switch(&m->g0, &g->ctx, false);
    } while (!m->commit(g, m->commit_arg));
    m->curg = NULL;
}

void gust__schedule(M *m)
{
    bool inherit;
    for (G *g; (g = find_runnable(m, &inherit));) {
        if (m->spinning)
            gust__m_stop_spinning(m);
        execute(m, g, inherit);
        if (!m->p && !gust__m_stop(m))
            return;
    }
}

/* --- Small answers ------------------------------------------------------- */

G *gust__g(void)
{
    M *m = gust__m();
    return m ? m->curg : NULL;
}

gust_time gust__now_recent(void)
{
    return gust__m()->p->now;
}

uint64_t gust_goid(void)
{
    G *g = gust__g();
    return g ? g->id : 0;
}

int gust_maxprocs(void)
{
    return sched.nprocs;
}

const char *gust_netpoll_name(void)
{
    return gust__netpoll_name();
}

gust__poller *gust__poller_current(void)
{
    M *m = gust__m();
    return m && m->p ? m->p->poller : NULL;
}

_Atomic uint32_t *gust__g_select_done(G *g)
{
    return &g->select_done;
}

bool gust__can_spin(void)
{
    P *p = gust__m()->p;
    uint32_t idle = atomic_load_explicit(&sched.npidle, memory_order_relaxed) +
                    atomic_load_explicit(&sched.nmspinning, memory_order_relaxed);
    return sched.nprocs > 1 && idle + 1 < (uint32_t)sched.nprocs && gust__runq_empty(&p->runq);
}

/* xorshift32: fast, never 0. */
uint32_t gust__rand(void)
{
    M *m = gust__m();
    uint32_t x = m->rand;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return m->rand = x;
}

const char *gust__wait_name(gust__wait why)
{
    switch (why) {
    case WAIT_NONE: return "not waiting";
    case WAIT_CHAN_SEND: return "chan send";
    case WAIT_CHAN_RECV: return "chan receive";
    case WAIT_CHAN_NULL: return "chan (NULL)";
    case WAIT_SELECT: return "select";
    case WAIT_MUTEX: return "mutex lock";
    case WAIT_WAITGROUP: return "wait group";
    case WAIT_SLEEP: return "sleep";
    case WAIT_IO: return "I/O wait";
    }
    return "?";
}

void gust__stats_read(gust__stats *ret_stats)
{
    gust__stats s = {
        .wakes = atomic_load_explicit(&sched.wakes, memory_order_relaxed),
        .retakes = atomic_load_explicit(&sched.retakes, memory_order_relaxed),
        .threads = atomic_load_explicit(&sched.nm, memory_order_relaxed),
    };
    for (int i = 0; i < sched.nprocs; i++) {
        P *p = &sched.allp[i];
        s.steals += atomic_load_explicit(&p->steals, memory_order_relaxed);
        s.spins += atomic_load_explicit(&p->spins, memory_order_relaxed);
        s.sleeps += atomic_load_explicit(&p->sleeps, memory_order_relaxed);
    }
    *ret_stats = s;
}
