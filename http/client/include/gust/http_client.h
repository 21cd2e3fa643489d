/* An HTTP/1.1 client: calls, and the connections that serve them one after the other.
 *
 *     char *data;
 *     size_t len;
 *     int status = gust_http_get(client, "http://example.org/", 1 << 20, &data, &len);
 *
 * A call is one request and its response, step by step:
 *
 *     gust_http_call_new        what to ask for          gust_http_origin_call
 *     gust_http_call_header     its fields, any number of them
 *     gust_http_call_send       the request, whole; or   _begin, _write ..., _end
 *     gust_http_call_wait       the response's status and header
 *     gust_http_call_next       its body, piece by piece (or _read, _read_all, _relay)
 *     gust_http_call_free       always; the connection serves others if it can
 *
 * Bodies stream in both directions, without being collected: a program that does not read
 * stops the server, a server that does not read stops the program.
 *
 * Every call here may block its goroutine unless it says that it does not.  How long is
 * limited by the call's timeouts (gust_http_timeouts), which are on by default, and by its
 * deadline; all waits end with -ECANCELED once the goroutine's context
 * (<gust/context.h>) is cancelled.  After an error the only use of a call is to ask what
 * happened (gust_http_call_info_read), and to free it: its connection is closed.
 *
 * One goroutine uses a call at a time, with one exception: once gust_http_call_begin has
 * returned, one may send (write, flush, trailer, end) while another one receives (wait,
 * next and so on).  gust_http_call_abort may be called by any.
 *
 * Framing is strict.  A response that two readers could understand in two ways is an error
 * (-EBADMSG) and its connection is closed; so is one that ends too early.
 *
 * Its library is apart (gust_http_client; pkg-config: gust-http-client): servers need not
 * link it.  It links no OpenSSL: who makes a gust_tls_config does. */
#ifndef GUST_HTTP_CLIENT_H
#define GUST_HTTP_CLIENT_H

#include <gust/base.h>
#include <gust/dial.h>
#include <gust/http.h>
#include <gust/net.h>
#include <gust/proxy.h>
#include <gust/tls.h>

#include <limits.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gust_http_decoding; /* gust/http_decode.h */

/* Origins, their connections and what they have in common. */
typedef struct gust_http_client gust_http_client;

/* One server, as a client knows it: its connections. */
typedef struct gust_http_origin gust_http_origin;

/* One request and its response. */
typedef struct gust_http_call gust_http_call;

/* --- Limits and timeouts -------------------------------------------------- */

/* What a zero in the options means. */
#define GUST_HTTP_CLIENT_HEADER_BYTES_MAX 65536
#define GUST_HTTP_CLIENT_HEADER_FIELDS_MAX 256
#define GUST_HTTP_CLIENT_CONNS_MAX UINT_MAX /* none, as Go */
#define GUST_HTTP_CLIENT_IDLE_MAX 64
#define GUST_HTTP_CLIENT_IDLE_TIMEOUT_NS (50 * GUST_SEC) /* servers: often 60 s */

#define GUST_HTTP_CLIENT_WAIT_TIMEOUT_NS (30 * GUST_SEC)
#define GUST_HTTP_CLIENT_CONNECT_TIMEOUT_NS (10 * GUST_SEC)
#define GUST_HTTP_CLIENT_TLS_TIMEOUT_NS (10 * GUST_SEC)
#define GUST_HTTP_CLIENT_SEND_TIMEOUT_NS (30 * GUST_SEC)
#define GUST_HTTP_CLIENT_HEAD_TIMEOUT_NS (60 * GUST_SEC)
#define GUST_HTTP_CLIENT_BODY_TIMEOUT_NS (60 * GUST_SEC)
#define GUST_HTTP_CLIENT_CONTINUE_TIMEOUT_NS (1 * GUST_SEC)

/* Fields of a request, or its trailers; beyond: -ENOBUFS. */
#define GUST_HTTP_CLIENT_REQUEST_BYTES_MAX 65536

/* Interim responses (1xx) to one request; beyond: -EBADMSG. */
#define GUST_HTTP_CLIENT_INTERIM_MAX 100

/* A body that nobody has read to its end is dropped by gust_http_call_free, and its
 * connection kept, if that much or less is missing and has arrived.  Never waited for. */
