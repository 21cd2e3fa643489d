/* The server: its life, accepting, the list of its connections.
 *
 * Always, under the mutex: `conns` holds every connection that has not
 * come to gust__http_conn_done, and `listeners` every one that a serve call
 * is accepting on.  A goroutine leaves the list before it drops its gust_conn:
 * so a shutdown that holds the mutex may use every conn in the list. */
#include "http/server.h"
#include "http/give_up.h"
#include "http/log.h"

#include "core/inject.h"

#include <gust/runtime.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

/* At connections_max: how long one that is given up may take before another one is, and how
 * often it is looked for one. */
#define GIVEN_UP_NS (100 * GUST_MS)
#define LOOK_NS (20 * GUST_MS)

/* What is idle of them after a burst. */
#define BUFFERS_KEPT_PER_P 16

#define HEADER_LIMIT_MAX (16 << 20)

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

/* --- Life ----------------------------------------------------------------- */

void gust__http_server_ref(gust_http_server *s)
{
    /* Relaxed: whoever adds a reference holds one. */
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void gust__http_server_unref(gust_http_server *s)
{
    /* Release and acquire: the last one sees what all others did before. */
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    gust__http_watcher_fini(&s->watcher);
    gust_chan_unref(s->drained);
    gust_chan_unref(s->stopped);
    gust_pool_free(s->buffers);
    gust_tls_config_unref(s->options.tls);
    gust__http_log_unref(s->options.log);
    gust__http_clients_free(s->clients);
    free((void *)s->options.trusted_proxies);
    free(s);
}

static void default_size(size_t *value, size_t preset)
{
    if (*value == 0)
        *value = preset;
}

static void default_int64(int64_t *value, int64_t preset)
{
    if (*value == 0)
        *value = preset;
}

static void default_count(unsigned *value, unsigned preset)
{
    if (*value == 0)
        *value = preset;
}

/* What open files there may be, less some for other things than connections. */
static unsigned connections_for_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur > INT_MAX)
        return INT_MAX;
    unsigned limit = (unsigned)files.rlim_cur;
    unsigned reserved = limit / 8 < GUST_HTTP_RESERVED_FDS ? limit / 8 : GUST_HTTP_RESERVED_FDS;
    return limit > reserved ? limit - reserved : 1;
}

static void fill_in_defaults(gust_http_server_options *o)
{
    default_size(&o->request_line_max, GUST_HTTP_REQUEST_LINE_MAX);
    default_size(&o->header_bytes_max, GUST_HTTP_HEADER_BYTES_MAX);
    default_count(&o->header_fields_max, GUST_HTTP_HEADER_FIELDS_MAX);
    default_count(&o->connections_max, connections_for_files());
    default_count(&o->client_connections_max, GUST_HTTP_CLIENT_CONNECTIONS_MAX);
    default_count(&o->conn_requests_max, GUST_HTTP_CONN_REQUESTS_MAX);
    if (o->body_bytes_max == 0)
        o->body_bytes_max = GUST_HTTP_BODY_BYTES_MAX;
    default_int64(&o->header_timeout_ns, GUST_HTTP_HEADER_TIMEOUT_NS);
    default_int64(&o->idle_timeout_ns, GUST_HTTP_IDLE_TIMEOUT_NS);
    default_int64(&o->read_timeout_ns, GUST_HTTP_READ_TIMEOUT_NS);
    default_int64(&o->write_timeout_ns, GUST_HTTP_WRITE_TIMEOUT_NS);
    default_int64(&o->body_rate_min, GUST_HTTP_BODY_RATE_MIN);
    default_int64(&o->write_rate_min, GUST_HTTP_WRITE_RATE_MIN);
}

static bool options_valid(const gust_http_server_options *o)
{
    return o->handler && o->header_timeout_ns >= 0 && o->idle_timeout_ns >= 0 &&
           o->read_timeout_ns >= 0 && o->write_timeout_ns >= 0 && o->lame_duck_ns >= 0 &&
           o->request_line_max <= HEADER_LIMIT_MAX && o->header_bytes_max <= HEADER_LIMIT_MAX;
}

