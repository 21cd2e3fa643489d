/* Escaped text in URLs and forms: percent-encoding, and the pairs of a query.
 *
 *     char name[64];
 *     ssize_t n = gust_http_query_get(gust_http_request_query(req), "name", name, sizeof(name));
 *
 * Nothing is allocated.  Results go to the caller's buffer with a NUL behind them that
 * their length does not count. */
#ifndef GUST_HTTP_URL_H
#define GUST_HTTP_URL_H

#include <gust/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Where the text stands; decides what is left as it is. */
typedef enum gust_http_escaping {
    GUST_HTTP_SEGMENT, /* one segment of a path: '/' is escaped (RFC 3986, 3.3) */
    GUST_HTTP_PATH,    /* a whole path: '/' stays */
    GUST_HTTP_FORM,    /* a name or a value in a query or a form: ' ' is '+' */
} gust_http_escaping;

/* Undoes the escapes of `text`.  The result is never longer than the text.  Returns its
 * length.
 * In a path an escaped '/' becomes one as any other: split it into segments first where
 * that matters.  A path with "%00" in it is malformed: as a string it would end there.
 * In a form a NUL is data.
 * Errors: -EBADMSG if a '%' is not followed by two hexadecimal digits; -ENOBUFS if the
 * result and its NUL do not fit.  What is in `buf` then means nothing. */
ssize_t gust_http_unescape(gust_http_escaping escaping, gust_span text, char *buf, size_t size);

/* Escapes `text`, which may have any bytes: three times its length is always enough.
 * Returns the length.  Errors: -ENOBUFS. */
ssize_t gust_http_escape(gust_http_escaping escaping, gust_span text, char *buf, size_t size);

/* A pair of a query or a form, as it was sent.  Without a '=', the value is empty. */
typedef struct gust_http_pair {
    gust_span name;
    gust_span value;
} gust_http_pair;

/* Goes through "a=1&b=2".  *cursor starts at 0; returns false, with *ret_pair untouched,
 * after the last pair.  Only '&' separates; what is empty between two is skipped. */
bool gust_http_query_next(gust_span query, size_t *cursor, gust_http_pair *ret_pair);

/* The first pair with this name, which is compared unescaped.  False if there is none.  A
 * name with a malformed escape in it is equal to none. */
bool gust_http_query_find(gust_span query, const char *name, gust_http_pair *ret_pair);

/* The value of that pair, unescaped; also of a form's body.  Returns its length.
 * Errors: -ENOENT if there is no such pair; as gust_http_unescape. */
ssize_t gust_http_query_get(gust_span query, const char *name, char *buf, size_t size);

#ifdef __cplusplus
}
#endif
#endif
