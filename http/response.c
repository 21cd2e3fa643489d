/* Collecting and sending a response.
 *
 * The handler's fields and the start of its body are collected in one text.  The
 * commit decides the framing, puts the status line and the server's fields in
 * front, and appends it all to the connection in one piece; that happens when
 * the handler returns, flushes, or has written more than is collected. */
#include "http/response.h"

#include "http/date.h"
#include "http/filter.h"
#include "http/status.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *put_date(char *p)
{
    p = PUT_LITERAL(p, "Date: ");
    gust__http_date_now(p);
    return PUT_LITERAL(p + HTTP_DATE_LEN, "\r\n");
}

/* --- Status and header ---------------------------------------------------- */

void gust__http_response_init(gust_http_response *res, struct http_conn *hc, gust_http_request *req)
{
    res->hc = hc;
    res->req = req;
    res->text = (struct http_text){res->storage, RESPONSE_PREFIX_MAX, sizeof(res->storage), NULL};
    res->body_at = 0;
    res->trailers = (struct http_text){0};
    res->status = 200;
    res->framing = FRAMING_NONE;
    res->committed = false;
    res->has_date = false;
    res->wants_chunked = false;
    res->keep_alive = req->head->keep_alive;
    res->declared = false;
    res->length = 0;
    res->written = 0;
    res->error = 0;
    res->filter = NULL;
    res->filter_state = NULL;
    res->collected = NULL;
}

void gust__http_response_fini(gust_http_response *res)
{
    if (res->filter_state)
        gust__http_filter_free(res);
    free(res->text.heap);
    free(res->trailers.heap);
}

static bool header_ended(const gust_http_response *res)
{
    return res->committed || res->body_at > 0;
}

int gust_http_status(gust_http_response *res, int status)
{
    if (header_ended(res))
        return -EALREADY;
    if (status < 200 || status > 999)
        return -EINVAL;
    res->status = status;
    return 0;
}

static int declare_length(gust_http_response *res, gust_span value)
{
    uint64_t length;

    if (!gust__http_number(value, &length) || (res->declared && res->length != length) ||
        res->wants_chunked)
        return -EINVAL;
    res->declared = true;
    res->length = length;
    return 0;
}

/* Fields that are the server's business.  Returns 1 if the field is to be sent
 * as it is, 0 if it was dealt with. */
static int special_field(gust_http_response *res, gust_span name, gust_span value)
{
    switch (name.len) {
    case 4:
        if (gust__http_equals(name, "date")) {
            if (res->has_date)
                return -EINVAL;
            res->has_date = true;
        }
        return 1;
    case 10:
        if (!gust__http_equals(name, "connection"))
            return 1;
        if (!gust__http_equals(value, "close"))
            return -EINVAL;
        res->keep_alive = false;
        return 0;
    case 14: return gust__http_equals(name, "content-length") ? declare_length(res, value) : 1;
    case 17: return gust__http_equals(name, "transfer-encoding") ? -EINVAL : 1;
    default: return 1;
    }
}

int gust_http_header_span(gust_http_response *res, const char *name, gust_span value)
{
    gust_span name_span = {name, strlen(name)};

    if (header_ended(res))
        return -EALREADY;
    if (!gust__http_field_valid(name_span, value))
        return -EINVAL;
    int r = special_field(res, name_span, value);
    return r == 1 ? gust__http_add_field(res, name_span, value) : r;
}

int gust__http_add_field(gust_http_response *res, gust_span name, gust_span value)
{
    return gust__http_text_add_field(&res->text, name, value,
                                     RESPONSE_PREFIX_MAX + RESPONSE_FIELDS_MAX);
}

int gust_http_header(gust_http_response *res, const char *name, const char *value)
{
    return gust_http_header_span(res, name, (gust_span){value, strlen(value)});
}

/* --- Commit --------------------------------------------------------------- */

static bool is_head_request(const gust_http_response *res)
{
    return res->req->head->method_code == GUST_HTTP_HEAD;
}

bool gust__http_status_has_body(int status)
{
    return status != 204 && status != 304;
}

bool gust__http_sends_body(const gust_http_response *res)
{
    return gust__http_status_has_body(res->status) && !is_head_request(res);
}

static void send_bytes(gust_http_response *res, const void *buf, size_t len)
{
    if (res->error == 0 && len > 0)
        res->error = gust__http_send(res->req, buf, len);
}

