/* Paths of request targets. */
#include "http/path.h"

#include "http/syntax.h"

#include <string.h>

/* Is there "%XX" at the start of p[0..n)? */
static bool is_encoded(const char *p, size_t n)
{
    return n >= 3 && p[0] == '%' && hex_value(p[1]) >= 0 && hex_value(p[2]) >= 0;
}

/* 1 for ".", 2 for "..", 0 for any other segment.  "%2e" is a dot, too: RFC 3986, 6.2.2
 * and every browser say so. */
static unsigned count_dots(const char *p, size_t n)
{
    unsigned dots = 0;

    while (n > 0) {
        size_t width = p[0] == '.' ? 1 : 3;
        if (width == 3 && !(n >= 3 && p[0] == '%' && p[1] == '2' && (p[2] | 0x20) == 'e'))
            return 0;
        p += width;
        n -= width;
        dots++;
    }
    return dots <= 2 ? dots : 0;
}

static size_t segment_len(const char *p, size_t n)
{
    const char *slash = memchr(p, '/', n);
    return slash ? (size_t)(slash - p) : n;
}

/* Is p[0..n), what follows a slash, a segment that cleaning would take away? */
static bool is_unclean_segment(const char *p, size_t n)
{
    if (n == 0 || (p[0] != '/' && p[0] != '.' && p[0] != '%'))
        return false;
    return p[0] == '/' || count_dots(p, segment_len(p, n)) > 0;
}

enum path_form gust__http_path_form(gust_span path)
{
    enum path_form form = PATH_CLEAN;

    for (size_t i = 0; i < path.len; i++) {
        const char *p = path.data + i;
        if (*p == '%' && !is_encoded(p, path.len - i))
            return PATH_MALFORMED;
        if (*p == '/' && is_unclean_segment(p + 1, path.len - i - 1))
            form = PATH_UNCLEAN;
    }
    return form;
}

/* Takes the last segment of p[0..n) away. */
static size_t drop_segment(const char *p, size_t n)
{
    while (n > 0 && p[--n] != '/')
        continue;
    return n;
}

size_t gust__http_path_clean(gust_span path, char *ret_clean)
{
    size_t n = 0;

    for (size_t at = 0; at < path.len;) {
        const char *segment = path.data + at + 1;
        size_t len = segment_len(segment, path.len - at - 1);
        unsigned dots = count_dots(segment, len);
        at += 1 + len;
        if (dots == 2)
            n = drop_segment(ret_clean, n);
        if (dots > 0 || len == 0)
            continue;
        ret_clean[n] = '/';
        memcpy(ret_clean + n + 1, segment, len);
        n += 1 + len;
    }
    if (n == 0 || path.data[path.len - 1] == '/')
        ret_clean[n++] = '/';
    return n;
}

char gust__http_percent_byte(const char *encoded)
{
    return (char)(hex_value(encoded[1]) * 16 + hex_value(encoded[2]));
}

/* Unlike gust_http_unescape it has nothing to refuse, a %00 included: the path's escapes were
 * checked when it was routed, and handlers get spans, which may hold a NUL. */
size_t gust__http_percent_decode(gust_span s, char *ret_bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c == '%') {
            c = gust__http_percent_byte(s.data + i);
            i += 2;
        }
        ret_bytes[n++] = c;
    }
    return n;
}

/* The bytes of a path (RFC 3986, 3.3), and '%'.  Above all no '\', which browsers take
 * for a slash: "/\host" would lead elsewhere. */
static bool may_stand(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c && strchr("/-._~!$&'()*+,;=:@%", c));
}

size_t gust__http_path_escape(gust_span path, char *ret_escaped)
{
    char *p = ret_escaped;

    for (size_t i = 0; i < path.len; i++) {
        if (may_stand(path.data[i])) {
            *p++ = path.data[i];
        } else {
            *p++ = '%';
            p = hex_put(p, (uint8_t)path.data[i]);
        }
    }
    return (size_t)(p - ret_escaped);
}
