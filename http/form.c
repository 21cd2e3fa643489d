/* Bodies read whole. */
#include <gust/http_form.h>

#include "core/inject.h"
#include "http/gather.h"
#include "http/params.h"

#include <stdlib.h>
#include <string.h>

/* What is asked for at first: what a client announces costs it nothing. */
#define GATHER_MIN 4096

/* --- Memory --------------------------------------------------------------- */

/* Room for `len` bytes and a NUL. */
static int reserve(struct gathered *g, size_t len)
{
    size_t capacity = g->capacity ? g->capacity : GATHER_MIN;

    if (len < g->capacity)
        return 0;
    while (capacity <= len)
        if (__builtin_mul_overflow(capacity, 2, &capacity))
            return -ENOMEM;
    char *data = gust__realloc(g->data, capacity);
    if (!data)
        return -ENOMEM;
    g->data = data;
    g->capacity = capacity;
    return 0;
}

int gust__http_gather(struct gathered *g, gust_span piece)
{
    if (piece.len > g->limit - g->len)
        return -EMSGSIZE;
    int r = reserve(g, g->len + piece.len);
    if (r < 0)
        return r;
    memcpy(g->data + g->len, piece.data, piece.len);
    g->len += piece.len;
    return 0;
}

int gust__http_gather_end(struct gathered *g, int error, char **ret_data, size_t *ret_len)
{
    int r = error ? error : reserve(g, g->len);

    if (r < 0) {
        free(g->data);
        return r;
    }
    g->data[g->len] = '\0';
    *ret_data = g->data;
    *ret_len = g->len;
    return 0;
}

/* --- Bodies --------------------------------------------------------------- */

int gust_http_body_read_all(gust_http_request *req, size_t limit, char **ret_data, size_t *ret_len)
{
    struct gathered all = {.limit = limit};
    gust_span piece;
    ssize_t n;
    int r = 0;

    gust_http_body_limit(req, limit);
    while (r == 0 && (n = gust_http_body_next(req, &piece)) != 0)
        r = n < 0 ? (int)n : gust__http_gather(&all, piece);
    return gust__http_gather_end(&all, r, ret_data, ret_len);
}

int gust_http_form_read(gust_http_request *req, size_t limit, char **ret_data, size_t *ret_len)
{
    gust_span type = gust_http_request_header(req, "Content-Type");
    size_t cursor;

    if (!gust__http_equals(gust__http_params_main(type, &cursor),
                           "application/x-www-form-urlencoded"))
        return -ENOTSUP;
    return gust_http_body_read_all(req, limit, ret_data, ret_len);
}
