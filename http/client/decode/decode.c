/* gzip by zlib, and brotli. */
#include <gust/http_decode.h>

#include <brotli/decode.h>
#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "core/inject.h"
#include "http/client/decoding.h"
#include "http/syntax.h"

/* Any window, with gzip's header and trailer. */
#define GZIP_WINDOW (15 + 16)

enum { DECODE_GZIP, DECODE_BR };

struct decoder {
    int coding;
    union {
        z_stream gzip;
        BrotliDecoderState *br;
    };
};

/* --- Memory ------------------------------------------------------------------------------ */

static void *take(void *opaque, size_t size)
{
    (void)opaque;
    return gust__malloc(size);
}

static void *take_items(void *opaque, unsigned count, unsigned size)
{
    return take(opaque, (size_t)count * size);
}

static void give_back(void *opaque, void *memory)
{
    (void)opaque;
    free(memory);
}

static bool is_begun(struct decoder *d, int coding)
{
    d->coding = coding;
    if (coding == DECODE_BR) {
        d->br = BrotliDecoderCreateInstance(take, give_back, NULL);
        return d->br != NULL;
    }
    d->gzip.zalloc = take_items;
    d->gzip.zfree = give_back;
    return inflateInit2(&d->gzip, GZIP_WINDOW) == Z_OK;
}

static int begin(int coding, void **ret_state)
{
    struct decoder *d = gust__calloc(1, sizeof(*d));

    if (!d || !is_begun(d, coding)) {
        free(d);
        return -ENOMEM;
    }
    *ret_state = d;
    return 0;
}

static void end(void *state)
{
    struct decoder *d = state;

    if (d->coding == DECODE_BR)
        BrotliDecoderDestroyInstance(d->br);
    else
        inflateEnd(&d->gzip);
    free(d);
}

/* --- Running ------------------------------------------------------------------------------- */

/* One member of a gzip stream may follow the other, as Go's reader and gzip(1) have it. */
static ssize_t run_gzip(struct decoder *d, gust_span *in, char *out, size_t size, bool *ended)
{
    z_stream *z = &d->gzip;
    int r = Z_OK;

    z->next_out = (unsigned char *)out;
    z->avail_out = (unsigned)size;
    z->next_in = (unsigned char *)in->data;
    z->avail_in = (unsigned)in->len;
    while (r == Z_OK && z->avail_out > 0 && (z->avail_in > 0 || z->total_in > 0)) {
        r = inflate(z, Z_NO_FLUSH);
        *ended = r == Z_STREAM_END;
        if (*ended)
            r = inflateReset(z);
        if (*ended && z->avail_in == 0)
            break;
    }
    *in = (gust_span){(const char *)z->next_in, z->avail_in};
    if (r == Z_MEM_ERROR)
        return -ENOMEM;
    return r == Z_OK || r == Z_BUF_ERROR ? (ssize_t)(size - z->avail_out) : -EBADMSG;
}

static ssize_t run_br(struct decoder *d, gust_span *in, char *out, size_t size, bool *ended)
{
    const uint8_t *next_in = (const uint8_t *)in->data;
    uint8_t *next_out = (uint8_t *)out;
    size_t left = in->len, room = size;

    if (BrotliDecoderIsFinished(d->br))
        return left > 0 ? -EBADMSG : 0;
    BrotliDecoderResult r =
        BrotliDecoderDecompressStream(d->br, &left, &next_in, &room, &next_out, NULL);
    *ended = r == BROTLI_DECODER_RESULT_SUCCESS;
    *in = (gust_span){(const char *)next_in, left};
    if (r == BROTLI_DECODER_RESULT_ERROR)
        return BrotliDecoderGetErrorCode(d->br) <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES
                   ? -ENOMEM
                   : -EBADMSG;
    return (ssize_t)(size - room);
}

static ssize_t run(void *state, gust_span *in, char *out, size_t size, bool *ended)
{
    struct decoder *d = state;

    return d->coding == DECODE_BR ? run_br(d, in, out, size, ended)
                                  : run_gzip(d, in, out, size, ended);
}

/* --- The codings ------------------------------------------------------------------------------ */

static int find(gust_span coding)
{
    if (gust__http_equals(coding, "gzip") || gust__http_equals(coding, "x-gzip"))
        return DECODE_GZIP;
    return gust__http_equals(coding, "br") ? DECODE_BR : -1;
}

const struct gust_http_decoding *gust_http_decoding(void)
{
    static const struct gust_http_decoding decoding = {
        .accept = "gzip, br",
        .find = find,
        .begin = begin,
        .run = run,
        .free = end,
    };

    return &decoding;
}
