/* The layer that compresses: which responses, and how their headers change. */
#include <gust/http_compress.h>

#include <errno.h>
#include <gust/http_reply.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "http/compress/encoder.h"
#include "http/filter.h"
#include "http/media_type.h"
#include "http/params.h"

/* How many bytes are compressed before others may run. */
#define PIECE_MAX ((size_t)65536)

#define KEPT_PER_P 8

#define LEVEL_MAX 9

struct gust_http_compress {
    struct http_filter filter; /* first: what a response is given */
    gust_http_compress_options options;
    gust_pool *pool; /* of gzip encoders, which can be used again */
};

/* --- Which responses --------------------------------------------------------------- */

/* If one of the members of the response's fields of this name is `lower`. */
static bool fields_name(const gust_http_response *res, const char *name, const char *lower)
{
    gust_span fields = gust__http_response_fields(res);
    gust_http_field field;
    size_t cursor = 0;

    while (gust__http_fields_next(fields.data, fields.len, &cursor, &field))
        if (gust__http_equals(field.name, name) &&
            gust__http_list_has(field.value, lower, strlen(lower)))
            return true;
    return false;
}

static bool same_type(gust_span type, const char *wanted)
{
    size_t len = strlen(wanted);
    size_t n = len > 0 && wanted[len - 1] == '/' && type.len > len ? len : type.len;

    return gust__http_same_name((gust_span){type.data, n}, wanted, len);
}

static bool type_wanted(const gust_http_compress *c, gust_span type)
{
    size_t cursor;

    if (c->options.type_count == 0)
        return gust__http_type_compresses(type);
    type = gust__http_params_main(type, &cursor);
    for (size_t i = 0; i < c->options.type_count; i++)
        if (same_type(type, c->options.types[i]))
            return true;
    return false;
}

static bool may_compress(const gust_http_compress *c, const gust_http_response *res)
{
    gust_span type = gust_http_response_header(res, "Content-Type");

    return res->status != 206 && type.data && type_wanted(c, type) &&
           !gust_http_response_header(res, "Content-Encoding").data &&
           !gust_http_response_header(res, "Content-Range").data &&
           !fields_name(res, "cache-control", "no-transform");
}

/* --- Encoders ------------------------------------------------------------------------ */

static enum http_coding choose(const gust_http_compress *c, const struct http_accept *accept)
{
    enum http_coding codings[CODINGS];
    unsigned offered = 1U << CODING_IDENTITY | (c->options.br_level > 0) << CODING_BR |
                       (c->options.gzip_level > 0) << CODING_GZIP;

    return gust__http_accept_order(accept, offered, codings) > 0 ? codings[0] : CODING_IDENTITY;
}

static struct encoder *encoder_get(gust_http_compress *c, enum http_coding coding)
{
    struct encoder *e = coding == CODING_GZIP ? gust_pool_get(c->pool)
                                              : gust__encoder_new(coding, c->options.br_level);

    if (e)
        e->owner = c;
    return e;
}

static void *make_gzip(void *compress)
{
    gust_http_compress *c = compress;

    return gust__encoder_new(CODING_GZIP, c->options.gzip_level);
}

static void free_gzip(void *item, void *compress)
{
    (void)compress;
    gust__encoder_free(item);
}

static void encoder_put(void *state)
{
    struct encoder *e = state;

    if (e->coding == CODING_GZIP && gust__encoder_reset(e))
        gust_pool_put(e->owner->pool, e);
    else
        gust__encoder_free(e);
}

/* --- The header ------------------------------------------------------------------------ */

static int add_vary(gust_http_response *res)
{
    if (fields_name(res, "vary", "accept-encoding") || fields_name(res, "vary", "*"))
        return 0;
    return gust__http_response_add(res, "Vary", "Accept-Encoding");
}

/* What is compressed is not the same bytes any more (RFC 9110, 8.8.3.3). */
static int weaken_etag(gust_http_response *res)
{
    gust_span etag = gust_http_response_header(res, "ETag");

    if (!etag.data || etag.len == 0 || etag.data[0] != '"')
        return 0;
    return gust__http_response_replace(res, (gust_span){etag.data, 0}, (gust_span){"W/", 2});
}

static int drop_field(gust_http_response *res, const char *lower)
{
    gust_span fields = gust__http_response_fields(res);
    gust_http_field field;
    size_t cursor = 0;

    while (gust__http_fields_next(fields.data, fields.len, &cursor, &field)) {
        if (!gust__http_equals(field.name, lower))
            continue;
        size_t len = (size_t)(fields.data + cursor - field.name.data);
        return gust__http_response_replace(res, (gust_span){field.name.data, len},
                                           (gust_span){"", 0});
    }
    return 0;
}

