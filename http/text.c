/* Text that is put together. */
#include "http/text.h"

#include "core/inject.h"

#include <errno.h>

int gust__http_text_reserve(struct http_text *t, size_t more)
{
    if (more <= t->capacity - t->len)
        return 0;
    size_t capacity = t->capacity * 2 > t->len + more ? t->capacity * 2 : t->len + more;
    char *heap = gust__realloc(t->heap, capacity);
    if (!heap)
        return -ENOMEM;
    if (!t->heap && t->len > 0)
        memcpy(heap, t->data, t->len);
    t->data = t->heap = heap;
    t->capacity = capacity;
    return 0;
}

static int make_room(struct http_text *t, size_t more, size_t len_max)
{
    return t->len > len_max || more > len_max - t->len ? -ENOBUFS
                                                       : gust__http_text_reserve(t, more);
}

int gust__http_text_add(struct http_text *t, gust_span bytes, size_t len_max)
{
    int r = make_room(t, bytes.len, len_max);

    if (r == 0)
        text_put(t, bytes.data, bytes.len);
    return r;
}

int gust__http_text_add_field(struct http_text *t, gust_span name, gust_span value, size_t len_max)
{
    if (value.len > len_max || name.len > len_max)
        return -ENOBUFS;
    int r = make_room(t, name.len + value.len + 4, len_max);
    if (r < 0)
        return r;
    text_put(t, name.data, name.len);
    text_put(t, ": ", 2);
    text_put(t, value.data, value.len);
    text_put(t, "\r\n", 2);
    return 0;
}
