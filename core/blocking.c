/* Announced blocking calls (Go's entersyscall and exitsyscall).
 *
 * Between begin and end the P is in P_SYSCALL: still this M's by right, but
 * sysmon, or another M that comes back from a blocking call, may take it with one
 * CAS; end tries the opposite CAS.  Whoever wins has the P.  It does not matter
 * if the P was taken, used, and is in somebody else's blocking call by the time
 * end tries: taking it from there is as lawful. */
#include "core/proc.h"

void gust_blocking_begin(void)
{
    M *m = gust__m();
    G *g = m ? m->curg : NULL;
    if (!g)
        gust_panic("gust_blocking_begin outside a goroutine");
    if (!m->p)
        gust_panic("gust_blocking_begin twice");
    P *p = m->p;
    gust__poller_submit(p->poller); /* what is queued must not wait for this call */
    atomic_store_explicit(&g->state, G_BLOCKING, memory_order_relaxed);
    m->oldp = p;
    m->p = NULL;
    /* Seq_cst: publishes the P to who retakes it, and comes before the look at
     * whether sysmon sleeps (it looks at us after it has said that it does). */
    atomic_store_explicit(&p->status, P_SYSCALL, memory_order_seq_cst);
    gust__sysmon_wake();
}

/* On g0, without a P: an idle one, else the global queue. */
static bool end_without_p(G *g, void *arg)
{
    (void)arg;
    M *m = gust__m(), *sleeper;
    gust__lock_take(&sched.lock, RANK_SCHED);
    m->p = gust__p_idle_take_locked(m->oldp, &sleeper);
    if (!m->p) {
        atomic_store_explicit(&g->state, G_RUNNABLE, memory_order_relaxed);
        gust__globq_push_locked(g);
    }
    gust__lock_drop(&sched.lock);
    if (sleeper)
        gust__poller_wake(m->p->poller); /* it finds its P gone and waits for another */
    return m->p == NULL;
}

void gust_blocking_end(void)
{
    M *m = gust__m();
    if (!m || !m->curg || m->p)
        gust_panic("gust_blocking_end without gust_blocking_begin");
    P *p = m->oldp;
    uint32_t syscall = P_SYSCALL;
    /* Acquire: sees what others did with the P if it was away meanwhile. */
    if (!atomic_compare_exchange_strong_explicit(&p->status, &syscall, P_RUNNING,
                                                 memory_order_acquire, memory_order_relaxed)) {
        gust__to_g0(end_without_p, NULL, false);
        return;
    }
    m->p = p;
    atomic_fetch_add_explicit(&p->syscalltick, 1, memory_order_relaxed);
    atomic_store_explicit(&m->curg->state, G_RUNNING, memory_order_relaxed);
}
