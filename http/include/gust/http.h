/* An HTTP/1.1 server: one handler per request, in a goroutine of its connection.  For
 * handlers by method and path see <gust/http_router.h>.
 *
 *     static void hello(gust_http_request *req, gust_http_response *res, void *arg)
 *     {
 *         gust_http_reply(res, 200, "text/plain", "Hello, World!", 13);
 *     }
 *
 * The handler runs in the goroutine that serves the connection and may block in any
 * gust call; between two requests the connection has none.  Bodies stream in both
 * directions: a handler that does not read stops its client, a client that does not
 * read stops its handler.
 *
 * A handler that panics (<gust/panic.h>) ends its request only: it is answered 500
 * if nothing of the response has been sent, the connection is closed, and the log
 * hook hears of it.  What the handler had locked or allocated is its own business:
 * gust_defer works in it.  One that calls gust_goexit ends its goroutine, and with it
 * the connection: what it has sent is sent, a response that it has not is cut off.
 *
 * Contexts (<gust/context.h>).  Each handler runs under a context of its own, which is
 * below that of gust_http_server_serve and is cancelled when
 *   - the client closes its connection, or its direction of it, while the handler runs:
 *     the cause is -ECONNRESET;
 *   - the deadline of a shutdown passes: -ESHUTDOWN;
 *   - the handler returns: -ECANCELED, for the goroutines that it has started and that
 *     are still there.
 * From then on what would wait in them returns -ECANCELED: channels, sleeps, dials, other
 * connections.  Reading the request's body and writing the response do not: they go on as
 * long as the connection can, for a client that has only ended its direction may well wait
 * for the answer.  What shall go on without the client takes the context off
 * (gust_context_swap), or starts its goroutine with it taken off.
 *
 * Framing is strict.  A request that two servers could read in two ways is
 * answered 400 and its connection closed; no handler sees it.  Every limit and
 * timeout below is on by default. */
#ifndef GUST_HTTP_H
#define GUST_HTTP_H

#include <gust/base.h>
#include <gust/net.h>
#include <gust/tls.h>

#include <limits.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gust_http_error_info;
struct gust_http_log;
struct gust_proxy_prefix;

typedef struct gust_http_server gust_http_server;

/* A request and its response belong to the handler's call: neither may be used
 * after it returned, nor by two goroutines at the same time. */
typedef struct gust_http_request gust_http_request;
typedef struct gust_http_response gust_http_response;

typedef void gust_http_handler(gust_http_request *req, gust_http_response *res, void *arg);

/* --- Server -------------------------------------------------------------- */

/* What a zero in the options means. */
#define GUST_HTTP_REQUEST_LINE_MAX 65536
#define GUST_HTTP_HEADER_BYTES_MAX 65536
#define GUST_HTTP_HEADER_FIELDS_MAX 100
#define GUST_HTTP_BODY_BYTES_MAX (UINT64_C(1) << 20)
#define GUST_HTTP_HEADER_TIMEOUT_NS (10 * GUST_SEC)
#define GUST_HTTP_IDLE_TIMEOUT_NS (60 * GUST_SEC)
#define GUST_HTTP_READ_TIMEOUT_NS (30 * GUST_SEC)
#define GUST_HTTP_WRITE_TIMEOUT_NS (30 * GUST_SEC)

/* A client that goes away is noticed once its handler has run for between one and two of
 * these, and from then on at once. */
#define GUST_HTTP_WATCH_NS (50 * GUST_MS)

#define GUST_HTTP_CONN_REQUESTS_MAX UINT_MAX      /* none: as Go */
#define GUST_HTTP_CLIENT_CONNECTIONS_MAX UINT_MAX /* none: clients may share an address */
#define GUST_HTTP_BODY_RATE_MIN 500               /* bytes per second, as mod_reqtimeout's */
#define GUST_HTTP_WRITE_RATE_MIN 4096

/* For connections_max: what the limit on open files (RLIMIT_NOFILE) leaves besides these,
 * or besides an eighth of it if that is less. */
#define GUST_HTTP_RESERVED_FDS 1024

/* What a client takes of a response in one piece, for write_rate_min. */
#define GUST_HTTP_WRITE_PIECE_MAX 262144

/* For body_rate_min and write_rate_min. */
#define GUST_HTTP_NO_MINIMUM (-1)

/* A body limit that no body reaches. */
#define GUST_HTTP_UNLIMITED UINT64_MAX

/* An unread request body is read and dropped up to this length after the
 * handler, so that the connection can serve the next request; beyond it the
 * connection is closed. */