#define GUST_HTTP_CLIENT_DISCARD_BYTES_MAX 65536

/* For idle_max: a connection serves one call. */
#define GUST_HTTP_CLIENT_NO_IDLE UINT_MAX

/* How long each phase of a call may take: zeroes are the defaults above, GUST_FOREVER
 * turns one off. */
typedef struct gust_http_timeouts {
    int64_t wait_ns;     /* for one of conns_max connections to become free */
    int64_t connect_ns;  /* looking the name up, and connecting; by a proxy, also its answer */
    int64_t tls_ns;      /* the handshake */
    int64_t send_ns;     /* for each wait for the server to take bytes */
    int64_t head_ns;     /* from when a wait for the head begins until it is complete; an
                            interim response, and what is written of the request meanwhile,
                            begin it anew */
    int64_t body_ns;     /* for each wait for a piece of the body */
    int64_t continue_ns; /* for the answer to "Expect: 100-continue"; then the body is sent */
} gust_http_timeouts;

/* --- Client --------------------------------------------------------------- */

/* Zeroes are the defaults. */
typedef struct gust_http_client_options {
    /* For https.  A gust_tls_config of zero options verifies servers by the system's store.
     * NULL: URLs with https are -EPROTONOSUPPORT.  The client takes a reference. */
    gust_tls_config *tls;

    /* Of each origin. */
    unsigned conns_max;      /* connections at once; beyond, calls wait in line */
    unsigned idle_max;       /* connections kept that serve nobody */
    int64_t idle_timeout_ns; /* how long they are kept: so long, and up to a second more */

    size_t header_bytes_max;    /* status line, fields and line ends; trailers the same */
    unsigned header_fields_max; /* trailers count on their own */

    gust_http_timeouts timeouts;

    /* How often a call may be sent elsewhere by its response, for calls with a URL.  0, the
     * default: never; the program gets the 3xx.  See gust_http_call_redirects. */
    unsigned redirects_max;

    /* Calls with a URL go through the proxies that HTTP_PROXY, HTTPS_PROXY and NO_PROXY
     * name, or the same in lower case, read when the client is made.  As with Go: this machine
     * is never asked for by a proxy, and HTTP_PROXY is passed over if REQUEST_METHOD is set.
     * Proxies are spoken to by plain HTTP; https goes through them by CONNECT. */
    bool proxy_from_env;

    /* Undoes Content-Encoding: see <gust/http_decode.h>.  NULL, the default: bodies come as
     * they were sent, and nothing is asked for.  Must live as long as the client. */
    const struct gust_http_decoding *decoding;

    /* Sent as User-Agent by calls with a URL that set none.  NULL: "gust"; "": none.
     * Copied. */
    const char *user_agent;

    /* Copied, but for what it points to, which must live as long as the client. */
    gust_dial_options dial;
} gust_http_client_options;

/* Makes a client.  `options` may be NULL.  Does not block.
 * Errors: -EINVAL for a negative timeout, a limit above 16 MiB on the header, a proxy in
 * the environment that is no http URL, a user_agent with a control byte in it; -ENOMEM.  Only
 * from a goroutine. */
int gust_http_client_new(const gust_http_client_options *options, gust_http_client **ret_client);

/* Closes the idle connections and frees the client.  No call and no origin of it may be
 * left.  May wait for a moment.  NULL is accepted. */
void gust_http_client_free(gust_http_client *client);

/* Closes the connections that serve nobody now. */
void gust_http_client_close_idle(gust_http_client *client);

/* --- Simple calls --------------------------------------------------------- */

/* Asks for `url` and reads the whole body, of at most `limit` bytes.  Returns the status,
 * whatever it is.  *ret_data is the caller's to free, with a NUL behind *ret_len bytes.
 * Errors: -EMSGSIZE if the body is longer; as the calls below. */
int gust_http_get(gust_http_client *client, const char *url, size_t limit, char **ret_data,
                  size_t *ret_len);

/* The same for a POST of `len` bytes at `body`; content_type may be NULL. */
int gust_http_post(gust_http_client *client, const char *url, const char *content_type,
                   const void *body, size_t len, size_t limit, char **ret_data, size_t *ret_len);

/* --- Origins -------------------------------------------------------------- */

/* Calls with a URL find their origin by themselves.  Who knows the server beforehand, as a
 * proxy does, has its calls made by gust_http_origin_call, which looks nothing up. */
