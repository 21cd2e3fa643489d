/* One connection, and one request with its response on it.
 *
 *     server.c    accepts, keeps the list of connections
 *     shutdown.c  the end of the server: lame, draining, closed
 *     conn.c      the connection's goroutines: read heads, run exchanges, park
 *     request.c   what a handler can ask of a request; its life
 *     body.c      reading the request's body
 *     response.c  collecting and sending the response
 *     filter.c    what changes the body on its way; send_file.c: bodies from files
 *     response_header.c, inform.c  its fields so far; what is sent ahead of it
 *     hijack.c    giving the connection away
 *     watch.c     the contexts of handlers, and whether the client is still there
 *     arena.c     memory that lives as long as a request
 *     access.c    the end of an exchange, for those who count and log; stats.c, log.c
 *
 * Output is appended to the connection's write buffer and flushed in one place,
 * gust__http_fill, just before the goroutine may wait for input: so the answers
 * to pipelined requests leave together, and no client waits for an answer that
 * lies in a buffer.  But for a handler that takes its time: the proxy, which waits
 * for others, flushes what lies there before it does (`follows`). */
#ifndef GUST_HTTP_EXCHANGE_H
#define GUST_HTTP_EXCHANGE_H

#include "http/arena.h"
#include "http/chunked.h"
#include "http/head.h"
#include "http/text.h"
#include "http/watch.h"

#include <stdatomic.h>
#include <sys/queue.h>

/* Who may end the connection.  Its goroutines move it between IDLE and BUSY.  IDLE: no byte
 * of a request is there, and it is parked, or a goroutine asks for the first one.  A
 * shutdown, or who needs the room (give_up.c), claims it by IDLE -> CLAIMED and ends its
 * wait, upon which its goroutine closes it.  CLOSING is for those who count: its last
 * goroutine is about to end it.  TAKEN: it is the handler's, and not in the list. */
enum http_conn_state { CONN_IDLE, CONN_BUSY, CONN_CLAIMED, CONN_CLOSING, CONN_TAKEN };

/* An idle connection costs little more than this: eight bytes more are sixteen to malloc. */
struct http_conn {
    gust_http_server *server;   /* counted */
    gust_conn *conn;            /* the goroutine's reference, or the wait's */
    _Atomic uint32_t life;      /* the state, and above it when it was last idle */
    _Atomic uint32_t requests;  /* whose heads were complete; stays at the largest number */
    LIST_ENTRY(http_conn) link; /* under the server's mutex */
};

#define CONN_STATE_MASK UINT32_C(0xff)
#define CONN_IDLE_SHIFT 8

/* Milliseconds, which begin anew after 4.6 hours. */
static inline uint32_t conn_idle_clock(gust_time now)
{
    return (uint32_t)(now / GUST_MS) << CONN_IDLE_SHIFT;
}

static inline enum http_conn_state conn_state_of(uint32_t life)
{
    return (enum http_conn_state)(life & CONN_STATE_MASK);
}

/* Relaxed: who looks from outside knows that it may have changed. */
static inline enum http_conn_state conn_state(const struct http_conn *hc)
{
    return conn_state_of(atomic_load_explicit(&hc->life, memory_order_relaxed));
}

/* From one state to another; false if it is in a third. */
static inline bool conn_move(struct http_conn *hc, enum http_conn_state from,
                             enum http_conn_state to)
{
    uint32_t life = atomic_load_explicit(&hc->life, memory_order_relaxed);

    do
        if (conn_state_of(life) != from)
            return false;
    while (!atomic_compare_exchange_weak(&hc->life, &life, (life & ~CONN_STATE_MASK) | to));
    return true;
}

/* By its goroutine. */
static inline bool is_taken(const struct http_conn *hc)
{
    return conn_state(hc) == CONN_TAKEN;
}

/* --- stats.c --- */

/* Report what has gone wrong to those who count, and to the hook: the request was refused
 * with this status; something of this kind; what the wait for the first byte has
 * brought; what has stopped an exchange. */