#define GUST_HTTP_DISCARD_BYTES_MAX 262144

typedef struct gust_http_server_options {
    gust_http_handler *handler;
    void *arg; /* passed to every call of the handler */

    /* Serves HTTPS: each connection makes its handshake in its own goroutine, within
     * the header timeout and the handshake's own.  NULL: plain HTTP, or what the
     * listener has been told by gust_listener_use_tls.  The server takes a reference. */
    gust_tls_config *tls;

    size_t request_line_max;    /* bytes without the line end; beyond: 414 */
    size_t header_bytes_max;    /* request line, fields and line ends; beyond: 431 */
    unsigned header_fields_max; /* beyond: 431; trailers count on their own */
    uint64_t body_bytes_max;    /* gust_http_body_limit changes it per request */

    /* From the first byte of a request (of a connection's first request: from
     * the accept) to the end of its header.  Not extended by slow progress. */
    int64_t header_timeout_ns;
    int64_t idle_timeout_ns;  /* between two requests */
    int64_t read_timeout_ns;  /* for each wait for a piece of a body */
    int64_t write_timeout_ns; /* for each wait for the client to take bytes */

    /* Handlers go on when their client goes away (see "Contexts"), as nginx's
     * proxy_ignore_client_abort has it. */
    bool ignore_client_abort;

    /* Bytes per second, against clients that send or read a byte now and then.  A body
     * may fall behind by read_timeout_ns in all, and waiting for the handler does not
     * count.  For each piece of a response (GUST_HTTP_WRITE_PIECE_MAX) a client has
     * write_timeout_ns, and what it takes at this rate. */
    int64_t body_rate_min;
    int64_t write_rate_min;

    /* Connections at once.  Beyond, one that waits for a request (nearly the one that has
     * waited longest) is closed for each new one, as nginx does it; if all are at work,
     * none is taken until one ends or waits, and clients wait in the listener's backlog, as
     * with Go's LimitListener. */
    unsigned connections_max;
    /* The same for one address (of IPv6: for one /64 of them).  Beyond: closed at once. */
    unsigned client_connections_max;
    unsigned conn_requests_max; /* of one connection, which is closed after the last */

    struct gust_http_log *log; /* <gust/http_log.h>; the server takes a reference */

    /* <gust/http_operations.h>: told of what goes wrong, and of a shutdown, when it
     * begins and in its goroutine: for handlers that would not end by themselves. */
    void (*on_error)(const struct gust_http_error_info *error, void *hook_arg);
    void (*on_drain)(void *hook_arg);
    void *hook_arg;

    /* How long a shutdown goes on as before, but for gust_http_health_ready, so that a
     * load balancer notices and sends no more. */
    int64_t lame_duck_ns;

    /* Whose X-Forwarded-For is believed by gust_http_request_client_addr.  Copied. */
    const struct gust_proxy_prefix *trusted_proxies;
    size_t trusted_proxy_count;
    bool trust_forwarded; /* they send Forwarded (RFC 7239) instead */

    /* For handlers that want gust_http_request_remote_host of each request, as a proxy does:
     * a connection keeps it, in 48 bytes or more. */
    bool keep_remote_hosts;
} gust_http_server_options;

/* Makes a server.  The options are copied; zeroes are the defaults above,
 * GUST_FOREVER turns a timeout off.
 * Errors: -EINVAL without a handler, for a negative timeout, a limit above 16 MiB on
 * the header, or a trusted proxy that is no address; -ENOMEM.  Only from a goroutine. */
int gust_http_server_new(const gust_http_server_options *options, gust_http_server **ret_server);

/* Accepts connections on `l` and serves each in goroutines of its own.
 * Returns 0 once gust_http_server_shutdown has finished, or at once if that
 * was called before.  May run for several listeners at the same time.  The
 * listener stays the caller's.
 * Handlers run under the caller's context: once it is cancelled, so are they, and
 * their connections end.
 * Errors: -EBADF if the listener is closed and nobody called shutdown; -ECANCELED
 * if the goroutine's context is cancelled. */
int gust_http_server_serve(gust_http_server *s, gust_listener *l);

/* Calls on_drain, and goes on as before for lame_duck_ns (unless another shutdown waits
 * for that already: a second one is for the impatient).  Then stops accepting, closes the
 * connections that wait for a request, and lets the requests in flight finish, each
 * answered with "Connection: close".  What is left at `deadline`, or when the
 * goroutine's context is cancelled, is closed under its handler.
 * Returns 0 if all finished.  Errors: -ETIMEDOUT, -ECANCELED. */
