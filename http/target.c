/* The four forms of a request target (RFC 9112, 3.2), less CONNECT's. */
#include "http/head.h"

#include <string.h>

static void split_query(struct http_head *h, const char *p, uint32_t at, uint32_t end)
{
    const char *mark = memchr(p + at, '?', end - at);
    uint32_t path_end = mark ? (uint32_t)(mark - p) : end;

    h->path = (struct head_part){at, path_end - at};
    if (mark)
        h->query = (struct head_part){path_end + 1, end - path_end - 1};
}

/* http://authority[/path][?query].  The authority outranks the Host field;
 * userinfo is refused, as RFC 9110, 4.2.4 asks. */
static bool split_absolute(struct http_head *h, const char *p, uint32_t at, uint32_t end)
{
    uint32_t authority_end = at;

    while (authority_end < end && p[authority_end] != '/' && p[authority_end] != '?')
        authority_end++;
    if (authority_end == at || p[at] == ':' ||
        !gust__http_host_valid((gust_span){p + at, authority_end - at}))
        return false;
    h->host = (struct head_part){at, authority_end - at};
    h->target_names_host = true;
    split_query(h, p, authority_end, end);
    return true;
}

bool gust__http_target_split(struct http_head *h, const char *p)
{
    static const char scheme[] = "http://";
    const size_t scheme_len = sizeof(scheme) - 1;
    const char *target = p + h->target.at;
    uint32_t end = h->target.at + h->target.len;

    if (target[0] == '/') {
        split_query(h, p, h->target.at, end);
        return true;
    }
    if (h->target.len == 1 && target[0] == '*') {
        h->path = h->target;
        return h->method.len == 7 && memcmp(p + h->method.at, "OPTIONS", 7) == 0;
    }
    if (h->target.len > scheme_len && gust__http_equals((gust_span){target, scheme_len}, scheme))
        return split_absolute(h, p, h->target.at + (uint32_t)scheme_len, end);
    /* CONNECT's authority is not looked at: the method is refused anyway. */
    return h->method.len == 7 && memcmp(p + h->method.at, "CONNECT", 7) == 0;
}
