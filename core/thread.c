/* Ms and idle Ps: who sleeps where, who wakes whom.
 *
 * An M without work gives its P to the idle list and sleeps in that P's poller,
 * as its `sleeper`: what the poller completes wakes exactly the M that serves it.
 * To run an idle P, a waker takes it off the list and, if it has a sleeper, hands
 * it over in m->nextp and wakes the poller; else an M is found in sched.midle
 * (Ms without a P, asleep on their note) or started.  An M that wakes and finds
 * that somebody else took its P joins sched.midle.
 *
 * No wake-up is lost, because the two sides mirror each other (Go's protocol):
 *
 *     who makes work                     who goes to sleep
 *     1. puts the G in a queue           1. puts its P on the idle list and
 *     2. fence                              stops being counted as spinning
 *     3. reads npidle, nmspinning;       2. fence
 *        wakes a P unless none is idle   3. reads all queues; takes a P back
 *        or an M is spinning                if there is work
 *
 * Whichever fence comes first, the other side sees the write before it.  Not
 * checking again after becoming non-spinning was tried by others and loses
 * wake-ups (golang/go#43997).
 *
 * At most half of the busy Ps spin (may_spin in sched.c), and a spinning M that
 * finds work looks whether there is more before it runs it. */
#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/chaos.h"
#include "core/fault.h"
#include "core/inject.h"
#include "core/proc.h"

/* The runtime's own code runs on these: the scheduler, completions, timers. */
#define THREAD_STACK_SIZE ((size_t)512 << 10)
#define STOP_ROUNDS 200
#define STOP_ROUND_NS (5 * GUST_MS)

/* --- Notes --------------------------------------------------------------- */

