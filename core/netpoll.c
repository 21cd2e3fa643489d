/* The netpoller's front: the choice of a backend, the life of an operation,
 * and what both kinds of poller have in common.
 *
 * Waking.  A sleeper must not miss a wake, and wakes are frequent, so that they
 * are worth merging:
 *      waker                                 sleeper
 *   W1 publish the work                   S1 watch the eventfd, if need be
 *   W2 wake_pending = 1; was it 1: stop   S2 wake_pending = 0; was it 1: no sleep
 *   W3 write the eventfd                  S3 sleep in the kernel
 *                                         S4 wake_pending = 0
 *                                         S5 look for work
 * W2 before S2: the sleeper does not sleep.  W2 after S2: whoever made the word 1
 * writes the eventfd after S1, so S3 ends.  W2 between S3 and S4: the sleep is
 * over, and the exchange of S4 makes W1 visible to S5.  A write that comes late
 * costs one more round, no more.  The eventfd is not read: each write is an edge
 * of its own to whoever watches it.
 *
 * One sleeper may be missed: who lost its P between S2 and S3.  The write that was
 * to tell it can be reaped by the M that has the P now, and it sleeps on with
 * wake_pending 1, until that M sleeps here too.  It has no P, so nobody waits for
 * it but the end of the runtime, which therefore wakes by gust__poller_wake_again. */
#include "core/netpoll.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/chaos.h"
#include "core/context.h"
#include "core/inject.h"
#include "core/io_order.h"
#include "core/netpoll_backend.h"
#include "core/sched.h"

static const gust__backend *backend;
static const gust__backend *imposed; /* by a test */
static bool free_choice;             /* it was `auto` */

#ifdef GUST__TSAN
char gust__io_order;
#endif

/* The submission queue bounds a batch; the completion queue is what must not
 * overflow: one entry per connection that may become ready at once. */
gust__netpoll_limits gust__netpoll_limits_now = {
    .sq_entries = 512,
    .cq_entries = 8192,
    .buf_count = GUST__BUF_COUNT,
    .zerocopy_min = GUST__ZEROCOPY_MIN,
};

/* --- The choice ---------------------------------------------------------- */

static int choose(const gust__backend *b)
{
    const char *why = "";
    int error = b->probe(&why);
    if (error)
        gust__log("cannot poll with %s: %s: %s", b->name, why, strerrordesc_np(-error));
    else
        backend = b;
    return error;
}

/* Never SQPOLL, which costs a CPU.
 *
 * Any failure of io_uring is a reason to do without it: containers answer
 * EPERM or ENOSYS, old kernels EINVAL, small machines ENOMEM. */
static int choose_auto(void)
{
    const char *why = "";
    int error = gust__backend_uring.probe(&why);
    if (!error) {
        backend = &gust__backend_uring;
        return 0;
    }
    int epoll_error = choose(&gust__backend_epoll);
    if (!epoll_error)
        gust__log("polling with epoll, not io_uring: %s: %s", why, strerrordesc_np(-error));
    return epoll_error;
}

bool gust__netpoll_choose_again(int error)
{
    if (!free_choice || backend == &gust__backend_epoll || choose(&gust__backend_epoll) < 0)
        return false;
    gust__log("polling with epoll, not io_uring: a ring for each P: %s", strerrordesc_np(-error));
    return true;
}

void gust__netpoll_use(const gust__backend *b)
{
    imposed = b;
}

int gust__netpoll_choose(const char *mode)
{
    free_choice = !imposed && (!mode || !*mode || strcmp(mode, "auto") == 0);
    if (imposed) {
        backend = imposed;
        return 0;
    }
    if (free_choice)
        return choose_auto();
    if (strcmp(mode, "uring") == 0)
        return choose(&gust__backend_uring);
    if (strcmp(mode, "sqpoll") == 0)
        return choose(&gust__backend_sqpoll);
    if (strcmp(mode, "epoll") == 0)
        return choose(&gust__backend_epoll);
    gust__log("GUST_NETPOLL=%s: wants auto, uring, sqpoll or epoll", mode);
    return -EINVAL;
}

