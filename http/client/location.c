/* Calls with a URL: where they go, and where responses send them (RFC 9110, 15.4). */
#include "http/client/client.h"

#include <errno.h>
#include <stdlib.h>

#define URL_MAX GUST_HTTP_CLIENT_REQUEST_BYTES_MAX

/* --- Where to -------------------------------------------------------------------------- */

/* A proxy for http is the server that is asked; one for https only connects. */
static int find_origin(gust_http_client *client, const struct client_url *url,
                       gust_http_origin **ret_origin)
{
    const struct client_proxy *proxy = gust__proxy_for(&client->proxies, url);
    struct origin_key key = {url->authority, url->host, url->port, url->tls, proxy};

    if (url->tls && !client->options.tls)
        return -EPROTONOSUPPORT;
    if (proxy && !url->tls) {
        key = (struct origin_key){.authority = gust_span_of(proxy->authority), .port = proxy->port};
        key.host = gust__http_host_name(key.authority);
    }
    return gust__origin_find(client, &key, ret_origin);
}

/* Sets URL and request line.  A proxy for http is sent all of the URL. */
static int aim(gust_http_call *call, gust_span method, const struct client_url *url)
{
    size_t target_at;

    call->url.len = 0;
    int r = gust__url_write(url, URL_MAX, &call->url, &target_at);
    if (r < 0)
        return r;
    call->named = (struct head_part){(uint32_t)(target_at - url->authority.len),
                                     (uint32_t)url->authority.len};
    call->proxy = url->tls ? NULL : gust__proxy_for(&call->client->proxies, url);
    if (call->proxy)
        target_at = 0;
    gust_span target = {call->url.data + target_at, call->url.len - target_at};
    return gust__request_begin(call, method, target);
}

/* --- A new call ------------------------------------------------------------------------- */

static char *put_base64(char *p, const char *bytes, size_t n)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        uint32_t bits = (uint32_t)(uint8_t)bytes[i] << 16;
        if (left > 1)
            bits |= (uint32_t)(uint8_t)bytes[i + 1] << 8;
        if (left > 2)
            bits |= (uint8_t)bytes[i + 2];
        *p++ = digits[bits >> 18];
        *p++ = digits[bits >> 12 & 63];
        *p++ = left > 1 ? digits[bits >> 6 & 63] : '=';
        *p++ = left > 2 ? digits[bits & 63] : '=';
    }
    return p;
}

/* "user:password", unescaped, as the value of an Authorization field (RFC 7617). */
int gust__basic_write(gust_span userinfo, struct http_text *t)
{
    static const char scheme[] = "Basic ";
    size_t room = userinfo.len + 2;

    if (userinfo.len > URL_MAX)
        return -ENOBUFS;
    int r = gust__http_text_reserve(t, room + sizeof(scheme) + room * 4 / 3 + 4);
    if (r < 0)
        return r;
    char *plain = t->data + t->capacity - room; /* out of the way of what it becomes */
    ssize_t n = gust_http_unescape(GUST_HTTP_PATH, userinfo, plain, userinfo.len + 1);
    if (n < 0)
        return -EINVAL;
    if (!memchr(userinfo.data, ':', userinfo.len))
        plain[n++] = ':';
    text_put(t, scheme, sizeof(scheme) - 1);
    t->len = (size_t)(put_base64(t->data + t->len, plain, (size_t)n) - t->data);
    return 0;
}

static int begin(gust_http_call *call, gust_span method, const struct client_url *url)
{
    call->by_url = true;
    call->redirects_max = call->client->options.redirects_max;
    int r = aim(call, method, url);
    if (r == 0 && call->is_connect)
        return -EINVAL;
    if (r == 0 && url->userinfo.data)
        r = gust__basic_write(url->userinfo, &call->basic);
    return r;
}

int gust_http_call_new(gust_http_client *client, const char *method, const char *url,
                       gust_http_call **ret_call)
{
    gust_http_origin *origin;
    struct client_url parts;
    gust_http_call *call;

    int r = gust__url_split(gust_span_of(url), &parts);
    if (r < 0)
        return r;
    r = find_origin(client, &parts, &origin);
    if (r < 0)
        return r;
    r = gust__call_new(client, origin, &call);
    if (r < 0)
        return r;
    r = begin(call, gust_span_of(method), &parts);
    if (r < 0)
        gust_http_call_free(call);
    else
        *ret_call = call;
    return r;
}

gust_span gust_http_call_url(const gust_http_call *call)
{
    return call->url.len > 0 ? (gust_span){call->url.data, call->url.len} : (gust_span){"", 0};
}

/* --- Redirects ------------------------------------------------------------------------------ */

void gust_http_call_redirects(gust_http_call *call, unsigned max)
{
    call->redirects_max = call->by_url ? max : 0;
}

static bool is_get(const gust_http_call *call)
{
    return memcmp(call->line.data, "GET ", 4) == 0;
}

