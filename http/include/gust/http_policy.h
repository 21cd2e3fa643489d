/* What a site insists on: HTTPS, and its own host names.
 *
 *     static const char *const names[] = {"example.com", "*.example.com"};
 *     static gust_http_hosts hosts = {names, 2};
 *     static gust_http_https https = {.hosts = &hosts};
 *     static gust_http_hsts hsts = {.max_age_s = 63072000, .include_subdomains = true};
 *
 *     port 80:   {.handler = gust_http_https_redirect, .arg = &https}
 *     port 443:  gust_http_router_use(router, gust_http_hosts_layer, &hosts);
 *                gust_http_router_use(router, gust_http_hsts_layer, &hsts);
 *
 * The memory of all of them is the user's, and stays as it is while requests are served. */
#ifndef GUST_HTTP_POLICY_H
#define GUST_HTTP_POLICY_H

#include <gust/http_middleware.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Host names ----------------------------------------------------------------- */

/* Names without ports, in any case; "*.example.com" is every name below example.com, and
 * not itself.  An IPv6 address has its brackets. */
typedef struct gust_http_hosts {
    const char *const *names;
    size_t count;
} gust_http_hosts;

/* True if `host` (gust_http_request_host), without its port and the dot that a full name
 * may end in, is one of them. */
bool gust_http_host_allowed(const gust_http_hosts *hosts, gust_span host);

/* A layer that lets requests pass for these hosts only.  Others are answered 421, those
 * that name no host 400: against links that are made with a Host of somebody else's, and
 * pages that rebind their name to this address.  `hosts` is a gust_http_hosts. */
void gust_http_hosts_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                           void *hosts);

/* --- HTTPS ------------------------------------------------------------------------ */

typedef struct gust_http_https {
    const gust_http_hosts *hosts; /* others are not redirected: 421.  NULL: all are */
    const char *host;             /* where to, always; NULL: to the host that was asked */
    uint16_t port;                /* 0: 443, which the address does not name */
    int status;                   /* 0: 308, which keeps the method; or 301, 302, 307 */
} gust_http_https;

/* A handler for the plain port: redirects to the same host, path and query by HTTPS.  A
 * request that names no host is answered 400 unless there is .host.  `https` is a
 * gust_http_https, or NULL for one of zeroes. */
void gust_http_https_redirect(gust_http_request *req, gust_http_response *res, void *https);

typedef struct gust_http_hsts {
    int64_t max_age_s; /* clients use HTTPS only for so long; 0 takes it back */
    bool include_subdomains;
    bool preload;
    bool behind_proxy; /* a proxy does the TLS: sent on plain connections as well */
} gust_http_hsts;

/* A layer that adds Strict-Transport-Security (RFC 6797) to what is answered by TLS.
 * `hsts` is a gust_http_hsts. */
void gust_http_hsts_layer(gust_http_request *req, gust_http_response *res, gust_http_next *next,
                          void *hsts);

#ifdef __cplusplus
}
#endif
#endif
