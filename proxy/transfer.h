/* A request on its way through the proxy; on the stack of its handler. */
#ifndef GUST_PROXY_TRANSFER_H
#define GUST_PROXY_TRANSFER_H

#include "http/exchange.h"
#include "proxy/proxy.h"

/* Most requests' fields fit this. */
#define TRANSFER_STORAGE 1536

#define TRANSFER_TRIES_MAX (GUST_HTTP_PROXY_RETRIES_MAX + 1)

/* How the request's body is sent. */
enum transfer_body {
    TRANSFER_NONE,
    TRANSFER_WHOLE,  /* `piece` is all of it: can be sent again */
    TRANSFER_STREAM, /* `piece` is its beginning, if it has come */
};

/* SENDING --all is written, but for the end--> ENDING --> SENT.  A sender that fails goes to
 * SENT directly; then nothing of the request is touched by it any more. */
enum sender_state { SENDER_NONE, SENDER_SENDING, SENDER_ENDING, SENDER_SENT };

struct transfer {
    struct proxy_config *config;
    gust_http_request *req;
    gust_http_response *res;
    gust_time begun;
    gust_time deadline;
    uint64_t random;
    uint64_t key;

    /* What is sent to whichever upstream. */
    struct http_text lines;
    struct forward_found found;
    enum transfer_body body;
    gust_span piece;
    int64_t length; /* of the body; -1: chunked */

    /* The upstream that is asked now, and those before. */
    struct upstream *upstream; /* with a place taken */
    gust_http_call *call;
    struct upstream *tried[TRANSFER_TRIES_MAX];
    unsigned tried_count;
    gust_time asked;
    int upstream_status; /* 0: no response */
    int64_t upstream_ns; /* until its header */

    /* The goroutine that streams the body (stream.c). */
    _Atomic int sender;       /* enum sender_state */
    gust_waitgroup sending;   /* until that goroutine is gone */
    gust_waitgroup head_due;  /* until a final header has come, or will not */
    atomic_bool interrupted;  /* by us: what it meets is nobody's fault */
    _Atomic int client_error; /* of reading the body */
    _Atomic int send_error;   /* for which the call was aborted; -ETIMEDOUT: its time is up */

    char storage[TRANSFER_STORAGE];
};

/* The fields as they came, without the empty line at the end. */
static inline gust_span transfer_lines(const struct transfer *t)
{
    const struct http_head *h = t->req->head;

    return (gust_span){t->req->text + h->fields_at, h->len - h->fields_at - 2};
}

/* --- stream.c --- */

/* Finds out how the body will be sent, and reads its beginning.
 * Errors: as gust_http_body_next; the server answers. */
int gust__body_prepare(struct transfer *t);

/* Sends a request of TRANSFER_STREAM as far as it does not take a goroutine of its own, and
 * starts that.  Errors: as gust_http_call_begin; as gust_http_body_next (in client_error);
 * -ENOMEM. */
int gust__stream_begin(struct transfer *t);

/* A final header has come, or none will: ends the wait for it. */
void gust__stream_head_came(struct transfer *t);

/* True if the request's body is still being sent. */
bool gust__stream_is_busy(struct transfer *t);

/* Ends the sender, whatever it is doing, and waits for that. */
void gust__stream_end(struct transfer *t);

/* --- ask.c --- */

/* Sends the request to t->upstream and waits for the header of its response: its status, or
 * an error. */
int gust__ask(struct transfer *t);

/* --- respond.c --- */

/* Passes the response on.  Returns 0, or an error after which the client has to be told, or
 * left with a broken message. */
int gust__respond(struct transfer *t);

/* Passes an interim response on. */
void gust__respond_interim(struct transfer *t, int status);

/* Answers in the upstream's place, if nothing of a response has left. */
void gust__respond_status(struct transfer *t, int status);

/* --- tunnel.c --- */

/* After a 101: passes it on, and then bytes in both directions until both have ended.  Returns
 * an error if it could not be passed on. */
int gust__tunnel(struct transfer *t);

#endif
