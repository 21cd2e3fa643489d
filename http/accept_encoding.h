/* Which content codings a client takes (RFC 9110, 12.5.3).  Pure but for the last one. */
#ifndef GUST_HTTP_ACCEPT_ENCODING_H
#define GUST_HTTP_ACCEPT_ENCODING_H

#include <gust/http.h>

/* In the order in which they are preferred if the client does not care. */
enum http_coding { CODING_BR, CODING_GZIP, CODING_IDENTITY, CODINGS };

/* What a field says of each: 0 to 1000, or -1 for nothing. */
struct http_accept {
    int16_t q[CODINGS];
    int16_t any; /* of "*" */
};

void gust__http_accept_init(struct http_accept *a);

/* Adds what one field says.  A member of the list that is malformed is passed over; one
 * that is there twice counts the first time. */
void gust__http_accept_add(struct http_accept *a, gust_span field);

/* The same of all the request's fields. */
void gust__http_accept_read(struct http_accept *a, const gust_http_request *req);

/* Writes the codings that are acceptable, the best one first, and returns how many there
 * are.  `offered` has a bit (1 << coding) for each that there is.  Identity is acceptable,
 * as the last one, unless the client speaks of it; if it excludes all that is offered,
 * there is none. */
unsigned gust__http_accept_order(const struct http_accept *a, unsigned offered,
                                 enum http_coding ret_codings[CODINGS]);

/* True unless the client excludes it. */
bool gust__http_accept_identity(const struct http_accept *a);

/* As in a Content-Encoding field. */
const char *gust__http_coding_name(enum http_coding coding);

#endif
