/* A P's run queue: a ring of 256 with one producer and many consumers, and
 * `runnext` in front of it (Go's runqput, runqget and runqgrab).
 *
 * Always: tail - head <= RUNQ_SIZE, and slots in [head, tail) hold runnable Gs.
 * The owner P pushes at tail; the owner and thieves take from head by CAS (with one
 * P, where there are no thieves, by a plain store).
 * runnext, when set, runs before the ring; thieves may take it last. */
#ifndef GUST_CORE_RUNQ_H
#define GUST_CORE_RUNQ_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/netpoll.h"

#define GUST__RUNQ_SIZE 256u

typedef struct gust__glist {
    G *head, *tail;
    uint32_t count;
} gust__glist;

typedef struct gust__runq {
    alignas(64) _Atomic uint32_t head;
    _Atomic uint32_t tail;
    _Atomic(G *) runnext;
    _Atomic(G *) slots[GUST__RUNQ_SIZE];
} gust__runq;

/* Owner only.  Appends g; if the ring is full, moves half of it and g into
 * *ret_overflow (count != 0 then), for the global queue. */
void gust__runq_push(gust__runq *q, G *g, gust__glist *ret_overflow);

/* Owner only.  The next G, or NULL.  *ret_inherit: it was runnext and goes on in
 * the running time slice. */
G *gust__runq_pop(gust__runq *q, bool *ret_inherit);

/* Owner only.  Makes g the next one; returns what was next before, or NULL. */
G *gust__runq_set_next(gust__runq *q, G *g);

/* Owner of `into`.  Takes half of `from` (and, if with_next and nothing else is
 * there, its runnext); returns one of them to run, the rest is in `into`, which
 * must be empty.  NULL if there was nothing. */
G *gust__runq_steal(gust__runq *into, gust__runq *from, bool with_next);

/* Any thread: was it empty at one moment during the call? */
bool gust__runq_empty(gust__runq *q);

/* Any thread: a snapshot of the length, without runnext. */
static inline uint32_t gust__runq_len(gust__runq *q)
{
    return atomic_load_explicit(&q->tail, memory_order_relaxed) -
           atomic_load_explicit(&q->head, memory_order_relaxed);
}

#endif