typedef struct gust_http_origin_options {
    /* "example.org", "example.org:8080", "[::1]:80": what Host says, who is dialled, and whom
     * the certificate must be for, unless the following say something else.  Without a port
     * it is 80, with TLS 443.  Copied. */
    const char *authority;

    gust_tls_config *tls;  /* NULL: plain HTTP; not the client's.  The origin takes a reference */
    const char *tls_name;  /* for SNI and the certificate; NULL: the authority's host.  Copied */
    const gust_addr *addr; /* dialled in place of a look-up; TCP or Unix.  NULL: the
                              authority is looked up for each connection.  Copied */

    /* Zeroes: what the client's options say. */
    unsigned conns_max;
    unsigned idle_max;
    int64_t idle_timeout_ns;
    gust_http_timeouts timeouts;
} gust_http_origin_options;

/* Makes an origin of its own, which shares no connection with others; the caller has one
 * reference.  Does not block.
 * Errors: -EINVAL for an authority that is none, a negative timeout; -ENOMEM. */
int gust_http_origin_new(gust_http_client *client, const gust_http_origin_options *options,
                         gust_http_origin **ret_origin);

gust_http_origin *gust_http_origin_ref(gust_http_origin *origin);

/* The last reference closes the idle connections; calls have references of their own.
 * NULL is accepted. */
void gust_http_origin_unref(gust_http_origin *origin);

void gust_http_origin_close_idle(gust_http_origin *origin);

/* The same, and those in use are closed once their calls have ended: every call that begins
 * later gets a connection that was made later.  For when the name leads elsewhere now. */
void gust_http_origin_renew(gust_http_origin *origin);

/* A snapshot of the connections, and counts since the origin was made. */
typedef struct gust_http_origin_stats {
    unsigned in_use; /* being made, or serving a call */
    unsigned idle;
    unsigned waiting; /* calls that wait for one of conns_max */
    uint64_t opened;  /* connections made */
    uint64_t failed;  /* that could not be made */
    uint64_t reused;  /* calls that found an idle one */
    uint64_t stale;   /* idle ones that the server had closed */
} gust_http_origin_stats;

void gust_http_origin_stats_read(gust_http_origin *origin, gust_http_origin_stats *ret_stats);

/* --- A call: what to ask for ---------------------------------------------- */

/* Makes a call by `method` ("GET"; case matters) of an http or https URL.  Credentials in the
 * URL become an Authorization field, a fragment is dropped.  Bytes that may not stand in a URL
 * are percent-encoded if they are spaces or above 127, else refused.  Does not block.
 * Errors: -EINVAL for a method that is no token, or CONNECT, and a malformed URL;
 * -EPROTONOSUPPORT for another scheme, and for https without options.tls; -ENOBUFS beyond
 * 64 KiB; -ENOMEM. */
int gust_http_call_new(gust_http_client *client, const char *method, const char *url,
                       gust_http_call **ret_call);

/* Makes a call to a known server.  `target` is sent as it is: "/path?query", "*".  No field
 * is added but Host and those that frame the body.  Does not block.
 * Errors: -EINVAL for a method that is no token, or a target with white space, a control byte
 * or '#' in it, or none; -ENOBUFS beyond 64 KiB; -ENOMEM. */
int gust_http_origin_call(gust_http_origin *origin, gust_span method, gust_span target,
                          gust_http_call **ret_call);

/* Ends the call, wherever it is: its connection is kept for the next one if request and
 * response are complete, and closed if not.  What was handed out by the call is not valid
 * any more.  Does not wait for the network.  NULL is accepted. */
void gust_http_call_free(gust_http_call *call);

/* Closes the connection under whoever uses it: their calls end with an error, usually -EBADF.
 * From any goroutine; the call has still to be freed, by its owner. */
void gust_http_call_abort(gust_http_call *call);

/* All of the following are for before the request is sent, and do not block.
 *
 * Adds a field (a second one of the same name, too).  Some are special:
 *   Host              replaces the origin's authority
 *   Content-Length    declares the length of the body, for gust_http_call_begin
 *   Connection        "close" only: the connection serves no other call
 *   Expect            "100-continue" only: see gust_http_call_write
 *   Accept-Encoding   turns options.decoding off for this call
 * Errors: -EINVAL if the name is no token or the value has a control byte in it, for
 * Transfer-Encoding, Upgrade, another Connection or Expect, a second Host, a Content-Length
 * that is no number or is a second one; -EALREADY once the request has begun;
 * -ENOBUFS beyond 64 KiB; -ENOMEM. */
