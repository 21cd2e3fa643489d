/* Reading a response's body.
 *
 * Pieces are handed out where they arrived in the connection's view, and dropped when the next
 * one is asked for.  Bytes are asked of the kernel only when the view has none left: a program
 * that stops reading stops the server. */
#include "http/client/client.h"

#include <errno.h>

/* How much of a body may lie in the view. */
#define BODY_VIEW_MAX 65536

static int fail(gust_http_call *call, int error, const char *reason)
{
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_BODY, error, reason);
}

/* --- Framing (RFC 9112, 6.3) ------------------------------------------------------------ */

bool gust_http_call_has_body(const gust_http_call *call)
{
    int status = call->head.status;

    return call->heads == HEADS_FINAL && !call->is_head && status >= 200 && status != 204 &&
           status != 304 && !(call->is_connect && status < 300);
}

static bool is_tunnel(const gust_http_call *call)
{
    int status = call->head.status;

    return call->heads == HEADS_FINAL &&
           (status == 101 || (call->is_connect && status >= 200 && status < 300));
}

void gust__body_begin(gust_http_call *call)
{
    const struct response_head *h = &call->head;
    bool framed = h->chunked || h->content_length > 0;

    call->left = h->content_length;
    if (!gust_http_call_has_body(call)) {
        call->framing = BODY_NONE;
        /* Where none may be said to follow, one might. */
        call->spoiled = (framed && h->status == 204) || is_tunnel(call);
    } else if (h->chunked) {
        call->framing = BODY_BY_CHUNKS;
    } else {
        call->framing = h->has_length ? BODY_BY_LENGTH : BODY_BY_CLOSE;
    }
    call->body_ended = call->framing == BODY_NONE || (h->has_length && call->left == 0);
    gust__decode_note(call);
}

int64_t gust_http_call_content_length(const gust_http_call *call)
{
    const struct response_head *h = &call->head;

    if (call->heads != HEADS_FINAL || call->coding >= 0)
        return -1;
    if (h->has_length)
        return (int64_t)h->content_length;
    bool may_say = call->is_head || h->status == 304;
    return call->framing == BODY_NONE && !may_say ? 0 : -1;
}

/* --- Bytes ---------------------------------------------------------------------------------- */

/* 1, 0 at the end of the connection, or an error. */
static int fill(gust_http_call *call, size_t max_view)
{
    gust_time deadline = call->no_wait ? GUST_NOW : call_deadline(call, call->timeouts.body_ns);
    ssize_t n = gust_conn_fill(call->conn, max_view, deadline);

    if (n < 0)
        return fail(call, (int)n, "");
    return n > 0;
}

static int fill_or_fail(gust_http_call *call, size_t max_view)
{
    int r = fill(call, max_view);

    return r == 0 ? fail(call, -ENODATA, "the connection ended before the body") : r;
}

static ssize_t at_most(size_t have, uint64_t max)
{
    return have < max ? (ssize_t)have : (ssize_t)max;
}

static ssize_t peek_length(gust_http_call *call)
{
    size_t have;

    if (call->head.content_length > call->body_max)
        return fail(call, -EMSGSIZE, "the body is longer than its limit");
    while ((have = gust_conn_view(call->conn).len) == 0) {
        int r = fill_or_fail(call, BODY_VIEW_MAX);
        if (r < 0)
            return r;
    }
    return at_most(have, call->left);
}

static ssize_t peek_close(gust_http_call *call)
{
    size_t have;

    while ((have = gust_conn_view(call->conn).len) == 0) {
        int r = fill(call, BODY_VIEW_MAX);
        if (r <= 0) {
            call->body_ended = r == 0;
            return r;
        }
    }
    if (have > call->body_max - call->body_bytes)
        return fail(call, -EMSGSIZE, "the body is longer than its limit");
    return (ssize_t)have;
}

/* --- Chunked ---------------------------------------------------------------------------------- */

static int check_trailers(gust_http_call *call, struct http_lines *lines)
{
    gust_span view = gust_conn_view(call->conn);
    gust_http_field field;
    gust_span line;
    unsigned count = 0;
    enum http_line r;

    *lines = (struct http_lines){0};
    while ((r = gust__http_line_next(lines, view.data, view.len, &line)) == LINE_OK) {
        if (line.len == 0)
            return 1;
        if (!gust__http_field_split(line.data, line.len, &field))
            return fail(call, -EBADMSG, "malformed trailer");
        if (++count > call->client->options.header_fields_max)
            return fail(call, -EMSGSIZE, "too many trailers");
    }
    return r == LINE_BAD ? fail(call, -EBADMSG, "line end without CR") : 0;
}

