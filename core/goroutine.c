/* Goroutines: their records, how they start and how they end.
 *
 * Records come from slabs that live until the runtime stops, so a G pointer
 * never dangles: a free one waits on a P's list or the global one.  A goroutine
 * that has not run yet is a record and nothing more; execute() attaches a stack
 * when it first runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/proc.h"

#define SLAB_GS 64
#define GFREE_MAX 64 /* a P with more gives half to the global list */
#define GOID_BATCH 16

typedef struct slab {
    struct slab *next;
    G gs[SLAB_GS];
} slab;

static struct {
    gust__lock lock; /* RANK_ALL_G */
    slab *slabs;
    G *gfree;
} all_g;

static void gfree_push(G **list, G *g)
{
    g->link = *list;
    *list = g;
}

static G *gfree_pop(G **list)
{
    G *g = *list;
    if (g)
        *list = g->link;
    return g;
}

static int gfree_refill(P *p)
{
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    while (p->gfree_count < GFREE_MAX / 2 && all_g.gfree) {
        gfree_push(&p->gfree, gfree_pop(&all_g.gfree));
        p->gfree_count++;
    }
    gust__lock_drop(&all_g.lock);
    if (p->gfree)
        return 0;
    slab *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    for (int i = SLAB_GS - 1; i >= 0; i--)
        gfree_push(&p->gfree, &s->gs[i]);
    p->gfree_count += SLAB_GS;
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    s->next = all_g.slabs;
    all_g.slabs = s;
    gust__lock_drop(&all_g.lock);
    return 0;
}

static void gfree_spill(P *p)
{
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    while (p->gfree_count > GFREE_MAX / 2) {
        gfree_push(&all_g.gfree, gfree_pop(&p->gfree));
        p->gfree_count--;
    }
    gust__lock_drop(&all_g.lock);
}

static uint64_t goid_next(P *p)
{
    if (p->goid_next == p->goid_end) {
        p->goid_next = atomic_fetch_add_explicit(&sched.goid, GOID_BATCH, memory_order_relaxed) + 1;
        p->goid_end = p->goid_next + GOID_BATCH;
    }
    return p->goid_next++;
}

G *gust__g_new(P *p, const gust__spawn *how)
{
    if (!p->gfree && gfree_refill(p) < 0)
        return NULL;
    G *g = gfree_pop(&p->gfree);
    p->gfree_count--;
    g->id = goid_next(p);
    g->fn = how->fn;
    g->arg = how->arg;
    g->name = how->name;
    g->spawn_pc = how->spawn_pc;
    g->stack_size = how->stack_size;
    g->system = how->system;
    g->wait = WAIT_NONE;
    atomic_store_explicit(&g->select_done, 0, memory_order_relaxed);
    atomic_store_explicit(&g->state, G_WAITING_START, memory_order_relaxed);
    if (!g->system)
        gust__count(&p->spawned);
    return g;
}

int gust__go(const gust__spawn *how)
{
    P *p = gust__m()->p;
    G *g = gust__g_new(p, how);
    if (!g)
        return -ENOMEM;
    gust__runq_ready(p, g, true);
    /* The spawner goes on running, so the new goroutine is surplus work. */
    gust__wakep_spawn();
    return 0;
}

int gust_go(void (*fn)(void *arg), void *arg)
{
    return gust__go(&(gust__spawn){.fn = fn, .arg = arg, .spawn_pc = __builtin_return_address(0)});
}

int gust_go_with(const gust_go_options *options, void (*fn)(void *arg), void *arg)
{
    size_t size = options->stack_size;
    if (size && (size < GUST__STACK_SIZE_MIN || size > GUST__STACK_SIZE_MAX))
        return -EINVAL;
    return gust__go(&(gust__spawn){.fn = fn,
                                   .arg = arg,
                                   .name = options->name,
                                   .stack_size = size,
                                   .spawn_pc = __builtin_return_address(0)});
}

/* The bottom frame of every goroutine. */
static void g_main(void *arg)
{
    G *g = arg;
    gust__ctx_entered();
    g->fn(g->arg);
    gust_goexit();
}

int gust__g_attach(P *p, G *g)
{
    int err = gust__stack_get(&p->stacks, g->stack_size, &g->stack);
    if (err < 0)
        return err;
    gust__ctx_init(&g->ctx, g->stack.low, g->stack.size, g_main, g);
    return 0;
}

/* On g0, after the goroutine has left its stack for good. */
static bool exit_commit(G *g, void *arg)
{
    (void)arg;
    P *p = gust__m()->p;
    if (!g->system)
        gust__count(&p->exited);
    gust__ctx_fini(&g->ctx);
    gust__stack_put(&p->stacks, g->stack);
    g->stack = (gust__stack){0};
    atomic_store_explicit(&g->state, G_DEAD, memory_order_relaxed);
    gfree_push(&p->gfree, g);
    if (++p->gfree_count > GFREE_MAX)
        gfree_spill(p);
    return true;
}

_Noreturn void gust_goexit(void)
{
    gust__to_g0(exit_commit, NULL, true);
    gust__fatal("a dead goroutine ran");
}

size_t gust_num_goroutines(void)
{
    uint64_t exited = 0, spawned = 0;
    /* Ends are summed first: the result may count one that has just ended, but
     * is never negative. */
    for (int i = 0; i < sched.nprocs; i++)
        exited += atomic_load_explicit(&sched.allp[i].exited, memory_order_acquire);
    for (int i = 0; i < sched.nprocs; i++)
        spawned += atomic_load_explicit(&sched.allp[i].spawned, memory_order_relaxed);
    return spawned > exited ? spawned - exited : 0;
}

/* What an abandoned goroutine held. */
static void g_abandon(G *g, gust__stack_cache *stacks)
{
    gust__ctx_fini(&g->ctx);
    if (g->stack_size) /* mapped for it alone, maybe: the arena would not unmap it */
        gust__stack_put(stacks, g->stack);
}

void gust__g_teardown(void)
{
    gust__stack_cache stacks = {0};
    for (slab *s = all_g.slabs; s;) {
        slab *next = s->next;
        for (int i = 0; i < SLAB_GS; i++)
            if (s->gs[i].stack.low)
                g_abandon(&s->gs[i], &stacks);
        free(s);
        s = next;
    }
    gust__stack_cache_drain(&stacks);
    all_g.slabs = NULL;
    all_g.gfree = NULL;
}