int gust_http_call_header(gust_http_call *call, const char *name, const char *value);
int gust_http_call_header_span(gust_http_call *call, gust_span name, gust_span value);

/* Adds lines "name: value" as they are, each with its CRLF, without looking at them: for fields
 * that a parser of HTTP has let pass, such as gust_http_request_fields.  None may be one of
 * the special ones.  Errors: -EALREADY, -ENOBUFS, -ENOMEM. */
int gust_http_call_lines(gust_http_call *call, gust_span lines);

/* Asks to go on with another protocol: adds "Connection: Upgrade" and Upgrade.  If the server
 * agrees, the status is 101: see gust_http_call_take.
 * Errors: -EINVAL if it is not a list of protocol names; as gust_http_call_header. */
int gust_http_call_upgrade(gust_http_call *call, gust_span protocols);

/* A PROXY header is the first thing that is sent on the connection (<gust/proxy.h>), which is
 * a new one and serves this call only.  Copied.  Errors: as gust_proxy_header_format;
 * -EALREADY, -ENOMEM. */
int gust_http_call_proxy_header(gust_http_call *call, const gust_proxy_header *header);

/* Timeouts of this call in place of the origin's, and a point in time at which it ends whatever
 * phase it is in, with -ETIMEDOUT.  May be called again at any time, between two waits.
 * Errors: -EINVAL for a negative timeout. */
int gust_http_call_timeouts(gust_http_call *call, const gust_http_timeouts *timeouts);
void gust_http_call_deadline(gust_http_call *call, gust_time deadline);

/* How long the body of the response may be; beyond, reading it is -EMSGSIZE.  The default is
 * GUST_HTTP_UNLIMITED. */
void gust_http_call_body_limit(gust_http_call *call, uint64_t bytes_max);

/* How often gust_http_call_wait may follow a redirect, in place of the client's redirects_max;
 * one more is -ELOOP.  Followed are 301, 302, 303, 307 and 308 with a Location.  303, and 301
 * and 302 of a POST, go on as a GET without the body (HEAD stays HEAD), and without the
 * fields that describe it; the others send the body again, which must have been sent by
 * gust_http_call_send: else the 3xx is the response.  Authorization, Cookie,
 * Proxy-Authorization and WWW-Authenticate are not sent to another host or port or scheme.
 * No redirect leads from https to http: that is -EPROTONOSUPPORT.  Does nothing for calls
 * of gust_http_origin_call. */
void gust_http_call_redirects(gust_http_call *call, unsigned max);

/* May the request be sent again, on a new connection, if the server has closed one that was
 * idle?  By default it is, once, if nothing of a response has come, the connection had served
 * others, the body was sent by gust_http_call_send, and the method is idempotent (RFC 9110,
 * 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT, DELETE) or there is an Idempotency-Key.  Calls for
 * which it may not never get a connection that is known to be closed. */
void gust_http_call_no_retry(gust_http_call *call);

/* Takes a new connection even if there is an idle one. */
void gust_http_call_fresh(gust_http_call *call);

/* --- A call: sending ------------------------------------------------------ */

/* Sends the request with a body of `len` bytes, and a Content-Length unless the body is empty
 * and the method is one that usually has none (others than POST, PUT, PATCH).  Takes an idle
 * connection of the origin, or makes one.  `body` must stay as it is until gust_http_call_wait
 * has returned a final status: the request may be sent again.
 * Returns 0 once everything is on its way.
 * Errors: -ETIMEDOUT, -ECANCELED; GUST_RESOLVE_* and what gust_dial and gust_tls_handshake
 * return; -EPIPE, -ECONNRESET, -EBADF; -EMSGSIZE if another length was declared; -EALREADY;
 * -ENOMEM.
 * After -EPIPE and -ECONNRESET gust_http_call_wait may be called: the server may have answered
 * before it closed. */
int gust_http_call_send(gust_http_call *call, const void *body, size_t len);

