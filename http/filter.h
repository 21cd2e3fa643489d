/* Body filters: what changes a response's body on its way, such as a compression.
 *
 * A response has one or none.  It is asked once, when the header is about to be sent and
 * may still be changed, whether it wants this body:
 *
 *     gust_http_write -> staged --- commit: begin --+-- no state: as it was
 *                                                   +-- write, flush, end -> the connection
 *
 * The handler's own Content-Length is checked against what the handler writes; what is
 * sent has another length, so it is chunked, or counted if all of it is there.  For HEAD
 * the header is changed in the same way; nothing is written. */
#ifndef GUST_HTTP_FILTER_H
#define GUST_HTTP_FILTER_H

#include "http/exchange.h"

/* How long a body will be if nobody knows yet. */
#define FILTER_LENGTH_UNKNOWN UINT64_MAX

struct http_filter {
    /* May change the header by the functions below.  `length` is that of the body.
     * *ret_state, NULL at first, is what the others get; as long as it is NULL the
     * body is none of the filter's.  An error is the response's. */
    int (*begin)(const struct http_filter *f, gust_http_response *res, uint64_t length,
                 void **ret_state);

    /* These pass on what they have by gust__http_filter_put.  0 or an error. */
    int (*write)(void *state, gust_http_response *res, const void *buf, size_t len);
    int (*flush)(void *state, gust_http_response *res); /* all that was written */
    int (*end)(void *state, gust_http_response *res);

    void (*free)(void *state);
};

/* Gives the response a filter, which must live as long.  Errors: -EALREADY if its body
 * has begun, -EBUSY if it has one. */
int gust__http_filter_set(gust_http_response *res, const struct http_filter *f);

/* --- For filters ------------------------------------------------------------- */

int gust__http_filter_put(gust_http_response *res, const void *buf, size_t len);

/* Changes the header when it has ended: adds a field, or replaces bytes of the fields.
 * Spans into them are not valid any more.  Errors: -ENOMEM. */
int gust__http_response_add(gust_http_response *res, const char *name, const char *value);
int gust__http_response_replace(gust_http_response *res, gust_span old, gust_span by);

/* --- For response.c ---------------------------------------------------------- */

/* Asks the filter, with the header ended and nothing sent. */
int gust__http_filter_begin(gust_http_response *res, bool complete);

/* A piece of the body as the handler has written it, by way of the filter if it wants
 * it. */
void gust__http_filter_write(gust_http_response *res, const void *buf, size_t len);

/* If there is a state. */
void gust__http_filter_flush(gust_http_response *res);
void gust__http_filter_end(gust_http_response *res);
void gust__http_filter_free(gust_http_response *res);

#endif
