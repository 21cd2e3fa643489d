/* Panics, the scopes that stop them, and deferred functions.
 *
 * A goroutine has a list of what is to be done when its stack is left other than by
 * return: g->unwind, innermost first, of scopes and of functions to call.
 *   - A panic calls the functions up to the innermost scope and then jumps into
 *     that scope's frame.  It does so on its own stack, before it leaves it, as Go
 *     does: a debugger finds the place of the bug, and functions whose frames are
 *     about to go can be cleaned up for by nodes in these frames.
 *   - gust_goexit calls all functions, passes every scope, and ends the goroutine.
 *     From its beginning on no scope can be returned to: one that catches a panic
 *     of a deferred function goes on with the exit (Go since 1.14 as well).
 * An entry leaves the list before its function is called, so that it is called once
 * whatever it does.
 *
 * The jump is longjmp's, because the sanitizers know that one (ThreadSanitizer knows
 * neither _longjmp nor what it is called in fortified code).  It stays on the
 * goroutine's stack, so it makes no difference if that has changed its thread.  The
 * signal mask is the thread's and is not part of it: glibc's setjmp leaves it alone. */
#include "core/panic.h"

#include <errno.h>
#include <execinfo.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/backtrace.h"
#include "core/proc.h"

struct scope {
    gust__unwind node; /* first */
    gust_panic_seen_fn *seen;
    void *seen_arg;
    uint32_t depth; /* of calls into gust, where it began: the user's code has 0 */
    bool exiting;   /* gust_goexit is under way: not to be returned to */
    jmp_buf env;
};

/* --- The list -------------------------------------------------------------- */

/* The goroutine whose code runs here; NULL on g0, in a handler on the signal
 * stack, and on a foreign thread. */
static G *goroutine_here(void)
{
    G *g = gust__g();
    const char *here = __builtin_frame_address(0);
    return g && (size_t)(here - g->stack.low) < g->stack.size ? g : NULL;
}

static void unwind_push(G *g, gust__unwind *node)
{
    node->outer = g->unwind;
    g->unwind = node;
}

static struct scope *scope_innermost(G *g)
{
    for (gust__unwind *node = g->unwind; node; node = node->outer)
        if (node->kind == UNWIND_SCOPE)
            return (struct scope *)node;
    return NULL;
}

/* Takes the innermost entry off the list and does what it says. */
static void unwind_one(G *g)
{
    gust__unwind node = *g->unwind;
    if (node.kind == UNWIND_DEFER)
        free(g->unwind);
    g->unwind = node.outer;
    if (node.kind != UNWIND_SCOPE)
        node.fn(node.arg);
}

static void unwind_to(G *g, gust__unwind *end)
{
    while (g->unwind != end)
        unwind_one(g);
}

void gust__unwind_all(G *g)
{
    for (gust__unwind *node = g->unwind; node; node = node->outer)
        if (node->kind == UNWIND_SCOPE)
            ((struct scope *)node)->exiting = true;
    unwind_to(g, NULL);
}

void gust__unwind_drop(G *g)
{
    for (gust__unwind *node = g->unwind, *outer; node; node = outer) {
        outer = node->outer;
        if (node->kind == UNWIND_DEFER)
            free(node);
    }
    g->unwind = NULL;
}

int gust_defer(void (*fn)(void *arg), void *arg)
{
    G *g = goroutine_here();
    gust__unwind *node;
    if (!g)
        gust_panic("gust_defer outside of a goroutine");
    node = malloc(sizeof *node);
    if (!node)
        return -ENOMEM;
    *node = (gust__unwind){.kind = UNWIND_DEFER, .fn = fn, .arg = arg};
    unwind_push(g, node);
    return 0;
}

void gust__cleanup_begin(gust__unwind *node, void (*fn)(void *arg), void *arg)
{
    *node = (gust__unwind){.kind = UNWIND_CLEANUP, .fn = fn, .arg = arg};
    unwind_push(gust__g(), node);
}

/* Functions that the user's code has deferred in between stay deferred: they belong
 * to the scope, not to this stretch. */
void gust__cleanup_end(gust__unwind *node)
{
    gust__unwind **at = &gust__g()->unwind;
    while (*at != node)
        at = &(*at)->outer;
    *at = node->outer;
    node->fn(node->arg);
}