/* `complete`: no more will be written. */
static enum response_framing choose_framing(const gust_http_response *res, bool complete)
{
    if (res->status == 204)
        return FRAMING_NONE;
    if (res->declared && !res->filter_state)
        return FRAMING_LENGTH;
    if (res->status == 304)
        return FRAMING_NONE;
    if (complete && !res->wants_chunked && !res->filter_state)
        return FRAMING_LENGTH;
    return res->req->head->minor == 1 ? FRAMING_CHUNKED : FRAMING_CLOSE;
}

/* True if the connection can serve another request, as far as is known now.  A
 * handler that still runs may yet read its body to the end. */
static bool may_keep_alive(const gust_http_response *res, bool complete)
{
    const gust_http_request *req = res->req;

    if (!res->keep_alive || res->framing == FRAMING_CLOSE || req->body_error ||
        gust__http_draining(res->hc))
        return false;
    if (!complete || gust__http_body_ended(req))
        return true;
    return !req->continue_due && req->left <= GUST_HTTP_DISCARD_BYTES_MAX;
}

/* Writes status line, Date, framing and Connection; at most
 * RESPONSE_PREFIX_MAX bytes. */
static size_t build_prefix(const gust_http_response *res, char *prefix)
{
    char *p = prefix + gust__http_status_line(res->status, prefix);

    if (!res->has_date)
        p = put_date(p);
    if (res->framing == FRAMING_LENGTH) {
        p = PUT_LITERAL(p, "Content-Length: ");
        p = put_decimal(p, res->declared ? res->length : res->written);
        p = PUT_LITERAL(p, "\r\n");
    } else if (res->framing == FRAMING_CHUNKED) {
        p = PUT_LITERAL(p, "Transfer-Encoding: chunked\r\n");
    }
    if (!res->keep_alive)
        p = PUT_LITERAL(p, "Connection: close\r\n");
    else if (res->req->head->minor == 0)
        p = PUT_LITERAL(p, "Connection: keep-alive\r\n");
    return (size_t)(p - prefix);
}

int gust__http_end_header(gust_http_response *res)
{
    if (res->body_at > 0)
        return 0;
    int r = gust__http_text_reserve(&res->text, 2);
    if (r < 0)
        return r;
    text_put(&res->text, "\r\n", 2);
    res->body_at = res->text.len;
    return 0;
}

void gust__http_send_piece(gust_http_response *res, const void *buf, size_t len)
{
    char line[CHUNK_HEAD_MAX];

    if (!gust__http_sends_body(res) || len == 0)
        return;
    if (res->framing != FRAMING_CHUNKED) {
        send_bytes(res, buf, len);
        return;
    }
    gust_span head = gust__chunk_head(len, line);
    send_bytes(res, head.data, head.len);
    send_bytes(res, buf, len);
    send_bytes(res, "\r\n", 2);
}

int gust__http_commit(gust_http_response *res, bool complete)
{
    struct http_text *t = &res->text;
    char prefix[RESPONSE_PREFIX_MAX];
    int r = gust__http_end_header(res);

    if (r < 0)
        return res->error = r;
    if (res->filter && (r = gust__http_filter_begin(res, complete)) < 0)
        return res->error = r;
    res->committed = true;
    res->framing = choose_framing(res, complete);
    res->keep_alive = may_keep_alive(res, complete);
    size_t n = build_prefix(res, prefix);
    char *start = t->data + RESPONSE_PREFIX_MAX - n;
    memcpy(start, prefix, n);

    char *body = t->data + res->body_at;
    size_t staged = t->len - res->body_at;
    bool in_one_piece =
        res->framing != FRAMING_CHUNKED && !res->filter_state && gust__http_sends_body(res);
    send_bytes(res, start, (size_t)(body - start) + (in_one_piece ? staged : 0));
    if (!in_one_piece)
        gust__http_filter_write(res, body, staged);
    return res->error;
}

/* --- Body ----------------------------------------------------------------- */

int gust__http_admit(const gust_http_response *res, size_t len)
{
    if (res->error < 0)
        return res->error;
    if (len > 0 && !gust__http_status_has_body(res->status))
        return -EMSGSIZE;
    if (res->declared && len > res->length - res->written)
        return -EMSGSIZE;
    return 0;
}

