/* A connection through a proxy: CONNECT (RFC 9110, 9.3.6). */
#include "http/client/client.h"

#include <errno.h>
#include <stdlib.h>

static int fail(gust_http_call *call, int error, const char *reason)
{
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_PROXY, error, reason);
}

/* "host:port", also where the port is the scheme's. */
static int add_authority(const gust_http_origin *o, struct http_text *t)
{
    const size_t max = GUST_HTTP_CLIENT_REQUEST_BYTES_MAX;
    bool has_brackets = strchr(o->host, ':') != NULL;
    int r = has_brackets ? gust__http_text_add(t, gust_span_of("["), max) : 0;

    if (r == 0)
        r = gust__http_text_add(t, gust_span_of(o->host), max);
    if (r == 0)
        r = gust__http_text_add(t, gust_span_of(has_brackets ? "]:" : ":"), max);
    return r == 0 ? gust__http_text_add(t, gust_span_of(o->service), max) : r;
}

static int write_request(const gust_http_origin *o, struct http_text *t)
{
    const size_t max = GUST_HTTP_CLIENT_REQUEST_BYTES_MAX;
    const struct http_text *basic = &o->proxy->basic;
    int r = gust__http_text_add(t, gust_span_of("CONNECT "), max);

    if (r == 0)
        r = add_authority(o, t);
    if (r == 0)
        r = gust__http_text_add(t, gust_span_of(" HTTP/1.1\r\nHost: "), max);
    if (r == 0)
        r = add_authority(o, t);
    if (r == 0)
        r = gust__http_text_add(t, gust_span_of("\r\n"), max);
    if (r == 0 && basic->len > 0)
        r = gust__http_text_add_field(t, gust_span_of("Proxy-Authorization"),
                                      (gust_span){basic->data, basic->len}, max);
    return r == 0 ? gust__http_text_add(t, gust_span_of("\r\n"), max) : r;
}

static int judge(gust_http_call *call, gust_conn *conn, const struct response_head *h)
{
    gust_conn_consume(conn, h->len);
    if (h->status >= 200 && h->status < 300)
        return 0;
    call->proxy_status = h->status;
    return fail(call, -ECONNREFUSED, "the proxy does not connect");
}

static int read_answer(gust_http_call *call, gust_conn *conn, gust_time deadline)
{
    const gust_http_client_options *o = &call->client->options;
    const struct response_limits limits = {o->header_bytes_max, o->header_fields_max};
    struct response_head h;

    response_head_init(&h);
    for (;;) {
        gust_span view = gust_conn_view(conn);
        switch (gust__http_response_scan(&h, &limits, view.data, view.len)) {
        case RESPONSE_COMPLETE: return judge(call, conn, &h);
        case RESPONSE_MALFORMED: return fail(call, -EBADMSG, h.wrong);
        case RESPONSE_TOO_LARGE: return fail(call, -EMSGSIZE, h.wrong);
        case RESPONSE_MORE: break;
        }
        ssize_t n = gust_conn_fill(conn, o->header_bytes_max, deadline);
        if (n <= 0)
            return fail(call, n == 0 ? -ECONNRESET : (int)n, "");
    }
}

int gust__tunnel(gust_http_call *call, gust_conn *conn, gust_time deadline)
{
    struct http_text request = {NULL, 0, 0, NULL};

    int r = write_request(call->origin, &request);
    if (r == 0) {
        ssize_t n = gust_conn_write(conn, request.data, request.len, deadline);
        r = n < 0 ? (int)n : 0;
    }
    free(request.heap);
    return r < 0 ? fail(call, r, "") : read_answer(call, conn, deadline);
}