/* Sends the header of a request whose body is written afterwards, of `length` bytes, or
 * chunked if that is -1 (and Content-Length was not set).  Such a request is never sent again.
 * Sent at once if there is no body (length 0) or it has an Expect, else with the first piece.
 * Errors: as gust_http_call_send; -EINVAL for another negative length. */
int gust_http_call_begin(gust_http_call *call, int64_t length);

/* Writes a piece of the body.  What is small is collected and sent with what follows; `buf` is
 * the caller's again on return.  Returns len.
 * The first write after an "Expect: 100-continue" waits for the server to answer that, for
 * continue_ns at most.
 * Errors: as gust_http_call_send; -EMSGSIZE beyond the declared length: nothing of this call
 * is sent; -EALREADY: the server has sent a final response in place of the 100, and does not
 * want the body: go on with gust_http_call_wait. */
ssize_t gust_http_call_write(gust_http_call *call, const void *buf, size_t len);

/* Sends what was collected.  Errors: as gust_http_call_write. */
int gust_http_call_flush(gust_http_call *call);

/* Adds a trailer field, sent after a chunked body.
 * Errors: as gust_http_call_header; -ENOTSUP if the body is not chunked; -EINVAL for the names
 * that frame or route a message. */
int gust_http_call_trailer(gust_http_call *call, const char *name, const char *value);
int gust_http_call_trailer_span(gust_http_call *call, gust_span name, gust_span value);

/* Ends the body, and sends what was collected.
 * Errors: as gust_http_call_write; -ENODATA if less was written than declared. */
int gust_http_call_end(gust_http_call *call);

/* --- A call: the response ------------------------------------------------- */

/* Waits for the response's status and header, following redirects if that was allowed, and
 * returns the status: 200 to 999, or 101 after gust_http_call_upgrade.  Interim responses are
 * passed over.  Called again, it returns the same.
 * Errors: -ETIMEDOUT, -ECANCELED; -ECONNRESET if the connection has ended instead; -EBADMSG if
 * what came is no response in HTTP/1.x, or an ambiguous one; -EMSGSIZE if the header is larger
 * than its limits; -ELOOP; -EPROTO for a 101 nobody asked for; -ENOMEM; those of
 * gust_http_call_send if it was sent again. */
int gust_http_call_wait(gust_http_call *call);

/* The same, and does not pass over interim responses: returns their status, 100 to 199, with
 * their fields until the next call.  For programs that hand them on.  Follows no redirects. */
int gust_http_call_next_head(gust_http_call *call);

/* What the last of these two has brought.  Spans stay valid until the call is freed, or another
 * head is waited for. */
int gust_http_call_status(const gust_http_call *call);       /* 0: none yet */
gust_span gust_http_call_reason(const gust_http_call *call); /* "Not Found"; may be empty */
int gust_http_call_minor(const gust_http_call *call);        /* HTTP/1.<minor>: 0 or 1 */

/* The length of the body as the response frames it: 0 without one, -1 if it is chunked or ends
 * with the connection.  After HEAD, and with 304, what Content-Length says, -1 without. */
int64_t gust_http_call_content_length(const gust_http_call *call);

/* False if there is none to read, whatever the header says (HEAD, 1xx, 204, 304). */
bool gust_http_call_has_body(const gust_http_call *call);

/* As gust_http_request_header and _fields: the first field of this name, and all of them. */
gust_span gust_http_call_response_header(const gust_http_call *call, const char *name);
bool gust_http_call_response_fields(const gust_http_call *call, size_t *cursor,
                                    gust_http_field *ret_field);

/* All of them as they came: lines that end in CRLF. */
gust_span gust_http_call_response_lines(const gust_http_call *call);

/* Trailers, once the body has been read to its end. */
gust_span gust_http_call_response_trailer(const gust_http_call *call, const char *name);
bool gust_http_call_response_trailers(const gust_http_call *call, size_t *cursor,
                                      gust_http_field *ret_field);

/* Where the response has come from, after redirects: its URL without credentials and fragment.
 * Of calls of gust_http_origin_call: empty. */
gust_span gust_http_call_url(const gust_http_call *call);

/* Hands out the next piece of the body where it arrived, without a copy; valid until the next
 * call about this body.  Returns its length, or 0 at the end of the body.
 * Errors: -EMSGSIZE if the body is longer than its limit; -EBADMSG if its framing, or its
 * coding, is malformed; -ENODATA if the connection ended before the body did; -ETIMEDOUT,
 * -ECANCELED, -ECONNRESET, -ECONNABORTED (TLS cut off), -EBADF.  -EINVAL before
 * gust_http_call_wait has returned a final status. */
