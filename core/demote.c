/* Demotion: taking the P from a goroutine that stays in user or foreign code.
 *
 * sysmon finds a P that has run one goroutine for too long.  If that goroutine is
 * outside of gust, the P is detached there and then, and another M runs it; the
 * goroutine goes on as a plain thread, which the kernel schedules.  None of its
 * registers and none of its stack is touched, so it may be in malloc, in OpenSSL,
 * or hold a pthread mutex.  Its next call into gust finds the P gone and gets one
 * as after a blocking call.  Inside of a call nothing is taken: the goroutine is
 * asked to yield when the call ends.
 *
 * The decision is core/call.h's.  Its fence is made in the hog's thread
 *   - by membarrier(2) if that thread sleeps: it is not woken, so the foreign call
 *     sees no EINTR;
 *   - by SIGURG if it burns CPU: the handler decides on the thread itself, and
 *     being a way into the kernel it lets the kernel post what has completed for
 *     this thread's requests (golang.org: asynchronous preemption, with the
 *     difference that Go switches stacks in the handler and we do not);
 *   - by the one that works, where the other does not.  ThreadSanitizer delivers
 *     signals only when a thread enters it, so under it a burning thread gets the
 *     barrier too.
 *
 * Who moves `steal`, and when:
 *   NONE, YIELD -> REQUEST  sysmon: gust__demote
 *   NONE -> YIELD           sysmon: gust__demote_ask
 *   REQUEST -> TAKEN        sysmon after the barrier, or the handler; then the P is
 *                           sysmon's, or in P_SYSCALL for sysmon to retake
 *   REQUEST -> YIELD, NONE  the same, when they find a call under way
 *   NONE -> TAKEN           chaos, at the end of a call
 *   REQUEST, YIELD -> NONE  the hog's thread, in a call
 *   TAKEN -> NONE           the hog's thread, in its next call, which gets a P */
#include "core/demote.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/chaos.h"
#include "core/inject.h"

gust__demote_fence gust__demote_fence_wanted;

static struct {
    bool barrier; /* membarrier works */
    bool signal;  /* SIGURG is ours */
    struct sigaction previous;
} fence;