static void *make_buffer(void *arg)
{
    (void)arg;
    return gust__malloc(HTTP_BUFFER_SIZE);
}

/* What the options refer to, and what they ask for. */
static int init_options(gust_http_server *s, const gust_http_server_options *options)
{
    s->options = *options;
    fill_in_defaults(&s->options);
    int r = gust__http_trust_copy(&s->options);
    if (r < 0) {
        s->options.trusted_proxies = NULL;
        return r;
    }
    if (s->options.client_connections_max != UINT_MAX)
        r = gust__http_clients_new(s->options.connections_max, &s->clients);
    return r;
}

int gust_http_server_new(const gust_http_server_options *options, gust_http_server **ret_server)
{
    const gust_pool_options buffers = {.make = make_buffer, .max_per_p = BUFFERS_KEPT_PER_P};
    int r;

    if (!options || !options_valid(options))
        return -EINVAL;
    gust_http_server *s = gust__aligned_alloc(_Alignof(gust_http_server), sizeof(*s));
    if (!s)
        return -ENOMEM;
    memset(s, 0, sizeof(*s));
    atomic_init(&s->refs, 1);
    LIST_INIT(&s->conns);
    LIST_INIT(&s->listeners);
    r = init_options(s, options);
    /* Counted from here on, whatever becomes of it. */
    if (s->options.tls)
        gust_tls_config_ref(s->options.tls);
    if (s->options.log)
        gust__http_log_ref(s->options.log);
    if (r == 0)
        r = gust_chan_new(0, 0, &s->drained);
    if (r == 0)
        r = gust_chan_new(0, 0, &s->stopped);
    if (r == 0)
        r = gust_pool_new(&buffers, &s->buffers);
    if (r == 0)
        r = gust__http_watcher_init(&s->watcher, options->ignore_client_abort);
    if (r < 0)
        gust__http_server_unref(s);
    else
        *ret_server = s;
    return r;
}

void gust_http_server_free(gust_http_server *s)
{
    if (!s)
        return;
    gust__http_watcher_stop(&s->watcher);
    gust__http_server_unref(s);
}

/* --- Connections ----------------------------------------------------------- */

/* Closes the connection and releases what was counted for it. */
static void conn_free(struct http_conn *hc)
{
    if (has_extra(hc->server)) {
        struct http_conn_extra *extra = extra_of(hc);
        if (extra->client)
            gust__http_clients_leave(hc->server->clients, extra->client);
        free(extra->peer);
    }
    gust_conn_unref(hc->conn);
    free(hc);
}

static void take_off_list(struct http_conn *hc)
{
    gust_http_server *s = hc->server;

    gust_mutex_lock(&s->mutex);
    if (s->hand == hc)
        s->hand = LIST_NEXT(hc, link);
    LIST_REMOVE(hc, link);
    s->conn_count--;
    if (s->waiting)
        gust_cond_signal(&s->room);
    gust__http_check_drained_locked(s);
    gust_mutex_unlock(&s->mutex);
}

void gust__http_conn_forget(struct http_conn *hc)
{
    /* Relaxed: for this goroutine alone, since no list has it then. */
    atomic_store_explicit(&hc->life, CONN_TAKEN, memory_order_relaxed);
    take_off_list(hc);
}

void gust__http_conn_done(struct http_conn *hc)
{
    gust_http_server *s = hc->server;

    if (!is_taken(hc))
        take_off_list(hc);
    conn_free(hc);
    gust__http_server_unref(s);
}

/* Takes over the caller's reference to `conn`, unless there is no memory. */
static struct http_conn *conn_new(gust_http_server *s, gust_conn *conn)
{
    size_t extra = has_extra(s) ? sizeof(struct http_conn_extra) : 0;
    struct http_conn *hc = gust__malloc(sizeof(*hc) + extra);

