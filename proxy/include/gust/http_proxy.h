/* A reverse proxy: a handler that has its requests answered by other servers.
 *
 *     const gust_http_upstream upstreams[] = {
 *         {.url = "http://10.0.0.1:8080"},
 *         {.url = "http://10.0.0.2:8080", .weight = 2},
 *     };
 *     gust_http_proxy_new(&(gust_http_proxy_options){
 *         .upstreams = upstreams, .upstream_count = 2}, &proxy);
 *     options.handler = gust_http_proxy_serve;
 *     options.arg = proxy;
 *     options.keep_remote_hosts = true; // X-Forwarded-For for a system call less
 *
 * Bodies stream in both directions and are never collected.  What concerns one connection
 * only (Connection and the fields it names, Transfer-Encoding, Upgrade ...) stays with that
 * connection, and each side is framed anew; a message that could be read in two ways is
 * refused by whichever side it comes from.  What the client is told if something fails:
 *
 *     503   no upstream is up, or all that are have as much as they may (at once)
 *     502   the upstream cannot be reached, or what it sends is no response
 *     504   one of the timeouts has passed
 *     cut   the response's header had been passed on: the connection is closed in the
 *           middle of the body, and a chunked body is not ended, so that nobody takes it
 *           for complete
 *
 * A client that goes away ends its request to the upstream.
 *
 * Its library is apart (gust_http_proxy; pkg-config: gust-http-proxy).  docs/proxy.md is
 * the guide. */
#ifndef GUST_HTTP_PROXY_H
#define GUST_HTTP_PROXY_H

#include <gust/http.h>
#include <gust/tls.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_http_proxy gust_http_proxy;

/* --- Limits and defaults -------------------------------------------------- */

#define GUST_HTTP_PROXY_UPSTREAMS_MAX 256
#define GUST_HTTP_PROXY_WEIGHT_MAX 1000
#define GUST_HTTP_PROXY_RETRIES_MAX 8

/* What a zero in the options means. */
#define GUST_HTTP_PROXY_CONNECT_TIMEOUT_NS (5 * GUST_SEC)
#define GUST_HTTP_PROXY_FIRST_BYTE_TIMEOUT_NS (60 * GUST_SEC)
#define GUST_HTTP_PROXY_IDLE_TIMEOUT_NS (60 * GUST_SEC)
#define GUST_HTTP_PROXY_KEEP_ALIVE_NS (50 * GUST_SEC)
#define GUST_HTTP_PROXY_KEEP_ALIVE_MAX 64
#define GUST_HTTP_PROXY_FAILURES_MAX 5
#define GUST_HTTP_PROXY_EJECTION_NS (10 * GUST_SEC)
#define GUST_HTTP_PROXY_EJECTION_MAX_NS (300 * GUST_SEC)
#define GUST_HTTP_PROXY_EJECTED_PERCENT_MAX 50
#define GUST_HTTP_PROXY_RETRIES 2
#define GUST_HTTP_PROXY_RETRY_PERCENT 20
#define GUST_HTTP_PROXY_RETRY_PER_SECOND 10
#define GUST_HTTP_PROXY_CHECK_INTERVAL_NS (5 * GUST_SEC)
#define GUST_HTTP_PROXY_CHECK_TIMEOUT_NS (2 * GUST_SEC)
#define GUST_HTTP_PROXY_CHECK_RISE 2
#define GUST_HTTP_PROXY_CHECK_FALL 3
#define GUST_HTTP_PROXY_RESOLVE_NS (30 * GUST_SEC)

/* For retries and failures_max: none. */
#define GUST_HTTP_PROXY_NONE UINT_MAX

/* A body of a request up to this length that has arrived as a whole is sent again with a
 * retry; a request whose body is streamed never is. */
#define GUST_HTTP_PROXY_REPLAY_BYTES_MAX 65536

/* --- Options --------------------------------------------------------------- */

