/* A client: its options, and what all its calls share. */
#include "http/client/client.h"

#include "core/inject.h"

#include <errno.h>
#include <stdlib.h>

#define HEADER_BYTES_LIMIT ((size_t)16 << 20)

/* Calls kept per P for the next ones. */
#define CALLS_KEPT 64

/* --- Options ------------------------------------------------------------------- */

static const gust_http_timeouts timeout_defaults = {
    .wait_ns = GUST_HTTP_CLIENT_WAIT_TIMEOUT_NS,
    .connect_ns = GUST_HTTP_CLIENT_CONNECT_TIMEOUT_NS,
    .tls_ns = GUST_HTTP_CLIENT_TLS_TIMEOUT_NS,
    .send_ns = GUST_HTTP_CLIENT_SEND_TIMEOUT_NS,
    .head_ns = GUST_HTTP_CLIENT_HEAD_TIMEOUT_NS,
    .body_ns = GUST_HTTP_CLIENT_BODY_TIMEOUT_NS,
    .continue_ns = GUST_HTTP_CLIENT_CONTINUE_TIMEOUT_NS,
};

static void default_ns(int64_t *ns, int64_t from)
{
    if (*ns == 0)
        *ns = from;
}

void gust__client_timeouts(gust_http_timeouts *t, const gust_http_timeouts *from)
{
    default_ns(&t->wait_ns, from->wait_ns);
    default_ns(&t->connect_ns, from->connect_ns);
    default_ns(&t->tls_ns, from->tls_ns);
    default_ns(&t->send_ns, from->send_ns);
    default_ns(&t->head_ns, from->head_ns);
    default_ns(&t->body_ns, from->body_ns);
    default_ns(&t->continue_ns, from->continue_ns);
}

bool gust__client_timeouts_valid(const gust_http_timeouts *t)
{
    return t->wait_ns >= 0 && t->connect_ns >= 0 && t->tls_ns >= 0 && t->send_ns >= 0 &&
           t->head_ns >= 0 && t->body_ns >= 0 && t->continue_ns >= 0;
}

static bool options_valid(const gust_http_client_options *o)
{
    return o->idle_timeout_ns >= 0 && o->header_bytes_max <= HEADER_BYTES_LIMIT &&
           gust__client_timeouts_valid(&o->timeouts);
}

static void fill_in(gust_http_client_options *o)
{
    if (o->conns_max == 0)
        o->conns_max = GUST_HTTP_CLIENT_CONNS_MAX;
    if (o->idle_max == 0)
        o->idle_max = GUST_HTTP_CLIENT_IDLE_MAX;
    if (o->header_bytes_max == 0)
        o->header_bytes_max = GUST_HTTP_CLIENT_HEADER_BYTES_MAX;
    if (o->header_fields_max == 0)
        o->header_fields_max = GUST_HTTP_CLIENT_HEADER_FIELDS_MAX;
    default_ns(&o->idle_timeout_ns, GUST_HTTP_CLIENT_IDLE_TIMEOUT_NS);
    gust__client_timeouts(&o->timeouts, &timeout_defaults);
}

/* --- Life ------------------------------------------------------------------------ */

static void *make_call(void *arg)
{
    (void)arg;
    return gust__malloc(sizeof(gust_http_call));
}

static int keep_agent(gust_http_client *client)
{
    const char *agent = client->options.user_agent;

    if (!agent)
        agent = "gust";
    if (!gust__http_value_valid(gust_span_of(agent)))
        return -EINVAL;
    client->agent = gust__malloc(strlen(agent) + 1);
    if (!client->agent)
        return -ENOMEM;
    client->options.user_agent = strcpy(client->agent, agent);
    return 0;
}

static void release(gust_http_client *client)
{
    gust__proxies_fini(&client->proxies);
    free(client->agent);
    free(client);
}

int gust_http_client_new(const gust_http_client_options *options, gust_http_client **ret_client)
{
    static const gust_http_client_options zeroes;
    const gust_pool_options calls = {.make = make_call, .max_per_p = CALLS_KEPT};

    if (!options)
        options = &zeroes;
    if (!options_valid(options))
        return -EINVAL;
    gust_http_client *client = gust__calloc(1, sizeof(*client));
    if (!client)
        return -ENOMEM;
    client->options = *options;
    fill_in(&client->options);
    int r = keep_agent(client);
    if (r == 0 && options->proxy_from_env)
        r = gust__proxies_read(&client->proxies);
    if (r == 0)
        r = gust_pool_new(&calls, &client->calls);
    if (r < 0) {
        release(client);
        return r;
    }
    if (options->tls)
        gust_tls_config_ref(options->tls);
    *ret_client = client;
    return 0;
}

void gust_http_client_free(gust_http_client *client)
{
    if (!client)
        return;
    gust__origins_drop(client);
    gust_pool_free(client->calls);
    gust_tls_config_unref(client->options.tls);
    release(client);
}
