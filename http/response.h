/* What writes into a response beside response.c: files (send_file.c) and filters
 * (filter.c). */
#ifndef GUST_HTTP_RESPONSE_H
#define GUST_HTTP_RESPONSE_H

#include "http/exchange.h"

/* Adds a field before the body has begun, which is known to be valid and none of those that
 * gust_http_header knows to be special.  Errors: -ENOBUFS, -ENOMEM. */
int gust__http_add_field(gust_http_response *res, gust_span name, gust_span value);

/* False for 204 and 304.  304 may tell the length that a 200 would have had. */
bool gust__http_status_has_body(int status);

/* False for HEAD, too: then the body is counted only. */
bool gust__http_sends_body(const gust_http_response *res);

/* Whether `len` bytes more may be written: 0, -EMSGSIZE, or what a send has met. */
int gust__http_admit(const gust_http_response *res, size_t len);

/* Says how long the body will be, unless the handler has said so, or it has trailers. */
static inline void gust__http_declare(gust_http_response *res, uint64_t length)
{
    if (res->declared || res->wants_chunked)
        return;
    res->declared = true;
    res->length = length;
}

/* Ends the header in the text, if it has not been; the body follows.  Errors: -ENOMEM. */
int gust__http_end_header(gust_http_response *res);

/* Sends header and staged body; `complete`: no more will be written.  Returns
 * res->error. */
int gust__http_commit(gust_http_response *res, bool complete);

/* Sends a piece of a body that has been committed, past the filter, or drops it if none
 * is sent.  res->error says how it went. */
void gust__http_send_piece(gust_http_response *res, const void *buf, size_t len);

/* Answers with a status and its name as the text: reply.c. */
void gust__http_answer(gust_http_response *res, int status);

/* gust_http_send_file of what is known to be a regular file. */
int gust__http_send_file(gust_http_response *res, int fd, uint64_t offset, uint64_t len);

#endif
