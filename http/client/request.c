/* What a call asks for: request line and fields. */
#include "http/client/client.h"
#include "http/client/decoding.h"

#include <errno.h>

static int add(struct http_text *t, gust_span bytes)
{
    return gust__http_text_add(t, bytes, GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
}

static int add_text(struct http_text *t, const char *text)
{
    return add(t, gust_span_of(text));
}

/* --- Request line ------------------------------------------------------------------- */

/* What is known of methods; of others nothing is (RFC 9110, 9.2.2 and 9.3). */
static const struct method {
    gust_span name;
    bool idempotent;
    bool takes_body; /* an empty one is sent with its length */
} methods[] = {
    {{"GET", 3}, true, false},     {{"HEAD", 4}, true, false},   {{"POST", 4}, false, true},
    {{"PUT", 3}, true, true},      {{"DELETE", 6}, true, false}, {{"PATCH", 5}, false, true},
    {{"OPTIONS", 7}, true, false}, {{"TRACE", 5}, true, false},
};

static bool same(gust_span a, gust_span b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

static void note_method(gust_http_call *call, gust_span name)
{
    const struct method *m = methods, *end = m + sizeof(methods) / sizeof(methods[0]);

    while (m < end && !same(m->name, name))
        m++;
    call->idempotent = m < end && m->idempotent;
    call->takes_body = m < end && m->takes_body;
    call->is_head = same(name, (gust_span){"HEAD", 4});
    call->is_connect = same(name, (gust_span){"CONNECT", 7});
}

int gust__request_begin(gust_http_call *call, gust_span method, gust_span target)
{
    struct http_text *line = &call->line;

    if (method.len == 0 || chars_prefix(method.data, method.len, CH_TOKEN) != method.len ||
        target.len == 0 || chars_prefix(target.data, target.len, CH_TARGET) != target.len)
        return -EINVAL;
    note_method(call, method);
    line->len = 0;
    int r = add(line, method);
    if (r == 0)
        r = add_text(line, " ");
    if (r == 0)
        r = add(line, target);
    if (r == 0)
        r = add_text(line, " HTTP/1.1\r\n");
    call->line_len = line->len;
    return r;
}

int gust_http_origin_call(gust_http_origin *origin, gust_span method, gust_span target,
                          gust_http_call **ret_call)
{
    gust_http_call *call;

    int r = gust__call_new(origin->client, gust_http_origin_ref(origin), &call);
    if (r < 0)
        return r;
    r = gust__request_begin(call, method, target);
    if (r < 0)
        gust_http_call_free(call);
    else
        *ret_call = call;
    return r;
}

/* --- The fields that frame it ----------------------------------------------------------- */

static int add_number(struct http_text *t, const char *name, uint64_t value)
{
    char digits[DECIMAL_MAX];
    gust_span text = {digits, (size_t)(put_decimal(digits, value) - digits)};

    return gust__http_text_add_field(t, gust_span_of(name), text,
                                     GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
}

static int add_framing(gust_http_call *call)
{
    if (call->length == LENGTH_CHUNKED)
        return add_text(&call->line, "Transfer-Encoding: chunked\r\n");
    if (call->length > 0 || call->takes_body)
        return add_number(&call->line, "Content-Length", (uint64_t)call->length);
    return 0;
}

/* What calls with a URL say of themselves, unless the program does. */
static int add_defaults(gust_http_call *call)
{
    const char *agent = call->client->options.user_agent;
    gust_span credentials = {call->basic.data, call->basic.len};
    int r = 0;

    if (!call->has_agent && *agent)
        r = gust__http_text_add_field(&call->line, (gust_span){"User-Agent", 10},
                                      gust_span_of(agent), GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    if (r == 0 && !call->has_auth && credentials.len > 0)
        r = gust__http_text_add_field(&call->line, (gust_span){"Authorization", 13}, credentials,
                                      GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    if (r == 0 && gust__decode_is_asked(call))
        r = gust__http_text_add_field(&call->line, (gust_span){"Accept-Encoding", 15},
                                      gust_span_of(call->client->options.decoding->accept),
                                      GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    if (r == 0 && call->proxy && call->proxy->basic.len > 0)
        r = gust__http_text_add_field(&call->line, (gust_span){"Proxy-Authorization", 19},
                                      (gust_span){call->proxy->basic.data, call->proxy->basic.len},
                                      GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    return r;
}

static gust_span host_of(const gust_http_call *call)
{
    if (!call->by_url)
        return gust_span_of(call->origin->authority);
    return (gust_span){call->url.data + call->named.at, call->named.len};
}

/* What was added for an earlier try goes. */
int gust__request_finish(gust_http_call *call)
{
    struct http_text *line = &call->line;
    int r = 0;

    line->len = call->line_len;
    if (!call->has_host)
        r = gust__http_text_add_field(line, (gust_span){"Host", 4}, host_of(call),
                                      GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    if (r == 0 && call->by_url)
        r = add_defaults(call);
    if (r == 0)
        r = add_framing(call);
    if (r == 0 && call->expects && call->length != 0)
        r = add_text(line, "Expect: 100-continue\r\n");
    if (r == 0 && call->upgrades)
        r = add_text(line, "Connection: Upgrade\r\n");
    else if (r == 0 && call->closes)
        r = add_text(line, "Connection: close\r\n");
    return r;
}

/* --- Fields --------------------------------------------------------------------------------- */

static int once(bool *seen, bool valid)
{
    if (*seen || !valid)
        return -EINVAL;
    *seen = true;
    return 1;
}

static int declare_length(gust_http_call *call, gust_span value)
{
    uint64_t length;

    if (call->declared != LENGTH_UNDECLARED || !gust__http_number(value, &length))
        return -EINVAL;
    call->declared = (int64_t)length;
    return 0;
}

/* Sent by gust__request_finish. */
static int note_only(bool *flag, gust_span value, const char *expected)
{
    if (!gust__http_equals(value, expected))
        return -EINVAL;
    *flag = true;
    return 0;
}

/* 1: it is to be sent as it is; 0: it was dealt with. */
static int special_field(gust_http_call *call, gust_span name, gust_span value)
{
    switch (name.len) {
    case 4:
        return gust__http_equals(name, "host")
                   ? once(&call->has_host, value.len > 0 && gust__http_host_valid(value))
                   : 1;
    case 5:
        if (gust__http_equals(name, "range"))
            call->no_decoding = true;
        return 1;
    case 6:
        return gust__http_equals(name, "expect") ? note_only(&call->expects, value, "100-continue")
                                                 : 1;
    case 7: return gust__http_equals(name, "upgrade") ? -EINVAL : 1;
    case 10:
        if (gust__http_equals(name, "user-agent"))
            call->has_agent = true;
        return gust__http_equals(name, "connection") ? note_only(&call->closes, value, "close") : 1;
    case 13:
        if (gust__http_equals(name, "authorization"))
            call->has_auth = true;
        return 1;
    case 14: return gust__http_equals(name, "content-length") ? declare_length(call, value) : 1;
    case 15:
        if (gust__http_equals(name, "idempotency-key"))
            call->has_key = true;
        if (gust__http_equals(name, "accept-encoding"))
            call->no_decoding = true;
        return 1;
    case 17: return gust__http_equals(name, "transfer-encoding") ? -EINVAL : 1;
    default: return 1;
    }
}

int gust_http_call_header_span(gust_http_call *call, gust_span name, gust_span value)
{
    if (call->sending != SEND_NEW)
        return -EALREADY;
    if (!gust__http_field_valid(name, value))
        return -EINVAL;
    int r = special_field(call, name, value);
    return r == 1 ? gust__http_text_add_field(&call->fields, name, value,
                                              GUST_HTTP_CLIENT_REQUEST_BYTES_MAX)
                  : r;
}

int gust_http_call_header(gust_http_call *call, const char *name, const char *value)
{
    return gust_http_call_header_span(call, gust_span_of(name), gust_span_of(value));
}

int gust_http_call_lines(gust_http_call *call, gust_span lines)
{
    return call->sending == SEND_NEW ? add(&call->fields, lines) : -EALREADY;
}

/* protocol-name ["/" protocol-version], and more of them after commas (RFC 9110, 7.8). */
static bool protocols_valid(gust_span list)
{
    size_t at = 0;

    for (;;) {
        size_t name = chars_prefix(list.data + at, list.len - at, CH_TOKEN);
        at += name;
        if (name == 0)
            return false;
        if (at < list.len && list.data[at] == '/') {
            size_t version = chars_prefix(list.data + at + 1, list.len - at - 1, CH_TOKEN);
            at += 1 + version;
            if (version == 0)
                return false;
        }
        if (at == list.len)
            return true;
        if (list.data[at++] != ',')
            return false;
        while (at < list.len && list.data[at] == ' ')
            at++;
    }
}

int gust_http_call_upgrade(gust_http_call *call, gust_span protocols)
{
    if (call->sending != SEND_NEW)
        return -EALREADY;
    if (call->upgrades || !protocols_valid(protocols))
        return -EINVAL;
    int r = gust__http_text_add_field(&call->fields, (gust_span){"Upgrade", 7}, protocols,
                                      GUST_HTTP_CLIENT_REQUEST_BYTES_MAX);
    if (r == 0)
        call->upgrades = true;
    return r;
}

int gust_http_call_proxy_header(gust_http_call *call, const gust_proxy_header *header)
{
    char bytes[GUST_PROXY_HEADER_MAX];

    if (call->sending != SEND_NEW)
        return -EALREADY;
    ssize_t n = gust_proxy_header_format(header, false, bytes, sizeof(bytes));
    if (n < 0)
        return (int)n;
    call->proxy_header.len = 0;
    return gust__http_text_add(&call->proxy_header, (gust_span){bytes, (size_t)n}, sizeof(bytes));
}

/* --- How it is to be done ---------------------------------------------------------------------- */

int gust_http_call_timeouts(gust_http_call *call, const gust_http_timeouts *timeouts)
{
    if (!gust__client_timeouts_valid(timeouts))
        return -EINVAL;
    gust_http_timeouts t = *timeouts;
    gust__client_timeouts(&t, &call->origin->timeouts);
    call->timeouts = t;
    return 0;
}

/* A time in the past is not to mean that a single try is all right. */
void gust_http_call_deadline(gust_http_call *call, gust_time deadline)
{
    call->deadline = deadline > 0 ? deadline : 1;
}

void gust_http_call_body_limit(gust_http_call *call, uint64_t bytes_max)
{
    call->body_max = bytes_max;
}

void gust_http_call_no_retry(gust_http_call *call)
{
    call->no_retry = true;
}

void gust_http_call_fresh(gust_http_call *call)
{
    call->fresh = true;
}
