/* G, M and P as the scheduler's own files see them.
 *
 * Who may touch what: a field is its owner's unless its comment says otherwise.
 * A G belongs to whoever will run it next, an M to its thread, a P to the M that
 * holds it (p->status says which M may). */
#ifndef GUST_CORE_PROC_H
#define GUST_CORE_PROC_H

#include <gust/debug.h>
#include <pthread.h>
#include <stdalign.h>

#include "core/blocks.h"
#include "core/call.h"
#include "core/context.h"
#include "core/parked.h"
#include "core/runq.h"
#include "core/sched.h"

#define GUST__THREADS_MAX 10000 /* as Go: beyond this something is broken */

struct gust__g {
    gust__ctx ctx;
    gust__stack stack;      /* low == NULL until the first run */
    _Atomic uint32_t state; /* gust__gstate; others read it for reports */
    _Atomic uint32_t select_done;
    uint32_t wait;         /* gust__wait, while parked */
    uint32_t depth;        /* of its calls into gust, while it does not run (core/call.h) */
    gust_context *context; /* what it runs under, or NULL; a reference */
    G *link;               /* next in a run queue or free list */
    G *ahead;              /* a hint: some places further on in that list, or NULL */
    gust_time ready_at;    /* when it became runnable; 0: not measured this time */
    gust_time since;       /* sched.clock when it parked last */
    uint64_t id;
    void (*fn)(void *arg);
    void *arg;
    const char *name;
    const void *spawn_pc;
    size_t stack_size; /* 0: the default */
    M *lockedm;        /* locked.c; NULL: any M may run it */
    uint32_t lock_count;
    uint32_t generation;         /* sched.generation when it was started */
    bool system;                 /* the runtime's own: not counted, not reported */
    struct gust__unwind *unwind; /* recover scopes and deferred functions (panic.h) */
};

/* Records come in slabs that live until the runtime stops, so whoever reads one
 * at a bad moment reads nonsense, but never memory that is gone. */
#define GUST__SLAB_GS 64

typedef struct gust__slab {
    struct gust__slab *next;
    G gs[GUST__SLAB_GS];
} gust__slab;

/* Slabs are only added, until all go.  Release by who adds one, acquire by who
 * walks along them. */
extern _Atomic(gust__slab *) gust__slabs;

/* Asks for a record that is needed soon; NULL is as good. */
static inline void gust__g_prefetch(const G *g)
{
    const char *record = (const char *)g;
    for (size_t at = 0; at < sizeof *g; at += 64)
        __builtin_prefetch(record + at, 1);
}

/* How far a list tells its reader ahead: misses of the cache cost most one by one. */
#define GUST__AHEAD 8

/* Chains gs[0] to gs[n - 1]. */
static inline void gust__g_chain(G *const *gs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        gs[i]->link = i + 1 < n ? gs[i + 1] : NULL;
        gs[i]->ahead = i + GUST__AHEAD < n ? gs[i + GUST__AHEAD] : NULL;
    }
}

/* Asks for what comes after g in its list. */
static inline void gust__g_look_ahead(const G *g)
{
    gust__g_prefetch(g->ahead ? g->ahead : g->link);
}

/* gs[0] to gs[n - 1], n > 0, become the last ones. */
static inline void gust__glist_push_all(gust__glist *l, G *const *gs, uint32_t n)
{
    gust__g_chain(gs, n);
    if (l->tail)
        l->tail->link = gs[0];
    else
        l->head = gs[0];
    l->tail = gs[n - 1];
    l->count += n;
}

static inline void gust__glist_push(gust__glist *l, G *g)
{
    gust__glist_push_all(l, &g, 1);
}

/* All of `from`, which is empty then. */
static inline void gust__glist_move(gust__glist *l, gust__glist *from)
{
    if (!from->head)
        return;
    if (l->tail)
        l->tail->link = from->head;
    else
        l->head = from->head;
    l->tail = from->tail;
    l->count += from->count;
    *from = (gust__glist){0};
}

