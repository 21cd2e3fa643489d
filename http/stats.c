/* Counting what a server does and what goes wrong. */
#include "http/server.h"

#include <sched.h>

const char *gust_http_error_name(gust_http_error_kind kind)
{
    switch (kind) {
    case GUST_HTTP_ERROR_ACCEPT: return "accept";
    case GUST_HTTP_ERROR_CONNECTION_LIMIT: return "connection limit";
    case GUST_HTTP_ERROR_CLIENT_LIMIT: return "client's connection limit";
    case GUST_HTTP_ERROR_HANDSHAKE: return "TLS handshake";
    case GUST_HTTP_ERROR_HEADER_TIMEOUT: return "header timeout";
    case GUST_HTTP_ERROR_MALFORMED: return "malformed request";
    case GUST_HTTP_ERROR_UNSUPPORTED: return "unsupported request";
    case GUST_HTTP_ERROR_REQUEST_LINE: return "request line limit";
    case GUST_HTTP_ERROR_HEADER_LIMIT: return "header limit";
    case GUST_HTTP_ERROR_BODY_LIMIT: return "body limit";
    case GUST_HTTP_ERROR_BODY_TIMEOUT: return "body timeout";
    case GUST_HTTP_ERROR_WRITE_TIMEOUT: return "write timeout";
    case GUST_HTTP_ERROR_CONN_REQUESTS: return "requests of a connection";
    case GUST_HTTP_ERROR_GIVEN_UP: return "idle connection given up";
    case GUST_HTTP_ERROR_MEMORY: return "out of memory";
    case GUST_HTTP_ERROR_PANIC: return "panic";
    case GUST_HTTP_ERROR_KINDS: break;
    }
    return "";
}

/* Nothing has gone wrong. */
static bool is_event(gust_http_error_kind kind)
{
    return kind == GUST_HTTP_ERROR_CONN_REQUESTS || kind == GUST_HTTP_ERROR_GIVEN_UP;
}

void gust__http_report(gust_http_server *s, gust_conn *conn, gust_http_error_info error)
{
    /* Relaxed: a count orders nothing. */
    atomic_fetch_add_explicit(&s->errors[error.kind], 1, memory_order_relaxed);
    if (!s->options.on_error || is_event(error.kind))
        return;
    error.remote.len = 0;
    if (conn)
        gust_conn_remote_addr(conn, &error.remote);
    if (!error.text)
        error.text = "";
    s->options.on_error(&error, s->options.hook_arg);
}

/* The kind of an error that the client was told by this status. */
static gust_http_error_kind kind_of(int status)
{
    switch (status) {
    case 408: return GUST_HTTP_ERROR_HEADER_TIMEOUT;
    case 413: return GUST_HTTP_ERROR_BODY_LIMIT;
    case 414: return GUST_HTTP_ERROR_REQUEST_LINE;
    case 431: return GUST_HTTP_ERROR_HEADER_LIMIT;
    case 417:
    case 501:
    case 505: return GUST_HTTP_ERROR_UNSUPPORTED;
    case 503: return GUST_HTTP_ERROR_MEMORY;
    default: return GUST_HTTP_ERROR_MALFORMED;
    }
}

void gust__http_report_refusal(struct http_conn *hc, int status)
{
    gust_http_error_info error = {.kind = kind_of(status), .status = status};

    if (status == 408)
        error.error = -ETIMEDOUT;
    gust__http_report(hc->server, hc->conn, error);
}

void gust__http_report_kind(struct http_conn *hc, int kind, int error)
{
    gust__http_report(hc->server, hc->conn,
                      (gust_http_error_info){.kind = (gust_http_error_kind)kind, .error = error});
}

void gust__http_report_panic(struct http_conn *hc, const char *message)
{
    gust__http_report(
        hc->server, hc->conn,
        (gust_http_error_info){.kind = GUST_HTTP_ERROR_PANIC, .status = 500, .text = message});
}

/* Before the handshake is done, whatever goes wrong is its fault. */
void gust__http_report_first(struct http_conn *hc, int error)
{
    gust_tls_info info;
    int r = error < 0 ? gust_tls_info_read(hc->conn, &info) : -EINVAL;

    if (r == -ENOTCONN)
        gust__http_report(hc->server, hc->conn,
                          (gust_http_error_info){.kind = GUST_HTTP_ERROR_HANDSHAKE,
                                                 .error = error,
                                                 .text = gust_tls_error(hc->conn)});
    else if (error == -ETIMEDOUT)
        gust__http_report_kind(hc, GUST_HTTP_ERROR_HEADER_TIMEOUT, error);
}

void gust__http_report_exchange(const gust_http_request *req, const gust_http_response *res)
{
    gust_http_error_info error = {.kind = kind_of(req->refusal),
                                  .status = res->committed ? res->status : 0,
                                  .error = req->body_error};

    if (req->refusal) {
        if (req->refusal == 408)
            error.kind = GUST_HTTP_ERROR_BODY_TIMEOUT;
        gust__http_report(req->hc->server, req->hc->conn, error);
    }
    if (res->error == -ETIMEDOUT)
        gust__http_report_kind(res->hc, GUST_HTTP_ERROR_WRITE_TIMEOUT, res->error);
    else if (res->error == -ENOMEM)
        gust__http_report_kind(res->hc, GUST_HTTP_ERROR_MEMORY, res->error);
}

void gust__http_count_add(gust_http_server *s, struct http_count *count)
{
    if (count->responses == 0)
        return;
    int cpu = sched_getcpu();
    struct http_tally *tally = &s->tallies[cpu < 0 ? 0 : cpu % TALLIES];
    /* Relaxed: a count orders nothing. */
    atomic_fetch_add_explicit(&tally->responses[count->digit < 6 ? count->digit : 0],
                              count->responses, memory_order_relaxed);
    count->responses = 0;
}

/* --- Reading ------------------------------------------------------------------- */

static void count_conn(const struct http_conn *hc, gust_http_server_stats *stats)
{
    /* Relaxed: the snapshot may be as old as it likes. */
    bool used = atomic_load_explicit(&hc->requests, memory_order_relaxed) > 0;

    switch (conn_state(hc)) {
    case CONN_IDLE: *(used ? &stats->conns_idle : &stats->conns_new) += 1; break;
    case CONN_BUSY: stats->conns_active++; break;
    case CONN_CLAIMED:
    case CONN_CLOSING: stats->conns_closing++; break;
    case CONN_TAKEN: break; /* about to leave the list */
    }
}

void gust_http_server_stats_read(gust_http_server *s, gust_http_server_stats *ret_stats)
{
    gust_http_server_stats stats = {0};
    const struct http_conn *hc;

    for (int i = 0; i < TALLIES; i++)
        for (int class = 0; class < 6; class ++)
            stats.responses[class] += atomic_load(&s->tallies[i].responses[class]);
    for (int i = 0; i < GUST_HTTP_ERROR_KINDS; i++)
        stats.errors[i] = atomic_load(&s->errors[i]);
    gust_mutex_lock(&s->mutex);
    stats.accepted = s->accepted;
    LIST_FOREACH(hc, &s->conns, link)
    count_conn(hc, &stats);
    gust_mutex_unlock(&s->mutex);
    *ret_stats = stats;
}
