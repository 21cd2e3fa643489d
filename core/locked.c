/* Goroutines wired to their thread (Go's LockOSThread).
 *
 * Always: g->lockedm == m exactly if m->lockedg == g.  Such an M runs no other
 * goroutine: while g is parked the M sleeps on its note, without a P.  Whichever
 * M finds g runnable gives its own P to g's M and sleeps instead:
 *
 *     g parks     its M:  gust__locked_next hands the P off and sleeps
 *     g is ready  any M:  picks g from a queue, gust__locked_start gives the P over
 *
 * The note is sticky, so a P that is given before g's M sleeps is found all the
 * same.  A thread whose goroutine ended wired to it keeps whatever that one did to
 * it (its name, its credentials, its signal mask): nobody may inherit that, so it
 * is retired and sleeps until the runtime stops.  It cannot end before, because
 * the kernel would cancel what it has submitted. */
#include "core/proc.h"

void gust_lock_os_thread(void)
{
    GUST__CALL();
    M *m = gust__m();
    G *g = m->curg;
    if (!g)
        gust_panic("gust_lock_os_thread outside a goroutine");
    g->lock_count++;
    g->lockedm = m;
    m->lockedg = g;
}

void gust_unlock_os_thread(void)
{
    GUST__CALL();
    M *m = gust__m();
    G *g = m->curg;
    if (!g || g->lock_count == 0)
        gust_panic("gust_unlock_os_thread of a goroutine that is not locked");
    if (--g->lock_count > 0)
        return;
    g->lockedm = NULL;
    m->lockedg = NULL;
}

void gust__locked_exit(G *g)
{
    M *m = g->lockedm;
    if (!m)
        return;
    g->lockedm = NULL;
    g->lock_count = 0;
    m->lockedg = NULL;
    m->retired = true;
}

G *gust__locked_next(M *m)
{
    P *p = m->p;
    if (p) {
        gust__poller_submit(p->poller);
        gust__m_set_p(m, NULL);
        gust__handoff(p);
    }
    do {
        gust__note_sleep(&m->note, -1);
        if (atomic_load_explicit(&sched.stopping, memory_order_acquire))
            return NULL;
    } while (!m->nextp);
    gust__m_set_p(m, m->nextp);
    m->nextp = NULL;
    return m->lockedg;
}

void gust__locked_start(M *m, G *g)
{
    M *to = g->lockedm;
    P *p = m->p;
    gust__poller_submit(p->poller);
    gust__m_set_p(m, NULL);
    to->nextp = p;
    gust__note_wake(&to->note);
}