void gust__note_wake(gust__note *n)
{
    /* Release: what the waker wrote is visible to the sleeper's acquire. */
    if (atomic_exchange_explicit(&n->word, 1, memory_order_release) == 0)
        syscall(SYS_futex, &n->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* Under ThreadSanitizer a signal handler runs only when the thread that got the
 * signal next calls into the sanitizer; so no thread sleeps for long at a stretch. */
#ifdef GUST__TSAN
#define NOTE_STRETCH_NS (50 * GUST_MS)
#else
#define NOTE_STRETCH_NS INT64_MAX
#endif

void gust__note_sleep(gust__note *n, int64_t timeout_ns)
{
    bool forever = timeout_ns < 0;
    int64_t ns = forever || timeout_ns > NOTE_STRETCH_NS ? NOTE_STRETCH_NS : timeout_ns;
    struct timespec ts = {ns / GUST_SEC, ns % GUST_SEC};
    do {
        if (atomic_exchange_explicit(&n->word, 0, memory_order_acquire) == 1)
            return;
        syscall(SYS_futex, &n->word, FUTEX_WAIT_PRIVATE, 0, ns == INT64_MAX ? NULL : &ts, NULL, 0);
    } while (forever);
    atomic_exchange_explicit(&n->word, 0, memory_order_acquire);
}

/* --- The idle list ------------------------------------------------------- */

void gust__p_release_locked(P *p, M *sleeper)
{
    /* Release: whoever takes the P sees all that its last M did. */
    atomic_store_explicit(&p->status, P_IDLE, memory_order_release);
    p->sleeper = sleeper;
    p->idle_link = sched.pidle;
    sched.pidle = p;
    atomic_fetch_add_explicit(&sched.npidle, 1, memory_order_seq_cst);
}

static bool unlink_idle(P *p)
{
    for (P **at = &sched.pidle; *at; at = &(*at)->idle_link) {
        if (*at == p) {
            *at = p->idle_link;
            return true;
        }
    }
    return false;
}

/* A P with a sleeper is cheaper to wake than one that needs a thread. */
static P *best_idle(void)
{
    for (P *p = sched.pidle; p; p = p->idle_link)
        if (p->sleeper)
            return p;
    return sched.pidle;
}

P *gust__p_idle_take_locked(P *wanted, M **ret_sleeper)
{
    P *p = wanted;
    *ret_sleeper = NULL;
    if (!p || !unlink_idle(p)) {
        p = best_idle();
        if (!p)
            return NULL;
        unlink_idle(p);
    }
    *ret_sleeper = p->sleeper;
    p->sleeper = NULL;
    if (p->unwatched)
        atomic_fetch_sub_explicit(&sched.nunwatched, 1, memory_order_relaxed);
    p->unwatched = false;
    atomic_store_explicit(&p->status, P_RUNNING, memory_order_relaxed);
    atomic_fetch_sub_explicit(&sched.npidle, 1, memory_order_seq_cst);
    gust__sysmon_wake();
    return p;
}

/* --- Starting Ms --------------------------------------------------------- */

/* A new M's thread runs, and says so itself, before a goroutine can be found on it; or
 * (NULL) it could not be made. */
static void m_started(M *m)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    sched.nm_starting--;
    if (m) {
        m->all_link = sched.allm;
        /* Release: pairs with the acquire of reports, which take no lock. */
        __atomic_store_n(&sched.allm, m, __ATOMIC_RELEASE);
    }
    gust__lock_drop(&sched.lock);
    gust__sysmon_wake(); /* it reports no deadlock while an M is not on the list */
}

static void *m_main(void *arg)
{
    M *m = arg;
    m->thread = pthread_self();
    m->tid = (pid_t)syscall(SYS_gettid);
    pthread_getcpuclockid(m->thread, &m->cpu_clock);
    m_started(m);
    gust__m_set_p(m, m->p);
    gust__tls_m = m;
    gust__ctx_init_thread(&m->g0);
    gust__fault_thread_init();
    gust__schedule(m);
    gust__fault_thread_fini();
    gust__ctx_fini_thread(&m->g0);
    gust__tls_m = NULL;
    atomic_store_explicit(&m->ended, true, memory_order_relaxed);
    /* Release: pairs with gust__threads_stop, which joins. */
    atomic_fetch_sub_explicit(&sched.nm_live, 1, memory_order_release);
    return NULL;
}

static int spawn_thread(M *m)
{
    pthread_t thread; /* which says it itself: m->thread */
    pthread_attr_t attr;
    int err = pthread_attr_init(&attr);
    if (err)
        return -err;
    pthread_attr_setstacksize(&attr, THREAD_STACK_SIZE);
    err = gust__inject(INJECT_THREAD) ? errno : pthread_create(&thread, &attr, m_main, m);
    pthread_attr_destroy(&attr);
    return -err;
}

static int m_new(P *p, bool spinning)
{
    uint32_t n = atomic_load_explicit(&sched.nm, memory_order_relaxed);
    if (n >= GUST__THREADS_MAX)
        gust__fatal("%u threads: more goroutines block in foreign code than gust allows", n);
    M *m = gust__calloc(1, sizeof *m);
    if (!m)
        return -ENOMEM;
    m->p = p;
    atomic_init(&m->marks.depth, 1); /* on g0 */
    m->spinning = spinning;
    gust__lock_take(&sched.lock, RANK_SCHED);
    m->id = (int)atomic_fetch_add_explicit(&sched.nm, 1, memory_order_relaxed);
    m->rand = gust__rand_begin(m->id);
    sched.nm_starting++;
    gust__lock_drop(&sched.lock);
    atomic_fetch_add_explicit(&sched.nm_live, 1, memory_order_relaxed);
    int err = spawn_thread(m);
    if (err) {
        atomic_fetch_sub_explicit(&sched.nm_live, 1, memory_order_relaxed);
        atomic_fetch_sub_explicit(&sched.nm, 1, memory_order_relaxed);
        m_started(NULL);
        free(m);
        return err;
    }
    return 0;
}

static M *m_idle_take(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    M *m = sched.midle;
    if (m)
        sched.midle = m->idle_link;
    gust__lock_drop(&sched.lock);
    return m;
}

/* Must somebody look after it?  The global queue is everybody's. */
static bool has_something_to_do(P *p)
{
    return !gust__runq_empty(&p->runq) || gust__timers_earliest(&p->timers) != GUST_FOREVER ||
           gust__poller_busy(p->poller) ||
           atomic_load_explicit(&sched.glist_count, memory_order_relaxed);
}

/* There is no M for p.  If it has something to do, sysmon will see to it. */
static void p_leave_alone(P *p, bool spinning)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    if (spinning) /* before the P can be found idle, as in wake_idle_p */
        atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    gust__p_release_locked(p, NULL);
    p->unwatched = has_something_to_do(p);
    /* Comes before the look at whether sysmon sleeps. */
    if (p->unwatched)
        atomic_fetch_add_explicit(&sched.nunwatched, 1, memory_order_seq_cst);
    gust__lock_drop(&sched.lock);
    gust__sysmon_wake();
}

int gust__m_start(P *p, bool spinning)
{
    M *m = m_idle_take();
    if (m) {
        m->nextp = p;
        m->spinning = spinning;
        gust__note_wake(&m->note);
        return 0;
    }
    int err = m_new(p, spinning);
    if (err == 0)
        return 0;
    static _Atomic bool said; /* every wake-up tries again */
    if (!atomic_exchange(&said, true))
        gust__log("cannot start a thread: %s; %d Ps share those there are", strerrordesc_np(-err),
                  sched.nprocs);
    p_leave_alone(p, spinning);
    return err;
}

