/* Walks along frame records, which every file of gust keeps, and prints what it
 * finds.  Where records lead nowhere, libgcc's unwinder may look.
 *
 * All of it may run in a signal handler. */
#include "core/backtrace.h"

#include <execinfo.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/ctx.h"
#include "core/fault.h"
#include "core/text.h"

/* A frame record; both machines lay it out alike. */
typedef struct frame {
    const struct frame *caller;
    void *pc;
} frame;

typedef bool read_fn(void *to, const void *from, size_t n);

void gust__backtrace_prepare(void)
{
    void *pc;

    backtrace(&pc, 1);
}

/* --- Walking --------------------------------------------------------------- */

/* Not libc's function: no sanitizer shall look into it. */
bool gust__peek(void *to, const void *from, size_t n)
{
    struct iovec local = {to, n}, remote = {(void *)(uintptr_t)from, n};

    return syscall(SYS_process_vm_readv, getpid(), &local, 1UL, &remote, 1UL, 0UL) == (long)n;
}

/* Reads a frame record that AddressSanitizer may think is nobody's. */
__attribute__((no_sanitize_address)) static bool read_here(void *to, const void *from, size_t n)
{
    const frame *f = from;

    (void)n;
    *(frame *)to = *f;
    return true;
}

static bool is_record(const frame *f, const char *low, const char *high)
{
    return (const char *)f >= low && (const char *)f < high &&
           (size_t)(high - (const char *)f) >= sizeof *f && (uintptr_t)f % sizeof(void *) == 0;
}

static size_t walk(read_fn *read, const void *fp, const char *low, const char *high, void **ret_pcs,
                   size_t max)
{
    const frame *at = fp;
    frame f;
    size_t n = 0;

    while (n < max && is_record(at, low, high) && read(&f, at, sizeof f) && f.pc) {
        ret_pcs[n++] = f.pc;
        if (f.caller <= at)
            break;
        at = f.caller;
    }
    return n;
}

size_t gust__frames_walk(const void *fp, const char *low, const char *high, void **ret_pcs,
                         size_t max)
{
    return walk(read_here, fp, low, high, ret_pcs, max);
}

size_t gust__frames_peek(const void *sp, const char *low, const char *high, void **ret_pcs,
                         size_t max)
{
    gust__ctx_frame top;

    if (max == 0 || (const char *)sp < low || (const char *)sp >= high ||
        (size_t)(high - (const char *)sp) < sizeof top || !gust__peek(&top, sp, sizeof top) ||
        top.pc == 0)
        return 0;
    ret_pcs[0] = (void *)top.pc;
    return 1 + walk(gust__peek, (const void *)top.fp, low, high, ret_pcs + 1, max - 1);
}

/* --- Printing -------------------------------------------------------------- */

void gust__pc_print(int fd, const void *pc)
{
    void *at = (void *)(uintptr_t)pc;

    backtrace_symbols_fd(&at, 1, fd);
}

static void frame_print(int fd, const char *indent, const void *pc)
{
    gust__text t = {.fd = fd};

    text_string(&t, indent);
    text_out(&t);
    gust__pc_print(fd, pc);
}

/* Prints return addresses less one: that is in the call, where the address
 * itself may be in the next function if the call was the last thing in its own
 * (gust_panic never returns). */
void gust__frames_print(int fd, const char *indent, void *const *pcs, size_t n)
{
    for (size_t i = 0; i < n; i++)
        frame_print(fd, indent, (char *)pcs[i] - 1);
}

__attribute__((noinline)) void gust__backtrace_print(int fd, const char *indent)
{
    void *pcs[GUST__FRAMES_MAX];
    gust__fault_who who;
    size_t n = 0;

    if (gust__fault_whoami(&who) && who.stack_low)
        n = gust__frames_walk(__builtin_frame_address(0), who.stack_low,
                              who.stack_low + who.stack_size, pcs, GUST__FRAMES_MAX);
    if (n == 0)
        n = (size_t)backtrace(pcs, GUST__FRAMES_MAX);
    gust__frames_print(fd, indent, pcs, n);
}

/* --- What a signal interrupted --------------------------------------------- */

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

const void *gust__context_sp(const ucontext_t *uc)
{
#if defined(__x86_64__)
    return (const void *)uc->uc_mcontext.gregs[REG_RSP];
#else
    return (const void *)uc->uc_mcontext.sp;
#endif
}

/* Drops the handler's own frames: those above the place of the signal. */
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
void gust__backtrace_print_context(int fd, const char *indent, const ucontext_t *uc,
                                   const char *low, const char *high)
{
    void *pcs[GUST__FRAMES_MAX], *pc;
    const void *fp;
    size_t n;

    context_read(uc, &pc, &fp);
    pcs[0] = pc;
    n = 1 + gust__frames_walk(fp, low, high, pcs + 1, GUST__FRAMES_MAX - 1);
    if (n == 1) {
        n = frames_from(pcs, (size_t)backtrace(pcs, GUST__FRAMES_MAX), pc);
        if (n == 0)
            n = 1;
    }
    frame_print(fd, indent, pc);
    gust__frames_print(fd, indent, pcs + 1, n - 1);
}
