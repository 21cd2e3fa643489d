/* The client inside.
 *
 *     client.c    options, and what all calls share
 *     origin.c    origins, and the table of those that URLs name
 *     pool.c      idle connections, limits, who waits; the sweep
 *     connect.c   making a connection; tunnel.c: through a proxy
 *     proxies.c   which one the environment names
 *     call.c      the life of a call
 *     request.c   what it asks for
 *     send.c      sending it
 *     receive.c   the response's head, and sending a request again
 *     body.c      the response's body as it was sent; decode.c: as it is handed out
 *     copy.c      into a connection or a server's response
 *     location.c  calls with a URL, and redirects; url.c: URLs
 *     simple.c    whole calls
 *
 * Locks, in this order: client->mutex (the table), origin->mutex (its connections).
 * call->mutex is taken with none of them held. */
#ifndef GUST_HTTP_CLIENT_CLIENT_H
#define GUST_HTTP_CLIENT_CLIENT_H

#include "http/chunked.h"
#include "http/client/proxies.h"
#include "http/client/url.h"
#include "http/response_head.h"
#include "http/text.h"

#include <gust/http_client.h>
#include <gust/http_url.h>
#include <gust/sync.h>
#include <gust/timer.h>

#include <stdatomic.h>
#include <sys/queue.h>

/* --- Client ----------------------------------------------------------------- */

LIST_HEAD(origin_list, gust_http_origin);

#define ORIGIN_BUCKETS 256

/* How often idle connections are looked at; less if they are not kept that long. */
#define SWEEP_NS (1 * GUST_SEC)

/* One that has been idle for no longer is not asked whether it lives. */
#define FRESH_NS (2 * GUST_MS)

struct gust_http_client {
    gust_http_client_options options; /* defaults are filled in */
    char *agent;                      /* options.user_agent */
    struct client_proxies proxies;    /* if options.proxy_from_env */
    struct gust_pool *calls;
    gust_mutex mutex;
    struct origin_list origins[ORIGIN_BUCKETS]; /* of URLs, by their keys */
};

/* Fills in what `from` says where `t` has zeroes. */
void gust__client_timeouts(gust_http_timeouts *t, const gust_http_timeouts *from);
bool gust__client_timeouts_valid(const gust_http_timeouts *t);

/* --- Origins ---------------------------------------------------------------- */

/* A connection that serves a call, or waits for the next one in its origin's list. */
struct client_conn {
    gust_http_origin *origin; /* alive as long as the connection is open */
    gust_conn *conn;
    TAILQ_ENTRY(client_conn) link; /* idle; under the origin's mutex */
    gust_time idle_since;
    bool used;           /* it has served a call */
    unsigned generation; /* the origin's when it was begun */
    int64_t connect_ns;
};

struct pool_waiter;

struct gust_http_origin {
    gust_http_client *client;
    _Atomic uint32_t refs; /* its users, its calls, and the client's table */
    bool listed;           /* it is in the table; under the client's mutex */
    LIST_ENTRY(gust_http_origin) link;

    char *authority; /* as Host has it */
    char *host;      /* without brackets; and the port, for the look-up */
    char service[8];
    uint16_t port;
    gust_tls_config *tls; /* counted, or NULL */
    char *tls_name;
    gust_addr addr;                   /* len 0: look it up */
    const struct client_proxy *proxy; /* that connections go through; NULL: none */
    gust_http_timeouts timeouts;
    unsigned conns_max;
    unsigned idle_max;
    int64_t idle_ns;
    int64_t sweep_ns;

    gust_mutex mutex;               /* what follows */
    TAILQ_HEAD(, client_conn) idle; /* the last used first */
    TAILQ_HEAD(, pool_waiter) waiters;
    unsigned idle_count;
    unsigned open; /* idle, in use, or being made */
    unsigned waiting;
    unsigned generation; /* of connections that may be kept */
    uint64_t opened, failed, reused, stale;
    bool armed; /* the timer, or its goroutine is under way */
    bool ended;
    gust_timer *timer;
    gust_waitgroup sweeping; /* as long as it is armed */

    char strings[]; /* what the pointers above point to */
};

/* What a URL says of its origin; the strings are the caller's. */
struct origin_key {
    gust_span authority; /* valid */
    gust_span host;      /* with brackets */
    uint16_t port;
    bool tls;
    const struct client_proxy *proxy; /* of the client's; follows from the rest */
};

/* Finds or makes the origin of a URL, with a reference for the caller. */
int gust__origin_find(gust_http_client *client, const struct origin_key *key,
                      gust_http_origin **ret_origin);

/* Drops a call's reference, and with it an origin of the table that nothing is known of
 * any more. */
void gust__origin_put(gust_http_origin *origin);

