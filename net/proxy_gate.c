/* From the kernel's accept to the user's, by way of the PROXY header:
 *
 *   accept_all --a goroutine each--> arrive --ready (a channel)--> gust_listener_accept
 *
 * Bounded: PENDING_MAX connections wait for their header or for a place in `ready`,
 * READY_MAX for somebody to accept them; the others stay in the listener's queue and
 * the kernel's backlog.  All goroutines run under one context, whose cancellation
 * sends them home; shut waits until the last has gone, so none of them needs a
 * reference to the listener. */
#include "net/proxy_gate.h"

#include <errno.h>
#include <gust/chan.h>
#include <gust/context.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "net/conn.h"
#include "net/listener.h"

#define PENDING_MAX 1024
#define READY_MAX 128
#define HEADER_TIMEOUT (5 * GUST_SEC)

/* How the wait for a header ended. */
typedef enum header_end {
    HEADER_TAKEN,
    HEADER_NONE,   /* it begins with something else */
    HEADER_SILENT, /* nothing came in time */
    HEADER_ENDED,  /* the stream has ended with nothing in it */
    HEADER_MALFORMED,
    HEADER_LATE, /* a part of it came in time */
    HEADER_FAILED,
} header_end;

/* What is counted. */
typedef enum conn_fate {
    FATE_WITH_HEADER,
    FATE_WITHOUT,
    FATE_MALFORMED,
    FATE_TIMED_OUT,
    FATE_REFUSED,
    FATE_FAILED,
    FATE_COUNT,
} conn_fate;

struct gust__proxy_gate {
    gust_listener *listener;
    gust_proxy_options options; /* `allow` is ours */
    gust_context *context;
    gust_chan *ready; /* of gust_conn *, with the reference */
    gust_semaphore pending;
    gust_waitgroup running;
    gust_mutex mutex; /* the next two */
    bool started;
    bool stopped;
    _Atomic uint64_t counts[FATE_COUNT];
};

static void count(gust__proxy_gate *gate, conn_fate fate)
{
    atomic_fetch_add_explicit(&gate->counts[fate], 1, memory_order_relaxed);
}

/* --- Who may send a header ----------------------------------------------- */

static bool is_allowed(const gust__proxy_gate *gate, const gust_conn *c)
{
    gust_addr peer;
    if (!gate->options.allow)
        return true;
    gust_conn_peer_addr(c, &peer);
    for (size_t i = 0; i < gate->options.allow_count; i++)
        if (gust_proxy_prefix_has(&gate->options.allow[i], &peer))
            return true;
    return false;
}

/* --- A header ------------------------------------------------------------ */

/* Keeps what the header says with the conn, the TLVs behind it in the same memory. */
static header_end keep_header(gust_conn *c, const gust_proxy_header *header, size_t len)
{
    gust_proxy_header *kept = gust__malloc(sizeof *kept + header->tlvs.len);
    if (!kept)
        return HEADER_FAILED;
    char *tlvs = (char *)(kept + 1);
    if (header->tlvs.len > 0)
        memcpy(tlvs, header->tlvs.data, header->tlvs.len);
    *kept = *header;
    kept->tlvs.data = tlvs;
    c->proxy = kept;
    gust_conn_consume(c, len);
    return HEADER_TAKEN;
}

static header_end of_fill_error(ssize_t n, bool silent)
{
    if (n == -ETIMEDOUT)
        return silent ? HEADER_SILENT : HEADER_LATE;
    return n == 0 && silent ? HEADER_ENDED : HEADER_FAILED;
}

static header_end await_header(gust_conn *c, gust_time deadline)
{
    gust_proxy_header header;
    for (;;) {
        ssize_t n = gust_proxy_header_parse(gust_conn_view(c), &header);
        if (n > 0)
            return keep_header(c, &header, (size_t)n);
        if (n < 0)
            return n == -ENOENT ? HEADER_NONE : HEADER_MALFORMED;
        bool silent = gust_conn_view(c).len == 0;
        n = gust_conn_fill(c, GUST_PROXY_HEADER_MAX, deadline);
        if (n <= 0)
            return of_fill_error(n, silent);
    }
}

