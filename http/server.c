/* The server: accepting, the list of its connections, shutting down.
 *
 * Always, under the mutex: `conns` holds every connection that has not
 * come to gust__http_conn_done, and `listeners` every one that a serve call
 * is accepting on.  A goroutine leaves the list before it drops its gust_conn:
 * so a shutdown that holds the mutex may use every conn in the list.
 *
 *   serving -- shutdown --> draining -- last one gone --> `drained` closed
 *                              \-- deadline: all closed --/
 *                               then `stopped` is closed: serve returns 0 */
#include "http/exchange.h"

#include "core/inject.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/runtime.h>
#include <gust/sync.h>

#include <errno.h>
#include <stdlib.h>

/* How long a shutdown past its deadline waits for the goroutines whose
 * connections it closed: every call they may be blocked in has returned. */
#define SHUTDOWN_GRACE_NS (100 * GUST_MS)

/* What is idle of them after a burst. */
#define BUFFERS_KEPT_PER_P 16

#define HEADER_LIMIT_MAX (16 << 20)

struct serving {
    gust_listener *listener;
    LIST_ENTRY(serving) link;
};

struct gust_http_server {
    gust_http_server_options options;
    atomic_int refs; /* the owner, every connection, every shutdown */
    atomic_bool draining;
    struct http_watcher watcher;

    gust_mutex mutex;
    LIST_HEAD(, http_conn) conns;
    LIST_HEAD(, serving) listeners;
    bool drained_closed;
    bool stopped_closed;
    gust_chan *drained; /* closed, never sent to */
    gust_chan *stopped;
    gust_pool *buffers;
};

const gust_http_server_options *gust__http_options(const struct http_conn *hc)
{
    return &hc->server->options;
}

gust_pool *gust__http_buffers(const struct http_conn *hc)
{
    return hc->server->buffers;
}

struct http_watcher *gust__http_watcher(const struct http_conn *hc)
{
    return &hc->server->watcher;
}

bool gust__http_draining(const struct http_conn *hc)
{
    return atomic_load(&hc->server->draining);
}

/* --- Life ----------------------------------------------------------------- */

