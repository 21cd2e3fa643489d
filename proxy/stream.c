/* The request's body on its way to the upstream.
 *
 * What has arrived as a whole with the header, as short bodies do, is sent with it, and can
 * be sent again.  Anything longer has a goroutine of its own: an upstream may answer before
 * it has read everything, and the two may even talk to each other.
 *
 * That goroutine (the sender) reads the request, and the handler's writes the response;
 * what they share is in struct transfer.  As long as the sender runs, the handler does not
 * ask the request how far it was read, for which reason the response then says
 * "Connection: close": its server would ask otherwise whether the connection can go on.
 * The sender is under no context: what its client does it hears from its reads. */
#include "proxy/transfer.h"

#include <gust/runtime.h>

#include <errno.h>

static enum sender_state sender_state(struct transfer *t)
{
    /* Acquire: pairs with the release in set_sender. */
    return (enum sender_state)atomic_load_explicit(&t->sender, memory_order_acquire);
}

static void set_sender(struct transfer *t, enum sender_state state)
{
    /* Release: what was done with the request is done. */
    atomic_store_explicit(&t->sender, (int)state, memory_order_release);
}

/* --- Before it is sent ------------------------------------------------------------------- */

static bool is_whole(const struct transfer *t)
{
    return t->length >= 0 && t->length <= GUST_HTTP_PROXY_REPLAY_BYTES_MAX &&
           t->piece.len == (size_t)t->length;
}

static int read_piece(struct transfer *t)
{
    ssize_t n = gust_http_body_next(t->req, &t->piece);

    if (n < 0)
        atomic_store(&t->client_error, (int)n);
    if (n <= 0)
        t->piece.len = 0;
    return n < 0 ? (int)n : 0;
}

/* Who has asked whether the body is wanted is told by the upstream. */
int gust__body_prepare(struct transfer *t)
{
    t->length = gust_http_request_content_length(t->req);
    gust_http_body_limit(t->req, t->config->options.body_bytes_max);
    t->body = t->length == 0 ? TRANSFER_NONE : TRANSFER_STREAM;
    if (t->length == 0 || t->found.expects)
        return 0;
    int r = read_piece(t);
    if (r == 0 && is_whole(t))
        t->body = TRANSFER_WHOLE;
    return r;
}

/* --- The sender ------------------------------------------------------------------------------ */

/* Would the next read not have to wait? */
static bool more_is_there(const struct transfer *t)
{
    const gust_http_request *req = t->req;
    gust_span view = gust_conn_view(req->hc->conn);

    if (gust__http_body_ended(req))
        return true;
    if (view.len <= req->held)
        return false;
    return req->body != BODY_CHUNKED ||
           gust__chunked_has_more(&req->chunked,
                                  (gust_span){view.data + req->held, view.len - req->held});
}

/* Errors: the upstream's, or -EPROTO for one of the client's. */
static int send_pieces(struct transfer *t)
{
    gust_span piece = t->piece;
    ssize_t n = (ssize_t)piece.len;
    int r;

    while (n > 0) {
        ssize_t sent = gust_http_call_write(t->call, piece.data, piece.len);
        if (sent < 0)
            return (int)sent;
        if (!more_is_there(t) && (r = gust_http_call_flush(t->call)) < 0)
            return r;
        n = gust_http_body_next(t->req, &piece);
    }
    if (n < 0)
        atomic_store(&t->client_error, (int)n);
    return n < 0 ? -EPROTO : 0;
}

/* Those that may not stand in trailers are left out. */
static int send_trailers(struct transfer *t)
{
    gust_span lines = transfer_lines(t);
    gust_http_field f;
    int r = 0;

    for (size_t cursor = 0; r == 0 && gust_http_request_trailers(t->req, &cursor, &f);) {
        if (!gust__forward_passes(lines, f.name))
            continue;
        r = gust_http_call_trailer_span(t->call, f.name, f.value);
        if (r == -EINVAL)
            r = 0;
    }
    return r;
}