/* NULL: it is empty. */
static inline G *gust__glist_pop(gust__glist *l)
{
    G *g = l->head;
    if (!g)
        return NULL;
    l->head = g->link;
    if (!l->head)
        l->tail = NULL;
    gust__g_look_ahead(g); /* after a burst of spawns the records are in no cache */
    l->count--;
    return g;
}

/* A futex word to sleep on: set once, cleared by the sleeper. */
typedef struct gust__note {
    _Atomic uint32_t word;
} gust__note;

struct gust__m {
    gust__marks marks;
    gust__ctx g0;
    G *curg;                 /* the goroutine it runs; written by gust__m_set_curg, and
                                  read by sysmon, which looks for deadlocks */
    P *p;                    /* NULL without one; set by gust__m_set_p, and read by
                                  sysmon, which looks whom it may take a P from */
    P *nextp;                /* given by a waker, under sched.lock or, to one it took off
                                  sched.midle, before the note; taken on wake-up */
    P *oldp;                 /* during a blocking call: what it had before */
    bool spinning;           /* looks for work; counted in sched.nmspinning; set by
                                  a waker together with nextp */
    gust__commit_fn *commit; /* what the goroutine that left wants to be done */
    void *commit_arg;
    G *left;              /* left for another goroutine, which is to commit; NULL: for g0 */
    G *handed;            /* found by the one that left for g0: runs next */
    bool handed_inherits; /* it was runnext */
    uint64_t rand;        /* gust__rand64's state */
    G *lockedg;           /* the only goroutine it may run, or NULL */
    bool retired;         /* it may run none any more */
    M *idle_link;         /* sched.midle, under sched.lock */
    M *all_link;          /* sched.allm, under sched.lock */
    gust__note note;      /* where it sleeps without a P */
    pthread_t thread;
    pid_t tid;           /* written by its thread, before it has a P */
    clockid_t cpu_clock; /* the same */
    _Atomic bool ended;  /* its thread runs no code of ours any more */
    int id;
};

typedef enum gust__pstatus {
    P_IDLE,    /* on sched.pidle; p->sleeper may sleep in its poller */
    P_RUNNING, /* an M holds it */
    P_SYSCALL, /* its M is in announced foreign code; sysmon may retake it */
} gust__pstatus;

struct gust__p {
    gust__runq runq;
    _Atomic(M *) m;               /* who had it last; for sysmon */
    _Atomic bool stuck;           /* one goroutine since sysmon's last look */
    _Atomic bool hogged;          /* P_SYSCALL because of a signal: retake it at once */
    _Atomic uint32_t status;      /* gust__pstatus */
    _Atomic uint32_t schedtick;   /* dispatches that began a new time slice */
    _Atomic uint32_t syscalltick; /* blocking calls ended or retaken */
    uint32_t dispatches;
    uint32_t inherited; /* runnext dispatches in a row, in one time slice */
    uint32_t polled;    /* the dispatch of the last periodic look at the poller */
    int id;
    gust__poller *poller;
    gust__timers timers;
    gust_time now; /* its last look at the clock */
    gust__stack_cache stacks;
    gust__blocks blocks;
    gust__parked_list parked;
    G *gfree;
    uint32_t gfree_count;
    uint64_t goid_next, goid_end; /* ids reserved from sched.goid */
    M *sleeper;                   /* under sched.lock, while idle */
    bool unwatched;               /* idle although it has something to do: no thread could
                                       be started for it.  Under sched.lock */
    P *idle_link;                 /* under sched.lock */
    /* Counters: written by the owner with plain relaxed stores, read by anyone. */
    _Atomic uint64_t spawned, exited, steals, spins, sleeps;
    _Atomic uint64_t run_delay[GUST_RUN_DELAY_BUCKETS];
    uint32_t readied; /* goroutines made ready here, to time some of them */
    struct {          /* sysmon's memory of its last look */
        uint32_t schedtick, syscalltick;
        gust_time syscallwhen;
        gust_time since;  /* when schedtick was seen first */
        gust_time cpu_at; /* when cpu_ns was read; 0: not since */
        int64_t cpu_ns;   /* of its M's thread */
        uint32_t looks;   /* that found the same schedtick */
        bool asked;       /* to yield */
    } seen;
};

