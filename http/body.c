/* Reading a request's body.
 *
 * Pieces are handed out where they arrived in the connection's view, and
 * consumed when the handler asks for the next one.  Bytes are asked of the
 * kernel only when the view has none left: a handler that stops reading stops
 * its client. */
#include "http/exchange.h"

#include <errno.h>
#include <string.h>

/* How much of a body may lie in the view. */
#define BODY_VIEW_MAX 65536

static const char continue_line[] = "HTTP/1.1 100 Continue\r\n\r\n";

/* Remembers why the body cannot be read on, and how to say so to the client. */
static int fail(gust_http_request *req, int error, int refusal)
{
    req->body_error = error;
    req->refusal = refusal;
    return error;
}

static int fail_read(gust_http_request *req, int error)
{
    return fail(req, error, error == -ETIMEDOUT ? 408 : 0);
}

static void release_held(gust_http_request *req)
{
    gust_conn_consume(req->hc->conn, req->held);
    req->held = 0;
}

/* Once the response has begun, the client no longer waits for a 100. */
static int answer_expectation(gust_http_request *req)
{
    if (!req->continue_due)
        return 0;
    req->continue_due = false;
    if (req->res->committed || gust_conn_view(req->hc->conn).len > 0)
        return 0;
    return gust__http_append(req->hc, continue_line, sizeof(continue_line) - 1);
}

/* A leaky bucket of time: waiting takes out of it, bytes put into it what they may have
 * taken at the least rate, and it holds the read timeout.  So a client may pause, and it
 * may be slow, but not both for ever. */
static void settle(gust_http_request *req, int64_t waited_ns, size_t n, int64_t timeout_ns)
{
    int64_t left = req->patience_ns - waited_ns;
    int64_t earned = (int64_t)n * GUST_SEC / req->body_rate; /* n is a view's at most */

    req->patience_ns = earned > timeout_ns - left ? timeout_ns : left + earned;
}

/* Waits for more bytes behind the view's; 0 or an error. */
static int fill(gust_http_request *req, size_t max_view)
{
    int64_t timeout_ns = gust__http_options(req->hc)->read_timeout_ns;
    bool has_rate = req->body_rate > 0 && timeout_ns != GUST_FOREVER;
    gust_time deadline = gust_after(has_rate ? req->patience_ns : timeout_ns);
    bool changed = gust__http_watch_io_begin(req->watch);
    ssize_t n = gust__http_fill(req->hc, max_view, deadline);

    gust__http_watch_io_end(req->watch, changed);
    if (n > 0 && has_rate)
        settle(req, gust_now() - (deadline - req->patience_ns), (size_t)n, timeout_ns);
    if (n > 0)
        return 0;
    return fail_read(req, n == 0 ? -ECONNRESET : (int)n);
}

/* --- Content-Length ------------------------------------------------------- */

static ssize_t peek_length(gust_http_request *req)
{
    size_t have;

    if (req->left == 0) {
        req->body = BODY_END;
        return 0;
    }
    if (req->head->content_length > req->body_max)
        return fail(req, -EMSGSIZE, 413);
    while ((have = gust_conn_view(req->hc->conn).len) == 0) {
        int r = answer_expectation(req);
        if (r < 0)
            return fail_read(req, r);
        if ((r = fill(req, BODY_VIEW_MAX)) < 0)
            return r;
    }
    return have < req->left ? (ssize_t)have : (ssize_t)req->left;
}

/* --- Chunked -------------------------------------------------------------- */

static enum http_line scan_trailers(gust_http_request *req, unsigned fields_max)
{
    gust_span view = gust_conn_view(req->hc->conn);
    gust_http_field field;
    gust_span line;
    enum http_line r;

    while ((r = gust__http_line_next(&req->trailer_lines, view.data, view.len, &line)) == LINE_OK) {
        if (line.len == 0)
            return LINE_OK;
        if (!gust__http_field_split(line.data, line.len, &field) ||
            ++req->trailer_fields > fields_max)
            return LINE_BAD;
    }
    return r;
}

