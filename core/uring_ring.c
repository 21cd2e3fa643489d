/* The raw ring; the rules are in core/uring_ring.h. */
#include "core/uring_ring.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>

#include "core/inject.h"
#include "core/io_order.h"
#include "core/netpoll_backend.h"
#include "core/proc.h"

/* Newer than liburing 2.3. */
#ifndef IORING_FEAT_NO_IOWAIT
#define IORING_FEAT_NO_IOWAIT (1U << 17)
#endif
#ifndef IORING_ENTER_NO_IOWAIT
#define IORING_ENTER_NO_IOWAIT (1U << 7)
#endif

/* How often a submission that the kernel refuses (it is out of memory, or its
 * completion queue is) is repeated before the program is given up. */
#define SUBMIT_TRIES 10000

/* COOP_TASKRUN, but for SQPOLL: no interrupts between threads; a completion is
 * posted when its thread enters the kernel next, and an idle one is in the kernel.
 * Not SINGLE_ISSUER, not DEFER_TASKRUN: the ring changes its thread. */
#define THREAD_FLAGS (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG)
#define SETUP_FLAGS (IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP)

/* Overflowing completions are kept; sockets need no kernel threads; waiting
 * takes a timeout; a request is copied when it is submitted. */
#define NEEDED_FEATURES \
    (IORING_FEAT_NODROP | IORING_FEAT_FAST_POLL | IORING_FEAT_EXT_ARG | IORING_FEAT_SUBMIT_STABLE)