typedef struct gust__sched {
    gust__lock lock;              /* RANK_SCHED: glist, midle, pidle, nextp, sleeper */
    gust__glist glist;            /* the global run queue, first in first out */
    _Atomic uint32_t glist_count; /* its length; read without the lock */
    P *pidle;
    M *midle;
    _Atomic uint32_t npidle;
    _Atomic uint32_t nunwatched; /* Ps that are; written under lock */
    _Atomic uint32_t nmspinning;
    _Atomic uint32_t spawn_hint; /* see gust__wakep_spawn */
    M *allm;                     /* written under lock, read by anyone: m_new */
    uint32_t nm_starting;        /* Ms that are not on allm yet; under lock */
    _Atomic uint32_t nm;         /* Ms started; written under lock */
    _Atomic uint32_t nm_live;    /* threads that have not ended */
    _Atomic uint32_t stopping;
    int nprocs;
    P *allp;
    _Atomic uint32_t generation; /* of the goroutines started now; gust_leaks_begin */
    /* The time, more or less: set by sysmon at each look and by Ms that were asleep,
     * so a millisecond or so old while anything runs.  For reports. */
    _Atomic gust_time clock;
    gust__glist starved; /* wait for memory for their stack (starve.c); under lock */
    _Atomic uint32_t starved_count;
    gust__timer starved_timer;
    bool starved_armed; /* under lock */
    struct {
        gust__op *first, *last;
        gust__timer timer;
        bool armed;
    } unstarted; /* parked waits that wait for memory for a goroutine (parked.c); under lock */
    _Atomic uint64_t goid;
    _Atomic uint32_t sysmon_asleep; /* sysmon sleeps until woken */
    gust__note sysmon_note;
    _Atomic uint64_t wakes, retakes, demotions, preemptions;
} gust__sched;

extern gust__sched gust__sched_state;
#define sched gust__sched_state

/* m's thread only: it gets p, or is without one (NULL). */
static inline void gust__m_set_p(M *m, P *p)
{
    /* Relaxed: sysmon confirms what it reads by core/call.h's protocol.  Release:
     * it uses what m's thread has written of itself. */
    __atomic_store_n(&m->p, p, __ATOMIC_RELAXED);
    if (p)
        atomic_store_explicit(&p->m, m, memory_order_release);
}

/* m's thread only.  Relaxed: who reads it without being m has sched.lock, and all
 * Ps are idle; see deadlock.c. */
static inline void gust__m_set_curg(M *m, G *g)
{
    __atomic_store_n(&m->curg, g, __ATOMIC_RELAXED);
}

/* --- goroutine.c --------------------------------------------------------- */

