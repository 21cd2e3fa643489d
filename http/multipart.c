/* multipart/form-data as a stream.
 *
 *     PREAMBLE --delimiter--> PART --delimiter--> PART ... --close--> END
 *
 * The source's bytes go through a window.  A delimiter is CRLF "--" boundary; the
 * stream is taken to begin with a CRLF, so that the first one is no exception, and the
 * preamble is the content of a part that nobody sees.
 * Always: window[start, start + ready) is content, and if `found`, a delimiter follows
 * it.  Both are kept so that small reads do not search the same bytes again. */
#include "http/multipart.h"

#include "core/inject.h"
#include "http/params.h"

#include <stdlib.h>
#include <string.h>

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */
#define DELIMITER_MAX (4 + BOUNDARY_MAX)

/* White space that a relay may have put behind a boundary. */
#define PADDING_MAX 128

/* Beside a part's header, which must fit as a whole. */
#define WINDOW_MIN 16384
#define HEADER_BYTES_LIMIT 65536

enum multipart_state { MULTIPART_PREAMBLE, MULTIPART_PART, MULTIPART_END };

struct gust_http_multipart {
    multipart_source *source;
    void *arg;
    enum multipart_state state;
    int error; /* what every further call returns */
    unsigned parts;
    unsigned parts_max;
    size_t header_max;

    size_t start; /* of what is left in the window */
    size_t end;
    size_t size;
    size_t ready;
    bool found;

    size_t delimiter_len;
    char delimiter[DELIMITER_MAX];
    size_t header_len;
    char *header;  /* of the current part, header_max bytes */
    char *decoded; /* as many again for what was unquoted */
    char *window;
    char storage[];
};

/* --- Window --------------------------------------------------------------- */

static const char *window_bytes(const gust_http_multipart *mp)
{
    return mp->window + mp->start;
}

static size_t window_len(const gust_http_multipart *mp)
{
    return mp->end - mp->start;
}

/* Gets more bytes behind those in the window, which moves them to its start. */
static ssize_t fill(gust_http_multipart *mp)
{
    if (mp->start > 0) {
        memmove(mp->window, window_bytes(mp), window_len(mp));
        mp->end -= mp->start;
        mp->start = 0;
    }
    ssize_t n = mp->source(mp->arg, mp->window + mp->end, mp->size - mp->end);
    if (n > 0)
        mp->end += (size_t)n;
    return n;
}

/* Has at least `count` bytes in the window: 1, 0 if the body ends before, or an error. */
static int need(gust_http_multipart *mp, size_t count)
{
    while (window_len(mp) < count) {
        ssize_t n = fill(mp);
        if (n <= 0)
            return (int)n;
    }
    return 1;
}

/* --- Content -------------------------------------------------------------- */

/* How many of the last bytes could begin a delimiter. */
static size_t possible_start(const gust_http_multipart *mp, const char *p, size_t n)
{
    size_t len = n < mp->delimiter_len ? n : mp->delimiter_len - 1;

    while (len > 0 && memcmp(p + n - len, mp->delimiter, len) != 0)
        len--;
    return len;
}

/* Has content ready, or a delimiter found; 0 or an error. */
static int look(gust_http_multipart *mp)
{
    while (mp->ready == 0 && !mp->found) {
        const char *p = window_bytes(mp);
        size_t n = window_len(mp);
        const char *hit = memmem(p, n, mp->delimiter, mp->delimiter_len);
        mp->found = hit;
        mp->ready = hit ? (size_t)(hit - p) : n - possible_start(mp, p, n);
        if (hit || mp->ready > 0)
            break;
        ssize_t r = fill(mp);
        if (r <= 0)
            return r == 0 ? -EBADMSG : (int)r;
    }
    return 0;
}

/* Takes at most `max` bytes of content: their number, 0 before a delimiter, or an error. */
static ssize_t take(gust_http_multipart *mp, size_t max, gust_span *ret_piece)
{
    if (mp->error == 0)
        mp->error = look(mp);
    if (mp->error < 0)
        return mp->error;
    if (mp->ready == 0)
        return 0;
    size_t n = mp->ready < max ? mp->ready : max;
    *ret_piece = (gust_span){window_bytes(mp), n};
    mp->start += n;
    mp->ready -= n;
    return (ssize_t)n;
}

