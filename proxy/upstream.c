#include "proxy/upstream.h"

#include "core/inject.h"
#include "http/client/url.h"
#include "http/syntax.h"

#include <stdio.h>
#include <stdlib.h>

/* --- Its URL ---------------------------------------------------------------- */

/* The path goes in front of others, so a slash at its end would be one too many. */
static bool split_url(gust_span text, struct client_url *url, gust_span *ret_prefix)
{
    if (gust__url_split(text, url) < 0 || url->userinfo.data)
        return false;
    gust_span path = url->target;
    bool has_fragment = path.data + path.len < text.data + text.len;
    if (has_fragment || chars_prefix(path.data, path.len, CH_TARGET) != path.len)
        return false;
    for (size_t i = 0; i < path.len; i++)
        if (strchr("?\"\\<>", path.data[i]))
            return false;
    while (path.len > 0 && path.data[path.len - 1] == '/')
        path.len--;
    *ret_prefix = path;
    return true;
}

/* --- Life -------------------------------------------------------------------- */

static uint64_t in_flight_max(const gust_http_upstream *o)
{
    uint64_t max = o->requests_max > 0 ? o->requests_max : UINT32_MAX / 2;
    uint64_t by_conns = o->conns_max > 0 ? (uint64_t)o->conns_max + o->pending_max : max;

    return by_conns < max ? by_conns : max;
}

static char *copy(char **at, gust_span s)
{
    char *start = *at;

    memcpy(start, s.data, s.len);
    start[s.len] = '\0';
    *at += s.len + 1;
    return start;
}

#define PORT_MAX sizeof("65535")

static void fill_in(struct upstream *u, gust_span text, const struct client_url *url,
                    gust_span prefix)
{
    char *at = u->text;

    u->url = copy(&at, text);
    u->authority = (gust_span){copy(&at, url->authority), url->authority.len};
    u->prefix = (gust_span){copy(&at, prefix), prefix.len};
    u->name = copy(&at, gust__without_brackets(url->host));
    u->port = at;
    snprintf(at, PORT_MAX, "%u", url->port);
    u->tls = url->tls;
    u->hash = gust__upstream_hash(text.data, text.len);
}

int gust__upstream_new(const gust_http_upstream *options, struct upstream **ret_upstream)
{
    struct client_url url;
    gust_span prefix;

    if (!options->url || !split_url(gust_span_of(options->url), &url, &prefix))
        return -EINVAL;
    gust_span text = gust_span_of(options->url);
    /* URL, authority, prefix and host with their NULs, and the port. */
    size_t size = text.len + url.authority.len + prefix.len + url.host.len + 4 + PORT_MAX;
    struct upstream *u = gust__aligned_alloc(64, (sizeof(*u) + size + 63) & ~(size_t)63);
    if (!u)
        return -ENOMEM;
    memset(u, 0, sizeof(*u));
    atomic_init(&u->refs, UPSTREAM_OWNER);
    fill_in(u, text, &url, prefix);
    u->in_flight_max = in_flight_max(options);
    u->conns_max = options->conns_max;
    *ret_upstream = u;
    return 0;
}

static void drop(struct upstream *u, uint64_t share)
{
    /* Release and acquire: the last one sees what all others did before. */
    if (atomic_fetch_sub_explicit(&u->refs, share, memory_order_acq_rel) != share)
        return;
    if (u->release)
        u->release(u->origin);
    free(u);
}

struct upstream *gust__upstream_own(struct upstream *u)
{
    /* Relaxed: whoever adds an owner is one, or has a place. */
    atomic_fetch_add_explicit(&u->refs, UPSTREAM_OWNER, memory_order_relaxed);
    return u;
}

void gust__upstream_disown(struct upstream *u)
{
    drop(u, UPSTREAM_OWNER);
}

bool gust__upstream_enter(struct upstream *u)
{
    uint64_t before = atomic_fetch_add_explicit(&u->refs, 1, memory_order_relaxed);

    if ((uint32_t)before < u->in_flight_max)
        return true;
    atomic_fetch_sub_explicit(&u->refs, 1, memory_order_relaxed); /* not the last: see above */
    upstream_count(u, COUNT_REFUSED);
    return false;
}

void gust__upstream_leave(struct upstream *u)
{
    drop(u, 1);
}

bool gust__upstream_matches(const struct upstream *u, const gust_http_upstream *options)
{
    return options->url && strcmp(u->url, options->url) == 0 &&
           u->in_flight_max == in_flight_max(options) && u->conns_max == options->conns_max;
}

/* FNV-1a, whose upper bits are poor, and the end of MurmurHash3, which mends that. */
uint64_t gust__upstream_hash(const void *bytes, size_t len)
{
    const uint8_t *p = bytes;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    h = (h ^ (h >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ (h >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return h ^ (h >> 33);
}
