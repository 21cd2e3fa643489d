/* What undoes codings of bodies: how the client reaches it without being linked to it. */
#ifndef GUST_HTTP_CLIENT_DECODING_H
#define GUST_HTTP_CLIENT_DECODING_H

#include <gust/base.h>

struct gust_http_decoding {
    const char *accept; /* for Accept-Encoding */

    /* The number of this coding, or -1. */
    int (*find)(gust_span coding);

    /* Errors: -ENOMEM. */
    int (*begin)(int coding, void **ret_state);

    /* Takes bytes off *in, and writes to `out`.  Returns how many; `size` means that there may
     * be more without further input.  *ended: the stream may end here.
     * Errors: -EBADMSG, -ENOMEM. */
    ssize_t (*run)(void *state, gust_span *in, char *out, size_t size, bool *ended);

    void (*free)(void *state);
};

#endif
