/* What makes gzip or brotli of a stream of bytes, piece by piece. */
#ifndef GUST_HTTP_ENCODER_H
#define GUST_HTTP_ENCODER_H

#include <brotli/encode.h>
#include <gust/http_compress.h>
#include <sys/queue.h>
#include <zlib.h>

#include "http/accept_encoding.h"

/* Output is collected up to this. */
#define ENCODER_OUT_SIZE ((size_t)16384)

enum encoder_op { ENCODER_WRITE, ENCODER_FLUSH, ENCODER_END };

struct encoder {
    enum http_coding coding; /* CODING_GZIP or CODING_BR */
    gust_http_compress *owner;
    union {
        z_stream gzip;
        BrotliEncoderState *br; /* NULL: it has got no memory */
    };
    LIST_HEAD(, encoder_block) blocks; /* the library's memory */
    size_t bytes;                      /* in all */
    size_t out_len;
    unsigned char out[ENCODER_OUT_SIZE];
};

/* NULL without memory. */
struct encoder *gust__encoder_new(enum http_coding coding, int level);
void gust__encoder_free(struct encoder *e);

/* Makes a gzip encoder as good as new.  False if that failed. */
bool gust__encoder_reset(struct encoder *e);

/* Takes input until it has none, or the output is full; the latter is the caller's to send
 * and to set back to nothing.  Returns 1 if it is to be called again with the same
 * operation, 0 if it has done it.  Errors: -ENOMEM, -EIO. */
int gust__encoder_run(struct encoder *e, enum encoder_op op, gust_span *in);

#endif
