/* Channels: making them, one operation at a time, and closing. */
#include "core/chan.h"

#include <errno.h>
#include <stdlib.h>

#include "core/inject.h"

int gust_chan_new(size_t elem_size, size_t capacity, gust_chan **ret_chan)
{
    size_t ring_size, size;
    gust_chan *c;
    if (__builtin_mul_overflow(elem_size, capacity, &ring_size) ||
        __builtin_add_overflow(ring_size, sizeof *c, &size) || size > PTRDIFF_MAX)
        return -EINVAL;
    c = gust__malloc(size);
    if (!c)
        return -ENOMEM;
    *c = (gust_chan){
        .capacity = capacity,
        .elem_size = elem_size,
        .send_at = c->ring,
        .recv_at = c->ring,
        .ring_end = c->ring + ring_size,
        .refs = 1,
    };
    *ret_chan = c;
    return 0;
}

gust_chan *gust_chan_ref(gust_chan *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void gust_chan_unref(gust_chan *c)
{
    /* Release what this owner did; acquire what the others did, before the free. */
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        free(c);
}

/* c->lock is held, and dropped here. */
static int send_wait(gust_chan *c, const void *elem, gust_time deadline)
{
    gust__waiter w = {.elem = (void *)elem}; /* a sender's element is only read */
    int err;
    waitlist_push(&c->sendq, &w);
    err = gust__wait_linked(&c->sendq, &c->lock, RANK_CHAN, &w, deadline, WAIT_CHAN_SEND);
    if (!err && w.outcome == OUTCOME_CLOSED)
        gust_panic("send on closed channel");
    return err;
}

int gust_chan_send(gust_chan *c, const void *elem, gust_time deadline)
{
    GUST__CALL();
    gust__waiter *receiver;
    gust__chan_try did;
    if (!c)
        return gust__wait_nothing(deadline, WAIT_CHAN_NULL);
    if (deadline == GUST_NOW && chan_send_blocks(c))
        return -EAGAIN;
    gust__lock_take(&c->lock, RANK_CHAN);
    did = chan_try_send(c, elem, &receiver);
    if (did == TRY_BLOCKED)
        return send_wait(c, elem, deadline);
    gust__lock_drop(&c->lock);
    if (did == TRY_CLOSED)
        gust_panic("send on closed channel");
    if (receiver)
        gust__ready(receiver->g);
    return 0;
}

/* c->lock is held, and dropped here. */
static int recv_wait(gust_chan *c, void *ret_elem, gust_time deadline)
{
    gust__waiter w = {.elem = ret_elem};
    int err;
    waitlist_push(&c->recvq, &w);
    err = gust__wait_linked(&c->recvq, &c->lock, RANK_CHAN, &w, deadline, WAIT_CHAN_RECV);
    return err ? err : w.outcome == OUTCOME_DONE;
}

int gust_chan_recv(gust_chan *c, void *ret_elem, gust_time deadline)
{
    GUST__CALL();
    gust__waiter *sender;
    gust__chan_try did;
    if (!c)
        return gust__wait_nothing(deadline, WAIT_CHAN_NULL);
    if (deadline == GUST_NOW && chan_recv_blocks(c))
        return -EAGAIN;
    gust__lock_take(&c->lock, RANK_CHAN);
    did = chan_try_recv(c, ret_elem, &sender);
    if (did == TRY_BLOCKED)
        return recv_wait(c, ret_elem, deadline);
    gust__lock_drop(&c->lock);
    if (did == TRY_CLOSED)
        return 0;
    if (sender)
        gust__ready(sender->g);
    return 1;
}

void gust_chan_close(gust_chan *c)
{
    GUST__CALL();
    gust__waiter *receivers, *senders, *w;
    if (!c)
        gust_panic("close of nil channel");
    gust__lock_take(&c->lock, RANK_CHAN);
    if (chan_closed(c)) {
        gust__lock_drop(&c->lock);
        gust_panic("close of closed channel");
    }
    atomic_store_explicit(&c->closed, 1, memory_order_relaxed);
    receivers = gust__waitlist_take_all(&c->recvq, OUTCOME_CLOSED);
    for (w = receivers; w; w = w->next)
        elem_zero(w->elem, c->elem_size);
    senders = gust__waitlist_take_all(&c->sendq, OUTCOME_CLOSED); /* these panic */
    gust__lock_drop(&c->lock);
    gust__waiters_ready(receivers);
    gust__waiters_ready(senders);
}

size_t gust_chan_len(gust_chan *c)
{
    return c ? chan_count(c) : 0;
}

size_t gust_chan_cap(gust_chan *c)
{
    return c ? c->capacity : 0;
}