typedef struct gust__spawn {
    void (*fn)(void *arg);
    void *arg;
    const char *name;
    const void *spawn_pc;
    gust_context *context; /* borrowed; NULL: none */
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

/* --- dump.c -------------------------------------------------------------- */

/* A goroutine's record as it was at one moment.  False if it is none that a report
 * would show: dead, the runtime's own, or just changing hands. */
bool gust__g_look(const G *g, G *ret_copy);

/* Prints what a dump says of a goroutine: `copy` is what gust__g_look found. */
void gust__g_print(int fd, const G *g, const G *copy);

const char *gust__state_name(gust__gstate state);

/* Takes SIGQUIT unless somebody else has it; gives it back. */
void gust__dump_install(void);
void gust__dump_uninstall(void);

/* --- layout.c ------------------------------------------------------------ */

/* For debuggers, and for the linker to keep it. */
extern const struct gust__debug_layout gust__debug_layout;
void gust__layout_setup(void);

/* --- stats.c ------------------------------------------------------------- */

/* g, whose ready_at is set, runs now.  Owner of p. */
void gust__run_delay_record(P *p, G *g);

/* --- sched.c ------------------------------------------------------------- */

/* An M's life: runs goroutines until the runtime stops. */
void gust__schedule(M *m);

/* Switches from the running goroutine to g0, which calls commit. */
void gust__to_g0(gust__commit_fn *commit, void *arg, bool g_ends);

void gust__globq_push(G *g); /* takes sched.lock */
void gust__globq_push_locked(G *g);

/* The running goroutine has had its time: it goes to the end of the global queue
 * if others wait for the P.  In a call. */
void gust__preempted(void);

/* Puts g on the current P: runnext or tail. */
void gust__runq_ready(P *p, G *g, bool next);

/* --- starve.c ------------------------------------------------------------ */

/* g waits for memory for its stack.  On g0 of an M with a P. */
void gust__starve(G *g);

/* A stack was had, or given back: one that waits for its stack tries again on p.
 * Owner of p, on g0. */
void gust__starved_release(P *p);

static inline void gust__starved_next(P *p)
{
    if (atomic_load_explicit(&sched.starved_count, memory_order_relaxed))
        gust__starved_release(p);
}

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

/* Tries again to find Ms for the unwatched Ps; where that fails, has one that is
 * asleep look after them.  By sysmon. */
void gust__unwatched_retry(void);

void gust__note_wake(gust__note *n);
/* Sleeps until woken, or for so long, or a shorter time; timeout_ns < 0: until woken. */
void gust__note_sleep(gust__note *n, int64_t timeout_ns);

/* Ends all threads that are in the runtime.  False if some still run foreign
 * code after a second. */
bool gust__threads_stop(void);

/* --- blocking.c ---------------------------------------------------------- */

/* Gets m, whose goroutine runs without a P, one again: m->oldp if that is free,
 * else any that is, else the goroutine waits in the global queue and may go on
 * in another M.  In a call. */
void gust__p_regain(M *m);

/* --- locked.c ------------------------------------------------------------ */

/* m may run m->lockedg only, or nothing: lets go of its P, if it has one, and
 * sleeps until it is given one for that goroutine.  NULL: the runtime stops. */
G *gust__locked_next(M *m);

/* g is runnable and wired to another M: gives it m's P. */
void gust__locked_start(M *m, G *g);

/* The goroutine ends. */
void gust__locked_exit(G *g);

/* --- timers.c ------------------------------------------------------------ */

/* Runs what is due; returns how many.  By an M with a P, on g0; ts may be
 * another P's. */
int gust__timers_run(gust__timers *ts, gust_time now);

/* Errors: -ENOMEM; fini is still allowed then. */
int gust__timers_init(gust__timers *ts);
void gust__timers_fini(gust__timers *ts);

static inline gust_time gust__timers_earliest(gust__timers *ts)
{
    return atomic_load_explicit(&ts->earliest, memory_order_relaxed);
}

/* --- sysmon.c ------------------------------------------------------------ */

/* Runs on the thread that called gust_run, until the runtime stops. */
void gust__sysmon(void);
void gust__sysmon_wake(void);

/* --- schedtrace.c -------------------------------------------------------- */

/* `text`: the value of GUST_SCHEDTRACE, or NULL.  Errors: -EINVAL. */
int gust__schedtrace_setup(const char *text);
/* Prints a line if it is time; returns when the next one is due.  sysmon only. */
gust_time gust__schedtrace(gust_time now);

/* --- deadlock.c ----------------------------------------------------------- */

/* Stops the program if no goroutine can ever run again.  sysmon only, when it has
 * seen all Ps idle. */
void gust__deadlock_check(void);

/* --- signal.c ------------------------------------------------------------ */

/* Restores all default actions; later drops the pipe, once no thread runs. */
void gust__signals_fini(void);
void gust__signals_close(void);

/* Adds one to a counter only its owner writes.  Release: who reads it by an acquire
 * sees what came before. */
static inline void gust__count(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_release);
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
