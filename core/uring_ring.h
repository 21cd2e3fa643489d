/* A raw io_uring that may be used by any thread, one at a time.
 *
 * liburing sets it up and fills requests, but its own way through the queues
 * assumes that one thread does it all (in 2.3 the tail of the submission queue
 * is published by a relaxed store).  Here every index that the kernel or another
 * thread reads is stored with release and loaded with acquire.
 *
 * Always, under the owner's lock: the slots from the kernel's head to *sq_ktail
 * are filled requests that the kernel has not taken.
 *
 * With SQPOLL a thread of the kernel takes requests as soon as they are pushed, and
 * completions appear without anybody's call.  It sleeps when it has found nothing
 * for a while; to submit is then to wake it:
 *      we                                 the kernel's thread
 *   1 publish the tail                 1 set NEED_WAKEUP
 *   2 fence                            2 fence
 *   3 NEED_WAKEUP: io_uring_enter      3 look at the tail; nothing there: sleep */
#ifndef GUST_CORE_URING_RING_H
#define GUST_CORE_URING_RING_H

#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct gust__ring_config {
    uint32_t sq_entries, cq_entries;
    bool sqpoll;             /* a kernel thread submits */
    uint32_t sqpoll_idle_ms; /* for so long it looks for requests, then it sleeps */
    int sqpoll_with;         /* the fd of a ring whose thread is to serve this one too; -1: none */
} gust__ring_config;

typedef struct gust__ring {
    int fd;
    bool sqpoll;
    uint32_t features;   /* IORING_FEAT_* */
    uint32_t wait_flags; /* of io_uring_enter when it sleeps */
    uint32_t sq_mask, cq_mask;
    uint32_t *sq_khead, *sq_ktail, *sq_kflags; /* shared with the kernel */
    uint32_t *cq_khead, *cq_ktail;             /* the same */
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    struct io_uring memory; /* what liburing has mapped */
} gust__ring;

/* Errors: what io_uring_setup(2) answers; -EINVAL if the kernel is too old. */
int gust__ring_open(gust__ring *r, const gust__ring_config *config);
void gust__ring_close(gust__ring *r);

/* --- Under the owner's lock ---------------------------------------------- */

/* The next free request, all zeroes; submits what is queued if there is none. */
struct io_uring_sqe *gust__ring_sqe(gust__ring *r);

/* Queues the request that gust__ring_sqe has returned. */
void gust__ring_push(gust__ring *r);

/* Hands what is queued to the kernel. */
void gust__ring_submit(gust__ring *r);

/* The same, and lets the kernel post what it has ready, if it says so. */
void gust__ring_collect(gust__ring *r);

/* Copies at most `max` completions out and frees their places. */
uint32_t gust__ring_take(gust__ring *r, struct io_uring_cqe *cqes, uint32_t max);

/* --- Any thread, no lock ------------------------------------------------- */

/* Submits `queued` requests and sleeps until there is a completion or the time
 * is over (ns; < 0: none).  May return early. */
void gust__ring_wait(gust__ring *r, uint32_t queued, int64_t timeout_ns);

/* What io_uring_enter needs to be told so that what is queued gets submitted:
 * IORING_ENTER_SQ_WAKEUP if the kernel's thread sleeps, else 0. */
uint32_t gust__ring_wakeup(const gust__ring *r);

/* How many requests the kernel has not taken. */
uint32_t gust__ring_queued(const gust__ring *r);

/* True if there are completions that nobody has taken. */
bool gust__ring_ready(const gust__ring *r);

/* True if the kernel has completions that it will post when asked. */
bool gust__ring_flagged(const gust__ring *r);

#endif
