/* A layer between a connection's user and its bytes on the wire; TLS is the only
 * one.  Every public call on a conn first looks for a layer, which for a plain
 * conn is one branch that is always predicted.
 *
 * What the conn does for its layer:
 *   - the conn's read buffer holds what came over the wire, its write blocks what
 *     goes there.  Deadlines, cancellation, close and drain work on those and know
 *     nothing of layers;
 *   - a reader enters its side for the whole call and a writer its own, as for plain
 *     conns; the layer's calls do so themselves (net/conn.h);
 *   - the filling block is lent to the layer, which writes its output into it
 *     without another copy.  While it is lent nobody sends or drops it.
 *
 * None of the layer's code runs inside a GUST__CALL, except `closing`, `free` and
 * what goes on under them: so a handshake counts as code of the user's, and whoever
 * takes too long over it loses the P (core/demote.c). */
#ifndef GUST_NET_LAYER_H
#define GUST_NET_LAYER_H

#include <gust/net.h>

#include "core/netpoll.h"

struct gust_tls_info;

/* Read to flush have the contracts of the public calls of the same name. */
typedef struct gust__layer_ops {
    ssize_t (*read)(gust_conn *c, void *buf, size_t len, gust_time deadline);
    ssize_t (*fill)(gust_conn *c, size_t max_view, gust_time deadline);
    gust_span (*view)(const gust_conn *c);
    void (*consume)(gust_conn *c, size_t n);
    /* False: a fill would have to wait for bytes from the wire.  By the reader. */
    bool (*has_input)(gust_conn *c);
    /* total: the sum of the lengths, above 0.  !flush: an append. */
    ssize_t (*write)(gust_conn *c, const struct iovec *iov, int count, size_t total,
                     gust_time deadline, bool flush);
    /* Moves what the layer has kept back to the filling block; waits for room until
     * `deadline`, with GUST_NOW not at all, which is no error. */
    int (*flush)(gust_conn *c, gust_time deadline);
    /* Before the conn drains and shuts its socket down. */
    int (*shutdown)(gust_conn *c, int how, gust_time deadline);
    /* By the closer, who is the writer and drains afterwards.  Waits for nothing. */
    void (*closing)(gust_conn *c);
    /* Nobody uses the conn any more.  g0 too. */
    void (*free)(gust_conn *c);
    int (*handshake)(gust_conn *c, gust_time deadline);
    /* What gust_tls_info_read and gust_tls_error say. */
    int (*info)(gust_conn *c, struct gust_tls_info *ret_info);
    const char *(*why)(const gust_conn *c);
} gust__layer_ops;

/* What the state of a layer begins with. */
typedef struct gust__layer {
    const gust__layer_ops *ops;
} gust__layer;

/* --- Reading: by the reader ------------------------------------------------ */

/* What has come over the wire and was not consumed; the conn's own view. */
gust_span gust__conn_raw_view(const gust_conn *c);
void gust__conn_raw_consume(gust_conn *c, size_t n);

/* Waits for more of it; the raw view is empty.  As gust_conn_fill. */
ssize_t gust__conn_raw_fill(gust_conn *c, gust_time deadline);

/* --- Writing --------------------------------------------------------------- */

/* Room behind what the filling block holds; data is NULL if an earlier send has
 * failed, so that output goes nowhere. */
typedef struct gust__loan {
    char *data;
    size_t room;
} gust__loan;

/* Lends the filling block, to one at a time.  Errors: -ENOMEM; -EBADF if the conn
 * is being closed, unless the caller is the closer. */
int gust__conn_lend(gust_conn *c, bool closer, gust__loan *ret_loan);

/* Ends the loan, with `added` bytes written; flush: starts sending. */
void gust__conn_give_back(gust_conn *c, size_t added, bool flush);

/* The room of the filling block now; *ret_idle: no send is under way, so that the
 * block could be sent at once, for a fresh one.  Errors: that of an earlier send;
 * -EBADF if the conn is being closed; -ETIMEDOUT if the lasting deadline has passed. */
int gust__conn_room(gust_conn *c, size_t *ret_room, bool *ret_idle);

/* Waits until `len` bytes (at most GUST_CONN_WBUF) fit the filling block. */
int gust__conn_wait_room(gust_conn *c, size_t len, gust_time deadline);

/* A write was cut short: what comes after it cannot be sent any more. */
void gust__conn_spoil(gust_conn *c, int error);

/* gust_conn_flush without the layer. */
void gust__conn_raw_flush(gust_conn *c);

/* Hands the kernel as much of the filling block as it takes at once, unless a send is
 * under way.  By the closer.  An error is met again by the send that follows, unless
 * the bytes are dispensable: then they are dropped. */
void gust__conn_send_now(gust_conn *c, bool dispensable);

#endif
