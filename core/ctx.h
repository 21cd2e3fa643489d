/* Execution contexts: a saved stack pointer, and what the sanitizers must be
 * told when it changes.
 *
 * gust__ctx_switch saves the callee-saved registers on the running stack and
 * continues where `to` was saved.  The switch is written by hand per machine
 * (core/arch/switch_*.S); floating-point control words are the thread's and are
 * not switched, signal masks neither. */
#ifndef GUST_CORE_CTX_H
#define GUST_CORE_CTX_H

#include <stddef.h>
#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#define GUST__ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GUST__ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define GUST__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GUST__TSAN 1
#endif
#endif

/* For functions that ThreadSanitizer must not look into. */
#if defined(__clang__)
#define GUST__NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define GUST__NO_TSAN __attribute__((no_sanitize_thread))
#endif

typedef struct gust__ctx {
    void *sp; /* a gust__ctx_frame while not running; NULL while running */
#ifdef GUST__ASAN
    const void *stack_low; /* bounds */
    size_t stack_size;
    void *asan_fake_stack; /* of the frames below, while not running */
#endif
#ifdef GUST__TSAN
    void *tsan_fiber;   /* ThreadSanitizer's view of this context */
    unsigned tsan_uses; /* contexts that had this fiber, this one included */
#endif
} gust__ctx;

/* What lies at `sp` of a context that is not running.  fp and pc are a frame
 * record as the frame-pointer ABI has it: to walk a parked stack, report pc,
 * then follow fp until it is NULL.  Debuggers know this layout: keep
 * core/arch/switch_*.S and any gdb script in step. */
typedef struct gust__ctx_frame {
#if defined(__x86_64__)
    uintptr_t r15, r14, r13, r12, rbx;
    uintptr_t fp, pc;
#elif defined(__aarch64__)
    uintptr_t fp, pc;
    uintptr_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28;
    uint64_t d8_to_d15[8];
#else
#error "gust runs on x86-64 and aarch64"
#endif
} gust__ctx_frame;

/* The top bytes of a stack that no context ever uses: who owns a free stack may
 * keep a link there, and no sanitizer has an opinion about them. */
#define GUST__CTX_TOP_FREE 16

/* Makes the calling thread's own stack a context (an M's g0). */
void gust__ctx_init_thread(gust__ctx *ctx);
void gust__ctx_fini_thread(gust__ctx *ctx);

/* Prepares a context that, when first switched to, calls entry(arg) on the
 * given stack; entry begins with gust__ctx_entered and never returns.
 * [low, low + size) is the usable stack, without its guard. */
void gust__ctx_init(gust__ctx *ctx, void *low, size_t size, void (*entry)(void *arg), void *arg);

/* Releases what gust__ctx_init took.  The context must not be running. */
void gust__ctx_fini(gust__ctx *ctx);

/* The switch itself, in assembly: stores the stack pointer in *save_sp. */
void gust__ctx_swap(void **save_sp, void *to_sp);

/* The same, for contexts that mostly leave at one place: then the CPU's guess of
 * where a function returns to, which is the place of the last call, is right. */
void gust__ctx_swap_alike(void **save_sp, void *to_sp);

static inline void *gust__ctx_take_sp(gust__ctx *ctx)
{
    void *sp = ctx->sp;
    ctx->sp = NULL;
    return sp;
}

/* Leaves `from` (the running context) for `to`; returns when somebody switches
 * back.  `from_ends`: `from` will never run again, its stack may be reused.
 * gust__ctx_switch_alike is for switches that are written at one place in the
 * program; see gust__ctx_swap_alike.
 * gust__ctx_entered is the other end of the first switch to a fresh context:
 * the first thing that `entry` calls. */
#if defined(GUST__ASAN) || defined(GUST__TSAN)
void gust__ctx_switch(gust__ctx *from, gust__ctx *to, int from_ends);
void gust__ctx_entered(void);
static inline void gust__ctx_switch_alike(gust__ctx *from, gust__ctx *to)
{
    gust__ctx_switch(from, to, 0);
}
#else
static inline void gust__ctx_switch(gust__ctx *from, gust__ctx *to, int from_ends)
{
    (void)from_ends;
    gust__ctx_swap(&from->sp, gust__ctx_take_sp(to));
}
static inline void gust__ctx_switch_alike(gust__ctx *from, gust__ctx *to)
{
    gust__ctx_swap_alike(&from->sp, gust__ctx_take_sp(to));
}
static inline void gust__ctx_entered(void) {}
#endif

/* Forgets what AddressSanitizer knows of dead frames in this memory, before it
 * is used for something else. */
#ifdef GUST__ASAN
void __asan_unpoison_memory_region(void const volatile *addr, size_t size);
static inline void gust__asan_forget(const void *low, size_t size)
{
    __asan_unpoison_memory_region(low, size);
}
#else
static inline void gust__asan_forget(const void *low, size_t size)
{
    (void)low, (void)size;
}
#endif

#endif
