/* Reading the three forms of a date (RFC 9110, 5.6.7). */
#ifndef GUST_HTTP_DATE_PARSE_H
#define GUST_HTTP_DATE_PARSE_H

#include <gust/http_conditions.h>

/* gust_http_date_parse at a given time, in seconds. */
int gust__http_date_parse_at(gust_span text, int64_t now, int64_t *ret_seconds);

#endif
