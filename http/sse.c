/* Server-sent events.  An event is laid out in one piece, so that it is one chunk. */
#include "core/inject.h"

#include <gust/context.h>
#include <gust/http_reply.h>
#include <gust/http_sse.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Events up to this are laid out on the stack. */
#define SSE_STACK 1024

/* --- Lines ----------------------------------------------------------------- */

static bool is_one_line(const char *text)
{
    return !text || !text[strcspn(text, "\r\n")];
}

/* Takes the first line off, without its end.  False: there is none. */
static bool next_line(gust_span *rest, gust_span *ret_line)
{
    if (!rest->data)
        return false;
    size_t n = 0;
    while (n < rest->len && rest->data[n] != '\r' && rest->data[n] != '\n')
        n++;
    *ret_line = (gust_span){rest->data, n};
    if (n == rest->len) {
        rest->data = NULL;
        return true;
    }
    n += rest->data[n] == '\r' && n + 1 < rest->len && rest->data[n + 1] == '\n' ? 2 : 1;
    *rest = (gust_span){rest->data + n, rest->len - n};
    return true;
}

/* Writes "name: value\n" at p, unless that is NULL; returns its length. */
static size_t put_line(char *p, const char *name, gust_span value)
{
    size_t name_len = strlen(name);

    if (p) {
        p = (char *)memcpy(p, name, name_len) + name_len;
        p = (char *)memcpy(p, ": ", 2) + 2;
        if (value.len > 0)
            memcpy(p, value.data, value.len);
        p[value.len] = '\n';
    }
    return name_len + 2 + value.len + 1;
}

static size_t put_text_line(char *p, const char *name, const char *value)
{
    return value ? put_line(p, name, (gust_span){value, strlen(value)}) : 0;
}

/* --- Events ---------------------------------------------------------------- */

/* Lays the event out at `text`, or only measures it. */
static size_t lay_out(char *text, const gust_http_sse_event *event)
{
    gust_span rest = event->data, line;
    size_t n = put_text_line(text, "id", event->id);

    n += put_text_line(text ? text + n : NULL, "event", event->name);
    while (next_line(&rest, &line))
        n += put_line(text ? text + n : NULL, "data", line);
    if (text)
        text[n] = '\n';
    return n + 1;
}

static int send_now(gust_http_response *res, const char *text, size_t len)
{
    int r = gust_context_err(gust_context_current()) ? -ECANCELED : 0;

    if (r == 0) {
        ssize_t n = gust_http_write(res, text, len);
        r = n < 0 ? (int)n : gust_http_flush(res);
    }
    return r;
}

int gust_http_sse_send(gust_http_response *res, const gust_http_sse_event *event)
{
    char small[SSE_STACK];
    size_t len = lay_out(NULL, event);

    if (!is_one_line(event->id) || !is_one_line(event->name))
        return -EINVAL;
    char *text = len <= sizeof(small) ? small : gust__malloc(len);
    if (!text)
        return -ENOMEM;
    lay_out(text, event);
    int r = send_now(res, text, len);
    if (text != small)
        free(text);
    return r;
}

/* --- The rest ---------------------------------------------------------------- */

int gust_http_sse_start(gust_http_response *res)
{
    static const char *const fields[][2] = {{"Content-Type", "text/event-stream"},
                                            {"Cache-Control", "no-store"},
                                            {"X-Accel-Buffering", "no"}};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(fields) / sizeof(fields[0]); i++) {
        r = gust_http_header_remove(res, fields[i][0]);
        if (r == 0)
            r = gust_http_header(res, fields[i][0], fields[i][1]);
    }
    return r < 0 ? r : gust_http_flush(res);
}

int gust_http_sse_retry(gust_http_response *res, int64_t ms)
{
    char line[sizeof("retry: \n\n") + 20];

    if (ms < 0)
        return -EINVAL;
    int len = snprintf(line, sizeof(line), "retry: %" PRId64 "\n\n", ms);
    return send_now(res, line, (size_t)len);
}

int gust_http_sse_comment(gust_http_response *res, const char *text)
{
    if (!is_one_line(text))
        return -EINVAL;
    if (!text)
        return send_now(res, ":\n\n", 3);
    size_t len = strlen(text) + 4;
    char *line = gust__malloc(len + 1);
    if (!line)
        return -ENOMEM;
    snprintf(line, len + 1, ": %s\n\n", text);
    int r = send_now(res, line, len);
    free(line);
    return r;
}

gust_span gust_http_sse_last_id(const gust_http_request *req)
{
    return gust_http_request_header(req, "Last-Event-ID");
}
