/* What a response's header says so far, and taking things out of it. */
#include "http/exchange.h"

#include "http/syntax.h"

#include <gust/http_reply.h>

#include <errno.h>
#include <string.h>

gust_span gust__http_response_fields(const gust_http_response *res)
{
    size_t end = res->body_at > 0 ? res->body_at - 2 : res->text.len;

    return (gust_span){res->text.data + RESPONSE_PREFIX_MAX, end - RESPONSE_PREFIX_MAX};
}

gust_span gust_http_response_header(const gust_http_response *res, const char *name)
{
    gust_span block = gust__http_response_fields(res);

    return gust__http_fields_find(block.data, block.len, name);
}

/* Moves what is behind the lines [from, to) of the block over them. */
static void cut(gust_http_response *res, size_t from, size_t to)
{
    gust_span block = gust__http_response_fields(res);
    char *start = res->text.data + RESPONSE_PREFIX_MAX;

    memmove(start + from, start + to, block.len - to);
    res->text.len -= to - from;
}

static void remove_lines(gust_http_response *res, const char *name)
{
    size_t len = strlen(name);
    gust_http_field field;
    size_t from = 0, to = 0;

    for (;;) {
        gust_span block = gust__http_response_fields(res);
        if (!gust__http_fields_next(block.data, block.len, &to, &field))
            return;
        if (gust__http_same_name(field.name, name, len))
            cut(res, from, to);
        else
            from = to;
        to = from;
    }
}

int gust_http_header_remove(gust_http_response *res, const char *name)
{
    gust_span span = {name, strlen(name)};

    if (gust_http_response_sent(res) || res->body_at > 0)
        return -EALREADY;
    if (gust__http_equals(span, "content-length"))
        res->declared = false;
    else if (gust__http_equals(span, "date"))
        res->has_date = false;
    remove_lines(res, name);
    return 0;
}

int gust_http_response_status(const gust_http_response *res)
{
    return res->status;
}

uint64_t gust_http_response_bytes(const gust_http_response *res)
{
    return res->written;
}

bool gust_http_response_sent(const gust_http_response *res)
{
    return res->committed;
}
