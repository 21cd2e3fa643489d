/* One server that requests are sent to, as long as somebody needs it: the sets it is a
 * member of (proxy/set.h), and the requests that it has.
 *
 * One word counts both, so that a request pays for its reference and for its place with the
 * same instruction: the lower half are requests, the upper half owners.  Whoever brings it to
 * zero frees the upstream. */
#ifndef GUST_PROXY_UPSTREAM_H
#define GUST_PROXY_UPSTREAM_H

#include "proxy/health.h"
#include "proxy/histogram.h"

#include <gust/http_proxy.h>

struct gust_http_origin;

#define UPSTREAM_OWNER (UINT64_C(1) << 32)

enum upstream_count {
    COUNT_REQUESTS,
    COUNT_RESPONSES,
    COUNT_FAILURES,
    COUNT_CUT,
    COUNT_RETRIES,
    COUNT_REFUSED,
    COUNT_EJECTIONS,
    UPSTREAM_COUNTS
};

struct upstream {
    _Atomic uint64_t refs;
    _Atomic uint64_t counts[UPSTREAM_COUNTS]; /* of the same cache lines as refs */

    struct health health;
    const char *url;
    bool tls;
    gust_span authority;
    const char *name; /* its host, without brackets, and its port: for look-ups */
    const char *port;
    gust_span prefix;       /* of paths: "" or "/base", without a slash at its end */
    uint64_t hash;          /* of the URL */
    uint64_t in_flight_max; /* beyond, gust__upstream_enter says no */
    unsigned conns_max;

    struct gust_http_origin *origin;
    void (*release)(struct gust_http_origin *origin); /* NULL: there is none */
    struct histogram latency;
    char text[]; /* url, authority and the rest */
};

/* Makes one with an owner, without an origin.  Errors: -EINVAL for a URL that is none, or
 * has credentials, a query or a fragment; -ENOMEM. */
int gust__upstream_new(const gust_http_upstream *options, struct upstream **ret_upstream);

struct upstream *gust__upstream_own(struct upstream *u);
void gust__upstream_disown(struct upstream *u);

/* Takes a place for a request; false if all are taken.  The caller keeps the upstream from
 * going away meanwhile. */
bool gust__upstream_enter(struct upstream *u);
void gust__upstream_leave(struct upstream *u);

static inline uint32_t upstream_in_flight(const struct upstream *u)
{
    return (uint32_t)atomic_load_explicit(&u->refs, memory_order_relaxed);
}

static inline void upstream_count(struct upstream *u, enum upstream_count which)
{
    atomic_fetch_add_explicit(&u->counts[which], 1, memory_order_relaxed);
}

/* True if the options describe this one, with the same limits. */
bool gust__upstream_matches(const struct upstream *u, const gust_http_upstream *options);

/* A hash that is the same in every process, so that several proxies agree. */
uint64_t gust__upstream_hash(const void *bytes, size_t len);

#endif
