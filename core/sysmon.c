/* sysmon: the thread without a P that watches the others.
 *
 * It looks every 20 us while it finds something to do, after 50 idle looks in
 * doubling intervals up to 10 ms (Go's constants), 1 ms while a P is busy and a
 * quarter of that while one is stuck.  When all Ps are idle it sleeps until one
 * is taken, the next line of GUST_SCHEDTRACE is due, or free stacks are to age.  It
 *   - takes the P from an announced blocking call that has lasted a whole look,
 *     if the P has something to do, or after 10 ms in any case;
 *   - takes the P from a goroutine that has kept it, unannounced, for 1 ms while
 *     its thread sleeps in the kernel, or for 10 ms while it burns CPU (demote.c);
 *   - wakes an idle P for work that a busy one does not get to: goroutines, since
 *     gust__ready leaves them to the P it runs on, timers, completions;
 *   - looks after a P for which no thread could be started;
 *   - gives back memory of stacks that have been free for a while (stack_free.h);
 *   - finds deadlocks, before it sleeps until a P is taken (deadlock.c). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/chaos.h"
#include "core/demote.h"
#include "core/proc.h"
#include "core/stack_free.h"

#define DELAY_MIN_NS (20 * GUST_US)
#define DELAY_MAX_NS (10 * GUST_MS)
#define DELAY_BUSY_NS (1 * GUST_MS)
#define IDLE_LOOKS 50
#define DELAY_QUESTION_NS (DELAY_BUSY_NS / 4)
#define SYSCALL_PATIENCE_NS (10 * GUST_MS)
/* Between two tries to find a thread for Ps that have none. */
#define UNWATCHED_RETRY_NS (10 * GUST_MS)
/* How often free stacks age. */
#define STACKS_AGE_NS (1 * GUST_SEC)
/* How long one goroutine may keep a P outside of gust. */
#define SLICE_ASLEEP_NS (1 * GUST_MS)
#define SLICE_NS (10 * GUST_MS)

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

/* From `now` to the next trace line, or until free stacks age, if they do. */
static int64_t deep_sleep_ns(gust_time now, gust_time trace_at, gust_time age_at)
{
    gust_time until = gust__stack_free_ages() && age_at < trace_at ? age_at : trace_at;
    if (until == GUST_FOREVER)
        return -1;
    return until > now ? until - now : 0;
}

/* All Ps idle, and rightly so. */
static bool nothing_to_watch(void)
{
    return npidle() == (uint32_t)sched.nprocs &&
           !atomic_load_explicit(&sched.nunwatched, memory_order_seq_cst);
}