ssize_t gust_http_write(gust_http_response *res, const void *buf, size_t len)
{
    int r = gust__http_admit(res, len);

    if (r == 0 && !res->committed)
        r = gust__http_end_header(res);
    if (r < 0)
        return r;
    res->written += len;
    if (!res->committed) {
        size_t staged = res->text.len - res->body_at;
        if (len <= RESPONSE_STAGE_MAX - staged) {
            if ((r = gust__http_text_reserve(&res->text, len)) < 0)
                return res->error = r;
            text_put(&res->text, buf, len);
            return (ssize_t)len;
        }
        gust__http_commit(res, false);
    }
    gust__http_filter_write(res, buf, len);
    return res->error < 0 ? res->error : (ssize_t)len;
}

int gust_http_flush(gust_http_response *res)
{
    if (res->error == 0 && !res->committed)
        gust__http_commit(res, false);
    if (res->filter_state)
        gust__http_filter_flush(res);
    if (res->error == 0)
        res->error = gust_conn_flush(res->hc->conn);
    return res->error;
}

int gust_http_trailer(gust_http_response *res, const char *name, const char *value)
{
    gust_span name_span = {name, strlen(name)};
    gust_span value_span = {value, strlen(value)};

    if (!gust__http_field_valid(name_span, value_span) || gust__http_field_frames(name_span))
        return -EINVAL;
    if (!gust__http_sends_body(res) || res->req->head->minor == 0 || res->declared)
        return -ENOTSUP;
    int r = gust__http_text_add_field(&res->trailers, name_span, value_span, RESPONSE_FIELDS_MAX);
    if (r == 0)
        res->wants_chunked = true;
    return r;
}

int gust_http_reply(gust_http_response *res, int status, const char *content_type, const void *body,
                    size_t len)
{
    int r = gust_http_status(res, status);

    if (r == 0 && content_type)
        r = gust_http_header(res, "Content-Type", content_type);
    if (r == 0 && !res->declared && gust__http_status_has_body(status)) {
        res->declared = true;
        res->length = len;
    }
    if (r == 0) {
        ssize_t n = gust_http_write(res, body, len);
        r = n < 0 ? (int)n : 0;
    }
    return r;
}

/* --- The end -------------------------------------------------------------- */

int gust__http_refuse(struct http_conn *hc, int status, bool with_body)
{
    char answer[STATUS_LINE_MAX + 192];
    gust_span reason = gust__http_reason(status);
    char *p = answer + gust__http_status_line(status, answer);

    p = put_date(p);
    p = PUT_LITERAL(p, "Connection: close\r\nContent-Type: text/plain\r\nContent-Length: ");
    p = put_decimal(p, reason.len + 1);
    p = PUT_LITERAL(p, "\r\n\r\n");
    if (with_body) {
        p = put_string(p, reason.data, reason.len);
        *p++ = '\n';
    }
    return gust__http_append(hc, answer, (size_t)(p - answer));
}

/* The body could not be read to its end: the client hears why, unless the
 * handler told it already. */
static bool refusal_due(const gust_http_response *res)
{
    return res->req->refusal && !res->committed && res->status < 400;
}

static void finish_chunked(gust_http_response *res)
{
    send_bytes(res, "0\r\n", 3);
    send_bytes(res, res->trailers.data, res->trailers.len);
    send_bytes(res, "\r\n", 2);
}

static void end_body(gust_http_response *res)
{
    if (res->filter_state)
        gust__http_filter_end(res);
    if (res->framing == FRAMING_CHUNKED && gust__http_sends_body(res))
        finish_chunked(res);
}

enum response_end gust__http_response_fail(gust_http_response *res, int status)
{
    if (res->error < 0 || res->committed)
        return RESPONSE_TRUNCATED;
    res->committed = true;
    res->status = status;
    res->written = gust__http_reason(status).len + 1;
    res->error = gust__http_refuse(res->hc, status, !is_head_request(res));
    return res->error < 0 ? RESPONSE_TRUNCATED : RESPONSE_LAST;
}

enum response_end gust__http_response_finish(gust_http_response *res)
{
    if (refusal_due(res))
        return gust__http_response_fail(res, res->req->refusal);
    bool complete = !res->declared || !gust__http_sends_body(res) || res->written == res->length;
    if (res->error == 0 && !res->committed)
        gust__http_commit(res, true);
    if (complete && !res->req->body_error)
        end_body(res);
    if (res->error < 0 || !complete || (res->req->body_error && res->framing == FRAMING_CHUNKED))
        return RESPONSE_TRUNCATED;
    return res->keep_alive ? RESPONSE_DONE : RESPONSE_LAST;
}
