/* URLs of http and https. */
#include "http/client/url.h"

#include "http/syntax.h"

#include <errno.h>
#include <string.h>

static size_t find_any(gust_span s, const char *chars)
{
    size_t at = 0;

    while (at < s.len && !(s.data[at] != '\0' && strchr(chars, s.data[at])))
        at++;
    return at;
}

static gust_span after(gust_span s, size_t n)
{
    return (gust_span){s.data + n, s.len - n};
}

/* --- Parts ----------------------------------------------------------------------------- */

/* The length of the scheme, without its colon; 0 if there is none. */
static size_t scheme_len(gust_span s)
{
    size_t end = find_any(s, ":/?#");
    bool is_alpha = end > 0 && ((s.data[0] | 0x20) >= 'a' && (s.data[0] | 0x20) <= 'z');

    return end < s.len && s.data[end] == ':' && is_alpha ? end : 0;
}

static int read_scheme(gust_span *text, struct client_url *url)
{
    size_t n = scheme_len(*text);
    gust_span scheme = {text->data, n};

    if (n == 0)
        return -EINVAL;
    url->tls = gust__http_equals(scheme, "https");
    if (!url->tls && !gust__http_equals(scheme, "http"))
        return -EPROTONOSUPPORT;
    *text = after(*text, n + 1);
    if (text->len < 2 || memcmp(text->data, "//", 2) != 0)
        return -EINVAL;
    *text = after(*text, 2);
    return 0;
}

static int read_port(gust_span text, uint16_t *ret_port)
{
    uint64_t port;

    if (!gust__http_number(text, &port) || port == 0 || port > UINT16_MAX)
        return -EINVAL;
    *ret_port = (uint16_t)port;
    return 0;
}

int gust__authority_split(gust_span authority, uint16_t *port, gust_span *ret_host)
{
    if (!gust__http_host_valid(authority))
        return -EINVAL;
    gust_span host = gust__http_host_name(authority);
    if (host.len == 0)
        return -EINVAL;
    if (host.len + 1 < authority.len) { /* an empty port stands for the default, too */
        gust_span text = {host.data + host.len + 1, authority.len - host.len - 1};
        int r = read_port(text, port);
        if (r < 0)
            return r;
    }
    *ret_host = host;
    return 0;
}

/* [ userinfo "@" ] host [ ":" port ].  The last '@' ends the userinfo, as browsers have it. */
static int read_authority(gust_span s, struct client_url *url)
{
    const char *at = memrchr(s.data, '@', s.len);

    url->userinfo = (gust_span){NULL, 0};
    if (at) {
        url->userinfo = (gust_span){s.data, (size_t)(at - s.data)};
        s = after(s, url->userinfo.len + 1);
    }
    url->authority = s;
    url->port = url->tls ? 443 : 80;
    return gust__authority_split(s, &url->port, &url->host);
}

int gust__url_split(gust_span text, struct client_url *ret_url)
{
    struct client_url url;

    int r = read_scheme(&text, &url);
    if (r < 0)
        return r;
    size_t authority = find_any(text, "/?#");
    r = read_authority((gust_span){text.data, authority}, &url);
    if (r < 0)
        return r;
    url.target = after(text, authority);
    url.target.len = find_any(url.target, "#");
    *ret_url = url;
    return 0;
}

/* --- Text -------------------------------------------------------------------------------- */

static int add(struct http_text *t, const char *s, size_t n, size_t len_max)
{
    return gust__http_text_add(t, (gust_span){s, n}, len_max);
}

static int add_escaped(struct http_text *t, char c, size_t len_max)
{
    char escape[] = {'%', 0, 0};

    hex_put(escape + 1, (uint8_t)c);
    return add(t, escape, sizeof(escape), len_max);
}

static int add_target(struct http_text *t, gust_span s, size_t len_max)
{
    int r = 0;

    if (s.len == 0 || s.data[0] != '/')
        r = add(t, "/", 1, len_max);
    for (size_t n; r == 0 && s.len > 0; s = after(s, n)) {
        n = chars_prefix(s.data, s.len, CH_TARGET);
        if (n > 0) {
            r = add(t, s.data, n, len_max);
        } else if (s.data[0] == ' ' || (uint8_t)s.data[0] > 127) {
            r = add_escaped(t, s.data[0], len_max);
            n = 1;
        } else {
            return -EINVAL;
        }
    }
    return r;
}

int gust__url_write(const struct client_url *url, size_t len_max, struct http_text *text,
                    size_t *ret_target_at)
{
    gust_span scheme = url->tls ? (gust_span){"https://", 8} : (gust_span){"http://", 7};

    int r = gust__http_text_add(text, scheme, len_max);
    if (r == 0)
        r = gust__http_text_add(text, url->authority, len_max);
    if (r < 0)
        return r;
    *ret_target_at = text->len;
    return add_target(text, url->target, len_max);
}

/* --- References ------------------------------------------------------------------------------ */

/* Where the last segment of what is behind `from` begins; its slash stays. */
static size_t last_segment(const struct http_text *t, size_t from)
{
    size_t at = t->len;

    while (at > from && t->data[at - 1] != '/')
        at--;
    return at;
}

/* Appends a path to the one that begins at `from` and ends in a slash, without "." and "..". */
static int add_path(struct http_text *t, size_t from, gust_span path, size_t len_max)
{
    int r = 0;

    while (r == 0 && path.len > 0) {
        size_t n = find_any(path, "/");
        bool is_dot = n == 1 && path.data[0] == '.';
        bool is_up = n == 2 && memcmp(path.data, "..", 2) == 0;
        size_t whole = n < path.len ? n + 1 : n;
        if (is_up && t->len > from + 1) {
            t->len--;
            t->len = last_segment(t, from);
        }
        if (!is_dot && !is_up)
            r = add(t, path.data, whole, len_max);
        path = after(path, whole);
    }
    return r;
}

/* Scheme and authority of the base, and the rest of the reference. */
static int resolve_path(gust_span base, size_t origin, gust_span reference, size_t len_max,
                        struct http_text *text)
{
    gust_span base_path = after(base, origin);
    size_t from = text->len + origin;
    size_t path = find_any(reference, "?#");

    base_path.len = find_any(base_path, "?");
    int r = add(text, base.data, origin + base_path.len, len_max);
    if (r < 0)
        return r;
    if (path > 0) {
        bool is_absolute = reference.data[0] == '/';
        text->len = is_absolute ? from : last_segment(text, from);
        if (is_absolute)
            r = add(text, "/", 1, len_max);
        if (r == 0)
            r = add_path(text, from, (gust_span){reference.data + is_absolute, path - is_absolute},
                         len_max);
    } else if (reference.len == 0 || reference.data[0] == '#') {
        text->len = from; /* the same, with its query */
        r = add(text, base.data + origin, base.len - origin, len_max);
    }
    return r == 0 ? add(text, reference.data + path, reference.len - path, len_max) : r;
}

int gust__url_resolve(gust_span base, gust_span reference, size_t len_max, struct http_text *text)
{
    size_t scheme = scheme_len(base) + 1;
    size_t origin = scheme + 2 + find_any(after(base, scheme + 2), "/?#");

    if (scheme_len(reference) > 0)
        return gust__http_text_add(text, reference, len_max);
    if (reference.len >= 2 && memcmp(reference.data, "//", 2) == 0) {
        int r = add(text, base.data, scheme, len_max);
        return r == 0 ? gust__http_text_add(text, reference, len_max) : r;
    }
    return resolve_path(base, origin, reference, len_max, text);
}
