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
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/stack.h"

enum { FRAMES_MAX = 32 };

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

/* --- Text ------------------------------------------------------------------ */

/* One line under construction; what does not fit is left out. */
typedef struct text {
    size_t len;
    char data[512];
} text;

static void put_string(text *t, const char *s)
{
    while (*s && t->len < sizeof t->data)
        t->data[t->len++] = *s++;
}

static void put_number(text *t, uint64_t n)
{
    char digits[21];
    char *at = &digits[20];

    *at = '\0';
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    put_string(t, at);
}

static void put_out(text *t)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, t->data, t->len);
    while (n < 0 && errno == EINTR);
    t->len = 0;
}

/* --- Backtraces ------------------------------------------------------------ */

/* A frame record; both machines lay it out alike. */
typedef struct frame {
    const struct frame *caller;
    void *pc;
} frame;

/* Reads stack words that AddressSanitizer may think are nobody's. */
__attribute__((no_sanitize_address)) size_t
gust__frames_walk(const void *fp, const char *low, const char *high, void **ret_pcs, size_t max)
{
    const frame *f = fp;
    size_t n = 0;

    while (n < max && (const char *)f >= low && (const char *)f < high &&
           (size_t)(high - (const char *)f) >= sizeof *f && (uintptr_t)f % sizeof(void *) == 0) {
        if (!f->pc)
            break;
        ret_pcs[n++] = f->pc;
        if (f->caller <= f)
            break;
        f = f->caller;
    }
    return n;
}

/* Prints return addresses less one: that is in the call, where the address
 * itself may be in the next function if the call was the last thing in its own
 * (gust_panic never returns). */
static void print_calls(void **pcs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pcs[i] = (char *)pcs[i] - 1;
    backtrace_symbols_fd(pcs, (int)n, STDERR_FILENO);
}

/* Where the processor was when the signal came. */
static void context_read(const ucontext_t *uc, void **ret_pc, const void **ret_fp)
{
#if defined(__x86_64__)
    *ret_pc = (void *)uc->uc_mcontext.gregs[REG_RIP];
    *ret_fp = (const void *)uc->uc_mcontext.gregs[REG_RBP];
#else
    *ret_pc = (void *)uc->uc_mcontext.pc;
    *ret_fp = (const void *)uc->uc_mcontext.regs[29];
#endif
}

/* Drops the handler's own frames: those above the place of the fault. */
static size_t frames_from(void **pcs, size_t n, const void *pc)
{
    size_t skip = 0;

    while (skip < n && pcs[skip] != pc)
        skip++;
    if (skip == n)
        return 0;
    memmove(pcs, pcs + skip, (n - skip) * sizeof pcs[0]);
    return n - skip;
}

/* Frame records are the safe way.  But libc keeps none, and an overflow inside
 * printf is a common one: where they lead nowhere, the unwinder may look. */
static void print_fault_frames(const ucontext_t *uc, const gust__fault_who *who)
{
    void *pcs[FRAMES_MAX], *pc;
    const void *fp;
    size_t n;

    context_read(uc, &pc, &fp);
    pcs[0] = pc;
    n = 1 + gust__frames_walk(fp, who->stack_low, who->stack_low + who->stack_size, pcs + 1,
                              FRAMES_MAX - 1);
    if (n == 1) {
        n = frames_from(pcs, (size_t)backtrace(pcs, FRAMES_MAX), pc);
        if (n == 0)
            n = 1;
    }
    backtrace_symbols_fd(&pc, 1, STDERR_FILENO);
    print_calls(pcs + 1, n - 1);
}

__attribute__((noinline)) void gust__backtrace_print(void)
{
    void *pcs[FRAMES_MAX];
    gust__fault_who who;
    size_t n = 0;

    if (gust__fault_whoami(&who) && who.stack_low)
        n = gust__frames_walk(__builtin_frame_address(0), who.stack_low,
                              who.stack_low + who.stack_size, pcs, FRAMES_MAX);
    if (n == 0)
        n = (size_t)backtrace(pcs, FRAMES_MAX);
    print_calls(pcs, n);
}

/* --- The report ------------------------------------------------------------ */

static void print_overflow(const gust__fault_who *who, const ucontext_t *uc)
{
    /* The guard is part of what the user asked for. */
    uint64_t size = who->stack_size + (uint64_t)sysconf(_SC_PAGESIZE);
    void *spawn_pc = (void *)(uintptr_t)who->spawn_pc;
    text t = {.len = 0};

    put_string(&t, "gust: goroutine ");
    put_number(&t, who->goid);
    if (who->name && *who->name) {
        put_string(&t, " (\"");
        put_string(&t, who->name);
        put_string(&t, "\")");
    }
    put_string(&t, " overflowed its stack of ");
    put_number(&t, size);
    put_string(&t, " bytes\n  started at ");
    put_out(&t);
    backtrace_symbols_fd(&spawn_pc, 1, STDERR_FILENO);
    put_string(&t, "  raise GUST_STACK_SIZE or gust_go_options.stack_size\n");
    put_out(&t);
    /* Last, because it is what may fail. */
    print_fault_frames(uc, who);
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
    abort();
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
    void *pc;

    /* The first backtrace loads the unwinder, which a handler must not do. */
    backtrace(&pc, 1);
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
    map = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
