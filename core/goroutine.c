/* Goroutines: their records, how they start and how they end.
 *
 * Records come from slabs that live until the runtime stops, so a G pointer
 * never dangles: a free one waits on a P's list or the global one.  A goroutine
 * that has not run yet is a record and nothing more; execute() attaches a stack
 * when it first runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "core/panic.h"
#include "core/proc.h"

#define GFREE_MAX 256 /* a P with more gives half to the global list */
#define GFREE_BATCH (GFREE_MAX / 2)
#define GOID_BATCH 16

_Atomic(gust__slab *) gust__slabs;

static struct {
    gust__lock lock; /* RANK_ALL_G: gfree, and adding slabs */
    G *gfree;
} all_g;

static void slab_publish(gust__slab *s)
{
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    s->next = atomic_load_explicit(&gust__slabs, memory_order_relaxed);
    /* Release: pairs with the acquire of reports, which take no lock. */
    atomic_store_explicit(&gust__slabs, s, memory_order_release);
    gust__lock_drop(&all_g.lock);
}

static void gfree_push(P *p, G *g)
{
    g->link = p->gfree;
    g->ahead = NULL;
    p->gfree = g;
    p->gfree_count++;
}

/* Its list must not be empty. */
static G *gfree_pop(P *p)
{
    G *g = p->gfree;
    gust__g_look_ahead(g);
    p->gfree = g->link;
    p->gfree_count--;
    return g;
}

static void gfree_take(P *p)
{
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    for (G *g; p->gfree_count < GFREE_BATCH && (g = all_g.gfree);) {
        gust__g_look_ahead(g);
        all_g.gfree = g->link;
        gfree_push(p, g);
    }
    gust__lock_drop(&all_g.lock);
}

static int gfree_refill(P *p)
{
    gfree_take(p);
    if (p->gfree)
        return 0;
    gust__slab *s = gust__calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    for (int i = GUST__SLAB_GS - 1; i >= 0; i--)
        gfree_push(p, &s->gs[i]);
    slab_publish(s);
    return 0;
}

/* The list of all is long after a burst: who takes from it is told ahead. */
static void gfree_spill(P *p)
{
    G *batch[GFREE_BATCH];
    for (uint32_t i = 0; i < GFREE_BATCH; i++)
        batch[i] = gfree_pop(p);
    gust__g_chain(batch, GFREE_BATCH);
    gust__lock_take(&all_g.lock, RANK_ALL_G);
    batch[GFREE_BATCH - 1]->link = all_g.gfree;
    all_g.gfree = batch[0];
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
    G *g = gfree_pop(p);
    g->id = goid_next(p);
    g->fn = how->fn;
    g->arg = how->arg;
    g->name = how->name;
    g->spawn_pc = how->spawn_pc;
    g->stack_size = how->stack_size;
    g->system = how->system;
    g->generation = atomic_load_explicit(&sched.generation, memory_order_relaxed);
    g->context = how->context ? gust_context_ref(how->context) : NULL;
    g->wait = WAIT_NONE;
    g->depth = 1;
    atomic_store_explicit(&g->select_done, 0, memory_order_relaxed);
    /* Release: pairs with the acquire in gust__g_look; the record is complete. */
    atomic_store_explicit(&g->state, G_WAITING_START, memory_order_release);
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
    GUST__CALL();
    return gust__go(&(gust__spawn){.fn = fn,
                                   .arg = arg,
                                   .context = gust__m()->curg->context,
                                   .spawn_pc = __builtin_return_address(0)});
}

int gust_go_with(const gust_go_options *options, void (*fn)(void *arg), void *arg)
{
    GUST__CALL();
    size_t size = options->stack_size;
    gust_context *own = gust__m()->curg->context;
    if (size && (size < GUST__STACK_SIZE_MIN || size > GUST__STACK_SIZE_MAX))
        return -EINVAL;
    return gust__go(&(gust__spawn){.fn = fn,
                                   .arg = arg,
                                   .name = options->name,
                                   .stack_size = size,
                                   .context = options->context ? options->context : own,
                                   .spawn_pc = __builtin_return_address(0)});
}

static bool exit_commit(G *g, void *arg);

/* In user code: what is deferred is the user's. */
_Noreturn static void g_end(G *g)
{
    gust__unwind_all(g);
    /* From here on it is not left half-way: once it is off the goroutine, nobody but
     * this frame knows of the reference.  What frees a context's value may run in a
     * call (gust/context.h). */
    GUST__CALL();
    if (g->context)
        gust_context_unref(gust_context_swap(NULL));
    gust__to_g0(exit_commit, NULL, true);
    gust__fatal("a dead goroutine ran");
}

/* The bottom frame of every goroutine. */
static void g_main(void *arg)
{
    G *g = arg;
    gust__ctx_entered();
    gust__call_end(NULL); /* of the call that execute() began for it */
    g->fn(g->arg);
    g_end(g);
}

int gust__g_attach(P *p, G *g)
{
    int err = gust__stack_get(&p->stacks, g->stack_size, &g->stack);
    if (err < 0)
        return err;
    gust__ctx_init(&g->ctx, g->stack.low, g->stack.size, g_main, g);
    return 0;
}

/* Commit, on g0: after the goroutine has left its stack for good. */
static bool exit_commit(G *g, void *arg)
{
    (void)arg;
    P *p = gust__m()->p;
    if (!g->system)
        gust__count(&p->exited);
    gust__locked_exit(g);
    gust__ctx_fini(&g->ctx);
    gust__stack_put(&p->stacks, g->stack);
    g->stack = (gust__stack){0};
    gust__starved_next(p);
    atomic_store_explicit(&g->state, G_DEAD, memory_order_relaxed);
    gfree_push(p, g);
    if (p->gfree_count > GFREE_MAX)
        gfree_spill(p);
    return true;
}

_Noreturn void gust_goexit(void)
{
    {
        GUST__CALL(); /* panics where there is no goroutine, or no call allowed */
    }
    g_end(gust__g());
}

size_t gust_num_goroutines(void)
{
    uint64_t exited = 0, spawned = 0;
    /* Ends are summed first, and seen with all that came before them: the result may
     * count one that has just ended, but is never negative. */
    for (int i = 0; i < sched.nprocs; i++)
        exited += atomic_load_explicit(&sched.allp[i].exited, memory_order_acquire);
    for (int i = 0; i < sched.nprocs; i++)
        spawned += atomic_load_explicit(&sched.allp[i].spawned, memory_order_relaxed);
    return spawned > exited ? spawned - exited : 0;
}

/* What an abandoned goroutine held. */
static void g_abandon(G *g, gust__stack_cache *stacks)
{
    gust__unwind_drop(g);
    gust__context_abandon(g->context);
    if (!g->stack.low)
        return;
    gust__ctx_fini(&g->ctx);
    if (g->stack_size) /* mapped for it alone, maybe: the arena would not unmap it */
        gust__stack_put(stacks, g->stack);
}

void gust__g_teardown(void)
{
    gust__stack_cache stacks = {0};
    gust__slab *s = atomic_exchange_explicit(&gust__slabs, NULL, memory_order_relaxed);
    while (s) {
        gust__slab *next = s->next;
        for (int i = 0; i < GUST__SLAB_GS; i++)
            g_abandon(&s->gs[i], &stacks);
        free(s);
        s = next;
    }
    gust__stack_cache_drain(&stacks);
    all_g.gfree = NULL;
}
