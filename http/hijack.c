/* Handlers that take the connection. */
#include "http/exchange.h"

#include "http/syntax.h"

#include <gust/http_hijack.h>

#include <errno.h>
#include <string.h>

static bool is_taken_or_answered(const gust_http_response *res)
{
    return is_taken(res->hc) || res->committed || res->body_at > 0;
}

/* What can fail has not.  `status` is what the client was told; 0: nothing. */
static void take(gust_http_request *req, gust_http_response *res, int status, gust_conn **ret_conn)
{
    struct http_conn *hc = req->hc;

    gust__http_watch_detach(req->watch);
    gust__http_access_keep(req);
    gust__http_conn_forget(hc);
    req->body_error = -EBADF;
    req->continue_due = false;
    res->error = -EBADF;
    res->committed = true;
    res->status = status;
    /* The answers to earlier requests may lie there, and a 101. */
    gust_conn_flush(hc->conn);
    *ret_conn = gust_conn_ref(hc->conn);
}

int gust_http_hijack(gust_http_request *req, gust_http_response *res, gust_conn **ret_conn)
{
    if (is_taken_or_answered(res))
        return -EALREADY;
    int r = gust_conn_set_deadline(req->hc->conn, GUST_FOREVER);
    if (r == 0)
        r = gust__http_request_keep_head(req);
    if (r == 0)
        take(req, res, 0, ret_conn);
    return r;
}

/* --- Upgrades -------------------------------------------------------------- */

/* A field may come in several lines. */
static bool request_lists(const gust_http_request *req, const char *field, const char *name)
{
    gust_http_field found;
    size_t cursor = 0;

    while (gust_http_request_fields(req, &cursor, &found))
        if (gust__http_same_name(found.name, field, strlen(field)) &&
            gust__http_list_has(found.value, name, strlen(name)))
            return true;
    return false;
}

/* protocol-name ["/" protocol-version] (RFC 9110, 7.8). */
static bool protocol_valid(const char *protocol)
{
    size_t len = strlen(protocol);
    size_t name = chars_prefix(protocol, len, CH_TOKEN);

    if (name == 0 || name == len)
        return name > 0;
    return protocol[name] == '/' && name + 1 < len &&
           chars_prefix(protocol + name + 1, len - name - 1, CH_TOKEN) == len - name - 1;
}

static int check_upgrade(const gust_http_request *req, const gust_http_response *res,
                         const char *protocol)
{
    if (is_taken_or_answered(res))
        return -EALREADY;
    if (!protocol_valid(protocol))
        return -EINVAL;
    if (req->head->minor == 0 || !request_lists(req, "Connection", "upgrade") ||
        !request_lists(req, "Upgrade", protocol))
        return -EPROTO;
    return gust__http_body_ended(req) ? 0 : -EBUSY;
}

static int send_text(const gust_http_request *req, const char *text)
{
    return gust__http_send(req, text, strlen(text));
}

static int switch_protocols(gust_http_request *req, const gust_http_response *res,
                            const char *protocol)
{
    gust_span fields = gust__http_response_fields(res);
    int r = send_text(req, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ");

    if (r == 0)
        r = send_text(req, protocol);
    if (r == 0)
        r = send_text(req, "\r\n");
    if (r == 0)
        r = gust__http_send(req, fields.data, fields.len);
    return r == 0 ? send_text(req, "\r\n") : r;
}

int gust_http_upgrade(gust_http_request *req, gust_http_response *res, const char *protocol,
                      gust_conn **ret_conn)
{
    int r = check_upgrade(req, res, protocol);

    if (r == 0)
        r = gust_conn_set_deadline(req->hc->conn, GUST_FOREVER);
    if (r == 0)
        r = gust__http_request_keep_head(req);
    if (r < 0)
        return r;
    r = res->error = switch_protocols(req, res, protocol);
    if (r == 0)
        take(req, res, 101, ret_conn);
    return r;
}