ssize_t gust_http_call_next(gust_http_call *call, gust_span *ret_piece);

/* Copies at least one byte, at most `len`.  Otherwise the same. */
ssize_t gust_http_call_read(gust_http_call *call, void *buf, size_t len);

/* Reads what is left of the body, of at most `limit` bytes, into memory that is the caller's to
 * free, with a NUL behind it.  Errors: -EMSGSIZE if it is longer; as gust_http_call_next. */
int gust_http_call_read_all(gust_http_call *call, size_t limit, char **ret_data, size_t *ret_len);

/* Copies what is left of the body to a connection, without its framing.  Large bodies are moved
 * by the kernel where that is cheaper (<gust/copy.h>), unless they are chunked or encoded.
 * *ret_copied is set in every case.  A wait in which neither end has moved for body_ns is
 * -ETIMEDOUT.
 * Errors: as gust_http_call_next and gust_conn_write; if info.error (below) is 0 after one, it
 * was dst's, and the body can be read on. */
int gust_http_call_copy(gust_http_call *call, gust_conn *dst, uint64_t *ret_copied);

/* The same into a server's response, as the body or what follows of it: declared with its length
 * if it is known, else chunked; trailers are not copied.  What arrives is flushed when nothing
 * more has arrived.  The response's status and fields are the caller's business.
 * Errors: as gust_http_call_next and gust_http_write; the same about info.error.  After an error
 * of the call, a handler that returns leaves its client with a response that is visibly cut
 * off. */
int gust_http_call_relay(gust_http_call *call, gust_http_response *res, uint64_t *ret_copied);

/* Takes the connection: after a 101, or a 2xx of CONNECT.  *ret_conn is a reference of the
 * caller's, who closes it; its deadlines are none; what the server has sent beyond the header
 * is in its view, and is what the next read returns.  The call's header stays readable.  Does
 * not block.
 * Errors: -EPROTO if the response is not one of these; -EBUSY if the request has not ended;
 * -EALREADY. */
int gust_http_call_take(gust_http_call *call, gust_conn **ret_conn);

/* --- A call: what happened ------------------------------------------------ */

typedef enum gust_http_phase {
    GUST_HTTP_PHASE_NONE,    /* nothing has been tried */
    GUST_HTTP_PHASE_WAIT,    /* for one of conns_max connections */
    GUST_HTTP_PHASE_RESOLVE, /* looking the name up */
    GUST_HTTP_PHASE_CONNECT,
    GUST_HTTP_PHASE_PROXY, /* CONNECT, by a proxy of options.proxy_from_env */
    GUST_HTTP_PHASE_TLS,
    GUST_HTTP_PHASE_SEND,
    GUST_HTTP_PHASE_HEAD, /* waiting for the response, and reading its header */
    GUST_HTTP_PHASE_BODY,
    GUST_HTTP_PHASE_DONE, /* the response is complete */
} gust_http_phase;

/* "resolve", "connect" ...; never NULL. */
const char *gust_http_phase_name(gust_http_phase phase);

typedef struct gust_http_call_info {
    gust_http_phase phase; /* where the call is, or has failed */
    int error;             /* what it has failed of (gust_resolve_strerror has words for it);
                              0: it has not */
    bool reused;           /* the connection had served other calls */
    bool sent;             /* something of the request may have reached the server */
    bool received;         /* something of a response has come */
    unsigned attempts;     /* connections used, retries and redirects included */
    unsigned redirects;    /* that were followed */
    int proxy_status;      /* what a proxy has answered to CONNECT, if not 2xx; else 0 */
    int64_t connect_ns;    /* from the look-up to the end of the handshake; 0 if reused */
    gust_addr peer;        /* whom it is connected to; len 0: nobody */
    const char *reason;    /* more about the error, in English; "" if there is no more to say.
                              Valid as long as the call */
} gust_http_call_info;

/* Does not block; by a goroutine that may use the call. */
void gust_http_call_info_read(const gust_http_call *call, gust_http_call_info *ret_info);

#ifdef __cplusplus
}
#endif
#endif