bool gust__m_stop(M *m)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    if (atomic_load_explicit(&sched.stopping, memory_order_relaxed)) {
        gust__lock_drop(&sched.lock);
        return false;
    }
    m->idle_link = sched.midle;
    sched.midle = m;
    gust__lock_drop(&sched.lock);
    gust__note_sleep(&m->note, -1);
    gust__m_set_p(m, m->nextp); /* NULL: woken to stop */
    m->nextp = NULL;
    return m->p != NULL;
}

/* --- Waking -------------------------------------------------------------- */

static void wake_idle_p(void)
{
    M *m;
    gust__lock_take(&sched.lock, RANK_SCHED);
    P *p = gust__p_idle_take_locked(NULL, &m);
    if (m) {
        m->nextp = p;
        m->spinning = true;
    }
    /* Under the lock: whoever saw our count, and so woke nobody, had queued its work
     * before the next P becomes idle, whose M then sees it in step 3. */
    if (!p)
        atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    gust__lock_drop(&sched.lock);
    if (!p)
        return;
    if (m)
        gust__poller_wake(p->poller);
    else if (gust__m_start(p, true) < 0)
        return;
    atomic_fetch_add_explicit(&sched.wakes, 1, memory_order_relaxed);
}

/* Step 3 of who makes work. */
static void wake_if_needed(void)
{
    uint32_t none = 0;
    if (atomic_load_explicit(&sched.npidle, memory_order_relaxed) > 0 &&
        atomic_load_explicit(&sched.nmspinning, memory_order_relaxed) == 0 &&
        atomic_compare_exchange_strong_explicit(&sched.nmspinning, &none, 1, memory_order_seq_cst,
                                                memory_order_relaxed))
        wake_idle_p();
}

void gust__wakep(void)
{
    if (sched.nprocs == 1)
        return;
    gust__fence(); /* step 2 of who makes work */
    wake_if_needed();
}

/* A goroutine in runnext is normally no surplus (gust__ready), and so those who
 * go to sleep do not look at it; the hint makes the next one do.  A hint that is
 * set already is as good as ours only if the goroutine was queued before it was
 * seen: hence the first fence. */
void gust__wakep_spawn(void)
{
    if (sched.nprocs == 1)
        return;
    gust__fence(); /* step 2 of who makes work */
    if (!atomic_load_explicit(&sched.spawn_hint, memory_order_relaxed)) {
        atomic_store_explicit(&sched.spawn_hint, 1, memory_order_relaxed);
        gust__fence();
    }
    wake_if_needed();
}

static bool queued_anywhere(bool with_next)
{
    if (atomic_load_explicit(&sched.glist_count, memory_order_relaxed))
        return true;
    for (int i = 0; i < sched.nprocs; i++) {
        gust__runq *q = &sched.allp[i].runq;
        if (gust__runq_len(q) || (with_next && !gust__runq_empty(q)))
            return true;
    }
    return false;
}

/* Step 3 of who goes to sleep.  Only surplus counts: a single runnext belongs to
 * a hand-off between goroutines of a busy P, unless the hint says spawn.  The hint
 * is spent only by a look that finds nothing: who finds something else first and
 * runs it must leave the hint to the next. */
static bool work_anywhere(void)
{
    bool with_next = atomic_exchange_explicit(&sched.spawn_hint, 0, memory_order_seq_cst);
    if (!queued_anywhere(with_next))
        return false;
    if (with_next)
        atomic_store_explicit(&sched.spawn_hint, 1, memory_order_relaxed);
    return true;
}

void gust__m_stop_spinning(M *m)
{
    m->spinning = false;
    atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    gust__fence();
    if (work_anywhere())
        gust__wakep();
}

/* --- Going to sleep ------------------------------------------------------ */

static bool release_p(M *m)
{
    P *p = m->p;
    gust__lock_take(&sched.lock, RANK_SCHED);
    if (sched.glist.count || atomic_load_explicit(&sched.stopping, memory_order_relaxed)) {
        gust__lock_drop(&sched.lock);
        return false;
    }
    gust__count(&p->sleeps);
    gust__m_set_p(m, NULL);
    /* Before the release: a waker that finds m asleep in p sets it again. */
    bool was_spinning = m->spinning;
    m->spinning = false;
    gust__p_release_locked(p, m);
    gust__lock_drop(&sched.lock);
    if (was_spinning)
        atomic_fetch_sub_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
    return true;
}

