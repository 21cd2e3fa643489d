/* Waits without a goroutine; the rules are in core/parked.h. */
#include "core/parked.h"

#include <errno.h>
#include <stdlib.h>

#include "core/context.h"
#include "core/inject.h"
#include "core/proc.h"

#define RETRY_NS (1 * GUST_MS)

/* Most goroutines have no context: for those that have, this is on the heap.  It is on
 * a list, since the end of a run finds waits that nothing else in core knows of. */
struct gust__parked_in {
    gust__context_wait wait;
    gust_context *context; /* counted */
    gust__parked_list *list;
    LIST_ENTRY(gust__parked_in) link; /* under list->lock */
};

static void in_list(struct gust__parked_in *in, gust__parked_list *list)
{
    in->list = list;
    gust__lock_take(&list->lock, RANK_PARKED);
    LIST_INSERT_HEAD(&list->all, in, link);
    gust__lock_drop(&list->lock);
}

static void in_free(struct gust__parked_in *in)
{
    if (!in)
        return;
    gust__lock_take(&in->list->lock, RANK_PARKED);
    LIST_REMOVE(in, link);
    gust__lock_drop(&in->list->lock);
    gust_context_unref(in->context);
    free(in);
}

void gust__parked_abandon(gust__parked_list *list)
{
    struct gust__parked_in *in;
    while ((in = LIST_FIRST(&list->all))) {
        LIST_REMOVE(in, link);
        gust__context_wait_end(in->context, &in->wait);
        gust__context_abandon(in->context);
        free(in);
    }
}

/* After this no context cancels the operation any more. */
static void end_wait(gust__parked *p)
{
    struct gust__parked_in *in = p->in;
    if (in)
        gust__context_wait_end(in->context, &in->wait);
}

/* --- The goroutine --------------------------------------------------------- */

static gust__parked *parked_of(gust__op *op)
{
    return (gust__parked *)((char *)op - offsetof(gust__parked, op));
}

/* On g0.  Behind the others that the same reap makes ready.  False: no memory. */
static bool start_goroutine(gust__parked *p)
{
    P *here = gust__m()->p;
    G *g = gust__g_new(here, &(gust__spawn){.fn = p->main,
                                            .arg = p,
                                            .name = p->name,
                                            .context = p->in ? p->in->context : NULL,
                                            .stack_size = p->stack_size,
                                            .spawn_pc = p->spawn_pc});
    if (!g)
        return false;
    in_free(p->in); /* never the last reference, which would call the user: g has one */
    gust__runq_ready(here, g, false);
    if (gust__runq_len(&here->runq) > 1)
        gust__wakep();
    return true;
}

/* --- Memory is short ------------------------------------------------------- */

/* Under sched.lock.  First come, first served. */
static void unstarted_push_locked(gust__op *op)
{
    op->next = NULL;
    if (sched.unstarted.first)
        sched.unstarted.last->next = op;
    else
        sched.unstarted.first = op;
    sched.unstarted.last = op;
}

/* NULL: there is none, and so no need for the timer. */
static gust__op *unstarted_pop(void)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    gust__op *op = sched.unstarted.first;
    if (op)
        sched.unstarted.first = op->next;
    else
        sched.unstarted.armed = false;
    gust__lock_drop(&sched.lock);
    return op;
}

static void unstarted_put_back(gust__op *op)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    op->next = sched.unstarted.first;
    if (!op->next)
        sched.unstarted.last = op;
    sched.unstarted.first = op;
    gust__lock_drop(&sched.lock);
}

/* One is refused at each turn, however many wait. */
static void retry_fire(gust__timer *t)
{
    gust__op *op = unstarted_pop();
    while (op && start_goroutine(parked_of(op)))
        op = unstarted_pop();
    if (!op)
        return;
    unstarted_put_back(op);
    gust__timer_set(t, gust_after(RETRY_NS));
}

/* By a timer: nobody tells us when memory comes back. */
static void retry_later(gust__op *op)
{
    gust__lock_take(&sched.lock, RANK_SCHED);
    unstarted_push_locked(op);
    bool arm = !sched.unstarted.armed;
    sched.unstarted.armed = true;
    gust__lock_drop(&sched.lock);
    if (!arm)
        return;
    sched.unstarted.timer.fn = retry_fire;
    gust__timer_set(&sched.unstarted.timer, gust_after(RETRY_NS));
}

/* On g0. */
static void done(gust__op *op)
{
    gust__parked *p = parked_of(op);
    end_wait(p);
    if (!start_goroutine(p))
        retry_later(op);
}

/* --- The wait -------------------------------------------------------------- */

static int in_new(gust__parked *p, gust_context *context)
{
    p->in = NULL;
    if (!context)
        return 0;
    if (gust__context_canceled(context))
        return -ECANCELED;
    if (!(p->in = gust__malloc(sizeof *p->in)))
        return -ENOMEM;
    *p->in = (struct gust__parked_in){.wait = {.op = &p->op}, .context = gust_context_ref(context)};
    in_list(p->in, &gust__m()->p->parked);
    if (gust__context_wait_begin(context, &p->in->wait, NULL, 0))
        return 0;
    in_free(p->in);
    return -ECANCELED;
}

int gust__parked_start(gust__parked *p, const void *spawn_pc)
{
    G *g = gust__g();
    int error = in_new(p, g->context);
    if (error)
        return error;
    p->op.done = done;
    p->name = g->name;
    p->stack_size = (uint32_t)g->stack_size; /* GUST__STACK_SIZE_MAX fits */
    p->spawn_pc = spawn_pc;
    gust__op_start(&p->op);
    return 0;
}
