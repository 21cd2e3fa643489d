/* What a stack overflow, another fault and a panic print, and what they leave to
 * those who handled the signals before. */
#include "core/fault.h"

#include <gust/runtime.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "core/ctx.h"
#include "core/stack.h"
#include "tests/core/child.h"

/* --- With a scheduler of our own: one context ------------------------------- */

static gust__ctx main_ctx, other_ctx;
static gust__stack_cache cache;
static gust__stack stack;
static bool on_other;

static bool who(gust__fault_who *ret_who)
{
    if (!on_other)
        return false;
    *ret_who =
        (gust__fault_who){17, "climber", stack.low, stack.size, (void *)(uintptr_t)child_run};
    return true;
}

static void start(void)
{
    gust__stack_setup(64 << 10, GUST__GUARD_AUTO);
    CHECK_EQ(gust__stack_get(&cache, 0, &stack), 0);
    gust__fault_install(who);
    gust__fault_thread_init();
}

static void run_on_other(void (*entry)(void *arg), void *arg)
{
    gust__ctx_init_thread(&main_ctx);
    gust__ctx_init(&other_ctx, stack.low, stack.size, entry, arg);
    on_other = true;
    gust__ctx_switch(&main_ctx, &other_ctx, false);
}

/* Uses more stack than there is.  The result keeps it from being a loop, the
 * condition keeps compilers from warning that it does not end. */
__attribute__((noinline)) static int climb(volatile int *depth)
{
    volatile char frame[256];

    frame[0] = (char)(*depth += 1);
    if (*depth == INT_MAX)
        return 0;
    return climb(depth) + frame[0];
}

static void climb_entry(void *arg)
{
    volatile int depth = 0;

    (void)arg;
    gust__ctx_entered();
    climb(&depth);
}

static void overflow(void)
{
    start();
    run_on_other(climb_entry, NULL);
}

static int count_of(const char *text, const char *what)
{
    int n = 0;

    while ((text = strstr(text, what))) {
        n++;
        text += strlen(what);
    }
    return n;
}

Test(fault, overflow_is_reported_with_name_size_origin_and_backtrace)
{
    char text[8192];
    int status = child_run(overflow, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "gust: goroutine 17 (\"climber\") overflowed its stack of "
                                    "65536 bytes\n  started at "),
                       "%s", text);
    cr_assert_geq(count_of(text, "[0x"), 1 + 32, "%s", text);
    cr_assert_not_null(strstr(text, "\n  raise GUST_STACK_SIZE or gust_go_options.stack_size\n"),
                       "%s", text);
}

/* Functions that write to an address, keep no frame record and use the register
 * for something else, as libc's do; the second one lies to unwinders. */
void fault_without_record(char *address);
void fault_with_wrong_cfi(char *address);