static conn_fate fate_of(header_end end, bool required)
{
    switch (end) {
    case HEADER_TAKEN: return FATE_WITH_HEADER;
    case HEADER_NONE: return required ? FATE_REFUSED : FATE_WITHOUT;
    case HEADER_SILENT: return required ? FATE_TIMED_OUT : FATE_WITHOUT;
    case HEADER_ENDED: return required ? FATE_FAILED : FATE_WITHOUT;
    case HEADER_MALFORMED: return FATE_MALFORMED;
    case HEADER_LATE: return FATE_TIMED_OUT;
    case HEADER_FAILED: return FATE_FAILED;
    }
    return FATE_FAILED;
}

/* Hands c out or closes it. */
static void settle(gust__proxy_gate *gate, gust_conn *c, conn_fate fate)
{
    count(gate, fate);
    bool goes_out = fate == FATE_WITH_HEADER || fate == FATE_WITHOUT;
    if (!goes_out || gust_chan_send(gate->ready, &c, GUST_FOREVER) < 0)
        (void)gust_conn_close(c, GUST_NOW);
}

/* --- The goroutines ------------------------------------------------------ */

struct arrival {
    gust__proxy_gate *gate;
    gust_conn *conn;
};

static void arrive(void *arg)
{
    struct arrival a = *(struct arrival *)arg;
    free(arg);
    gust__proxy_gate *gate = a.gate;
    header_end end = await_header(a.conn, gust_after(gate->options.header_timeout_ns));
    settle(gate, a.conn, fate_of(end, gate->options.mode == GUST_PROXY_REQUIRED));
    gust_semaphore_release(&gate->pending, 1);
    gust_waitgroup_done(&gate->running);
}

/* Under the gate's context; the caller counts it as running. */
static int start(gust__proxy_gate *gate, const char *name, void (*fn)(void *arg), void *arg)
{
    const gust_go_options options = {.name = name, .context = gate->context};
    gust_waitgroup_add(&gate->running, 1);
    int error = gust_go_with(&options, fn, arg);
    if (error)
        gust_waitgroup_done(&gate->running);
    return error;
}

static int arrival_start(gust__proxy_gate *gate, gust_conn *c)
{
    struct arrival *a = gust__malloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    *a = (struct arrival){gate, c};
    int error = gust_semaphore_acquire(&gate->pending, 1, GUST_FOREVER);
    if (!error && (error = start(gate, "PROXY header", arrive, a)))
        gust_semaphore_release(&gate->pending, 1);
    if (error)
        free(a);
    return error;
}

static void let_in(gust__proxy_gate *gate, gust_conn *c)
{
    if (!is_allowed(gate, c))
        settle(gate, c, gate->options.mode == GUST_PROXY_REQUIRED ? FATE_REFUSED : FATE_WITHOUT);
    else if (arrival_start(gate, c) < 0)
        settle(gate, c, FATE_FAILED);
}

static void accept_all(void *arg)
{
    gust__proxy_gate *gate = arg;
    gust_conn *c;
    int error;
    while ((error = gust__listener_take(gate->listener, GUST_FOREVER, &c)) != -EBADF &&
           error != -ECANCELED) {
        if (error)
            count(gate, FATE_FAILED); /* no memory for it: it is closed */
        else
            let_in(gate, c);
    }
    gust_waitgroup_done(&gate->running);
}

/* --- Accepting ----------------------------------------------------------- */

static int start_once(gust__proxy_gate *gate)
{
    int error = 0;
    gust_mutex_lock(&gate->mutex);
    if (!gate->started && !gate->stopped) {
        error = start(gate, "PROXY accept", accept_all, gate);
        gate->started = !error;
    }
    gust_mutex_unlock(&gate->mutex);
    return error;
}