/* Takes it out of the table if it has neither calls nor connections: true, and the caller has
 * the table's reference. */
bool gust__origin_unlist_unused(gust_http_origin *origin);

/* Empties the table. */
void gust__origins_drop(gust_http_client *client);

/* --- The pool ----------------------------------------------------------------- */

/* Errors: -ENOMEM. */
int gust__pool_init(gust_http_origin *origin);

/* Closes what is idle; nobody else uses the origin. */
void gust__pool_fini(gust_http_origin *origin);

/* An idle connection, or the right to open one (*ret_cc is NULL then), for which it waits in
 * line.  wary: whether the server has closed an idle one is asked in every case; else not if
 * it was used a moment ago.  fresh: no idle one.
 * Errors: -ETIMEDOUT, -ECANCELED. */
int gust__pool_get(const gust_http_call *call, bool wary, bool fresh, struct client_conn **ret_cc);

/* For a connection that is about to be made. */
unsigned gust__pool_generation(gust_http_origin *origin);

/* True if there are no connections, and no sweep. */
bool gust__pool_is_empty(gust_http_origin *origin);

/* Gives back a connection that can serve another call. */
void gust__pool_put(struct client_conn *cc);

/* Closes one that cannot, and frees it. */
void gust__pool_close(struct client_conn *cc);

/* Forgets one that is somebody else's from now on, who gets the reference. */
gust_conn *gust__pool_give_away(struct client_conn *cc);

/* What came of the right to open one. */
void gust__pool_opened(gust_http_origin *origin, bool success);

/* --- Calls -------------------------------------------------------------------- */

/* Most requests' lines, fields and most responses' heads fit these. */
#define URL_STORAGE 256
#define LINE_STORAGE 512
#define FIELDS_STORAGE 1024
#define HEAD_STORAGE 1536

/* For request_length. */
#define LENGTH_UNDECLARED (-2)
#define LENGTH_CHUNKED (-1)

/*  NEW --send--> DONE
 *      \-begin-> HEAD --first write, flush--> BODY --end--> DONE
 * HEAD: the head has not left yet.  Every state --an error--> FAILED */
enum send_state { SEND_NEW, SEND_HEAD, SEND_BODY, SEND_DONE, SEND_FAILED };

/* NONE --head--> INTERIM --head--> FINAL.  FINAL is the end of the heads. */
enum head_state { HEADS_NONE, HEADS_INTERIM, HEADS_FINAL };

enum body_framing { BODY_NONE, BODY_BY_LENGTH, BODY_BY_CHUNKS, BODY_BY_CLOSE };

/* What one side of a call, sending or receiving, has failed of. */
struct failure {
    gust_http_phase phase;
    int error; /* 0: nothing */
    const char *reason;
};

struct gust_http_call {
    gust_http_client *client;
    gust_http_origin *origin; /* counted */

    gust_mutex mutex; /* the next two: who aborts the call may be anybody */
    struct client_conn *cc;
    bool aborted;

    gust_conn *conn; /* cc->conn, for the call's own goroutines */
    gust_http_timeouts timeouts;
    gust_time deadline;

    /* The request.  `line` is request line and Host, to which the fields that frame it are
     * added when it is sent. */
    struct http_text line;
    struct http_text fields;
    struct http_text trailers;
    size_t line_len; /* without what was added */
    bool is_head, is_connect, idempotent, takes_body;
    bool has_host, has_agent, has_auth, has_key, closes, expects, upgrades;
    bool no_retry, fresh, retried;
    bool by_url, no_decoding;
    struct http_text url;             /* of calls that have one */
    struct head_part named;           /* its authority, for Host */
    const struct client_proxy *proxy; /* that is asked for the whole URL; NULL: none */
    struct http_text basic;           /* the URL's credentials, for an Authorization field */
    unsigned redirects, redirects_max;
    int proxy_status;
    struct http_text proxy_header; /* PROXY protocol; empty: none */
    int64_t declared;              /* Content-Length, or LENGTH_* */
    const char *body;              /* of gust_http_call_send */
    bool whole;                    /* that was it */

    /* Sending. */
    enum send_state sending;
    int64_t length; /* or LENGTH_CHUNKED */
    uint64_t written;
    _Atomic uint32_t writes; /* of a stream; whoever waits for the head looks whether it goes on */
    bool continue_due;       /* the server has not answered Expect */
    bool sent;
    struct failure send_failure;