#if defined(__x86_64__)
#define FAULTY(name, wrong_cfi)                                                         \
    __asm__(".text\n.type " #name ", @function\n" #name ":\n.cfi_startproc\n"           \
            "pushq %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_rel_offset %rbp, 0\n" wrong_cfi \
            "movl $64, %ebp\nmovb $1, (%rdi)\n"                                         \
            "popq %rbp\nret\n.cfi_endproc\n.size " #name ", . - " #name "\n")
FAULTY(fault_without_record, "");
FAULTY(fault_with_wrong_cfi, ".cfi_def_cfa %rbp, 16\n");
#else
#define FAULTY(name, wrong_cfi)                                               \
    __asm__(".text\n.type " #name ", %function\n" #name ":\n.cfi_startproc\n" \
            "stp x29, x30, [sp, #-16]!\n.cfi_adjust_cfa_offset 16\n"          \
            ".cfi_rel_offset x29, 0\n.cfi_rel_offset x30, 8\n" wrong_cfi      \
            "mov x29, #64\nstrb w0, [x0]\n"                                   \
            "ldp x29, x30, [sp], #16\nret\n.cfi_endproc\n.size " #name ", . - " #name "\n")
FAULTY(fault_without_record, "");
FAULTY(fault_with_wrong_cfi, ".cfi_def_cfa x29, 16\n");
#endif

static void fault_entry(void *arg)
{
    void (*faulty)(char *address) = *(void (**)(char *))arg;

    gust__ctx_entered();
    faulty(stack.low - 1);
}

static void overflow_in_foreign_code(void)
{
    static void (*faulty)(char *) = fault_without_record;

    start();
    run_on_other(fault_entry, &faulty);
}

static void overflow_in_odd_code(void)
{
    static void (*faulty)(char *) = fault_with_wrong_cfi;

    start();
    run_on_other(fault_entry, &faulty);
}

Test(fault, overflow_in_code_without_frame_records_is_reported_too)
{
    char text[8192];
    int status = child_run(overflow_in_foreign_code, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_geq(count_of(text, "[0x"), 1 + 2, "%s", text);
}

Test(fault, overflow_in_code_that_cannot_be_unwound_is_reported_too)
{
    char text[8192];
    int status = child_run(overflow_in_odd_code, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(strstr(text, "  raise GUST_STACK_SIZE"), "%s", text);
}

/* --- Everything else goes on to where it went ------------------------------- */

static void fault_elsewhere(void)
{
    start();
    *(volatile int *)(uintptr_t)16 = 1;
}

static void bus_error(void)
{
    char *map;
    FILE *f = tmpfile();

    start();
    map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
    (void)*(volatile char *)map; /* past the end of the file */
}

static void sent_by_somebody(void)
{
    start();
    raise(SIGSEGV);
}

static void fault_at_page(void *page)
{
    gust__ctx_entered();
    *(volatile char *)page = 1;
}

static void fault_on_a_goroutine(void)
{
    start();
    run_on_other(fault_at_page, mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

Test(fault, other_faults_kill_by_their_own_signal)
{
    child_assert_ends(fault_elsewhere, SIGSEGV);
    child_assert_ends(bus_error, SIGBUS);
    child_assert_ends(sent_by_somebody, SIGSEGV);
    child_assert_ends(fault_on_a_goroutine, SIGSEGV);
}

static void exit_41(int sig)
{
    _exit(sig == SIGSEGV ? 41 : 1);
}

static void exit_42(int sig, siginfo_t *info, void *uc)
{
    _exit(sig == SIGSEGV && info->si_addr == (void *)16 && uc ? 42 : 1);
}

static void fault_with_handler(void)
{
    signal(SIGSEGV, exit_41);
    fault_elsewhere();
}

static void fault_with_action(void)
{
    struct sigaction action = {.sa_sigaction = exit_42, .sa_flags = SA_SIGINFO};

    sigaction(SIGSEGV, &action, NULL);
    fault_elsewhere();
}

static void ignored_and_sent(void)
{
    signal(SIGSEGV, SIG_IGN);
    start();
    raise(SIGSEGV);
    _exit(43);
}

Test(fault, earlier_handlers_are_called)
{
    char text[1024];

    cr_assert_eq(WEXITSTATUS(child_run(fault_with_handler, text, sizeof text)), 41);
    cr_assert_eq(WEXITSTATUS(child_run(fault_with_action, text, sizeof text)), 42);
    cr_assert_eq(WEXITSTATUS(child_run(ignored_and_sent, text, sizeof text)), 43);
}

static void uninstall_twice(void)
{
    struct sigaction now;

    signal(SIGSEGV, exit_41);
    start();
    gust__fault_uninstall();
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_handler == exit_41);
    /* A handler set after ours stays. */
    gust__fault_install(who);
    signal(SIGSEGV, SIG_IGN);
    gust__fault_uninstall();
    sigaction(SIGSEGV, NULL, &now);
    CHECK(now.sa_handler == SIG_IGN);
}

Test(fault, uninstall_restores_what_was_there)
{
    child_assert_ends(uninstall_twice, 0);
}

static void alternate_stacks(void)
{
    stack_t before, during, after;

    sigaltstack(NULL, &before);
    gust__fault_thread_init();
    sigaltstack(NULL, &during);
    CHECK(during.ss_sp != before.ss_sp && during.ss_size >= 32 << 10);
    gust__fault_thread_fini();
    sigaltstack(NULL, &after);
    CHECK(after.ss_sp == before.ss_sp && after.ss_flags == before.ss_flags);
    gust__fault_thread_fini();
}

Test(fault, thread_gets_back_the_alternate_stack_it_had)
{
    child_assert_ends(alternate_stacks, 0);
}

/* --- With the scheduler ------------------------------------------------------ */

static void climb_goroutine(void *arg)
{
    volatile int depth = 0;

    (void)arg;
    climb(&depth);
}

static int spawn_climber(void *arg)
{
    const gust_go_options options = {.name = "alpinist", .stack_size = 128 << 10};

    (void)arg;
    CHECK_EQ(gust_go_with(&options, climb_goroutine, NULL), 0);
    for (;;)
        gust_yield();
}

static void overflow_in_goroutine(void)
{
    gust_run(spawn_climber, NULL);
}

Test(fault, overflow_names_the_goroutine)
{
    char text[8192];
    int status = child_run(overflow_in_goroutine, text, sizeof text);

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(
        strstr(text, "(\"alpinist\") overflowed its stack of 131072 bytes\n  started at "), "%s",
        text);
}

static void panic_goroutine(void *arg)
{
    (void)arg;
    gust_panic("the answer is %d", 42);
}

static int spawn_panic(void *arg)
{
    (void)arg;
    CHECK_EQ(gust_go(panic_goroutine, NULL), 0);
    for (;;)
        gust_yield();
}

static void panic_in_goroutine(void)
{
    gust_run(spawn_panic, NULL);
}

Test(fault, panic_prints_message_goroutine_origin_and_backtrace)
{
    char text[8192];
    int status = child_run(panic_in_goroutine, text, sizeof text);
    const char *panic = strstr(text, "panic: the answer is 42\ngoroutine ");

    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "%s", text);
    cr_assert_not_null(panic, "%s", text);
    cr_assert_not_null(strstr(panic, ", started at "), "%s", text);
    cr_assert_geq(count_of(panic, "[0x"), 3, "%s", text);
}