static bool is_post(const gust_http_call *call)
{
    return memcmp(call->line.data, "POST ", 5) == 0;
}

static bool is_https(const gust_http_call *call)
{
    return memcmp(call->url.data, "https:", 6) == 0;
}

static bool becomes_get(const gust_http_call *call)
{
    int status = call->head.status;

    return (status == 303 && !is_get(call) && !call->is_head) ||
           ((status == 301 || status == 302) && is_post(call));
}

static bool is_redirect(const gust_http_call *call)
{
    switch (call->head.status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308: break;
    default: return false;
    }
    bool sendable = call->whole || call->length == 0 || becomes_get(call);
    return call->redirects_max > 0 && sendable && call->sending == SEND_DONE &&
           gust_http_call_response_header(call, "Location").len > 0;
}

static bool is_about_body(gust_span name)
{
    return name.len > 8 && gust__http_equals((gust_span){name.data, 8}, "content-");
}

static bool is_credential(gust_span name)
{
    return gust__http_equals(name, "authorization") || gust__http_equals(name, "cookie") ||
           gust__http_equals(name, "cookie2") || gust__http_equals(name, "proxy-authorization") ||
           gust__http_equals(name, "www-authenticate") || gust__http_equals(name, "host");
}

static void drop_fields(struct http_text *t, bool (*drops)(gust_span name))
{
    gust_http_field field;
    size_t cursor = 0, start = 0, kept = 0;

    while (gust__http_fields_next(t->data, t->len, &cursor, &field)) {
        size_t n = cursor - start;
        if (!drops(field.name)) {
            memmove(t->data + kept, t->data + start, n);
            kept += n;
        }
        start = cursor;
    }
    t->len = kept;
}

static void drop_body(gust_http_call *call)
{
    drop_fields(&call->fields, is_about_body);
    call->body = NULL;
    call->length = 0;
    call->written = 0;
    call->expects = false;
}

static void drop_credentials(gust_http_call *call)
{
    drop_fields(&call->fields, is_credential);
    call->basic.len = 0;
    call->has_auth = false;
    call->has_host = false;
}

/* The call as it was before anything was sent, but for what is asked for. */
static void start_over(gust_http_call *call)
{
    gust__call_release(call);
    gust__call_reset_response(call);
    call->whole = true;
    call->retried = false;
    call->redirects++;
}

/* Not by their connections: a proxy may serve both. */
static bool is_elsewhere(const gust_http_call *call, const struct client_url *url)
{
    struct client_url from;

    return gust__url_split(gust_http_call_url(call), &from) < 0 || from.tls != url->tls ||
           from.port != url->port ||
           !gust__http_same_name(from.host, url->host.data, url->host.len);
}

static int redirect_to(gust_http_call *call, gust_span method, const struct client_url *url)
{
    gust_http_origin *origin;

    int r = find_origin(call->client, url, &origin);
    if (r < 0)
        return r;
    bool elsewhere = is_elsewhere(call, url);
    gust_http_origin *old = call->origin;
    bool to_get = becomes_get(call);
    start_over(call);
    call->origin = origin;
    gust__origin_put(old);
    if (elsewhere)
        drop_credentials(call);
    if (to_get)
        drop_body(call);
    r = aim(call, method, url);
    return r == 0 && url->userinfo.data && elsewhere
               ? gust__basic_write(url->userinfo, &call->basic)
               : r;
}

static int follow(gust_http_call *call, struct http_text *text)
{
    char method[64] = "GET";
    size_t method_len = 3;
    struct client_url url;

    if (!becomes_get(call)) {
        method_len =
            (size_t)((char *)memchr(call->line.data, ' ', call->line.len) - call->line.data);
        if (method_len > sizeof(method))
            return -ENOBUFS;
        memcpy(method, call->line.data, method_len);
    }
    int r = gust__url_resolve(gust_http_call_url(call),
                              gust_http_call_response_header(call, "Location"), URL_MAX, text);
    if (r == 0)
        r = gust__url_split((gust_span){text->data, text->len}, &url);
    if (r == 0 && is_https(call) && !url.tls)
        r = -EPROTONOSUPPORT;
    return r == 0 ? redirect_to(call, (gust_span){method, method_len}, &url) : r;
}

int gust__follow_redirect(gust_http_call *call)
{
    struct http_text text = {NULL, 0, 0, NULL};

    if (!is_redirect(call))
        return 0;
    if (call->redirects >= call->redirects_max)
        return gust__call_fail(&call->failure, GUST_HTTP_PHASE_HEAD, -ELOOP, "too many redirects");
    int r = follow(call, &text);
    free(text.heap);
    if (r < 0)
        return gust__call_fail(&call->failure, GUST_HTTP_PHASE_HEAD, r,
                               "the response redirects to where it cannot be followed");
    r = gust__send_whole(call);
    return r < 0 && !gust__is_lost(r) ? r : 1;
}