static bool steal_change(M *m, gust__steal from, gust__steal to)
{
    uint32_t old = from;
    /* Acquire and release: whoever takes the P sees what its owner did, and the
     * owner's next call sees that it was taken. */
    return atomic_compare_exchange_strong_explicit(&m->marks.steal, &old, to, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

/* --- In the hog's thread ---------------------------------------------------- */

/* Under STEAL_TAKEN, which is this thread's to leave. */
static void get_p_back(M *m)
{
    m->oldp = m->p;
    gust__m_set_p(m, NULL);
    /* Release: sysmon may ask again only once it can see that m has no P. */
    atomic_store_explicit(&m->marks.steal, STEAL_NONE, memory_order_release);
    gust__p_regain(m);
}

/* Answers what was asked of this thread; in a call, so nobody takes its P. */
static void answer(M *m)
{
    for (;;) {
        gust__steal steal = atomic_load_explicit(&m->marks.steal, memory_order_acquire);
        switch (steal) {
        case STEAL_NONE:
        case STEAL_BLOCKING: return;
        case STEAL_TAKEN: get_p_back(m); return;
        case STEAL_REQUEST:
        case STEAL_YIELD:
            if (!steal_change(m, steal, STEAL_NONE))
                break; /* decided otherwise meanwhile */
            gust__preempted();
            return;
        }
    }
}

void gust__call_asked(void)
{
    M *m = gust__m();
    if (atomic_load_explicit(&m->marks.steal, memory_order_relaxed) == STEAL_BLOCKING)
        gust_panic("a call of gust between gust_blocking_begin and gust_blocking_end");
    answer(m);
}

/* Under STEAL_TAKEN, by m's thread: from here on as if its goroutine had announced
 * a blocking call. */
static void lose_p(P *p)
{
    atomic_store_explicit(&p->hogged, true, memory_order_relaxed);
    /* Release: pairs with the CAS of who takes it. */
    atomic_store_explicit(&p->status, P_SYSCALL, memory_order_seq_cst);
    gust__note_wake(&sched.sysmon_note);
}

void gust__call_end_asked(void)
{
    answer(gust__m());
    M *m = gust__m();
    if (m->p && gust__chaos(4) && steal_change(m, STEAL_NONE, STEAL_TAKEN))
        lose_p(m->p);
}

_Noreturn void gust__call_foreign(void)
{
    gust_panic("a call of gust on a thread that runs no goroutine");
}

void gust_yield_if_needed(void)
{
    M *m = gust__m();
    if (!m)
        return;
    gust__steal steal = atomic_load_explicit(&m->marks.steal, memory_order_relaxed);
    if (__builtin_expect(steal != STEAL_NONE && steal != STEAL_BLOCKING, 0)) {
        GUST__CALL(); /* its beginning is what answers */
    }
}

/* Decides about a request to the thread it runs on.  False if there is none.
 * Async-signal-safe: atomics and futex(2). */
static bool decide(M *m)
{
    P *p = m->p;
    if (atomic_load_explicit(&m->marks.depth, memory_order_relaxed) > 0)
        return steal_change(m, STEAL_REQUEST, STEAL_YIELD);
    if (!p || !steal_change(m, STEAL_REQUEST, STEAL_TAKEN))
        return false;
    lose_p(p);
    return true;
}

/* On any thread.  A SIGURG that we have not sent is somebody else's business. */
static void on_sigurg(int signo, siginfo_t *info, void *context)
{
    int saved = errno;
    M *m = gust__m();
    if (!m || !decide(m)) {
        if (fence.previous.sa_flags & SA_SIGINFO)
            fence.previous.sa_sigaction(signo, info, context);
        else if (fence.previous.sa_handler != SIG_DFL && fence.previous.sa_handler != SIG_IGN)
            fence.previous.sa_handler(signo);
    }
    errno = saved;
}

/* --- In sysmon --------------------------------------------------------------- */

static void barrier(void)
{
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* Between a request and its answer: outside of gust, and with that P? */
static bool is_outside_with(M *m, P *p)
{
    /* Acquire: pairs with the release in gust__call_end; what the last call did
     * with the P is visible to us. */
    return atomic_load_explicit(&m->marks.depth, memory_order_acquire) == 0 &&
           __atomic_load_n(&m->p, __ATOMIC_RELAXED) == p;
}

/* A thread that sleeps in a call (for a page, say) is not to blame; one that has
 * burnt its time yields when the call ends. */
static bool take_by_barrier(M *m, P *p, bool asleep)
{
    barrier();
    if (is_outside_with(m, p) && steal_change(m, STEAL_REQUEST, STEAL_TAKEN))
        return true;
    steal_change(m, STEAL_REQUEST, asleep ? STEAL_NONE : STEAL_YIELD);
    return false;
}

static bool use_barrier(bool asleep)
{
#ifdef GUST__TSAN
    asleep = true;
#endif
    return fence.barrier && (asleep || !fence.signal);
}

bool gust__demote(P *p, bool asleep)
{
    /* Acquire: pairs with the release in gust__m_set_p; m's tid is visible. */
    M *m = atomic_load_explicit(&p->m, memory_order_acquire);
    if (!m || (!steal_change(m, STEAL_NONE, STEAL_REQUEST) &&
               !steal_change(m, STEAL_YIELD, STEAL_REQUEST)))
        return false;
    if (use_barrier(asleep))
        return take_by_barrier(m, p, asleep);
    if (fence.signal)
        syscall(SYS_tgkill, getpid(), m->tid, SIGURG);
    else
        steal_change(m, STEAL_REQUEST, STEAL_YIELD);
    return false;
}

bool gust__demote_ask(P *p)
{
    M *m = atomic_load_explicit(&p->m, memory_order_acquire);
    return m && steal_change(m, STEAL_NONE, STEAL_YIELD);
}

/* --- Setting up -------------------------------------------------------------- */

static bool barrier_works(void)
{
    return !gust__inject(INJECT_MEMBARRIER) &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0 &&
           syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void gust__demote_setup(void)
{
    struct sigaction ours = {.sa_sigaction = on_sigurg,
                             .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    fence.barrier = gust__demote_fence_wanted != GUST__FENCE_SIGNAL && barrier_works();
    fence.signal = gust__demote_fence_wanted != GUST__FENCE_BARRIER &&
                   sigaction(SIGURG, &ours, &fence.previous) == 0;
}

void gust__demote_teardown(void)
{
    if (fence.signal)
        sigaction(SIGURG, &fence.previous, NULL);
    fence.signal = fence.barrier = false;
}
