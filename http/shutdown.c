/* Shutting a server down.
 *
 *   serving -- shutdown --> lame, for a while --> draining -- last one gone --> `drained`
 *                                                    \-- deadline: all closed --/   closed
 *                                            then `stopped` is closed: serve returns 0 */
#include "http/give_up.h"
#include "http/server.h"

#include <gust/context.h>

/* How long a shutdown past its deadline waits for the goroutines whose
 * connections it closed: every call they may be blocked in has returned. */
#define SHUTDOWN_GRACE_NS (100 * GUST_MS)

bool gust__http_draining(const struct http_conn *hc)
{
    return atomic_load(&hc->server->draining);
}

bool gust__http_lame(const struct http_conn *hc)
{
    return atomic_load(&hc->server->lame);
}

static void close_once_locked(gust_chan *c, bool *closed)
{
    if (!*closed) {
        *closed = true;
        gust_chan_close(c);
    }
}

void gust__http_check_drained_locked(gust_http_server *s)
{
    if (atomic_load(&s->draining) && LIST_EMPTY(&s->conns) && LIST_EMPTY(&s->listeners))
        close_once_locked(s->drained, &s->drained_closed);
}

/* Ends the wait of the connections that wait for a request.  Their goroutines close
 * them, for the last response may still be on its way. */
static void end_idle_locked(gust_http_server *s)
{
    struct http_conn *hc;

    LIST_FOREACH(hc, &s->conns, link)
    gust__http_claim_locked(hc);
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
    gust_cond_broadcast(&s->room);
    LIST_FOREACH(serving, &s->listeners, link)
    gust_listener_close(gust_listener_ref(serving->listener));
    end_idle_locked(s);
    gust__http_check_drained_locked(s);
    gust_mutex_unlock(&s->mutex);
}

/* The first shutdown says that there is one, and gives those who look time to see it. */
static void be_lame(gust_http_server *s, gust_time deadline)
{
    const gust_http_server_options *o = &s->options;

    if (atomic_exchange(&s->lame, true))
        return;
    if (o->on_drain)
        o->on_drain(o->hook_arg);
    gust_time until = gust_after(o->lame_duck_ns);
    if (o->lame_duck_ns > 0)
        gust_chan_recv(s->drained, NULL, until < deadline ? until : deadline);
}

int gust_http_server_shutdown(gust_http_server *s, gust_time deadline)
{
    gust__http_server_ref(s);
    be_lame(s, deadline);
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
    gust__http_server_unref(s);
    return r;
}
