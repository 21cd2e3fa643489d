/* The simulated poller; what it is for is in tests/core/sim.h.
 *
 * An operation goes through these stages; each stage has a time (`due`) before which
 * nothing happens to it:
 *
 *   WAITING --it could be done--> READY --it is done, or a part--> REPORTED
 *      ^                            |                                |
 *      +---- a part; or not any more, because others were quicker ---+-- `more`
 *
 * REPORTED means that the result stands, as in a completion queue; reap hands it
 * out.  A cancellation that finds WAITING or READY makes it REPORTED.
 *
 * Everything here is touched by the one M that has the one P. */
#include "tests/core/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/netpoll_backend.h"
#include "core/sched.h"
#include "tests/harness/test.h"

/* The simulation's seed decides everything here; chaos would only add to it. */
__attribute__((constructor)) static void no_chaos_in_simulation(void)
{
    unsetenv("GUST_CHAOS");
}

#define OPS_MAX 1024
#define TRACE_MAX ((size_t)4 << 20)
#define REAP_MAX 128
#define PENDING_MAX 64
#define NO_BUF UINT32_MAX
/* Keeps a P that never sleeps from standing still in time. */
#define COLLECT_NS GUST_US

/* A descriptor; gust__fd.desc. */
typedef struct sim_fd {
    struct sim_fd *next;
    int fd;
    unsigned id;              /* in the order of their making, for the trace */
    int pending[PENDING_MAX]; /* a listener's connections that nobody has accepted */
    int pending_count;
} sim_fd;

typedef enum sim_stage { WAITING, READY, REPORTED } sim_stage;

typedef struct sim_op {
    gust__op *op;
    unsigned id;
    sim_stage stage;
    gust_time due;
    int accepted;  /* multishot: the socket to report, or -1 */
    bool canceled; /* multishot: this one was the last */
} sim_op;

typedef struct sim_poller {
    gust__poller base;
    uint32_t free_buf;
} sim_poller;

static struct {
    sim_options options;
    uint64_t rand;
    gust_time now;
    sim_fd *fds;
    unsigned next_fd, next_op;
    sim_op ops[OPS_MAX]; /* in the order of their start */
    int op_count;
    char *trace;
    size_t trace_len;
} sim;

/* --- Chance, time, trace --------------------------------------------------- */

/* splitmix64 */
uint64_t sim_rand(uint64_t bound)
{
    uint64_t z = sim.rand += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % bound;
}

static gust_time sim_clock(void)
{
    return sim.now;
}

static gust_time soon(void)
{
    return sim.now + (int64_t)sim_rand((uint64_t)sim.options.delay_ns_max + 1);
}

void sim_note(const char *format, ...)
{
    va_list args;
    size_t room = TRACE_MAX - sim.trace_len;
    int n = snprintf(sim.trace + sim.trace_len, room, "%lld ", (long long)sim.now);
    va_start(args, format);
    n += vsnprintf(sim.trace + sim.trace_len + n, room - (size_t)n, format, args);
    va_end(args);
    CHECK((size_t)n + 1 < room);
    sim.trace_len += (size_t)n;
    sim.trace[sim.trace_len++] = '\n';
    sim.trace[sim.trace_len] = '\0';
}

const char *sim_trace(void)
{
    return sim.trace;
}

static void note_op(const sim_op *so, const char *what)
{
    static const char *const names[] = {
        [GUST__OP_RECV] = "recv",       [GUST__OP_SEND] = "send",
        [GUST__OP_SENDMSG] = "sendmsg", [GUST__OP_ACCEPT] = "accept",
        [GUST__OP_CONNECT] = "connect", [GUST__OP_POLL] = "poll",
        [GUST__OP_RECVMSG] = "recvmsg", [GUST__OP_SPLICE] = "splice",
        [GUST__OP_FILE] = "file"};
    sim_note("op %u %s fd %u: %s %d", so->id, names[so->op->code], ((sim_fd *)so->op->fd->desc)->id,
             what, so->stage == REPORTED ? so->op->res : 0);
}

