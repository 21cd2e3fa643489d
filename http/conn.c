/* A connection from request to request: a goroutine reads the head, runs the
 * handler, and starts again while more requests are there.  Then it ends: until the
 * next one begins, the connection is parked and has no goroutine (gust_conn_park). */
#include "http/exchange.h"

#include "core/panic.h"

#include <gust/http_operations.h>

#include <errno.h>
#include <stdio.h>

/* After the last response the client gets this long to read it before the
 * connection is closed for good: a close with unread input would make the kernel
 * send a reset, which may overtake the response (RFC 9112, 9.6). */
#define LINGER_NS (500 * GUST_MS)
#define LINGER_BYTES_MAX (16 << 20)
#define LINGER_VIEW_MAX 65536

enum conn_next {
    NEXT_REQUEST,
    NEXT_PARKED, /* somebody else's from now on */
    NEXT_TAKEN,  /* the handler's: not to be touched */
    NEXT_LINGER, /* everything is answered: end in good order */
    NEXT_CLOSE,  /* the client is gone, or was told nothing and need not be */
    NEXT_ABORT,  /* do not even send what is buffered */
};

/* --- I/O of an exchange ---------------------------------------------------- */

ssize_t gust__http_fill(struct http_conn *hc, size_t max_view, gust_time deadline)
{
    int r = gust_conn_flush(hc->conn);

    return r < 0 ? r : gust_conn_fill(hc->conn, max_view, deadline);
}

gust_time gust__http_write_deadline(const struct http_conn *hc, size_t len)
{
    const gust_http_server_options *o = gust__http_options(hc);
    int64_t ns = o->write_timeout_ns;

    if (o->write_rate_min > 0 && ns != GUST_FOREVER)
        ns += (int64_t)len * GUST_SEC / o->write_rate_min;
    return gust_after(ns);
}

/* In pieces, each with a time of its own. */
static int append_slowly(struct http_conn *hc, const char *p, size_t len)
{
    ssize_t n = 0;

    for (const char *end = p + len; p < end && n >= 0; p += n) {
        size_t left = (size_t)(end - p);
        size_t piece = left < GUST_HTTP_WRITE_PIECE_MAX ? left : GUST_HTTP_WRITE_PIECE_MAX;
        n = gust_conn_append(hc->conn, p, piece, gust__http_write_deadline(hc, piece));
    }
    return n < 0 ? (int)n : 0;
}

int gust__http_append(struct http_conn *hc, const void *buf, size_t len)
{
    /* It usually fits, and then nobody needs to know what time it is. */
    ssize_t n = gust_conn_append(hc->conn, buf, len, GUST_NOW);

    if (n == -EAGAIN)
        return append_slowly(hc, buf, len);
    return n < 0 ? (int)n : 0;
}

int gust__http_send(const gust_http_request *req, const void *buf, size_t len)
{
    ssize_t n = gust_conn_append(req->hc->conn, buf, len, GUST_NOW);

    if (n == -EAGAIN) {
        bool changed = gust__http_watch_io_begin(req->watch);
        n = gust__http_append(req->hc, buf, len);
        gust__http_watch_io_end(req->watch, changed);
    }
    return n < 0 ? (int)n : 0;
}

static enum conn_next refuse(struct http_conn *hc, int status)
{
    gust__http_refusal_done(hc, status);
    return gust__http_refuse(hc, status, true) < 0 ? NEXT_ABORT : NEXT_LINGER;
}

/* --- The end ---------------------------------------------------------------- */

/* Ends our direction and waits until the client has ended its own. */
static void linger(struct http_conn *hc)
{
    gust_time deadline = gust_after(gust__http_options(hc)->write_timeout_ns);
    size_t dropped = 0;
    ssize_t n;

    if (gust_conn_shutdown(hc->conn, SHUT_WR, deadline) < 0)
        return;
    deadline = gust_after(LINGER_NS);
    do {
        size_t have = gust_conn_view(hc->conn).len;
        gust_conn_consume(hc->conn, have);
        dropped += have;
        n = gust_conn_fill(hc->conn, LINGER_VIEW_MAX, deadline);
    } while (n > 0 && dropped < LINGER_BYTES_MAX);
}

static void end_connection(struct http_conn *hc, enum conn_next how)
{
    gust_time deadline = GUST_NOW;

    if (how == NEXT_TAKEN) {
        gust__http_conn_done(hc);
        return;
    }
    atomic_store_explicit(&hc->life, CONN_CLOSING, memory_order_relaxed); /* for counting */
    if (how == NEXT_LINGER)
        linger(hc);
    else if (how == NEXT_CLOSE)
        deadline = gust_after(gust__http_options(hc)->write_timeout_ns);
    gust_conn_close(gust_conn_ref(hc->conn), deadline);
    gust__http_conn_done(hc);
}

/* --- One request ----------------------------------------------------------- */

