/* G, M and P as the scheduler's own files see them.
 *
 * Who may touch what: a field is its owner's unless its comment says otherwise.
 * A G belongs to whoever will run it next, an M to its thread, a P to the M that
 * holds it (p->status says which M may). */
#ifndef GUST_CORE_PROC_H
#define GUST_CORE_PROC_H

#include <pthread.h>
#include <stdalign.h>

#include "core/blocks.h"
#include "core/runq.h"
#include "core/sched.h"

#define GUST__THREADS_MAX 10000 /* as Go: beyond this something is broken */

struct gust__g {
    gust__ctx ctx;
    gust__stack stack;      /* low == NULL until the first run */
    _Atomic uint32_t state; /* gust__gstate; others read it for reports */
    _Atomic uint32_t select_done;
    uint32_t wait; /* gust__wait, while parked */
    bool system;   /* the runtime's own: not counted, not reported */
    G *link;       /* next in a run queue or free list */
    uint64_t id;
    void (*fn)(void *arg);
    void *arg;
    const char *name;
    const void *spawn_pc;
    size_t stack_size; /* 0: the default */
};

/* A futex word to sleep on: set once, cleared by the sleeper. */
typedef struct gust__note {
    _Atomic uint32_t word;
} gust__note;

struct gust__m {
    gust__ctx g0;
    G *curg;                 /* the goroutine it runs, or last handed over */
    P *p;                    /* NULL without one */
    P *nextp;                /* given by a waker, under sched.lock or, to one it took off
                                  sched.midle, before the note; taken on wake-up */
    P *oldp;                 /* during a blocking call: what it had before */
    bool spinning;           /* looks for work; counted in sched.nmspinning; set by
                                  a waker together with nextp */
    gust__commit_fn *commit; /* what g0 does after the goroutine's switch */
    void *commit_arg;
    uint32_t rand;
    M *idle_link;    /* sched.midle, under sched.lock */
    M *all_link;     /* sched.allm, under sched.lock */
    gust__note note; /* where it sleeps without a P */
    pthread_t thread;
    _Atomic bool ended; /* its thread runs no code of ours any more */
    int id;
};

typedef enum gust__pstatus {
    P_IDLE,    /* on sched.pidle; p->sleeper may sleep in its poller */
    P_RUNNING, /* an M holds it */
    P_SYSCALL, /* its M is in announced foreign code; sysmon may retake it */
} gust__pstatus;

struct gust__p {
    gust__runq runq;
    _Atomic uint32_t status;      /* gust__pstatus */
    _Atomic uint32_t schedtick;   /* dispatches that began a new time slice */
    _Atomic uint32_t syscalltick; /* blocking calls ended or retaken */
    uint32_t dispatches;
    uint32_t inherited; /* runnext dispatches in a row, in one time slice */
    int id;
    gust__poller *poller;
    gust__timers timers;
    gust_time now; /* its last look at the clock */
    gust__stack_cache stacks;
    gust__blocks blocks;
    G *gfree;
    uint32_t gfree_count;
    uint64_t goid_next, goid_end; /* ids reserved from sched.goid */
    M *sleeper;                   /* under sched.lock, while idle */
    P *idle_link;                 /* under sched.lock */
    /* Counters: written by the owner with plain relaxed stores, read by anyone. */
    _Atomic uint64_t spawned, exited, steals, spins, sleeps;
    struct { /* sysmon's memory of its last look */
        uint32_t schedtick, syscalltick;
        gust_time syscallwhen;
    } seen;
};

typedef struct gust__sched {
    gust__lock lock;              /* RANK_SCHED: glist, midle, pidle, nextp, sleeper */
    gust__glist glist;            /* the global run queue, first in first out */
    _Atomic uint32_t glist_count; /* its length; read without the lock */
    P *pidle;
    M *midle;
    _Atomic uint32_t npidle;
    _Atomic uint32_t nmspinning;
    _Atomic uint32_t spawn_hint; /* see gust__wakep_spawn */
    M *allm;
    _Atomic uint32_t nm;      /* Ms started; written under lock */
    _Atomic uint32_t nm_live; /* threads that have not ended */
    _Atomic uint32_t stopping;
    int nprocs;
    P *allp;
    _Atomic uint64_t goid;
    _Atomic uint32_t sysmon_asleep; /* sysmon sleeps until woken */
    gust__note sysmon_note;
    _Atomic uint64_t wakes, retakes;
} gust__sched;

extern gust__sched gust__sched_state;
#define sched gust__sched_state

/* --- The current M -------------------------------------------------------
 * Read by volatile assembly, so that the compiler can neither cache the address
 * of the thread-local across a switch nor hoist the load over one. */
extern __thread M *gust__tls_m __attribute__((tls_model("initial-exec")));

