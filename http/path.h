/* Paths of request targets, as RFC 3986 reads them: dot segments, percent-encoding.
 *
 * Pure: bytes in, bytes out.  Every path here begins with '/'. */
#ifndef GUST_HTTP_PATH_H
#define GUST_HTTP_PATH_H

#include <gust/base.h>

enum path_form {
    PATH_CLEAN,
    PATH_UNCLEAN,   /* has "//", or a segment "." or "..", plain or encoded */
    PATH_MALFORMED, /* has a '%' without two hexadecimal digits behind it */
};

enum path_form gust__http_path_form(gust_span path);

/* Writes the path without what makes it unclean, at most path.len bytes, and returns
 * its length.  A slash at the end stays one. */
size_t gust__http_path_clean(gust_span path, char *ret_clean);

/* The byte that a "%XX" stands for, which has been found not to be malformed. */
char gust__http_percent_byte(const char *encoded);

/* Decodes what has been found not to be malformed, at most s.len bytes; returns the
 * length. */
size_t gust__http_percent_decode(gust_span s, char *ret_bytes);

/* Writes a path so that it can stand in a Location field, at most 3 * path.len bytes;
 * returns the length.  What is encoded already stays so. */
size_t gust__http_path_escape(gust_span path, char *ret_escaped);

#endif
