/* What a form sends: a body read whole, its pairs, and multipart/form-data as a stream.
 *
 *     gust_http_multipart *mp;
 *     gust_http_part part;
 *     int r = gust_http_multipart_new(req, &(gust_http_multipart_options){0}, &mp);
 *     if (r < 0)
 *         ...
 *     while ((r = gust_http_multipart_next(mp, &part)) > 0)
 *         while ((n = gust_http_part_next(mp, &piece)) > 0)
 *             ...
 *     gust_http_multipart_free(mp);
 *
 * An upload of any length passes through a window of fixed size.  Waits are bounded by
 * the server's read timeout, as those of gust_http_body_next; its errors are passed on. */
#ifndef GUST_HTTP_FORM_H
#define GUST_HTTP_FORM_H

#include <gust/http.h>
#include <gust/http_url.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads what is left of the body, whatever it is.  `limit` takes the place of the
 * request's (gust_http_body_limit).  On success *ret_data is the caller's to free(3),
 * with a NUL behind its *ret_len bytes.
 * Errors: -EMSGSIZE if the body is longer than `limit`; -ENOMEM; as gust_http_body_next. */
int gust_http_body_read_all(gust_http_request *req, size_t limit, char **ret_data, size_t *ret_len);

/* The same for a body of the type application/x-www-form-urlencoded; its pairs are
 * looked up by gust_http_query_get.
 * Errors: -ENOTSUP for any other type (an answer would be 415), and nothing was read. */
int gust_http_form_read(gust_http_request *req, size_t limit, char **ret_data, size_t *ret_len);

/* --- multipart/form-data --------------------------------------------------
 *
 * RFC 7578 and RFC 2046, strict: lines end in CRLF, every part is "form-data" with a
 * name, and a line that begins with the boundary is a boundary or an error. */

typedef struct gust_http_multipart gust_http_multipart;

/* What a zero in the options means. */
#define GUST_HTTP_PARTS_MAX 1000
#define GUST_HTTP_PART_HEADER_BYTES_MAX 4096

typedef struct gust_http_multipart_options {
    unsigned parts_max;           /* beyond: -EMSGSIZE */
    size_t part_header_bytes_max; /* with line ends, at most 64 KiB; beyond: -EMSGSIZE */

    /* The whole body; 0: what the request's limit is. */
    uint64_t body_bytes_max;
} gust_http_multipart_options;

/* A part.  The spans are valid until the next part; data is NULL for what is absent. */
typedef struct gust_http_part {
    gust_span name;

    /* What follows the last slash or backslash of the name that the client gave; NULL
     * if nothing, "." or ".." is left.  As all that comes from a client, not a name to
     * give a file without thinking. */
    gust_span filename;
    bool is_file; /* a file name was given, be it empty: no file was chosen */

    gust_span content_type;
} gust_http_part;

/* Begins to read a request's body.  `options` may be NULL.
 * Errors: -ENOTSUP if it is not multipart/form-data; -EBADMSG without a boundary, or
 * with one that RFC 2046 does not allow; -EINVAL for a limit that is too large; -ENOMEM. */
int gust_http_multipart_new(gust_http_request *req, const gust_http_multipart_options *options,
                            gust_http_multipart **ret_mp);

/* NULL is accepted.  The request may go on; what is left of its body is dropped. */
void gust_http_multipart_free(gust_http_multipart *mp);

/* Goes to the next part; what was not read of the current one is dropped.  Returns 1,
 * or 0 after the last part, when the body has been read to its end.
 * Errors: -EBADMSG if the form is malformed or cut short (an answer would be 400);
 * -EMSGSIZE beyond a limit (413); as gust_http_body_next.  Every later call fails in the
 * same way. */
int gust_http_multipart_next(gust_http_multipart *mp, gust_http_part *ret_part);

/* The value of the part's first field called `name`, in any case; data is NULL if there
 * is none.  A Content-Transfer-Encoding is not obeyed (RFC 7578, 4.7). */
gust_span gust_http_part_header(const gust_http_multipart *mp, const char *name);

/* Hands out the next piece of the part, valid until the next call for this body.
 * Returns its length, or 0 at the end of the part.  Errors: as above. */
ssize_t gust_http_part_next(gust_http_multipart *mp, gust_span *ret_piece);

/* Copies at least one byte, at most `len`.  Otherwise the same. */
ssize_t gust_http_part_read(gust_http_multipart *mp, void *buf, size_t len);

/* Reads the rest of the part into memory, as gust_http_body_read_all.
 * Errors: -EMSGSIZE if it is longer than `limit`; -ENOMEM; as above. */
int gust_http_part_read_all(gust_http_multipart *mp, size_t limit, char **ret_data,
                            size_t *ret_len);

/* Writes the rest of the part to a new file.  `path` must not exist, not even as a link
 * that leads nowhere: nothing is overwritten and no link followed in its last component.
 * The directory is the caller's to choose.  The deadline is for the file.  Returns the
 * file's length; on failure the file is removed, but for an empty one if the deadline or a
 * cancellation came while it was opened.
 * Errors: -EEXIST; -EFBIG if the part is longer than `limit`; those of gust_file_open and
 * write; as above. */
int64_t gust_http_part_save(gust_http_multipart *mp, const char *path, mode_t mode, uint64_t limit,
                            gust_time deadline);

#ifdef __cplusplus
}
#endif
#endif
