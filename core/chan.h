/* Inside a channel, and its two operations without the waiting; chan.c and
 * select.c build on them.
 *
 * Always, when the lock is free:
 *   - recvq has claimable waiters only if the buffer is empty, sendq only if it
 *     is full (with capacity 0 it is both);
 *   - recvq and sendq both have some only if these belong to one select that
 *     sends and receives on the same channel;
 *   - a closed channel has no claimable waiters.
 * Waiters whose select or deadline was won elsewhere may stay linked until their
 * goroutine takes them out; waitlist_take skips them. */
#ifndef GUST_CORE_CHAN_H
#define GUST_CORE_CHAN_H

#include <gust/chan.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <string.h>

#include "core/lock.h"
#include "core/waitq.h"

struct gust_chan {
    gust__lock lock;         /* RANK_CHAN: all below that is not const or atomic */
    _Atomic uint32_t closed; /* 0 or 1; written under lock */
    _Atomic size_t count;    /* elements in the ring; written under lock */
    size_t capacity;         /* const, as elem_size and ring_end */
    size_t elem_size;
    char *send_at; /* the slot of the next send */
    char *recv_at; /* the slot of the next receive */
    char *ring_end;
    gust__waitlist recvq;
    gust__waitlist sendq;
    _Atomic size_t refs;
    alignas(max_align_t) char ring[];
};

typedef enum gust__chan_try {
    TRY_BLOCKED, /* nothing was done */
    TRY_DONE,    /* the element went over */
    TRY_CLOSED,  /* the channel is closed (receive: and drained) */
} gust__chan_try;

/* Constant sizes let the compiler copy the usual elements by register. */
static inline void elem_copy(void *to, const void *from, size_t size)
{
    switch (size) {
    case 0: break;
    case 4: memcpy(to, from, 4); break;
    case 8: memcpy(to, from, 8); break;
    case 16: memcpy(to, from, 16); break;
    default: memcpy(to, from, size);
    }
}

static inline void elem_zero(void *elem, size_t size)
{
    if (elem && size)
        memset(elem, 0, size);
}

static inline char *chan_next_slot(gust_chan *c, char *slot)
{
    slot += c->elem_size;
    return slot == c->ring_end ? c->ring : slot;
}

static inline size_t chan_count(gust_chan *c)
{
    return atomic_load_explicit(&c->count, memory_order_relaxed);
}

static inline void chan_set_count(gust_chan *c, size_t count)
{
    /* Release: pairs with the acquire in chan_recv_blocks. */
    atomic_store_explicit(&c->count, count, memory_order_release);
}

static inline bool chan_closed(gust_chan *c)
{
    return atomic_load_explicit(&c->closed, memory_order_relaxed);
}

/* Without the lock: true if a send would have blocked at some moment during the
 * call.  The two reads may be of different moments, in either order: a closed
 * channel never becomes "full and open" again, so if it was seen open and seen
 * full then it was both at the time of one of the reads. */
static inline bool chan_send_blocks(gust_chan *c)
{
    if (chan_closed(c))
        return false;
    return c->capacity ? chan_count(c) == c->capacity : waitlist_looks_empty(&c->recvq);
}

/* The same for a receive.  Here the order matters: found empty first and open
 * later, it was open and empty at the first read.  In the other order a send and
 * a close could come between, and the element would be overlooked. */
static inline bool chan_recv_blocks(gust_chan *c)
{
    /* Acquire: keeps the read of `closed` behind this one. */
    bool empty = c->capacity ? !atomic_load_explicit(&c->count, memory_order_acquire)
                             : waitlist_looks_empty(&c->sendq);
    return empty && !chan_closed(c);
}

/* Sends *elem if that needs no waiting.  The caller holds c->lock; after
 * dropping it, it makes *ret_peer ready unless that is NULL (TRY_DONE only). */
static inline gust__chan_try chan_try_send(gust_chan *c, const void *elem, gust__waiter **ret_peer)
{
    gust__waiter *receiver;
    size_t count = chan_count(c);
    if (chan_closed(c))
        return TRY_CLOSED;
    receiver = waitlist_take(&c->recvq);
    if (receiver) {
        if (receiver->elem)
            elem_copy(receiver->elem, elem, c->elem_size);
        receiver->outcome = OUTCOME_DONE;
    } else if (count < c->capacity) {
        elem_copy(c->send_at, elem, c->elem_size);
        c->send_at = chan_next_slot(c, c->send_at);
        chan_set_count(c, count + 1);
    } else {
        return TRY_BLOCKED;
    }
    *ret_peer = receiver;
    return TRY_DONE;
}

/* Receives into *ret_elem (NULL drops the element) if that needs no waiting;
 * TRY_CLOSED zeroes it.  The caller holds c->lock; after dropping it, it makes
 * *ret_peer ready unless that is NULL (TRY_DONE only).
 * With a sender waiting the ring is full: the oldest element is at recv_at, the
 * sender's goes into the slot that leaves free, and both ends move on. */
static inline gust__chan_try chan_try_recv(gust_chan *c, void *ret_elem, gust__waiter **ret_peer)
{
    size_t count = chan_count(c);
    gust__waiter *sender = waitlist_take(&c->sendq);
    const char *from = c->recv_at;
    if (!sender && count == 0) {
        if (!chan_closed(c))
            return TRY_BLOCKED;
        elem_zero(ret_elem, c->elem_size);
        return TRY_CLOSED;
    }
    if (c->capacity == 0)
        from = sender->elem;
    if (ret_elem)
        elem_copy(ret_elem, from, c->elem_size);
    if (c->capacity != 0) {
        if (sender) {
            elem_copy(c->send_at, sender->elem, c->elem_size);
            c->send_at = chan_next_slot(c, c->send_at);
        } else {
            chan_set_count(c, count - 1);
        }
        c->recv_at = chan_next_slot(c, c->recv_at);
    }
    if (sender)
        sender->outcome = OUTCOME_DONE;
    *ret_peer = sender;
    return TRY_DONE;
}

#endif