ssize_t gust_http_part_next(gust_http_multipart *mp, gust_span *ret_piece)
{
    if (mp->state != MULTIPART_PART)
        return mp->error;
    return take(mp, SIZE_MAX, ret_piece);
}

ssize_t gust_http_part_read(gust_http_multipart *mp, void *buf, size_t len)
{
    gust_span piece;

    if (mp->state != MULTIPART_PART || len == 0)
        return mp->error;
    ssize_t n = take(mp, len, &piece);
    if (n > 0)
        memcpy(buf, piece.data, piece.len);
    return n;
}

/* --- Delimiters ----------------------------------------------------------- */

/* Drops the rest of a delimiter's line, which begins `at` bytes behind the window's
 * start.  The last line of a body needs no line end. */
static int end_line(gust_http_multipart *mp, size_t at, bool is_close)
{
    size_t limit = at + PADDING_MAX;
    int r;

    while ((r = need(mp, at + 1)) > 0) {
        char c = window_bytes(mp)[at];
        if (c != ' ' && c != '\t')
            break;
        if (++at > limit)
            return -EBADMSG;
    }
    if (r == 0 && is_close) {
        mp->start = mp->end;
        return 0;
    }
    if (r > 0)
        r = need(mp, at + 2);
    if (r <= 0)
        return r == 0 ? -EBADMSG : r;
    if (memcmp(window_bytes(mp) + at, "\r\n", 2) != 0)
        return -EBADMSG;
    mp->start += at + 2;
    return 0;
}

/* Drops the delimiter at the window's start.  1 if a part follows, 0 if it is the last. */
static int read_delimiter(gust_http_multipart *mp)
{
    size_t at = mp->delimiter_len;
    int r = need(mp, at + 2);

    if (r <= 0)
        return r == 0 ? -EBADMSG : r;
    bool is_close = memcmp(window_bytes(mp) + at, "--", 2) == 0;
    mp->found = false;
    r = end_line(mp, is_close ? at + 2 : at, is_close);
    return r < 0 ? r : !is_close;
}

/* The epilogue is dropped, so that an error of the body below is not missed. */
static int read_epilogue(gust_http_multipart *mp)
{
    ssize_t n;

    mp->state = MULTIPART_END;
    do {
        mp->start = mp->end;
        n = fill(mp);
    } while (n > 0);
    return (int)n;
}

/* --- Parts ---------------------------------------------------------------- */

/* Finds the empty line behind the fields, which it checks. */
static int scan_header(gust_http_multipart *mp)
{
    struct http_lines lines = {0};
    gust_http_field field;
    gust_span line;

    for (;;) {
        /* Not beyond the limit, so that no fault behind it is seen before it is. */
        size_t n = window_len(mp) < mp->header_max ? window_len(mp) : mp->header_max;
        enum http_line r = gust__http_line_next(&lines, window_bytes(mp), n, &line);
        if (r == LINE_BAD)
            return -EBADMSG;
        if (r == LINE_MORE && n == mp->header_max)
            return -EMSGSIZE;
        if (r == LINE_MORE) {
            int filled = need(mp, n + 1);
            if (filled <= 0)
                return filled == 0 ? -EBADMSG : filled;
        } else if (line.len == 0) {
            mp->header_len = lines.at;
            return 0;
        } else if (!gust__http_field_split(line.data, line.len, &field)) {
            return -EBADMSG;
        }
    }
}

/* Goes behind the header.  Of a part without any content, the empty line may be the
 * delimiter's (RFC 2046, 5.1.1: the content is optional together with its CRLF). */
static int begin_content(gust_http_multipart *mp)
{
    mp->start += mp->header_len - 2;
    int r = need(mp, mp->delimiter_len);
    if (r < 0)
        return r;
    mp->ready = 0;
    mp->found = r > 0 && memcmp(window_bytes(mp), mp->delimiter, mp->delimiter_len) == 0;
    if (!mp->found)
        mp->start += 2;
    return 0;
}

static int read_part(gust_http_multipart *mp, gust_http_part *ret_part)
{
    if (mp->parts == mp->parts_max)
        return -EMSGSIZE;
    mp->parts++;
    int r = scan_header(mp);
    if (r < 0)
        return r;
    memcpy(mp->header, window_bytes(mp), mp->header_len);
    r = gust__http_part_describe((gust_span){mp->header, mp->header_len}, mp->decoded, ret_part);
    if (r < 0)
        return r;
    mp->state = MULTIPART_PART;
    return begin_content(mp);
}

