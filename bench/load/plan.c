/* URLs, and the requests that are made of them. */
#include "bench/load/plan.h"

#include "http/client/url.h"
#include <gust/file.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMPLAINT_MAX 1024

/* In a single write, so that lines of several threads do not mix. */
void complain(const char *format, ...)
{
    char line[COMPLAINT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    dprintf(STDERR_FILENO, "gust-load: %s\n", line);
}

/* --- URLs ---------------------------------------------------------------------------------- */

/* "3@http://...": the digits before a '@', if that is where the scheme begins. */
static bool read_weight(struct target *t)
{
    char *end;
    unsigned long weight = strtoul(t->url, &end, 10);

    t->weight = 1;
    if (*end != '@' || end == t->url)
        return true;
    if (weight == 0 || weight > WEIGHT_MAX) {
        complain("%s: a weight is 1 to %d", t->url, WEIGHT_MAX);
        return false;
    }
    t->weight = (unsigned)weight;
    t->url = end + 1;
    return true;
}

static bool refuse_url(const char *url, const char *why)
{
    complain("bad URL %s: %s", url, why);
    return false;
}

static bool split_http(const char *text, struct client_url *ret_url)
{
    int r = gust__url_split(gust_span_of(text), ret_url);
    if (r == -EPROTONOSUPPORT)
        return refuse_url(text, "the scheme is none of http, https and tcp");
    if (r < 0)
        return refuse_url(text, "it is not like http://HOST[:PORT][/PATH]");
    if (ret_url->userinfo.data)
        return refuse_url(text, "credentials belong into --header 'Authorization: ...'");
    return true;
}

static bool split_echo(const char *text, size_t scheme_len, struct client_url *ret_url)
{
    *ret_url = (struct client_url){.authority = gust_span_of(text + scheme_len)};
    int r = gust__authority_split(ret_url->authority, &ret_url->port, &ret_url->host);
    if (r < 0 || ret_url->port == 0)
        return refuse_url(text, "it is not like tcp://HOST:PORT");
    return true;
}

static bool split_url(const char *text, struct client_url *ret_url, enum protocol *ret_protocol)
{
    static const char tcp[] = "tcp://";
    const size_t len = sizeof tcp - 1;
    bool is_echo = strncasecmp(text, tcp, len) == 0;

    *ret_protocol = is_echo ? PROTOCOL_ECHO : PROTOCOL_HTTP;
    return is_echo ? split_echo(text, len, ret_url) : split_http(text, ret_url);
}

/* --- Requests -------------------------------------------------------------------------------- */

static int add(struct http_text *text, const char *s)
{
    return gust__http_text_add(text, gust_span_of(s), HEADER_BYTES_MAX);
}

static int add_field(struct http_text *text, const char *name, gust_span value)
{
    return gust__http_text_add_field(text, gust_span_of(name), value, HEADER_BYTES_MAX);
}

/* These say how long their body is even if there is none (RFC 9110, 8.6). */
static bool has_length(const struct plan *p)
{
    return p->body_len > 0 || strcmp(p->method, "POST") == 0 || strcmp(p->method, "PUT") == 0 ||
           strcmp(p->method, "PATCH") == 0;
}

static int add_line(struct http_text *text, const struct plan *p, const struct client_url *url)
{
    struct http_text whole = {0};
    size_t target_at = 0;
    int r = gust__url_write(url, HEADER_BYTES_MAX, &whole, &target_at);
    if (r == 0)
        r = add(text, p->method);
    if (r == 0)
        r = add(text, " ");
    if (r == 0)
        r = gust__http_text_add(text, (gust_span){whole.data + target_at, whole.len - target_at},
                                HEADER_BYTES_MAX);
    if (r == 0)
        r = add(text, " HTTP/1.1\r\n");
    free(whole.heap);
    return r;
}

static int add_fields(struct http_text *text, const struct plan *p, const struct client_url *url)
{
    char length[DECIMAL_MAX];
    size_t digits = (size_t)(put_decimal(length, p->body_len) - length);
    int r = p->has_host_field ? 0 : add_field(text, "Host", url->authority);
    if (r == 0)
        r = gust__http_text_add(text, (gust_span){p->fields, p->fields_len}, HEADER_BYTES_MAX);
    if (r == 0 && p->no_keepalive)
        r = add_field(text, "Connection", gust_span_of("close"));
    if (r == 0 && has_length(p))
        r = add_field(text, "Content-Length", (gust_span){length, digits});
    return r == 0 ? add(text, "\r\n") : r;
}

static bool make_request(const struct plan *p, const struct client_url *url, struct target *t)
{
    struct http_text text = {0};
    int r = add_line(&text, p, url);
    if (r == 0)
        r = add_fields(&text, p, url);
    if (r == 0)
        r = gust__http_text_add(&text, (gust_span){p->body, p->body_len}, SIZE_MAX);
    if (r == -EINVAL)
        complain("bad URL %s: a byte that may not stand there", t->url);
    else if (r == -ENOBUFS)
        complain("the header of the request has more than %d bytes", HEADER_BYTES_MAX);
    else if (r < 0)
        complain("%s", strerror(-r));
    t->request = text.heap;
    t->request_len = text.len;
    return r == 0;
}

/* --- The server ------------------------------------------------------------------------------ */

static bool set_server(struct plan *p, const struct client_url *url, enum protocol protocol)
{
    gust_span host = gust__without_brackets(url->host);
    p->protocol = protocol;
    p->tls = url->tls;
    p->port = url->port;
    p->host = strndup(host.data, host.len);
    if (!p->host)
        complain("%s", strerror(ENOMEM));
    return p->host != NULL;
}

static bool is_same_server(const struct plan *p, const struct client_url *url,
                           enum protocol protocol)
{
    gust_span host = gust__without_brackets(url->host);
    return p->protocol == protocol && p->tls == url->tls && p->port == url->port &&
           strlen(p->host) == host.len && strncasecmp(p->host, host.data, host.len) == 0;
}

static bool finish_target(struct plan *p, struct target *t)
{
    struct client_url url;
    enum protocol protocol;
    if (!read_weight(t) || !split_url(t->url, &url, &protocol))
        return false;
    if (!p->host && !set_server(p, &url, protocol))
        return false;
    if (!is_same_server(p, &url, protocol)) {
        complain("%s: all URLs of a run have to be of one server", t->url);
        return false;
    }
    p->weight_sum += t->weight;
    return protocol == PROTOCOL_ECHO || make_request(p, &url, t);
}

static bool read_body(struct plan *p)
{
    if (!p->body_file)
        return true;
    int r = gust_file_read_all(p->body_file, BODY_BYTES_MAX, GUST_FOREVER, &p->body, &p->body_len);
    if (r < 0)
        complain("cannot read %s: %s", p->body_file, strerror(-r));
    return r == 0;
}

bool plan_finish(struct plan *p)
{
    if (!read_body(p))
        return false;
    for (unsigned i = 0; i < p->target_count; i++)
        if (!finish_target(p, &p->targets[i]))
            return false;
    return true;
}

void plan_free(struct plan *p)
{
    for (unsigned i = 0; i < p->target_count; i++)
        free(p->targets[i].request);
    free(p->host);
    free(p->fields);
    free(p->body);
}