typedef struct gust_http_upstream {
    /* "http://HOST[:PORT]", "https://...", with a path that is put in front of each
     * request's: "/base" + "/x?y".  Copied. */
    const char *url;
    unsigned weight;       /* 1 to GUST_HTTP_PROXY_WEIGHT_MAX; 0: 1 */
    bool drain;            /* gets no new requests; those it has go on */
    unsigned requests_max; /* at once; more go elsewhere, or are 503.  0: no limit */
    unsigned conns_max;    /* connections at once.  0: no limit */
    unsigned pending_max;  /* requests that may wait for one of conns_max */
} gust_http_upstream;

typedef enum gust_http_balance {
    GUST_HTTP_ROUND_ROBIN,       /* in turn, by weight, the turns of one spread out evenly */
    GUST_HTTP_LEAST_CONNECTIONS, /* who has the fewest requests now, for its weight */
    GUST_HTTP_TWO_CHOICES,       /* the better of two at random: nearly as good, and does not
                                    send everything to one that has just come back */
    GUST_HTTP_CONSISTENT_HASH,   /* equal keys to the same one, unless that has a quarter more
                                    than its share now; one that goes takes only its own keys
                                    with it */
} gust_http_balance;

/* "round_robin" and so on, by number; a NULL ends it. */
extern const char *const gust_http_balance_names[];

typedef enum gust_http_hash_key {
    GUST_HTTP_HASH_CLIENT, /* the client's address: gust_http_request_client_addr */
    GUST_HTTP_HASH_URI,    /* path and query */
    GUST_HTTP_HASH_HEADER, /* of hash_header; requests without it have the client's */
} gust_http_hash_key;

typedef enum gust_http_host_policy {
    GUST_HTTP_HOST_UPSTREAM, /* that of the upstream's URL */
    GUST_HTTP_HOST_PASS,     /* the client's */
    GUST_HTTP_HOST_FIXED,    /* that of options.host */
} gust_http_host_policy;

typedef enum gust_http_forwarding {
    GUST_HTTP_FORWARDING_REPLACE, /* what the client says of itself is dropped */
    GUST_HTTP_FORWARDING_APPEND,  /* behind proxies of one's own: it is added to */
    GUST_HTTP_FORWARDING_NONE,    /* none is sent, and the client's are dropped */
} gust_http_forwarding;

/* "replace" and so on, by number; a NULL ends it. */
extern const char *const gust_http_forwarding_names[];

/* Zeroes are the defaults above. */
typedef struct gust_http_proxy_options {
    const gust_http_upstream *upstreams;
    size_t upstream_count;

    gust_http_balance balance;
    gust_http_hash_key hash_key;
    const char *hash_header; /* copied */

    /* GUST_FOREVER turns one off. */
    int64_t connect_timeout_ns;    /* of TLS, for its handshake once more */
    int64_t first_byte_timeout_ns; /* from the end of the request to the response's header */
    int64_t idle_timeout_ns;       /* of each wait for bytes, in either direction */
    int64_t total_timeout_ns;      /* for the whole of it; 0: no limit */

    int64_t keep_alive_ns;   /* how long an idle connection to an upstream is kept */
    unsigned keep_alive_max; /* how many are, for each upstream */

    /* A request is sent again, to another upstream if there is one, up to so many times, if
     * nothing of a response has come, its body can be sent again, and either nothing of it
     * can have reached the upstream or its method is idempotent (RFC 9110, 9.2.2).  For all
     * requests together a budget allows retry_percent of those that went well, and
     * retry_per_second more. */
    unsigned retries;
    unsigned retry_percent;
    unsigned retry_per_second;
    bool retry_unavailable; /* also if the answer is 502, 503 or 504 */

    /* So many failures in a row (no connection, no response, 502, 503, 504) take an
     * upstream out for ejection_ns, for twice as long if it fails again, and so on; but
     * never more than ejected_percent_max of them, and never the only one. */
    unsigned failures_max;
    int64_t ejection_ns;
    int64_t ejection_max_ns;
    unsigned ejected_percent_max;

    /* GET check_path of each upstream, every check_interval_ns: rise times in a row 2xx or
     * 3xx brings it back, fall times in a row anything else takes it out.  NULL: none. */
    const char *check_path;
    int64_t check_interval_ns;
    int64_t check_timeout_ns;
    unsigned check_rise;
    unsigned check_fall;

    /* Names of upstreams are looked up so often; if the addresses have changed, idle
     * connections to the old ones are closed. */
    int64_t resolve_ns;

    uint64_t body_bytes_max; /* of a request; beyond: 413.  0: no limit.  In place of the
                                server's own */

    gust_http_host_policy host_policy;
    const char *host;                /* copied */
    gust_http_forwarding forwarding; /* X-Forwarded-For, -Proto and -Host */
    bool forwarded;                  /* Forwarded (RFC 7239) as well */
    const char *via; /* the name in Via; NULL: "gust"; "": no Via is added.  Copied */

    gust_tls_config *tls; /* for https.  One of zero options verifies upstreams by the
                             system's store.  The proxy takes a reference */
    int proxy_protocol;   /* 1 or 2: connections begin with a PROXY header (<gust/proxy.h>)
                             of that version, and serve one request each */
} gust_http_proxy_options;

