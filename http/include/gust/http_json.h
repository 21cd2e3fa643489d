/* JSON bodies, by Jansson (https://jansson.readthedocs.io).  In a library of its own:
 * link gust_http_json (pkg-config gust-http-json).
 *
 *     static void add(gust_http_request *req, gust_http_response *res, void *arg)
 *     {
 *         json_t *item;
 *         if (gust_http_json_read(req, res, 65536, &item) < 0)
 *             return;
 *         if (!json_is_string(json_object_get(item, "name")))
 *             gust_http_json_error(res, 422, "an item needs a name");
 *         else
 *             gust_http_json_reply(res, 201, item);
 *         json_decref(item);
 *     }
 *
 * Jansson's values are counted, and not to be changed by two goroutines at a time. */
#ifndef GUST_HTTP_JSON_H
#define GUST_HTTP_JSON_H

#include <gust/http.h>
#include <jansson.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How deep arrays and objects of a request may lie in each other.  Jansson's own limit
 * (2048) is more than the stack of a goroutine holds. */
#define GUST_HTTP_JSON_DEPTH_MAX 128

/* Answers with `json`, which stays the caller's, as application/json, unless another
 * Content-Type was set.  It is never laid out as a whole: up to 4 KiB go out in one piece,
 * more as it is written, with a Content-Length in either case.
 * Errors: -EINVAL if json is NULL (as Jansson's functions are without memory) or contains
 * itself: nothing was sent, the handler still answers; as gust_http_reply. */
int gust_http_json_reply(gust_http_response *res, int status, const json_t *json);

/* Answers with an error that says more, as application/problem+json (RFC 9457): the
 * status, its name, and the text as "detail".  What was set about another body is removed.
 * Errors: -EINVAL for a status below 400 and for text that is not UTF-8; -ENOMEM; as
 * gust_http_reply. */
int gust_http_json_error(gust_http_response *res, int status, const char *format, ...)
    GUST_PRINTF(3, 4);

/* Reads the body, which is parsed as it arrives, to its end.  *ret_json is the caller's to
 * json_decref.  Any value will do; keys that occur twice in an object do not.
 * After an error the client has been answered, or will be by the server, and the handler
 * just returns:
 *   -ENOTSUP   415: the Content-Type is neither application/json nor anything "+json"
 *   -EMSGSIZE  413: longer than `limit` bytes
 *   -EBADMSG   400: malformed; line and column are in the answer
 *   -E2BIG     400: deeper than GUST_HTTP_JSON_DEPTH_MAX
 *   -ENOMEM    503
 * and those of gust_http_body_read. */
int gust_http_json_read(gust_http_request *req, gust_http_response *res, uint64_t limit,
                        json_t **ret_json);

#ifdef __cplusplus
}
#endif
#endif
