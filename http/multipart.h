/* The reader of multipart/form-data, from any source of bytes: tests and fuzzers have
 * sources of their own. */
#ifndef GUST_HTTP_MULTIPART_H
#define GUST_HTTP_MULTIPART_H

#include <gust/http_form.h>

/* Copies at least one byte, at most `len`: the count, 0 at the end, or an error. */
typedef ssize_t multipart_source(void *arg, void *buf, size_t len);

/* `content_type` is needed for the call only. */
int gust__http_multipart_new(gust_span content_type, const gust_http_multipart_options *options,
                             multipart_source *source, void *arg, gust_http_multipart **ret_mp);

/* --- part.c --- */

/* Reads what a checked block of fields says of its part.  `buf` has the block's length
 * and holds what had to be unquoted.  Errors: -EBADMSG. */
int gust__http_part_describe(gust_span block, char *buf, gust_http_part *ret_part);

#endif
