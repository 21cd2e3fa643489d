/* The response on its way back. */
#include "proxy/transfer.h"

#include "http/response.h"

#include <gust/http_reply.h>

#include <errno.h>

#define INTERIM_FIELDS_MAX 32

/* --- Interim ----------------------------------------------------------------------------- */

void gust__respond_interim(struct transfer *t, int status)
{
    gust_span lines = gust_http_call_response_lines(t->call);
    gust_http_field fields[INTERIM_FIELDS_MAX], f;
    size_t n = 0;

    for (size_t cursor = 0;
         n < INTERIM_FIELDS_MAX && gust_http_call_response_fields(t->call, &cursor, &f);)
        if (gust__forward_passes(lines, f.name))
            fields[n++] = f;
    /* One that fails is no loss, or the next write fails, too. */
    (void)gust_http_inform(t->res, status, fields, n);
}

/* --- In the upstream's place --------------------------------------------------------------- */

/* Forgets what was taken over of a response. */
static void begin_anew(gust_http_response *res)
{
    res->text.len = RESPONSE_PREFIX_MAX;
    res->has_date = false;
    res->declared = false;
    res->wants_chunked = false;
    res->trailers.len = 0;
}

void gust__respond_status(struct transfer *t, int status)
{
    if (t->res->committed || t->res->body_at > 0 || t->res->error < 0)
        return;
    begin_anew(t->res);
    if (status == 499) /* nginx's; nobody reads it but the log */
        gust_http_error(t->res, status, "the client has gone");
    else
        gust_http_error(t->res, status, NULL);
}

/* --- The header --------------------------------------------------------------------------- */

static int take_header(struct transfer *t)
{
    gust_http_response *res = t->res;

    int r = gust_http_status(res, t->upstream_status);
    if (r < 0)
        return r;
    return gust__forward_response(&t->config->rules, gust_http_call_response_lines(t->call),
                                  RESPONSE_PREFIX_MAX + RESPONSE_FIELDS_MAX, &res->text,
                                  &res->has_date);
}

/* What a GET would have been answered: a length, or that it is chunked. */
static void declare_without_body(struct transfer *t)
{
    int64_t length = gust_http_call_content_length(t->call);

    if (length >= 0 && t->upstream_status != 204)
        gust__http_declare(t->res, (uint64_t)length);
    else if (length < 0 && t->upstream_status != 304)
        t->res->wants_chunked = true;
}

/* --- The body ------------------------------------------------------------------------------ */

/* Trailers can follow only what is chunked, which the response may yet become. */
static void add_trailers(struct transfer *t)
{
    gust_span lines = gust_http_call_response_lines(t->call);
    gust_http_response *res = t->res;
    gust_http_field f;

    if (res->declared || gust_http_request_minor(t->req) == 0 || !gust__http_sends_body(res))
        return;
    for (size_t cursor = 0; gust_http_call_response_trailers(t->call, &cursor, &f);) {
        if (!gust__forward_passes(lines, f.name) || gust__http_field_frames(f.name))
            continue;
        if (gust__http_text_add_field(&res->trailers, f.name, f.value, RESPONSE_FIELDS_MAX) < 0)
            return;
        res->wants_chunked = true;
    }
}

static bool is_upstreams(const struct transfer *t)
{
    gust_http_call_info info;

    gust_http_call_info_read(t->call, &info);
    return info.error != 0;
}

static int pass_body(struct transfer *t)
{
    uint64_t copied;

    int r = gust_http_call_relay(t->call, t->res, &copied);
    if (r == 0)
        add_trailers(t);
    else if (is_upstreams(t))
        upstream_count(t->upstream, COUNT_CUT);
    return r;
}

int gust__respond(struct transfer *t)
{
    if (gust__stream_is_busy(t))
        t->res->keep_alive = false; /* see stream.c */
    int r = take_header(t);
    if (r < 0)
        return r;
    if (!gust_http_call_has_body(t->call) || gust_http_request_method(t->req) == GUST_HTTP_HEAD) {
        declare_without_body(t);
        return 0;
    }
    return pass_body(t);
}
