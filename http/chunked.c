/* The chunked transfer coding, decoded without copying. */
#include "http/chunked.h"

#include <string.h>

/* Reads 1*16HEXDIG; returns the number of digits, 0 if there are none or too
 * many of them. */
static size_t read_size(const char *p, size_t n, uint64_t *ret_size)
{
    uint64_t size = 0;
    size_t i = 0;

    for (; i < n && hex_value(p[i]) >= 0; i++) {
        if (i == 16)
            return 0;
        size = size << 4 | (uint64_t)hex_value(p[i]);
    }
    *ret_size = size;
    return i;
}

/* Extensions are skipped, not understood: any text after a semicolon. */
static bool read_size_line(struct chunked *c, gust_span line)
{
    uint64_t size;
    size_t digits = read_size(line.data, line.len, &size);

    if (digits == 0 || size > INT64_MAX - c->announced)
        return false;
    const char *extension = line.data + digits;
    size_t len = line.len - digits;
    if (len > 0 && (*extension != ';' || chars_prefix(extension, len, CH_VALUE) != len))
        return false;
    c->extensions += (uint32_t)len;
    c->announced += size;
    c->left = size;
    c->state = size > 0 ? CHUNK_DATA : CHUNK_TRAILERS;
    return c->extensions <= CHUNK_EXTENSION_BYTES_MAX;
}

static enum chunk_next size_line(struct chunked *c, const char *p, size_t n, size_t *skip)
{
    struct http_lines lines = {0};
    size_t bounded = n < CHUNK_LINE_MAX ? n : CHUNK_LINE_MAX;
    gust_span line;

    switch (gust__http_line_next(&lines, p, bounded, &line)) {
    case LINE_MORE:
        if (bounded == CHUNK_LINE_MAX || (n > 0 && hex_value(p[0]) < 0))
            return CHUNK_NEXT_BAD;
        return CHUNK_NEXT_MORE;
    case LINE_BAD: return CHUNK_NEXT_BAD;
    case LINE_OK: break;
    }
    *skip += lines.at;
    return read_size_line(c, line) ? CHUNK_NEXT_DATA : CHUNK_NEXT_BAD;
}

static enum chunk_next data_end(struct chunked *c, const char *p, size_t n, size_t *skip)
{
    if (n > 0 && p[0] != '\r')
        return CHUNK_NEXT_BAD;
    if (n < 2)
        return CHUNK_NEXT_MORE;
    if (p[1] != '\n')
        return CHUNK_NEXT_BAD;
    *skip += 2;
    c->state = CHUNK_SIZE;
    return CHUNK_NEXT_DATA;
}

enum chunk_next gust__chunked_next(struct chunked *c, const char *p, size_t n, size_t *ret_skip)
{
    enum chunk_next next = CHUNK_NEXT_DATA;

    *ret_skip = 0;
    if (c->state == CHUNK_DATA && c->left == 0)
        c->state = CHUNK_DATA_END;
    if (c->state == CHUNK_DATA_END)
        next = data_end(c, p, n, ret_skip);
    if (next == CHUNK_NEXT_DATA && c->state == CHUNK_SIZE)
        next = size_line(c, p + *ret_skip, n - *ret_skip, ret_skip);
    if (next != CHUNK_NEXT_DATA)
        return next;
    if (c->state == CHUNK_TRAILERS)
        return CHUNK_NEXT_TRAILERS;
    return n > *ret_skip ? CHUNK_NEXT_DATA : CHUNK_NEXT_MORE;
}

bool gust__chunked_has_more(const struct chunked *c, gust_span rest)
{
    struct chunked copy = *c;
    size_t skip;

    switch (gust__chunked_next(&copy, rest.data, rest.len, &skip)) {
    case CHUNK_NEXT_MORE: return false;
    case CHUNK_NEXT_TRAILERS:
        rest = (gust_span){rest.data + skip, rest.len - skip};
        return rest.len >= 2 &&
               (rest.data[0] == '\r' || memmem(rest.data, rest.len, "\r\n\r\n", 4));
    case CHUNK_NEXT_DATA:
    case CHUNK_NEXT_BAD: break;
    }
    return true;
}

gust_span gust__chunk_head(uint64_t len, char buf[CHUNK_HEAD_MAX])
{
    char *end = buf + CHUNK_HEAD_MAX;
    char *p = end;

    *--p = '\n';
    *--p = '\r';
    do
        *--p = "0123456789abcdef"[len & 15];
    while (len >>= 4);
    return (gust_span){p, (size_t)(end - p)};
}
