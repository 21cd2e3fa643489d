/* What follows an upgrade: bytes in both directions, each of which ends for itself.
 *
 * A tunnel in which nothing moves for the idle timeout, in either direction, is closed. */
#include "proxy/transfer.h"

#include "http/response.h"

#include <gust/copy.h>
#include <gust/http_hijack.h>
#include <gust/runtime.h>

#include <errno.h>

/* An end that does not take the last bytes is given so long. */
#define TUNNEL_CLOSE_NS (5 * GUST_SEC)

struct tunnel {
    gust_conn *client;
    gust_conn *upstream;
    int64_t idle_ns;
    _Atomic gust_time moved; /* when something last did, as far as anybody looked */
    gust_waitgroup back;     /* until the direction to the client has ended */
};

/* --- Copying -------------------------------------------------------------------------------- */

static gust_time idle_deadline(struct tunnel *t)
{
    gust_time moved = atomic_load(&t->moved);

    return t->idle_ns > GUST_FOREVER - moved ? GUST_FOREVER : moved + t->idle_ns;
}

/* Until src ends: 0; or an error. */
static int copy_direction(struct tunnel *t, gust_conn *dst, gust_conn *src)
{
    uint64_t copied;
    int r;

    do {
        r = gust_conn_copy(dst, src, GUST_COPY_ALL, idle_deadline(t), &copied);
        if (copied > 0)
            atomic_store(&t->moved, gust_now());
    } while (r == -ETIMEDOUT && gust_now() < idle_deadline(t));
    return r;
}

/* One end has ended its direction: so do we with the other's.  After an error neither is of
 * any use. */
static void run_direction(struct tunnel *t, gust_conn *dst, gust_conn *src)
{
    int r = copy_direction(t, dst, src);

    if (r == 0)
        r = gust_conn_shutdown(dst, SHUT_WR, gust_after(TUNNEL_CLOSE_NS));
    if (r < 0) {
        gust_conn_close(gust_conn_ref(t->client), GUST_NOW);
        gust_conn_close(gust_conn_ref(t->upstream), GUST_NOW);
    }
}

static void run_back(void *arg)
{
    struct tunnel *t = arg;

    run_direction(t, t->client, t->upstream);
    gust_waitgroup_done(&t->back);
}

/* Not under the handler's context, which ends with the server; gust_http_proxy_free cancels
 * the one of all tunnels. */
static void run_both(struct tunnel *t)
{
    const gust_go_options options = {.name = "http proxy: tunnel"};

    gust_waitgroup_add(&t->back, 1);
    if (gust_go_with(&options, run_back, t) < 0) {
        gust_waitgroup_done(&t->back);
        return;
    }
    run_direction(t, t->upstream, t->client);
    gust_context_unref(gust_context_swap(NULL)); /* the other one has it, too */
    gust_waitgroup_wait(&t->back, GUST_FOREVER);
}

/* --- The upgrade ------------------------------------------------------------------------------- */

/* To what the upstream has switched, with a NUL.  Errors: -EPROTO, -ENOMEM. */
static int protocol_of(struct transfer *t, const char **ret_protocol)
{
    gust_span upgrade = gust_http_call_response_header(t->call, "upgrade");
    char *protocol = gust_http_alloc(t->req, upgrade.len + 1);

    if (!protocol)
        return -ENOMEM;
    if (upgrade.len == 0)
        return -EPROTO;
    memcpy(protocol, upgrade.data, upgrade.len);
    protocol[upgrade.len] = '\0';
    *ret_protocol = protocol;
    return 0;
}

int gust__tunnel(struct transfer *t)
{
    struct tunnel tunnel = {.idle_ns = t->config->options.idle_timeout_ns, .moved = gust_now()};
    const char *protocol = NULL;
    bool date;

    int r = gust__forward_response(&t->config->rules, gust_http_call_response_lines(t->call),
                                   RESPONSE_PREFIX_MAX + RESPONSE_FIELDS_MAX, &t->res->text, &date);
    if (r == 0)
        r = protocol_of(t, &protocol);
    if (r == 0)
        r = gust_http_call_take(t->call, &tunnel.upstream);
    if (r < 0)
        return r;
    r = gust_http_upgrade(t->req, t->res, protocol, &tunnel.client);
    if (r == 0) {
        gust_context *context = gust_context_swap(gust_context_ref(t->config->proxy->tunnels));
        run_both(&tunnel);
        gust_context_unref(gust_context_swap(context));
        gust_conn_close(tunnel.client, gust_after(TUNNEL_CLOSE_NS));
    }
    gust_conn_close(tunnel.upstream, gust_after(TUNNEL_CLOSE_NS));
    return r;
}
