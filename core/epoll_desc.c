/* Descriptors as epoll sees them: where their records come from, and how events are
 * kept in them until somebody reaps.  The rules are in core/netpoll_epoll.h. */
#include "core/netpoll_epoll.h"

#include <stdlib.h>

#include "core/inject.h"

#define DESCS_PER_BLOCK 64
#define GENERATION_BITS 16

struct block {
    struct block *next;
    gust__desc descs[DESCS_PER_BLOCK];
};

static struct {
    gust__lock lock; /* RANK_POLLER */
    gust__desc *free_list;
    struct block *blocks; /* all there are */
} pool;

/* Under pool.lock. */
static void pool_grow(void)
{
    struct block *block = gust__calloc(1, sizeof *block);
    if (!block)
        return;
    block->next = pool.blocks;
    pool.blocks = block;
    for (int i = 0; i < DESCS_PER_BLOCK; i++) {
        block->descs[i].next = pool.free_list;
        pool.free_list = &block->descs[i];
    }
}

gust__desc *gust__desc_new(int fd)
{
    gust__lock_take(&pool.lock, RANK_POLLER);
    if (!pool.free_list)
        pool_grow();
    gust__desc *d = pool.free_list;
    if (d)
        pool.free_list = d->next;
    gust__lock_drop(&pool.lock);
    if (!d)
        return NULL;
    /* Somebody may just find out that an event for the last use is late. */
    gust__lock_take(&d->lock, RANK_FD);
    d->fd = fd;
    gust__lock_drop(&d->lock);
    return d;
}

static void pool_put(gust__desc *d)
{
    gust__lock_take(&pool.lock, RANK_POLLER);
    d->next = pool.free_list;
    pool.free_list = d;
    gust__lock_drop(&pool.lock);
}

/* If it is on a poller's list it stays there, without events and a descriptor, and is
 * free once it is taken from there. */
void gust__desc_free(gust__desc *d)
{
    gust__lock_take(&d->lock, RANK_FD);
    d->generation++;
    d->fd = -1;
    d->hung_up = false;
    d->ready = 0;
    d->events = 0;
    d->home = NULL;
    bool queued = d->queued;
    gust__lock_drop(&d->lock);
    if (!queued)
        pool_put(d);
}

static void forget_home(gust__desc *d, const gust__epoll *p)
{
    if (d->home != p)
        return;
    d->home = NULL;
    for (int dir = 0; dir < DIR_COUNT; dir++)
        d->op[dir] = NULL;
}

void gust__desc_forget_home(gust__epoll *p)
{
    gust__desc *d;
    while (gust__desc_take(p, &d, 1))
        if (gust__desc_begin(d))
            gust__lock_drop(&d->lock);
    for (struct block *b = pool.blocks; b; b = b->next)
        for (int i = 0; i < DESCS_PER_BLOCK; i++)
            forget_home(&b->descs[i], p);
}

/* User addresses have 48 bits at most unless a program asks for more. */
uint64_t gust__desc_tag(const gust__desc *d)
{
    return (uint64_t)(uintptr_t)d << GENERATION_BITS | d->generation;
}

gust__desc *gust__desc_of_tag(uint64_t tag)
{
    return (gust__desc *)(uintptr_t)(tag >> GENERATION_BITS);
}

void gust__desc_report(uint64_t tag, uint32_t events, gust__desc_list *list)
{
    gust__desc *d = gust__desc_of_tag(tag);
    gust__lock_take(&d->lock, RANK_FD);
    if (gust__desc_tag(d) == tag) {
        d->events |= (uint16_t)events; /* EPOLLET and the like are never reported */
        if (!d->queued) {
            d->queued = true;
            d->next = NULL;
            *list->end = d;
            list->end = &d->next;
        }
    }
    gust__lock_drop(&d->lock);
}

void gust__desc_list_add(gust__epoll *p, gust__desc_list *list)
{
    if (!list->first)
        return;
    gust__lock_take(&p->base.lock, RANK_POLLER);
    *list->end = atomic_load_explicit(&p->reported, memory_order_relaxed);
    atomic_store_explicit(&p->reported, list->first, memory_order_relaxed);
    gust__lock_drop(&p->base.lock);
}

int gust__desc_take(gust__epoll *p, gust__desc **ret_descs, int max)
{
    int n = 0;
    if (!atomic_load_explicit(&p->reported, memory_order_relaxed))
        return 0;
    gust__lock_take(&p->base.lock, RANK_POLLER);
    gust__desc *d = atomic_load_explicit(&p->reported, memory_order_relaxed);
    for (; d && n < max; d = d->next)
        ret_descs[n++] = d;
    atomic_store_explicit(&p->reported, d, memory_order_relaxed);
    gust__lock_drop(&p->base.lock);
    return n;
}

bool gust__desc_begin(gust__desc *d)
{
    gust__lock_take(&d->lock, RANK_FD);
    d->queued = false;
    if (d->fd >= 0)
        return true;
    gust__lock_drop(&d->lock);
    pool_put(d);
    return false;
}
