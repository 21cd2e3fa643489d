/* Fields with parameters: main; name=value; name="quoted value" (RFC 9110, 5.6.6).
 * Pure.  The values have been checked by gust__http_value_valid. */
#ifndef GUST_HTTP_PARAMS_H
#define GUST_HTTP_PARAMS_H

#include "http/syntax.h"

struct http_param {
    gust_span name;
    gust_span value; /* without its quotes, its escapes as they were sent */
    bool quoted;
};

/* What stands before the first ';'.  *ret_cursor is for gust__http_params_next. */
gust_span gust__http_params_main(gust_span field, size_t *ret_cursor);

/* Goes through the parameters: 1, 0 after the last one, -EBADMSG. */
int gust__http_params_next(gust_span field, size_t *cursor, struct http_param *ret_param);

/* Finds the one called `lower` (in lower case): 1, or 0 if there is none.  -EBADMSG if the
 * parameters are malformed, or two have this name: two readers could take different ones. */
int gust__http_params_find(gust_span field, const char *lower, struct http_param *ret_param);

/* The value without escapes, written to `buf`, which has room for the value as it was
 * sent.  A backslash that is not before a quote or another one stands for itself, as
 * with Go: browsers do not escape those in the names of files. */
gust_span gust__http_params_unquote(const struct http_param *param, char *buf);

#endif