static void server_ref(gust_http_server *s)
{
    /* Relaxed: whoever adds a reference holds one. */
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

static void server_unref(gust_http_server *s)
{
    /* Release and acquire: the last one sees what all others did before. */
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    gust__http_watcher_fini(&s->watcher);
    gust_chan_unref(s->drained);
    gust_chan_unref(s->stopped);
    gust_pool_free(s->buffers);
    gust_tls_config_unref(s->options.tls);
    free(s);
}

static void default_size(size_t *value, size_t preset)
{
    if (*value == 0)
        *value = preset;
}

static void default_time(int64_t *value, int64_t preset)
{
    if (*value == 0)
        *value = preset;
}

static void fill_in_defaults(gust_http_server_options *o)
{
    default_size(&o->request_line_max, GUST_HTTP_REQUEST_LINE_MAX);
    default_size(&o->header_bytes_max, GUST_HTTP_HEADER_BYTES_MAX);
    if (o->header_fields_max == 0)
        o->header_fields_max = GUST_HTTP_HEADER_FIELDS_MAX;
    if (o->body_bytes_max == 0)
        o->body_bytes_max = GUST_HTTP_BODY_BYTES_MAX;
    default_time(&o->header_timeout_ns, GUST_HTTP_HEADER_TIMEOUT_NS);
    default_time(&o->idle_timeout_ns, GUST_HTTP_IDLE_TIMEOUT_NS);
    default_time(&o->read_timeout_ns, GUST_HTTP_READ_TIMEOUT_NS);
    default_time(&o->write_timeout_ns, GUST_HTTP_WRITE_TIMEOUT_NS);
}

static bool options_valid(const gust_http_server_options *o)
{
    return o->handler && o->header_timeout_ns >= 0 && o->idle_timeout_ns >= 0 &&
           o->read_timeout_ns >= 0 && o->write_timeout_ns >= 0 &&
           o->request_line_max <= HEADER_LIMIT_MAX && o->header_bytes_max <= HEADER_LIMIT_MAX;
}

static void *make_buffer(void *arg)
{
    (void)arg;
    return gust__malloc(HTTP_BUFFER_SIZE);
}

int gust_http_server_new(const gust_http_server_options *options, gust_http_server **ret_server)
{
    const gust_pool_options buffers = {.make = make_buffer, .max_per_p = BUFFERS_KEPT_PER_P};
    int r;

    if (!options || !options_valid(options))
        return -EINVAL;
    gust_http_server *s = gust__calloc(1, sizeof(*s));
    if (!s)
        return -ENOMEM;
    if ((r = gust_chan_new(0, 0, &s->drained)) < 0)
        goto free_server;
    if ((r = gust_chan_new(0, 0, &s->stopped)) < 0)
        goto unref_drained;
    if ((r = gust_pool_new(&buffers, &s->buffers)) < 0)
        goto unref_stopped;
    if ((r = gust__http_watcher_init(&s->watcher, options->ignore_client_abort)) < 0)
        goto free_buffers;
    s->options = *options;
    fill_in_defaults(&s->options);
    if (s->options.tls)
        gust_tls_config_ref(s->options.tls);
    atomic_init(&s->refs, 1);
    atomic_init(&s->draining, false);
    LIST_INIT(&s->conns);
    LIST_INIT(&s->listeners);
    *ret_server = s;
    return 0;

free_buffers:
    gust_pool_free(s->buffers);
unref_stopped:
    gust_chan_unref(s->stopped);
unref_drained:
    gust_chan_unref(s->drained);
free_server:
    free(s);
    return r;
}

void gust_http_server_free(gust_http_server *s)
{
    if (!s)
        return;
    gust__http_watcher_stop(&s->watcher);
    server_unref(s);
}

/* --- Connections ----------------------------------------------------------- */

static void close_once_locked(gust_chan *c, bool *closed)
{
    if (!*closed) {
        *closed = true;
        gust_chan_close(c);
    }
}

static void check_drained_locked(gust_http_server *s)
{
    if (atomic_load(&s->draining) && LIST_EMPTY(&s->conns) && LIST_EMPTY(&s->listeners))
        close_once_locked(s->drained, &s->drained_closed);
}

static void take_off_list(struct http_conn *hc)
{
    gust_http_server *s = hc->server;

    gust_mutex_lock(&s->mutex);
    LIST_REMOVE(hc, link);
    check_drained_locked(s);
    gust_mutex_unlock(&s->mutex);
}

void gust__http_conn_forget(struct http_conn *hc)
{
    hc->hijacked = true;
    take_off_list(hc);
}

void gust__http_conn_done(struct http_conn *hc)
{
    gust_http_server *s = hc->server;

    if (!hc->hijacked)
        take_off_list(hc);
    gust_conn_unref(hc->conn);
    free(hc);
    server_unref(s);
}

/* Takes the caller's reference to `conn`. */
static struct http_conn *conn_new(gust_http_server *s, gust_conn *conn)
{
    struct http_conn *hc = gust__malloc(sizeof(*hc));

    if (!hc)
        return NULL;
    hc->server = s;
    hc->conn = conn;
    hc->is_new = true;
    hc->hijacked = false;
    atomic_init(&hc->state, CONN_IDLE);
    server_ref(s);
    gust_mutex_lock(&s->mutex);
    LIST_INSERT_HEAD(&s->conns, hc, link);
    gust_mutex_unlock(&s->mutex);
    return hc;
}

/* Before anybody else knows of the connection.  The handshake is for its goroutine:
 * the first read makes it. */
static bool secure(const gust_http_server *s, gust_conn *conn)
{
    int r = s->options.tls ? gust_tls_server(conn, s->options.tls) : 0;

    return r == 0 || r == -EALREADY; /* by its listener */
}

/* Memory is short when this fails: the client is let go without an answer. */
static void start_conn(gust_http_server *s, gust_conn *conn)
{
    struct http_conn *hc = secure(s, conn) ? conn_new(s, conn) : NULL;

    if (hc)
        gust__http_conn_start(hc);
    else
        gust_conn_unref(conn);
}

/* --- Serving --------------------------------------------------------------- */

/* False if a shutdown has begun. */
static bool serving_begin(gust_http_server *s, struct serving *serving)
{
    gust_mutex_lock(&s->mutex);
    bool ok = !atomic_load(&s->draining);
    if (ok)
        LIST_INSERT_HEAD(&s->listeners, serving, link);
    gust_mutex_unlock(&s->mutex);
    return ok;
}

static void serving_end(gust_http_server *s, struct serving *serving)
{
    gust_mutex_lock(&s->mutex);
    LIST_REMOVE(serving, link);
    check_drained_locked(s);
    gust_mutex_unlock(&s->mutex);
}

int gust_http_server_serve(gust_http_server *s, gust_listener *l)
{
    struct serving serving = {.listener = l};
    gust_conn *conn;
    int r;

    if (!serving_begin(s, &serving))
        return 0;
    /* -ENOMEM concerns one connection; the next ones may find memory. */
    do {
        r = gust_listener_accept(l, GUST_FOREVER, &conn);
        if (r == 0)
            start_conn(s, conn);
    } while (r != -EBADF && r != -ECANCELED);
    serving_end(s, &serving);
    if (!atomic_load(&s->draining))
        return r;
    gust_chan_recv(s->stopped, NULL, GUST_FOREVER);
    return 0;
}

/* --- Shutting down ---------------------------------------------------------- */

/* Ends the wait of the connections that wait for a request.  Their goroutines close
 * them, for the last response may still be on its way. */
static void end_idle_locked(gust_http_server *s)
{
    struct http_conn *hc;

    LIST_FOREACH(hc, &s->conns, link)
    {
        int expected = CONN_IDLE;
        if (atomic_compare_exchange_strong(&hc->state, &expected, CONN_CLAIMED))
            gust_conn_set_read_deadline(hc->conn, GUST_NOW);
    }
}

static void close_all_locked(gust_http_server *s)
{
    struct http_conn *hc;

    LIST_FOREACH(hc, &s->conns, link)
    gust_conn_close(gust_conn_ref(hc->conn), GUST_NOW);
}

static void begin_draining(gust_http_server *s)
{
    struct serving *serving;

    gust_mutex_lock(&s->mutex);
    /* Sequentially consistent: see enter_idle in conn.c. */
    atomic_store(&s->draining, true);
    LIST_FOREACH(serving, &s->listeners, link)
    gust_listener_close(gust_listener_ref(serving->listener));
    end_idle_locked(s);
    check_drained_locked(s);
    gust_mutex_unlock(&s->mutex);
}

int gust_http_server_shutdown(gust_http_server *s, gust_time deadline)
{
    server_ref(s);
    begin_draining(s);
    int r = gust_chan_recv(s->drained, NULL, deadline);
    if (r < 0) {
        gust_context *context = gust_context_swap(NULL);
        gust__http_watcher_cancel(&s->watcher);
        gust_mutex_lock(&s->mutex);
        close_all_locked(s);
        gust_mutex_unlock(&s->mutex);
        gust_chan_recv(s->drained, NULL, gust_after(SHUTDOWN_GRACE_NS));
        gust_context_swap(context);
        if (r == -EAGAIN)
            r = -ETIMEDOUT;
    }
    gust_mutex_lock(&s->mutex);
    close_once_locked(s->stopped, &s->stopped_closed);
    gust_mutex_unlock(&s->mutex);
    server_unref(s);
    return r;
}
