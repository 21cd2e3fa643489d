/* Parts of a file (RFC 9110, 14). */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "http/files.h"
#include "http/response.h"

/* --- Which are obeyed --------------------------------------------------------------- */

/* A client may have a reason for one range that reaches into another, but for many only if
 * it wants to make the server work (RFC 9110, 17.15). */
#define OVERLAPS_MAX 2

static unsigned count_overlaps(const gust_http_range *ranges, int count)
{
    unsigned overlaps = 0;

    for (int i = 0; i < count; i++)
        for (int k = 0; k < i; k++)
            overlaps += ranges[i].at < ranges[k].at + ranges[k].len &&
                        ranges[k].at < ranges[i].at + ranges[i].len;
    return overlaps;
}

#define BOUNDARY_LEN 24
#define PART_HEAD_MAX 512

static const char part_format[] = "\r\n--%s\r\nContent-Type: %s\r\nContent-Range: bytes %" PRIu64
                                  "-%" PRIu64 "/%" PRIu64 "\r\n\r\n";

/* Returns the length, which for a type too long is more than there is room for. */
static size_t part_head(char *text, const char *boundary, const char *type, uint64_t size,
                        const gust_http_range *range)
{
    return (size_t)snprintf(text, PART_HEAD_MAX, part_format, boundary, type, range->at,
                            range->at + range->len - 1, size);
}

/* How long a response of several ranges is; UINT64_MAX if it cannot be made. */
static uint64_t length_of_parts(const struct files_ranges *r, const char *type, uint64_t size)
{
    static const char boundary[] = "012345678901234567890123";
    char head[PART_HEAD_MAX];
    uint64_t length = sizeof("\r\n--") - 1 + BOUNDARY_LEN + sizeof("--\r\n") - 1;

    for (int i = 0; i < r->count; i++) {
        size_t n = part_head(head, boundary, type, size, &r->ranges[i]);
        if (n >= sizeof(head))
            return UINT64_MAX;
        length += n + r->ranges[i].len;
    }
    return length;
}

void gust__files_ranges_read(gust_span field, uint64_t size, const char *type,
                             struct files_ranges *ret_ranges)
{
    struct files_ranges *r = ret_ranges;

    r->count = gust_http_ranges(field, size, r->ranges, GUST_HTTP_FILES_RANGES_MAX);
    if (r->count > 1 && (count_overlaps(r->ranges, r->count) > OVERLAPS_MAX ||
                         length_of_parts(r, type, size) > size))
        r->count = 0;
}

/* --- Answers ------------------------------------------------------------------------- */

static int answer_unsatisfiable(gust_http_response *res, uint64_t size)
{
    char field[64];

    snprintf(field, sizeof(field), "bytes */%" PRIu64, size);
    int r = gust_http_header(res, "Content-Range", field);
    if (r == 0)
        gust__http_answer(res, 416);
    return r;
}

static int answer_one(gust_http_response *res, const struct files_found *found,
                      const gust_http_range *range)
{
    char field[96];

    snprintf(field, sizeof(field), "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, range->at,
             range->at + range->len - 1, found->size);
    int r = gust_http_header(res, "Content-Range", field);
    if (r == 0)
        r = gust_http_status(res, 206);
    gust__http_declare(res, range->len);
    return r < 0 ? r : gust__files_write(res, found, range->at, range->len);
}

/* A line that is in no file, since nobody knows it before. */
static int make_boundary(char boundary[BOUNDARY_LEN + 1])
{
    uint32_t random[BOUNDARY_LEN / 8];

    if (getrandom(random, sizeof(random), 0) != sizeof(random))
        return -EIO;
    snprintf(boundary, BOUNDARY_LEN + 1, "%08" PRIx32 "%08" PRIx32 "%08" PRIx32, random[0],
             random[1], random[2]);
    return 0;
}

static int write_text(gust_http_response *res, const char *text, size_t len)
{
    ssize_t n = gust_http_write(res, text, len);

    return n < 0 ? (int)n : 0;
}

static int write_parts(gust_http_response *res, const struct files_found *found, const char *type,
                       const char *boundary, const struct files_ranges *ranges)
{
    char text[PART_HEAD_MAX];
    int r = 0;

    for (int i = 0; r == 0 && i < ranges->count; i++) {
        const gust_http_range *range = &ranges->ranges[i];
        size_t n = part_head(text, boundary, type, found->size, range);
        r = write_text(res, text, n);
        if (r == 0)
            r = gust__files_write(res, found, range->at, range->len);
    }
    if (r < 0)
        return r;
    int n = snprintf(text, sizeof(text), "\r\n--%s--\r\n", boundary);
    return write_text(res, text, (size_t)n);
}

static int answer_several(gust_http_response *res, const struct files_found *found,
                          const char *type, const struct files_ranges *ranges)
{
    char boundary[BOUNDARY_LEN + 1];
    char field[64];

    int r = make_boundary(boundary);
    if (r < 0)
        return r;
    snprintf(field, sizeof(field), "multipart/byteranges; boundary=%s", boundary);
    r = gust_http_header(res, "Content-Type", field);
    if (r == 0)
        r = gust_http_status(res, 206);
    gust__http_declare(res, length_of_parts(ranges, type, found->size));
    return r < 0 ? r : write_parts(res, found, type, boundary, ranges);
}

int gust__files_ranges_answer(gust_http_response *res, const struct files_found *found,
                              const char *type, const struct files_ranges *ranges)
{
    if (ranges->count < 0)
        return answer_unsatisfiable(res, found->size);
    if (ranges->count == 1)
        return answer_one(res, found, &ranges->ranges[0]);
    return answer_several(res, found, type, ranges);
}
