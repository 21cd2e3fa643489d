/* gzip and brotli. */
#include "http/compress/encoder.h"

#include <errno.h>
#include <gust/panic.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"

/* A window of 32 KiB, and gzip's header and trailer. */
#define GZIP_WINDOW (15 + 16)
#define GZIP_MEMORY 8

/* A window of 64 KiB: with larger ones brotli's tables grow by far more than the window. */
#define BR_WINDOW 16

/* --- Memory ---------------------------------------------------------------------- */

/* In front of what an encoder has allocated. */
struct encoder_block {
    LIST_ENTRY(encoder_block) link;
    size_t size;
    alignas(max_align_t) char bytes[];
};

static size_t limit(const struct encoder *e)
{
    return e->coding == CODING_BR ? GUST_HTTP_COMPRESS_BR_BYTES : GUST_HTTP_COMPRESS_GZIP_BYTES;
}

static void *take(void *encoder, size_t size)
{
    struct encoder *e = encoder;

    if (size > limit(e) - e->bytes)
        return NULL;
    struct encoder_block *b = gust__malloc(sizeof(*b) + size);
    if (!b)
        return NULL;
    b->size = size;
    e->bytes += size;
    LIST_INSERT_HEAD(&e->blocks, b, link);
    return b->bytes;
}

static void give_back(void *encoder, void *bytes)
{
    struct encoder *e = encoder;

    if (!bytes)
        return;
    struct encoder_block *b =
        (struct encoder_block *)((char *)bytes - offsetof(struct encoder_block, bytes));
    e->bytes -= b->size;
    LIST_REMOVE(b, link);
    free(b);
}

static void give_all_back(struct encoder *e)
{
    struct encoder_block *b = LIST_FIRST(&e->blocks);

    while (b) {
        struct encoder_block *next = LIST_NEXT(b, link);
        free(b);
        b = next;
    }
    LIST_INIT(&e->blocks);
    e->bytes = sizeof(*e);
}

static void *take_array(void *encoder, unsigned count, unsigned size)
{
    return take(encoder, (size_t)count * size);
}

/* --- Life ------------------------------------------------------------------------- */

static bool gzip_init(struct encoder *e, int level)
{
    e->gzip = (z_stream){.zalloc = take_array, .zfree = give_back, .opaque = e};
    return deflateInit2(&e->gzip, level, Z_DEFLATED, GZIP_WINDOW, GZIP_MEMORY,
                        Z_DEFAULT_STRATEGY) == Z_OK;
}

/* brotli, as distributions build it, ends the process when it gets no memory.  So it never
 * hears of that: the call is left by a panic, and the encoder's memory goes as a whole. */
static void *take_or_leave(void *encoder, size_t size)
{
    void *bytes = take(encoder, size);

    if (!bytes)
        gust_panic("no memory for brotli");
    return bytes;
}

static void br_create(void *encoder)
{
    struct encoder *e = encoder;

    e->br = BrotliEncoderCreateInstance(take_or_leave, give_back, e);
}

static bool br_init(struct encoder *e, int level)
{
    if (gust_recover(br_create, e, NULL) || !e->br) {
        give_all_back(e);
        return false;
    }
    BrotliEncoderSetParameter(e->br, BROTLI_PARAM_QUALITY, (uint32_t)level);
    BrotliEncoderSetParameter(e->br, BROTLI_PARAM_LGWIN, BR_WINDOW);
    return true;
}

struct encoder *gust__encoder_new(enum http_coding coding, int level)
{
    struct encoder *e = gust__malloc(sizeof(*e));

    if (!e)
        return NULL;
    e->coding = coding;
    e->owner = NULL;
    e->bytes = sizeof(*e);
    e->out_len = 0;
    LIST_INIT(&e->blocks);
    if (coding == CODING_BR ? br_init(e, level) : gzip_init(e, level))
        return e;
    free(e);
    return NULL;
}

void gust__encoder_free(struct encoder *e)
{
    if (!e)
        return;
    give_all_back(e); /* all that either of them has */
    free(e);
}

bool gust__encoder_reset(struct encoder *e)
{
    e->out_len = 0;
    return deflateReset(&e->gzip) == Z_OK;
}

/* --- Work --------------------------------------------------------------------------- */

/* Input comes in pieces that fit zlib's counters. */
static int gzip_run(struct encoder *e, enum encoder_op op, gust_span *in)
{
    static const int flushes[] = {Z_NO_FLUSH, Z_SYNC_FLUSH, Z_FINISH};
    z_stream *z = &e->gzip;

    z->next_in = (unsigned char *)in->data;
    z->avail_in = (unsigned)in->len;
    z->next_out = e->out + e->out_len;
    z->avail_out = (unsigned)(sizeof(e->out) - e->out_len);
    int r = deflate(z, flushes[op]);
    in->data += in->len - z->avail_in;
    in->len = z->avail_in;
    e->out_len = sizeof(e->out) - z->avail_out;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR) /* nothing was to be done */
        return -EIO;
    return z->avail_out == 0;
}

struct br_call {
    struct encoder *e;
    BrotliEncoderOperation op;
    gust_span *in;
    bool done;
};

static void br_call(void *arg)
{
    struct br_call *call = arg;
    struct encoder *e = call->e;
    const uint8_t *next_in = (const uint8_t *)call->in->data;
    size_t available_in = call->in->len;
    uint8_t *next_out = e->out + e->out_len;
    size_t available_out = sizeof(e->out) - e->out_len;

    call->done = BrotliEncoderCompressStream(e->br, call->op, &available_in, &next_in,
                                             &available_out, &next_out, NULL);
    *call->in = (gust_span){(const char *)next_in, available_in};
    e->out_len = sizeof(e->out) - available_out;
}

static int br_run(struct encoder *e, enum encoder_op op, gust_span *in)
{
    static const BrotliEncoderOperation ops[] = {BROTLI_OPERATION_PROCESS, BROTLI_OPERATION_FLUSH,
                                                 BROTLI_OPERATION_FINISH};
    struct br_call call = {.e = e, .op = ops[op], .in = in};

    if (!e->br)
        return -ENOMEM;
    if (gust_recover(br_call, &call, NULL) || !call.done) {
        give_all_back(e);
        e->br = NULL;
        return -ENOMEM;
    }
    return in->len > 0 || BrotliEncoderHasMoreOutput(e->br);
}

int gust__encoder_run(struct encoder *e, enum encoder_op op, gust_span *in)
{
    return e->coding == CODING_BR ? br_run(e, op, in) : gzip_run(e, op, in);
}
