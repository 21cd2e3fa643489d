/* A server.  server.c accepts, shutdown.c ends it, stats.c counts, clients.c bounds what
 * one client has. */
#ifndef GUST_HTTP_SERVER_INTERNAL_H
#define GUST_HTTP_SERVER_INTERNAL_H

#include "http/clients.h"
#include "http/exchange.h"
#include "http/watch.h"

#include <gust/chan.h>
#include <gust/http_operations.h>
#include <gust/sync.h>

struct serving {
    gust_listener *listener;
    LIST_ENTRY(serving) link;
};

/* Responses are counted per CPU, roughly, as the lines of the access log are gathered:
 * so that no two of them write to one cache line for each request. */
#define TALLIES 16

struct http_tally {
    _Atomic uint64_t responses[6];
} __attribute__((aligned(64)));

struct gust_http_server {
    struct http_tally tallies[TALLIES];
    _Atomic uint64_t errors[GUST_HTTP_ERROR_KINDS];

    gust_http_server_options options;
    atomic_int refs;  /* the owner, every connection, every shutdown */
    atomic_bool lame; /* a shutdown has begun */
    atomic_bool draining;
    struct http_clients *clients; /* NULL: nobody counts them */
    struct http_watcher watcher;
    gust_pool *buffers;

    gust_mutex mutex;
    LIST_HEAD(, http_conn) conns;
    struct http_conn *hand; /* where give_up.c goes on; NULL: at the start */
    LIST_HEAD(, serving) listeners;
    unsigned conn_count;
    unsigned waiting; /* serve calls that wait for room */
    uint64_t accepted;
    gust_cond room;
    bool drained_closed;
    bool stopped_closed;
    gust_chan *drained; /* closed, never sent to */
    gust_chan *stopped;
};

/* What some servers keep of a connection, behind its struct http_conn, since an idle one
 * is to cost as little as it can. */
struct http_conn_extra {
    struct http_client *client; /* NULL: not counted */
    char *peer;                 /* its address in text; NULL: not asked yet */
};

/* True if the server's connections have it. */
static inline bool has_extra(const gust_http_server *s)
{
    return s->clients || s->options.log || s->options.keep_remote_hosts;
}

static inline struct http_conn_extra *extra_of(struct http_conn *hc)
{
    return (struct http_conn_extra *)(hc + 1);
}

/* gust_http_request_remote_host. */
const char *gust__http_remote_host(struct http_conn *hc, char text[GUST_ADDR_TEXT_MAX]);

/* Has the connection, which has an extra, keep this text as its `peer`.  Returns `text`
 * itself only where memory is short. */
const char *gust__http_keep_peer(struct http_conn *hc, const char *text);

void gust__http_server_ref(gust_http_server *s);
void gust__http_server_unref(gust_http_server *s);

/* Tells a shutdown that waits if the last connection and the last serve call are gone.
 * Under the mutex. */
void gust__http_check_drained_locked(gust_http_server *s);

/* Counts what has gone wrong, and calls the hook.  `conn` may be NULL. */
void gust__http_report(gust_http_server *s, gust_conn *conn, gust_http_error_info error);

/* Checks and copies the options' trusted proxies.  Errors: -EINVAL, -ENOMEM. */
int gust__http_trust_copy(gust_http_server_options *options);

#endif