    if (!hc)
        return NULL;
    hc->server = s;
    hc->conn = conn;
    atomic_init(&hc->life, CONN_BUSY); /* until it is parked */
    atomic_init(&hc->requests, 0);
    if (extra)
        *extra_of(hc) = (struct http_conn_extra){NULL, NULL};
    return hc;
}

/* Before anybody else knows of the connection.  The handshake is for its goroutine:
 * the first read makes it. */
static bool secure(const gust_http_server *s, gust_conn *conn)
{
    int r = s->options.tls ? gust_tls_server(conn, s->options.tls) : 0;

    return r == 0 || r == -EALREADY; /* by its listener */
}

/* Errors: -EUSERS, -ENOMEM. */
static int enter_client(gust_http_server *s, struct http_conn *hc)
{
    gust_addr addr;

    if (!s->clients)
        return 0;
    gust_conn_remote_addr(hc->conn, &addr);
    return gust__http_clients_enter(s->clients, &addr, s->options.client_connections_max,
                                    &extra_of(hc)->client);
}

/* Lets others have the mutex. */
static void report_limit_locked(gust_http_server *s)
{
    gust_mutex_unlock(&s->mutex);
    gust__http_report(s, NULL, (gust_http_error_info){.kind = GUST_HTTP_ERROR_CONNECTION_LIMIT});
    gust_mutex_lock(&s->mutex);
}

static int wait_for_leaver_locked(gust_http_server *s, int64_t ns)
{
    s->waiting++;
    int r = gust_cond_wait(&s->room, &s->mutex, gust_after(ns));
    s->waiting--;
    return r == -ETIMEDOUT ? 0 : r;
}

/* Waits until there is room for one more connection, or a shutdown has begun.  Nobody says
 * when a connection has become idle, as that would cost each request: it is looked for. */
static int wait_for_room_locked(gust_http_server *s)
{
    bool told = false;
    int r = 0;

    while (r == 0 && s->conn_count >= s->options.connections_max && !atomic_load(&s->draining)) {
        bool given_up = gust__http_give_up_locked(s);
        if (given_up || told) {
            r = wait_for_leaver_locked(s, given_up ? GIVEN_UP_NS : LOOK_NS);
        } else {
            told = true;
            report_limit_locked(s);
        }
    }
    return r;
}

/* Puts it into the list.  Errors: -ECANCELED. */
static int enter_server(gust_http_server *s, struct http_conn *hc)
{
    gust_mutex_lock(&s->mutex);
    int r = wait_for_room_locked(s);
    if (r == 0) {
        gust__http_server_ref(s);
        s->conn_count++;
        s->accepted++;
        LIST_INSERT_HEAD(&s->conns, hc, link);
    }
    gust_mutex_unlock(&s->mutex);
    return r;
}

/* A client that is refused here is let go without an answer. */
static void start_conn(gust_http_server *s, gust_conn *conn)
{
    struct http_conn *hc = secure(s, conn) ? conn_new(s, conn) : NULL;
    int r = hc ? enter_client(s, hc) : -ENOMEM;

    if (r == 0 && (r = enter_server(s, hc)) == 0) {
        gust__http_conn_start(hc);
        return;
    }
    if (r != -ECANCELED)
        gust__http_report(s, conn,
                          (gust_http_error_info){.kind = r == -EUSERS ? GUST_HTTP_ERROR_CLIENT_LIMIT
                                                                      : GUST_HTTP_ERROR_ACCEPT,
                                                 .error = r});
    if (hc)
        conn_free(hc);
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
    gust__http_check_drained_locked(s);
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
        else if (r == -ENOMEM)
            gust__http_report(s, NULL,
                              (gust_http_error_info){.kind = GUST_HTTP_ERROR_ACCEPT, .error = r});
    } while (r != -EBADF && r != -ECANCELED);
    serving_end(s, &serving);
    if (!atomic_load(&s->draining))
        return r;
    gust_chan_recv(s->stopped, NULL, GUST_FOREVER);
    return 0;
}
