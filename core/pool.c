/* gust_pool: free objects, kept per P so that the usual get and put touch nothing
 * that another thread wants.
 *
 * Each P has a slot: the item put last, which only a goroutine on that P touches
 * and which costs no atomic, and a stack of older ones under a lock, from which
 * other Ps may take.  A goroutine keeps its P for as long as a call into gust
 * lasts (core/call.h), so `last` needs no more than that.
 *
 * Always: a slot holds at most 1 + older_max items.  A stack without a lock was
 * left out: the owner's pop would need a fence, which costs what the lock does. */
#include <errno.h>
#include <gust/sync.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "core/proc.h"

#define PER_P_DEFAULT 64
#define PER_P_MAX (1u << 20)
#define SLOT_ALIGN 128 /* two cache lines: the prefetcher fetches them in pairs */

typedef struct slot {
    alignas(SLOT_ALIGN) void *last; /* the P's own */
    gust__lock lock;                /* RANK_POOL: older, count */
    _Atomic uint32_t count;         /* also read by thieves, without the lock */
    void **older;                   /* a stack of at most pool->older_max */
} slot;

struct gust_pool {
    gust_pool_options options;
    uint32_t older_max;
    int slots_count;
    slot *slots;
    void **older; /* the memory of all stacks */
};

/* --- The stacks ----------------------------------------------------------- */

static uint32_t count_of(slot *s)
{
    /* Relaxed: a hint without the lock, exact with it. */
    return atomic_load_explicit(&s->count, memory_order_relaxed);
}

static bool push_older(const gust_pool *pool, slot *s, void *item)
{
    uint32_t count;
    gust__lock_take(&s->lock, RANK_POOL);
    count = count_of(s);
    if (count < pool->older_max) {
        s->older[count] = item;
        atomic_store_explicit(&s->count, count + 1, memory_order_relaxed);
    }
    gust__lock_drop(&s->lock);
    return count < pool->older_max;
}

static void *pop_older(slot *s)
{
    void *item = NULL;
    uint32_t count;
    if (count_of(s) == 0)
        return NULL;
    gust__lock_take(&s->lock, RANK_POOL);
    count = count_of(s);
    if (count > 0) {
        item = s->older[count - 1];
        atomic_store_explicit(&s->count, count - 1, memory_order_relaxed);
    }
    gust__lock_drop(&s->lock);
    return item;
}

/* --- Get and put, within one call: on one P -------------------------------- */

static slot *slot_here(const gust_pool *pool)
{
    int id = gust__m()->p->id;
    if (id >= pool->slots_count)
        gust_panic("pool used in another gust_run than it was made in");
    return &pool->slots[id];
}

static void *steal(const gust_pool *pool, const slot *own)
{
    int at = (int)(own - pool->slots);
    void *item = NULL;
    for (int i = 1; i < pool->slots_count && !item; i++)
        item = pop_older(&pool->slots[(at + i) % pool->slots_count]);
    return item;
}

static void *take(const gust_pool *pool)
{
    GUST__CALL();
    slot *s = slot_here(pool);
    void *item = s->last;
    if (item) {
        s->last = NULL;
        return item;
    }
    item = pop_older(s);
    return item ? item : steal(pool, s);
}

/* Returns the item there is no room for, or NULL. */
static void *keep(const gust_pool *pool, void *item)
{
    GUST__CALL();
    slot *s = slot_here(pool);
    void *older = s->last;
    if (older && !push_older(pool, s, older))
        return item;
    s->last = item;
    return NULL;
}

void *gust_pool_get(gust_pool *pool)
{
    void *item = take(pool);
    if (!item && pool->options.make)
        item = pool->options.make(pool->options.arg);
    return item;
}

static void item_free(const gust_pool *pool, void *item)
{
    if (pool->options.free)
        pool->options.free(item, pool->options.arg);
    else
        free(item);
}

void gust_pool_put(gust_pool *pool, void *item)
{
    if (item)
        item = keep(pool, item);
    if (item)
        item_free(pool, item);
}

/* --- Making and freeing ----------------------------------------------------- */

/* The stacks are one piece of memory, of at least a byte each, so that it exists
 * even if they hold nothing. */
static int slots_new(gust_pool *pool)
{
    size_t size = (size_t)pool->slots_count * sizeof *pool->slots;
    size_t older_size = pool->older_max * sizeof *pool->older + 1;
    pool->older = gust__calloc((size_t)pool->slots_count, older_size);
    pool->slots = gust__aligned_alloc(SLOT_ALIGN, size);
    if (!pool->slots || !pool->older) {
        free(pool->slots);
        free(pool->older);
        return -ENOMEM;
    }
    memset(pool->slots, 0, size);
    for (int i = 0; i < pool->slots_count; i++)
        pool->slots[i].older = pool->older + (size_t)i * pool->older_max;
    return 0;
}

int gust_pool_new(const gust_pool_options *options, gust_pool **ret_pool)
{
    GUST__CALL();
    size_t per_p = options->max_per_p ? options->max_per_p : PER_P_DEFAULT;
    gust_pool *pool;
    if (per_p > PER_P_MAX)
        return -EINVAL;
    pool = gust__malloc(sizeof *pool);
    if (!pool)
        return -ENOMEM;
    *pool = (gust_pool){
        .options = *options,
        .older_max = (uint32_t)per_p - 1,
        .slots_count = sched.nprocs,
    };
    if (slots_new(pool) < 0) {
        free(pool);
        return -ENOMEM;
    }
    *ret_pool = pool;
    return 0;
}

void gust_pool_free(gust_pool *pool)
{
    if (!pool)
        return;
    for (int i = 0; i < pool->slots_count; i++) {
        slot *s = &pool->slots[i];
        if (s->last)
            item_free(pool, s->last);
        for (uint32_t k = count_of(s); k > 0; k--)
            item_free(pool, s->older[k - 1]);
    }
    free(pool->older);
    free(pool->slots);
    free(pool);
}
