/* The text of a Set-Cookie field. */
#ifndef GUST_HTTP_SET_COOKIE_H
#define GUST_HTTP_SET_COOKIE_H

#include <gust/http_cookie.h>

/* Name, value, two attributes, the others and a NUL. */
#define SET_COOKIE_SIZE (4096 + 2 * 1024 + 256)

/* Writes it to `text`, which has that size, with a NUL.  Errors: -EINVAL. */
int gust__http_set_cookie_format(const gust_http_set_cookie *cookie, char *text);

#endif