const char *gust__netpoll_name(void)
{
    return backend ? backend->name : "";
}

bool gust__netpoll_does_files(void)
{
    return backend->does_files;
}

size_t gust__netpoll_zerocopy_min(void)
{
    return backend->zerocopy_min ? backend->zerocopy_min() : SIZE_MAX;
}

/* --- Pollers ------------------------------------------------------------- */

static int bufs_init(gust__poller *p, uint32_t max)
{
    uint32_t count = gust__netpoll_limits_now.buf_count;
    if (count > max)
        count = max;
    size_t size = (size_t)count * GUST__BUF_SIZE;
    gust__buf *bufs = gust__calloc(count, sizeof *bufs);
    if (!bufs)
        return -ENOMEM;
    /* Pages come as they are touched: most pollers never use all. */
    char *memory = gust__mmap(NULL, size, MAP_NORESERVE);
    if (memory == MAP_FAILED) {
        free(bufs);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++)
        bufs[i] =
            (gust__buf){.data = memory + (size_t)i * GUST__BUF_SIZE, .home = p, .id = (uint16_t)i};
    p->buf_memory = memory;
    p->bufs = bufs;
    p->buf_count = count;
    return 0;
}

int gust__poller_init(gust__poller *p, uint32_t buf_max)
{
    p->wake_fd = gust__inject(INJECT_EVENTFD) ? -1 : eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (p->wake_fd < 0)
        return -errno;
    int error = bufs_init(p, buf_max);
    if (error)
        close(p->wake_fd);
    return error;
}

void gust__poller_fini(gust__poller *p)
{
    munmap(p->buf_memory, (size_t)p->buf_count * GUST__BUF_SIZE);
    free(p->bufs);
    close(p->wake_fd);
}

static void write_eventfd(gust__poller *p)
{
    const uint64_t one = 1;
    while (write(p->wake_fd, &one, sizeof one) < 0 && errno == EINTR)
        ;
}

void gust__wake_send(gust__poller *p)
{
    if (!atomic_exchange_explicit(&p->wake_pending, 1, memory_order_acq_rel))
        write_eventfd(p);
}

bool gust__wake_take(gust__poller *p)
{
    /* Acquire: pairs with the exchange in gust__wake_send. */
    return atomic_exchange_explicit(&p->wake_pending, 0, memory_order_acq_rel) != 0;
}

int gust__poller_open(gust__poller **ret_poller)
{
    return backend->open(ret_poller);
}

void gust__poller_close(gust__poller *p)
{
    if (p)
        backend->close(p);
}

void gust__poller_sleep(gust__poller *p, int64_t timeout_ns)
{
    backend->sleep(p, gust__chaos(8) ? 0 : timeout_ns);
}

void gust__poller_wake(gust__poller *p)
{
    gust__wake_send(p);
}

void gust__poller_wake_again(gust__poller *p)
{
    atomic_exchange_explicit(&p->wake_pending, 1, memory_order_acq_rel);
    write_eventfd(p);
}

bool gust__poller_pending(gust__poller *p)
{
    return atomic_load_explicit(&p->finished, memory_order_relaxed) || backend->pending(p);
}

int gust__poller_reap(gust__poller *p)
{
    return backend->reap(p) + gust__poller_finish_all(p);
}

int gust__poller_poll(gust__poller *p)
{
    backend->collect(p);
    return gust__poller_reap(p);
}

void gust__poller_submit(gust__poller *p)
{
    backend->submit(p);
}

bool gust__poller_busy(gust__poller *p)
{
    /* Pairs with stay_watched of the epoll backend. */
    return atomic_load_explicit(&p->in_flight, memory_order_seq_cst) > 0 || gust__poller_pending(p);
}

