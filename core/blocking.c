/* Announced blocking calls (Go's entersyscall and exitsyscall).
 *
 * Between begin and end the P is in P_SYSCALL: still this M's by right, but
 * sysmon, or another M that comes back from a blocking call, may take it with one
 * CAS; end tries the opposite CAS.  Whoever wins has the P.  It does not matter
 * if the P was taken, used, and is in somebody else's blocking call by the time
 * end tries: taking it from there is as lawful.
 *
 * A goroutine that lost its P without having announced anything (demote.c) comes
 * back the same way. */
#include "core/proc.h"

void gust_blocking_begin(void)
{
    GUST__CALL();
    M *m = gust__m();
    G *g = m->curg;
    if (!g)
        gust_panic("gust_blocking_begin outside a goroutine");
    P *p = m->p;
    gust__poller_submit(p->poller); /* what is queued must not wait for this call */
    atomic_store_explicit(&g->state, G_BLOCKING, memory_order_relaxed);
    m->oldp = p;
    gust__m_set_p(m, NULL);
    /* Whatever was asked of this M is void: it gives up its P. */
    atomic_store_explicit(&m->marks.steal, STEAL_BLOCKING, memory_order_relaxed);
    /* Seq_cst: publishes the P to who retakes it, and comes before the look at
     * whether sysmon sleeps (it looks at us after it has said that it does). */
    atomic_store_explicit(&p->status, P_SYSCALL, memory_order_seq_cst);
    gust__sysmon_wake();
}

/* A goroutine that does nothing but block would otherwise never meet the scheduler,
 * which is where threads find out. */
static bool is_the_end(void)
{
    return atomic_load_explicit(&sched.stopping, memory_order_relaxed);
}

/* Commit, without a P: an idle one, else the global queue. */
static bool end_without_p(G *g, void *arg)
{
    (void)arg;
    M *m = gust__m(), *sleeper = NULL;
    gust__lock_take(&sched.lock, RANK_SCHED);
    P *p = is_the_end() ? NULL : gust__p_idle_take_locked(m->oldp, &sleeper);
    gust__m_set_p(m, p);
    if (!p) {
        atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
        gust__globq_push_locked(g);
        gust__m_set_curg(m, NULL); /* in one step, for deadlock.c */
    }
    gust__lock_drop(&sched.lock);
    if (sleeper)
        gust__poller_wake(p->poller); /* it finds its P gone and waits for another */
    return p == NULL;
}

void gust__p_regain(M *m)
{
    P *p = m->oldp;
    uint32_t syscall = P_SYSCALL;
    /* Acquire: sees what others did with the P if it was away meanwhile. */
    if (is_the_end() ||
        !atomic_compare_exchange_strong_explicit(&p->status, &syscall, P_RUNNING,
                                                 memory_order_acquire, memory_order_relaxed)) {
        gust__to_g0(end_without_p, NULL, false);
        return;
    }
    gust__m_set_p(m, p);
    atomic_store_explicit(&p->hogged, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->syscalltick, 1, memory_order_relaxed);
    atomic_store_explicit(&m->curg->state, G_RUNNING, memory_order_relaxed);
}

void gust_blocking_end(void)
{
    M *m = gust__m();
    if (!m || !m->curg ||
        atomic_load_explicit(&m->marks.steal, memory_order_relaxed) != STEAL_BLOCKING)
        gust_panic("gust_blocking_end without gust_blocking_begin");
    atomic_store_explicit(&m->marks.depth, 1, memory_order_relaxed);
    /* Release: who finds that it may ask sees that a call is under way. */
    atomic_store_explicit(&m->marks.steal, STEAL_NONE, memory_order_release);
    gust__p_regain(m);
    gust__call_end(NULL);
}
