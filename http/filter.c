/* Body filters. */
#include "http/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/response.h"

int gust__http_filter_set(gust_http_response *res, const struct http_filter *f)
{
    if (res->committed || res->body_at > 0)
        return -EALREADY;
    if (res->filter)
        return -EBUSY;
    res->filter = f;
    return 0;
}

/* --- The header ---------------------------------------------------------------- */

int gust__http_response_replace(gust_http_response *res, gust_span old, gust_span by)
{
    struct http_text *t = &res->text;
    size_t at = (size_t)(old.data - t->data);
    int r = by.len > old.len ? gust__http_text_reserve(t, by.len - old.len) : 0;

    if (r < 0)
        return r;
    char *place = t->data + at;
    memmove(place + by.len, place + old.len, t->len - at - old.len);
    memcpy(place, by.data, by.len);
    t->len += by.len - old.len;
    if (res->body_at > 0)
        res->body_at += by.len - old.len;
    return 0;
}

static int insert(gust_http_response *res, const char *text)
{
    gust_span fields = gust__http_response_fields(res);
    gust_span end = {fields.data + fields.len, 0};

    return gust__http_response_replace(res, end, (gust_span){text, strlen(text)});
}

int gust__http_response_add(gust_http_response *res, const char *name, const char *value)
{
    const char *parts[] = {name, ": ", value, "\r\n"};
    int r = gust__http_text_reserve(&res->text, strlen(name) + strlen(value) + 4);

    for (size_t i = 0; r == 0 && i < sizeof(parts) / sizeof(parts[0]); i++)
        r = insert(res, parts[i]);
    return r;
}

/* --- The body -------------------------------------------------------------------- */

int gust__http_filter_put(gust_http_response *res, const void *buf, size_t len)
{
    struct http_text *t = res->collected;

    if (!t) {
        gust__http_send_piece(res, buf, len);
        return res->error;
    }
    int r = gust__http_text_reserve(t, len);
    if (r == 0) {
        memcpy(t->data + t->len, buf, len);
        t->len += len;
    }
    return r;
}

/* Puts what the filter makes of the staged body in its place: the response is declared to
 * be that long, and the filter has done its part. */
static int filter_whole(gust_http_response *res)
{
    struct http_text *text = &res->text;
    struct http_text whole = {0};
    size_t staged = text->len - res->body_at;

    res->collected = &whole;
    int r = res->filter->write(res->filter_state, res, text->data + res->body_at, staged);
    if (r == 0)
        r = res->filter->end(res->filter_state, res);
    res->collected = NULL;
    text->len = res->body_at;
    if (r == 0)
        r = gust__http_text_reserve(text, whole.len);
    if (r == 0 && whole.len > 0)
        memcpy(text->data + text->len, whole.data, whole.len);
    text->len += whole.len;
    free(whole.heap);
    gust__http_filter_free(res);
    res->declared = true;
    res->length = res->written = whole.len;
    return r;
}

static uint64_t length_of_body(const gust_http_response *res, bool complete)
{
    if (res->declared)
        return res->length;
    return complete ? res->text.len - res->body_at : FILTER_LENGTH_UNKNOWN;
}

int gust__http_filter_begin(gust_http_response *res, bool complete)
{
    const struct http_filter *f = res->filter;
    size_t staged = res->text.len - res->body_at;
    uint64_t length = length_of_body(res, complete);

    /* A body that the handler has left short is cut off as it is. */
    bool whole = complete && length == staged;
    bool cut = complete && !whole && gust__http_sends_body(res);
    int r = 0;
    if (gust__http_status_has_body(res->status) && !cut)
        r = f->begin(f, res, length, &res->filter_state);
    if (!res->filter_state)
        res->filter = NULL;
    else if (r == 0 && whole && !res->wants_chunked)
        r = filter_whole(res);
    return r;
}

/* The filter's own errors are the response's: nothing more is sent then. */
static void note(gust_http_response *res, int r)
{
    if (r < 0 && res->error == 0)
        res->error = r;
}

void gust__http_filter_write(gust_http_response *res, const void *buf, size_t len)
{
    if (!res->filter_state)
        gust__http_send_piece(res, buf, len);
    else if (len > 0 && res->error == 0 && gust__http_sends_body(res))
        note(res, res->filter->write(res->filter_state, res, buf, len));
}

void gust__http_filter_flush(gust_http_response *res)
{
    if (res->error == 0 && gust__http_sends_body(res))
        note(res, res->filter->flush(res->filter_state, res));
}

void gust__http_filter_end(gust_http_response *res)
{
    if (res->error == 0 && gust__http_sends_body(res))
        note(res, res->filter->end(res->filter_state, res));
}

void gust__http_filter_free(gust_http_response *res)
{
    res->filter->free(res->filter_state);
    res->filter_state = NULL;
    res->filter = NULL;
}