/* --- Scopes ---------------------------------------------------------------- */

static void scope_begin(struct scope *s, gust_panic_seen_fn *seen, void *seen_arg)
{
    G *g = goroutine_here();
    if (!g)
        gust_panic("gust_recover outside of a goroutine");
    {
        GUST__CALL(); /* which is not allowed in announced foreign code */
    }
    s->node.kind = UNWIND_SCOPE;
    s->seen = seen;
    s->seen_arg = seen_arg;
    s->depth = atomic_load_explicit(&gust__marks_here()->depth, memory_order_relaxed);
    s->exiting = false;
    unwind_push(g, &s->node);
}

/* No call of gust is open while fn runs: the goroutine may lose its P there, and
 * the scope does not need one. */
bool gust_recover_with(void (*fn)(void *arg), void *arg, gust_panic_seen_fn *seen, void *seen_arg)
{
    struct scope s;
    scope_begin(&s, seen, seen_arg);
    if (setjmp(s.env) != 0)
        return true; /* scope_jump has ended the scope */
    fn(arg);
    unwind_to(gust__g(), &s.node);
    gust__g()->unwind = s.node.outer;
    return false;
}

static void copy_info(const gust_panic_info *info, void *arg)
{
    gust_panic_info *ret_info = arg;
    if (ret_info)
        *ret_info = *info;
}

bool gust_recover(void (*fn)(void *arg), void *arg, gust_panic_info *ret_info)
{
    return gust_recover_with(fn, arg, copy_info, ret_info);
}

/* --- Panics ---------------------------------------------------------------- */

/* Ends the calls into gust that the panic was raised in, as if they had returned.
 * They hold no locks.  A stretch of announced foreign code ends, too: whoever
 * recovers goes on with calls of gust. */
static void calls_leave(uint32_t depth)
{
    gust__marks *marks = gust__marks_here();
    if (atomic_load_explicit(&marks->steal, memory_order_relaxed) == STEAL_BLOCKING) {
        gust_blocking_end();
    } else if (atomic_load_explicit(&marks->depth, memory_order_relaxed) > depth) {
        atomic_store_explicit(&marks->depth, depth + 1, memory_order_relaxed);
        gust__call_end(NULL);
    }
}

/* A panic in `seen` is not seen, or there might be no end to it. */
static void scope_tell(struct scope *s, const gust_panic_info *info)
{
    gust_panic_seen_fn *seen = s->seen;
    if (!seen)
        return;
    s->seen = NULL;
    seen(info, s->seen_arg);
    s->seen = seen;
}

_Noreturn static void scope_jump(G *g, struct scope *s)
{
    unwind_to(g, &s->node);
    if (s->exiting)
        gust_goexit();
    g->unwind = s->node.outer;
    longjmp(s->env, 1);
}

static void GUST_PRINTF(2, 0)
    info_fill(gust_panic_info *info, const char *format, va_list args, const G *g, const void *fp)
{
    info->goid = g->id;
    info->message[0] = '\0';
    vsnprintf(info->message, sizeof info->message, format, args);
    info->frame_count = gust__frames_walk(fp, g->stack.low, g->stack.low + g->stack.size,
                                          info->frames, GUST_PANIC_FRAMES_MAX);
}

_Noreturn void gust_panic(const char *format, ...)
{
    G *g = goroutine_here();
    struct scope *s = g ? scope_innermost(g) : NULL;
    gust_panic_info info;
    va_list args;

    va_start(args, format);
    if (!s)
        gust__panic_die(format, args);
    info_fill(&info, format, args, g, __builtin_frame_address(0));
    va_end(args);
    if (gust__locks_held())
        gust__fatal("panic while %u locks are held: %s", gust__locks_held(), info.message);
    calls_leave(s->depth);
    scope_tell(s, &info);
    scope_jump(g, s);
}

void gust_panic_log(const gust_panic_info *info, const char *what)
{
    char **symbols = backtrace_symbols(info->frames, (int)info->frame_count);
    gust__log("%.128s: panic: %s (goroutine %llu)", what, info->message,
              (unsigned long long)info->goid);
    for (size_t i = 0; i < info->frame_count; i++) {
        if (symbols)
            gust__log("  %s", symbols[i]);
        else
            gust__log("  [%p]", info->frames[i]);
    }
    free(symbols);
}
