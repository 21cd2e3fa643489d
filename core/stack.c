/* The stack arena.
 *
 * Address space is mapped in chunks and cut into slots of one size; a slot is
 * never given back before teardown, only the pages in it.  Chunks are asked for
 * next to each other and have equal flags, so that the kernel merges them into
 * one VMA (max_map_count is 65530 by default; a VMA per stack would not do).
 *
 *   slot:  | guard page | usable stack ................. | next slot
 *          ^ slot       ^ low                            ^ low + size
 *
 * Invariants:
 *   - a stack is in exactly one place: in use, in one P's cache, free (stack_free.h);
 *   - the guard of a slot is installed once, when the slot is cut, and stays. */
#include "core/stack.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/ctx.h"
#include "core/inject.h"
#include "core/lock.h"
#include "core/sched.h"
#include "core/stack_free.h"

/* Linux 6.13, asm-generic/mman-common.h. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

#define CHUNK_SIZE ((size_t)64 << 20)
#define CACHE_BATCH (GUST__STACK_CACHE_MAX / 2)

/* A mapping of the arena. */
typedef struct chunk {
    struct chunk *next;
    char *base;
    size_t size;
} chunk;

static struct {
    size_t page, slot; /* set by gust__stack_setup */
    gust__lock lock;   /* RANK_STACKS: the next three */
    char *fresh;       /* the slots of the newest chunk that were never used: */
    char *fresh_end;   /* [fresh, fresh_end) */
    chunk *chunks;
    /* gust__guard_mode, never AUTO once set up; moves down by guard_give_up. */
    _Atomic int guard;
    _Atomic long mprotects; /* guards made by mprotect: each costs two VMAs */
    long mprotects_max;
} arena;

static size_t usable_size(void)
{
    return arena.slot - arena.page;
}

static size_t round_up(size_t size, size_t unit)
{
    return (size + unit - 1) / unit * unit;
}

/* --- Guards ---------------------------------------------------------------- */

/* From `mode` to the next one down, once, whoever of several Ms finds out. */
static void guard_give_up(int mode, int error)
{
    int next = mode == GUST__GUARD_MADVISE ? GUST__GUARD_MPROTECT : GUST__GUARD_NONE;

    if (atomic_compare_exchange_strong_explicit(&arena.guard, &mode, next, memory_order_relaxed,
                                                memory_order_relaxed) &&
        next == GUST__GUARD_NONE)
        gust__log("new stacks have no guard page: %s; an overflow will corrupt memory "
                  "(fewer goroutines, or a larger vm.max_map_count, avoids this)",
                  error ? strerrordesc_np(error) : "memory mappings are running short");
}

/* Mappings are needed elsewhere too (malloc, thread stacks), so guards stop
 * before the kernel's limit is reached. */
static bool mprotect_budget_take(void)
{
    return atomic_fetch_add_explicit(&arena.mprotects, 1, memory_order_relaxed) <
           arena.mprotects_max;
}

/* True if the page cannot be read.  rt_sigprocmask copies the set in before it
 * refuses the invalid first argument, so it is EFAULT or EINVAL and no more. */
static bool page_faults(const char *page)
{
    return syscall(SYS_rt_sigprocmask, ~0, page, NULL, 8) < 0 && errno == EFAULT;
}

/* Makes the page at `page` fault on access, by the best way that still works.
 * Without a guard the stack is as usable as with one. */
static void guard_install(char *page)
{
    int mode = atomic_load_explicit(&arena.guard, memory_order_relaxed);

    if (mode == GUST__GUARD_MADVISE) {
        /* Emulated kernels (qemu-user) answer 0 to advice they do not know. */
        if (madvise(page, arena.page, MADV_GUARD_INSTALL) == 0 && page_faults(page))
            return;
        guard_give_up(mode, errno);
        mode = GUST__GUARD_MPROTECT;
    }
    if (mode == GUST__GUARD_MPROTECT) {
        if (!mprotect_budget_take())
            guard_give_up(mode, 0);
        else if (mprotect(page, arena.page, PROT_NONE) < 0)
            guard_give_up(mode, errno);
    }
}

/* --- Mappings -------------------------------------------------------------- */

/* Stack memory, if possible at `hint`.  Huge pages would commit 2 MiB for the
 * first byte of a stack; EINVAL (a kernel without them) is as good. */
static char *map_stacks(char *hint, size_t size)
{
    char *base = gust__mmap(hint, size, MAP_NORESERVE);

    if (base == MAP_FAILED)
        return NULL;
    madvise(base, size, MADV_NOHUGEPAGE);
    return base;
}

static void unmap_stacks(char *base, size_t size)
{
    gust__asan_forget(base, size);
    munmap(base, size);
}

/* Adds a chunk to cut slots from.  Called under arena.lock. */
static int arena_grow_locked(void)
{
    size_t size = round_up(CHUNK_SIZE, arena.slot);
    char *hint = arena.chunks ? arena.chunks->base - size : NULL;
    chunk *c = gust__malloc(sizeof *c);

    if (!c)
        return -ENOMEM;
    c->base = map_stacks(hint, size);
    if (!c->base) {
        free(c);
        return -ENOMEM;
    }
    c->size = size;
    c->next = arena.chunks;
    arena.chunks = c;
    arena.fresh = c->base;
    arena.fresh_end = c->base + size;
    return 0;
}