bool gust__poller_has_ops(gust__poller *p)
{
    return atomic_load_explicit(&p->in_flight, memory_order_seq_cst) > 0 ||
           atomic_load_explicit(&p->finished, memory_order_relaxed);
}

/* --- Descriptors and buffers --------------------------------------------- */

int gust__fd_init(gust__fd *f, int fd)
{
    f->fd = fd;
    f->desc = NULL;
    return backend->fd_init(f);
}

int gust__fd_take(gust__fd *f)
{
    int fd = f->fd;
    backend->fd_fini(f);
    f->fd = -1;
    return fd;
}

void gust__fd_close(gust__fd *f)
{
    close(gust__fd_take(f));
}

void gust__buf_put(gust__buf *buf)
{
    backend->buf_put(buf);
}

/* --- Operations ---------------------------------------------------------- */

bool gust__op_claim(gust__op *op)
{
    uint32_t state = GUST__OP_IDLE;
    /* Release: publishes op->home to the acquire in gust__op_cancel. */
    if (atomic_compare_exchange_strong_explicit(&op->state, &state, GUST__OP_INFLIGHT,
                                                memory_order_acq_rel, memory_order_acquire))
        return true;
    if (state != GUST__OP_CANCELED)
        gust__fatal("an operation was started in state %u", state);
    op->res = gust__op_error(op, -ECANCELED);
    return false;
}

void gust__op_finish(gust__op *op)
{
    if (op->done)
        op->done(op);
    else
        gust__ready_tail(op->g);
}

void gust__poller_finish_later(gust__poller *p, gust__op *op)
{
    gust__op_set_done(op);
    gust__lock_take(&p->lock, RANK_POLLER);
    op->next = atomic_load_explicit(&p->finished, memory_order_relaxed);
    atomic_store_explicit(&p->finished, op, memory_order_relaxed);
    gust__lock_drop(&p->lock);
}

int gust__poller_finish_all(gust__poller *p)
{
    int n = 0;
    if (!atomic_load_explicit(&p->finished, memory_order_relaxed))
        return 0;
    gust__lock_take(&p->lock, RANK_POLLER);
    gust__op *op = atomic_load_explicit(&p->finished, memory_order_relaxed);
    atomic_store_explicit(&p->finished, NULL, memory_order_relaxed);
    gust__lock_drop(&p->lock);
    for (gust__op *next; op; op = next, n++) {
        next = op->next;
        gust__op_finish(op);
    }
    return n;
}

/* A multishot is never tried: its results come through `more`, on g0. */
static bool is_tried_first(const gust__op *op)
{
    if (op->code == GUST__OP_SENDMSG && !(op->flags & GUST__OP_ZEROCOPY))
        return backend->tries_sendmsg;
    return backend->tries_first && !(op->flags & (GUST__OP_DRAINED | GUST__OP_MULTISHOT));
}

static bool try_first(gust__op *op)
{
    return is_tried_first(op) && gust__op_state_now(op) == GUST__OP_IDLE && gust__op_try(op);
}

static void start_untried(gust__op *op)
{
    gust__poller *p = gust__poller_current();
    if (!backend->start(op, p))
        gust__poller_finish_later(p, op);
}

void gust__op_start(gust__op *op)
{
    if (try_first(op))
        gust__poller_finish_later(gust__poller_current(), op);
    else
        start_untried(op);
}

bool gust__op_start_or_do(gust__op *op)
{
    if (try_first(op))
        return true;
    start_untried(op);
    return false;
}

void gust__op_cancel(gust__op *op)
{
    uint32_t state = GUST__OP_IDLE;
    /* Acquire on failure: pairs with gust__op_claim and makes op->home visible. */
    if (!atomic_compare_exchange_strong_explicit(&op->state, &state, GUST__OP_CANCELED,
                                                 memory_order_acq_rel, memory_order_acquire) &&
        state == GUST__OP_INFLIGHT)
        backend->cancel(op);
}

