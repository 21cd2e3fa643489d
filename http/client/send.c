/* Sending a request.
 *
 * One that is given whole leaves in one write, head and body.  Others are collected in the
 * connection's write buffer, which sends itself when it is full. */
#include "http/client/client.h"

#include <errno.h>
#include <sys/uio.h>

/* What may be waited for in one piece. */
#define PIECE_MAX ((size_t)262144)

static int fail(gust_http_call *call, int error)
{
    call->sending = SEND_FAILED;
    return gust__call_fail(&call->send_failure, GUST_HTTP_PHASE_SEND, error, "");
}

/* --- The connection ------------------------------------------------------------------- */

bool gust__may_send_again(const gust_http_call *call)
{
    return call->whole && !call->no_retry && !call->retried && (call->idempotent || call->has_key);
}

static int get_conn(gust_http_call *call)
{
    bool fresh = call->fresh || call->retried || call->proxy_header.len > 0;
    struct client_conn *cc;

    int r = gust__pool_get(call, !gust__may_send_again(call), fresh, &cc);
    if (r < 0)
        return gust__call_fail(&call->failure, GUST_HTTP_PHASE_WAIT, r, "");
    if (!cc && (r = gust__connect(call, &cc)) < 0)
        return r;
    r = gust__call_attach(call, cc);
    if (r < 0) {
        gust__pool_close(cc);
        return gust__call_fail(&call->failure, GUST_HTTP_PHASE_CONNECT, r, "aborted");
    }
    call->reused = cc->used;
    call->attempts++;
    return 0;
}

/* --- Bytes -------------------------------------------------------------------------------- */

/* In pieces, each with a time of its own. */
static int append_slowly(gust_http_call *call, const char *p, size_t len)
{
    ssize_t n = 0;

    for (const char *end = p + len; p < end && n >= 0; p += n) {
        size_t left = (size_t)(end - p);
        size_t piece = left < PIECE_MAX ? left : PIECE_MAX;
        n = gust_conn_append(call->conn, p, piece, call_deadline(call, call->timeouts.send_ns));
    }
    return n < 0 ? (int)n : 0;
}

static int append(gust_http_call *call, const void *buf, size_t len)
{
    /* It usually fits, and then nobody needs to know what time it is. */
    ssize_t n = gust_conn_append(call->conn, buf, len, GUST_NOW);

    call->sent = true;
    if (n == -EAGAIN)
        return append_slowly(call, buf, len);
    return n < 0 ? (int)n : 0;
}

static int append_text(gust_http_call *call, const struct http_text *t)
{
    return t->len > 0 ? append(call, t->data, t->len) : 0;
}

static int append_head(gust_http_call *call)
{
    int r = append_text(call, &call->line);

    if (r == 0)
        r = append_text(call, &call->fields);
    return r == 0 ? append(call, "\r\n", 2) : r;
}

static int append_whole(gust_http_call *call)
{
    int r = append_head(call);

    if (r == 0 && call->length > 0)
        r = append(call, call->body, (size_t)call->length);
    return r == 0 ? gust_conn_flush(call->conn) : r;
}

static int write_whole(gust_http_call *call)
{
    const struct iovec iov[] = {
        {call->line.data, call->line.len},
        {call->fields.data, call->fields.len},
        {(void *)"\r\n", 2},
        {(void *)call->body, (size_t)call->length},
    };
    ssize_t n = gust_conn_writev(call->conn, iov, 4, GUST_NOW);

    call->sent = true;
    if (n == -EAGAIN)
        return append_whole(call);
    return n < 0 ? (int)n : 0;
}

/* --- Whole requests -------------------------------------------------------------------------- */

int gust__send_whole(gust_http_call *call)
{
    int r = get_conn(call);

    if (r < 0) {
        call->sending = SEND_FAILED;
        return r;
    }
    call->sending = SEND_DONE;
    r = gust__request_finish(call);
    if (r == 0)
        r = write_whole(call);
    if (r < 0 && gust__is_lost(r) && call->reused && gust__may_send_again(call))
        return gust__send_again(call);
    return r < 0 ? fail(call, r) : 0;
}

int gust__send_again(gust_http_call *call)
{
    gust__pool_close(gust__call_detach(call));
    call->retried = true;
    return gust__send_whole(call);
}

static int check_new(const gust_http_call *call, int64_t length)
{
    if (call->sending != SEND_NEW)
        return -EALREADY;
    return call->declared != LENGTH_UNDECLARED && call->declared != length ? -EMSGSIZE : 0;
}

