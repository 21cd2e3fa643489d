/* Goroutine stacks: fixed slots of address space that the kernel commits page
 * by page, so they grow without being copied and pointers into them stay valid.
 *
 * A stack is attached when a goroutine first runs and comes back when it ends.
 * Each P keeps a few warm ones (gust__stack_cache, last in first out, owner P
 * only); the rest are free for all, and the memory of what lies unused for
 * a second or two goes back to the kernel (stack_free.h).  Below every stack is a
 * guard: MADV_GUARD_INSTALL where the kernel has it (no VMA each), else mprotect
 * while VMAs last, then none, said once. */
#ifndef GUST_CORE_STACK_H
#define GUST_CORE_STACK_H

#include <stdbool.h>
#include <stddef.h>

#define GUST__STACK_SIZE_DEFAULT ((size_t)256 << 10)
#define GUST__STACK_SIZE_MIN ((size_t)16 << 10)
#define GUST__STACK_SIZE_MAX ((size_t)1 << 30)
#define GUST__STACK_CACHE_MAX 64

typedef enum gust__guard_mode {
    GUST__GUARD_AUTO,
    GUST__GUARD_MADVISE,
    GUST__GUARD_MPROTECT,
    GUST__GUARD_NONE,
} gust__guard_mode;

/* A stack without its guard page: [low, low + size).  low == NULL: none. */
typedef struct gust__stack {
    char *low;
    size_t size;
} gust__stack;

typedef struct gust__stack_cache {
    unsigned count;
    char *low[GUST__STACK_CACHE_MAX]; /* all of the default size */
} gust__stack_cache;

/* Sets the default slot size (guard included, rounded up to pages) and guard
 * mode.  Before the first get of a run. */
void gust__stack_setup(size_t slot_size, gust__guard_mode mode);

/* Takes a stack: the cache, the free ones, a fresh slot, in this order.
 * `size` 0 means the default; other sizes are mapped for the occasion.
 * Returns -ENOMEM if the kernel refuses.  Owner P of the cache only. */
int gust__stack_get(gust__stack_cache *cache, size_t size, gust__stack *ret_stack);
void gust__stack_put(gust__stack_cache *cache, gust__stack stack);

/* Frees a P's warm stacks (at shutdown). */
void gust__stack_cache_drain(gust__stack_cache *cache);

/* Unmaps the arena.  No stack may be in use. */
void gust__stack_teardown(void);

/* True if addr lies in the guard of the stack at `low`.  Signal handler safe. */
bool gust__stack_in_guard(const char *low, const void *addr);

/* "madvise", "mprotect" or "none": what new stacks are guarded with. */
const char *gust__stack_guard_name(void);

#endif
