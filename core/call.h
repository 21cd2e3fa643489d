/* The marks that every call into gust leaves on its M, and the word by which
 * others ask for that M's P.
 *
 * A goroutine in user or foreign code may lose its P at any moment, unasked
 * (core/demote.c): its thread then goes on without one.  A call into gust needs
 * the P, and so begins by saying that it is one:
 *
 *     who calls                              who wants the P (sysmon)
 *     1. depth = 1              (plain)      1. steal = NONE -> REQUEST
 *     2. compiler barrier                    2. a fence in *this* thread, made
 *     3. reads steal            (plain)         by membarrier(2) or a signal
 *        NONE: the P is ours, and stays      3. reads depth: 0: REQUEST -> TAKEN
 *        so until depth is 0 again              by CAS, and the P is taken;
 *        else: gust__call_asked                 else: gives up the request
 *
 * Whichever comes first, the other sees it: an asymmetric Dekker, in which the
 * frequent side pays for no fence.  A request that was seen is refused by a CAS
 * REQUEST -> NONE, so exactly one of the two has its way.
 *
 * depth counts nested calls; only the outermost looks at steal.  It belongs to
 * the goroutine: a park keeps it in the G, and the next M that runs the G takes
 * it over.  On g0 it is never 0. */
#ifndef GUST_CORE_CALL_H
#define GUST_CORE_CALL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gust__m M;

typedef enum gust__steal {
    STEAL_NONE,
    STEAL_REQUEST,  /* sysmon wants the P, unless a call is under way */
    STEAL_TAKEN,    /* the P is gone; the next call gets another */
    STEAL_YIELD,    /* the goroutine has had its time: yield at the next chance */
    STEAL_BLOCKING, /* between gust_blocking_begin and end: no calls */
} gust__steal;

/* The first member of every M. */
typedef struct gust__marks {
    _Atomic uint32_t depth; /* calls under way; written by the M's thread only */
    _Atomic uint32_t steal; /* gust__steal; changed by CAS, but for TAKEN and
                               BLOCKING, which only the M's thread leaves */
} gust__marks;

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

static inline gust__marks *gust__marks_here(void)
{
    return (gust__marks *)gust__m();
}

/* The slow paths, in demote.c: somebody has asked for the P, or for a yield; or
 * the calling thread is none of gust's. */
void gust__call_asked(void);
void gust__call_end_asked(void);
_Noreturn void gust__call_foreign(void);

typedef struct gust__call {
    char none;
} gust__call;

static inline gust__call gust__call_begin(void)
{
    gust__marks *marks = gust__marks_here();
    if (__builtin_expect(!marks, 0))
        gust__call_foreign();
    uint32_t depth = atomic_load_explicit(&marks->depth, memory_order_relaxed);
    /* Pairs with the load of depth in demote.c, by the fence made there. */
    atomic_store_explicit(&marks->depth, depth + 1, memory_order_relaxed);
    atomic_signal_fence(memory_order_seq_cst);
    if (__builtin_expect(depth == 0 && atomic_load_explicit(&marks->steal, memory_order_relaxed) !=
                                           STEAL_NONE,
                         0))
        gust__call_asked();
    return (gust__call){0};
}

static inline void gust__call_end(gust__call *call)
{
    (void)call;
    gust__marks *marks = gust__marks_here();
    uint32_t depth = atomic_load_explicit(&marks->depth, memory_order_relaxed) - 1;
    if (__builtin_expect(depth == 0 && atomic_load_explicit(&marks->steal, memory_order_relaxed) !=
                                           STEAL_NONE,
                         0)) {
        gust__call_end_asked();
        marks = gust__marks_here(); /* it may have moved to another M */
    }
    /* Release: who takes the P sees what this call did with it. */
    atomic_store_explicit(&marks->depth, depth, memory_order_release);
}

/* Marks the rest of the enclosing block as one call into gust: the P is there
 * and stays.  The first line of every public function that needs a P or takes a
 * lock of the runtime; calls may nest.  No code of the user's may run in it. */
#define GUST__CALL() GUST__CALL_AT(__LINE__)
#define GUST__CALL_AT(line) GUST__CALL_NAMED(line)
#define GUST__CALL_NAMED(line)                                                        \
    __attribute__((cleanup(gust__call_end), unused)) gust__call call_mark_at_##line = \
        gust__call_begin()

#endif