int gust_http_call_send(gust_http_call *call, const void *body, size_t len)
{
    if (len > INT64_MAX)
        return -EINVAL;
    int r = check_new(call, (int64_t)len);
    if (r < 0)
        return r;
    call->length = (int64_t)len;
    call->written = len;
    call->body = body;
    call->whole = true;
    if (!call->expects || len == 0)
        return gust__send_whole(call);
    call->whole = false;
    r = gust_http_call_begin(call, (int64_t)len);
    call->written = 0;
    if (r == 0) {
        ssize_t n = gust_http_call_write(call, body, len);
        r = n < 0 ? (int)n : gust_http_call_end(call);
    }
    return r == -EALREADY ? 0 : r;
}

/* --- Streams ------------------------------------------------------------------------------------ */

int gust_http_call_begin(gust_http_call *call, int64_t length)
{
    if (length == LENGTH_CHUNKED && call->declared != LENGTH_UNDECLARED)
        length = call->declared;
    if (length < LENGTH_CHUNKED)
        return -EINVAL;
    int r = check_new(call, length);
    if (r < 0)
        return r;
    call->length = length;
    r = get_conn(call);
    if (r < 0) {
        call->sending = SEND_FAILED;
        return r;
    }
    call->sending = SEND_BODY;
    call->continue_due = call->expects && length != 0;
    r = gust__request_finish(call);
    if (r == 0)
        r = append_head(call);
    if (r == 0 && (length == 0 || call->continue_due))
        r = gust_conn_flush(call->conn);
    if (length == 0)
        call->sending = SEND_DONE;
    return r < 0 ? fail(call, r) : 0;
}

static int append_chunk(gust_http_call *call, const void *buf, size_t len)
{
    char line[CHUNK_HEAD_MAX];
    gust_span head = gust__chunk_head(len, line);

    int r = append(call, head.data, head.len);
    if (r == 0)
        r = append(call, buf, len);
    return r == 0 ? append(call, "\r\n", 2) : r;
}

/* May body be sent now? */
static int admit(gust_http_call *call, size_t len)
{
    if (call->sending == SEND_FAILED)
        return call->send_failure.error ? call->send_failure.error : call->failure.error;
    if (call->sending != SEND_BODY)
        return call->sending == SEND_NEW      ? -EINVAL
               : call->length == 0 && len > 0 ? -EMSGSIZE
                                              : -EALREADY;
    if (call->length >= 0 && len > (uint64_t)call->length - call->written)
        return -EMSGSIZE;
    return call->continue_due ? gust__await_continue(call) : 0;
}

ssize_t gust_http_call_write(gust_http_call *call, const void *buf, size_t len)
{
    int r = admit(call, len);

    if (r < 0 || len == 0)
        return r;
    call->written += len;
    /* Relaxed: only that it changes matters. */
    atomic_fetch_add_explicit(&call->writes, 1, memory_order_relaxed);
    r = call->length == LENGTH_CHUNKED ? append_chunk(call, buf, len) : append(call, buf, len);
    return r < 0 ? fail(call, r) : (ssize_t)len;
}

int gust_http_call_flush(gust_http_call *call)
{
    int r = admit(call, 0);

    if (r < 0)
        return r;
    r = gust_conn_flush(call->conn);
    return r < 0 ? fail(call, r) : 0;
}

int gust_http_call_trailer_span(gust_http_call *call, gust_span name, gust_span value)
{
    if (call->sending != SEND_BODY)
        return call->sending == SEND_NEW ? -EINVAL : -EALREADY;
    if (!gust__http_field_valid(name, value) || gust__http_field_frames(name))
        return -EINVAL;
    if (call->length != LENGTH_CHUNKED)
        return -ENOTSUP;
    return gust__http_text_add_field(&call->trailers, name, value,
                                     GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
}

int gust_http_call_trailer(gust_http_call *call, const char *name, const char *value)
{
    return gust_http_call_trailer_span(call, gust_span_of(name), gust_span_of(value));
}

static int append_end(gust_http_call *call)
{
    int r = append(call, "0\r\n", 3);

    if (r == 0)
        r = append_text(call, &call->trailers);
    return r == 0 ? append(call, "\r\n", 2) : r;
}

int gust_http_call_end(gust_http_call *call)
{
    if (call->sending == SEND_DONE)
        return 0;
    int r = admit(call, 0);
    if (r < 0)
        return r;
    if (call->length >= 0 && call->written < (uint64_t)call->length)
        return fail(call, -ENODATA);
    if (call->length == LENGTH_CHUNKED)
        r = append_end(call);
    if (r == 0)
        r = gust_conn_flush(call->conn);
    if (r < 0)
        return fail(call, r);
    call->sending = SEND_DONE;
    return 0;
}