int gust__proxy_gate_accept(gust__proxy_gate *gate, gust_time deadline, gust_conn **ret_conn)
{
    gust_conn *c;
    int n = start_once(gate);
    if (n < 0)
        return n;
    n = gust_chan_recv(gate->ready, &c, deadline);
    if (n <= 0)
        return n < 0 ? n : -EBADF;
    *ret_conn = c;
    return 0;
}

/* --- Life ---------------------------------------------------------------- */

/* No client of a TCP listener comes by a Unix socket. */
static bool may_allow(const gust_proxy_prefix *prefix)
{
    return prefix->addr.any.sa_family != AF_UNIX && gust_proxy_prefix_valid(prefix);
}

static int copy_options(gust__proxy_gate *gate, const gust_proxy_options *options)
{
    const size_t n = options->allow ? options->allow_count : 0;
    for (size_t i = 0; i < n; i++)
        if (!may_allow(&options->allow[i]))
            return -EINVAL;
    if (options->header_timeout_ns < 0)
        return -EINVAL;
    gate->options = *options;
    gate->options.allow = NULL;
    if (!options->header_timeout_ns)
        gate->options.header_timeout_ns = HEADER_TIMEOUT;
    if (!options->allow)
        return 0;
    /* At least a byte, so that an empty list, which allows nobody, is one. */
    gust_proxy_prefix *allow = gust__malloc(n * sizeof *allow + 1);
    if (!allow)
        return -ENOMEM;
    if (n > 0)
        memcpy(allow, options->allow, n * sizeof *allow);
    gate->options.allow = allow;
    return 0;
}

int gust__proxy_gate_new(gust_listener *l, const gust_proxy_options *options,
                         gust__proxy_gate **ret_gate)
{
    gust__proxy_gate *gate = gust__calloc(1, sizeof *gate);
    if (!gate)
        return -ENOMEM;
    gate->listener = l;
    gust_semaphore_init(&gate->pending, PENDING_MAX);
    int error = copy_options(gate, options);
    if (!error)
        error = gust_context_new(NULL, &gate->context);
    if (!error)
        error = gust_chan_new(sizeof(gust_conn *), READY_MAX, &gate->ready);
    if (error) {
        gust__proxy_gate_free(gate);
        return error;
    }
    *ret_gate = gate;
    return 0;
}

void gust__proxy_gate_shut(gust__proxy_gate *gate)
{
    gust_conn *c;
    gust_mutex_lock(&gate->mutex);
    gate->stopped = true;
    gust_mutex_unlock(&gate->mutex);
    gust_context_cancel(gate->context, 0);
    gust_context *callers = gust_context_swap(NULL);
    (void)gust_waitgroup_wait(&gate->running, GUST_FOREVER);
    gust_context_swap(callers);
    gust_chan_close(gate->ready);
    while (gust_chan_recv(gate->ready, &c, GUST_NOW) > 0)
        gust_conn_unref(c);
}

void gust__proxy_gate_free(gust__proxy_gate *gate)
{
    if (!gate)
        return;
    gust_chan_unref(gate->ready);
    gust_context_unref(gate->context);
    free((void *)gate->options.allow);
    free(gate);
}

void gust__proxy_gate_stats(const gust__proxy_gate *gate, gust_proxy_stats *ret_stats)
{
    uint64_t n[FATE_COUNT];
    for (int i = 0; i < FATE_COUNT; i++)
        n[i] = atomic_load_explicit(&gate->counts[i], memory_order_relaxed);
    *ret_stats = (gust_proxy_stats){
        .with_header = n[FATE_WITH_HEADER],
        .without = n[FATE_WITHOUT],
        .malformed = n[FATE_MALFORMED],
        .timed_out = n[FATE_TIMED_OUT],
        .refused = n[FATE_REFUSED],
        .failed = n[FATE_FAILED],
    };
}
