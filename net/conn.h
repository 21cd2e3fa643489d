/* A stream connection inside: what conn.c (life and close), conn_read.c, conn_write.c
 * and conn_park.c (waiting without a goroutine) share.
 *
 * Two goroutines may be at work at once, one in `rd` and one in `wr`; each side
 * has a mutex that its goroutine holds for the whole call, parks included.  The
 * lock is for bookkeeping only and is what a third goroutine takes to close.
 *
 * Closing, in this order:
 *   1. `closing` is set under the lock: from now on no operation is published;
 *   2. operations and waiters that are published are cancelled and woken, so
 *      their goroutines leave and give up the mutexes;
 *   3. the closer takes wr.mutex, drains, takes rd.mutex, closes the descriptor.
 * So the descriptor is closed once, and never under an operation. */
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

/* A lasting deadline of one side (conn_deadline.c), beside that of each call: the
 * earlier of the two counts.  Under the conn's lock. */
typedef struct gust__conn_limit {
    gust_time when; /* GUST_FOREVER: none; LIMIT_PASSED: it was over when it was set */
    uint32_t moves; /* how often it was set: a wait that ends looks whether it was meanwhile */
} gust__conn_limit;

#define LIMIT_PASSED ((gust_time)1)

/* The side that reads.  Always: len == 0 means that there is no buffer at all;
 * else the view lies at `off` of `picked` if that is set, else of `heap`.
 * Everything but `op` belongs to the goroutine that reads. */
typedef struct gust__conn_reader {
    gust_mutex mutex;
    gust__deadline deadline;
    gust__conn_limit limit;
    gust__op *op;      /* in flight, or NULL; under the conn's lock */
    gust__buf *picked; /* a poller's buffer, until it is consumed */
    char *heap;        /* our own buffer of `cap` bytes, for what did not fit that */
    size_t cap;
    size_t off;
    size_t len;
    bool drained; /* the last receive was short: the socket is probably empty */
    bool filled;  /* the last receive filled its buffer: more is probably there */
    int error;    /* met while no goroutine waited; the next receive reports it */
} gust__conn_reader;

/* A conn that waits for input without a goroutine: conn_park.c.  From the start of
 * the wait until the new goroutine runs, rd.mutex is held for it. */
typedef struct gust__conn_park {
    gust__parked wait; /* its op is rd.op meanwhile */
    void (*fn)(void *arg);
    void *arg;
    gust_time deadline;
    uint32_t moves; /* of rd.limit, when the wait was begun */
} gust__conn_park;

/* The side that writes: two blocks of GUST_CONN_WBUF bytes, one on its way and
 * one being filled; each exists only while there is something in it.
 * Under the conn's lock, but for the mutex and the deadline. */
typedef struct gust__conn_writer {
    gust_mutex mutex;
    gust__deadline deadline;
    gust__conn_limit limit;
    gust__op *direct;       /* a writer's blocking send, or NULL */
    gust__op send;          /* the send in the background, holding `sending` */
    gust__waitlist waiters; /* the mutex's holder, waiting for the send to end */
    char *sending;
    uint32_t sent_len; /* how much of it is out, and how much there is */
    uint32_t sending_len;
    char *filling;
    uint32_t filling_len;
    bool busy;         /* one of the two sends is under way */
    bool wanted;       /* flush was asked for meanwhile */
    bool lent;         /* a layer writes behind filling_len: the block stays where it is */
    bool discard;      /* nothing more is to be sent, whatever is in the blocks */
    int error;         /* of a send; stays */
    uint32_t zerocopy; /* gust__zerocopy; of the mutex's holder, and so in a word of its own:
                          the compiler reads the flags above in one go */
} gust__conn_writer;

/* May large writes be sent without a copy?  That pays between machines only. */
typedef enum gust__zerocopy {
    ZEROCOPY_UNKNOWN,
    ZEROCOPY_NO,
    ZEROCOPY_YES,
} gust__zerocopy;