/* --- Descriptors ------------------------------------------------------------- */

static int sim_fd_init(gust__fd *f)
{
    sim_fd *d = calloc(1, sizeof *d);
    CHECK(d != NULL);
    d->fd = f->fd;
    d->id = sim.next_fd++;
    d->next = sim.fds;
    sim.fds = d;
    f->desc = d;
    return 0;
}

static void fd_free(sim_fd *d)
{
    for (int i = 0; i < d->pending_count; i++)
        close(d->pending[i]);
    free(d);
}

static void sim_fd_fini(gust__fd *f)
{
    sim_fd **at = &sim.fds;
    while (*at != f->desc)
        at = &(*at)->next;
    *at = (*at)->next;
    fd_free(f->desc);
    f->desc = NULL;
}

static bool listens_on(const sim_fd *d, in_port_t port)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr, int_len = sizeof(int);
    int listens = 0;
    return getsockopt(d->fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &int_len) == 0 && listens &&
           getsockname(d->fd, (struct sockaddr *)&addr, &len) == 0 && addr.sin_port == port;
}

static sim_fd *listener_of(const struct sockaddr *addr)
{
    sim_fd *d = sim.fds;
    while (d && !listens_on(d, ((const struct sockaddr_in *)addr)->sin_port))
        d = d->next;
    return d && d->pending_count < PENDING_MAX ? d : NULL;
}

/* The socket that connects keeps its number and becomes one end of a pair. */
static int do_connect(const gust__op *op)
{
    int pair[2];
    sim_fd *l = listener_of(op->addr);
    if (!l)
        return -ECONNREFUSED;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    CHECK_EQ(dup3(pair[0], op->fd->fd, O_CLOEXEC), op->fd->fd);
    close(pair[0]);
    l->pending[l->pending_count++] = pair[1];
    return 0;
}

static int take_pending(gust__op *op)
{
    sim_fd *d = op->fd->desc;
    int fd = d->pending[0];
    memmove(d->pending, d->pending + 1, (size_t)--d->pending_count * sizeof d->pending[0]);
    return fd;
}

/* --- Doing an operation, or a part of it --------------------------------------- */

static short poll_now(int fd, short events)
{
    struct pollfd pfd = {.fd = fd, .events = events};
    CHECK(poll(&pfd, 1, 0) >= 0);
    return pfd.revents;
}

static bool could_be_done(const gust__op *op)
{
    switch ((gust__opcode)op->code) {
    case GUST__OP_RECV:
    case GUST__OP_RECVMSG: return poll_now(op->fd->fd, POLLIN) != 0;
    case GUST__OP_SEND:
    case GUST__OP_SENDMSG: return poll_now(op->fd->fd, POLLOUT) != 0;
    case GUST__OP_ACCEPT: return ((sim_fd *)op->fd->desc)->pending_count > 0;
    case GUST__OP_CONNECT: return true;
    case GUST__OP_POLL: return poll_now(op->fd->fd, op->events) != 0;
    case GUST__OP_FILE: break;
    case GUST__OP_SPLICE: return poll_now(op->fd->fd, op->fd->fd == op->in ? POLLIN : POLLOUT) != 0;
    }
    return false;
}

static size_t some_of(size_t len)
{
    size_t max = sim.options.bytes_max;
    return max && len > 0 ? 1 + sim_rand(len < max ? len : max) : len;
}

static gust__buf *buf_take(sim_poller *p)
{
    if (p->free_buf == NO_BUF)
        return NULL;
    gust__buf *buf = &p->base.bufs[p->free_buf];
    p->free_buf = buf->next_free;
    return buf;
}

static void sim_buf_put(gust__buf *buf)
{
    sim_poller *p = (sim_poller *)buf->home;
    buf->next_free = p->free_buf;
    p->free_buf = buf->id;
}

