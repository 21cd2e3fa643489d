/* Channels and select, with Go's semantics to the letter.
 *
 * Channels move fixed-size elements between goroutines by copy.  Capacity 0 is
 * a rendezvous: send returns once a receiver has the element.  A NULL channel
 * blocks until the deadline and is never chosen by select.
 *
 * Ordering (Go's memory model): a send happens-before the receive that gets
 * its element completes; close happens-before every receive that reports
 * "closed" because of it; on an unbuffered channel the receive happens-before
 * the send completes; the k-th receive on a channel of capacity C happens-
 * before the (k+C)-th send completes. */
#ifndef GUST_CHAN_H
#define GUST_CHAN_H

#include <gust/base.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_chan gust_chan;

/* Makes a channel for `capacity` elements of `elem_size` bytes (0 is fine: a
 * channel of events).  On success *ret_chan holds one reference, the caller's.
 * Errors: -EINVAL if the sizes overflow, -ENOMEM.  Any thread. */
int gust_chan_new(size_t elem_size, size_t capacity, gust_chan **ret_chan);

/* Counts one more owner; returns c.  Any thread. */
gust_chan *gust_chan_ref(gust_chan *c);

/* Drops one owner; the last one frees the channel and what is buffered in it.
 * No goroutine may be waiting on it then.  NULL is accepted.
 * A goroutine in gust_select touches its channels until the call returns, so it
 * must own references; a plain send or receive does not touch the channel once its
 * element has been handed over. */
void gust_chan_unref(gust_chan *c);

/* Sends a copy of *elem, waiting for room or a receiver until `deadline`.
 * Errors: -ETIMEDOUT; -EAGAIN in its place if the deadline was GUST_NOW;
 * -ECANCELED if it had to wait and the goroutine's context is cancelled.
 * After an error no receiver got, or will get, the element.
 * Panics if the channel is closed, even while waiting. */
int gust_chan_send(gust_chan *c, const void *elem, gust_time deadline);

/* Receives into *ret_elem (NULL drops the element), waiting until `deadline`.
 * Returns 1 if an element was received, 0 if the channel is closed and drained
 * (*ret_elem is zeroed).
 * Errors: -ETIMEDOUT; -EAGAIN in its place if the deadline was GUST_NOW;
 * -ECANCELED if it had to wait and the goroutine's context is cancelled.  After an
 * error nothing was taken out of the channel. */
int gust_chan_recv(gust_chan *c, void *ret_elem, gust_time deadline);

/* Closes the channel: receivers drain it and then see "closed"; senders panic.
 * Panics if the channel is closed already or NULL. */
void gust_chan_close(gust_chan *c);

/* Elements buffered now, and the capacity.  Snapshots; 0 for NULL. */
size_t gust_chan_len(gust_chan *c);
size_t gust_chan_cap(gust_chan *c);

typedef enum gust_select_op { GUST_RECV, GUST_SEND } gust_select_op;

/* One way out of a select. */
typedef struct gust_case {
    gust_select_op op;
    gust_chan *chan; /* NULL: never chosen */
    void *elem;      /* GUST_SEND: read; GUST_RECV: written, or NULL to drop */
    bool received;   /* set for the chosen GUST_RECV: false if closed and drained */
} gust_case;

/* Waits until one of the cases can proceed, does it, and returns its index.
 * If several can, one is chosen uniformly at random.  GUST_NOW is Go's
 * "default": it returns at once.  With count 0 it sleeps until the deadline.
 * Errors: -ETIMEDOUT, or -EAGAIN if the deadline was GUST_NOW, or -ECANCELED if it
 * had to wait and the goroutine's context is cancelled; then no case has happened.
 * -EINVAL if count is above GUST_SELECT_MAX; -ENOMEM, possible
 * only above 16 cases.
 * Panics if a chosen send meets a closed channel. */
#define GUST_SELECT_MAX 1024
int gust_select(gust_case *cases, size_t count, gust_time deadline);

#ifdef __cplusplus
}
#endif
#endif