static int send_all(struct transfer *t)
{
    int r = send_pieces(t);

    if (r == 0 && t->length < 0)
        r = send_trailers(t);
    set_sender(t, r == 0 ? SENDER_ENDING : SENDER_SENT);
    if (r == 0) {
        r = gust_http_call_end(t->call);
        set_sender(t, SENDER_SENT);
    }
    return r;
}

/* From the end of the request on, the upstream has its time for the header. */
static void watch_head(struct transfer *t)
{
    gust_time deadline = gust_after(t->config->options.first_byte_timeout_ns);

    if (gust_waitgroup_wait(&t->head_due, deadline) < 0) {
        atomic_store(&t->send_error, -ETIMEDOUT);
        gust_http_call_abort(t->call);
    }
}

static void sender_main(void *arg)
{
    struct transfer *t = arg;

    gust_context_unref(gust_context_swap(NULL));
    int r = send_all(t);
    /* An upstream that has closed may have answered before; for anything else it may wait as
     * long as we do. */
    if (r == 0 || r == -EPIPE || r == -ECONNRESET) {
        watch_head(t);
    } else {
        atomic_store(&t->send_error, r);
        gust_http_call_abort(t->call);
    }
    gust_waitgroup_done(&t->sending);
}

/* The client's own "100 Continue" is the server's first read of the body. */
static int begin_body(struct transfer *t)
{
    if (t->found.expects) {
        ssize_t r = gust_http_call_write(t->call, NULL, 0); /* waits for the upstream's */
        if (r < 0)
            return (int)r;
        return read_piece(t);
    }
    return 0;
}

static int start_sender(struct transfer *t)
{
    const gust_go_options options = {.name = "http proxy: request body"};

    gust_waitgroup_add(&t->sending, 1);
    gust_waitgroup_add(&t->head_due, 1);
    set_sender(t, SENDER_SENDING);
    int r = gust_go_with(&options, sender_main, t);
    if (r < 0) {
        set_sender(t, SENDER_NONE);
        gust_waitgroup_done(&t->sending);
        gust_waitgroup_done(&t->head_due);
    }
    return r;
}

int gust__stream_begin(struct transfer *t)
{
    gust_http_timeouts timeouts = t->config->timeouts;

    timeouts.head_ns = GUST_FOREVER; /* see watch_head */
    int r = gust_http_call_timeouts(t->call, &timeouts);
    if (r == 0)
        r = gust_http_call_begin(t->call, t->length);
    if (r == 0)
        r = begin_body(t);
    if (r == -EALREADY)
        return 0; /* a final response: it does not want the body */
    return r < 0 ? r : start_sender(t);
}

/* --- Beside it -------------------------------------------------------------------------------- */

void gust__stream_head_came(struct transfer *t)
{
    if (sender_state(t) != SENDER_NONE)
        gust_waitgroup_done(&t->head_due);
}

bool gust__stream_is_busy(struct transfer *t)
{
    /* The answer to a request that is all there often comes before its sender hears that. */
    while (sender_state(t) == SENDER_ENDING)
        gust_yield();
    return sender_state(t) == SENDER_SENDING;
}

void gust__stream_end(struct transfer *t)
{
    gust_conn *conn = t->req->hc->conn;

    if (sender_state(t) == SENDER_NONE)
        return;
    gust_context *context = gust_context_swap(NULL);
    bool busy = sender_state(t) == SENDER_SENDING;
    if (busy) {
        atomic_store(&t->interrupted, true);
        t->res->keep_alive = false;
        gust_http_call_abort(t->call);
        gust_conn_set_read_deadline(conn, 1);
    }
    gust_waitgroup_wait(&t->sending, GUST_FOREVER);
    if (busy)
        gust_conn_set_read_deadline(conn, GUST_FOREVER);
    if (busy && atomic_load(&t->client_error) == -ETIMEDOUT) {
        atomic_store(&t->client_error, 0);
        t->req->body_error = 0;
        t->req->refusal = 0;
    }
    set_sender(t, SENDER_NONE);
    gust_context_swap(context);
}