static enum conn_next end_of_exchange(gust_http_request *req, gust_http_response *res)
{
    if (is_taken(res->hc))
        return NEXT_TAKEN;
    switch (gust__http_response_finish(res)) {
    case RESPONSE_DONE: return gust__http_body_discard(req) ? NEXT_REQUEST : NEXT_LINGER;
    case RESPONSE_LAST: return NEXT_LINGER;
    case RESPONSE_TRUNCATED: break;
    }
    return res->error < 0 ? NEXT_ABORT : NEXT_CLOSE;
}

struct exchange {
    gust__unwind unwind;
    bool returned;   /* false: the handler has ended the goroutine */
    gust_time begun; /* if there is a log */
    struct http_count *count;
    gust_http_request req;
    gust_http_response res;
};

static void call_handler(void *arg)
{
    struct exchange *x = arg;
    const gust_http_server_options *options = gust__http_options(x->req.hc);

    options->handler(&x->req, &x->res, options->arg);
}

/* On the stack of the panic: so the info, which is large, lies nowhere else. */
static void log_panic(const gust_panic_info *info, void *arg)
{
    const struct exchange *x = arg;
    char peer[GUST_ADDR_TEXT_MAX], what[GUST_ADDR_TEXT_MAX + 16];
    gust_addr addr;

    gust_http_request_remote_addr(&x->req, &addr);
    gust_addr_format(&addr, peer);
    snprintf(what, sizeof(what), "http: serving %s", peer);
    gust_panic_log(info, what);
    gust__http_report_panic(x->req.hc, info->message);
}

/* How a connection ends whose response may be cut off. */
static enum conn_next end_of_cut(const gust_http_response *res)
{
    if (is_taken(res->hc))
        return NEXT_TAKEN;
    return res->error < 0 || res->framing == FRAMING_CLOSE ? NEXT_ABORT : NEXT_CLOSE;
}

/* What the handler left of request and response is in order, since no call of gust
 * panics half way through a change of either. */
static enum conn_next end_of_panic(gust_http_response *res)
{
    switch (gust__http_response_fail(res, 500)) {
    case RESPONSE_LAST: return NEXT_LINGER;
    case RESPONSE_DONE:
    case RESPONSE_TRUNCATED: break;
    }
    return end_of_cut(res);
}

/* Also when the handler has called gust_goexit: on its stack, after what it deferred. */
static void exchange_fini(void *arg)
{
    struct exchange *x = arg;
    struct http_conn *hc = x->req.hc;
    enum conn_next cut = end_of_cut(&x->res);

    if (!x->returned) {
        gust__http_watch_end(x->req.watch);
        gust__http_watch_put(x->req.watch);
    }
    count_response(hc->server, x->count, x->res.committed ? x->res.status : 0);
    if (!x->returned)
        gust__http_count_add(hc->server, x->count);
    if (is_taken(hc))
        x->res.error = 0; /* it only keeps the handler from writing */
    if (x->begun || x->req.refusal || x->res.error < 0)
        gust__http_exchange_done(&x->req, &x->res, x->begun);
    gust__http_response_fini(&x->res);
    gust__http_request_fini(&x->req);
    if (!x->returned)
        end_connection(hc, cut);
}

/* True if it is the last one that the connection may bring. */
static bool count_request(struct http_conn *hc)
{
    /* Relaxed: only this goroutine changes it, and those who count are not in a hurry. */
    uint32_t n = atomic_load_explicit(&hc->requests, memory_order_relaxed);

    if (n < UINT32_MAX)
        atomic_store_explicit(&hc->requests, ++n, memory_order_relaxed);
    if (n < gust__http_options(hc)->conn_requests_max || n == UINT32_MAX)
        return false;
    gust__http_report_kind(hc, GUST_HTTP_ERROR_CONN_REQUESTS, 0);
    return true;
}

static enum conn_next exchange(struct http_conn *hc, const struct http_head *head,
                               struct http_watch *watch, struct http_count *count)
{
    struct exchange x;
    enum conn_next next;

    if (!watch || gust__http_request_init(&x.req, hc, head, &x.res) < 0)
        return refuse(hc, 503);
    if (gust__http_watch_begin(watch, hc->conn) < 0) {
        gust__http_request_fini(&x.req);
        return refuse(hc, 503);
    }
    x.req.watch = watch;
    x.req.follows = count->responses > 0;
    gust__http_response_init(&x.res, hc, &x.req);
    if (count_request(hc))
        x.res.keep_alive = false;
    x.begun = gust__http_options(hc)->log ? gust_now() : 0;
    x.count = count;
    x.returned = false;
    gust__cleanup_begin(&x.unwind, exchange_fini, &x);
    bool panicked = gust_recover_with(call_handler, &x, log_panic, &x);
    x.returned = true;
    gust__http_watch_end(watch);
    next = panicked ? end_of_panic(&x.res) : end_of_exchange(&x.req, &x.res);
    gust__cleanup_end(&x.unwind);
    return next;
}

/* --- Waiting for a request -------------------------------------------------- */

/* Dekker with gust_http_server_shutdown: we say IDLE and then look whether it is
 * draining; it says draining and then looks who is idle.  Both are sequentially
 * consistent, so one sees the other. */
