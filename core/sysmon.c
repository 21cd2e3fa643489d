/* sysmon: the thread without a P that watches the others.
 *
 * It looks every 20 us while it finds something to do, after 50 idle looks in
 * doubling intervals up to 10 ms (Go's constants), 1 ms while some Ps work and
 * others are idle.  When all Ps are idle it sleeps until one is taken.  It
 *   - takes the P from an announced blocking call that has lasted a whole look,
 *     if the P has something to do, or after 10 ms in any case;
 *   - wakes an idle P for work that a busy one does not get to: gust__ready does
 *     not, because the goroutine it makes ready usually runs in a moment. */
#include "core/proc.h"

#define DELAY_MIN_NS (20 * GUST_US)
#define DELAY_MAX_NS (10 * GUST_MS)
#define DELAY_MIXED_NS (1 * GUST_MS)
#define IDLE_LOOKS 50
/* Under ThreadSanitizer a signal handler runs only when the thread that got the
 * signal next calls into the sanitizer.  This is the process's first thread, which
 * the kernel prefers, so it must not sleep for ever there. */
#ifdef GUST__TSAN
#define DEEP_SLEEP_NS (50 * GUST_MS)
#else
#define DEEP_SLEEP_NS (-1)
#endif
#define SYSCALL_PATIENCE_NS (10 * GUST_MS)

void gust__sysmon_wake(void)
{
    if (atomic_load_explicit(&sched.sysmon_asleep, memory_order_seq_cst) &&
        atomic_exchange_explicit(&sched.sysmon_asleep, 0, memory_order_seq_cst))
        gust__note_wake(&sched.sysmon_note);
}

static uint32_t npidle(void)
{
    return atomic_load_explicit(&sched.npidle, memory_order_seq_cst);
}

/* All Ps idle: nothing to watch until one is taken or a call blocks. */
static void sleep_until_needed(void)
{
    atomic_store_explicit(&sched.sysmon_asleep, 1, memory_order_seq_cst);
    /* Mirrors gust__p_idle_take_locked and gust_blocking_begin: they change the
     * P, then look at sysmon_asleep. */
    if (npidle() == (uint32_t)sched.nprocs &&
        !atomic_load_explicit(&sched.stopping, memory_order_seq_cst))
        gust__note_sleep(&sched.sysmon_note, DEEP_SLEEP_NS);
    atomic_store_explicit(&sched.sysmon_asleep, 0, memory_order_seq_cst);
}

static bool has_work(P *p, gust_time now)
{
    return !gust__runq_empty(&p->runq) || gust__timers_earliest(&p->timers) <= now ||
           atomic_load_explicit(&sched.glist_count, memory_order_relaxed) ||
           gust__poller_pending(p->poller);
}

static bool others_idle(void)
{
    return npidle() + atomic_load_explicit(&sched.nmspinning, memory_order_relaxed) > 0;
}

/* Returns true if it took the P. */
static bool retake(P *p, gust_time now)
{
    uint32_t tick = atomic_load_explicit(&p->syscalltick, memory_order_relaxed);
    if (p->seen.syscalltick != tick) {
        p->seen.syscalltick = tick;
        p->seen.syscallwhen = now;
        return false;
    }
    if (!has_work(p, now) && others_idle() && now - p->seen.syscallwhen < SYSCALL_PATIENCE_NS)
        return false;
    uint32_t syscall = P_SYSCALL;
    /* Acquire: pairs with the store in gust_blocking_begin. */
    if (!atomic_compare_exchange_strong_explicit(&p->status, &syscall, P_RUNNING,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    atomic_fetch_add_explicit(&p->syscalltick, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sched.retakes, 1, memory_order_relaxed);
    gust__handoff(p);
    return true;
}

/* A busy P that has run one goroutine since the last look: does work wait? */
static void share(P *p, gust_time now)
{
    uint32_t tick = atomic_load_explicit(&p->schedtick, memory_order_relaxed);
    bool stuck = p->seen.schedtick == tick;
    p->seen.schedtick = tick;
    if (!stuck || npidle() == 0)
        return;
    if (!gust__runq_empty(&p->runq) || gust__timers_earliest(&p->timers) <= now)
        gust__wakep_spawn();
}

static int look(gust_time now)
{
    int taken = 0;
    for (int i = 0; i < sched.nprocs; i++) {
        P *p = &sched.allp[i];
        switch ((gust__pstatus)atomic_load_explicit(&p->status, memory_order_relaxed)) {
        case P_IDLE: break;
        case P_RUNNING: share(p, now); break;
        case P_SYSCALL: taken += retake(p, now); break;
        }
    }
    return taken;
}

static int64_t next_delay(int64_t delay, int idle_looks)
{
    if (idle_looks == 0)
        return DELAY_MIN_NS;
    if (idle_looks > IDLE_LOOKS)
        delay *= 2;
    uint32_t idle = npidle();
    int64_t max = idle > 0 && idle < (uint32_t)sched.nprocs ? DELAY_MIXED_NS : DELAY_MAX_NS;
    return delay < max ? delay : max;
}

void gust__sysmon(void)
{
    int64_t delay = DELAY_MIN_NS;
    int idle_looks = 0;
    while (!atomic_load_explicit(&sched.stopping, memory_order_acquire)) {
        if (delay >= DELAY_MAX_NS && npidle() == (uint32_t)sched.nprocs)
            sleep_until_needed();
        else
            gust__note_sleep(&sched.sysmon_note, delay);
        idle_looks = look(gust_now()) ? 0 : idle_looks + 1;
        delay = next_delay(delay, idle_looks);
    }
}