/* Starting an op only once its goroutine has been switched away from is what
 * makes parking safe: no completion can come before there is somebody to wake. */
static bool wait_commit(G *g, void *arg)
{
    gust__op *op = arg;
    op->g = g;
    return backend->start(op, gust__poller_current());
}

/* io_uring cannot pick a buffer, accept, connect or splice by a plain call without
 * blocking in it.  There, the request and its cancellation go together: the
 * kernel tries the one at once, and finds out that it would wait at the other. */
static bool try_in_ring(gust__op *op)
{
    op->flags = (uint8_t)((op->flags & ~GUST__OP_DRAINED) | GUST__OP_TRY);
    gust__park(wait_commit, op, WAIT_IO);
    return op->res != -ECANCELED;
}

static bool plain_call_blocks(const gust__op *op)
{
    return !backend->tries_first && (op->code == GUST__OP_ACCEPT || op->code == GUST__OP_CONNECT ||
                                     op->code == GUST__OP_SPLICE || (op->flags & GUST__OP_PICK));
}

static int wait_for_nothing(gust__op *op, gust_time deadline)
{
    if (gust__op_state_now(op) == GUST__OP_CANCELED)
        return -ECANCELED;
    bool tried = plain_call_blocks(op) ? try_in_ring(op) : gust__op_try(op);
    return tried ? op->res : gust__op_error(op, deadline == GUST_NOW ? -EAGAIN : -ETIMEDOUT);
}

/* An op that is only READY is tried here: what it gets is used next. */
static void park_until_done(gust__op *op)
{
    do {
        op->flags &= (uint8_t)~GUST__OP_READY;
        gust__park(wait_commit, op, WAIT_IO);
    } while (op->flags & GUST__OP_READY && !gust__op_try(op));
}

static int wait_until(gust__op *op, gust__deadline *d, gust_time deadline)
{
    gust__deadline_begin(d, op, deadline);
    park_until_done(op);
    bool expired = gust__deadline_end(d);
    return op->res == -ECANCELED && expired ? -ETIMEDOUT : op->res;
}

static int wait_with_own_deadline(gust__op *op, gust_time deadline)
{
    gust__deadline d;
    gust__deadline_init(&d);
    int res = wait_until(op, &d, deadline);
    gust__deadline_fini(&d);
    return res;
}

static int wait_started(gust__op *op, gust__deadline *d, gust_time deadline)
{
    if (deadline == GUST_FOREVER) {
        park_until_done(op);
        return op->res;
    }
    return d ? wait_until(op, d, deadline) : wait_with_own_deadline(op, deadline);
}

/* The context may ask for the operation back from the first moment on: a start
 * finds out that it was cancelled before. */
static int wait_in_context(gust_context *c, gust__op *op, gust__deadline *d, gust_time deadline)
{
    gust__context_wait w = {.op = op};
    if (!gust__context_wait_begin(c, &w, NULL, 0))
        return gust__op_error(op, -ECANCELED);
    int res = wait_started(op, d, deadline);
    gust__context_wait_end(c, &w);
    return res;
}

/* The clock is not read here: for a deadline that has passed since the P's last
 * look at it, the timer fires at the next one. */
static int op_wait(gust__op *op, gust__deadline *d, gust_time deadline)
{
    gust_context *context = deadline == GUST_NOW ? NULL : gust_context_current();
    if (context && gust__context_canceled(context))
        return -ECANCELED;
    if (deadline != GUST_FOREVER && deadline <= gust__now_recent())
        return wait_for_nothing(op, deadline);
    if (try_first(op))
        return op->res;
    return context ? wait_in_context(context, op, d, deadline) : wait_started(op, d, deadline);
}

int gust__op_wait(gust__op *op, gust__deadline *d, gust_time deadline)
{
    op->res = op_wait(op, d, deadline);
    gust__op_set_done(op); /* also where no poller had it */
    return op->res;
}
