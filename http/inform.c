/* Interim responses: sent ahead of the real one, of which they change nothing. */
#include "http/exchange.h"

#include "http/status.h"
#include "http/syntax.h"

#include <gust/http_reply.h>

#include <errno.h>
#include <string.h>

/* *ret_size: room for all of it. */
static int check(int status, const gust_http_field *fields, size_t count, size_t *ret_size)
{
    size_t size = 0;

    if (status < 100 || status > 199 || status == 101)
        return -EINVAL;
    for (size_t i = 0; i < count; i++) {
        size_t need = fields[i].name.len + fields[i].value.len + 4;
        if (!gust__http_field_valid(fields[i].name, fields[i].value) ||
            gust__http_field_frames(fields[i].name))
            return -EINVAL;
        if (need > RESPONSE_FIELDS_MAX - size)
            return -ENOBUFS;
        size += need;
    }
    *ret_size = STATUS_LINE_MAX + size + 2;
    return 0;
}

static char *put(char *p, const char *bytes, size_t n)
{
    return n > 0 ? (char *)memcpy(p, bytes, n) + n : p;
}

/* Returns the length. */
static size_t format(char *text, int status, const gust_http_field *fields, size_t count)
{
    char *p = text + gust__http_status_line(status, text);

    for (size_t i = 0; i < count; i++) {
        p = put(p, fields[i].name.data, fields[i].name.len);
        p = put(p, ": ", 2);
        p = put(p, fields[i].value.data, fields[i].value.len);
        p = put(p, "\r\n", 2);
    }
    return (size_t)(put(p, "\r\n", 2) - text);
}

int gust_http_inform(gust_http_response *res, int status, const gust_http_field *fields,
                     size_t field_count)
{
    size_t size;
    int r = check(status, fields, field_count, &size);

    if (r < 0)
        return r;
    if (res->error < 0)
        return res->error;
    if (res->committed)
        return -EALREADY;
    if (res->req->head->minor == 0)
        return 0; /* RFC 9110, 15.2 */
    char *text = gust_http_alloc(res->req, size);
    if (!text)
        return -ENOMEM;
    if (status == 100)
        res->req->continue_due = false;
    res->error = gust__http_send(res->req, text, format(text, status, fields, field_count));
    if (res->error == 0)
        res->error = gust_conn_flush(res->hc->conn);
    return res->error;
}
