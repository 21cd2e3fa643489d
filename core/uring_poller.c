/* What an io_uring poller is made of: its ring, its provided buffers, and how
 * these come and go. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/file_op.h"
#include "core/inject.h"
#include "core/netpoll_uring.h"
#include "core/rights.h"
#include "core/sched.h"

/* How long close waits for the kernel to give the operations back. */
#define CLOSE_TRIES 100
#define CLOSE_WAIT_NS (20 * GUST_MS)

/* How much smaller a ring is for which there was no memory at first. */
#define SMALLER 8

/* --- Provided buffers ---------------------------------------------------- */

#define NO_BUF (-1)

void gust__uring_buf_add(gust__uring *p, gust__buf *buf)
{
    if (!p->buf_ring) {
        buf->next_free = (uint32_t)p->free_buf;
        p->free_buf = buf->id;
        return;
    }
    io_uring_buf_ring_add(p->buf_ring, buf->data, GUST__BUF_SIZE, buf->id,
                          io_uring_buf_ring_mask(p->base.buf_count), 0);
    io_uring_buf_ring_advance(p->buf_ring, 1);
}

void gust__uring_buf_put(gust__buf *buf)
{
    gust__lock_take(&buf->home->lock, RANK_POLLER);
    gust__uring_buf_add(gust__uring_of(buf->home), buf);
    gust__lock_drop(&buf->home->lock);
}

gust__buf *gust__uring_buf_take(gust__uring *p)
{
    if (p->free_buf == NO_BUF)
        return NULL;
    gust__buf *buf = &p->base.bufs[p->free_buf];
    p->free_buf = (int32_t)buf->next_free;
    return buf;
}

static size_t buf_ring_size(const gust__uring *p)
{
    return p->base.buf_count * sizeof(struct io_uring_buf);
}

static int buf_ring_open(gust__uring *p)
{
    void *memory = gust__mmap(NULL, buf_ring_size(p), 0);
    if (memory == MAP_FAILED)
        return -ENOMEM;
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)memory, .ring_entries = p->base.buf_count, .bgid = URING_BUF_GROUP};
    int error = gust__inject(INJECT_URING_REGISTER)
                    ? -errno
                    : io_uring_register_buf_ring(&p->ring.memory, &reg, 0);
    if (error) {
        munmap(memory, buf_ring_size(p));
        return error;
    }
    p->buf_ring = memory;
    io_uring_buf_ring_init(p->buf_ring);
    return 0;
}

/* Without the ring, buffers are handed out by hand. */
static int bufs_open(gust__uring *p, bool needs_all)
{
    int error = buf_ring_open(p);
    if (error && needs_all)
        return error;
    if (error)
        gust__log("io_uring picks no buffers (%s): each connection that waits to read has one",
                  strerrordesc_np(-error));
    p->free_buf = NO_BUF;
    for (uint32_t i = 0; i < p->base.buf_count; i++)
        gust__uring_buf_add(p, &p->base.bufs[i]);
    return 0;
}

static void bufs_close(gust__uring *p)
{
    if (p->buf_ring)
        munmap(p->buf_ring, buf_ring_size(p));
}

/* --- Open and close ------------------------------------------------------ */

/* Rings count as locked memory, of which an ordinary user has a few MiB for all his
 * processes.  A small one works as well: what overflows is kept by the kernel. */
static int ring_open(gust__uring *p, bool sqpoll)
{
    gust__ring_config config = {.sq_entries = gust__netpoll_limits_now.sq_entries,
                                .cq_entries = gust__netpoll_limits_now.cq_entries};
    if (sqpoll)
        gust__sqpoll_config(&config);
    int error = gust__ring_open(&p->ring, &config);
    if (error == -ENOMEM) {
        config.sq_entries = config.sq_entries / SMALLER + 1;
        config.cq_entries = config.cq_entries / SMALLER + 2;
        error = gust__ring_open(&p->ring, &config);
    }
    if (!error && sqpoll)
        gust__sqpoll_opened(p);
    return error;
}

static void ring_close(gust__uring *p)
{
    if (p->ring.sqpoll)
        gust__sqpoll_closing(p);
    gust__ring_close(&p->ring);
}