/* Nearly always there are none. */
static ssize_t read_trailers(gust_http_call *call)
{
    size_t max = call->client->options.header_bytes_max;
    struct http_lines lines;
    int r;

    while ((r = check_trailers(call, &lines)) == 0) {
        if (gust_conn_view(call->conn).len >= max)
            return fail(call, -EMSGSIZE, "trailers too large");
        r = fill_or_fail(call, max);
        if (r < 0)
            return r;
    }
    if (r < 0)
        return r;
    if (lines.at > max)
        return fail(call, -EMSGSIZE, "trailers too large");
    gust_span text = {gust_conn_view(call->conn).data, lines.at - 2};
    if (text.len > 0 && (r = gust__http_text_add(&call->trailer_text, text, max)) < 0)
        return fail(call, r, "");
    gust_conn_consume(call->conn, lines.at);
    call->body_ended = true;
    return 0;
}

static ssize_t peek_chunks(gust_http_call *call)
{
    for (;;) {
        gust_span view = gust_conn_view(call->conn);
        size_t skip;
        enum chunk_next next = gust__chunked_next(&call->chunked, view.data, view.len, &skip);

        gust_conn_consume(call->conn, skip);
        if (next == CHUNK_NEXT_BAD)
            return fail(call, -EBADMSG, "malformed chunk");
        if (call->chunked.announced > call->body_max)
            return fail(call, -EMSGSIZE, "the body is longer than its limit");
        if (next == CHUNK_NEXT_TRAILERS)
            return read_trailers(call);
        if (next == CHUNK_NEXT_DATA)
            return at_most(view.len - skip, call->chunked.left);
        int r = fill_or_fail(call, BODY_VIEW_MAX);
        if (r < 0)
            return r;
    }
}

/* --- All -------------------------------------------------------------------------------------- */

static int check(const gust_http_call *call)
{
    if (call->failure.error)
        return call->failure.error;
    return call->heads == HEADS_FINAL && !call->taken ? 0 : -EINVAL;
}

ssize_t gust__body_peek(gust_http_call *call)
{
    int r = check(call);

    if (r < 0)
        return r;
    if (call->held > 0) {
        gust_conn_consume(call->conn, call->held);
        call->held = 0;
    }
    if (call->body_ended)
        return 0;
    switch (call->framing) {
    case BODY_NONE: break;
    case BODY_BY_LENGTH: return peek_length(call);
    case BODY_BY_CHUNKS: return peek_chunks(call);
    case BODY_BY_CLOSE: return peek_close(call);
    }
    return 0;
}

void gust__body_count(gust_http_call *call, uint64_t n)
{
    call->body_bytes += n;
    if (call->framing == BODY_BY_CHUNKS) {
        call->chunked.left -= n;
    } else if (call->framing == BODY_BY_LENGTH) {
        call->left -= n;
        call->body_ended = call->left == 0;
    }
}

void gust__body_take(gust_http_call *call, size_t n)
{
    call->held = n;
    gust__body_count(call, n);
}

bool gust__body_has_more(const gust_http_call *call)
{
    gust_span view = gust_conn_view(call->conn);

    if (call->body_ended || view.len <= call->held)
        return call->body_ended;
    return call->framing != BODY_BY_CHUNKS ||
           gust__chunked_has_more(&call->chunked,
                                  (gust_span){view.data + call->held, view.len - call->held});
}

/* Without waiting: a byte of it that is still to come may never come. */
bool gust__body_discard(gust_http_call *call)
{
    size_t budget = GUST_HTTP_CLIENT_DISCARD_BYTES_MAX;
    uint64_t body_max = call->body_max;
    ssize_t n;

    if (call->framing == BODY_BY_LENGTH && call->left > budget)
        return false;
    call->no_wait = true;
    call->body_max = GUST_HTTP_UNLIMITED;
    while ((n = gust__body_peek(call)) > 0 && (size_t)n <= budget) {
        gust__body_take(call, (size_t)n);
        budget -= (size_t)n;
    }
    call->no_wait = false;
    call->body_max = body_max;
    return n == 0;
}

/* --- Trailers ------------------------------------------------------------------------------------ */

gust_span gust_http_call_response_trailer(const gust_http_call *call, const char *name)
{
    const struct http_text *t = &call->trailer_text;

    return gust__http_fields_find(t->data, t->len, name);
}

bool gust_http_call_response_trailers(const gust_http_call *call, size_t *cursor,
                                      gust_http_field *ret_field)
{
    const struct http_text *t = &call->trailer_text;

    return gust__http_fields_next(t->data, t->len, cursor, ret_field);
}

/* --- Giving the connection away ------------------------------------------------------------------ */

int gust_http_call_take(gust_http_call *call, gust_conn **ret_conn)
{
    if (call->taken)
        return -EALREADY;
    if (!is_tunnel(call))
        return -EPROTO;
    if (call->sending != SEND_DONE)
        return -EBUSY;
    call->taken = true;
    *ret_conn = gust__pool_give_away(gust__call_detach(call));
    return 0;
}
