/* More ways to answer: redirects, errors, formatted text, interim responses; and what has
 * been answered so far, for middleware.
 *
 *     static void show(gust_http_request *req, gust_http_response *res, void *arg)
 *     {
 *         gust_span id = gust_http_path_value(req, "id");
 *         if (id.len != 4)
 *             gust_http_error(res, 404, "no such item");
 *         else
 *             gust_http_printf(res, "item %.*s\n", (int)id.len, id.data);
 *     }
 *
 * As all calls on a response, these are for the handler, and layers around it. */
#ifndef GUST_HTTP_REPLY_H
#define GUST_HTTP_REPLY_H

#include <gust/http.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Whole responses ------------------------------------------------------ */

/* Sends the client elsewhere: `status` is 301, 302, 303, 307 or 308.  As Go's
 * http.Redirect: a `location` without scheme and host is resolved against the directory
 * of the request's path and cleaned of "." and "..", GET and HEAD get a short HTML page,
 * unless the handler has set a Content-Type.
 * What may not stand in a URL (spaces, quotes, '\', bytes above 127) is percent-encoded;
 * a '%' stays as it is.  A location from outside still has to be checked: "//host" leads
 * to another server.
 * Errors: -EINVAL for another status, and for a control byte in `location`; -EALREADY
 * once the body has begun; -ENOBUFS beyond 64 KiB, -ENOMEM. */
int gust_http_redirect(gust_http_request *req, gust_http_response *res, int status,
                       const char *location);

/* Answers `status` with `message` and a line end as text/plain; NULL: the name of the
 * status.  As Go's http.Error: browsers are told not to guess another type, and what was
 * set about a body that is not sent now (Content-Type, -Length, -Encoding, ETag,
 * Last-Modified, Cache-Control) is removed.
 * Errors: -EINVAL for a status below 400; -EALREADY once the body has begun; as
 * gust_http_write. */
int gust_http_error(gust_http_response *res, int status, const char *message);

/* --- Formatted text ------------------------------------------------------- */

/* Writes text as printf(3) does, of any length, to the body.  Up to a kilobyte of it
 * needs no memory.  Returns the number of bytes.
 * Errors: as gust_http_write; -EOVERFLOW, -EILSEQ if it cannot be formatted: nothing of
 * it is sent. */
ssize_t gust_http_printf(gust_http_response *res, const char *format, ...) GUST_PRINTF(2, 3);
ssize_t gust_http_vprintf(gust_http_response *res, const char *format, va_list args)
    GUST_PRINTF(2, 0);

/* --- Interim responses ---------------------------------------------------- */

/* Sends a response with a status from 100 to 199 and these fields ahead of the real one,
 * and does not wait for it to arrive: 103 with Link fields lets a browser fetch what a
 * page will need while the handler still makes the page; 102 says that it takes long.
 * Header and status of the response stay as they are.  100 asks for the body before it
 * is read.
 * A client of HTTP/1.0 knows none of this and is sent nothing, which is no error.
 * Errors: -EINVAL for 101 (gust_http_upgrade) and any status outside, for a field that
 * gust_http_header would refuse or that frames a message; -EALREADY once the response
 * has begun to be sent; -ENOBUFS beyond 64 KiB; as gust_http_write. */
int gust_http_inform(gust_http_response *res, int status, const gust_http_field *fields,
                     size_t field_count);

/* --- What was set so far -------------------------------------------------- */

/* Removes every field of this name that was added.  Content-Length is not declared any
 * more then, Date is the server's again.  "Connection: close" cannot be taken back.
 * Errors: -EALREADY once the body has begun. */
int gust_http_header_remove(gust_http_response *res, const char *name);

/* The value of the first field of this name that was added, also after it was sent; data
 * is NULL if there is none.  Not the fields that the server adds by itself, nor
 * Content-Length and Connection, which it writes.  Valid until the response is changed. */
gust_span gust_http_response_header(const gust_http_response *res, const char *name);

/* The status as it was set, 200 at first; of a connection that was taken 101 if it was by
 * an upgrade, else 0. */
int gust_http_response_status(const gust_http_response *res);

/* How many bytes of body the handler has written; for HEAD too, where none are sent. */
uint64_t gust_http_response_bytes(const gust_http_response *res);

/* True once the header is out of the handler's hands: status and fields, and what a
 * layer would answer instead, come too late. */
bool gust_http_response_sent(const gust_http_response *res);

#ifdef __cplusplus
}
#endif
#endif
