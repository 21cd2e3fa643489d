/* A stream connection inside: what conn.c (life and close), conn_side.c (who may read
 * and who may write), conn_read.c, conn_write.c, conn_large.c (writes above a block),
 * conn_layer.c (for TLS), conn_deadline.c and conn_park.c (waiting without a goroutine)
 * share; conn_watch.c: looking whether the peer is still there.
 *
 * Two goroutines may be at work at once, the reader and the writer; each enters its
 * side for the whole call, parks included.  The lock is for bookkeeping only and is
 * what a third goroutine takes to close.
 *
 * Closing, in this order:
 *   1. `closing` is set under the lock: from now on no operation is published;
 *   2. operations and waiters that are published are cancelled and woken, so
 *      their goroutines leave their sides;
 *   3. the closer enters the writer's side, drains, enters the reader's, closes the
 *      descriptor.
 * So the descriptor is closed once, and never under an operation.
 *
 * A parked connection is to be small: what only a writer needs is on the heap, and
 * only while there is something to send. */
#ifndef GUST_NET_CONN_H
#define GUST_NET_CONN_H

#include <gust/net.h>
#include <gust/sync.h>
#include <stdatomic.h>

#include "core/lock.h"
#include "core/netpoll.h"
#include "core/parked.h"
#include "core/waitq.h"
#include "net/layer.h"

typedef enum gust__conn_side {
    SIDE_READ,
    SIDE_WRITE,
} gust__conn_side;

#define SIDES 2

/* What goroutines wait for in a conn's list; the elem of their waiters points to the
 * one in `waits`.  The first two are the sides. */
typedef enum gust__conn_wait {
    WAIT_READ_SIDE = SIDE_READ,
    WAIT_WRITE_SIDE = SIDE_WRITE,
    WAIT_SENT,  /* the send under way to end */
    WAIT_WATCH, /* the watch to end */
} gust__conn_wait;

/* A lasting deadline of one side (conn_deadline.c), beside that of each call: the
 * earlier of the two counts. */
#define LIMIT_PASSED ((gust_time)1) /* it was over when it was set */

/* What the reader has.  Always: len == 0 means that there is no buffer at all, when no
 * call is under way; else the view lies at `off` of `heap`, or of `picked` if cap is 0.
 * Everything but `op` belongs to the reader. */
typedef struct gust__conn_reader {
    gust__op *op; /* in flight, or NULL; under the conn's lock */
    union {
        gust__buf *picked; /* a poller's buffer, until it is consumed; cap is 0 */
        char *heap;        /* our own buffer of `cap` bytes, for what did not fit that */
    };
    uint32_t cap;
    uint32_t off;
    uint32_t len;
    int error; /* met while no goroutine waited; the next receive reports it */
} gust__conn_reader;

/* What is to be sent: two blocks of GUST_CONN_WBUF bytes, one on its way and
 * one being filled; each exists only while there is something in it.
 * Under the conn's lock, but for the deadline. */
typedef struct gust__conn_writer {
    gust_conn *conn;
    gust__deadline deadline;
    gust__op *direct; /* a writer's blocking send, or NULL */
    gust__op send;    /* the send in the background, holding `sending` */
    char *sending;
    uint32_t sent_len; /* how much of it is out, and how much there is */
    uint32_t sending_len;
    char *filling;
    uint32_t filling_len;
    bool busy;   /* one of the two sends is under way */
    bool wanted; /* flush was asked for meanwhile */
    bool lent;   /* a layer writes behind filling_len: the block stays where it is */
} gust__conn_writer;

/* A conn whose peer is watched: conn_watch.c. */
typedef struct gust__conn_watch {
    gust__op op;
    gust_context *context; /* counted */
    bool ended;            /* the peer's end is nobody's business any more; under the lock */
} gust__conn_watch;

/* A conn that waits for input without a goroutine: conn_park.c.  From the start of
 * the wait until the new goroutine runs, the reader's side is entered for it. */
typedef struct gust__conn_park {
    union {
        gust__parked wait;      /* its op is rd.op meanwhile; its note: the moves of the reader's
                              limit when it began */
        gust__conn_watch watch; /* no conn pays for it with memory of its own */
    };
    void (*fn)(void *arg);
    void *arg;
    gust_time deadline;
} gust__conn_park;

/* What c->park is in use for. */
typedef enum gust__conn_park_use {
    PARK_NONE,
    PARK_WAIT,  /* no goroutine has the conn: nobody is expected to write soon */
    PARK_WATCH, /* the watch's operation is in flight, or its news are being told */
} gust__conn_park_use;