void gust__http_report_refusal(struct http_conn *hc, int status);
void gust__http_report_kind(struct http_conn *hc, int kind, int error);
void gust__http_report_first(struct http_conn *hc, int error);
void gust__http_report_exchange(const gust_http_request *req, const gust_http_response *res);
void gust__http_report_panic(struct http_conn *hc, const char *message);

/* Responses in a row that had the same first digit in their status, which a goroutine has
 * not told the server yet: it does so before it parks or ends, so once for many pipelined
 * requests. */
struct http_count {
    unsigned digit;
    unsigned responses;
};

void gust__http_count_add(gust_http_server *s, struct http_count *count);

static inline void count_response(gust_http_server *s, struct http_count *count, int status)
{
    unsigned digit = (unsigned)status / 100;

    if (digit != count->digit)
        gust__http_count_add(s, count);
    count->digit = digit;
    count->responses++;
}

/* --- access.c --- */

/* An exchange has ended, but for the release of what it has, and something went wrong or
 * there is a log: reports and logs it. */
void gust__http_exchange_done(const gust_http_request *req, const gust_http_response *res,
                              gust_time begun);

/* The connection is about to be taken: keeps the client's address for the log, since the
 * handler may close the connection before the exchange ends. */
void gust__http_access_keep(const gust_http_request *req);

/* gust__http_exchange_done for a request that was refused before it was one; counts it. */
void gust__http_refusal_done(struct http_conn *hc, int status);

/* --- server.c --- */

const gust_http_server_options *gust__http_options(const struct http_conn *hc);

struct http_watcher *gust__http_watcher(const struct http_conn *hc);

/* Buffers of HTTP_BUFFER_SIZE bytes, so that not each response asks the system for one. */
#define HTTP_BUFFER_SIZE ((size_t)65536)
struct gust_pool *gust__http_buffers(const struct http_conn *hc);

/* Takes it out of the list: it is hijacked, and the server has no more to do with it. */
void gust__http_conn_forget(struct http_conn *hc);

/* The last act of a connection's last goroutine; frees hc. */
void gust__http_conn_done(struct http_conn *hc);

/* --- shutdown.c --- */

/* True from the begin of a shutdown: not ready any more, while draining may be yet to come. */
bool gust__http_lame(const struct http_conn *hc);

/* True once a shutdown has begun: answer with "Connection: close". */
bool gust__http_draining(const struct http_conn *hc);

/* --- conn.c --- */

/* Parks a new connection until its first request begins, or ends it.  hc is gone, or
 * somebody else's, after that. */
void gust__http_conn_start(struct http_conn *hc);

/* The goroutine of a connection that was parked. */
void gust__http_conn_main(void *arg);

/* Sends what was appended, then gust_conn_fill. */
ssize_t gust__http_fill(struct http_conn *hc, size_t max_view, gust_time deadline);

/* gust_conn_append within the write timeout, which is for each piece; 0 or an error.  send:
 * by a handler. */
int gust__http_append(struct http_conn *hc, const void *buf, size_t len);
int gust__http_send(const gust_http_request *req, const void *buf, size_t len);

/* How long a client may take to receive a piece of this length. */
gust_time gust__http_write_deadline(const struct http_conn *hc, size_t len);

/* --- Request --- */

struct http_route;
struct log_field;

enum body_state { BODY_LENGTH, BODY_CHUNKED, BODY_END };

struct gust_http_request {
    struct http_conn *hc;
    struct http_watch *watch;
    const struct http_head *head;
    const char *text; /* the head's bytes: in the view, or `copy` */
    char *copy;       /* made for a request with a body, else NULL */

    /* The first `held` bytes of the view are in a handler's hands (the head, a
     * piece of the body, the trailers) and are consumed before the next fill. */
    size_t held;
    size_t trailer_bytes; /* at the start of the view, once the body has ended */