/* Cuts a slot that was never used.  The guard is made outside of the lock: it
 * is a system call. */
static int slot_cut(char **ret_low)
{
    char *slot;
    int err = 0;

    gust__lock_take(&arena.lock, RANK_STACKS);
    if (arena.fresh == arena.fresh_end)
        err = arena_grow_locked();
    slot = arena.fresh;
    if (err == 0)
        arena.fresh += arena.slot;
    gust__lock_drop(&arena.lock);
    if (err < 0)
        return err;
    guard_install(slot);
    *ret_low = slot + arena.page;
    return 0;
}

/* --- Stacks of another size: mapped when needed, unmapped when put ---------- */

static int lone_get(size_t size, gust__stack *ret_stack)
{
    char *base = map_stacks(NULL, size);

    if (!base)
        return -ENOMEM;
    guard_install(base);
    *ret_stack = (gust__stack){base + arena.page, size - arena.page};
    return 0;
}

/* The guard's VMAs end with the mapping.  The budget may be wrong by the few
 * stacks that were got before the guard mode changed. */
static void lone_put(gust__stack stack)
{
    unmap_stacks(stack.low - arena.page, stack.size + arena.page);
    if (atomic_load_explicit(&arena.guard, memory_order_relaxed) == GUST__GUARD_MPROTECT)
        atomic_fetch_sub_explicit(&arena.mprotects, 1, memory_order_relaxed);
}

/* --- Free stacks ----------------------------------------------------------- */

/* The coldest `n` stacks of the cache become anybody's. */
static void cache_spill(gust__stack_cache *cache, unsigned n)
{
    gust__stack_free_put(cache->low, n);
    cache->count -= n;
    memmove(cache->low, cache->low + n, cache->count * sizeof cache->low[0]);
}

int gust__stack_get(gust__stack_cache *cache, size_t size, gust__stack *ret_stack)
{
    char *low;
    int err;

    size = size ? round_up(size, arena.page) : arena.slot;
    if (size != arena.slot)
        return lone_get(size, ret_stack);
    if (cache->count == 0)
        cache->count = gust__stack_free_take(cache->low, CACHE_BATCH);
    if (cache->count > 0) {
        low = cache->low[--cache->count];
    } else {
        err = slot_cut(&low);
        if (err < 0)
            return err;
    }
    *ret_stack = (gust__stack){low, usable_size()};
    return 0;
}

void gust__stack_put(gust__stack_cache *cache, gust__stack stack)
{
    if (!stack.low)
        return;
    if (stack.size != usable_size()) {
        lone_put(stack);
        return;
    }
    if (cache->count == GUST__STACK_CACHE_MAX)
        cache_spill(cache, CACHE_BATCH);
    cache->low[cache->count++] = stack.low;
}

void gust__stack_cache_drain(gust__stack_cache *cache)
{
    if (cache->count > 0)
        cache_spill(cache, cache->count);
}

/* --- Life of the arena ----------------------------------------------------- */

/* Three quarters of the mappings the kernel allows, at two per guard. */
static long mprotects_allowed(void)
{
    long map_count_max = 65530;
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");

    if (f) {
        if (fscanf(f, "%ld", &map_count_max) != 1)
            map_count_max = 65530;
        fclose(f);
    }
    return map_count_max / 8 * 3;
}

void gust__stack_setup(size_t slot_size, gust__guard_mode mode)
{
    arena.page = (size_t)sysconf(_SC_PAGESIZE);
    arena.slot = round_up(slot_size, arena.page);
    if (arena.slot < 2 * arena.page)
        arena.slot = 2 * arena.page;
    gust__stack_free_setup(usable_size(), arena.page);
    arena.mprotects_max = mprotects_allowed();
    atomic_store_explicit(&arena.mprotects, 0, memory_order_relaxed);
    atomic_store_explicit(&arena.guard, mode == GUST__GUARD_AUTO ? GUST__GUARD_MADVISE : (int)mode,
                          memory_order_relaxed);
}

void gust__stack_teardown(void)
{
    chunk *c = arena.chunks;

    while (c) {
        chunk *next = c->next;

        unmap_stacks(c->base, c->size);
        free(c);
        c = next;
    }
    arena.chunks = NULL;
    arena.fresh = arena.fresh_end = NULL;
}

bool gust__stack_in_guard(const char *low, const void *addr)
{
    return low && (const char *)addr < low && (const char *)addr >= low - arena.page;
}

const char *gust__stack_guard_name(void)
{
    switch ((gust__guard_mode)atomic_load_explicit(&arena.guard, memory_order_relaxed)) {
    case GUST__GUARD_AUTO:
    case GUST__GUARD_MADVISE: return "madvise";
    case GUST__GUARD_MPROTECT: return "mprotect";
    case GUST__GUARD_NONE: return "none";
    }
    return "none";
}
