/* What a site insists on: HTTPS, and its own host names. */
#include <gust/http_policy.h>

#include "http/response.h"
#include "http/syntax.h"

#include <stdio.h>
#include <string.h>

/* --- Host names ------------------------------------------------------------------- */

static bool host_is(gust_span host, const char *name)
{
    size_t len = strlen(name);

    if (len < 2 || name[0] != '*' || name[1] != '.')
        return gust__http_same_name(host, name, len);
    size_t below = len - 1; /* with the dot */
    return host.len > below &&
           gust__http_same_name((gust_span){host.data + host.len - below, below}, name + 1, below);
}

bool gust_http_host_allowed(const gust_http_hosts *hosts, gust_span host)
{
    gust_span name = gust__http_host_name(host);

    if (name.len > 1 && name.data[name.len - 1] == '.')
        name.len--;
    for (size_t i = 0; i < hosts->count; i++)
        if (host_is(name, hosts->names[i]))
            return true;
    return false;
}

/* What is wrong with the host: a status; 0: nothing. */
static int check_host(const gust_http_hosts *hosts, gust_span host)
{
    if (host.len == 0)
        return 400;
    return !hosts || gust_http_host_allowed(hosts, host) ? 0 : 421;
}

void gust_http_hosts_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                           void *hosts)
{
    int status = check_host(hosts, gust_http_request_host(req));

    if (status)
        gust__http_answer(res, status);
    else
        gust_http_next_run(next);
}

/* --- HTTPS --------------------------------------------------------------------------- */

/* Errors: -ENOMEM; -ENOBUFS: it is too long. */
static int add_location(gust_http_request *req, gust_http_response *res, gust_span host,
                        unsigned port)
{
    gust_span path = gust_http_request_path(req), query = gust_http_request_query(req);
    size_t size = host.len + path.len + query.len + 32;
    char *location = gust_http_alloc(req, size);
    char port_text[8] = "";

    if (!location)
        return -ENOMEM;
    if (port != 0 && port != 443)
        snprintf(port_text, sizeof(port_text), ":%u", port);
    int len = snprintf(location, size, "https://%.*s%s%.*s%s%.*s", (int)host.len, host.data,
                       port_text, (int)path.len, path.data, query.data ? "?" : "", (int)query.len,
                       query.data ? query.data : "");
    return gust_http_header_span(res, "Location", (gust_span){location, (size_t)len});
}

void gust_http_https_redirect(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const gust_http_https zeroes;
    const gust_http_https *https = arg ? arg : &zeroes;
    gust_span host = gust__http_host_name(gust_http_request_host(req));
    int status = https->host && !https->hosts ? 0 : check_host(https->hosts, host);

    if (https->host)
        host = (gust_span){https->host, strlen(https->host)};
    if (gust_http_request_path(req).data[0] != '/')
        status = 400; /* "OPTIONS *" */
    if (status == 0) {
        int r = add_location(req, res, host, https->port);
        status = r == -ENOMEM ? 503 : r < 0 ? 414 : https->status ? https->status : 308;
    }
    gust__http_answer(res, status);
}

/* By now the handshake is done, if there was one to be made. */
static bool is_tls(const gust_http_request *req)
{
    return gust_tls_handshake(gust_http_request_conn(req), GUST_NOW) != -EINVAL;
}

void gust_http_hsts_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                          void *arg)
{
    const gust_http_hsts *hsts = arg;
    char value[80];

    if (hsts->behind_proxy || is_tls(req)) {
        snprintf(value, sizeof(value), "max-age=%lld%s%s", (long long)hsts->max_age_s,
                 hsts->include_subdomains ? "; includeSubDomains" : "",
                 hsts->preload ? "; preload" : "");
        gust_http_header(res, "Strict-Transport-Security", value);
    }
    gust_http_next_run(next);
}