static int result_of(ssize_t n)
{
    return n < 0 ? -errno : (int)n;
}

static int do_recv(gust__op *op)
{
    if (!(op->flags & GUST__OP_PICK))
        return result_of(recv(op->fd->fd, op->buf, some_of(op->len), MSG_DONTWAIT));
    gust__buf *buf = buf_take((sim_poller *)op->home);
    if (!buf)
        return -ENOBUFS;
    int n = result_of(recv(op->fd->fd, buf->data, some_of(GUST__BUF_SIZE), MSG_DONTWAIT));
    if (n > 0)
        op->picked = buf;
    else
        sim_buf_put(buf);
    return n;
}

/* Of a SENDMSG the first piece, or a part of it. */
static int do_send(const gust__op *op)
{
    const char *data = (const char *)op->buf + op->sent;
    size_t len = op->len - op->sent;
    if (op->code == GUST__OP_SENDMSG) {
        if (op->msg->msg_iovlen == 0)
            return 0;
        data = op->msg->msg_iov->iov_base;
        len = op->msg->msg_iov->iov_len;
    }
    return result_of(send(op->fd->fd, data, some_of(len), MSG_DONTWAIT | MSG_NOSIGNAL));
}

static int do_recvmsg(const gust__op *op)
{
    const int flags = op->msg->msg_flags | MSG_DONTWAIT | MSG_CMSG_CLOEXEC;
    return result_of(recvmsg(op->fd->fd, op->msg, flags));
}

static int do_some(gust__op *op)
{
    switch ((gust__opcode)op->code) {
    case GUST__OP_RECV: return do_recv(op);
    case GUST__OP_SEND:
    case GUST__OP_SENDMSG: return do_send(op);
    case GUST__OP_RECVMSG: return do_recvmsg(op);
    case GUST__OP_ACCEPT: return take_pending(op);
    case GUST__OP_CONNECT: return do_connect(op);
    case GUST__OP_POLL: return poll_now(op->fd->fd, op->events);
    case GUST__OP_FILE: break;
    case GUST__OP_SPLICE:
        return result_of(splice(op->in, NULL, op->out, NULL, some_of(op->splice_len),
                                SPLICE_F_MOVE | SPLICE_F_NONBLOCK));
    }
    return -EINVAL;
}

static void set_stage(sim_op *so, sim_stage stage)
{
    so->stage = stage;
    so->due = soon();
}

static void report(sim_op *so, int res)
{
    so->op->res = gust__op_error(so->op, res);
    set_stage(so, REPORTED);
    note_op(so, "result");
}

/* It could be done a moment ago; but for a send, once is all. */
static void perform(sim_op *so)
{
    gust__op *op = so->op;
    int n = do_some(op);
    if (n == -EAGAIN) {
        set_stage(so, WAITING);
    } else if (gust__op_is_send(op) && n >= 0) {
        if (gust__op_sent(op, (size_t)n))
            report(so, (int)op->sent);
        else
            set_stage(so, WAITING);
    } else if (op->flags & GUST__OP_MULTISHOT) {
        so->accepted = n;
        set_stage(so, REPORTED);
    } else {
        report(so, n);
    }
}

/* --- Events ------------------------------------------------------------------- */

static void advance_op(sim_op *so)
{
    while (so->stage != REPORTED && so->due <= sim.now) {
        if (!could_be_done(so->op)) {
            so->stage = WAITING;
            return;
        }
        if (so->stage == WAITING)
            set_stage(so, READY);
        else
            perform(so);
    }
}

/* Until nothing changes: what one operation has done may be what another waits for. */
static void advance(void)
{
    for (uint64_t before = sim.rand + 1; before != sim.rand;) {
        before = sim.rand;
        for (int i = 0; i < sim.op_count; i++)
            advance_op(&sim.ops[i]);
    }
}

