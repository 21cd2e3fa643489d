/* Entire files. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "core/inject.h"
#include "net/file.h"

#define FIRST_ROOM ((size_t)4096)

typedef struct bytes {
    char *data;
    size_t len;
    size_t cap; /* of which one is kept for the NUL */
} bytes;

static int grow(bytes *b, size_t cap)
{
    char *data = gust__realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

/* What stat says is a good guess: files of /proc have no size, and others may grow.
 * One byte more than that, to see the end without growing; one more than the limit, to
 * see that there is more. */
static size_t first_cap(gust_file *f, size_t limit, gust_time deadline)
{
    gust_file_info info;
    size_t size = FIRST_ROOM;
    if (gust_file_stat(f, deadline, &info) == 0 && S_ISREG(info.mode) && info.size > 0)
        size = info.size < limit ? (size_t)info.size : limit;
    return size + 2;
}

static int read_to_end(gust_file *f, bytes *b, size_t limit, gust_time deadline)
{
    int error = grow(b, first_cap(f, limit, deadline));
    while (!error) {
        if (b->cap - b->len < 2 && (error = grow(b, b->cap * 2)))
            break;
        ssize_t n = gust_file_read(f, b->data + b->len, b->cap - b->len - 1, deadline);
        if (n <= 0)
            return (int)n;
        b->len += (size_t)n;
        if (b->len > limit)
            error = -EFBIG;
    }
    return error;
}

int gust_file_read_all(const char *path, size_t limit, gust_time deadline, char **ret_data,
                       size_t *ret_len)
{
    gust_file *f;
    bytes b = {0};
    if (limit > SIZE_MAX / 4) /* as good as none, and it can be reckoned with */
        limit = SIZE_MAX / 4;
    int error = gust_file_open(path, O_RDONLY, 0, deadline, &f);
    if (error)
        return error;
    error = read_to_end(f, &b, limit, deadline);
    gust_file_close(f);
    if (error) {
        free(b.data);
        return error;
    }
    b.data[b.len] = '\0';
    *ret_data = b.data;
    *ret_len = b.len;
    return 0;
}
