/* What a part of a form says of itself, and where its content goes. */
#include "http/multipart.h"

#include "http/gather.h"
#include "http/params.h"

#include <gust/file.h>
#include <gust/runtime.h>

#include <string.h>
#include <unistd.h>

/* --- Description ---------------------------------------------------------- */

/* The value of the only field of this name; an empty span with data NULL without one.
 * False if there are two. */
static bool only_field(gust_span block, const char *lower, gust_span *ret_value)
{
    gust_http_field field;
    size_t cursor = 0;

    *ret_value = (gust_span){NULL, 0};
    while (gust__http_fields_next(block.data, block.len, &cursor, &field)) {
        if (!gust__http_equals(field.name, lower))
            continue;
        if (ret_value->data)
            return false;
        *ret_value = field.value;
    }
    return true;
}

static gust_span base_name(gust_span path)
{
    size_t at = path.len;

    while (at > 0 && path.data[at - 1] != '/' && path.data[at - 1] != '\\')
        at--;
    gust_span name = {path.data + at, path.len - at};
    bool is_dots = name.len <= 2 && memcmp(name.data, "..", name.len) == 0;
    return is_dots ? (gust_span){NULL, 0} : name;
}

int gust__http_part_describe(gust_span block, char *buf, gust_http_part *ret_part)
{
    struct http_param name, filename;
    gust_span disposition;
    gust_http_part part = {0};
    size_t cursor;

    if (!only_field(block, "content-disposition", &disposition) ||
        !only_field(block, "content-type", &part.content_type))
        return -EBADMSG;
    if (!gust__http_equals(gust__http_params_main(disposition, &cursor), "form-data") ||
        gust__http_params_find(disposition, "name", &name) <= 0)
        return -EBADMSG;
    int is_file = gust__http_params_find(disposition, "filename", &filename);
    if (is_file < 0)
        return is_file;
    part.name = gust__http_params_unquote(&name, buf);
    part.is_file = is_file;
    if (is_file)
        part.filename = base_name(gust__http_params_unquote(&filename, buf + part.name.len));
    *ret_part = part;
    return 0;
}

/* --- Destinations --------------------------------------------------------- */

int gust_http_part_read_all(gust_http_multipart *mp, size_t limit, char **ret_data, size_t *ret_len)
{
    struct gathered all = {.limit = limit};
    gust_span piece;
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = gust_http_part_next(mp, &piece)) != 0)
        r = n < 0 ? (int)n : gust__http_gather(&all, piece);
    return gust__http_gather_end(&all, r, ret_data, ret_len);
}

/* A short write leaves its reason to the next. */
static int write_all(gust_file *f, gust_span bytes, gust_time deadline)
{
    while (bytes.len > 0) {
        ssize_t n = gust_file_write(f, bytes.data, bytes.len, deadline);
        if (n < 0)
            return (int)n;
        bytes.data += n;
        bytes.len -= (size_t)n;
    }
    return 0;
}

static int64_t save_to(gust_http_multipart *mp, gust_file *f, uint64_t limit, gust_time deadline)
{
    uint64_t total = 0;
    gust_span piece;
    ssize_t n;

    while ((n = gust_http_part_next(mp, &piece)) > 0) {
        if (piece.len > limit - total)
            return -EFBIG;
        int r = write_all(f, piece, deadline);
        if (r < 0)
            return r;
        total += piece.len;
    }
    return n < 0 ? n : (int64_t)total;
}

static void remove_file(const char *path)
{
    gust_blocking_begin();
    unlink(path);
    gust_blocking_end();
}

int64_t gust_http_part_save(gust_http_multipart *mp, const char *path, mode_t mode, uint64_t limit,
                            gust_time deadline)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
    gust_file *f;

    int r = gust_file_open(path, flags, mode, deadline, &f);
    if (r < 0)
        return r;
    int64_t total = save_to(mp, f, limit, deadline);
    r = gust_file_close(f);
    if (r < 0 && total >= 0)
        total = r;
    if (total < 0)
        remove_file(path);
    return total;
}