static bool reportable(const sim_op *so)
{
    return so->stage == REPORTED && so->due <= sim.now;
}

/* The next time at which something may change; one that waits for others has none. */
static gust_time next_event(void)
{
    gust_time next = GUST_FOREVER;
    for (int i = 0; i < sim.op_count; i++) {
        const sim_op *so = &sim.ops[i];
        if (so->due < next && (so->due > sim.now || so->stage == REPORTED))
            next = so->due;
    }
    return next;
}

/* --- The backend ---------------------------------------------------------------- */

static int sim_open(gust__poller **ret_poller)
{
    sim_poller *p = calloc(1, sizeof *p);
    CHECK(p != NULL);
    CHECK_EQ(gust__poller_init(&p->base, GUST__BUF_COUNT), 0);
    p->free_buf = NO_BUF;
    for (uint32_t i = p->base.buf_count; i-- > 0;)
        sim_buf_put(&p->base.bufs[i]);
    *ret_poller = &p->base;
    return 0;
}

static void sim_close(gust__poller *base)
{
    gust__poller_fini(base);
    free(base);
}

static sim_op *find(const gust__op *op)
{
    for (int i = 0; i < sim.op_count; i++)
        if (sim.ops[i].op == op)
            return &sim.ops[i];
    return NULL;
}

/* It comes too late for what could be done and, by chance or order, is. */
static void cancel_now(sim_op *so)
{
    bool loses = sim.options.cancel == SIM_CANCEL_LOSES ||
                 (sim.options.cancel == SIM_CANCEL_RANDOM && sim_rand(2));
    if (loses && could_be_done(so->op))
        perform(so);
    if (so->stage == REPORTED)
        so->canceled = true;
    else
        report(so, -ECANCELED);
}

static bool sim_start(gust__op *op, gust__poller *base)
{
    op->home = base;
    if (!gust__op_claim(op))
        return false;
    CHECK(sim.op_count < OPS_MAX);
    sim_op *so = &sim.ops[sim.op_count++];
    *so = (sim_op){.op = op, .id = sim.next_op++, .accepted = -1, .due = soon()};
    gust__in_flight_add(base, 1);
    note_op(so, "started");
    if (op->flags & GUST__OP_TRY) {
        if (could_be_done(op))
            perform(so);
        else
            report(so, -ECANCELED);
        so->due = sim.now;
    }
    return true;
}

static void sim_cancel_op(gust__op *op)
{
    if (gust__op_state_now(op) != GUST__OP_INFLIGHT)
        return;
    sim_op *so = find(op);
    CHECK(so != NULL);
    atomic_store_explicit(&op->state, GUST__OP_CANCELING, memory_order_relaxed);
    note_op(so, "cancel");
    if (so->stage == REPORTED)
        so->canceled = true;
    else
        cancel_now(so);
}

static void sim_sleep(gust__poller *base, int64_t timeout_ns)
{
    gust_time end = timeout_ns < 0 ? GUST_FOREVER : sim.now + timeout_ns;
    if (gust__wake_take(base) || atomic_load_explicit(&base->finished, memory_order_relaxed))
        return;
    for (;;) {
        advance();
        gust_time next = next_event();
        if (next <= sim.now || end <= sim.now)
            return;
        if (next == GUST_FOREVER && end == GUST_FOREVER)
            gust__fatal("the simulation stands still: nothing can happen any more");
        sim.now = next < end ? next : end;
    }
}

static bool sim_pending(gust__poller *base)
{
    return atomic_load_explicit(&base->in_flight, memory_order_relaxed) > 0;
}

static void sim_submit(gust__poller *base)
{
    (void)base;
}

static void sim_collect(gust__poller *base)
{
    (void)base;
    sim.now += COLLECT_NS;
    advance();
}

