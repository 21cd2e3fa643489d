/* Origins, and the table of those that URLs name.
 *
 * An origin stays in it while it has connections or calls, and goes when the sweep has
 * closed its last connection, or, if it never had one, with its call. */
#include "http/client/client.h"

#include "core/inject.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* --- Making ---------------------------------------------------------------------- */

static unsigned unless_zero(unsigned value, unsigned otherwise)
{
    return value ? value : otherwise;
}

static void set_limits(gust_http_origin *o, const gust_http_origin_options *options)
{
    const gust_http_client_options *of_all = &o->client->options;
    int64_t idle_ns = options->idle_timeout_ns ? options->idle_timeout_ns : of_all->idle_timeout_ns;

    o->timeouts = options->timeouts;
    gust__client_timeouts(&o->timeouts, &of_all->timeouts);
    o->conns_max = unless_zero(options->conns_max, of_all->conns_max);
    o->idle_max = unless_zero(options->idle_max, of_all->idle_max);
    if (o->idle_max == GUST_HTTP_CLIENT_NO_IDLE)
        o->idle_max = 0;
    o->idle_ns = idle_ns;
    o->sweep_ns = idle_ns < SWEEP_NS ? idle_ns : SWEEP_NS;
}

/* Copies it with a NUL behind it to *at, which moves on. */
static char *keep(char **at, gust_span s)
{
    char *copy = *at;

    memcpy(copy, s.data, s.len);
    copy[s.len] = '\0';
    *at += s.len + 1;
    return copy;
}

static gust_http_origin *allocate(const gust_http_origin_options *options, gust_span authority,
                                  gust_span host, uint16_t port)
{
    gust_span tls_name = options->tls_name ? gust_span_of(options->tls_name) : host;
    gust_http_origin *o = gust__calloc(1, sizeof(*o) + authority.len + host.len + tls_name.len + 3);
    if (!o)
        return NULL;
    char *at = o->strings;
    o->authority = keep(&at, authority);
    o->host = keep(&at, gust__without_brackets(host));
    o->tls_name = keep(&at, tls_name);
    snprintf(o->service, sizeof(o->service), "%u", port);
    return o;
}

static int origin_make(gust_http_client *client, const gust_http_origin_options *options,
                       gust_span authority, gust_http_origin **ret_origin)
{
    uint16_t port = options->tls ? 443 : 80;
    gust_span host;

    int r = gust__authority_split(authority, &port, &host);
    if (r < 0)
        return r;
    gust_http_origin *o = allocate(options, authority, host, port);
    if (!o)
        return -ENOMEM;
    o->client = client;
    o->port = port;
    atomic_init(&o->refs, 1);
    set_limits(o, options);
    if (options->addr)
        o->addr = *options->addr;
    r = gust__pool_init(o);
    if (r < 0) {
        free(o);
        return r;
    }
    o->tls = options->tls ? gust_tls_config_ref(options->tls) : NULL;
    *ret_origin = o;
    return 0;
}

int gust_http_origin_new(gust_http_client *client, const gust_http_origin_options *options,
                         gust_http_origin **ret_origin)
{
    if (!options->authority || options->idle_timeout_ns < 0 ||
        !gust__client_timeouts_valid(&options->timeouts))
        return -EINVAL;
    return origin_make(client, options, gust_span_of(options->authority), ret_origin);
}

/* --- References -------------------------------------------------------------------- */

gust_http_origin *gust_http_origin_ref(gust_http_origin *origin)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&origin->refs, 1, memory_order_relaxed);
    return origin;
}

void gust_http_origin_unref(gust_http_origin *origin)
{
    /* Release and acquire: what every owner did comes before the end.  Pairs with itself. */
    if (!origin || atomic_fetch_sub_explicit(&origin->refs, 1, memory_order_acq_rel) != 1)
        return;
    gust__pool_fini(origin);
    gust_tls_config_unref(origin->tls);
    free(origin);
}

/* --- The table ------------------------------------------------------------------------ */