struct gust_conn {
    _Atomic uint32_t refs;
    gust__lock lock;          /* RANK_CONN */
    bool closing;             /* under lock */
    bool lingers;             /* closing the descriptor waits.  The same */
    bool abandoned;           /* no reference is left: the send under way frees the conn */
    bool is_unix;             /* a short receive does not mean that nothing is left: it may have
                        ended behind descriptors */
    gust__fd fd;              /* .fd is -1 once closed */
    const gust__layer *layer; /* NULL: what the user reads and writes is what goes over the wire */
    void *layer_state;        /* the layer's */
    struct gust_proxy_header *proxy; /* const once others know the conn; NULL: none came */
    gust__conn_reader rd;
    gust__conn_writer wr;
    gust__conn_park park;
};

/* NULL nearly always, and predicted so. */
static inline const gust__layer *conn_layer(const gust_conn *c)
{
    return __builtin_expect(c->layer != NULL, 0) ? c->layer : NULL;
}

/* Makes a conn of a connected or connecting socket.  Owns fd in every case: on
 * failure it is closed.  Errors: -ENOMEM. */
int gust__conn_adopt(int fd, gust_conn **ret_conn);

/* The same, told whether it is a Unix stream. */
int gust__conn_adopt_family(int fd, sa_family_t family, gust_conn **ret_conn);

/* Frees a conn that has no reference and no operation in flight.  g0 too. */
void gust__conn_free(gust_conn *c);

/* gust__op_wait, with op published in *slot (rd.op or wr.direct) so that a close, or
 * a lasting deadline that is moved, can end it.  -EBADF if the conn is being closed;
 * -ECANCELED if the goroutine's context is cancelled; -ETIMEDOUT, without a try, if
 * the side's lasting deadline has passed. */
int gust__conn_op_wait(gust_conn *c, gust__op **slot, gust__op *op, gust__deadline *d,
                       gust_time deadline);

/* Has this lasting deadline passed?  Under the conn's lock. */
bool gust__conn_limit_passed_locked(const gust__conn_limit *limit);

/* A wait until `deadline` has timed out.  If that was the lasting one, every P is to
 * know that it has passed, also one that has not looked at the clock since. */
void gust__conn_limit_ended_locked(gust__conn_limit *limit, gust_time deadline);

/* Copies at most `len` bytes of the view and drops them; by the holder of rd.mutex. */
size_t gust__conn_take_view(gust_conn *c, void *buf, size_t len);

/* Gives back the read buffers; the view is empty afterwards. */
void gust__conn_drop_view(gust_conn *c);

/* The error that was met while no goroutine waited, once.  By the holder of rd.mutex. */
int gust__conn_take_error(gust_conn *c);

/* Makes what a receive into a poller's buffer got the view, which is empty; `n` is
 * its result.  By the holder of rd.mutex. */
void gust__conn_picked(gust_conn *c, gust__buf *buf, ssize_t n);

/* Sends what is buffered and waits for its end.  By the holder of wr.mutex.
 * Returns 0, the error of a send, or that of the wait; -EBADF if somebody
 * else begins to close (`closer`: that is the caller, whose wait no cancellation
 * ends). */
int gust__conn_drain_locked(gust_conn *c, gust_time deadline, bool closer);

/* For tests: peers on this machine count as others, and near. */
extern bool gust__zerocopy_everywhere;

/* How many bytes one operation of a large write may have: `max`, or less if they can
 * be sent without a copy.  By the holder of wr.mutex. */
size_t gust__conn_zerocopy_limit(gust_conn *c, size_t max);

/* The flag for a send of so many bytes, and what to make of it when it is done. */
uint8_t gust__conn_zerocopy_flag(const gust_conn *c, size_t bytes);
void gust__conn_zerocopy_done(gust_conn *c, uint8_t flag, const gust__op *op);

/* Takes back the send under way, and forgets what is buffered. */
void gust__conn_discard_locked(gust_conn *c);

/* Waits until no send is under way.  By the holder of wr.mutex. */
void gust__conn_settle_locked(gust_conn *c);

#endif