    enum body_state body;
    uint64_t left; /* BODY_LENGTH: bytes not handed out yet */
    struct chunked chunked;
    struct http_lines trailer_lines;
    unsigned trailer_fields;
    uint64_t body_max;
    int64_t body_rate;   /* bytes per second, or GUST_HTTP_NO_MINIMUM */
    int64_t patience_ns; /* what is left of it: see fill in body.c */
    bool continue_due;   /* the client waits for "100 Continue" */
    bool follows;        /* came with others, whose answers may still lie in the buffer */
    int body_error;      /* what every further read returns */
    int refusal;         /* the status that goes with it; 0: no answer is possible */

    struct http_arena arena;        /* gust_http_alloc */
    const struct http_route *route; /* what a router has found; NULL: nothing */
    struct log_field *log_fields;   /* in the arena */

    gust_http_response *res;
};

/* Starts a request whose head is at the start of the view.  Errors: -ENOMEM. */
int gust__http_request_init(gust_http_request *req, struct http_conn *hc,
                            const struct http_head *head, gust_http_response *res);

/* Makes the head independent of the view, from which what was read of the request is
 * dropped.  Errors: -ENOMEM. */
int gust__http_request_keep_head(gust_http_request *req);

/* True if nothing of the body is left to read. */
bool gust__http_body_ended(const gust_http_request *req);

/* Reads and drops the rest of the body, up to the bound.  False if the
 * connection cannot serve another request. */
bool gust__http_body_discard(gust_http_request *req);

/* Drops the request's bytes from the view and releases its memory. */
void gust__http_request_fini(gust_http_request *req);

/* --- Response --- */

/* The status line and the server's own fields are put in front of the handler's
 * once they are known; this is their room. */
#define RESPONSE_PREFIX_MAX 160

/* A body that ends within this gets a Content-Length (as with Go). */
#define RESPONSE_STAGE_MAX 2048

/* Bound on the handler's fields, and on its trailers. */
#define RESPONSE_FIELDS_MAX 65536

/* Most responses fit this.  It lies on the goroutine's stack, and not larger so
 * that a connection that has served a request still costs one page of it. */
#define RESPONSE_STORAGE 1536

struct http_filter;

enum response_framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct gust_http_response {
    struct http_conn *hc;
    gust_http_request *req;

    /* [prefix room | fields | CRLF | staged body].  Until the commit nothing of
     * it has been sent; afterwards it is empty. */
    struct http_text text;
    size_t body_at; /* where the staged body starts; 0: the body has not begun */
    struct http_text trailers;

    int status;
    enum response_framing framing; /* from the commit on */
    bool committed;
    bool has_date;
    bool wants_chunked; /* there are trailers */
    bool keep_alive;
    bool declared; /* the handler gave a Content-Length */
    uint64_t length;
    uint64_t written; /* body bytes taken from the handler */
    int error;        /* of a send; nothing more is sent */

    const struct http_filter *filter; /* http/filter.h; NULL: none */
    void *filter_state;               /* of a filter that wants this body */
    struct http_text *collected;      /* where a filter's output goes; NULL: to the client */

    char storage[RESPONSE_STORAGE];
};

void gust__http_response_init(gust_http_response *res, struct http_conn *hc,
                              gust_http_request *req);

enum response_end {
    RESPONSE_DONE,      /* complete; the connection can go on */
    RESPONSE_LAST,      /* complete; the connection ends in good order */
    RESPONSE_TRUNCATED, /* the client must see that something is missing */
};

/* Sends what the handler left to send. */
enum response_end gust__http_response_finish(gust_http_response *res);

/* The same in the place of what the handler prepared: answers `status`, or cuts the
 * response off if it has begun. */
enum response_end gust__http_response_fail(gust_http_response *res, int status);

/* The fields that the handler has added: checked lines, each with its CRLF. */
gust_span gust__http_response_fields(const gust_http_response *res);

void gust__http_response_fini(gust_http_response *res);

/* Appends a complete small answer with "Connection: close". */
int gust__http_refuse(struct http_conn *hc, int status, bool with_body);

#endif