/* One of those that can be handed out, by chance; -1: there is none. */
static int pick_reportable(void)
{
    int picked = -1;
    uint64_t count = 0;
    for (int i = 0; i < sim.op_count; i++)
        if (reportable(&sim.ops[i]) && sim_rand(++count) == 0)
            picked = i;
    return picked;
}

static void hand_out_more(sim_op *so)
{
    int fd = so->accepted;
    so->accepted = -1;
    if (so->canceled)
        report(so, -ECANCELED);
    else
        set_stage(so, WAITING);
    note_op(so, "accepted");
    so->op->more(so->op, fd); /* which may start others, and so move *so */
}

static void hand_out(int i)
{
    gust__op *op = sim.ops[i].op;
    if (sim.ops[i].accepted >= 0) {
        hand_out_more(&sim.ops[i]);
        return;
    }
    note_op(&sim.ops[i], "done");
    sim.op_count--;
    memmove(&sim.ops[i], &sim.ops[i + 1], (size_t)(sim.op_count - i) * sizeof sim.ops[0]);
    gust__in_flight_add(op->home, -1);
    gust__op_set_done(op);
    gust__op_finish(op);
}

static int sim_reap(gust__poller *base)
{
    int n = 0;
    (void)base;
    for (int i; n < REAP_MAX && (i = pick_reportable()) >= 0; n++)
        hand_out(i);
    return n;
}

static const gust__backend sim_backend = {
    .name = "simulation",
    .open = sim_open,
    .close = sim_close,
    .start = sim_start,
    .cancel = sim_cancel_op,
    .sleep = sim_sleep,
    .pending = sim_pending,
    .submit = sim_submit,
    .collect = sim_collect,
    .reap = sim_reap,
    .fd_init = sim_fd_init,
    .fd_fini = sim_fd_fini,
    .buf_put = sim_buf_put,
};

/* --- Running ---------------------------------------------------------------------- */

static void reset(const sim_options *options)
{
    char *trace = sim.trace ? sim.trace : malloc(TRACE_MAX);
    CHECK(trace != NULL);
    memset(&sim, 0, sizeof sim);
    sim.options = *options;
    sim.rand = options->seed;
    sim.now = 1000 * GUST_SEC + (gust_time)(options->seed % (uint64_t)GUST_SEC);
    sim.trace = trace;
    sim.trace[0] = '\0';
}

static void free_fds(void)
{
    for (sim_fd *next; sim.fds; sim.fds = next) {
        next = sim.fds->next;
        fd_free(sim.fds);
    }
}

void sim_run(const sim_options *options, int (*main_fn)(void *arg), void *arg)
{
    reset(options);
    setenv("GUST_MAXPROCS", "1", 1);
    gust__netpoll_use(&sim_backend);
    gust__clock_simulated = sim_clock;
    int result = gust_run(main_fn, arg);
    gust__clock_simulated = NULL;
    gust__netpoll_use(NULL);
    free_fds();
    CHECK_EQ(result, 0);
}

void sim_delay(int64_t delay_ns_max)
{
    sim.options.delay_ns_max = delay_ns_max;
}

void sim_cancels(sim_cancel who)
{
    sim.options.cancel = who;
}

/* abort goes on when this returns. */
static void print_seed(int signo)
{
    (void)signo;
    dprintf(STDERR_FILENO, "GUST_TEST_SEED=%llu\n", (unsigned long long)sim.options.seed);
}

void sim_seeds(sim_options options, int count, int (*main_fn)(void *arg), void *arg)
{
    const char *text = getenv("GUST_TEST_SEED");
    uint64_t first = text ? strtoull(text, NULL, 0) : 1;
    signal(SIGABRT, print_seed);
#ifdef TEST_OWN_RUNNER
    count /= 10; /* a sanitizer makes a run that much slower */
#endif
    for (uint64_t i = 0; i < (text ? 1 : (uint64_t)count); i++) {
        options.seed = first + i;
        sim_run(&options, main_fn, arg);
    }
}
