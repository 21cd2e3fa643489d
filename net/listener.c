/* Listening.
 *
 * One multishot accept brings the connections, without a system call for each;
 * they go to the goroutine that has waited longest, or else into a queue.
 *
 *   OFF     nothing is asked for       --accept_start_locked-->  ON
 *   ON      the operation is in flight --queue_push_locked (queue full)--> PAUSING
 *           ON or PAUSING              --accept_done-->  OFF or, on EMFILE and
 *                                                        its like, BACKOFF
 *   BACKOFF the timer is set           --backoff_fire--> ON
 *
 * The queue is bounded by QUEUE_PAUSE plus what the kernel had reported by the
 * time the pause took effect; these are connections already accepted, and to
 * close them would be to refuse clients for a burst. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gust/tls.h>

#include "core/inject.h"
#include "core/sched.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/proxy_gate.h"
#include "net/socket.h"
#include "net/tcp_options.h"

#define QUEUE_PAUSE 256
#define QUEUE_RESUME (QUEUE_PAUSE / 2)
#define BACKOFF_MIN (5 * GUST_MS)
#define BACKOFF_MAX GUST_SEC

typedef enum accept_state { ACCEPT_OFF, ACCEPT_ON, ACCEPT_PAUSING, ACCEPT_BACKOFF } accept_state;

/* Accepted sockets nobody has taken yet: a ring that doubles. */
struct fd_queue {
    int *fds;
    uint32_t cap; /* 0 or a power of two */
    uint32_t head;
    uint32_t len;
};

struct gust_listener {
    _Atomic uint32_t refs;
    gust__lock lock; /* RANK_CONN: everything below */
    bool closing;
    bool complained; /* about a lack of descriptors or memory */
    accept_state state;
    gust__fd fd;
    gust__op op;
    struct fd_queue queue;
    gust__waitlist acceptors; /* empty unless the queue is; waiter.elem: an int for the fd */
    gust__waitlist closers;   /* waits for state to leave ON and PAUSING */
    gust__timer backoff;
    int64_t backoff_ns;   /* the last pause; 0 once something was accepted */
    gust_tls_config *tls; /* NULL: the connections are plain; counted */
    gust_addr addr;
    int type;               /* SOCK_STREAM or SOCK_SEQPACKET */
    gust__unix_path *path;  /* the file that goes with it, or NULL */
    gust__proxy_gate *gate; /* NULL: connections are handed out as they come */
};

/* --- The queue ----------------------------------------------------------- */

static bool queue_grow(struct fd_queue *q)
{
    uint32_t cap = q->cap ? q->cap * 2 : 16;
    int *fds = gust__malloc(cap * sizeof *fds);
    if (!fds)
        return false;
    for (uint32_t i = 0; i < q->len; i++)
        fds[i] = q->fds[(q->head + i) & (q->cap - 1)];
    free(q->fds);
    q->fds = fds;
    q->cap = cap;
    q->head = 0;
    return true;
}

/* False: out of memory. */
static bool queue_push(struct fd_queue *q, int fd)
{
    if (q->len == q->cap && !queue_grow(q))
        return false;
    q->fds[(q->head + q->len++) & (q->cap - 1)] = fd;
    return true;
}

static int queue_pop(struct fd_queue *q)
{
    int fd = q->fds[q->head];
    q->head = (q->head + 1) & (q->cap - 1);
    q->len--;
    return fd;
}

/* --- The multishot accept ------------------------------------------------ */

static void accept_more(gust__op *op, int res);
static void accept_done(gust__op *op);

static void accept_start_locked(gust_listener *l)
{
    l->op = (gust__op){
        .code = GUST__OP_ACCEPT,
        .flags = GUST__OP_MULTISHOT,
        .fd = &l->fd,
        .more = accept_more,
        .done = accept_done,
    };
    l->state = ACCEPT_ON;
    gust__op_start(&l->op);
}

static gust_listener *op_listener(gust__op *op)
{
    return (gust_listener *)((char *)op - offsetof(gust_listener, op));
}

/* Queues fd, or closes it if there is no memory to remember it by. */
static void queue_push_locked(gust_listener *l, int fd)
{
    if (!queue_push(&l->queue, fd))
        close(fd);
    if (l->queue.len >= QUEUE_PAUSE && l->state == ACCEPT_ON) {
        l->state = ACCEPT_PAUSING;
        gust__op_cancel(&l->op);
    }
}

/* A connection.  On g0. */
static void accept_more(gust__op *op, int fd)
{
    gust_listener *l = op_listener(op);
    gust__waiter *w = NULL;
    gust__lock_take(&l->lock, RANK_CONN);
    l->backoff_ns = 0;
    if (l->closing) {
        close(fd);
    } else if ((w = waitlist_take(&l->acceptors))) {
        *(int *)w->elem = fd;
        w->outcome = OUTCOME_DONE;
        w->next = NULL;
    } else {
        queue_push_locked(l, fd);
    }
    gust__lock_drop(&l->lock);
    gust__waiters_ready(w);
}

