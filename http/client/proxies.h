/* The proxies that the environment names, as Go's ProxyFromEnvironment reads them. */
#ifndef GUST_HTTP_CLIENT_PROXIES_H
#define GUST_HTTP_CLIENT_PROXIES_H

#include "http/client/url.h"

struct client_proxy {
    char *authority; /* NULL: there is none */
    char *host;      /* without brackets; both lie in the authority's memory */
    uint16_t port;
    struct http_text basic; /* for Proxy-Authorization; empty: none */
};

struct client_proxies {
    struct client_proxy http;  /* for http URLs, which it is sent whole */
    struct client_proxy https; /* for https URLs, by CONNECT */
    char *none;                /* NO_PROXY */
};

/* Reads HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or the same in lower case.  In a CGI program,
 * which has REQUEST_METHOD, HTTP_PROXY may be a client's "Proxy" field and is passed over.
 * Errors: -EINVAL for a proxy that is no http URL, -ENOMEM; what has been read is there to be
 * released all the same. */
int gust__proxies_read(struct client_proxies *p);
void gust__proxies_fini(struct client_proxies *p);

/* The proxy for this URL, or NULL: none is named, the host is excluded by NO_PROXY, or it is
 * this machine. */
const struct client_proxy *gust__proxy_for(const struct client_proxies *p,
                                           const struct client_url *url);

/* NO_PROXY: entries between commas.  "*" is every host; "a.b" that name and what is below it;
 * ".a.b" and "*.a.b" what is below it; an IP address, or "10.0.0.0/8", addresses.  ":port"
 * behind a name or an address is for this port only. */
bool gust__proxy_excluded(const char *list, gust_span host, uint16_t port);

#endif