    /* Receiving. */
    enum head_state heads;
    struct response_head head;
    char *text; /* the head's bytes, and room for so many */
    size_t text_size;
    unsigned interims;
    bool reused, received;
    unsigned attempts;
    enum body_framing framing;
    bool body_ended;
    bool spoiled; /* the connection cannot serve another call */
    bool no_wait; /* a fill must not wait */
    bool taken;
    size_t held;   /* bytes of the view in the user's hands */
    uint64_t left; /* BODY_BY_LENGTH: not handed out yet */
    uint64_t body_max;
    uint64_t body_bytes;
    struct chunked chunked;
    int coding; /* of the body, if it is decoded; else -1 */
    struct body_decoder *decoder;
    struct http_text trailer_text; /* received */
    struct failure failure;
    char reason[160]; /* what `failure.reason` may point to */

    char url_storage[URL_STORAGE];
    char line_storage[LINE_STORAGE];
    char fields_storage[FIELDS_STORAGE];
    char head_storage[HEAD_STORAGE];
};

/* The deadline of a wait that may take `ns`. */
static inline gust_time call_deadline(const gust_http_call *call, int64_t ns)
{
    gust_time until = ns == GUST_FOREVER ? GUST_FOREVER : gust_after(ns);

    return until < call->deadline ? until : call->deadline;
}

/* --- call.c --- */

/* A call of the pool, made to ask for nothing yet.  Takes over a reference to the origin.
 * Errors: -ENOMEM. */
int gust__call_new(gust_http_client *client, gust_http_origin *origin, gust_http_call **ret_call);

/* Records what went wrong, unless something has before; returns the error. */
int gust__call_fail(struct failure *f, gust_http_phase phase, int error, const char *reason);

/* Gives the call its connection.  Errors: -EBADF if it was aborted. */
int gust__call_attach(gust_http_call *call, struct client_conn *cc);

/* Takes it away; the caller puts or closes it.  NULL if there is none. */
struct client_conn *gust__call_detach(gust_http_call *call);

/* Gives back the connection, or closes it; and forgets the response that came on it. */
void gust__call_release(gust_http_call *call);
void gust__call_reset_response(gust_http_call *call);

/* --- request.c --- */

/* The request line.  Errors: -EINVAL, -ENOBUFS, -ENOMEM. */
int gust__request_begin(gust_http_call *call, gust_span method, gust_span target);

/* What is added to it when it is sent. */
int gust__request_finish(gust_http_call *call);

/* --- connect.c --- */

/* Makes a connection for the call.  Errors are recorded. */
int gust__connect(gust_http_call *call, struct client_conn **ret_cc);

/* --- tunnel.c --- */

/* Has the origin's proxy connect to it.  Errors are recorded. */
int gust__tunnel(gust_http_call *call, gust_conn *conn, gust_time deadline);

/* --- send.c --- */

/* Gets a connection, and sends the request that was sent by gust_http_call_send. */
int gust__send_whole(gust_http_call *call);

/* The same on a new connection, if the call allows it. */
bool gust__may_send_again(const gust_http_call *call);
int gust__send_again(gust_http_call *call);

/* --- receive.c --- */

/* True for the errors that an idle connection has which the server has closed. */
bool gust__is_lost(int error);

/* Waits for the answer to Expect: 0 if the body is to be sent, -EALREADY if there is a final
 * response, or an error. */
int gust__await_continue(gust_http_call *call);

/* --- location.c --- */

/* After a final head: 1 if it was a redirect that has been followed, 0 if the response is the
 * call's, or an error. */
int gust__follow_redirect(gust_http_call *call);

/* "Basic ..." of a URL's userinfo.  Errors: -EINVAL, -ENOBUFS, -ENOMEM. */
int gust__basic_write(gust_span userinfo, struct http_text *t);

/* --- body.c --- */

/* Sets up what is read after a final head. */
void gust__body_begin(gust_http_call *call);

/* How many bytes of the body are at the start of the view: at least one, or 0 at its end, or
 * an error; and takes n of them. */
ssize_t gust__body_peek(gust_http_call *call);
void gust__body_take(gust_http_call *call, size_t n);

/* So many have been taken out of the connection in another way. */
void gust__body_count(gust_http_call *call, uint64_t n);

/* True if the next peek need not wait. */
bool gust__body_has_more(const gust_http_call *call);

/* Drops what is left of the body, as far as it has come.  False if it has not. */
bool gust__body_discard(gust_http_call *call);

/* --- decode.c --- */

/* True if the request asks for codings; and whether a response with a body has one. */
bool gust__decode_is_asked(const gust_http_call *call);
void gust__decode_note(gust_http_call *call);
void gust__decode_fini(gust_http_call *call);

/* The next piece of the body as it is handed out: its length, 0 at the end, or an error; and
 * takes n bytes of it. */
ssize_t gust__call_peek(gust_http_call *call, gust_span *ret_piece);
void gust__call_take(gust_http_call *call, size_t n);

/* True if the next peek need not wait. */
bool gust__call_has_more(const gust_http_call *call);

#endif
