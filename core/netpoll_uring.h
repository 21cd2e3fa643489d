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

/* Completions handed out by one reap.  Bounds the time without the run queue. */
#define URING_REAP_MAX 128

/* The only group of provided buffers of a ring. */
#define URING_BUF_GROUP 0

typedef struct gust__uring {
    gust__poller base; /* base.lock: everything below */
    gust__ring ring;
    struct io_uring_buf_ring *buf_ring;
    uint64_t wake_generation; /* of the wake poll that counts */
    bool wake_armed;          /* it is in the kernel */
    pthread_t wake_thread;    /* which thread has submitted it */
    _Atomic bool handing_out; /* results of a multishot; cleared without the lock */
} gust__uring;

static inline gust__uring *gust__uring_of(gust__poller *p)
{
    return (gust__uring *)p;
}

/* --- uring_poller.c ------------------------------------------------------ */

/* Opens all that a poller is made of; *ret_step is what was done last. */
int gust__uring_open_steps(gust__uring **ret_p, const char **ret_step);
void gust__uring_free(gust__uring *p);

int gust__uring_open(gust__poller **ret_poller);
void gust__uring_close(gust__poller *base);

/* uring_file.c */
void gust__uring_fill_file(struct io_uring_sqe *sqe, const struct gust__file_req *req);

/* Makes a buffer the kernel's.  Under base.lock: the kernel wants one producer. */
void gust__uring_buf_add(gust__uring *p, const gust__buf *buf);
void gust__uring_buf_put(gust__buf *buf);

/* --- netpoll_uring.c ----------------------------------------------------- */

/* Queues a multishot poll of the eventfd. */
void gust__uring_push_wake_poll(gust__uring *p);

/* Queues a receive into a provided buffer. */
void gust__uring_fill_recv_picked(struct io_uring_sqe *sqe, int fd);

/* --- uring_probe.c ------------------------------------------------------- */

int gust__uring_probe(const char **ret_why);

#endif