/* FNV-1a. */
static struct origin_list *bucket_of(gust_http_client *client, const struct origin_key *key)
{
    uint32_t hash = 2166136261U ^ key->port;

    for (size_t i = 0; i < key->host.len; i++)
        hash = (hash ^ (uint8_t)(key->host.data[i] | 0x20)) * 16777619U;
    return &client->origins[hash % ORIGIN_BUCKETS];
}

static gust_http_origin *find_locked(struct origin_list *bucket, const struct origin_key *key)
{
    gust_http_origin *o;

    LIST_FOREACH(o, bucket, link)
    if (o->port == key->port && !o->tls == !key->tls &&
        gust__http_same_name(key->host, o->tls_name, strlen(o->tls_name)))
        return o;
    return NULL;
}

static int make_locked(gust_http_client *client, const struct origin_key *key,
                       struct origin_list *bucket, gust_http_origin **ret_origin)
{
    const gust_http_origin_options options = {.tls = key->tls ? client->options.tls : NULL};

    int r = origin_make(client, &options, key->authority, ret_origin);
    if (r == 0) {
        (*ret_origin)->listed = true;
        (*ret_origin)->proxy = key->proxy;
        LIST_INSERT_HEAD(bucket, *ret_origin, link);
    }
    return r;
}

int gust__origin_find(gust_http_client *client, const struct origin_key *key,
                      gust_http_origin **ret_origin)
{
    struct origin_list *bucket = bucket_of(client, key);
    int r = 0;

    gust_mutex_lock(&client->mutex);
    gust_http_origin *o = find_locked(bucket, key);
    if (!o)
        r = make_locked(client, key, bucket, &o);
    if (r == 0)
        *ret_origin = gust_http_origin_ref(o);
    gust_mutex_unlock(&client->mutex);
    return r;
}

/* Nobody but the table has a reference, and calls get theirs from the table. */
static bool unlist_unused_locked(gust_http_origin *o)
{
    bool unused = o->listed && atomic_load_explicit(&o->refs, memory_order_acquire) == 1 &&
                  gust__pool_is_empty(o);

    if (unused) {
        LIST_REMOVE(o, link);
        o->listed = false;
    }
    return unused;
}

bool gust__origin_unlist_unused(gust_http_origin *origin)
{
    gust_http_client *client = origin->client;

    gust_mutex_lock(&client->mutex);
    bool unused = unlist_unused_locked(origin);
    gust_mutex_unlock(&client->mutex);
    return unused;
}

void gust__origin_put(gust_http_origin *origin)
{
    gust_http_client *client = origin->client;
    bool last = true;

    /* While a call has it nobody takes it out of the table. */
    if (origin->listed) {
        gust_mutex_lock(&client->mutex);
        /* Not the last one, which is the table's.  Release: as in unref. */
        atomic_fetch_sub_explicit(&origin->refs, 1, memory_order_release);
        last = unlist_unused_locked(origin);
        gust_mutex_unlock(&client->mutex);
    }
    if (last)
        gust_http_origin_unref(origin);
}

/* One after the other: each may wait for its sweep, which takes the mutex. */
static gust_http_origin *take_any(gust_http_client *client)
{
    gust_http_origin *o = NULL;

    gust_mutex_lock(&client->mutex);
    for (size_t i = 0; !o && i < ORIGIN_BUCKETS; i++)
        o = LIST_FIRST(&client->origins[i]);
    if (o) {
        LIST_REMOVE(o, link);
        o->listed = false;
    }
    gust_mutex_unlock(&client->mutex);
    return o;
}

void gust__origins_drop(gust_http_client *client)
{
    gust_http_origin *o;

    while ((o = take_any(client)))
        gust_http_origin_unref(o);
}

void gust_http_client_close_idle(gust_http_client *client)
{
    gust_http_origin *o;

    gust_mutex_lock(&client->mutex);
    for (size_t i = 0; i < ORIGIN_BUCKETS; i++)
        LIST_FOREACH(o, &client->origins[i], link)
    gust_http_origin_close_idle(o);
    gust_mutex_unlock(&client->mutex);
}
