/* Cookies (RFC 6265): those a client sends, and setting them. */
#ifndef GUST_HTTP_COOKIE_H
#define GUST_HTTP_COOKIE_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A cookie that a client sent; the value has no quotes around it. */
typedef struct gust_http_cookie {
    gust_span name;
    gust_span value;
} gust_http_cookie;

/* Goes through the value of one Cookie field.  *cursor starts at 0; returns false, with
 * *ret_cookie untouched, after the last one.  As with Go, what is no cookie is passed over:
 * a name that is not a token, a value with a byte that is not printable ASCII or is one
 * of "\; */
bool gust_http_cookie_next(gust_span field, size_t *cursor, gust_http_cookie *ret_cookie);

/* The value of the first cookie with this name, in all Cookie fields; data is NULL if
 * there is none.  Names are compared with their case. */
gust_span gust_http_request_cookie(const gust_http_request *req, const char *name);

typedef enum gust_http_same_site {
    GUST_HTTP_SAME_SITE_UNSET,
    GUST_HTTP_SAME_SITE_LAX,
    GUST_HTTP_SAME_SITE_STRICT,
    GUST_HTTP_SAME_SITE_NONE, /* needs `secure` */
} gust_http_same_site;

/* Zero and NULL leave an attribute out. */
typedef struct gust_http_set_cookie {
    const char *name;  /* a token */
    const char *value; /* printable ASCII without space and ",;\ ; NULL is empty */
    const char *path;  /* begins with '/' */
    const char *domain;
    int64_t max_age_s; /* below zero: the client drops the cookie now */
    int64_t expires_s; /* since 1970, not beyond the year 9999 */
    bool secure;
    bool http_only;
    bool partitioned; /* needs `secure` */
    gust_http_same_site same_site;
} gust_http_set_cookie;

/* Adds a Set-Cookie field to the response.
 * Errors: -EINVAL if a part is not as above or the client would refuse the cookie: name and
 * value of more than 4096 bytes, an attribute of more than 1024, "__Secure-" without
 * `secure`, "__Host-" without it, with a domain or with a path other than "/"; -ENOMEM;
 * as gust_http_header. */
int gust_http_cookie_set(gust_http_response *res, const gust_http_set_cookie *cookie);

#ifdef __cplusplus
}
#endif
#endif