/* Makes a proxy, whether or not its upstreams are there.  Options are copied.
 * Errors: -EINVAL for an URL that is none, no or too many upstreams, the same URL twice, a
 * weight or a number of retries beyond its limit, a negative time, a host or a via that is
 * none; -EPROTONOSUPPORT for https if tls is NULL; -ENOMEM.  Only from a goroutine. */
int gust_http_proxy_new(const gust_http_proxy_options *options, gust_http_proxy **ret_proxy);

/* Replaces all options at once.  Requests under way end as they have begun; upstreams that
 * are in both, with the same limits, keep their connections, health and counts.  Does not
 * wait.  Errors: as gust_http_proxy_new; everything stays as it was then. */
int gust_http_proxy_reload(gust_http_proxy *proxy, const gust_http_proxy_options *options);

/* Closes tunnels, waits for requests that are still under way (the servers that have brought
 * them must bring no more), and frees it.  NULL is accepted. */
void gust_http_proxy_free(gust_http_proxy *proxy);

/* The handler: a gust_http_handler whose argument is a gust_http_proxy. */
void gust_http_proxy_serve(gust_http_request *req, gust_http_response *res, void *proxy);

/* --- Looking at it ---------------------------------------------------------- */

/* Handlers whose argument is a gust_http_proxy: a page that refreshes itself, and the same
 * as JSON.  They tell everybody everything. */
void gust_http_proxy_stats_page(gust_http_request *req, gust_http_response *res, void *proxy);
void gust_http_proxy_stats_json(gust_http_request *req, gust_http_response *res, void *proxy);

typedef enum gust_http_upstream_state {
    GUST_HTTP_UPSTREAM_UP,
    GUST_HTTP_UPSTREAM_DRAINING,
    GUST_HTTP_UPSTREAM_EJECTED, /* by failed requests */
    GUST_HTTP_UPSTREAM_DOWN,    /* by checks */
} gust_http_upstream_state;

/* "up", "draining" ... */
const char *gust_http_upstream_state_name(gust_http_upstream_state state);

typedef struct gust_http_upstream_stats {
    const char *url; /* valid during the callback */
    gust_http_upstream_state state;
    unsigned weight;
    uint64_t in_flight;
    uint64_t requests;  /* sent to it, retries among them */
    uint64_t responses; /* whose header has come */
    uint64_t failures;  /* without one */
    uint64_t cut;       /* responses that broke off */
    uint64_t retries;   /* requests that were another upstream's before */
    uint64_t refused;   /* attempts to give it more than it may have */
    uint64_t ejections;
    /* Until the response's header, of the last half to whole minute; 0: no request. */
    int64_t p50_ns;
    int64_t p90_ns;
    int64_t p99_ns;
} gust_http_upstream_stats;

/* Calls fn for each upstream, in the order of the options.  fn may not reload the proxy. */
void gust_http_proxy_stats_read(gust_http_proxy *proxy,
                                void (*fn)(const gust_http_upstream_stats *stats, void *arg),
                                void *arg);

#ifdef __cplusplus
}
#endif
#endif