/* May large writes be sent without a copy?  That pays between machines only. */
typedef enum gust__zerocopy {
    ZEROCOPY_UNKNOWN,
    ZEROCOPY_NO,
    ZEROCOPY_YES,
} gust__zerocopy;

struct gust_conn {
    _Atomic uint32_t refs;
    gust__lock lock;    /* RANK_CONN */
    gust__fd fd;        /* .fd is -1 once closed */
    gust__layer *layer; /* NULL: what the user reads and writes is what goes over the wire */
    struct gust_proxy_header *proxy; /* const once others know the conn; NULL: none came */
    gust__waitlist waiters;          /* goroutines, for a gust__conn_wait each; under lock */
    gust_time limit[SIDES];          /* lasting deadlines; GUST_FOREVER: none.  The same */
    uint32_t moves[SIDES];           /* how often a limit was set: a wait that ends looks
                                        whether it was meanwhile.  The same */
    gust__conn_reader rd;
    gust__deadline rd_deadline;
    gust__conn_writer *wr; /* NULL: there is nothing to send.  Under lock, as what follows */
    bool inside[SIDES];    /* a goroutine is at work there */
    bool closing;
    bool lingers;     /* closing the descriptor waits */
    bool abandoned;   /* no reference is left: the send under way frees the conn */
    bool discard;     /* nothing more is to be sent, whatever is in the blocks */
    uint8_t park_use; /* gust__conn_park_use */
    bool is_unix;     /* const: a short receive does not mean that nothing is left: it may
                       have ended behind descriptors */
    int wr_error;     /* of a send; stays */
    /* Not under the lock, and so not in one word with the above, which the compiler
     * reads in one go: the reader's three, and the writer's. */
    bool drained;            /* the last receive was short: the socket is probably empty */
    bool filled;             /* the last receive filled its buffer: more is probably there */
    bool large;              /* what comes is mostly larger than a poller's buffer */
    uint8_t zerocopy : 4;    /* gust__zerocopy */
    uint8_t nonblocking : 1; /* the socket is, whatever the backend makes of it */
    gust__conn_park park;
};

/* NULL nearly always, and predicted so. */
static inline const gust__layer_ops *conn_layer(const gust_conn *c)
{
    return __builtin_expect(c->layer != NULL, 0) ? c->layer->ops : NULL;
}

/* Makes a conn of a connected or connecting socket.  Owns fd in every case: on
 * failure it is closed.  Errors: -ENOMEM. */
int gust__conn_adopt(int fd, gust_conn **ret_conn);

/* The same, told whether it is a Unix stream. */
int gust__conn_adopt_family(int fd, sa_family_t family, gust_conn **ret_conn);

/* Frees a conn that has no reference and no operation in flight.  g0 too. */
void gust__conn_free(gust_conn *c);

/* --- Sides (conn_side.c) ------------------------------------------------------ */

/* Waits until nobody is at work on that side; whoever comes first is first.  With 0 the
 * caller is, until it leaves.  steadfast: no cancellation ends the wait.
 * Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED as gust/sync.h has them under "Waiting".
 * _locked: c->lock is held, and dropped while it waits. */
int gust__conn_enter(gust_conn *c, gust__conn_side side, gust_time deadline);
int gust__conn_enter_locked(gust_conn *c, gust__conn_side side, gust_time deadline, bool steadfast);

/* The same, for as long as it takes. */
void gust__conn_enter_surely(gust_conn *c, gust__conn_side side);

/* _locked: returns who enters next, to be made ready without the lock, or NULL. */
void gust__conn_leave(gust_conn *c, gust__conn_side side);
G *gust__conn_leave_locked(gust_conn *c, gust__conn_side side);

/* Waits for what is said, or until `deadline`.  Under the lock, as all that follows. */
int gust__conn_wait_locked(gust_conn *c, gust__conn_wait what, gust_time deadline, bool steadfast);

/* Takes out all who wait for it, for gust__waiters_ready. */
gust__waiter *gust__conn_waiters_locked(gust_conn *c, gust__conn_wait what, gust__outcome outcome);

/* --- Waits with a deadline (conn_deadline.c) ------------------------------------ */

/* gust__op_wait, with op published in *slot (rd.op or wr->direct) so that a close, or
 * a lasting deadline that is moved, can end it.  -EBADF if the conn is being closed;
 * -ECANCELED if the goroutine's context is cancelled; -ETIMEDOUT, without a try, if
 * the side's lasting deadline has passed. */
int gust__conn_op_wait(gust_conn *c, gust__op **slot, gust__op *op, gust__deadline *d,
                       gust_time deadline);

/* Has this side's lasting deadline passed?  Under the conn's lock. */
bool gust__conn_limit_passed_locked(const gust_conn *c, gust__conn_side side);

