/* The io_uring poller as its own files see it. */
#ifndef GUST_CORE_NETPOLL_URING_H
#define GUST_CORE_NETPOLL_URING_H

#include <pthread.h>

#include "core/netpoll_backend.h"
#include "core/uring_ring.h"

/* What a completion is about: the low bits of its user_data.  Ops are aligned. */
enum {
    URING_TAG_OP,     /* | the op */
    URING_TAG_CANCEL, /* | the op that was to be cancelled */
    URING_TAG_WAKE,   /* | generation of the wake poll, shifted */
    URING_TAG_IGNORE,
    URING_TAG_BITS = 2,
    URING_TAG_MASK = (1 << URING_TAG_BITS) - 1,
};

/* Completions handed out by one reap. */
#define URING_REAP_MAX GUST__REAP_MAX

/* The only group of provided buffers of a ring. */
#define URING_BUF_GROUP 0

typedef struct gust__uring gust__uring;

struct gust__uring {
    gust__poller base; /* base.lock: everything below */
    gust__ring ring;
    /* NULL: the kernel has refused it.  Then a receive takes a buffer when it is
     * started, and -ENOBUFS means that too many wait at a time. */
    struct io_uring_buf_ring *buf_ring;
    uint64_t wake_generation; /* of the wake poll that counts */
    bool wake_armed;          /* it is in the kernel */
    pthread_t wake_thread;    /* which thread has submitted it; SQPOLL: the kernel's */
    _Atomic bool handing_out; /* results of a multishot; cleared without the lock */
    gust__op *unacknowledged; /* sends that are over but for their notes, by op->next */
    int32_t free_buf;         /* first of the free buffers, if there is no buf_ring */
    int64_t spin_ns;          /* SQPOLL: how long a sleep begins with a look */
    gust__uring *next_sqpoll;
};

static inline gust__uring *gust__uring_of(gust__poller *p)
{
    return (gust__uring *)p;
}

/* --- uring_poller.c ------------------------------------------------------ */

/* Opens all that a poller is made of; *ret_step is what was done last.
 * needs_all: fails even without what can be done without. */
int gust__uring_open_steps(bool sqpoll, bool needs_all, gust__uring **ret_p, const char **ret_step);
void gust__uring_free(gust__uring *p);

int gust__uring_open_as(bool sqpoll, gust__poller **ret_poller);
int gust__uring_open(gust__poller **ret_poller);
void gust__uring_close(gust__poller *base);

/* uring_file.c */
void gust__uring_fill_file(struct io_uring_sqe *sqe, const struct gust__file_req *req);

/* Makes a buffer the kernel's.  Under base.lock: the kernel wants one producer. */
void gust__uring_buf_add(gust__uring *p, gust__buf *buf);
void gust__uring_buf_put(gust__buf *buf);

/* Without a buf_ring: a free buffer, or NULL.  Under base.lock. */
gust__buf *gust__uring_buf_take(gust__uring *p);

/* --- netpoll_uring.c ----------------------------------------------------- */

/* Queues what op asks for, or the rest of it.  Under base.lock. */
void gust__uring_push_op(gust__uring *p, gust__op *op);

/* Queues a multishot poll of the eventfd. */
void gust__uring_push_wake_poll(gust__uring *p);

/* Queues a receive into a provided buffer. */
void gust__uring_fill_recv_picked(struct io_uring_sqe *sqe, int fd);

/* --- uring_probe.c ------------------------------------------------------- */

int gust__uring_probe_as(bool sqpoll, const char **ret_why);
int gust__uring_probe(const char **ret_why);

/* --- uring_zerocopy.c ---------------------------------------------------- */

/* Finds out whether this ring's kernel is good at it; for the process. */
void gust__uring_zerocopy_probe(gust__uring *p);
size_t gust__uring_zerocopy_min(void);

/* Makes a prepared send one without a copy, if the op asks for it. */
void gust__uring_fill_zerocopy(struct io_uring_sqe *sqe, const gust__op *op);

/* All under base.lock.  If the kernel has refused, the op goes on as a plain send: true.
 * One that is being cancelled does not, and *res says so. */
bool gust__uring_zerocopy_refused(gust__uring *p, gust__op *op, int32_t *res);

/* The op is over, but notifications are to come. */
void gust__uring_unacknowledged(gust__uring *p, gust__op *op);

/* A notification has come. */
void gust__uring_noted(gust__uring *p, gust__op *op, int32_t usage);

/* The op is over and being cancelled: gets its memory back from the kernel. */
void gust__uring_give_up(gust__op *op);

/* The same for all that are over. */
void gust__uring_give_up_all(gust__uring *p);

/* --- uring_sqpoll.c ------------------------------------------------------ */

int gust__sqpoll_probe(const char **ret_why);
int gust__sqpoll_open(gust__poller **ret_poller);

/* For the ring of one more poller. */
void gust__sqpoll_config(gust__ring_config *config);
void gust__sqpoll_opened(gust__uring *p);
void gust__sqpoll_closing(gust__uring *p);

/* Looks for completions and wakes for a moment, if there are operations.  True: one is
 * there, or the time is over.  False: *timeout_ns is what is left of it.  The thread that
 * is about to sleep; no lock. */
bool gust__sqpoll_spin(gust__uring *p, int64_t *timeout_ns);

#endif
