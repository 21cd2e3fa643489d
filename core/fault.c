/* The handler of SIGSEGV and SIGBUS.
 *
 *   address in the guard of the current goroutine's stack
 *       -> report, abort
 *   anything else
 *       -> the previous action: its function is called; the default is restored
 *          and the faulting instruction runs again, so that the process dies of
 *          the signal it should and the core file shows the place
 *
 * Everything here may run in a signal handler on a thread that was anywhere,
 * inside malloc or stdio too: write(2) only, numbers formatted by hand. */
#include "core/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/backtrace.h"
#include "core/inject.h"
#include "core/sched.h"
#include "core/stack.h"
#include "core/text.h"

/* sysconf tells what the kernel needs for a signal frame; the report needs more
 * (backtrace's unwinder about 8 KiB), and a chained handler may be greedy. */
#define ALT_STACK_MIN ((size_t)64 << 10)

static _Atomic(gust__fault_who_fn *) who_fn;
static struct sigaction previous_segv, previous_bus;

bool gust__fault_whoami(gust__fault_who *ret_who)
{
    gust__fault_who_fn *fn = atomic_load_explicit(&who_fn, memory_order_relaxed);

    return fn && fn(ret_who);
}

/* --- The report ------------------------------------------------------------ */

static void print_overflow(const gust__fault_who *who, const ucontext_t *uc)
{
    /* The guard is part of what the user asked for. */
    uint64_t size = who->stack_size + (uint64_t)sysconf(_SC_PAGESIZE);
    gust__text t = {.fd = STDERR_FILENO};

    text_string(&t, "gust: goroutine ");
    text_number(&t, who->goid);
    if (who->name && *who->name) {
        text_string(&t, " (\"");
        text_string(&t, who->name);
        text_string(&t, "\")");
    }
    text_string(&t, " overflowed its stack of ");
    text_number(&t, size);
    text_string(&t, " bytes\n  started at ");
    text_out(&t);
    gust__pc_print(STDERR_FILENO, who->spawn_pc);
    text_string(&t, "  raise GUST_STACK_SIZE or gust_go_options.stack_size\n");
    text_out(&t);
    /* Last, because it is what may fail. */
    gust__backtrace_print_context(STDERR_FILENO, "", uc, who->stack_low,
                                  who->stack_low + who->stack_size);
}

static void on_fault_in_report(int sig)
{
    (void)sig;
    abort();
}

/* An unwinder that trusts wrong unwind information may fault itself.  The
 * process shall die of SIGABRT then, too. */
static void survive_own_faults(void)
{
    struct sigaction action = {.sa_handler = on_fault_in_report, .sa_flags = SA_ONSTACK};
    sigset_t faults;

    sigemptyset(&faults);
    sigaddset(&faults, SIGSEGV);
    sigaddset(&faults, SIGBUS);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &faults, NULL);
}

_Noreturn static void die_of_overflow(const gust__fault_who *who, const ucontext_t *uc)
{
    static _Atomic int reporting;

    /* The first one reports; others wait here for its abort. */
    while (atomic_exchange_explicit(&reporting, 1, memory_order_relaxed) != 0)
        pause();
    signal(SIGABRT, SIG_DFL);
    survive_own_faults();
    print_overflow(who, uc);
    gust__dump_and_abort(false);
}

/* --- The handler ----------------------------------------------------------- */

static bool sent_by_kernel(const siginfo_t *info)
{
    return info->si_code > 0;
}

/* Lets the default action happen: by running into the fault again, or by
 * sending again what somebody sent. */
static void chain_default(int sig, const siginfo_t *info)
{
    struct sigaction dfl = {.sa_handler = SIG_DFL};

    sigaction(sig, &dfl, NULL);
    if (!sent_by_kernel(info))
        raise(sig);
}

static void chain(int sig, siginfo_t *info, void *uc)
{
    const struct sigaction *to = sig == SIGBUS ? &previous_bus : &previous_segv;

    if (to->sa_flags & SA_SIGINFO)
        to->sa_sigaction(sig, info, uc);
    else if (to->sa_handler == SIG_IGN && !sent_by_kernel(info))
        return;
    else if (to->sa_handler == SIG_DFL || to->sa_handler == SIG_IGN)
        chain_default(sig, info);
    else
        to->sa_handler(sig);
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    int saved_errno = errno;
    gust__fault_who who;

    if (sent_by_kernel(info) && gust__fault_whoami(&who) &&
        gust__stack_in_guard(who.stack_low, info->si_addr))
        die_of_overflow(&who, uc);
    chain(sig, info, uc);
    errno = saved_errno;
}

static void take(int sig, struct sigaction *ret_previous)
{
    struct sigaction ours = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    sigemptyset(&ours.sa_mask);
    sigaction(sig, &ours, ret_previous);
}

/* If somebody put a handler over ours it may call us: then we stay. */
static void give_back(int sig, const struct sigaction *previous)
{
    struct sigaction now;

    if (sigaction(sig, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_fault)
        sigaction(sig, previous, NULL);
}

void gust__fault_install(gust__fault_who_fn *who)
{
    gust__backtrace_prepare();
    atomic_store_explicit(&who_fn, who, memory_order_relaxed);
    take(SIGSEGV, &previous_segv);
    take(SIGBUS, &previous_bus);
}

void gust__fault_uninstall(void)
{
    give_back(SIGBUS, &previous_bus);
    give_back(SIGSEGV, &previous_segv);
    atomic_store_explicit(&who_fn, NULL, memory_order_relaxed);
}

/* --- Alternate stacks ------------------------------------------------------ */

/* The calling thread's.  Only between an M's first and last steps on g0, which
 * do not park. */
static __thread struct {
    char *map; /* NULL: none; else a guard page and the stack */
    size_t size;
    stack_t previous;
} alt;

void gust__fault_thread_init(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    long wanted = sysconf(_SC_SIGSTKSZ);
    size_t size = wanted > (long)ALT_STACK_MIN ? (size_t)wanted : ALT_STACK_MIN;
    stack_t ours = {.ss_flags = 0};
    char *map;

    size = (size + page - 1) / page * page;
    map = gust__mmap(NULL, page + size, 0);
    if (map == MAP_FAILED)
        return;
    mprotect(map, page, PROT_NONE);
    ours.ss_sp = map + page;
    ours.ss_size = size;
    if (sigaltstack(&ours, &alt.previous) < 0) {
        munmap(map, page + size);
        return;
    }
    alt.map = map;
    alt.size = page + size;
}

void gust__fault_thread_fini(void)
{
    if (!alt.map)
        return;
    sigaltstack(&alt.previous, NULL);
    munmap(alt.map, alt.size);
    alt.map = NULL;
}