int gust_http_server_shutdown(gust_http_server *s, gust_time deadline);

/* Drops the server.  No gust_http_server_serve may be running; a handler that
 * outlived a shutdown may.  May wait for a moment.  NULL is accepted. */
void gust_http_server_free(gust_http_server *s);

/* --- Request -------------------------------------------------------------
 *
 * Spans point into the request and stay valid until the handler returns.  Queries, forms
 * and uploads, cookies, credentials, conditions and ranges: <gust/http_url.h>, http_form.h,
 * http_cookie.h, http_auth.h, http_conditions.h. */

/* The methods of the IANA registry that the parser knows; others get 501. */
typedef enum gust_http_method {
    GUST_HTTP_DELETE,
    GUST_HTTP_GET,
    GUST_HTTP_HEAD,
    GUST_HTTP_POST,
    GUST_HTTP_PUT,
    GUST_HTTP_CONNECT, /* refused with 501: this is no proxy */
    GUST_HTTP_OPTIONS,
    GUST_HTTP_TRACE,
    GUST_HTTP_COPY,
    GUST_HTTP_LOCK,
    GUST_HTTP_MKCOL,
    GUST_HTTP_MOVE,
    GUST_HTTP_PROPFIND,
    GUST_HTTP_PROPPATCH,
    GUST_HTTP_SEARCH,
    GUST_HTTP_UNLOCK,
    GUST_HTTP_BIND,
    GUST_HTTP_REBIND,
    GUST_HTTP_UNBIND,
    GUST_HTTP_ACL,
    GUST_HTTP_REPORT,
    GUST_HTTP_MKACTIVITY,
    GUST_HTTP_CHECKOUT,
    GUST_HTTP_MERGE,
    GUST_HTTP_MSEARCH,
    GUST_HTTP_NOTIFY,
    GUST_HTTP_SUBSCRIBE,
    GUST_HTTP_UNSUBSCRIBE,
    GUST_HTTP_PATCH,
    GUST_HTTP_PURGE,
    GUST_HTTP_MKCALENDAR,
    GUST_HTTP_LINK,
    GUST_HTTP_UNLINK,
    GUST_HTTP_SOURCE,
} gust_http_method;

gust_http_method gust_http_request_method(const gust_http_request *req);
gust_span gust_http_request_method_text(const gust_http_request *req);

/* The target as it was sent; its path (never empty; "*" for "OPTIONS *"); and
 * what follows the first '?' (data is NULL without one).  Nothing is decoded. */
gust_span gust_http_request_target(const gust_http_request *req);
gust_span gust_http_request_path(const gust_http_request *req);
gust_span gust_http_request_query(const gust_http_request *req);

/* Whom the request is for: the authority of an absolute target, which outranks
 * the Host field (RFC 9112, 3.2.2), else the Host field.  data is NULL if an
 * HTTP/1.0 client named nobody. */
gust_span gust_http_request_host(const gust_http_request *req);

/* 1 for HTTP/1.1, 0 for HTTP/1.0. */
int gust_http_request_minor(const gust_http_request *req);

/* False if the connection will be closed after this response because the
 * client asked for it, by "Connection: close" or by being HTTP/1.0. */
bool gust_http_request_keep_alive(const gust_http_request *req);

/* The length of the body: 0 without one, -1 if it is chunked. */
int64_t gust_http_request_content_length(const gust_http_request *req);

/* The connection, for gust_tls_info_read and the like; not to be read, written or
 * closed. */
gust_conn *gust_http_request_conn(const gust_http_request *req);

/* As gust_conn_remote_addr: a system call. */
void gust_http_request_remote_addr(const gust_http_request *req, gust_addr *ret_addr);

/* The same as gust_addr_format_host writes it: into `text`, but for servers with a log or
 * with keep_remote_hosts, which ask once for each connection.  As long as the request; not
 * after a hijack. */
const char *gust_http_request_remote_host(const gust_http_request *req,
                                          char text[GUST_ADDR_TEXT_MAX]);

/* One header or trailer field; the value has no white space around it. */
typedef struct gust_http_field {
    gust_span name;
    gust_span value;
} gust_http_field;

/* The value of the first field called `name`, in any case; data is NULL if
 * there is none.  Walks the header: costs time in its length. */
gust_span gust_http_request_header(const gust_http_request *req, const char *name);

/* Goes through the fields in the order they came in.  *cursor starts at 0;
 * returns false, with *ret_field untouched, after the last one. */
bool gust_http_request_fields(const gust_http_request *req, size_t *cursor,
                              gust_http_field *ret_field);

