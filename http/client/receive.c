/* Waiting for the response's head, interim ones included.
 *
 * A head is copied out of the connection's view, so that what it says stays while the body is
 * read; it fits the call's own storage unless it is unusually long. */
#include "http/client/client.h"

#include "core/inject.h"

#include <errno.h>
#include <stdlib.h>

static int fail(gust_http_call *call, int error, const char *reason)
{
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_HEAD, error, reason);
}

bool gust__is_lost(int error)
{
    return error == -ECONNRESET || error == -EPIPE || error == -ECONNABORTED;
}

/* --- A complete head ------------------------------------------------------------------ */

static int keep_text(gust_http_call *call, gust_span text)
{
    if (text.len > call->text_size) {
        char *larger = gust__malloc(text.len);
        if (!larger)
            return fail(call, -ENOMEM, "");
        if (call->text != call->head_storage)
            free(call->text);
        call->text = larger;
        call->text_size = text.len;
    }
    memcpy(call->text, text.data, text.len);
    return 0;
}

static int check_interim(gust_http_call *call)
{
    const struct response_head *h = &call->head;

    if (h->status == 101)
        return fail(call, -EPROTO, "the server switches to a protocol nobody asked for");
    if (h->chunked || h->content_length > 0)
        return fail(call, -EBADMSG, "an interim response with a body");
    if (++call->interims > GUST_HTTP_CLIENT_INTERIM_MAX)
        return fail(call, -EBADMSG, "too many interim responses");
    return 0;
}

static int take_head(gust_http_call *call)
{
    const struct response_head *h = &call->head;
    bool is_final = h->status >= 200 || (h->status == 101 && call->upgrades);

    int r = is_final ? 0 : check_interim(call);
    if (r == 0)
        r = keep_text(call, (gust_span){gust_conn_view(call->conn).data, h->len});
    if (r < 0)
        return r;
    gust_conn_consume(call->conn, h->len);
    call->heads = is_final ? HEADS_FINAL : HEADS_INTERIM;
    if (call->continue_due && (is_final || h->status == 100))
        call->continue_due = false;
    if (is_final)
        gust__body_begin(call);
    return h->status;
}

/* --- Waiting --------------------------------------------------------------------------- */

/* What ends it without a head is not recorded. */
static int fill(gust_http_call *call, gust_time deadline)
{
    ssize_t n = gust_conn_fill(call->conn, call->client->options.header_bytes_max, deadline);

    if (n > 0)
        call->received = true;
    return n > 0 ? 0 : n == 0 ? -ECONNRESET : (int)n;
}

/* The status, or an error: recorded if it is the response's, else not. */
static int read_head(gust_http_call *call, gust_time deadline)
{
    const gust_http_client_options *o = &call->client->options;
    const struct response_limits limits = {o->header_bytes_max, o->header_fields_max};
    struct response_head *h = &call->head;
    int r = 0;

    response_head_init(h);
    while (r == 0) {
        gust_span view = gust_conn_view(call->conn);
        switch (gust__http_response_scan(h, &limits, view.data, view.len)) {
        case RESPONSE_MORE: r = fill(call, deadline); break;
        case RESPONSE_COMPLETE: return take_head(call);
        case RESPONSE_MALFORMED: return fail(call, -EBADMSG, h->wrong);
        case RESPONSE_TOO_LARGE: return fail(call, -EMSGSIZE, h->wrong);
        }
    }
    h->status = 0;
    return r;
}

static const char *reason_of(const gust_http_call *call, int error)
{
    if (error != -ECONNRESET)
        return "";
    return call->received ? "the connection ended within the header"
                          : "the connection ended before a response";
}

static uint32_t writes_of(gust_http_call *call)
{
    return atomic_load_explicit(&call->writes, memory_order_relaxed);
}

static int await_head(gust_http_call *call)
{
    for (;;) {
        uint32_t writes = writes_of(call);
        int r = read_head(call, call_deadline(call, call->timeouts.head_ns));
        if (r > 0 || call->failure.error)
            return r;
        /* The request is still being sent. */
        if (r == -ETIMEDOUT && writes_of(call) != writes && gust_now() < call->deadline)
            continue;
        if (!call->reused || call->received || !gust__is_lost(r) || !gust__may_send_again(call))
            return fail(call, r, reason_of(call, r));
        r = gust__send_again(call);
        if (r < 0)
            return r;
    }
}

/* A server may answer and close before it has read everything.  What a stream has met is known
 * to the goroutine that sends it. */
static int check_sent(const gust_http_call *call)
{
    int error = call->whole ? call->send_failure.error : 0;

    if (!call->conn)
        return -EINVAL;
    return gust__is_lost(error) ? 0 : error;
}

int gust_http_call_next_head(gust_http_call *call)
{
    int r = call->failure.error;

    if (r == 0 && call->heads == HEADS_FINAL)
        return call->head.status;
    if (r == 0)
        r = check_sent(call);
    if (r < 0)
        return r;
    if (!call->whole)
        (void)gust_conn_flush(call->conn); /* whoever sends hears of its error */
    return await_head(call);
}

int gust_http_call_wait(gust_http_call *call)
{
    int status, followed = 0;

    do {
        status = gust_http_call_next_head(call);
        if (status > 0 && call->heads == HEADS_FINAL && call->redirects_max > 0)
            followed = gust__follow_redirect(call);
    } while (status > 0 && followed >= 0 && (call->heads != HEADS_FINAL || followed > 0));
    return followed < 0 ? followed : status;
}

int gust__await_continue(gust_http_call *call)
{
    gust_time deadline = call_deadline(call, call->timeouts.continue_ns);
    int r = 0;

    while (call->continue_due && r >= 0)
        r = read_head(call, deadline);
    if (call->heads == HEADS_FINAL)
        return -EALREADY;
    call->continue_due = false;
    if (r >= 0 || (r == -ETIMEDOUT && gust_now() < call->deadline))
        return 0;
    return fail(call, r, "");
}

/* --- What it says -------------------------------------------------------------------------- */

int gust_http_call_status(const gust_http_call *call)
{
    return call->heads == HEADS_NONE ? 0 : call->head.status;
}

gust_span gust_http_call_reason(const gust_http_call *call)
{
    if (call->heads == HEADS_NONE)
        return (gust_span){"", 0};
    return (gust_span){call->text + call->head.reason.at, call->head.reason.len};
}

int gust_http_call_minor(const gust_http_call *call)
{
    return call->head.minor;
}

gust_span gust_http_call_response_lines(const gust_http_call *call)
{
    const struct response_head *h = &call->head;

    if (call->heads == HEADS_NONE)
        return (gust_span){"", 0};
    return (gust_span){call->text + h->fields_at, h->len - h->fields_at - 2};
}

gust_span gust_http_call_response_header(const gust_http_call *call, const char *name)
{
    gust_span lines = gust_http_call_response_lines(call);

    return gust__http_fields_find(lines.data, lines.len, name);
}

bool gust_http_call_response_fields(const gust_http_call *call, size_t *cursor,
                                    gust_http_field *ret_field)
{
    gust_span lines = gust_http_call_response_lines(call);

    return gust__http_fields_next(lines.data, lines.len, cursor, ret_field);
}
