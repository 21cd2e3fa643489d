/* Text that is put together: header fields, numbers. */
#ifndef GUST_HTTP_TEXT_H
#define GUST_HTTP_TEXT_H

#include <gust/base.h>

#include <string.h>

/* Bytes that grow, first in the owner's storage, then on the heap. */
struct http_text {
    char *data;
    size_t len;
    size_t capacity;
    char *heap; /* NULL while the owner's storage is enough */
};

/* Makes room for `more` bytes, which moves the text.  Errors: -ENOMEM. */
int gust__http_text_reserve(struct http_text *t, size_t more);

/* Appends.  Errors: -ENOMEM; -ENOBUFS if the text became longer than `len_max`. */
int gust__http_text_add(struct http_text *t, gust_span bytes, size_t len_max);

/* Appends "name: value\r\n".  Errors: the same. */
int gust__http_text_add_field(struct http_text *t, gust_span name, gust_span value, size_t len_max);

/* There is room. */
static inline void text_put(struct http_text *t, const void *bytes, size_t n)
{
    if (n > 0)
        memcpy(t->data + t->len, bytes, n);
    t->len += n;
}

/* The same for a pointer to where it goes, which moves behind it. */
static inline char *put_string(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

#define PUT_LITERAL(p, s) put_string(p, s, sizeof(s) - 1)

#define DECIMAL_MAX 20

static inline char *put_decimal(char *p, uint64_t value)
{
    char digits[DECIMAL_MAX];
    char *at = digits + sizeof(digits);

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return put_string(p, at, (size_t)(digits + sizeof(digits) - at));
}

#endif
