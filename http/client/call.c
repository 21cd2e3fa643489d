/* The life of a call, and what can be asked about it. */
#include "http/client/client.h"

#include <errno.h>
#include <stdlib.h>

/* --- Life ---------------------------------------------------------------------------- */

static struct http_text text_in(char *storage, size_t size)
{
    return (struct http_text){.data = storage, .capacity = size};
}

int gust__call_new(gust_http_client *client, gust_http_origin *origin, gust_http_call **ret_call)
{
    gust_http_call *call = gust_pool_get(client->calls);

    if (!call) {
        gust__origin_put(origin);
        return -ENOMEM;
    }
    memset(call, 0, offsetof(gust_http_call, reason));
    call->client = client;
    call->origin = origin;
    call->timeouts = origin->timeouts;
    call->deadline = GUST_FOREVER;
    call->url = text_in(call->url_storage, URL_STORAGE);
    call->line = text_in(call->line_storage, LINE_STORAGE);
    call->fields = text_in(call->fields_storage, FIELDS_STORAGE);
    call->declared = LENGTH_UNDECLARED;
    call->text = call->head_storage;
    call->text_size = HEAD_STORAGE;
    call->body_max = GUST_HTTP_UNLIMITED;
    call->coding = -1;
    *ret_call = call;
    return 0;
}

/* True if the next call may have its connection. */
static bool is_reusable(gust_http_call *call)
{
    return call->sending == SEND_DONE && call->heads == HEADS_FINAL && call->head.keep_alive &&
           !call->closes && !call->spoiled && call->proxy_header.len == 0 &&
           call->framing != BODY_BY_CLOSE && !call->failure.error && gust__body_discard(call) &&
           gust_conn_view(call->conn).len == 0;
}

void gust__call_release(gust_http_call *call)
{
    bool reusable = call->conn && is_reusable(call);
    struct client_conn *cc = gust__call_detach(call);

    if (!cc)
        return;
    if (reusable && !call->aborted)
        gust__pool_put(cc);
    else
        gust__pool_close(cc);
}

void gust_http_call_free(gust_http_call *call)
{
    if (!call)
        return;
    gust__call_release(call);
    gust__decode_fini(call);
    free(call->url.heap);
    free(call->basic.heap);
    free(call->line.heap);
    free(call->fields.heap);
    free(call->trailers.heap);
    free(call->trailer_text.heap);
    free(call->proxy_header.heap);
    if (call->text != call->head_storage)
        free(call->text);
    gust__origin_put(call->origin);
    gust_pool_put(call->client->calls, call);
}

void gust__call_reset_response(gust_http_call *call)
{
    gust__decode_fini(call);
    call->heads = HEADS_NONE;
    call->coding = -1;
    call->interims = 0;
    call->received = false;
    call->body_ended = false;
    call->spoiled = false;
    call->held = 0;
    call->body_bytes = 0;
    call->chunked = (struct chunked){CHUNK_SIZE, 0, 0, 0};
    call->trailer_text.len = 0;
    call->send_failure = call->failure = (struct failure){GUST_HTTP_PHASE_NONE, 0, NULL};
}

/* --- The connection --------------------------------------------------------------------- */

int gust__call_attach(gust_http_call *call, struct client_conn *cc)
{
    gust_mutex_lock(&call->mutex);
    bool aborted = call->aborted;
    if (!aborted)
        call->cc = cc;
    gust_mutex_unlock(&call->mutex);
    if (aborted)
        return -EBADF;
    call->conn = cc->conn;
    return 0;
}

struct client_conn *gust__call_detach(gust_http_call *call)
{
    gust_mutex_lock(&call->mutex);
    struct client_conn *cc = call->cc;
    call->cc = NULL;
    gust_mutex_unlock(&call->mutex);
    call->conn = NULL;
    return cc;
}

void gust_http_call_abort(gust_http_call *call)
{
    gust_mutex_lock(&call->mutex);
    call->aborted = true;
    gust_conn *conn = call->cc ? gust_conn_ref(call->cc->conn) : NULL;
    gust_mutex_unlock(&call->mutex);
    gust_conn_close(conn, GUST_NOW);
}

/* --- What happened ------------------------------------------------------------------------ */

int gust__call_fail(struct failure *f, gust_http_phase phase, int error, const char *reason)
{
    if (!f->error)
        *f = (struct failure){phase, error, reason};
    return f->error;
}

const char *gust_http_phase_name(gust_http_phase phase)
{
    switch (phase) {
    case GUST_HTTP_PHASE_NONE: return "none";
    case GUST_HTTP_PHASE_WAIT: return "wait";
    case GUST_HTTP_PHASE_RESOLVE: return "resolve";
    case GUST_HTTP_PHASE_CONNECT: return "connect";
    case GUST_HTTP_PHASE_PROXY: return "proxy";
    case GUST_HTTP_PHASE_TLS: return "tls";
    case GUST_HTTP_PHASE_SEND: return "send";
    case GUST_HTTP_PHASE_HEAD: return "head";
    case GUST_HTTP_PHASE_BODY: return "body";
    case GUST_HTTP_PHASE_DONE: return "done";
    }
    return "unknown";
}

static gust_http_phase phase_of(const gust_http_call *call)
{
    if (call->heads == HEADS_FINAL)
        return call->body_ended ? GUST_HTTP_PHASE_DONE : GUST_HTTP_PHASE_BODY;
    if (call->sending == SEND_DONE)
        return GUST_HTTP_PHASE_HEAD;
    return call->sending == SEND_NEW ? GUST_HTTP_PHASE_NONE : GUST_HTTP_PHASE_SEND;
}

void gust_http_call_info_read(const gust_http_call *call, gust_http_call_info *ret_info)
{
    const struct failure *f = call->failure.error ? &call->failure : &call->send_failure;
    gust_http_call_info info = {
        .phase = f->error ? f->phase : phase_of(call),
        .error = f->error,
        .reused = call->reused,
        .sent = call->sent,
        .received = call->received,
        .attempts = call->attempts,
        .redirects = call->redirects,
        .proxy_status = call->proxy_status,
        .reason = f->reason ? f->reason : "",
    };
    if (call->cc) {
        info.connect_ns = call->reused ? 0 : call->cc->connect_ns;
        gust_conn_remote_addr(call->conn, &info.peer);
    }
    *ret_info = info;
}
