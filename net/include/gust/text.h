/* Reading by pieces, lines and fixed lengths, and formatted writing.
 *
 * All of it works on the conn's own buffers: what is handed out lies in its view
 * (gust_conn_view) and is not copied; it stays valid until the next fill, read,
 * consume or close, and is dropped by gust_conn_consume.  The calls wait, and fail,
 * as gust_conn_fill does; whatever the error, no byte is lost: what has arrived is
 * in the view, and the call can be made again.  By the reading goroutine only.
 *
 * -ENODATA: the stream has ended in the middle. */
#ifndef GUST_TEXT_H
#define GUST_TEXT_H

#include <gust/net.h>
#include <stdarg.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Waits until the view holds `len` bytes, and hands these out; the view may hold more.
 * Returns len, or 0 if the stream has ended with nothing in the view (or len is 0).
 * Errors: -ENODATA. */
ssize_t gust_conn_peek(gust_conn *c, size_t len, gust_time deadline, gust_span *ret_bytes);

/* Reads exactly `len` bytes into buf.  Returns len, or 0 if the stream has ended
 * before the first (or len is 0).  *got, which may be NULL if the conn is given up
 * after an error anyway, counts those that are in buf already: begin with 0, and the
 * call goes on there if it is made again after an error.  Errors: -ENODATA. */
ssize_t gust_conn_read_full(gust_conn *c, void *buf, size_t len, size_t *got, gust_time deadline);

/* Waits for the byte `delim` and hands out everything up to it, with it.  Returns how
 * much that is: what to consume; 0 if the stream has ended with nothing in the view.
 * Errors: -EMSGSIZE if the first `max` bytes have no delim; -ENODATA, what there is
 * is the view. */
ssize_t gust_conn_read_until(gust_conn *c, char delim, size_t max, gust_time deadline,
                             gust_span *ret_piece);

/* The same for a line: *ret_line is without its LF, or CR LF, which the count to
 * consume has. */
ssize_t gust_conn_read_line(gust_conn *c, size_t max, gust_time deadline, gust_span *ret_line);

/* Reads an unsigned integer of `size` bytes (1 to 8), the most significant first.
 * Returns size, or 0 if the stream has ended before it.
 * Errors: -ENODATA; -EINVAL if size is out of range. */
ssize_t gust_conn_read_be(gust_conn *c, size_t size, gust_time deadline, uint64_t *ret_value);

/* --- Writing --------------------------------------------------------------
 * Both add to the write buffer as gust_conn_append does: gust_conn_flush sends. */

/* Adds formatted text, without its NUL.  Returns its length.
 * Errors: as gust_conn_append; -EMSGSIZE if it is not shorter than GUST_CONN_WBUF;
 * -EINVAL if it cannot be formatted. */
ssize_t gust_conn_printf(gust_conn *c, gust_time deadline, const char *format, ...)
    GUST_PRINTF(3, 4);
ssize_t gust_conn_vprintf(gust_conn *c, gust_time deadline, const char *format, va_list args)
    GUST_PRINTF(3, 0);

/* Adds an unsigned integer of `size` bytes (1 to 8), the most significant first.
 * Returns size.  Errors: as gust_conn_append; -EINVAL if size is out of range or
 * value does not fit. */
ssize_t gust_conn_append_be(gust_conn *c, uint64_t value, size_t size, gust_time deadline);

#ifdef __cplusplus
}
#endif
#endif