static inline M *gust__m(void)
{
    M *m;
#if defined(__x86_64__)
    __asm__ volatile("movq gust__tls_m@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(m));
#elif defined(__aarch64__)
    uintptr_t offset;
    __asm__ volatile("mrs %0, tpidr_el0\n\t"
                     "adrp %1, :gottprel:gust__tls_m\n\t"
                     "ldr %1, [%1, #:gottprel_lo12:gust__tls_m]\n\t"
                     "ldr %0, [%0, %1]"
                     : "=&r"(m), "=&r"(offset));
#else
#error "gust runs on x86-64 and aarch64"
#endif
    return m;
}

/* --- goroutine.c --------------------------------------------------------- */

typedef struct gust__spawn {
    void (*fn)(void *arg);
    void *arg;
    const char *name;
    const void *spawn_pc;
    size_t stack_size;
    bool system;
} gust__spawn;

/* Makes a goroutine that waits to start.  Owner of p. */
G *gust__g_new(P *p, const gust__spawn *how);

/* Gives g its stack and first context.  Owner of p, on g0. */
int gust__g_attach(P *p, G *g);

/* Starts a goroutine from g0 or a goroutine; -ENOMEM. */
int gust__go(const gust__spawn *how);

void gust__g_teardown(void);

/* --- sched.c ------------------------------------------------------------- */

/* An M's life: runs goroutines until the runtime stops. */
void gust__schedule(M *m);

/* Switches from the running goroutine to g0, which calls commit. */
void gust__to_g0(gust__commit_fn *commit, void *arg, bool g_ends);

void gust__globq_push(G *g); /* takes sched.lock */
void gust__globq_push_locked(G *g);

/* Puts g on the current P: runnext or tail. */
void gust__runq_ready(P *p, G *g, bool next);

/* --- thread.c: Ms, idle Ps, spinning, sleeping ---------------------------- */

/* Runs p on an idle M, else on a new thread.  p is RUNNING and nobody's; if
 * `spinning`, the caller has counted the M in sched.nmspinning.
 * Errors: -EAGAIN, -ENOMEM; p is idle then, and the count is taken back.  Any
 * thread. */
int gust__m_start(P *p, bool spinning);

/* Lets go of m's P and sleeps in its poller until there may be work.  True: m
 * has a P again; false: the runtime stops. */
bool gust__m_idle(M *m);

/* Sleeps without a P until one is given.  False: the runtime stops. */
bool gust__m_stop(M *m);

/* m was spinning and found work: it no longer stands for those who did not wake
 * an M because it was. */
void gust__m_stop_spinning(M *m);

/* Takes `wanted` off the idle list, or any P if it is NULL or not idle; NULL if
 * none is.  Its status is RUNNING then.  *ret_sleeper: the M that sleeps in its
 * poller, or NULL; unless it gets the P it must be woken, else it would sleep on
 * there, of no use to anybody.  Under sched.lock. */
P *gust__p_idle_take_locked(P *wanted, M **ret_sleeper);
void gust__p_release_locked(P *p, M *sleeper);

/* There is surplus work, queued before the call: wakes an idle P unless an M is
 * looking for work already.  wakep_spawn also for a goroutine in runnext, whose
 * spawner goes on running.  Any thread. */
void gust__wakep(void);
void gust__wakep_spawn(void);

/* Finds an M for a P that was taken from a blocking call, or idles it if it has
 * nothing to do.  p is RUNNING and the caller's. */
void gust__handoff(P *p);

void gust__note_wake(gust__note *n);
/* Sleeps until woken; timeout_ns < 0: for ever. */
void gust__note_sleep(gust__note *n, int64_t timeout_ns);

/* Ends all threads that are in the runtime.  False if some still run foreign
 * code after a second. */
bool gust__threads_stop(void);

/* --- timers.c ------------------------------------------------------------ */

/* Runs what is due; returns how many.  By an M with a P, on g0; ts may be
 * another P's. */
int gust__timers_run(gust__timers *ts, gust_time now);
void gust__timers_fini(gust__timers *ts);

static inline gust_time gust__timers_earliest(gust__timers *ts)
{
    return atomic_load_explicit(&ts->earliest, memory_order_relaxed);
}

/* --- sysmon.c ------------------------------------------------------------ */

/* Runs on the thread that called gust_run, until the runtime stops. */
void gust__sysmon(void);
void gust__sysmon_wake(void);

/* --- signal.c ------------------------------------------------------------ */

/* Restores all default actions; later drops the pipe, once no thread runs. */
void gust__signals_fini(void);
void gust__signals_close(void);

/* Adds one to a counter only its owner writes. */
static inline void gust__count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* The store-load fence of the sleep protocols, in the one form that
 * ThreadSanitizer understands too: a read-modify-write on a shared word. */
static inline void gust__fence(void)
{
#ifdef GUST__TSAN
    static _Atomic uint32_t word;
    atomic_fetch_add_explicit(&word, 0, memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

#endif
