/* What netpoll.c and the two backends share; for nobody else. */
#ifndef GUST_CORE_NETPOLL_BACKEND_H
#define GUST_CORE_NETPOLL_BACKEND_H

#include "core/netpoll.h"

/* What every poller begins with.  Always: an op on `finished` is DONE but for
 * the call that tells its owner, and nobody else has a pointer to it. */
struct gust__poller {
    gust__lock lock;               /* RANK_POLLER */
    _Atomic(gust__op *) finished;  /* list; written under lock, read by anyone */
    _Atomic uint32_t in_flight;    /* completions to come; read by anyone */
    _Atomic uint32_t wake_pending; /* a wake was sent that no sleep has answered */
    int wake_fd;                   /* eventfd; never read but when it is watched anew */
    char *buf_memory;              /* GUST__BUF_SIZE bytes for each of bufs */
    gust__buf *bufs;
    uint32_t buf_count;
};

/* From where on pinning pages is so much cheaper than copying them that it pays for
 * asking how far the peer is; docs/architecture.md says how this was measured. */
#define GUST__ZEROCOPY_MIN ((size_t)128 << 10)

/* Sizes that tests shrink to reach the limits; while no poller is open. */
typedef struct gust__netpoll_limits {
    uint32_t sq_entries;
    uint32_t cq_entries;
    uint32_t buf_count;        /* a power of two; GUST__BUF_COUNT at most */
    uint32_t missing_features; /* IORING_FEAT_* that this kernel is to be without */
    size_t zerocopy_min;       /* bytes */
    bool zerocopy_garbled;     /* such sends are asked for in a way that no kernel knows */
    const char *failing_step;  /* NULL, or the step of io_uring's probe that fails */
    int failing_error;         /* with this negative errno value */
} gust__netpoll_limits;

extern gust__netpoll_limits gust__netpoll_limits_now;

/* --- Pollers ------------------------------------------------------------- */

/* Makes the eventfd and the buffers, `buf_max` of them at most.
 * Errors: -ENOMEM, -EMFILE, -ENFILE. */
int gust__poller_init(gust__poller *p, uint32_t buf_max);
void gust__poller_fini(gust__poller *p);

/* Queues a finished op for the next reap of p.  Any thread. */
void gust__poller_finish_later(gust__poller *p, gust__op *op);

/* Tells the owner of every op on p->finished; returns how many. */
int gust__poller_finish_all(gust__poller *p);

/* Tells op's owner.  On g0 of an M with a P, with no lock held. */
void gust__op_finish(gust__op *op);

/* The two ends of a wake; the protocol is written down in netpoll.c. */
void gust__wake_send(gust__poller *p);
bool gust__wake_take(gust__poller *p);

/* Sequentially consistent for the epoll backend's stay_watched. */
static inline void gust__in_flight_add(gust__poller *p, int n)
{
    atomic_fetch_add_explicit(&p->in_flight, (uint32_t)n, memory_order_seq_cst);
}

/* --- Operations ---------------------------------------------------------- */

/* IDLE to INFLIGHT; false: it was cancelled before.  Publishes op->home. */
bool gust__op_claim(gust__op *op);

/* Under the lock that the backend's cancel takes: the result is final. */
static inline void gust__op_set_done(gust__op *op)
{
    atomic_store_explicit(&op->state, GUST__OP_DONE, memory_order_release);
}

static inline gust__op_state gust__op_state_now(gust__op *op)
{
    return (gust__op_state)atomic_load_explicit(&op->state, memory_order_acquire);
}

static inline bool gust__op_is_send(const gust__op *op)
{
    return op->code == GUST__OP_SEND || op->code == GUST__OP_SENDMSG;
}

/* What a send reports that ends with `error` after op->sent bytes. */
static inline int32_t gust__op_error(const gust__op *op, int error)
{
    return gust__op_is_send(op) && op->sent > 0 ? (int32_t)op->sent : error;
}

/* Performs op by a system call that does not wait.  True: op->res is set.
 * False: it would have to wait; a send may have made progress in op->sent.
 * Works on blocking sockets too, except for ACCEPT, CONNECT, SPLICE and PICK.
 * From a goroutine or g0 of an M that has a P (PICK takes its poller's buffer). */
bool gust__op_try(gust__op *op);

/* Adds n to op->sent and drops n bytes from the front of a SENDMSG's iovecs, and
 * what was to go with the first of them.
 * True: there is nothing left. */
bool gust__op_sent(gust__op *op, size_t n);

/* Takes a buffer from p's list (epoll); NULL if there is none. */
gust__buf *gust__buf_take(gust__poller *p);

#endif
