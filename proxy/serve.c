/* A request: which upstream, once more or not, and what the client is told. */
#include "proxy/transfer.h"

#include <gust/http_log.h>
#include <gust/http_operations.h>
#include <gust/http_reply.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- Who asks ------------------------------------------------------------------------------ */

/* The address alone; empty where there is none, as with a Unix socket. */
static gust_span numeric(const char *host)
{
    return strcmp(host, "unix:") == 0 || strcmp(host, "-") == 0 ? (gust_span){"", 0}
                                                                : gust_span_of(host);
}

static bool is_tls(const gust_http_request *req)
{
    gust_tls_info info;

    return gust_tls_info_read(gust_http_request_conn(req), &info) == 0;
}

static int make_lines(struct transfer *t)
{
    char text[GUST_ADDR_TEXT_MAX];
    struct forward_client client = {.host = gust_http_request_host(t->req)};

    if (t->config->rules.forwarding != GUST_HTTP_FORWARDING_NONE) {
        client.addr = numeric(gust_http_request_remote_host(t->req, text));
        client.tls = is_tls(t->req);
    }
    return gust__forward_request(&t->config->rules, &client, transfer_lines(t), &t->lines,
                                 &t->found);
}

/* --- Which upstream ------------------------------------------------------------------------- */

static uint64_t hash_client(const struct transfer *t)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;

    gust_http_request_client_addr(t->req, &addr);
    gust_span host = numeric(gust_addr_format_host(&addr, text));
    return gust__upstream_hash(host.data, host.len);
}

static uint64_t hash_key(const struct transfer *t)
{
    const gust_http_proxy_options *o = &t->config->options;
    gust_span target = gust_http_request_target(t->req);
    gust_span value = {NULL, 0};

    switch (o->hash_key) {
    case GUST_HTTP_HASH_CLIENT: break;
    case GUST_HTTP_HASH_URI: return gust__upstream_hash(target.data, target.len);
    case GUST_HTTP_HASH_HEADER: value = gust_http_request_header(t->req, o->hash_header); break;
    }
    return value.data ? gust__upstream_hash(value.data, value.len) : hash_client(t);
}

/* 0 with a place taken, or the status to answer with. */
static int pick(struct transfer *t)
{
    struct proxy_set *set = t->config->set;
    const struct pick pick = {t->random + t->tried_count * UINT64_C(0x9e3779b97f4a7c15), t->key,
                              t->tried, t->tried_count};

    if (gust__set_pick(set, &pick, &t->upstream) != PICK_OK)
        return 503;
    upstream_count(t->upstream, COUNT_REQUESTS);
    if (t->tried_count > 0)
        upstream_count(t->upstream, COUNT_RETRIES);
    t->tried[t->tried_count++] = t->upstream;
    return 0;
}

static void leave(struct transfer *t)
{
    gust_http_call_free(t->call);
    t->call = NULL;
    gust__upstream_leave(t->upstream);
    t->upstream = NULL;
}

/* --- What it was worth ------------------------------------------------------------------------ */

static bool is_unavailable(int status)
{
    return status == 502 || status == 503 || status == 504;
}

/* Nobody's failure but the client's, or ours. */
static bool is_innocent(struct transfer *t, int result)
{
    return result == -ECANCELED || result == -ENOMEM || result == -ENOBUFS ||
           atomic_load(&t->client_error) < 0;
}

static void judge(struct transfer *t, int result)
{
    struct upstream *u = t->upstream;

    if (result > 0) {
        upstream_count(u, COUNT_RESPONSES);
        gust__histogram_add(&u->latency, t->upstream_ns, t->asked + t->upstream_ns);
    }
    if (result > 0 && !is_unavailable(result)) {
        gust__health_success(&u->health);
        gust__retry_budget_success(&t->config->budget);
    } else if (!is_innocent(t, result)) {
        if (result < 0)
            upstream_count(u, COUNT_FAILURES);
        if (gust__health_failure(&u->health, &t->config->set->health))
            gust__proxy_eject(t->config, u);
    }
}

/* RFC 9110, 9.2.2; of the methods that are registered, those of WebDAV with it. */
static bool is_idempotent(gust_http_method method)
{
    switch (method) {
    case GUST_HTTP_GET:
    case GUST_HTTP_HEAD:
    case GUST_HTTP_OPTIONS:
    case GUST_HTTP_TRACE:
    case GUST_HTTP_PUT:
    case GUST_HTTP_DELETE:
    case GUST_HTTP_PROPFIND:
    case GUST_HTTP_SEARCH:
    case GUST_HTTP_REPORT: return true;
    default: return false;
    }
}

