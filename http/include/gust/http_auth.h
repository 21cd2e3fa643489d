/* The Basic authentication scheme (RFC 7617).
 *
 *     char buf[256];
 *     gust_http_credentials who;
 *     if (gust_http_basic_auth(req, buf, sizeof(buf), &who) < 0 ||
 *         !gust_http_secret_equal(who.password, expected)) {
 *         gust_http_header(res, "WWW-Authenticate", "Basic realm=\"site\"");
 *         gust_http_reply(res, 401, NULL, NULL, 0);
 *     }
 */
#ifndef GUST_HTTP_AUTH_H
#define GUST_HTTP_AUTH_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_http_credentials {
    gust_span user;
    gust_span password;
} gust_http_credentials;

/* Decodes the request's Authorization field into `buf`, to which the spans point; the
 * user's name ends at the first colon.
 * Errors: -ENOENT if there is none, or one of another scheme; -EBADMSG if it is malformed
 * (no canonical base64, no colon, a control byte) or there are two; -ENOBUFS: three
 * quarters of the field's length are always enough. */
int gust_http_basic_auth(const gust_http_request *req, char *buf, size_t size,
                         gust_http_credentials *ret_credentials);

/* The same for a field's value. */
int gust_http_basic_decode(gust_span value, char *buf, size_t size,
                           gust_http_credentials *ret_credentials);

/* Compares in a time that depends on the length of `given` only, not on where it
 * differs. */
bool gust_http_secret_equal(gust_span given, gust_span expected);

#ifdef __cplusplus
}
#endif
#endif
