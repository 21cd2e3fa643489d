/* gust_run: from configuration to the last thread joined.
 *
 * The thread that calls gust_run becomes sysmon; goroutines run on threads of
 * their own, so that one stuck in foreign code cannot keep gust_run from
 * returning. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/atend.h"
#include "core/chaos.h"
#include "core/demote.h"
#include "core/fault.h"
#include "core/inject.h"
#include "core/maxprocs.h"
#include "core/panic.h"
#include "core/proc.h"

typedef struct run_config {
    int maxprocs;
    size_t stack_size;
    gust__guard_mode guard;
} run_config;

typedef struct main_call {
    int (*fn)(void *arg);
    void *arg;
    int result;
} main_call;

/* One runtime per process.  Stays set if threads could not be joined. */
static _Atomic bool running;

/* --- Configuration ------------------------------------------------------- */

static int bad_env(const char *name, const char *value, const char *wanted)
{
    gust__log("%s=%s: %s", name, value, wanted);
    return -EINVAL;
}

static int read_stack_size(size_t *ret_size)
{
    const char *text = getenv("GUST_STACK_SIZE");
    *ret_size = GUST__STACK_SIZE_DEFAULT;
    if (!text || !*text)
        return 0;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (errno || *end || *text == '-' || n < GUST__STACK_SIZE_MIN || n > GUST__STACK_SIZE_MAX)
        return bad_env("GUST_STACK_SIZE", text, "wants bytes, from 16384 to 1073741824");
    *ret_size = n;
    return 0;
}

static int read_guard(gust__guard_mode *ret_mode)
{
    static const char *const names[] = {
        [GUST__GUARD_AUTO] = "auto",
        [GUST__GUARD_MADVISE] = "madvise",
        [GUST__GUARD_MPROTECT] = "mprotect",
        [GUST__GUARD_NONE] = "none",
    };
    const char *text = getenv("GUST_STACK_GUARD");
    *ret_mode = GUST__GUARD_AUTO;
    if (!text || !*text)
        return 0;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_mode = (gust__guard_mode)i;
            return 0;
        }
    }
    return bad_env("GUST_STACK_GUARD", text, "wants auto, madvise, mprotect or none");
}

static int read_config(run_config *ret_config)
{
    const char *procs = getenv("GUST_MAXPROCS");
    if (!procs || !*procs)
        ret_config->maxprocs = gust__maxprocs_default();
    else if (gust__maxprocs_parse(procs, &ret_config->maxprocs) < 0)
        return bad_env("GUST_MAXPROCS", procs, "wants a number from 1 to 1024");
    const char *trace = getenv("GUST_SCHEDTRACE");
    if (gust__schedtrace_setup(trace) < 0)
        return bad_env("GUST_SCHEDTRACE", trace, "wants milliseconds, from 1 to 86400000");
    int err = read_stack_size(&ret_config->stack_size);
    if (err == 0)
        err = read_guard(&ret_config->guard);
    return err < 0 ? err : gust__chaos_setup();
}

/* --- Ps ------------------------------------------------------------------ */

static void procs_close(int opened)
{
    for (int i = 0; i < opened; i++) {
        P *p = &sched.allp[i];
        gust__poller_close(p->poller);
        gust__parked_abandon(&p->parked);
        gust__timers_fini(&p->timers);
        gust__stack_cache_drain(&p->stacks);
        gust__blocks_drain(&p->blocks);
    }
    sched.nprocs = 0;
    free(sched.allp);
    sched.allp = NULL;
}