/* There is nothing to watch until a P is taken or a call blocks. */
static void sleep_until_needed(int64_t max_ns)
{
    atomic_store_explicit(&sched.sysmon_asleep, 1, memory_order_seq_cst);
    /* Mirrors gust__p_idle_take_locked, gust_blocking_begin and a failing
     * gust__m_start: they change the P, then look at sysmon_asleep. */
    if (nothing_to_watch() && !atomic_load_explicit(&sched.stopping, memory_order_seq_cst)) {
        gust__deadlock_check();
        gust__note_sleep(&sched.sysmon_note, max_ns);
    }
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

/* An announced call has lasted a whole look, and the P is wanted. */
static bool is_to_be_retaken(P *p, gust_time now)
{
    uint32_t tick = atomic_load_explicit(&p->syscalltick, memory_order_relaxed);
    if (p->seen.syscalltick != tick) {
        p->seen.syscalltick = tick;
        p->seen.syscallwhen = now;
        return false;
    }
    return gust__chaos_on || has_work(p, now) || !others_idle() ||
           now - p->seen.syscallwhen >= SYSCALL_PATIENCE_NS;
}

/* Returns true if it took the P. */
static bool retake(P *p, gust_time now)
{
    bool hogged = atomic_load_explicit(&p->hogged, memory_order_relaxed);
    if (!hogged && !is_to_be_retaken(p, now))
        return false;
    uint32_t syscall = P_SYSCALL;
    /* Acquire: pairs with the store in gust_blocking_begin or demote.c. */
    if (!atomic_compare_exchange_strong_explicit(&p->status, &syscall, P_RUNNING,
                                                 memory_order_acquire, memory_order_relaxed))
        return false;
    atomic_store_explicit(&p->hogged, false, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->syscalltick, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(hogged ? &sched.demotions : &sched.retakes, 1, memory_order_relaxed);
    gust__handoff(p);
    return true;
}

/* --- A P that stays with one goroutine ------------------------------------- */

/* Work that another P could do for it. */
static void share(P *p, gust_time now)
{
    if (npidle() > 0 && has_work(p, now))
        gust__wakep_spawn();
}

static int64_t cpu_ns(const M *m)
{
    struct timespec ts;
    if (clock_gettime(m->cpu_clock, &ts) < 0)
        return 0;
    return ts.tv_sec * GUST_SEC + ts.tv_nsec;
}

/* What /proc says of it: 'S' or 'D' for asleep.  True if it cannot be asked. */
static bool state_is_asleep(const M *m)
{
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)m->tid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return true;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return !name_end || strncmp(name_end, ") S", 3) == 0 || strncmp(name_end, ") D", 3) == 0;
}

/* CPU time of the thread that has p since the last call for this goroutine; of how
 * long a time: *ret_of_ns, 0 at the first call. */
static int64_t cpu_used_ns(P *p, const M *m, gust_time now, int64_t *ret_of_ns)
{
    int64_t cpu = cpu_ns(m), used = cpu - p->seen.cpu_ns;
    *ret_of_ns = p->seen.cpu_at ? now - p->seen.cpu_at : 0;
    p->seen.cpu_ns = cpu;
    p->seen.cpu_at = now;
    return used;
}

/* Does the thread that has p sleep in the kernel?  Its CPU clock has stood still
 * for most of the time since the last look; and since that is also so if there is
 * no CPU free for it, the kernel is asked before the answer is yes. */
static bool is_asleep(P *p, gust_time now)
{
    const M *m = atomic_load_explicit(&p->m, memory_order_acquire);
    int64_t of_ns, used_ns;
    if (!m)
        return false; /* its first thread is just starting */
    used_ns = cpu_used_ns(p, m, now, &of_ns);
    return now - p->seen.since >= SLICE_ASLEEP_NS && used_ns < of_ns / 2 && state_is_asleep(m);
}

/* Takes the P.  True if it is to be handed over at once. */
static bool take(P *p, bool asleep)
{
    if (!gust__demote(p, asleep))
        return false;
    atomic_fetch_add_explicit(&sched.demotions, 1, memory_order_relaxed);
    gust__handoff(p);
    return true;
}

/* A goroutine that burns CPU is first asked to yield, in case it calls gust, and
 * loses its P at the next look if it has not. */
static bool take_from_burning(P *p, gust_time now)
{
    if (now - p->seen.since < SLICE_NS || !has_work(p, now))
        return false;
    if (p->seen.asked)
        return take(p, false);
    p->seen.asked = true;
    gust__demote_ask(p);
    return false;
}

/* Returns true if it took the P. */
static bool watch(P *p, gust_time now)
{
    uint32_t tick = atomic_load_explicit(&p->schedtick, memory_order_relaxed);
    bool stuck = p->seen.schedtick == tick;
    atomic_store_explicit(&p->stuck, stuck, memory_order_relaxed);
    if (!stuck) {
        p->seen.schedtick = tick;
        p->seen.since = now;
        p->seen.cpu_at = 0;
        p->seen.looks = 0;
        p->seen.asked = false;
        return false;
    }
    p->seen.looks++;
    share(p, now);
    if (gust__demote_fence_wanted == GUST__FENCE_NONE)
        return false;
    if (!is_asleep(p, now))
        return take_from_burning(p, now);
    bool wanted = has_work(p, now) || !others_idle();
    return (wanted || now - p->seen.since >= SLICE_NS) && take(p, true);
}

/* It stays with one goroutine, and soon it will be seen whether that one sleeps. */
static bool is_in_question(P *p, gust_time now)
{
    return atomic_load_explicit(&p->stuck, memory_order_relaxed) &&
           (p->seen.looks == 1 || now - p->seen.since < SLICE_ASLEEP_NS + DELAY_QUESTION_NS);
}

/* Returns how many Ps it took.  *ret_question: another look is needed soon. */
static int look(gust_time now, bool *ret_question)
{
    int taken = 0;
    *ret_question = false;
    for (int i = 0; i < sched.nprocs; i++) {
        P *p = &sched.allp[i];
        switch ((gust__pstatus)atomic_load_explicit(&p->status, memory_order_relaxed)) {
        case P_IDLE: break;
        case P_RUNNING:
            taken += watch(p, now);
            *ret_question |= is_in_question(p, now);
            break;
        case P_SYSCALL: taken += retake(p, now); break;
        }
    }
    return taken;
}

static void find_threads(gust_time now, gust_time *next)
{
    if (now < *next || !atomic_load_explicit(&sched.nunwatched, memory_order_relaxed))
        return;
    *next = now + UNWATCHED_RETRY_NS;
    gust__unwatched_retry();
}

static void age_stacks(gust_time now, gust_time *at)
{
    if (now >= *at && !gust__stack_free_age())
        *at = now + STACKS_AGE_NS;
}

static int64_t next_delay(int64_t delay, int idle_looks, bool question)
{
    int64_t max = question ? DELAY_QUESTION_NS : DELAY_BUSY_NS;
    if (npidle() == (uint32_t)sched.nprocs)
        max = DELAY_MAX_NS;
    if (idle_looks == 0)
        return DELAY_MIN_NS;
    if (idle_looks > IDLE_LOOKS)
        delay *= 2;
    return delay < max ? delay : max;
}

/* Where time is simulated no thread can be too slow. */
static void wait_for_end(void)
{
    while (!atomic_load_explicit(&sched.stopping, memory_order_acquire))
        gust__note_sleep(&sched.sysmon_note, -1);
}

void gust__sysmon(void)
{
    if (gust__clock_simulated) {
        wait_for_end();
        return;
    }
    int64_t delay = DELAY_MIN_NS;
    gust_time next_find = 0;
    int idle_looks = 0;
    gust_time now = gust_now(), trace_at = gust__schedtrace(now), age_at = now + STACKS_AGE_NS;
    while (!atomic_load_explicit(&sched.stopping, memory_order_acquire)) {
        bool question;
        if (delay >= DELAY_MAX_NS && nothing_to_watch())
            sleep_until_needed(deep_sleep_ns(now, trace_at, age_at));
        else
            gust__note_sleep(&sched.sysmon_note, delay);
        now = gust_now();
        atomic_store_explicit(&sched.clock, now, memory_order_relaxed);
        trace_at = gust__schedtrace(now);
        idle_looks = look(now, &question) ? 0 : idle_looks + 1;
        find_threads(now, &next_find);
        age_stacks(now, &age_at);
        delay = next_delay(delay, idle_looks, question);
    }
}
