/* Header fields on their way through the proxy: lines in, lines out.  Pure.
 *
 * Fields that nobody has an interest in, which are most, are copied as they came, whole
 * stretches of lines at a time.  Left out are those that concern one connection only (RFC
 * 9110, 7.6.1), those that Connection names, and those that frame a message: each side
 * frames its own.
 *
 * A name with '_' is read as if it had '-': where it then is one of those that are left out
 * or written anew, it goes, too.  Many servers cannot tell the two apart (CGI), and would take
 * a client's X_Forwarded_For for ours. */
#ifndef GUST_PROXY_FIELDS_H
#define GUST_PROXY_FIELDS_H

#include "http/text.h"

#include <gust/http_proxy.h>

/* Fields and all that is added to them. */
#define FORWARD_BYTES_MAX 65536

struct forward_rules {
    gust_http_forwarding forwarding;
    bool forwarded;
    gust_span via; /* "Via: 1.1 gust\r\n", or empty */
};

/* Who asks. */
struct forward_client {
    gust_span addr; /* "192.0.2.1", "2001:db8::1"; empty: nobody knows */
    gust_span host; /* what the client asked for; may be empty */
    bool tls;
};

/* What the request says about its connection, which is not passed on as it is. */
struct forward_found {
    gust_span upgrade; /* to what; empty: "Connection: upgrade" was not there, too */
    bool expects;      /* 100-continue */
};

/* Appends a request's fields to `out`, and those that the proxy adds.
 * Errors: -ENOBUFS beyond FORWARD_BYTES_MAX, -ENOMEM. */
int gust__forward_request(const struct forward_rules *rules, const struct forward_client *client,
                          gust_span lines, struct http_text *out, struct forward_found *ret_found);

/* The same for a response's.  *ret_date: whether there was a Date among them; a second one is
 * left out.  Errors: the same; beyond `len_max`. */
int gust__forward_response(const struct forward_rules *rules, gust_span lines, size_t len_max,
                           struct http_text *out, bool *ret_date);

/* True for a field that is passed on as it is where it does not stand in a final header: of an
 * interim response, or in the trailers, which some servers read as if they were of the header.
 * `lines` are those of the header, whose Connection may name it. */
bool gust__forward_passes(gust_span lines, gust_span name);

#endif