/* Could the upstream have done what was asked, and would it matter? */
static bool is_safe(const struct transfer *t, int result)
{
    gust_http_call_info info;

    if (is_idempotent(gust_http_request_method(t->req)))
        return result > 0 || !t->call || (gust_http_call_info_read(t->call, &info), !info.received);
    if (result > 0 || !t->call)
        return false;
    gust_http_call_info_read(t->call, &info);
    return !info.sent;
}

static bool may_retry(struct transfer *t, int result)
{
    const gust_http_proxy_options *o = &t->config->options;
    bool failed = result < 0
                      ? !is_innocent(t, result)
                      : o->retry_unavailable && is_unavailable(result) && t->config->set->count > 1;

    if (!failed || t->tried_count > o->retries || t->body == TRANSFER_STREAM)
        return false;
    gust_time now = gust_now();
    return is_safe(t, result) && now < t->deadline &&
           gust__retry_budget_take(&t->config->budget, now);
}

/* --- What the client is told ------------------------------------------------------------------- */

static int status_of(struct transfer *t, int error)
{
    gust_http_call_info info = {.phase = GUST_HTTP_PHASE_NONE};

    if (t->call)
        gust_http_call_info_read(t->call, &info);
    if (error == -ENOBUFS) /* too many fields, of the response or of the request */
        return t->upstream_status > 0 ? 502 : 431;
    if (error == -ENOMEM)
        return 503;
    if (error == -ECANCELED)
        return 499;
    if (error == -ETIMEDOUT)
        return info.phase == GUST_HTTP_PHASE_WAIT ? 503 : 504;
    return 502;
}

/* --- A request ------------------------------------------------------------------------------------ */

/* One upstream: true if another one is to be asked. */
static bool try_one(struct transfer *t)
{
    int status = pick(t);

    if (status != 0) {
        gust__respond_status(t, status);
        return false;
    }
    int r = gust__ask(t);
    judge(t, r);
    bool again = may_retry(t, r);
    if (!again && r > 0)
        r = r == 101 ? gust__tunnel(t) : gust__respond(t);
    gust__stream_end(t);
    /* Why a body could not be read is the server's to say. */
    if (!again && r < 0 && atomic_load(&t->client_error) == 0)
        gust__respond_status(t, status_of(t, r));
    leave(t);
    return again;
}

/* How long this request takes is the upstream's affair; it shall not keep the answers to those
 * before it back.  An error is the next write's, too. */
static void release_answers(const gust_http_request *req)
{
    if (req->follows)
        (void)gust_conn_flush(req->hc->conn);
}

static void run(struct transfer *t)
{
    const gust_http_proxy_options *o = &t->config->options;

    release_answers(t->req);
    int r = make_lines(t);
    if (r < 0) {
        gust__respond_status(t, status_of(t, r));
        return;
    }
    if (gust__body_prepare(t) < 0)
        return; /* the server answers */
    if (o->total_timeout_ns != GUST_FOREVER)
        t->deadline = gust_after(o->total_timeout_ns);
    if (o->balance == GUST_HTTP_CONSISTENT_HASH)
        t->key = hash_key(t);
    while (try_one(t))
        continue;
}

/* For the access log: who was asked last, what came of it, and how often before. */
static void note(const struct transfer *t)
{
    char text[32];

    if (!gust__http_options(t->req->hc)->log || t->tried_count == 0)
        return;
    (void)gust_http_log_field(t->req, "upstream", t->tried[t->tried_count - 1]->url);
    snprintf(text, sizeof(text), "%d", t->upstream_status);
    (void)gust_http_log_field(t->req, "upstream_status", text);
    snprintf(text, sizeof(text), "%.6f", (double)t->upstream_ns / (double)GUST_SEC);
    (void)gust_http_log_field(t->req, "upstream_seconds", text);
    snprintf(text, sizeof(text), "%u", t->tried_count - 1);
    (void)gust_http_log_field(t->req, "retries", text);
}

void gust_http_proxy_serve(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct transfer t;
    unsigned shard;

    memset(&t, 0, offsetof(struct transfer, storage));
    t.req = req;
    t.res = res;
    t.deadline = GUST_FOREVER;
    t.lines = (struct http_text){.data = t.storage, .capacity = sizeof(t.storage)};
    t.config = gust__proxy_take(arg, &shard, &t.random);
    run(&t);
    note(&t);
    free(t.lines.heap);
    current_put(&t.config->counted, shard);
}
