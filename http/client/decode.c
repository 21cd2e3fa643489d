/* A body as it is handed out: as it was sent, or decoded. */
#include "http/client/client.h"
#include "http/client/decoding.h"

#include "core/inject.h"

#include <errno.h>
#include <stdlib.h>

#define OUT_SIZE ((size_t)16384)

struct body_decoder {
    const struct gust_http_decoding *how;
    void *state;
    bool full;      /* there may be more output without input */
    bool ended;     /* nothing is missing */
    size_t at, len; /* of `out`, not handed out yet */
    uint64_t total;
    char out[OUT_SIZE];
};

static int fail(gust_http_call *call, int error, const char *reason)
{
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_BODY, error, reason);
}

/* --- Whether ------------------------------------------------------------------------------ */

bool gust__decode_is_asked(const gust_http_call *call)
{
    return call->by_url && call->client->options.decoding && !call->no_decoding && !call->is_head;
}

void gust__decode_note(gust_http_call *call)
{
    call->coding = -1;
    if (gust__decode_is_asked(call) && gust_http_call_has_body(call)) {
        gust_span coding = gust_http_call_response_header(call, "Content-Encoding");
        call->coding = coding.len > 0 ? call->client->options.decoding->find(coding) : -1;
    }
}

static int begin(gust_http_call *call)
{
    const struct gust_http_decoding *how = call->client->options.decoding;
    struct body_decoder *d = gust__malloc(sizeof(*d));
    void *state;

    int r = d ? how->begin(call->coding, &state) : -ENOMEM;
    if (r < 0) {
        free(d);
        return fail(call, r, "");
    }
    d->how = how;
    d->state = state;
    d->full = false;
    d->ended = true; /* an empty body is one */
    d->at = d->len = 0;
    d->total = 0;
    call->decoder = d;
    return 0;
}

void gust__decode_fini(gust_http_call *call)
{
    if (call->decoder) {
        call->decoder->how->free(call->decoder->state);
        free(call->decoder);
        call->decoder = NULL;
    }
}

/* --- Decoding ------------------------------------------------------------------------------- */

/* What the decoder makes of what is there: 1, 0 at the end, or an error. */
static int run(gust_http_call *call, struct body_decoder *d)
{
    gust_span in = {"", 0};

    if (!d->full) {
        ssize_t n = gust__body_peek(call);
        if (n == 0 && !d->ended)
            return fail(call, -EBADMSG, "the encoded body is cut off");
        if (n <= 0)
            return (int)n;
        in = (gust_span){gust_conn_view(call->conn).data, (size_t)n};
    }
    size_t before = in.len;
    ssize_t len = d->how->run(d->state, &in, d->out, OUT_SIZE, &d->ended);
    if (len < 0)
        return fail(call, (int)len, "malformed encoding");
    if (before > 0)
        gust__body_take(call, before - in.len);
    d->full = len == OUT_SIZE;
    d->at = 0;
    d->len = (size_t)len;
    d->total += d->len;
    return d->total > call->body_max ? fail(call, -EMSGSIZE, "the body is longer than its limit")
                                     : 1;
}

static ssize_t peek_decoded(gust_http_call *call, gust_span *ret_piece)
{
    struct body_decoder *d = call->decoder;

    while (d->at == d->len) {
        int r = call->failure.error ? call->failure.error : run(call, d);
        if (r <= 0)
            return r;
    }
    *ret_piece = (gust_span){d->out + d->at, d->len - d->at};
    return (ssize_t)ret_piece->len;
}

/* --- Either ----------------------------------------------------------------------------------- */

ssize_t gust__call_peek(gust_http_call *call, gust_span *ret_piece)
{
    if (call->coding >= 0 && call->heads == HEADS_FINAL) {
        int r = call->decoder || call->failure.error ? call->failure.error : begin(call);
        return r < 0 ? r : peek_decoded(call, ret_piece);
    }
    ssize_t n = gust__body_peek(call);
    if (n > 0)
        *ret_piece = (gust_span){gust_conn_view(call->conn).data, (size_t)n};
    return n;
}

void gust__call_take(gust_http_call *call, size_t n)
{
    if (call->decoder)
        call->decoder->at += n;
    else
        gust__body_take(call, n);
}

bool gust__call_has_more(const gust_http_call *call)
{
    const struct body_decoder *d = call->decoder;

    return (d && (d->at < d->len || d->full)) || gust__body_has_more(call);
}

ssize_t gust_http_call_next(gust_http_call *call, gust_span *ret_piece)
{
    ssize_t n = gust__call_peek(call, ret_piece);

    if (n > 0)
        gust__call_take(call, (size_t)n);
    return n;
}

ssize_t gust_http_call_read(gust_http_call *call, void *buf, size_t len)
{
    gust_span piece;

    if (len == 0)
        return 0;
    ssize_t n = gust__call_peek(call, &piece);
    if (n <= 0)
        return n;
    if ((size_t)n > len)
        n = (ssize_t)len;
    memcpy(buf, piece.data, (size_t)n);
    gust__call_take(call, (size_t)n);
    return n;
}