/* The same for the trailers of a chunked body: none until the body was read to
 * its end.  They are never mixed with the header. */
gust_span gust_http_request_trailer(const gust_http_request *req, const char *name);
bool gust_http_request_trailers(const gust_http_request *req, size_t *cursor,
                                gust_http_field *ret_field);

/* Memory for as long as the request: aligned for any type, not cleared, and released
 * by the server once the handler has returned, or has panicked.  Costs nothing where
 * it is not used.  NULL if memory is refused. */
void *gust_http_alloc(gust_http_request *req, size_t size);

/* --- Request body --------------------------------------------------------
 *
 * The first read answers "Expect: 100-continue".  If a read fails while nothing
 * of the response has been sent, the server answers by itself (400, 408, 413 or
 * 431) in place of what the handler prepared, unless that is an error response
 * too (status 400 and up); a chunked response that had begun is cut off, so that
 * nobody takes it for complete.  After a failed read the connection is closed. */

/* Sets how long the body may be; GUST_HTTP_UNLIMITED for one that is streamed
 * through.  Counts what was read before, too. */
void gust_http_body_limit(gust_http_request *req, uint64_t bytes_max);

/* Sets the least bytes per second for this body; GUST_HTTP_NO_MINIMUM for one whose
 * sender has a right to be silent. */
void gust_http_body_rate(gust_http_request *req, int64_t rate_min);

/* Hands out the next piece of the body where it arrived, without a copy; valid
 * until the next read of this body.  Returns its length, or 0 at the end of the
 * body.
 * Errors: -EMSGSIZE if the body is longer than its limit, -EBADMSG if its
 * framing is malformed, -ETIMEDOUT, -ECONNRESET, -EBADF if a shutdown reached
 * its deadline.  Every later read fails in the same way. */
ssize_t gust_http_body_next(gust_http_request *req, gust_span *ret_piece);

/* Copies at least one byte, at most `len`.  Otherwise the same. */
ssize_t gust_http_body_read(gust_http_request *req, void *buf, size_t len);

/* --- Response ------------------------------------------------------------
 *
 * Status and header first, then the body.  A handler that returns without
 * writing answers 200 with an empty body.
 *
 * A body shorter than 2 KiB, or one that the handler declared with a
 * Content-Length, is sent with its length; any other is chunked, or ended by
 * the close for an HTTP/1.0 client.  The server adds Date, the framing fields
 * and Connection. */

/* Sets the status.  Errors: -EINVAL outside 200..999; -EALREADY once the body
 * has begun. */
int gust_http_status(gust_http_response *res, int status);

/* Adds a field (a second one of the same name, too).  Three are special:
 * Content-Length declares the length of the body; "Connection: close" closes
 * the connection after this response; Date replaces the server's.
 * Errors: -EINVAL if the name is not a token or the value has a control byte
 * in it (a line end above all), for a Content-Length that is not a number or
 * contradicts an earlier one, for Transfer-Encoding and for any other
 * Connection; -EALREADY once the body has begun; -ENOBUFS beyond 64 KiB; -ENOMEM. */
int gust_http_header(gust_http_response *res, const char *name, const char *value);
int gust_http_header_span(gust_http_response *res, const char *name, gust_span value);

/* Writes a part of the body; the first call ends the header.  What is written
 * is collected until a buffer is full, the handler returns or flushes.  `buf`
 * is the caller's again on return.  For HEAD the bytes are counted and dropped.
 * Returns len.
 * Errors: -EMSGSIZE beyond the declared Content-Length and for a status without
 * a body (204, 304): nothing of this call is sent; -ETIMEDOUT, -EPIPE,
 * -ECONNRESET, -EBADF, -ENOMEM: the connection will be closed.
 * Writing less than declared also closes it. */
ssize_t gust_http_write(gust_http_response *res, const void *buf, size_t len);

/* Sends the header and what was written so far, without waiting until the
 * client has them.  Errors: as gust_http_write. */
int gust_http_flush(gust_http_response *res);

/* Adds a trailer field, sent after the body; makes the response chunked.
 * Errors: as gust_http_header; -ENOTSUP if the length was declared, for HEAD, a
 * status without body and an HTTP/1.0 client; -EINVAL for the names that frame
 * a message. */
int gust_http_trailer(gust_http_response *res, const char *name, const char *value);

/* A whole response in one call: status, Content-Type (NULL: none), body.
 * Errors: as the calls above. */
int gust_http_reply(gust_http_response *res, int status, const char *content_type, const void *body,
                    size_t len);

#ifdef __cplusplus
}
#endif
#endif