/* --- Its end ------------------------------------------------------------- */

/* Errors of one connection that died in the queue; the next is not concerned. */
static bool is_of_one_connection(int error)
{
    switch (-error) {
    case ECONNABORTED:
    case EINTR:
    case EPROTO:
    case ENETDOWN:
    case ENETUNREACH:
    case EHOSTDOWN:
    case EHOSTUNREACH:
    case ENONET:
    case ENOPROTOOPT:
    case EOPNOTSUPP: return true;
    }
    return false;
}

static void backoff_start_locked(gust_listener *l)
{
    l->backoff_ns = l->backoff_ns ? l->backoff_ns * 2 : BACKOFF_MIN;
    if (l->backoff_ns > BACKOFF_MAX)
        l->backoff_ns = BACKOFF_MAX;
    l->state = ACCEPT_BACKOFF;
    gust__timer_set(&l->backoff, gust_after(l->backoff_ns));
}

static void backoff_fire(gust__timer *t)
{
    gust_listener *l = (gust_listener *)((char *)t - offsetof(gust_listener, backoff));
    gust__lock_take(&l->lock, RANK_CONN);
    if (!l->closing)
        accept_start_locked(l);
    gust__lock_drop(&l->lock);
}

/* 0 and -ECANCELED are no errors; whatever is not of one connection is taken
 * for a lack that will pass, so that no error makes the listener spin. */
static void accept_ended_locked(gust_listener *l, int res)
{
    l->state = ACCEPT_OFF;
    if (l->closing)
        return;
    if (res < 0 && res != -ECANCELED && !is_of_one_connection(res))
        backoff_start_locked(l);
    else if (l->queue.len <= QUEUE_RESUME)
        accept_start_locked(l);
}

static void accept_done(gust__op *op)
{
    gust_listener *l = op_listener(op);
    int res = op->res;
    gust__lock_take(&l->lock, RANK_CONN);
    accept_ended_locked(l, res);
    bool complain = l->state == ACCEPT_BACKOFF && !l->complained;
    l->complained |= complain;
    gust__waiter *closers = NULL;
    if (l->closing)
        closers = gust__waitlist_take_all(&l->closers, OUTCOME_DONE);
    /* A copy: a closer may free l once the lock is dropped. */
    gust_addr addr = l->addr;
    gust__lock_drop(&l->lock);
    gust__waiters_ready(closers);
    if (complain) {
        char text[GUST_ADDR_TEXT_MAX];
        gust__log("accept on %s: %s; trying again at growing intervals (said once)",
                  gust_addr_format(&addr, text), strerrordesc_np(-res));
    }
}

/* --- Accepting ----------------------------------------------------------- */

static int take_or_wait_locked(gust_listener *l, gust_time deadline, int *ret_fd)
{
    int error = 0;
    if (l->closing) {
        error = -EBADF;
    } else if (l->queue.len > 0) {
        *ret_fd = queue_pop(&l->queue);
    } else {
        gust__waiter w = {.elem = ret_fd};
        waitlist_push(&l->acceptors, &w);
        error = gust__wait_linked(&l->acceptors, &l->lock, RANK_CONN, &w, deadline, WAIT_IO);
        return !error && w.outcome == OUTCOME_CLOSED ? -EBADF : error;
    }
    gust__lock_drop(&l->lock);
    return error;
}

int gust__listener_accept_fd(gust_listener *l, int type, gust_time deadline, int *ret_fd)
{
    if (l->type != type)
        return -EPROTOTYPE;
    gust__lock_take(&l->lock, RANK_CONN);
    if (l->state == ACCEPT_OFF && !l->closing && l->queue.len <= QUEUE_RESUME)
        accept_start_locked(l);
    return take_or_wait_locked(l, deadline, ret_fd);
}

int gust__listener_take(gust_listener *l, gust_time deadline, gust_conn **ret_conn)
{
    GUST__CALL();
    int fd = -1;
    int error = gust__listener_accept_fd(l, SOCK_STREAM, deadline, &fd);
    return error ? error : gust__conn_adopt_family(fd, l->addr.any.sa_family, ret_conn);
}

int gust_listener_accept(gust_listener *l, gust_time deadline, gust_conn **ret_conn)
{
    GUST__CALL();
    int error = l->gate ? gust__proxy_gate_accept(l->gate, deadline, ret_conn)
                        : gust__listener_take(l, deadline, ret_conn);
    if (!error && l->tls && (error = gust_tls_server(*ret_conn, l->tls)))
        gust_conn_unref(*ret_conn);
    return error;
}

