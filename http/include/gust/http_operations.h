/* Running a server: what goes wrong and how often, health checks, and who the client is
 * behind a proxy.
 *
 * The limits are options of the server (<gust/http.h>), its access log is in
 * <gust/http_log.h>, a limit on a client's requests in <gust/http_rate.h>, what a site
 * insists on (HTTPS, its own host names) in <gust/http_policy.h>. */
#ifndef GUST_HTTP_OPERATIONS_H
#define GUST_HTTP_OPERATIONS_H

#include <gust/http.h>
#include <gust/proxy.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- What goes wrong ---------------------------------------------------------- */

typedef enum gust_http_error_kind {
    GUST_HTTP_ERROR_ACCEPT,           /* no memory for a connection: closed */
    GUST_HTTP_ERROR_CONNECTION_LIMIT, /* connections_max: the next one has to wait */
    GUST_HTTP_ERROR_CLIENT_LIMIT,     /* client_connections_max: closed */
    GUST_HTTP_ERROR_HANDSHAKE,        /* of TLS: closed */
    GUST_HTTP_ERROR_HEADER_TIMEOUT,   /* header_timeout_ns: 408; closed, if nothing came */
    GUST_HTTP_ERROR_MALFORMED,        /* 400 */
    GUST_HTTP_ERROR_UNSUPPORTED,      /* 417, 501, 505 */
    GUST_HTTP_ERROR_REQUEST_LINE,     /* request_line_max: 414 */
    GUST_HTTP_ERROR_HEADER_LIMIT,     /* header_bytes_max, header_fields_max: 431 */
    GUST_HTTP_ERROR_BODY_LIMIT,       /* body_bytes_max: 413 */
    GUST_HTTP_ERROR_BODY_TIMEOUT,     /* read_timeout_ns, body_rate_min: 408 */
    GUST_HTTP_ERROR_WRITE_TIMEOUT,    /* write_timeout_ns, write_rate_min: cut off */
    GUST_HTTP_ERROR_CONN_REQUESTS,    /* conn_requests_max: closed after the response.  An
                                          event, not an error: only counted */
    GUST_HTTP_ERROR_GIVEN_UP,         /* connections_max: idle, closed for a new one.  The same */
    GUST_HTTP_ERROR_MEMORY,           /* for a request: 503 */
    GUST_HTTP_ERROR_PANIC,            /* of a handler: 500 */
    GUST_HTTP_ERROR_KINDS,
} gust_http_error_kind;

/* "header timeout", "TLS handshake" ... */
const char *gust_http_error_name(gust_http_error_kind kind);

typedef struct gust_http_error_info {
    gust_http_error_kind kind;
    int status;       /* what the client was answered; 0: nothing */
    int error;        /* a negative errno value; 0: there is none */
    const char *text; /* more about it: of a panic its message, of TLS what OpenSSL says;
                         "" otherwise.  Borrowed for the call */
    gust_addr remote; /* the other end of the connection; len is 0 if it is not known */
} gust_http_error_info;

/* gust_http_server_options.on_error.  Called in the goroutine of the connection, or of
 * gust_http_server_serve: it may block, and holds up nobody else, or what is accepted.
 * It must not panic. */

typedef struct gust_http_server_stats {
    uint64_t accepted; /* connections, since the server was made */

    /* Connections that exist now: before their first request, with one at work, between
     * two, and after the last one. */
    size_t conns_new;
    size_t conns_active;
    size_t conns_idle;
    size_t conns_closing;

    /* Final responses by the first digit of the status, those that were cut off too.  [0]:
     * requests that got none, such as those whose connection was hijacked; [1]: upgrades.
     * A request at work is not counted yet. */
    uint64_t responses[6];

    uint64_t errors[GUST_HTTP_ERROR_KINDS];
} gust_http_server_stats;

/* A snapshot; of requests that came pipelined the last few may be missing.  Costs time in
 * the number of connections; counting costs a request next to nothing. */
void gust_http_server_stats_read(gust_http_server *s, gust_http_server_stats *ret_stats);

/* --- Health --------------------------------------------------------------------- */

/* Handlers for load balancers and supervisors; 200 "ok" or 503 with the reason, never
 * cached.
 *
 * live says 200 as long as the server answers at all.  ready says 503 from the begin of
 * gust_http_server_shutdown, so also during gust_http_server_options.lame_duck_ns, while
 * other requests are still served; and when its check fails.  `check` is NULL or a
 * gust_http_health_check. */
void gust_http_health_live(gust_http_request *req, gust_http_response *res, void *unused);
void gust_http_health_ready(gust_http_request *req, gust_http_response *res, void *check);

/* Asked at each request.  Returns NULL if all is well, else why not. */
typedef struct gust_http_health_check {
    const char *(*check)(void *arg);
    void *arg;
} gust_http_health_check;

/* --- Who the client is ------------------------------------------------------------ */

/* The client's address.  Usually that of the connection; if that is one of the server's
 * trusted proxies, what they say of the client: the last address in X-Forwarded-For (or
 * Forwarded, RFC 7239, if the options say so) that is not a trusted proxy itself.  What is
 * left of it, anybody may have written.  A field that cannot be read, or names nobody
 * ("unknown", "_hidden"), gives the address of the last proxy that could be.  The port is
 * 0 if it is not known.  The access log and <gust/http_rate.h> use this address. */
void gust_http_request_client_addr(const gust_http_request *req, gust_addr *ret_addr);

#ifdef __cplusplus
}
#endif
#endif
