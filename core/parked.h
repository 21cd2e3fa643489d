/* A wait that needs no goroutine: when its operation is complete, one starts.
 *
 * What a parked goroutine would cost (a page of stack and its record) becomes a
 * record in the user's own memory, e.g. of a connection that is idle between two
 * requests.  The goroutine that starts has the name, the stack size, the context and
 * the origin that gust__parked_start is given, as if it had waited itself:
 *
 *   start --gust__op_start--> waiting --terminal completion--> `main` runs, on a goroutine
 *                                \-- the context, or whoever may, asks for the
 *                                    operation back: then op.res is -ECANCELED  */
#ifndef GUST_CORE_PARKED_H
#define GUST_CORE_PARKED_H

#include <gust/context.h>
#include <sys/queue.h>

#include "core/netpoll.h"

typedef struct gust__parked gust__parked;

/* Waits that have a context, by the P on which they began. */
typedef struct gust__parked_list {
    gust__lock lock; /* RANK_PARKED */
    LIST_HEAD(, gust__parked_in) all;
} gust__parked_list;

struct gust__parked {
    gust__op op; /* the request is the caller's to set, but for `done` */
    void (*main)(void *parked);
    struct gust__parked_in *in; /* where its context knows of it; NULL: no context */
    const char *name;           /* of the goroutine */
    const void *spawn_pc;
    uint32_t stack_size;
    uint32_t note; /* the caller's */
};

/* Starts p->op under the calling goroutine's context.  Once that is complete, p->main(p)
 * runs in a new goroutine, which may start before this call returns: p is out of the
 * caller's hands then.  A deadline is the caller's to begin before, and p->main's to
 * end: until then the operation may be asked back, though that does nothing any more.
 * If the memory for the goroutine is short at that time, it starts when there is some.
 * Errors: -ENOMEM, -ECANCELED if the context is cancelled; nothing was done.
 * From a goroutine. */
int gust__parked_start(gust__parked *p, const void *spawn_pc);

/* Drops what the waits on `list` hold of their contexts, as gust__context_abandon, when
 * nothing runs any more. */
void gust__parked_abandon(gust__parked_list *list);

#endif