static bool enter_idle(struct http_conn *hc, gust_time now)
{
    atomic_store(&hc->life, conn_idle_clock(now) | CONN_IDLE);
    return !gust__http_draining(hc);
}

/* False if somebody claimed the connection meanwhile. */
static bool leave_idle(struct http_conn *hc)
{
    return conn_move(hc, CONN_IDLE, CONN_BUSY);
}

/* Ends the goroutine's part until the next request begins.  Not NEXT_PARKED: it is
 * still the caller's. */
static enum conn_next park(struct http_conn *hc, int64_t timeout_ns)
{
    gust_time until = gust_after(timeout_ns);
    gust_time now = until == GUST_FOREVER ? gust_now() : until - timeout_ns;

    if (!enter_idle(hc, now))
        return NEXT_CLOSE;
    int r = gust_conn_on_input(hc->conn, gust__http_conn_main, hc, until);
    if (r == 0)
        return NEXT_PARKED;
    return leave_idle(hc) ? NEXT_ABORT : NEXT_CLOSE;
}

static bool is_new(const struct http_conn *hc)
{
    return atomic_load_explicit(&hc->requests, memory_order_relaxed) == 0;
}

/* What the wait has brought.  The connection is idle until the first byte of a request is
 * there: a handshake of TLS, or one of its tickets, is none. */
static enum conn_next unpark(struct http_conn *hc)
{
    ssize_t n = (ssize_t)gust_conn_view(hc->conn).len;

    if (n == 0)
        n = gust_conn_fill(hc->conn, gust__http_options(hc)->header_bytes_max,
                           gust_conn_input_deadline(hc->conn));
    if (!leave_idle(hc))
        return NEXT_CLOSE;
    if (n <= 0 && is_new(hc))
        gust__http_report_first(hc, (int)n);
    if (n == 0 || n == -ETIMEDOUT)
        return NEXT_CLOSE;
    return n < 0 ? NEXT_ABORT : NEXT_REQUEST;
}

/* Waits for more of a head that has begun. */
static enum conn_next wait_rest(struct http_conn *hc, const struct http_head *head,
                                const struct head_limits *limits, gust_time deadline)
{
    ssize_t n = gust__http_fill(hc, limits->bytes_max, deadline);

    if (n > 0)
        return NEXT_REQUEST;
    /* An empty line alone is no request to answer. */
    if (n == -ETIMEDOUT && gust_conn_view(hc->conn).len > head->lines.at)
        return refuse(hc, 408);
    return n == 0 || n == -ETIMEDOUT ? NEXT_CLOSE : NEXT_ABORT;
}

/* Reads a complete head, of which something is there, to the start of the view. */
static enum conn_next read_head(struct http_conn *hc, struct http_head *head)
{
    const gust_http_server_options *o = gust__http_options(hc);
    const struct head_limits limits = {o->request_line_max, o->header_bytes_max,
                                       o->header_fields_max};
    /* A connection's first head has had its time since the connection began. */
    gust_time deadline = is_new(hc) ? gust_conn_input_deadline(hc->conn) : 0;
    enum conn_next next = NEXT_REQUEST;

    gust__http_head_init(head);
    while (next == NEXT_REQUEST) {
        gust_span view = gust_conn_view(hc->conn);
        int status = gust__http_head_scan(head, &limits, view.data, view.len);
        if (status == HEAD_DONE)
            break;
        if (status != HEAD_MORE)
            return refuse(hc, status);
        if (!deadline)
            deadline = gust_after(o->header_timeout_ns);
        next = wait_rest(hc, head, &limits, deadline);
    }
    return next;
}

/* --- The goroutine ---------------------------------------------------------- */

static enum conn_next serve_request(struct http_conn *hc, struct http_watch *watch,
                                    struct http_count *count)
{
    struct http_head head;
    enum conn_next next = read_head(hc, &head);

    return next == NEXT_REQUEST ? exchange(hc, &head, watch, count) : next;
}

/* One that is there, and those that have come with it. */
static enum conn_next serve_requests(struct http_conn *hc)
{
    struct http_watch *watch = gust__http_watch_take(gust__http_watcher(hc));
    struct http_count count = {0, 0};
    enum conn_next next;

    do
        next = serve_request(hc, watch, &count);
    while (next == NEXT_REQUEST && gust_conn_view(hc->conn).len > 0);
    gust__http_watch_put(watch);
    gust__http_count_add(hc->server, &count);
    return next;
}

void gust__http_conn_main(void *arg)
{
    struct http_conn *hc = arg;
    enum conn_next next = unpark(hc);

    if (next == NEXT_REQUEST)
        next = serve_requests(hc);
    if (next == NEXT_REQUEST)
        next = park(hc, gust__http_options(hc)->idle_timeout_ns);
    if (next != NEXT_PARKED)
        end_connection(hc, next);
}

void gust__http_conn_start(struct http_conn *hc)
{
    enum conn_next next = park(hc, gust__http_options(hc)->header_timeout_ns);

    if (next != NEXT_PARKED)
        end_connection(hc, NEXT_ABORT);
}
