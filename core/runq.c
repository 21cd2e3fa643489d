/* Run queues; the rules are in core/runq.h. */
#include "core/runq.h"

#include "core/proc.h"

static G *slot_load(gust__runq *q, uint32_t i)
{
    return atomic_load_explicit(&q->slots[i % GUST__RUNQ_SIZE], memory_order_relaxed);
}

static void slot_store(gust__runq *q, uint32_t i, G *g)
{
    atomic_store_explicit(&q->slots[i % GUST__RUNQ_SIZE], g, memory_order_relaxed);
}

/* Takes half of a full ring, and g behind it, into *out.  False if a thief was
 * faster and there is room now. */
static bool spill_half(gust__runq *q, G *g, uint32_t head, gust__glist *out)
{
    G *batch[GUST__RUNQ_SIZE / 2 + 1];
    for (uint32_t i = 0; i < GUST__RUNQ_SIZE / 2; i++)
        batch[i] = slot_load(q, head + i);
    /* Release, as in grab(): the slots have been read before they are free.  The
     * CAS fails if a thief took some of them. */
    if (!atomic_compare_exchange_strong_explicit(&q->head, &head, head + GUST__RUNQ_SIZE / 2,
                                                 memory_order_release, memory_order_relaxed))
        return false;
    batch[GUST__RUNQ_SIZE / 2] = g;
    gust__glist_push_all(out, batch, GUST__RUNQ_SIZE / 2 + 1);
    return true;
}

void gust__runq_push(gust__runq *q, G *g, gust__glist *ret_overflow)
{
    *ret_overflow = (gust__glist){0};
    for (;;) {
        /* Acquire: pairs with the thieves' CAS release; what they took they have
         * read before we overwrite the slot. */
        uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        uint32_t tail = atomic_load_explicit(&q->tail, memory_order_relaxed);
        if (tail - head < GUST__RUNQ_SIZE) {
            slot_store(q, tail, g);
            /* Release: publishes the slot and g to the acquire in grab(). */
            atomic_store_explicit(&q->tail, tail + 1, memory_order_release);
            return;
        }
        if (spill_half(q, g, head, ret_overflow))
            return;
    }
}

G *gust__runq_set_next(gust__runq *q, G *g)
{
    /* Release: publishes g to the acquire in steal_next.  What comes back is a G
     * of our own, or NULL.  Thieves only make it NULL: if it is, it stays so. */
    if (gust__solo || !atomic_load_explicit(&q->runnext, memory_order_relaxed)) {
        G *before = atomic_load_explicit(&q->runnext, memory_order_relaxed);
        atomic_store_explicit(&q->runnext, g, memory_order_release);
        return before;
    }
    return atomic_exchange_explicit(&q->runnext, g, memory_order_release);
}

/* Only thieves change a non-NULL runnext, and only to NULL. */
static bool take_next(gust__runq *q, G *next)
{
    if (!gust__solo)
        return atomic_compare_exchange_strong_explicit(&q->runnext, &next, NULL,
                                                       memory_order_acquire, memory_order_relaxed);
    atomic_store_explicit(&q->runnext, NULL, memory_order_relaxed);
    return true;
}

/* Release: the slot has been read before the owner's next push (us) or a thief's
 * view of head moves on. */
static bool take_head(gust__runq *q, uint32_t *head)
{
    if (!gust__solo)
        return atomic_compare_exchange_weak_explicit(&q->head, head, *head + 1,
                                                     memory_order_acq_rel, memory_order_acquire);
    atomic_store_explicit(&q->head, *head + 1, memory_order_release);
    return true;
}

G *gust__runq_pop(gust__runq *q, bool *ret_inherit)
{
    G *next = atomic_load_explicit(&q->runnext, memory_order_relaxed);
    *ret_inherit = next && take_next(q, next);
    if (*ret_inherit)
        return next;
    /* Acquire: pairs with the thieves' release of head. */
    uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
    for (;;) {
        if (head == atomic_load_explicit(&q->tail, memory_order_relaxed))
            return NULL;
        G *g = slot_load(q, head);
        if (take_head(q, &head))
            return g;
    }
}

/* About 3 us: Go's usleep(3), without the timer slack that makes it 60. */
#define NEXT_PATIENCE 100

/* The owner usually runs runnext within a microsecond or so, hot in its cache:
 * wait that long before taking it away. */
static G *steal_next(gust__runq *from)
{
    G *next = atomic_load_explicit(&from->runnext, memory_order_relaxed);
    for (int i = 0; next && i < NEXT_PATIENCE; i++) {
        gust__cpu_relax();
        if (atomic_load_explicit(&from->runnext, memory_order_relaxed) != next)
            return NULL;
    }
    /* Acquire: pairs with the release in gust__runq_set_next. */
    if (next && atomic_compare_exchange_strong_explicit(&from->runnext, &next, NULL,
                                                        memory_order_acquire, memory_order_relaxed))
        return next;
    return NULL;
}

/* Copies half of `from` into the ring of `into` behind its tail, unpublished. */
static uint32_t grab(gust__runq *into, uint32_t into_tail, gust__runq *from)
{
    for (;;) {
        uint32_t head = atomic_load_explicit(&from->head, memory_order_acquire);
        /* Acquire: pairs with the owner's release of tail; the slots are visible. */
        uint32_t tail = atomic_load_explicit(&from->tail, memory_order_acquire);
        uint32_t n = tail - head;
        n -= n / 2;
        if (n == 0)
            return 0;
        if (n > GUST__RUNQ_SIZE / 2)
            continue; /* head and tail were not of one moment */
        for (uint32_t i = 0; i < n; i++)
            slot_store(into, into_tail + i, slot_load(from, head + i));
        /* Release: our reads of the slots come before the owner may reuse them. */
        if (atomic_compare_exchange_strong_explicit(&from->head, &head, head + n,
                                                    memory_order_acq_rel, memory_order_relaxed))
            return n;
    }
}

G *gust__runq_steal(gust__runq *into, gust__runq *from, bool with_next)
{
    uint32_t tail = atomic_load_explicit(&into->tail, memory_order_relaxed);
    uint32_t n = grab(into, tail, from);
    if (n == 0)
        return with_next ? steal_next(from) : NULL;
    n--;
    G *g = slot_load(into, tail + n);
    if (n)
        /* Release: publishes the stolen slots in our ring to other thieves. */
        atomic_store_explicit(&into->tail, tail + n, memory_order_release);
    return g;
}

bool gust__runq_empty(gust__runq *q)
{
    /* tail is read again so that a G which the owner moves from runnext to the
     * ring meanwhile is not missed in both places. */
    for (;;) {
        uint32_t head = atomic_load_explicit(&q->head, memory_order_acquire);
        uint32_t tail = atomic_load_explicit(&q->tail, memory_order_acquire);
        G *next = atomic_load_explicit(&q->runnext, memory_order_acquire);
        if (tail == atomic_load_explicit(&q->tail, memory_order_acquire))
            return head == tail && !next;
    }
}
