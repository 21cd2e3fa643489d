/* The dump of all goroutines: gust_dump_goroutines, SIGQUIT, and before aborts.
 *
 * It may come from a signal handler on a thread that was anywhere, and every
 * other thread goes on meanwhile.  So it takes no locks.  Records are simply read:
 * they never go away, and one that changed meanwhile is recognised afterwards by
 * its state, id and stack pointer.  Stacks and names may go away, and are read
 * through the kernel, which says no where a load would fault. */
#include <gust/debug.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "core/backtrace.h"
#include "core/proc.h"
#include "core/text.h"

/* Goroutines printed in full: some 300 KiB of text. */
#define DUMP_MAX 1000
#define NAME_MAX_BYTES 64
#define INDENT "  "
/* How long a thread waits for another one's dump before it aborts. */
#define OTHER_DUMP_ROUNDS 500
#define OTHER_DUMP_ROUND_NS (10 * GUST_MS)

/* --- Looking at records ---------------------------------------------------- */

typedef uintptr_t __attribute__((may_alias)) word;

/* Word by word: with whoever writes the record this is a race, whose outcome the
 * callers check. */
GUST__NO_TSAN static void record_copy(G *ret_copy, const G *g)
{
    const volatile word *from = (const volatile word *)g;
    word *to = (word *)ret_copy;
    _Static_assert(sizeof *g % sizeof *from == 0, "whole words");
    for (size_t i = 0; i < sizeof *g / sizeof *from; i++)
        to[i] = from[i];
}

static gust__gstate state_of(const G *g)
{
    /* Acquire: pairs with the release in gust__g_new. */
    return (gust__gstate)atomic_load_explicit(&g->state, memory_order_acquire);
}

static bool is_unchanged(const G *g, const G *copy)
{
    G now;
    record_copy(&now, g);
    return now.id == copy->id && now.ctx.sp == copy->ctx.sp && state_of(&now) == state_of(copy);
}

bool gust__g_look(const G *g, G *ret_copy)
{
    if (state_of(g) == G_DEAD)
        return false;
    record_copy(ret_copy, g);
    /* Id 0: a record that was never used. */
    return ret_copy->id != 0 && !ret_copy->system && state_of(ret_copy) != G_DEAD;
}

/* --- Words for them -------------------------------------------------------- */

GUST__NO_TSAN static const G *curg_of(const M *m)
{
    return *(G *const volatile *)&m->curg;
}

/* Its thread goes on, but the P was taken from it. */
static bool has_lost_its_p(const G *g)
{
    /* Acquire: pairs with the release in m_new. */
    for (M *m = __atomic_load_n(&sched.allm, __ATOMIC_ACQUIRE); m; m = m->all_link)
        if (curg_of(m) == g)
            return !__atomic_load_n(&m->p, __ATOMIC_RELAXED) ||
                   atomic_load_explicit(&m->marks.steal, memory_order_relaxed) == STEAL_TAKEN;
    return false;
}

const char *gust__wait_name(gust__wait why)
{
    switch (why) {
    case WAIT_NONE: return "not waiting";
    case WAIT_CHAN_SEND: return "chan send";
    case WAIT_CHAN_RECV: return "chan receive";
    case WAIT_CHAN_NULL: return "chan (NULL)";
    case WAIT_SELECT: return "select";
    case WAIT_MUTEX: return "mutex lock";
    case WAIT_WAITGROUP: return "wait group";
    case WAIT_RWMUTEX_READ: return "rwmutex read lock";
    case WAIT_RWMUTEX_WRITE: return "rwmutex write lock";
    case WAIT_COND: return "cond wait";
    case WAIT_SEMAPHORE: return "semaphore acquire";
    case WAIT_SLEEP: return "sleep";
    case WAIT_IO: return "I/O wait";
    }
    return "?";
}

const char *gust__state_name(gust__gstate state)
{
    switch (state) {
    case G_WAITING_START: return "waiting to start";
    case G_RUNNABLE: return "runnable";
    case G_RUNNING: return "running";
    case G_BLOCKING: return "in a blocking call";
    case G_PARKED: return "parked";
    case G_DEAD: return "dead";
    }
    return "?";
}

static const char *state_words(const G *g, const G *copy)
{
    gust__gstate state = state_of(copy);
    if (state == G_PARKED)
        return gust__wait_name((gust__wait)copy->wait);
    return state == G_RUNNING && has_lost_its_p(g) ? "running without a P"
                                                   : gust__state_name(state);
}

/* ", 3.2 s", ", 17 ms", or nothing. */
static void text_since(gust__text *t, gust_time since)
{
    int64_t ms = (gust_now() - since) / GUST_MS;
    if (ms <= 0)
        return;
    text_string(t, ", ");
    text_number(t, (uint64_t)(ms < 1000 ? ms : ms / 1000));
    if (ms >= 1000) {
        text_string(t, ".");
        text_number(t, (uint64_t)(ms % 1000 / 100));
    }
    text_string(t, ms < 1000 ? " ms" : " s");
}

/* Up to the end of a page, and then of the next: what follows the name may not be
 * readable. */
static void name_read(char name[NAME_MAX_BYTES], const char *from)
{
    size_t first = 4096 - (uintptr_t)from % 4096;
    memset(name, 0, NAME_MAX_BYTES);
    if (first > NAME_MAX_BYTES - 1)
        first = NAME_MAX_BYTES - 1;
    if (gust__peek(name, from, first) && !memchr(name, '\0', first))
        (void)gust__peek(name + first, from + first, NAME_MAX_BYTES - 1 - first);
}

