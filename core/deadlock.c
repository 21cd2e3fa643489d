/* Deadlocks: all goroutines wait, and there is nothing left that could end a wait.
 *
 * Goroutines are woken by other goroutines, by timers and by operations of the
 * pollers, and by nobody else: a thread that is none of gust's may not call what
 * wakes (core/call.h), and a signal comes by way of an operation (signal.c).  So it
 * is a deadlock if, at one moment,
 *   1. every P is idle,
 *   2. no queue holds a goroutine,
 *   3. no timer is armed,
 *   4. no poller has an operation, and
 *   5. no M has a goroutine that goes on without a P.
 *
 * sysmon looks at all that under sched.lock.  With (1) it is the state of one moment:
 * a P leaves the idle list, and a goroutine without a P enters a queue, only under
 * that lock, and everything else (queues of Ps, timers, operations, m->curg) is
 * changed by Ms that have a P.  What they wrote before they let go of it is visible,
 * because a P becomes idle under the same lock.
 *
 * States that might be taken for a deadlock, and which of the five they violate:
 *   - a goroutine runs, or is in a call of gust                  1, its M has a P
 *   - it was just made ready                                     1 (who did it has a
 *     P and, before it lets go of it, looks at its queue) or 2
 *   - a P was given to an M that has not noticed yet (nextp),
 *     or to one whose thread is being made                       1: the P is RUNNING
 *   - sysmon is handing a P over                                 not while sysmon is here
 *   - an announced blocking call: the P in P_SYSCALL             1
 *     the P taken since                                          5
 *   - a demoted goroutine in foreign code                        5
 *     whose P SIGURG's handler has put in P_SYSCALL              1
 *   - either on an M so new that it is not on sched.allm    5: it is counted
 *   - one on its way back, that has no P yet                     5, until it has one (1)
 *     or is queued (2): both in one step under the lock (blocking.c)
 *   - a timer that is due, or whose callback runs                3; 1, since only an M
 *     with a P runs it
 *   - a completion that nobody has reaped, or a result that was
 *     reaped but not handed out                                  4; 1, the same
 *   - no stack for a new goroutine                               2: it is queued again
 *   - the main goroutine has returned                            `stopping` is set before
 *     its M lets go of its P, or before it comes back without one
 * An M that is awake without P or goroutine (a sleeper that lost its P, a thief that
 * found nothing) can do nothing that the five do not show.
 *
 * Not seen: a goroutine that waits for ever while others go on; and any deadlock
 * while gust_signal_notify or a listener waits, as in Go. */
#include "core/proc.h"

/* All below: under sched.lock, with all Ps idle. */

static bool p_may_act(P *p)
{
    return !gust__runq_empty(&p->runq) || gust__timers_earliest(&p->timers) != GUST_FOREVER ||
           gust__poller_has_ops(p->poller);
}

static bool any_p_may_act(void)
{
    for (int i = 0; i < sched.nprocs; i++)
        if (p_may_act(&sched.allp[i]))
            return true;
    return false;
}

static bool any_m_outside(void)
{
    if (sched.nm_starting)
        return true;
    for (M *m = sched.allm; m; m = m->all_link)
        if (__atomic_load_n(&m->curg, __ATOMIC_RELAXED))
            return true;
    return false;
}

static bool is_deadlock_locked(void)
{
    return atomic_load_explicit(&sched.npidle, memory_order_relaxed) == (uint32_t)sched.nprocs &&
           !atomic_load_explicit(&sched.stopping, memory_order_relaxed) && sched.glist.count == 0 &&
           !any_p_may_act() && !any_m_outside();
}

void gust__deadlock_check(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    bool deadlock = is_deadlock_locked();
    gust__lock_drop(&sched.lock);
    if (!deadlock)
        return;
    if (gust_num_goroutines() == 0)
        gust__fatal("no goroutines (main called gust_goexit) - deadlock!");
    gust__fatal("all goroutines are asleep - deadlock!");
}
