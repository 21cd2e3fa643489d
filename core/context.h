/* Contexts as waits see them: how a wait is registered, so that a cancellation
 * ends it.
 *
 * A goroutine that is about to wait under a context links a node on its stack into
 * the context.  Who cancels the context takes the node out and, for
 *   - a wait with an operation: asks for the operation back (gust__op_cancel);
 *   - any other: tries to win the goroutine's claim word, and makes it ready.
 * Always: a node is linked and unlinked under its context's lock, and before its
 * frame dies the goroutine calls gust__context_wait_end, which takes that lock.  So
 * whoever holds the lock may use every node, and the operations they name. */
#ifndef GUST_CORE_CONTEXT_H
#define GUST_CORE_CONTEXT_H

#include <gust/context.h>
#include <stdatomic.h>
#include <sys/queue.h>

#include "core/lock.h"
#include "core/netpoll.h"
#include "core/timers.h"

typedef struct gust__context_wait {
    TAILQ_ENTRY(gust__context_wait) link;
    G *g;          /* who waits */
    gust__op *op;  /* what for; NULL: for its claim word to be won */
    bool linked;   /* under the context's lock, as the link */
    bool canceled; /* the cancellation came first: it asked for op back, or won g */
} gust__context_wait;

struct gust_context {
    _Atomic uint32_t refs;
    _Atomic int error; /* 0 until it is cancelled; written once, under lock */
    int cause;         /* published by error */
    gust__lock lock;   /* RANK_CONTEXT: the lists, and the links of what is in them */
    TAILQ_HEAD(, gust__context_wait) waits;
    LIST_HEAD(, gust_context) children; /* each holds a reference to this one */
    LIST_ENTRY(gust_context) sibling;   /* under the parent's lock while `linked` */
    bool linked;                        /* the same: in the parent's list */
    gust_context *next_canceled;        /* of the cancellation that took it off the parent */
    gust_context *parent;               /* const from here on, as what the pointers name */
    gust_chan *done;
    gust_time deadline;
    gust__timer timer;
    const void *key; /* NULL: no value */
    void *value;
    void (*free_fn)(void *value);
};

static inline bool gust__context_canceled(const gust_context *c)
{
    /* Relaxed: what the canceller did before is not looked at. */
    return atomic_load_explicit(&c->error, memory_order_relaxed) != 0;
}

/* Links w, of which g or op is set, and then arms `timer`, unless that is NULL,
 * under the same lock: neither can end the wait before both are there.  False if c
 * is cancelled: nothing was done.  Takes RANK_CONTEXT and what gust__timer_set
 * takes.  From an M with a P, g0 too; c must stay valid until wait_end. */
bool gust__context_wait_begin(gust_context *c, gust__context_wait *w, gust__timer *timer,
                              gust_time when);

/* After the wait.  Then w's memory is the caller's; w->canceled is final. */
void gust__context_wait_end(gust_context *c, gust__context_wait *w);

/* Drops the reference of a goroutine that the end of the runtime abandons.  No
 * thread of the runtime is left, and no timer heap. */
void gust__context_abandon(gust_context *c);

#endif