static int open_at(gust__uring *p, bool sqpoll, bool needs_all, const char **ret_step)
{
    *ret_step = "eventfd and buffers";
    int error = gust__poller_init(&p->base, GUST__BUF_COUNT);
    if (error)
        return error;
    *ret_step = "io_uring_setup";
    error = ring_open(p, sqpoll);
    if (error)
        goto fini;
    *ret_step = "provided buffers";
    error = bufs_open(p, needs_all);
    if (error)
        goto close_ring;
    return 0;
close_ring:
    ring_close(p);
fini:
    gust__poller_fini(&p->base);
    return error;
}

int gust__uring_open_steps(bool sqpoll, bool needs_all, gust__uring **ret_p, const char **ret_step)
{
    *ret_step = "memory";
    gust__uring *p = gust__calloc(1, sizeof *p);
    if (!p)
        return -ENOMEM;
    int error = open_at(p, sqpoll, needs_all, ret_step);
    if (error)
        free(p);
    else
        *ret_p = p;
    return error;
}

void gust__uring_free(gust__uring *p)
{
    ring_close(p);
    bufs_close(p);
    gust__poller_fini(&p->base);
    free(p);
}

int gust__uring_open_as(bool sqpoll, gust__poller **ret_poller)
{
    const char *step;
    gust__uring *p;
    int error = gust__uring_open_steps(sqpoll, false, &p, &step);
    if (error)
        gust__log("cannot open a poller: %s: %s", step, strerrordesc_np(-error));
    else
        *ret_poller = &p->base;
    return error;
}

int gust__uring_open(gust__poller **ret_poller)
{
    return gust__uring_open_as(false, ret_poller);
}

static bool brings_descriptor(const gust__op *op)
{
    return op->code == GUST__OP_ACCEPT ||
           (op->code == GUST__OP_FILE && op->file->what == GUST__FILE_OPEN);
}

/* Of a send whose bytes the kernel has in part the connection is reset, or it would keep
 * the memory until the peer has got them. */
static void forget_send(gust__op *op, const struct io_uring_cqe *cqe)
{
    if (cqe->flags & IORING_CQE_F_NOTIF) {
        op->notes--;
        return;
    }
    if (cqe->res > 0)
        op->sent += (size_t)cqe->res;
    if (cqe->flags & IORING_CQE_F_MORE)
        op->notes++;
    if (op->notes > 0)
        gust__uring_give_up(op);
}

/* Counts a completion of an op that nobody waits for any more. */
static void forget(gust__uring *p, const struct io_uring_cqe *cqe)
{
    uint64_t tag = cqe->user_data & URING_TAG_MASK;
    if (tag != URING_TAG_OP && tag != URING_TAG_CANCEL)
        return;
    gust__op *op = (gust__op *)(uintptr_t)(cqe->user_data & ~(uint64_t)URING_TAG_MASK);
    if (tag == URING_TAG_OP && brings_descriptor(op) && cqe->res >= 0)
        close(cqe->res);
    if (tag == URING_TAG_OP && op->code == GUST__OP_RECVMSG && cqe->res >= 0)
        gust__rights_close(op->msg);
    if (tag == URING_TAG_OP && gust__op_is_send(op))
        forget_send(op, cqe);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        gust__in_flight_add(&p->base, -1);
}

static void take_everything_back(gust__uring *p)
{
    struct io_uring_cqe cqes[URING_REAP_MAX];
    struct io_uring_sqe *sqe = gust__ring_sqe(&p->ring);
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    sqe->user_data = URING_TAG_IGNORE;
    gust__ring_push(&p->ring);
    gust__uring_give_up_all(p); /* no cancellation finds these */
    for (int tries = 0; tries < CLOSE_TRIES; tries++) {
        gust__ring_collect(&p->ring);
        for (uint32_t n; (n = gust__ring_take(&p->ring, cqes, URING_REAP_MAX)) > 0;)
            for (uint32_t i = 0; i < n; i++)
                forget(p, &cqes[i]);
        if (atomic_load_explicit(&p->base.in_flight, memory_order_relaxed) == 0)
            return;
        gust__ring_wait(&p->ring, 0, CLOSE_WAIT_NS);
    }
}

void gust__uring_close(gust__poller *base)
{
    gust__uring *p = gust__uring_of(base);
    gust__lock_take(&base->lock, RANK_POLLER);
    if (atomic_load_explicit(&base->in_flight, memory_order_relaxed) > 0)
        take_everything_back(p);
    gust__lock_drop(&base->lock);
    gust__uring_free(p);
}
