/* The end of an exchange as the operator sees it: counted, and a line in the access log. */
#include "http/log.h"
#include "http/server.h"

#include "core/inject.h"

#include <gust/http_auth.h>
#include <gust/http_router.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Of "Authorization: Basic", decoded. */
#define USER_MAX 256

/* Of the client, where proxies are trusted to name it. */
static const char *client_text(const gust_http_request *req, char text[GUST_ADDR_TEXT_MAX])
{
    gust_addr addr;

    if (is_taken(req->hc) || gust__http_options(req->hc)->trusted_proxy_count == 0)
        return gust__http_remote_host(req->hc, text);
    gust_http_request_client_addr(req, &addr);
    return gust_addr_format_host(&addr, text);
}

void gust__http_access_keep(const gust_http_request *req)
{
    char text[GUST_ADDR_TEXT_MAX];

    if (gust__http_options(req->hc)->log && client_text(req, text) == text)
        gust__http_keep_peer(req->hc, text);
}

static const char *tls_version(const struct http_conn *hc)
{
    gust_tls_info info;

    if (gust_tls_info_read(hc->conn, &info) < 0)
        return NULL;
    return info.version == GUST_TLS_1_3 ? "1.3" : "1.2";
}

static gust_span request_line(const gust_http_request *req)
{
    const struct http_head *h = req->head;

    return (gust_span){req->text + h->start, h->fields_at - 2 - h->start};
}

static uint64_t body_bytes(const gust_http_response *res)
{
    bool none = !res->committed || res->req->head->method_code == GUST_HTTP_HEAD ||
                res->status == 204 || res->status == 304;

    return none ? 0 : res->written;
}

static void log_exchange(const gust_http_request *req, const gust_http_response *res,
                         gust_time begun)
{
    const gust_http_server_options *o = gust__http_options(req->hc);
    char peer[GUST_ADDR_TEXT_MAX], decoded[USER_MAX];
    gust_http_credentials credentials = {{NULL, 0}, {NULL, 0}};
    bool has_user = gust_http_basic_auth(req, decoded, sizeof(decoded), &credentials) == 0;
    const struct log_record record = {
        .addr = gust_span_of(client_text(req, peer)),
        .user = has_user ? credentials.user : (gust_span){NULL, 0},
        .request = request_line(req),
        .host = gust_http_request_host(req),
        .referer = gust_http_request_header(req, "referer"),
        .agent = gust_http_request_header(req, "user-agent"),
        .fields = req->log_fields,
        .pattern = gust_http_request_pattern(req),
        .protocol = req->head->minor ? "HTTP/1.1" : "HTTP/1.0",
        .tls = gust__http_log_wants_tls(o->log) ? tls_version(req->hc) : NULL,
        .status = res->committed ? res->status : 0,
        .bytes = body_bytes(res),
        .duration_ns = gust_now() - begun,
    };

    gust__http_log_put(o->log, &record);
}

void gust__http_exchange_done(const gust_http_request *req, const gust_http_response *res,
                              gust_time begun)
{
    gust_http_server *s = req->hc->server;

    if (req->refusal || res->error < 0)
        gust__http_report_exchange(req, res);
    if (s->options.log)
        log_exchange(req, res, begun);
}

/* --- Fields of the program's own --------------------------------------------------- */

static bool field_name_valid(const char *name)
{
    return *name && name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_")] == '\0';
}

/* Where the next one goes; NULL if there are enough. */
static struct log_field **field_end(gust_http_request *req, size_t more)
{
    struct log_field **end = &req->log_fields;
    size_t bytes = more, count = 0;

    for (; *end; end = &(*end)->next, count++)
        bytes += (*end)->name.len + (*end)->value.len;
    return bytes <= GUST_HTTP_LOG_FIELDS_BYTES_MAX && count < GUST_HTTP_LOG_FIELDS_MAX ? end : NULL;
}

int gust_http_log_field(gust_http_request *req, const char *name, const char *value)
{
    size_t name_len = strlen(name), value_len = strlen(value);

    if (!gust__http_options(req->hc)->log)
        return 0;
    if (!field_name_valid(name))
        return -EINVAL;
    struct log_field **end = field_end(req, name_len + value_len);
    if (!end)
        return -ENOBUFS;
    struct log_field *f = gust_http_alloc(req, sizeof(*f) + name_len + value_len);
    if (!f)
        return -ENOMEM;
    char *text = (char *)(f + 1);
    memcpy(text, name, name_len);
    memcpy(text + name_len, value, value_len);
    *f = (struct log_field){NULL, {text, name_len}, {text + name_len, value_len}};
    *end = f;
    return 0;
}

/* --- Without an exchange --------------------------------------------------------- */

/* The first line of what came, or as much of it as there is. */
static gust_span first_line(gust_span view)
{
    size_t skip = view.len >= 2 && memcmp(view.data, "\r\n", 2) == 0 ? 2 : 0;
    const char *at = view.data + skip;
    const char *end = memchr(at, '\n', view.len - skip);
    size_t len = end ? (size_t)(end - at) : view.len - skip;

    return (gust_span){at, len > 0 && at[len - 1] == '\r' ? len - 1 : len};
}

void gust__http_refusal_done(struct http_conn *hc, int status)
{
    gust_http_server *s = hc->server;
    char peer[GUST_ADDR_TEXT_MAX];
    struct http_count count = {(unsigned)status / 100, 1};

    gust__http_count_add(s, &count);
    gust__http_report_refusal(hc, status);
    if (!s->options.log)
        return;
    const struct log_record record = {
        .addr = gust_span_of(gust__http_remote_host(hc, peer)),
        .request = first_line(gust_conn_view(hc->conn)),
        .status = status,
    };
    gust__http_log_put(s->options.log, &record);
}