static int change_header(gust_http_response *res, enum http_coding coding)
{
    int r = gust__http_response_add(res, "Content-Encoding", gust__http_coding_name(coding));

    if (r == 0)
        r = weaken_etag(res);
    if (r == 0)
        r = drop_field(res, "accept-ranges");
    return r;
}

/* --- The filter ------------------------------------------------------------------------- */

/* A client that excludes identity gets short bodies compressed as well. */
static int begin(const struct http_filter *f, gust_http_response *res, uint64_t length,
                 void **ret_state)
{
    gust_http_compress *c = (gust_http_compress *)f;
    struct http_accept accept;

    if (!may_compress(c, res))
        return 0;
    gust__http_accept_read(&accept, res->req);
    if (length < c->options.length_min && gust__http_accept_identity(&accept))
        return 0;
    int r = add_vary(res);
    enum http_coding coding = choose(c, &accept);
    if (r < 0 || coding == CODING_IDENTITY || length == 0)
        return r;
    struct encoder *e = encoder_get(c, coding);
    if (!e)
        return 0; /* it can be sent as it is */
    *ret_state = e;
    return change_header(res, coding);
}

static int send_out(struct encoder *e, gust_http_response *res)
{
    size_t n = e->out_len;

    e->out_len = 0;
    return n > 0 ? gust__http_filter_put(res, e->out, n) : 0;
}

/* All of the operation; at its end there may be output left. */
static int run(struct encoder *e, gust_http_response *res, enum encoder_op op, gust_span in)
{
    int r;

    while ((r = gust__encoder_run(e, op, &in)) > 0) {
        int error = send_out(e, res);
        if (error < 0)
            return error;
    }
    return r;
}

static int compress_body(void *state, gust_http_response *res, const void *buf, size_t len)
{
    int r = 0;

    for (size_t at = 0; r == 0 && at < len; at += PIECE_MAX) {
        size_t n = len - at < PIECE_MAX ? len - at : PIECE_MAX;
        r = run(state, res, ENCODER_WRITE, (gust_span){(const char *)buf + at, n});
        gust_yield_if_needed();
    }
    return r;
}

static int run_and_send(void *state, gust_http_response *res, enum encoder_op op)
{
    int r = run(state, res, op, (gust_span){"", 0});

    return r < 0 ? r : send_out(state, res);
}

static int flush_body(void *state, gust_http_response *res)
{
    return run_and_send(state, res, ENCODER_FLUSH);
}

static int end_body(void *state, gust_http_response *res)
{
    return run_and_send(state, res, ENCODER_END);
}

void gust_http_compress_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                              void *compress)
{
    gust_http_compress *c = compress;

    (void)req;
    (void)gust__http_filter_set(res, &c->filter); /* refused: it has one, or has begun */
    gust_http_next_run(next);
}

/* --- Life ------------------------------------------------------------------------------ */

static void fill_in_defaults(gust_http_compress_options *o)
{
    if (o->length_min == 0)
        o->length_min = GUST_HTTP_COMPRESS_LENGTH_MIN;
    if (o->gzip_level == 0)
        o->gzip_level = GUST_HTTP_COMPRESS_GZIP_LEVEL;
    if (o->br_level == 0)
        o->br_level = GUST_HTTP_COMPRESS_BR_LEVEL;
}

int gust_http_compress_new(const gust_http_compress_options *options,
                           gust_http_compress **ret_compress)
{
    gust_http_compress_options o = options ? *options : (gust_http_compress_options){0};

    fill_in_defaults(&o);
    if (o.gzip_level < -1 || o.gzip_level > LEVEL_MAX || o.br_level < -1 || o.br_level > LEVEL_MAX)
        return -EINVAL;
    gust_http_compress *c = gust__malloc(sizeof(*c));
    if (!c)
        return -ENOMEM;
    c->filter = (struct http_filter){begin, compress_body, flush_body, end_body, encoder_put};
    c->options = o;
    const gust_pool_options pool = {
        .make = make_gzip, .free = free_gzip, .arg = c, .max_per_p = KEPT_PER_P};
    int r = gust_pool_new(&pool, &c->pool);
    if (r < 0)
        free(c);
    else
        *ret_compress = c;
    return r;
}

void gust_http_compress_free(gust_http_compress *compress)
{
    if (!compress)
        return;
    gust_pool_free(compress->pool);
    free(compress);
}
