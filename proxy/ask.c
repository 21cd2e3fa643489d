/* Asking one upstream. */
#include "proxy/transfer.h"

#include "core/inject.h"
#include "http/syntax.h"

#include <gust/http_operations.h>

#include <errno.h>
#include <strings.h>

/* --- What for ---------------------------------------------------------------------------- */

/* Path and query lie behind each other, but where an absolute target had no path. */
static bool in_one_piece(gust_span path, gust_span query)
{
    return !query.data || query.data == path.data + path.len + 1;
}

/* Puts the upstream's own path in front.  Errors: -ENOMEM. */
static int make_target(const struct transfer *t, gust_span *ret_target)
{
    gust_span prefix = t->upstream->prefix;
    gust_span path = gust_http_request_path(t->req);
    gust_span query = gust_http_request_query(t->req);
    size_t query_len = query.data ? query.len + 1 : 0;

    if (path.len == 1 && path.data[0] == '*')
        prefix.len = 0;
    if (prefix.len == 0 && in_one_piece(path, query)) {
        *ret_target = (gust_span){path.data, path.len + query_len};
        return 0;
    }
    char *target = gust_http_alloc(t->req, prefix.len + path.len + query_len);
    if (!target)
        return -ENOMEM;
    *ret_target = (gust_span){target, prefix.len + path.len + query_len};
    target = put_string(target, prefix.data, prefix.len);
    target = put_string(target, path.data, path.len);
    if (query.data) {
        *target++ = '?';
        put_string(target, query.data, query.len);
    }
    return 0;
}

static int set_host(const struct transfer *t)
{
    const gust_span name = {"Host", 4};
    gust_span host = gust_http_request_host(t->req);

    switch (t->config->options.host_policy) {
    case GUST_HTTP_HOST_UPSTREAM: return 0;
    case GUST_HTTP_HOST_PASS:
        return host.len > 0 ? gust_http_call_header_span(t->call, name, host) : 0;
    case GUST_HTTP_HOST_FIXED:
        return gust_http_call_header_span(t->call, name, gust_span_of(t->config->options.host));
    }
    return 0;
}

/* HTTP/2 by an upgrade would take requests past everything that is looked at here.  In whatever
 * letters: the RFC tells them apart (9110, 7.8), some servers do not. */
static bool leads_to_http2(gust_span protocols)
{
    gust_span protocol;

    while (gust__http_list_next(&protocols, &protocol))
        if (protocol.len >= 2 && strncasecmp(protocol.data, "h2", 2) == 0)
            return true;
    return false;
}

static int set_upgrade(const struct transfer *t)
{
    gust_span protocols = t->found.upgrade;

    if (protocols.len == 0 || t->body != TRANSFER_NONE || gust_http_request_minor(t->req) == 0 ||
        leads_to_http2(protocols))
        return 0;
    int r = gust_http_call_upgrade(t->call, protocols);
    return r == -EINVAL ? 0 : r; /* it names no protocol */
}

static int set_proxy_header(const struct transfer *t)
{
    gust_proxy_header header = {.version = t->config->options.proxy_protocol};

    if (header.version == 0)
        return 0;
    gust_http_request_remote_addr(t->req, &header.source);
    gust_conn_local_addr(gust_http_request_conn(t->req), &header.destination);
    if (header.source.any.sa_family != header.destination.any.sa_family)
        header.source.len = header.destination.len = 0;
    return gust_http_call_proxy_header(t->call, &header);
}

static int prepare(struct transfer *t)
{
    gust_span target;

    int r = make_target(t, &target);
    if (r == 0)
        r = gust_http_origin_call(t->upstream->origin, gust_http_request_method_text(t->req),
                                  target, &t->call);
    if (r < 0)
        return r;
    gust_http_call_timeouts(t->call, &t->config->timeouts);
    gust_http_call_deadline(t->call, t->deadline);
    r = set_host(t);
    if (r == 0)
        r = gust_http_call_lines(t->call, (gust_span){t->lines.data, t->lines.len});
    if (r == 0)
        r = set_upgrade(t);
    if (r == 0)
        r = set_proxy_header(t);
    if (r == 0 && t->found.expects && t->body == TRANSFER_STREAM)
        r = gust_http_call_header(t->call, "Expect", "100-continue");
    return r;
}

/* --- Request and header ------------------------------------------------------------------- */

static int send_request(struct transfer *t)
{
    switch (t->body) {
    case TRANSFER_NONE: return gust_http_call_send(t->call, NULL, 0);
    case TRANSFER_WHOLE: return gust_http_call_send(t->call, t->piece.data, t->piece.len);
    case TRANSFER_STREAM: return gust__stream_begin(t);
    }
    return -EINVAL;
}

static int wait_head(struct transfer *t)
{
    int status;

    while ((status = gust_http_call_next_head(t->call)) >= 100 && status < 200 && status != 101)
        if (status != 100) /* ours is sent when the body is read */
            gust__respond_interim(t, status);
    gust__stream_head_came(t);
    int error = atomic_load(&t->send_error);
    return status < 0 && error < 0 ? error : status;
}

/* After these the upstream may have answered all the same. */
static bool is_closed(int error)
{
    return error == -EPIPE || error == -ECONNRESET;
}

int gust__ask(struct transfer *t)
{
    t->upstream_status = 0;
    t->asked = gust_now();
    int r = prepare(t);
    if (r == 0)
        r = send_request(t);
    if (r == 0 || is_closed(r))
        r = wait_head(t);
    t->upstream_ns = gust_now() - t->asked;
    if (r > 0)
        t->upstream_status = r;
    return r;
}