/* The trailers stay in the view, all of them, until the request is done. */
static ssize_t read_trailers(gust_http_request *req)
{
    const gust_http_server_options *o = gust__http_options(req->hc);

    for (;;) {
        enum http_line r = scan_trailers(req, o->header_fields_max);
        if (r == LINE_BAD)
            return fail(req, -EBADMSG, req->trailer_fields > o->header_fields_max ? 431 : 400);
        if (req->trailer_lines.at > o->header_bytes_max)
            return fail(req, -EBADMSG, 431);
        if (r == LINE_OK)
            break;
        if (gust_conn_view(req->hc->conn).len >= o->header_bytes_max)
            return fail(req, -EBADMSG, 431);
        int error = fill(req, o->header_bytes_max);
        if (error < 0)
            return error;
    }
    req->held = req->trailer_bytes = req->trailer_lines.at;
    req->body = BODY_END;
    return 0;
}

static ssize_t peek_chunked(gust_http_request *req)
{
    for (;;) {
        gust_span view = gust_conn_view(req->hc->conn);
        size_t skip;
        enum chunk_next next = gust__chunked_next(&req->chunked, view.data, view.len, &skip);

        gust_conn_consume(req->hc->conn, skip);
        if (next == CHUNK_NEXT_BAD)
            return fail(req, -EBADMSG, 400);
        if (req->chunked.announced > req->body_max)
            return fail(req, -EMSGSIZE, 413);
        if (next == CHUNK_NEXT_TRAILERS)
            return read_trailers(req);
        if (next == CHUNK_NEXT_DATA) {
            size_t have = view.len - skip;
            return have < req->chunked.left ? (ssize_t)have : (ssize_t)req->chunked.left;
        }
        int r = answer_expectation(req);
        if (r < 0)
            return fail_read(req, r);
        if ((r = fill(req, BODY_VIEW_MAX)) < 0)
            return r;
    }
}

/* --- Both ----------------------------------------------------------------- */

/* How many bytes of body are at the start of the view: at least one, or 0 at the
 * end, or an error. */
static ssize_t peek(gust_http_request *req)
{
    if (req->body_error)
        return req->body_error;
    if (req->body == BODY_END)
        return 0; /* what is held, the head or the trailers, stays */
    release_held(req);
    return req->body == BODY_CHUNKED ? peek_chunked(req) : peek_length(req);
}

/* Hands out the first n bytes of the view. */
static void take(gust_http_request *req, size_t n)
{
    req->held = n;
    if (req->body == BODY_CHUNKED)
        req->chunked.left -= n;
    else
        req->left -= n;
}

void gust_http_body_limit(gust_http_request *req, uint64_t bytes_max)
{
    req->body_max = bytes_max;
}

void gust_http_body_rate(gust_http_request *req, int64_t rate_min)
{
    req->body_rate = rate_min;
}

ssize_t gust_http_body_next(gust_http_request *req, gust_span *ret_piece)
{
    ssize_t n = peek(req);

    if (n > 0) {
        *ret_piece = (gust_span){gust_conn_view(req->hc->conn).data, (size_t)n};
        take(req, (size_t)n);
    }
    return n;
}

ssize_t gust_http_body_read(gust_http_request *req, void *buf, size_t len)
{
    if (len == 0)
        return 0;
    ssize_t n = peek(req);
    if (n <= 0)
        return n;
    if ((size_t)n > len)
        n = (ssize_t)len;
    memcpy(buf, gust_conn_view(req->hc->conn).data, (size_t)n);
    take(req, (size_t)n);
    return n;
}

bool gust__http_body_ended(const gust_http_request *req)
{
    return req->body == BODY_END || (req->body == BODY_LENGTH && req->left == 0);
}

bool gust__http_body_discard(gust_http_request *req)
{
    uint64_t budget = GUST_HTTP_DISCARD_BYTES_MAX;
    gust_span piece;
    ssize_t n;

    if (gust__http_body_ended(req))
        return true;
    /* A client that waits for a 100 has not sent the body, and may never. */
    if (req->continue_due || (req->body == BODY_LENGTH && req->left > budget))
        return false;
    req->body_max = GUST_HTTP_UNLIMITED;
    while ((n = gust_http_body_next(req, &piece)) > 0 && (uint64_t)n <= budget)
        budget -= (uint64_t)n;
    return n == 0;
}