/* After m slept in p, or decided not to: has it a P? */
static bool regain_p(M *m, P *p)
{
    M *self;
    gust__lock_take(&sched.lock, RANK_SCHED);
    if (m->nextp) {
        gust__m_set_p(m, m->nextp);
        m->nextp = NULL;
    } else if (p->sleeper == m) {
        gust__m_set_p(m, gust__p_idle_take_locked(p, &self));
    }
    gust__lock_drop(&sched.lock);
    return m->p != NULL;
}

static int64_t sleep_ns(P *p)
{
    gust_time when = gust__timers_earliest(&p->timers);
    if (when == GUST_FOREVER)
        return -1;
    gust_time now = gust_now();
    return when > now ? when - now : 0; /* `when` may be far in the past */
}

bool gust__m_idle(M *m)
{
    P *p = m->p;
    if (!release_p(m))
        return true;
    gust__fence(); /* step 2 of who goes to sleep */
    if (sched.nprocs > 1 && work_anywhere()) {
        if (regain_p(m, p)) {
            if (!m->spinning) {
                m->spinning = true;
                atomic_fetch_add_explicit(&sched.nmspinning, 1, memory_order_seq_cst);
            }
            return true;
        }
        /* p went to somebody with work of his own: another P is for what we saw. */
        gust__wakep();
        return gust__m_stop(m);
    }
    gust__poller_sleep(p->poller, sleep_ns(p));
    atomic_store_explicit(&sched.clock, gust_now(), memory_order_relaxed);
    if (regain_p(m, p))
        return true;
    /* Another M sleeps here, or will: what woke us was meant for it. */
    gust__poller_wake(p->poller);
    return gust__m_stop(m);
}

void gust__handoff(P *p)
{
    if (has_something_to_do(p)) {
        gust__m_start(p, false);
        return;
    }
    gust__lock_take(&sched.lock, RANK_SCHED);
    /* Who ends a blocking call and finds no idle P queues its goroutine under
     * this lock: it has not seen this P, so we must see the goroutine. */
    bool queued = sched.glist.count > 0;
    if (!queued)
        gust__p_release_locked(p, NULL);
    gust__lock_drop(&sched.lock);
    if (queued) {
        gust__m_start(p, false);
        return;
    }
    /* Those who made work while all Ps were busy woke nobody. */
    gust__fence();
    if (work_anywhere())
        gust__wakep();
}

/* Takes p off the idle list if it is unwatched. */
static bool unwatched_take(P *p)
{
    M *none;
    gust__lock_take(&sched.lock, RANK_SCHED);
    bool took = p->unwatched && gust__p_idle_take_locked(p, &none);
    gust__lock_drop(&sched.lock);
    return took;
}

/* An M that looks for work also serves the timers of all Ps, and the poller of
 * those that are stuck (look_after in sched.c); who is stuck here is the P itself. */
void gust__unwatched_retry(void)
{
    for (int i = 0; i < sched.nprocs; i++) {
        P *p = &sched.allp[i];
        if (unwatched_take(p) && gust__m_start(p, false) < 0) {
            atomic_store_explicit(&p->stuck, true, memory_order_relaxed);
            gust__wakep_spawn();
        }
    }
}

/* --- Ending -------------------------------------------------------------- */

static M *all_ms(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    M *first = sched.allm; /* a thread left behind may put others before it */
    gust__lock_drop(&sched.lock);
    return first;
}

static void wake_all(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    sched.midle = NULL;
    gust__lock_drop(&sched.lock);
    /* Those on midle, and those that wait for their locked goroutine.  Ms stay: see
     * join_ended. */
    for (M *m = all_ms(); m; m = m->all_link)
        gust__note_wake(&m->note);
    for (int i = 0; i < sched.nprocs; i++)
        gust__poller_wake_again(sched.allp[i].poller);
}

/* Ms stay while one thread lives: it may still look at them. */
static void join_ended(void)
{
    for (M *m = all_ms(); m; m = m->all_link)
        if (atomic_load_explicit(&m->ended, memory_order_relaxed))
            pthread_join(m->thread, NULL);
}

static void free_all_ms(void)
{
    for (M *m = sched.allm; m;) {
        M *next = m->all_link;
        free(m);
        m = next;
    }
    sched.allm = NULL;
}

bool gust__threads_stop(void)
{
    for (int i = 0; i < STOP_ROUNDS; i++) {
        wake_all();
        if (atomic_load_explicit(&sched.nm_live, memory_order_acquire) == 0)
            break;
        struct timespec ts = {0, i < 10 ? STOP_ROUND_NS / 100 : STOP_ROUND_NS};
        nanosleep(&ts, NULL);
    }
    /* Read first: if all have ended, all are joined. */
    bool all = atomic_load_explicit(&sched.nm_live, memory_order_acquire) == 0;
    join_ended();
    if (all)
        free_all_ms();
    return all;
}