int gust_http_multipart_next(gust_http_multipart *mp, gust_http_part *ret_part)
{
    gust_span piece;
    ssize_t n = 1;
    gust_http_part part;

    if (mp->error || mp->state == MULTIPART_END)
        return mp->error;
    while (n > 0)
        n = take(mp, SIZE_MAX, &piece);
    if (n < 0)
        return (int)n;
    int r = read_delimiter(mp);
    if (r == 0)
        return mp->error = read_epilogue(mp);
    if (r > 0)
        r = read_part(mp, &part);
    if (r < 0)
        return mp->error = r;
    *ret_part = part;
    return 1;
}

gust_span gust_http_part_header(const gust_http_multipart *mp, const char *name)
{
    return gust__http_fields_find(mp->header, mp->header_len, name);
}

/* --- Life ----------------------------------------------------------------- */

/* bchars, and not a space at the end (RFC 2046, 5.1.1). */
static bool boundary_valid(gust_span s)
{
    if (s.len == 0 || s.len > BOUNDARY_MAX || s.data[s.len - 1] == ' ')
        return false;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        bool alphanumeric =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alphanumeric && !memchr("'()+_,-./:=? ", c, 13))
            return false;
    }
    return true;
}

/* No byte of a boundary may be escaped and still be one, so nothing is unquoted. */
static int find_boundary(gust_span content_type, gust_span *ret_boundary)
{
    struct http_param boundary;
    size_t cursor;

    if (!gust__http_equals(gust__http_params_main(content_type, &cursor), "multipart/form-data"))
        return -ENOTSUP;
    int r = gust__http_params_find(content_type, "boundary", &boundary);
    if (r <= 0 || !boundary_valid(boundary.value))
        return -EBADMSG;
    *ret_boundary = boundary.value;
    return 0;
}

static void init(gust_http_multipart *mp, gust_span boundary)
{
    mp->header = mp->storage;
    mp->decoded = mp->header + mp->header_max;
    mp->window = mp->decoded + mp->header_max;
    memcpy(mp->delimiter, "\r\n--", 4);
    memcpy(mp->delimiter + 4, boundary.data, boundary.len);
    mp->delimiter_len = 4 + boundary.len;
    memcpy(mp->window, "\r\n", 2);
    mp->end = 2;
}

int gust__http_multipart_new(gust_span content_type, const gust_http_multipart_options *options,
                             multipart_source *source, void *arg, gust_http_multipart **ret_mp)
{
    const gust_http_multipart_options defaults = {0};
    gust_span boundary;

    int r = find_boundary(content_type, &boundary);
    if (r < 0)
        return r;
    options = options ? options : &defaults;
    size_t header_max = options->part_header_bytes_max ? options->part_header_bytes_max
                                                       : GUST_HTTP_PART_HEADER_BYTES_MAX;
    if (header_max > HEADER_BYTES_LIMIT)
        return -EINVAL;
    size_t window = header_max + WINDOW_MIN;
    gust_http_multipart *mp = gust__malloc(sizeof(*mp) + 2 * header_max + window);
    if (!mp)
        return -ENOMEM;
    *mp = (gust_http_multipart){.source = source,
                                .arg = arg,
                                .parts_max =
                                    options->parts_max ? options->parts_max : GUST_HTTP_PARTS_MAX,
                                .header_max = header_max,
                                .size = window};
    init(mp, boundary);
    *ret_mp = mp;
    return 0;
}

static ssize_t read_body(void *arg, void *buf, size_t len)
{
    return gust_http_body_read(arg, buf, len);
}

int gust_http_multipart_new(gust_http_request *req, const gust_http_multipart_options *options,
                            gust_http_multipart **ret_mp)
{
    int r = gust__http_multipart_new(gust_http_request_header(req, "Content-Type"), options,
                                     read_body, req, ret_mp);
    if (r == 0 && options && options->body_bytes_max)
        gust_http_body_limit(req, options->body_bytes_max);
    return r;
}

void gust_http_multipart_free(gust_http_multipart *mp)
{
    free(mp);
}
