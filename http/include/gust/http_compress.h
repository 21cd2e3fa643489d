/* Compression of responses, by zlib and brotli: a layer around handlers.
 *
 *     gust_http_compress *compress;
 *     gust_http_compress_new(NULL, &compress);
 *     gust_http_router_use(router, gust_http_compress_layer, compress);
 *
 * Compressed is a body whose type is worth it, that is long enough, or whose length is not
 * known yet, for a client that takes br or gzip (Accept-Encoding).  Not compressed are
 * responses that have a Content-Encoding or a Content-Range, that say "no-transform", and
 * such without a body.
 *
 * What changes: Content-Encoding is set, Vary names Accept-Encoding (also for clients that
 * take neither), a strong ETag becomes a weak one, Accept-Ranges goes, and so does
 * Content-Length, unless the whole body is there when it is compressed.  HEAD is answered
 * with the same fields as GET.
 *
 * What a handler flushes reaches its client.
 *
 * If a response shows a secret together with something of the request, the length of what
 * is compressed tells who listens, little by little, what the secret is (the BREACH
 * attack, also over TLS).  Leave such responses out: by a chain around the others only, or
 * with "Cache-Control: no-transform".
 *
 * Its library is apart (gust_http_compress): programs without it link no zlib. */
#ifndef GUST_HTTP_COMPRESS_H
#define GUST_HTTP_COMPRESS_H

#include <gust/http_middleware.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a zero in the options means. */
#define GUST_HTTP_COMPRESS_LENGTH_MIN 1024
#define GUST_HTTP_COMPRESS_GZIP_LEVEL 6
#define GUST_HTTP_COMPRESS_BR_LEVEL 5

/* What an encoder takes at most, in bytes, whatever the length of the body; a response that
 * cannot get it is sent as it is.  Eight of gzip's per P are kept for the next responses. */
#define GUST_HTTP_COMPRESS_GZIP_BYTES (320 << 10)
#define GUST_HTTP_COMPRESS_BR_BYTES (3 << 20)

typedef struct gust_http_compress_options {
    size_t length_min; /* a body that is known to be shorter is sent as it is */
    int gzip_level;    /* 1 to 9; -1: no gzip */
    int br_level;      /* 1 to 9; -1: no brotli */

    /* The types that are compressed, without parameters, in place of text and what is
     * written like text (JSON, XML, JavaScript, SVG, WebAssembly ...).  "text/" stands for
     * all that begin so.  The strings stay the caller's. */
    const char *const *types;
    size_t type_count;
} gust_http_compress_options;

typedef struct gust_http_compress gust_http_compress;

/* Makes a layer's argument; NULL for the defaults.
 * Errors: -EINVAL for a level outside, -ENOMEM.  Only from a goroutine. */
int gust_http_compress_new(const gust_http_compress_options *options,
                           gust_http_compress **ret_compress);

/* Frees one that no request uses.  NULL is accepted. */
void gust_http_compress_free(gust_http_compress *compress);

/* A gust_http_middleware: `compress` is a gust_http_compress.  Of two around the same
 * handler the outer one counts. */
void gust_http_compress_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                              void *compress);

#ifdef __cplusplus
}
#endif
#endif