void gust_listener_proxy_stats(gust_listener *l, gust_proxy_stats *ret_stats)
{
    *ret_stats = (gust_proxy_stats){.with_header = 0};
    if (l->gate)
        gust__proxy_gate_stats(l->gate, ret_stats);
}

void gust_listener_use_tls(gust_listener *l, gust_tls_config *config)
{
    gust_tls_config *before = l->tls;
    l->tls = config ? gust_tls_config_ref(config) : NULL;
    gust_tls_config_unref(before);
}

/* --- Making -------------------------------------------------------------- */

static int bind_and_listen(int fd, const gust_addr *addr, const gust_listen_options *options)
{
    int error = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!error && options->reuse_port)
        error = socket_set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!error && addr->any.sa_family == AF_INET6)
        error = socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6only);
    if (!error)
        error = gust__tcp_setup(fd, options->tcp);
    if (error)
        return error;
    gust__tcp_setup_listener(fd, options->tcp, options->defer_accept_ns);
    if (bind(fd, &addr->any, addr->len) < 0)
        return -errno;
    return listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) < 0 ? -errno : 0;
}

static int socket_listen(const gust_addr *addr, const gust_listen_options *options)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind_and_listen(fd, addr, options);
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

static int socket_listen_anywhere(const gust_addr *addr, const gust_listen_options *options)
{
    int fd = socket_listen(addr, options);
    gust_addr v4;
    if (fd == -EAFNOSUPPORT && !options->v6only && addr_v4_anywhere(addr, &v4))
        return socket_listen(&v4, options);
    return fd;
}

int gust__listener_new(int fd, int type, gust__unix_path *path, gust_listener **ret_listener)
{
    gust_listener *l = gust__calloc(1, sizeof *l);
    int error = l ? gust__fd_init(&l->fd, fd) : -ENOMEM;
    if (error) {
        free(l);
        return error;
    }
    atomic_init(&l->refs, 1);
    l->backoff.fn = backoff_fire;
    l->type = type;
    l->path = path;
    l->addr.len = sizeof l->addr.un;
    (void)getsockname(fd, &l->addr.any, &l->addr.len); /* it is bound: cannot fail */
    *ret_listener = l;
    return 0;
}

int gust_tcp_listen(const gust_addr *addr, const gust_listen_options *options,
                    gust_listener **ret_listener)
{
    GUST__CALL();
    static const gust_listen_options defaults;
    gust_listener *l;
    if (!options)
        options = &defaults;
    int fd = socket_listen_anywhere(addr, options);
    if (fd < 0)
        return fd;
    int error = gust__listener_new(fd, SOCK_STREAM, NULL, &l);
    if (error) {
        close(fd);
        return error;
    }
    if (options->proxy && (error = gust__proxy_gate_new(l, options->proxy, &l->gate))) {
        gust_listener_unref(l);
        return error;
    }
    *ret_listener = l;
    return 0;
}

void gust_listener_addr(const gust_listener *l, gust_addr *ret_addr)
{
    *ret_addr = l->addr;
}

/* --- Closing ------------------------------------------------------------- */

static void wait_accept_ended_locked(gust_listener *l)
{
    while (l->state == ACCEPT_ON || l->state == ACCEPT_PAUSING) {
        gust__waiter w = {.steadfast = true};
        gust__op_cancel(&l->op);
        waitlist_push(&l->closers, &w);
        (void)gust__wait_linked(&l->closers, &l->lock, RANK_CONN, &w, GUST_FOREVER, WAIT_IO);
        gust__lock_take(&l->lock, RANK_CONN);
    }
}

/* Once it returns the port is free and nothing refers to l but its owners. */
static void listener_shut(gust_listener *l)
{
    gust__lock_take(&l->lock, RANK_CONN);
    bool first = !l->closing;
    l->closing = true;
    gust__waiter *acceptors = gust__waitlist_take_all(&l->acceptors, OUTCOME_CLOSED);
    if (first)
        wait_accept_ended_locked(l);
    gust__lock_drop(&l->lock);
    gust__waiters_ready(acceptors);
    if (!first)
        return;
    if (l->gate)
        gust__proxy_gate_shut(l->gate);
    gust__timer_stop(&l->backoff);
    gust__unix_unbind(l->path);
    gust__fd_close(&l->fd);
    while (l->queue.len > 0)
        close(queue_pop(&l->queue));
}

gust_listener *gust_listener_ref(gust_listener *l)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

void gust_listener_unref(gust_listener *l)
{
    GUST__CALL();
    /* Release and acquire: what every owner did comes before the free.  Pairs
     * with itself. */
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;
    listener_shut(l);
    gust__proxy_gate_free(l->gate);
    gust_tls_config_unref(l->tls);
    free(l->queue.fds);
    free(l);
}

void gust_listener_close(gust_listener *l)
{
    GUST__CALL();
    if (!l)
        return;
    listener_shut(l);
    gust_listener_unref(l);
}