static int procs_open(int n)
{
    size_t size = (size_t)n * sizeof(P);
    P *ps = gust__aligned_alloc(alignof(P), size);
    if (!ps)
        return -ENOMEM;
    memset(ps, 0, size);
    sched = (gust__sched){.allp = ps, .nprocs = n, .clock = gust_now()};
    for (int i = 0; i < n; i++) {
        P *p = &ps[i];
        p->id = i;
        p->seen.syscalltick = UINT32_MAX; /* sysmon has not seen call 0 yet, */
        p->seen.schedtick = UINT32_MAX;   /* nor slice 0 */
        int err = gust__timers_init(&p->timers);
        if (err == 0)
            err = gust__poller_open(&p->poller);
        if (err < 0) {
            gust__log("cannot make P %d of %d: %s", i, n, strerrordesc_np(-err));
            procs_close(i + 1); /* which accepts a part of one */
            return err;
        }
    }
    return 0;
}

/* --- The main goroutine -------------------------------------------------- */

static void run_main(void *arg)
{
    main_call *call = arg;
    call->result = call->fn(call->arg);
    gust__unwind_all(gust__g());
    /* Release: pairs with the acquire in gust__sysmon; publishes the result. */
    atomic_store_explicit(&sched.stopping, 1, memory_order_seq_cst);
    gust__note_wake(&sched.sysmon_note);
}

static int start_main(main_call *call)
{
    P *first = &sched.allp[0];
    G *g = gust__g_new(first, &(gust__spawn){.fn = run_main,
                                             .arg = call,
                                             .name = "main",
                                             .spawn_pc = (const void *)(uintptr_t)call->fn});
    if (!g)
        return -ENOMEM;
    /* Later goroutines wait for memory; without this one nobody would give any back. */
    int err = gust__g_attach(first, g);
    if (err < 0)
        return err;
    gust__runq_ready(first, g, true);
    for (int i = sched.nprocs - 1; i > 0; i--)
        gust__p_release_locked(&sched.allp[i], NULL);
    atomic_store_explicit(&first->status, P_RUNNING, memory_order_relaxed);
    return gust__m_start(first, false);
}

static bool fault_who(gust__fault_who *ret_who)
{
    G *g = gust__g();
    if (!g)
        return false;
    *ret_who = (gust__fault_who){
        .goid = g->id,
        .name = g->name,
        .stack_low = g->stack.low,
        .stack_size = g->stack.size,
        .spawn_pc = g->spawn_pc,
    };
    return true;
}

static int run(int (*main_fn)(void *arg), void *arg)
{
    run_config config;
    int err = read_config(&config);
    if (err < 0)
        return err;
    if ((err = gust__inject_from_env()) < 0)
        return err;
    if ((err = gust__netpoll_choose(getenv("GUST_NETPOLL"))) < 0)
        return err;
    gust__stack_setup(config.stack_size, config.guard);
    err = procs_open(config.maxprocs);
    if (err < 0 && gust__netpoll_choose_again(err))
        err = procs_open(config.maxprocs);
    if (err < 0)
        return err;
    gust__fault_install(fault_who);
    gust__layout_setup();
    gust__dump_install();
    gust__demote_setup();

    main_call call = {.fn = main_fn, .arg = arg};
    gust__solo = sched.nprocs == 1;
    err = start_main(&call);
    if (err == 0)
        gust__sysmon();
    else
        gust__log("cannot start the main goroutine: %s", strerrordesc_np(-err));
    gust__signals_fini();
    gust__dump_uninstall();
    gust__demote_teardown();
    if (!gust__threads_stop()) {
        gust__log("goroutines still block in foreign code: their threads are left behind");
        return call.result;
    }
    gust__solo = false;
    gust__fault_uninstall();
    procs_close(sched.nprocs);
    gust__at_end_run();
    gust__signals_close();
    gust__dump_uninstall(); /* again: that may have brought the handler back */
    gust__g_teardown();
    gust__stack_teardown();
    return err < 0 ? err : call.result;
}

int gust_run(int (*main_fn)(void *arg), void *arg)
{
    if (atomic_exchange(&running, true))
        return -EBUSY;
    int result = run(main_fn, arg);
    if (!sched.allp)
        atomic_store(&running, false);
    return result;
}