/* A wait until `deadline` has timed out.  If that was the lasting one, every P is to
 * know that it has passed, also one that has not looked at the clock since. */
void gust__conn_limit_ended_locked(gust_conn *c, gust__conn_side side, gust_time deadline);

/* --- Reading (conn_read.c): by the reader --------------------------------------- */

/* Copies at most `len` bytes of the view and drops them; by the reader. */
size_t gust__conn_take_view(gust_conn *c, void *buf, size_t len);

/* Gives back the read buffers; the view is empty afterwards. */
void gust__conn_drop_view(gust_conn *c);

/* The error that was met while no goroutine waited, once. */
int gust__conn_take_error(gust_conn *c);

/* Receives what is there, without waiting, into a buffer of the conn's own; the view is
 * empty.  An error waits for the next receive. */
void gust__conn_fill_now(gust_conn *c);

/* Makes what a receive into a poller's buffer got the view, which is empty; `n` is
 * its result. */
void gust__conn_picked(gust_conn *c, gust__buf *buf, ssize_t n);

/* --- Writing (conn_write.c) ------------------------------------------------------ */

/* Makes c->wr, unless it is there.  Errors: -ENOMEM. */
int gust__conn_writer_locked(gust_conn *c);

/* The same, and its filling block. */
int gust__conn_filling_locked(gust_conn *c);

/* Takes away c->wr if nobody needs it for now, for gust__conn_writer_free; or NULL. */
gust__conn_writer *gust__conn_writer_rest_locked(gust_conn *c);
void gust__conn_writer_free(gust__conn_writer *wr);

/* What keeps a writer from going on: -EBADF if the conn is being closed, or the error of
 * a send. */
int gust__conn_write_check_locked(const gust_conn *c);

/* Sends the filling block as soon as possible. */
void gust__conn_send_locked(gust_conn *c);

/* Forgets what is in the filling block, unless it is lent. */
void gust__conn_drop_filling_locked(gust_conn *c);

/* No send can succeed any more. */
void gust__conn_fail_locked(gust_conn *c, int error);

/* Waits until `len` bytes (at most a block) fit into the filling block. */
int gust__conn_wait_room_locked(gust_conn *c, size_t len, gust_time deadline);

/* Waits for the send under way; may return 0 for no reason.  steadfast: for a closer,
 * who must do his work even if his context is cancelled or the lasting deadline has
 * passed. */
int gust__conn_wait_sent_locked(gust_conn *c, gust_time deadline, bool steadfast);

/* A write above a block, by the writer: from the caller's memory. */
int gust__conn_write_large_locked(gust_conn *c, const struct iovec *iov, int count, size_t total,
                                  gust_time deadline);

/* Sends what is buffered and waits for its end.  By the writer.
 * Returns 0, the error of a send, or that of the wait; -EBADF if somebody
 * else begins to close (`closer`: that is the caller, whose wait no cancellation
 * ends). */
int gust__conn_drain_locked(gust_conn *c, gust_time deadline, bool closer);

/* Takes back the send under way, and forgets what is buffered. */
void gust__conn_discard_locked(gust_conn *c);

/* Waits until no send is under way.  By the writer. */
void gust__conn_settle_locked(gust_conn *c);

static inline bool conn_is_sending(const gust_conn *c)
{
    return c->wr && c->wr->busy;
}

/* How much is in the filling block. */
static inline size_t conn_filled(const gust_conn *c)
{
    return c->wr ? c->wr->filling_len : 0;
}

/* --- Out of the page cache (conn_pages.c) ----------------------------------------- */

/* Sends what is buffered, if it goes at once.  By the writer. */
void gust__conn_push_filling_locked(gust_conn *c);

/* --- Watching the peer (conn_watch.c) ---------------------------------------------- */

/* Asks for the watch back, if there is one.  Under the lock. */
void gust__conn_watch_cancel_locked(gust_conn *c);

/* Waits until there is none. */
void gust__conn_watch_settle(gust_conn *c);

/* --- Without a copy (zerocopy.c): by the writer ---------------------------------- */

/* For tests: peers on this machine count as others, and near. */
extern bool gust__zerocopy_everywhere;

/* How many bytes one operation of a write that has `left` to send may have: `max`, or
 * less if they can be sent without a copy. */
size_t gust__conn_zerocopy_limit(gust_conn *c, size_t left, size_t max);

/* The flag for a send of so many bytes, and what to make of it when it is done. */
uint8_t gust__conn_zerocopy_flag(const gust_conn *c, size_t bytes);
void gust__conn_zerocopy_done(gust_conn *c, uint8_t flag, const gust__op *op);

#endif
