/* Waits without a goroutine; the rules are in core/parked.h. */
#include "core/parked.h"

#include <errno.h>
#include <stdlib.h>

#include "core/context.h"
#include "core/inject.h"
#include "core/netpoll_backend.h"
#include "core/proc.h"

/* Most goroutines have no context: for those that have, this is on the heap. */
struct gust__parked_in {
    gust__context_wait wait;
    gust_context *context; /* counted */
    bool over;
};

static void in_free(struct gust__parked_in *in)
{
    if (in) {
        gust_context_unref(in->context);
        free(in);
    }
}

/* After this nobody cancels the operation any more.  May be called again. */
static void end_wait(gust__parked *p)
{
    struct gust__parked_in *in = p->in;
    if (p->deadline)
        gust__deadline_end(p->deadline);
    if (in && !in->over)
        gust__context_wait_end(in->context, &in->wait);
    if (in)
        in->over = true;
}

/* On g0.  Behind the others that the same reap makes ready. */
static void done(gust__op *op)
{
    gust__parked *p = (gust__parked *)((char *)op - offsetof(gust__parked, op));
    P *here = gust__m()->p;
    end_wait(p);
    G *g = gust__g_new(here, &(gust__spawn){.fn = p->main,
                                            .arg = p,
                                            .name = p->name,
                                            .context = p->in ? p->in->context : NULL,
                                            .stack_size = p->stack_size,
                                            .spawn_pc = p->spawn_pc});
    if (!g) {
        gust__poller_finish_later(gust__poller_current(), op); /* the next reap tries again */
        return;
    }
    in_free(p->in); /* never the last reference, which would call the user: g has one */
    gust__runq_ready(here, g, false);
    if (gust__runq_len(&here->runq) > 1)
        gust__wakep();
}

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
    if (gust__context_wait_begin(context, &p->in->wait, NULL, 0))
        return 0;
    in_free(p->in);
    return -ECANCELED;
}

int gust__parked_start(gust__parked *p, gust__deadline *d, gust_time deadline, const void *spawn_pc)
{
    G *g = gust__g();
    int error = in_new(p, g->context);
    if (error)
        return error;
    p->op.done = done;
    p->deadline = d;
    p->name = g->name;
    p->stack_size = g->stack_size;
    p->spawn_pc = spawn_pc;
    if (d)
        gust__deadline_begin(d, &p->op, deadline);
    gust__op_start(&p->op);
    return 0;
}
