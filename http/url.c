/* Percent-encoding (RFC 3986, 2.1) and application/x-www-form-urlencoded (the URL
 * standard, 5).  Pure: bytes in, bytes out. */
#include <gust/http_url.h>

#include "http/syntax.h"

#include <string.h>

/* --- Escapes -------------------------------------------------------------- */

/* The byte at *at, unescaped, which moves behind it; -1 if it is malformed. */
static int next_byte(gust_http_escaping escaping, gust_span text, size_t *at)
{
    char c = text.data[(*at)++];

    if (c == '+' && escaping == GUST_HTTP_FORM)
        return ' ';
    if (c != '%')
        return (uint8_t)c;
    if (text.len - *at < 2)
        return -1;
    int high = hex_value(text.data[*at]);
    int low = hex_value(text.data[*at + 1]);
    *at += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Stricter than gust__http_percent_decode: the text is from anywhere, so it is checked, and
 * becomes a string, which a NUL in a path would end early. */
ssize_t gust_http_unescape(gust_http_escaping escaping, gust_span text, char *buf, size_t size)
{
    size_t at = 0;
    size_t len = 0;

    while (at < text.len) {
        int byte = next_byte(escaping, text, &at);
        if (byte < 0 || (byte == 0 && escaping != GUST_HTTP_FORM))
            return -EBADMSG;
        if (len >= size)
            return -ENOBUFS;
        buf[len++] = (char)byte;
    }
    if (len >= size)
        return -ENOBUFS;
    buf[len] = '\0';
    return (ssize_t)len;
}

/* What may stand unescaped: unreserved, in paths pchar (RFC 3986, 2.3 and 3.3), in
 * forms what the URL standard leaves, and Go does. */
static bool stays(gust_http_escaping escaping, char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    if (c == '\0')
        return false;
    switch (escaping) {
    case GUST_HTTP_SEGMENT: return strchr("-._~!$&'()*+,;=:@", c);
    case GUST_HTTP_PATH: return strchr("-._~!$&'()*+,;=:@/", c);
    case GUST_HTTP_FORM: return strchr("-._~", c);
    }
    return false;
}

ssize_t gust_http_escape(gust_http_escaping escaping, gust_span text, char *buf, size_t size)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        bool plus = c == ' ' && escaping == GUST_HTTP_FORM;
        size_t width = plus || stays(escaping, c) ? 1 : 3;
        if (size - len <= width)
            return -ENOBUFS;
        if (width == 1) {
            buf[len] = plus ? '+' : c;
        } else {
            buf[len] = '%';
            hex_put(buf + len + 1, (uint8_t)c);
        }
        len += width;
    }
    if (len >= size)
        return -ENOBUFS;
    buf[len] = '\0';
    return (ssize_t)len;
}

/* --- Pairs ---------------------------------------------------------------- */

bool gust_http_query_next(gust_span query, size_t *cursor, gust_http_pair *ret_pair)
{
    size_t at = *cursor;

    while (at < query.len && query.data[at] == '&')
        at++;
    *cursor = at;
    if (at >= query.len)
        return false;
    const char *pair = query.data + at;
    const char *mark = memchr(pair, '&', query.len - at);
    size_t len = mark ? (size_t)(mark - pair) : query.len - at;
    const char *equals = memchr(pair, '=', len);
    size_t name = equals ? (size_t)(equals - pair) : len;
    ret_pair->name = (gust_span){pair, name};
    ret_pair->value = equals ? (gust_span){equals + 1, len - name - 1} : (gust_span){pair + len, 0};
    *cursor = at + len;
    return true;
}

static bool unescapes_to(gust_span text, const char *name, size_t len)
{
    size_t at = 0;
    size_t matched = 0;

    while (at < text.len) {
        int byte = next_byte(GUST_HTTP_FORM, text, &at);
        if (byte < 0 || matched == len || byte != (uint8_t)name[matched])
            return false;
        matched++;
    }
    return matched == len;
}

bool gust_http_query_find(gust_span query, const char *name, gust_http_pair *ret_pair)
{
    size_t len = strlen(name);
    size_t cursor = 0;
    gust_http_pair pair;

    while (gust_http_query_next(query, &cursor, &pair)) {
        if (unescapes_to(pair.name, name, len)) {
            *ret_pair = pair;
            return true;
        }
    }
    return false;
}

ssize_t gust_http_query_get(gust_span query, const char *name, char *buf, size_t size)
{
    gust_http_pair pair;

    if (!gust_http_query_find(query, name, &pair))
        return -ENOENT;
    return gust_http_unescape(GUST_HTTP_FORM, pair.value, buf, size);
}
