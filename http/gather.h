/* Pieces put together in memory, under a limit. */
#ifndef GUST_HTTP_GATHER_H
#define GUST_HTTP_GATHER_H

#include <gust/base.h>

struct gathered {
    char *data;
    size_t len;
    size_t capacity;
    size_t limit;
};

/* Appends the piece.  Errors: -EMSGSIZE beyond the limit, -ENOMEM. */
int gust__http_gather(struct gathered *g, gust_span piece);

/* Hands all of it out with a NUL behind it, or drops it if there is an `error`, which is
 * returned.  Errors: -ENOMEM. */
int gust__http_gather_end(struct gathered *g, int error, char **ret_data, size_t *ret_len);

#endif