static uint32_t load_acquire(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store_release(uint32_t *word, uint32_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static struct io_uring_params params_of(const gust__ring_config *config)
{
    struct io_uring_params params = {.flags = SETUP_FLAGS, .cq_entries = config->cq_entries};
    if (!config->sqpoll) {
        params.flags |= THREAD_FLAGS;
        return params;
    }
    params.flags |= IORING_SETUP_SQPOLL;
    params.sq_thread_idle = config->sqpoll_idle_ms;
    if (config->sqpoll_with >= 0) {
        params.flags |= IORING_SETUP_ATTACH_WQ;
        params.wq_fd = (uint32_t)config->sqpoll_with;
    }
    return params;
}

int gust__ring_open(gust__ring *r, const gust__ring_config *config)
{
    struct io_uring_params params = params_of(config);
    memset(r, 0, sizeof *r);
    int error = gust__inject(INJECT_URING_SETUP)
                    ? -errno
                    : io_uring_queue_init_params(config->sq_entries, &r->memory, &params);
    if (error)
        return error;
    r->features = params.features & ~gust__netpoll_limits_now.missing_features;
    if ((r->features & NEEDED_FEATURES) != NEEDED_FEATURES) {
        io_uring_queue_exit(&r->memory);
        return -EINVAL;
    }
    r->fd = r->memory.ring_fd;
    r->sqpoll = config->sqpoll;
    r->wait_flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    if (r->features & IORING_FEAT_NO_IOWAIT)
        r->wait_flags |= IORING_ENTER_NO_IOWAIT;
    r->sq_mask = params.sq_entries - 1;
    r->cq_mask = params.cq_entries - 1;
    r->sq_khead = r->memory.sq.khead;
    r->sq_ktail = r->memory.sq.ktail;
    r->sq_kflags = r->memory.sq.kflags;
    r->cq_khead = r->memory.cq.khead;
    r->cq_ktail = r->memory.cq.ktail;
    r->sqes = r->memory.sq.sqes;
    r->cqes = r->memory.cq.cqes;
    /* Slot i of the queue is request i, for ever. */
    for (uint32_t i = 0; i < params.sq_entries; i++)
        r->memory.sq.array[i] = i;
    return 0;
}

void gust__ring_close(gust__ring *r)
{
    io_uring_queue_exit(&r->memory);
}

uint32_t gust__ring_queued(const gust__ring *r)
{
    /* The head first: a tail read before it could be behind it.  Acquire: pairs
     * with the kernel's release of the slots and with gust__ring_push. */
    uint32_t head = load_acquire(r->sq_khead);
    return load_acquire(r->sq_ktail) - head;
}

bool gust__ring_ready(const gust__ring *r)
{
    return load_acquire(r->cq_ktail) != load_acquire(r->cq_khead);
}

bool gust__ring_flagged(const gust__ring *r)
{
    return load_acquire(r->sq_kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW);
}

/* One io_uring_enter.  Stops the program where it cannot go on; everything else
 * that goes wrong shows in what is still queued. */
static int enter(gust__ring *r, uint32_t queued, uint32_t min_complete, uint32_t flags, void *arg,
                 size_t arg_size)
{
    int n = gust__inject(INJECT_URING_ENTER)
                ? -errno
                : io_uring_enter2((unsigned)r->fd, queued, min_complete, flags, arg, arg_size);
    if (n == -EBADR)
        gust__fatal("io_uring lost completions: the kernel is out of memory");
    if (n < 0 && n != -EINTR && n != -ETIME && n != -EAGAIN && n != -EBUSY)
        gust__fatal("io_uring_enter: %s", strerrordesc_np(-n));
    return n;
}

uint32_t gust__ring_wakeup(const gust__ring *r)
{
    if (!r->sqpoll)
        return 0;
    gust__fence();
    return load_acquire(r->sq_kflags) & IORING_SQ_NEED_WAKEUP ? IORING_ENTER_SQ_WAKEUP : 0;
}

/* Submits at least one request if one is queued; SQPOLL: by whatever `flags` ask for. */
static void submit_some(gust__ring *r, uint32_t flags)
{
    for (int tries = 0;; tries++) {
        uint32_t queued = gust__ring_queued(r);
        if (enter(r, queued, 0, flags, NULL, 0) >= 0 || queued == 0)
            return;
        if (tries == SUBMIT_TRIES)
            gust__fatal("io_uring accepts no requests any more");
        /* GETEVENTS also empties an overflow, which is one of the reasons. */
        flags |= IORING_ENTER_GETEVENTS;
        if (tries > 0)
            sched_yield();
    }
}

void gust__ring_submit(gust__ring *r)
{
    if (gust__ring_queued(r) == 0)
        return;
    uint32_t wakeup = gust__ring_wakeup(r);
    if (wakeup || !r->sqpoll)
        submit_some(r, wakeup);
}

void gust__ring_collect(gust__ring *r)
{
    if (gust__ring_flagged(r))
        submit_some(r, IORING_ENTER_GETEVENTS | gust__ring_wakeup(r));
    else
        gust__ring_submit(r);
}

struct io_uring_sqe *gust__ring_sqe(gust__ring *r)
{
    const uint32_t wait = r->sqpoll ? IORING_ENTER_SQ_WAKEUP | IORING_ENTER_SQ_WAIT : 0;
    while (gust__ring_queued(r) > r->sq_mask)
        submit_some(r, wait);
    struct io_uring_sqe *sqe = &r->sqes[*r->sq_ktail & r->sq_mask];
    memset(sqe, 0, sizeof *sqe);
    return sqe;
}

void gust__ring_push(gust__ring *r)
{
    gust__io_release();
    /* Release: publishes the request to the kernel, whichever thread enters. */
    store_release(r->sq_ktail, *r->sq_ktail + 1);
}

uint32_t gust__ring_take(gust__ring *r, struct io_uring_cqe *cqes, uint32_t max)
{
    uint32_t head = *r->cq_khead;
    /* Acquire: pairs with the kernel's release of the entries. */
    uint32_t n = load_acquire(r->cq_ktail) - head;
    if (n > max)
        n = max;
    for (uint32_t i = 0; i < n; i++)
        cqes[i] = r->cqes[(head + i) & r->cq_mask];
    /* Release: the kernel may overwrite them only after they were read. */
    if (n > 0)
        store_release(r->cq_khead, head + n);
    gust__io_acquire();
    return n;
}

void gust__ring_wait(gust__ring *r, uint32_t queued, int64_t timeout_ns)
{
    struct __kernel_timespec ts = {.tv_sec = timeout_ns / GUST_SEC,
                                   .tv_nsec = timeout_ns % GUST_SEC};
    struct io_uring_getevents_arg arg = {.sigmask_sz = _NSIG / 8};
    if (timeout_ns >= 0)
        arg.ts = (uintptr_t)&ts;
    uint32_t wakeup = queued > 0 ? gust__ring_wakeup(r) : 0;
    enter(r, queued, 1, r->wait_flags | wakeup, &arg, sizeof arg);
}
