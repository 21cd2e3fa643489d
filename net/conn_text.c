/* Pieces, lines and numbers: all on fill, view, consume and append, so that they
 * work on whatever these work on, and none is a call of its own (GUST__CALL), which no
 * code of TLS may run in.  No buffer beside the conn's own is kept: a reader
 * object would be one more place where bytes can be. */
#include <gust/text.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/blocks.h"
#include "core/inject.h"

#define FORMAT_ON_STACK 512

_Static_assert(GUST_CONN_WBUF == GUST__BLOCK_SIZE, "a block holds what printf writes");

/* --- Reading ------------------------------------------------------------- */

/* Adds to the view, which is to have up to max bytes.  0 if bytes came; 1 if the
 * stream has ended with nothing in the view; else an error. */
static int more(gust_conn *c, size_t max, gust_time deadline)
{
    ssize_t n = gust_conn_fill(c, max, deadline);
    if (n != 0)
        return n < 0 ? (int)n : 0;
    return gust_conn_view(c).len > 0 ? -ENODATA : 1;
}

/* A view that may be longer than asked for saves receives later. */
static size_t view_max(size_t len)
{
    const size_t usual = 16384;
    return len > usual ? len : usual;
}

ssize_t gust_conn_peek(gust_conn *c, size_t len, gust_time deadline, gust_span *ret_bytes)
{
    int error;
    while (gust_conn_view(c).len < len)
        if ((error = more(c, view_max(len), deadline)))
            return error < 0 ? error : 0;
    *ret_bytes = (gust_span){.data = gust_conn_view(c).data, .len = len};
    return (ssize_t)len;
}

ssize_t gust_conn_read_full(gust_conn *c, void *buf, size_t len, size_t *got, gust_time deadline)
{
    size_t none = 0;
    if (!got)
        got = &none;
    while (*got < len) {
        ssize_t n = gust_conn_read(c, (char *)buf + *got, len - *got, deadline);
        if (n < 0)
            return n;
        if (n == 0)
            return *got > 0 ? -ENODATA : 0;
        *got += (size_t)n;
    }
    return (ssize_t)len;
}

ssize_t gust_conn_read_until(gust_conn *c, char delim, size_t max, gust_time deadline,
                             gust_span *ret_piece)
{
    for (size_t seen = 0;;) {
        gust_span view = gust_conn_view(c);
        size_t end = view.len < max ? view.len : max;
        const char *found = memchr(view.data + seen, delim, end - seen);
        if (found) {
            *ret_piece = (gust_span){.data = view.data, .len = (size_t)(found - view.data) + 1};
            return (ssize_t)ret_piece->len;
        }
        if (end == max)
            return -EMSGSIZE;
        seen = end;
        int error = more(c, view_max(max), deadline);
        if (error)
            return error < 0 ? error : 0;
    }
}

ssize_t gust_conn_read_line(gust_conn *c, size_t max, gust_time deadline, gust_span *ret_line)
{
    gust_span line;
    ssize_t n = gust_conn_read_until(c, '\n', max, deadline, &line);
    if (n <= 0)
        return n;
    line.len--;
    if (line.len > 0 && line.data[line.len - 1] == '\r')
        line.len--;
    *ret_line = line;
    return n;
}

ssize_t gust_conn_read_be(gust_conn *c, size_t size, gust_time deadline, uint64_t *ret_value)
{
    gust_span bytes;
    uint64_t value = 0;
    if (size < 1 || size > sizeof value)
        return -EINVAL;
    ssize_t n = gust_conn_peek(c, size, deadline, &bytes);
    if (n <= 0)
        return n;
    for (size_t i = 0; i < size; i++)
        value = value << 8 | (unsigned char)bytes.data[i];
    gust_conn_consume(c, size);
    *ret_value = value;
    return n;
}

/* --- Writing ------------------------------------------------------------- */

/* What did not fit the stack. */
GUST_PRINTF(3, 0)
static ssize_t print_long(gust_conn *c, gust_time deadline, const char *format, va_list args)
{
    char *block = gust__malloc(GUST__BLOCK_SIZE);
    if (!block)
        return -ENOMEM;
    int n = vsnprintf(block, GUST__BLOCK_SIZE, format, args);
    /* vsnprintf wants room for a NUL, so a block's last byte is not to be had. */
    ssize_t result = n < 0                   ? -EINVAL
                     : n >= GUST__BLOCK_SIZE ? -EMSGSIZE
                                             : gust_conn_append(c, block, (size_t)n, deadline);
    free(block);
    return result;
}

ssize_t gust_conn_vprintf(gust_conn *c, gust_time deadline, const char *format, va_list args)
{
    char text[FORMAT_ON_STACK];
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(text, sizeof text, format, args);
    ssize_t result = n < 0                     ? -EINVAL
                     : (size_t)n < sizeof text ? gust_conn_append(c, text, (size_t)n, deadline)
                                               : print_long(c, deadline, format, again);
    va_end(again);
    return result;
}

ssize_t gust_conn_printf(gust_conn *c, gust_time deadline, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ssize_t n = gust_conn_vprintf(c, deadline, format, args);
    va_end(args);
    return n;
}

ssize_t gust_conn_append_be(gust_conn *c, uint64_t value, size_t size, gust_time deadline)
{
    unsigned char bytes[sizeof value];
    if (size < 1 || size > sizeof value || (size < sizeof value && value >> (8 * size)))
        return -EINVAL;
    for (size_t i = size; i > 0; i--, value >>= 8)
        bytes[i - 1] = (unsigned char)value;
    return gust_conn_append(c, bytes, size, deadline);
}
