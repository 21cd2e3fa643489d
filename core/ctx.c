/* Contexts: the first frame of a fresh stack, and the sanitizers' fiber hooks.
 *
 * AddressSanitizer must know the bounds of the stack in use, and has a "fake
 * stack" per context that it swaps at each switch.  ThreadSanitizer sees each
 * context as a fiber with its own clock and its own shadow call stack.  It must
 * be told right before the stack pointer changes: an instrumented function
 * entered on one fiber and left on another would unbalance both. */
#include "core/ctx.h"

#include <pthread.h>
#include <string.h>

/* core/arch/switch_*.S */
extern const char gust__ctx_start[];

/* Puts the frame that gust__ctx_swap will pop for the first time.  Once it is
 * popped the stack pointer is a multiple of 16, as the trampoline's calls need
 * it; the frame pointer is NULL, which ends a walk along frame records. */
static void *first_frame(char *low, size_t size, void (*entry)(void *), void *arg)
{
    uintptr_t top = ((uintptr_t)low + size) & ~(uintptr_t)15;
    gust__ctx_frame *frame;

    frame = (gust__ctx_frame *)(top - GUST__CTX_TOP_FREE - sizeof *frame);
    memset(frame, 0, sizeof *frame);
    frame->pc = (uintptr_t)gust__ctx_start;
#if defined(__x86_64__)
    _Static_assert(sizeof *frame == 7 * 8, "pushed by switch_x86_64.S");
    frame->r12 = (uintptr_t)entry;
    frame->r13 = (uintptr_t)arg;
#else
    _Static_assert(sizeof *frame == 160, "stored by switch_aarch64.S");
    frame->x19 = (uintptr_t)entry;
    frame->x20 = (uintptr_t)arg;
#endif
    return frame;
}

/* --- AddressSanitizer ------------------------------------------------------ */

#ifdef GUST__ASAN
void __sanitizer_start_switch_fiber(void **fake_stack_save, const void *low, size_t size);
void __sanitizer_finish_switch_fiber(void *fake_stack, const void **ret_low, size_t *ret_size);

static void asan_init(gust__ctx *ctx, void *low, size_t size)
{
    gust__asan_forget(low, size);
    ctx->stack_low = low;
    ctx->stack_size = size;
}

static void asan_init_thread(gust__ctx *ctx)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;

    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &size);
        pthread_attr_destroy(&attr);
    }
    ctx->stack_low = low;
    ctx->stack_size = size;
}

/* A context that ends gives up its fake stack: that is what the NULL says. */
static inline void asan_leave(gust__ctx *from, gust__ctx *to, int from_ends)
{
    __sanitizer_start_switch_fiber(from_ends ? NULL : &from->asan_fake_stack, to->stack_low,
                                   to->stack_size);
}

static inline void asan_arrive(void *fake_stack)
{
    __sanitizer_finish_switch_fiber(fake_stack, NULL, NULL);
}
#endif

/* --- ThreadSanitizer ------------------------------------------------------- */

#ifdef GUST__TSAN
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);

/* Fibers to reuse, because making one costs between 10 us and several ms.  A
 * context that ends leaves its last calls on the fiber's shadow call stack (64 Ki
 * entries) and nothing can take them off: hence the bound on uses, which leaves
 * room for 128 calls at the end of each and 32 Ki of the last. */
enum { FIBER_POOL_MAX = 256, FIBER_USES_MAX = 256 };

static __thread struct {
    unsigned count;
    struct {
        void *fiber;
        unsigned uses;
    } slot[FIBER_POOL_MAX];
} fiber_pool;

static void tsan_init(gust__ctx *ctx)
{
    if (fiber_pool.count == 0) {
        ctx->tsan_fiber = __tsan_create_fiber(0);
        ctx->tsan_uses = 1;
        return;
    }
    fiber_pool.count--;
    ctx->tsan_fiber = fiber_pool.slot[fiber_pool.count].fiber;
    ctx->tsan_uses = fiber_pool.slot[fiber_pool.count].uses + 1;
}

static void tsan_fini(gust__ctx *ctx)
{
    if (fiber_pool.count == FIBER_POOL_MAX || ctx->tsan_uses >= FIBER_USES_MAX) {
        __tsan_destroy_fiber(ctx->tsan_fiber);
    } else {
        fiber_pool.slot[fiber_pool.count].fiber = ctx->tsan_fiber;
        fiber_pool.slot[fiber_pool.count++].uses = ctx->tsan_uses;
    }
    ctx->tsan_fiber = NULL;
}

static void tsan_fini_thread(void)
{
    while (fiber_pool.count > 0)
        __tsan_destroy_fiber(fiber_pool.slot[--fiber_pool.count].fiber);
}
#endif

/* --- Contexts -------------------------------------------------------------- */

void gust__ctx_init_thread(gust__ctx *ctx)
{
    memset(ctx, 0, sizeof *ctx);
#ifdef GUST__ASAN
    asan_init_thread(ctx);
#endif
#ifdef GUST__TSAN
    ctx->tsan_fiber = __tsan_get_current_fiber();
#endif
}

void gust__ctx_fini_thread(gust__ctx *ctx)
{
#ifdef GUST__TSAN
    tsan_fini_thread();
#endif
    memset(ctx, 0, sizeof *ctx);
}

void gust__ctx_init(gust__ctx *ctx, void *low, size_t size, void (*entry)(void *arg), void *arg)
{
    memset(ctx, 0, sizeof *ctx);
#ifdef GUST__ASAN
    asan_init(ctx, low, size);
#endif
#ifdef GUST__TSAN
    tsan_init(ctx);
#endif
    ctx->sp = first_frame(low, size, entry, arg);
}

void gust__ctx_fini(gust__ctx *ctx)
{
#ifdef GUST__TSAN
    tsan_fini(ctx);
#endif
    ctx->sp = NULL;
}

#if defined(GUST__ASAN) || defined(GUST__TSAN)
GUST__NO_TSAN void gust__ctx_switch(gust__ctx *from, gust__ctx *to, int from_ends)
{
#ifdef GUST__ASAN
    asan_leave(from, to, from_ends);
#endif
    (void)from_ends;
#ifdef GUST__TSAN
    /* Flag 0: what `from` did happens before what `to` does next, as it is for
     * code that shares a thread. */
    __tsan_switch_to_fiber(to->tsan_fiber, 0);
#endif
    gust__ctx_swap(&from->sp, gust__ctx_take_sp(to));
#ifdef GUST__ASAN
    asan_arrive(from->asan_fake_stack);
#endif
}

GUST__NO_TSAN void gust__ctx_entered(void)
{
#ifdef GUST__ASAN
    asan_arrive(NULL);
#endif
}
#endif
