/* What a handler can ask of its request. */
#include "http/server.h"

#include "core/inject.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- Life ----------------------------------------------------------------- */

/* Reading the body moves the view, and the handler's spans must not move: so the
 * head of a request with a body is copied aside before any span is given out. */
static int copy_head(gust_http_request *req)
{
    size_t len = req->head->len;

    req->copy = gust__malloc(len);
    if (!req->copy)
        return -ENOMEM;
    memcpy(req->copy, gust_conn_view(req->hc->conn).data, len);
    req->text = req->copy;
    gust_conn_consume(req->hc->conn, len);
    return 0;
}

int gust__http_request_keep_head(gust_http_request *req)
{
    if (!req->copy) {
        /* It begins the view, and is all that is held of it. */
        int r = copy_head(req);
        if (r < 0)
            return r;
    } else if (req->held > 0) {
        gust_conn_consume(req->hc->conn, req->held);
    }
    req->held = 0;
    req->trailer_bytes = 0;
    return 0;
}

static void reset(gust_http_request *req)
{
    req->text = NULL;
    req->copy = NULL;
    req->held = 0;
    req->trailer_bytes = 0;
    req->body = BODY_END;
    req->left = 0;
    req->chunked = (struct chunked){0};
    req->trailer_lines = (struct http_lines){0};
    req->trailer_fields = 0;
    req->continue_due = false;
    req->body_error = 0;
    req->refusal = 0;
    req->arena = (struct http_arena){NULL};
    req->log_fields = NULL;
    req->route = NULL;
}

int gust__http_request_init(gust_http_request *req, struct http_conn *hc,
                            const struct http_head *head, gust_http_response *res)
{
    reset(req);
    req->hc = hc;
    req->head = head;
    req->res = res;
    const gust_http_server_options *o = gust__http_options(hc);
    req->body_max = o->body_bytes_max;
    req->body_rate = o->body_rate_min;
    req->patience_ns = o->read_timeout_ns;
    if (!head->chunked && head->content_length == 0) {
        req->text = gust_conn_view(hc->conn).data;
        req->held = head->len;
        return 0;
    }
    req->body = head->chunked ? BODY_CHUNKED : BODY_LENGTH;
    req->left = head->content_length;
    req->continue_due = head->expects_continue;
    return copy_head(req);
}

void gust__http_request_fini(gust_http_request *req)
{
    /* With nothing held the view may be somebody else's by now. */
    if (req->held > 0)
        gust_conn_consume(req->hc->conn, req->held);
    gust__http_arena_clear(&req->arena);
    free(req->copy);
}

void *gust_http_alloc(gust_http_request *req, size_t size)
{
    return gust__http_arena_take(&req->arena, size);
}

/* --- Questions ------------------------------------------------------------ */

static gust_span span_of(const gust_http_request *req, struct head_part part)
{
    return (gust_span){req->text + part.at, part.len};
}

/* No part but the method starts at 0, so 0 can say "absent". */
static gust_span optional_span(const gust_http_request *req, struct head_part part)
{
    return part.at ? span_of(req, part) : (gust_span){NULL, 0};
}

gust_http_method gust_http_request_method(const gust_http_request *req)
{
    return (gust_http_method)req->head->method_code;
}

gust_span gust_http_request_method_text(const gust_http_request *req)
{
    return span_of(req, req->head->method);
}

gust_span gust_http_request_target(const gust_http_request *req)
{
    return span_of(req, req->head->target);
}

gust_span gust_http_request_path(const gust_http_request *req)
{
    /* "http://host" and "http://host?query" mean "/" (RFC 9110, 4.2.3). */
    return req->head->path.len ? span_of(req, req->head->path) : (gust_span){"/", 1};
}

gust_span gust_http_request_query(const gust_http_request *req)
{
    return optional_span(req, req->head->query);
}

gust_span gust_http_request_host(const gust_http_request *req)
{
    return optional_span(req, req->head->host);
}

int gust_http_request_minor(const gust_http_request *req)
{
    return req->head->minor;
}

bool gust_http_request_keep_alive(const gust_http_request *req)
{
    return req->head->keep_alive;
}

int64_t gust_http_request_content_length(const gust_http_request *req)
{
    return req->head->chunked ? -1 : (int64_t)req->head->content_length;
}

gust_conn *gust_http_request_conn(const gust_http_request *req)
{
    return req->hc->conn;
}

void gust_http_request_remote_addr(const gust_http_request *req, gust_addr *ret_addr)
{
    gust_conn_remote_addr(req->hc->conn, ret_addr);
}

const char *gust__http_keep_peer(struct http_conn *hc, const char *text)
{
    struct http_conn_extra *extra = extra_of(hc);
    size_t size = strlen(text) + 1;

    free(extra->peer);
    extra->peer = gust__malloc(size);
    return extra->peer ? memcpy(extra->peer, text, size) : text;
}

const char *gust__http_remote_host(struct http_conn *hc, char text[GUST_ADDR_TEXT_MAX])
{
    bool keeps = has_extra(hc->server);
    gust_addr addr;

    if (keeps && extra_of(hc)->peer)
        return extra_of(hc)->peer;
    gust_conn_remote_addr(hc->conn, &addr);
    gust_addr_format_host(&addr, text);
    return keeps ? gust__http_keep_peer(hc, text) : text;
}

const char *gust_http_request_remote_host(const gust_http_request *req,
                                          char text[GUST_ADDR_TEXT_MAX])
{
    return gust__http_remote_host(req->hc, text);
}

/* --- Fields --------------------------------------------------------------- */

/* The checked head is its own index: requests have few fields and handlers ask
 * for fewer, so a table would cost more than it saves. */
static gust_span header_block(const gust_http_request *req)
{
    const struct http_head *h = req->head;
    return (gust_span){req->text + h->fields_at, h->len - h->fields_at};
}

static gust_span trailer_block(const gust_http_request *req)
{
    return (gust_span){gust_conn_view(req->hc->conn).data, req->trailer_bytes};
}

gust_span gust_http_request_header(const gust_http_request *req, const char *name)
{
    gust_span block = header_block(req);
    return gust__http_fields_find(block.data, block.len, name);
}

bool gust_http_request_fields(const gust_http_request *req, size_t *cursor,
                              gust_http_field *ret_field)
{
    gust_span block = header_block(req);
    return gust__http_fields_next(block.data, block.len, cursor, ret_field);
}

gust_span gust_http_request_trailer(const gust_http_request *req, const char *name)
{
    gust_span block = trailer_block(req);
    return gust__http_fields_find(block.data, block.len, name);
}

bool gust_http_request_trailers(const gust_http_request *req, size_t *cursor,
                                gust_http_field *ret_field)
{
    gust_span block = trailer_block(req);
    return gust__http_fields_next(block.data, block.len, cursor, ret_field);
}