/* goroutine 17 ("name") [ */
static void text_who(gust__text *t, const G *copy)
{
    char name[NAME_MAX_BYTES];
    text_string(t, "\ngoroutine ");
    text_number(t, copy->id);
    if (copy->name) {
        name_read(name, copy->name);
        text_string(t, " (\"");
        text_string(t, name);
        text_string(t, "\")");
    }
    text_string(t, " [");
}

static void print_origin(gust__text *t, const G *copy)
{
    text_string(t, INDENT "started at ");
    text_out(t);
    gust__pc_print(t->fd, copy->spawn_pc);
}

/* --- One goroutine --------------------------------------------------------- */

void gust__g_print(int fd, const G *g, const G *copy)
{
    void *pcs[GUST__FRAMES_MAX];
    gust__text t = {.fd = fd};
    size_t n = gust__frames_peek(copy->ctx.sp, copy->stack.low, copy->stack.low + copy->stack.size,
                                 pcs, GUST__FRAMES_MAX);
    if (!is_unchanged(g, copy))
        n = 0; /* it runs, and has run over what we read */
    text_who(&t, copy);
    text_string(&t, state_words(g, copy));
    if (state_of(copy) == G_PARKED)
        text_since(&t, copy->since);
    text_string(&t, "]:\n");
    text_out(&t);
    gust__frames_print(fd, INDENT, pcs, n);
    if (state_of(copy) == G_WAITING_START) {
        text_string(&t, INDENT "at ");
        text_out(&t);
        gust__pc_print(fd, (const void *)(uintptr_t)copy->fn);
    }
    print_origin(&t, copy);
}

/* The calling one, or the one that a signal interrupted. */
static void print_current(int fd, const G *g, const ucontext_t *uc)
{
    G copy;
    gust__text t = {.fd = fd};
    record_copy(&copy, g);
    text_who(&t, &copy);
    text_string(&t, "running]:\n");
    text_out(&t);
    if (uc)
        gust__backtrace_print_context(fd, INDENT, uc, copy.stack.low,
                                      copy.stack.low + copy.stack.size);
    else
        gust__backtrace_print(fd, INDENT);
    print_origin(&t, &copy);
}

/* --- All of them ----------------------------------------------------------- */

/* The goroutine on whose stack `sp` is, if it is the calling thread's; g0 has
 * others. */
static const G *current_at(const char *sp)
{
    const G *g = gust__g();
    return g && sp >= g->stack.low && sp < g->stack.low + g->stack.size ? g : NULL;
}

static void print_others(int fd, const G *current)
{
    gust__text t = {.fd = fd};
    uint64_t seen = 0;
    G copy;
    /* Acquire: pairs with the release in slab_publish. */
    gust__slab *s = atomic_load_explicit(&gust__slabs, memory_order_acquire);
    for (; s; s = s->next)
        for (int i = 0; i < GUST__SLAB_GS; i++)
            if (&s->gs[i] != current && gust__g_look(&s->gs[i], &copy) && seen++ < DUMP_MAX)
                gust__g_print(fd, &s->gs[i], &copy);
    if (seen <= DUMP_MAX)
        return;
    text_string(&t, "\n... and ");
    text_number(&t, seen - DUMP_MAX);
    text_string(&t, " more goroutines\n");
    text_out(&t);
}

/* `sp`, `uc`: where the calling thread is, or was when a signal came. */
static void dump(int fd, const char *sp, const ucontext_t *uc)
{
    const G *current = current_at(sp);
    if (current)
        print_current(fd, current, uc);
    print_others(fd, current);
}

void gust_dump_goroutines(int fd)
{
    int saved = errno;
    dump(fd, __builtin_frame_address(0), NULL);
    errno = saved;
}

/* --- The last dump --------------------------------------------------------- */

/* True for the first thread that wants to end the process; the others get some
 * time to see that happen, and must not dump in the middle of it. */
static bool is_first_to_die(void)
{
    static _Atomic pid_t first;
    pid_t nobody = 0, self = (pid_t)syscall(SYS_gettid);
    struct timespec round = {0, OTHER_DUMP_ROUND_NS};
    if (atomic_compare_exchange_strong_explicit(&first, &nobody, self, memory_order_relaxed,
                                                memory_order_relaxed))
        return true;
    for (int i = 0; nobody != self && i < OTHER_DUMP_ROUNDS; i++)
        nanosleep(&round, NULL);
    return false;
}

_Noreturn void gust__dump_and_abort(bool current_too)
{
    const char *here = __builtin_frame_address(0);
    if (is_first_to_die()) {
        if (current_too && !current_at(here))
            gust__backtrace_print(STDERR_FILENO, INDENT);
        if (current_too)
            dump(STDERR_FILENO, here, NULL);
        else
            print_others(STDERR_FILENO, gust__g());
    }
    abort();
}

static void on_sigquit(int signo, siginfo_t *info, void *context)
{
    (void)info;
    if (is_first_to_die())
        dump(STDERR_FILENO, gust__context_sp(context), context);
    signal(signo, SIG_DFL);
    raise(signo); /* it is blocked here, and comes when we return */
}

void gust__dump_install(void)
{
    struct sigaction now, ours = {.sa_sigaction = on_sigquit, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGQUIT, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
        now.sa_handler == SIG_DFL)
        sigaction(SIGQUIT, &ours, NULL);
}

void gust__dump_uninstall(void)
{
    struct sigaction now;
    if (sigaction(SIGQUIT, NULL, &now) == 0 && (now.sa_flags & SA_SIGINFO) &&
        now.sa_sigaction == on_sigquit)
        signal(SIGQUIT, SIG_DFL);
}
