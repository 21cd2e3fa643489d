/* "host:port" as text.  Pure. */
#include <errno.h>
#include <string.h>

#include "net/resolve.h"

/* Neither blanks nor control characters stand in a host or a port. */
static bool is_clean(gust_span s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.data[i] <= ' ' || s.data[i] == 0x7f)
            return false;
    return true;
}

static bool has_any(gust_span s, const char *chars)
{
    for (size_t i = 0; i < s.len; i++)
        if (strchr(chars, s.data[i]))
            return true;
    return false;
}

/* "[::1]:80"; the text begins with the bracket. */
static bool split_bracketed(const char *text, gust_span *host, const char **ret_colon)
{
    const char *end = strchr(text, ']');
    if (!end)
        return false;
    *host = (gust_span){.data = text + 1, .len = (size_t)(end - text - 1)};
    *ret_colon = end + 1;
    return end[1] == ':' && has_any(*host, ":") && !has_any(*host, "[");
}

static bool split_plain(const char *text, gust_span *host, const char **ret_colon)
{
    const char *colon = strchr(text, ':');
    if (!colon)
        return false;
    *host = (gust_span){.data = text, .len = (size_t)(colon - text)};
    *ret_colon = colon;
    return !has_any(*host, "[]%");
}

int gust_host_port_split(const char *text, gust_span *ret_host, gust_span *ret_port)
{
    gust_span host;
    const char *colon;
    if (!(text[0] == '[' ? split_bracketed : split_plain)(text, &host, &colon))
        return -EINVAL;
    gust_span port = {.data = colon + 1, .len = strlen(colon + 1)};
    if (port.len == 0 || has_any(port, ":[]%") || !is_clean(host) || !is_clean(port))
        return -EINVAL;
    *ret_host = host;
    *ret_port = port;
    return 0;
}
