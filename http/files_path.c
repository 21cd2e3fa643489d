/* The path of a request as the name of a file.  Pure. */
#include <errno.h>

#include "http/files.h"
#include "http/path.h"

/* Neither may be in a name; one that comes encoded is part of no path that was split
 * into segments by whoever has looked at it before us. */
static bool may_be_in_name(char c)
{
    return c != '\0' && c != '/';
}

static bool segment_served(const char *segment, size_t len, bool hidden)
{
    bool dots = (len == 1 && segment[0] == '.') || (len == 2 && memcmp(segment, "..", 2) == 0);

    return len == 0 || segment[0] != '.' || (hidden && !dots);
}

ssize_t gust__files_name(gust_span path, bool hidden, char *ret_name)
{
    size_t n = 0;
    size_t segment = 0; /* where the current one starts */

    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        bool ends = c == '/';
        if (ends && !segment_served(ret_name + segment, n - segment, hidden))
            return -ENOENT;
        if (c == '%') {
            c = gust__http_percent_byte(path.data + i);
            i += 2;
        }
        if (!ends && !may_be_in_name(c))
            return -ENOENT;
        ret_name[n++] = c;
        if (ends)
            segment = n;
    }
    if (!segment_served(ret_name + segment, n - segment, hidden))
        return -ENOENT;
    ret_name[n] = '\0';
    return (ssize_t)n;
}
