/* URLs (RFC 3986) of http and https: their parts, and references from one to another.  Pure. */
#ifndef GUST_HTTP_CLIENT_URL_H
#define GUST_HTTP_CLIENT_URL_H

#include "http/text.h"

/* The parts lie in the text that was split. */
struct client_url {
    bool tls;
    uint16_t port;       /* the scheme's, if it names none */
    gust_span userinfo;  /* data is NULL without one */
    gust_span authority; /* without userinfo: what Host says */
    gust_span host;      /* with the brackets of an IPv6 address */
    gust_span target;    /* path and query; may be empty, or begin with '?' */
};

/* The host without the brackets of an IPv6 address. */
static inline gust_span gust__without_brackets(gust_span host)
{
    bool has = host.len > 1 && host.data[0] == '[';

    return has ? (gust_span){host.data + 1, host.len - 2} : host;
}

/* A fragment is passed over.
 * Errors: -EPROTONOSUPPORT for another scheme, -EINVAL if it is malformed. */
int gust__url_split(gust_span text, struct client_url *ret_url);

/* Splits "host", "host:port".  *port is left alone if there is none.  Errors: -EINVAL. */
int gust__authority_split(gust_span authority, uint16_t *port, gust_span *ret_host);

/* Writes scheme, authority and target in a form that can be sent: the path is not empty, and
 * spaces and bytes above 127 are percent-encoded.  *ret_target_at is where the target begins.
 * Errors: -EINVAL for other bytes that may not stand in a target; -ENOBUFS, -ENOMEM. */
int gust__url_write(const struct client_url *url, size_t len_max, struct http_text *text,
                    size_t *ret_target_at);

/* Appends what `reference` leads to from `base`, which gust__url_write has written (RFC 3986,
 * 5.2), fragment and all.  Errors: -ENOBUFS, -ENOMEM. */
int gust__url_resolve(gust_span base, gust_span reference, size_t len_max, struct http_text *text);

#endif
