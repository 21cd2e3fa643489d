#include "proxy/upstream.h"

#include "core/inject.h"
#include "http/syntax.h"

#include <stdlib.h>
#include <string.h>

/* --- Its URL ---------------------------------------------------------------- */

struct url_parts {
    bool tls;
    gust_span authority;
    gust_span host; /* without brackets */
    gust_span port; /* empty: that of the scheme */
    gust_span prefix;
};

static bool starts_with(const char *text, const char *prefix, const char **ret_rest)
{
    size_t len = strlen(prefix);

    if (strncasecmp(text, prefix, len) != 0)
        return false;
    *ret_rest = text + len;
    return true;
}

static bool split_host(gust_span authority, struct url_parts *parts)
{
    gust_span host = gust__http_host_name(authority);
    size_t rest = authority.len - host.len;
    uint64_t number;

    parts->port = (gust_span){host.data + host.len + (rest > 0), rest > 0 ? rest - 1 : 0};
    if (rest > 0 && (!gust__http_number(parts->port, &number) || number == 0 || number > 65535))
        return false;
    if (host.len > 1 && host.data[0] == '[')
        host = (gust_span){host.data + 1, host.len - 2};
    parts->host = host;
    return host.len > 0;
}

/* The path goes in front of others, so a slash at its end would be one too many. */
static bool split_url(const char *url, struct url_parts *parts)
{
    const char *at;

    parts->tls = starts_with(url, "https://", &at);
    if (!parts->tls && !starts_with(url, "http://", &at))
        return false;
    size_t len = strcspn(at, "/?#");
    parts->authority = (gust_span){at, len};
    at += len;
    len = strlen(at);
    if (chars_prefix(at, len, CH_TARGET) != len || strpbrk(at, "?\"\\<>"))
        return false;
    while (len > 0 && at[len - 1] == '/')
        len--;
    parts->prefix = (gust_span){at, len};
    return gust__http_host_valid(parts->authority) && split_host(parts->authority, parts);
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

static gust_span span_of(const char *text)
{
    return (gust_span){text, strlen(text)};
}

static void fill_in(struct upstream *u, const char *url, const struct url_parts *parts)
{
    char *at = u->text;

    u->url = copy(&at, span_of(url));
    u->authority = (gust_span){copy(&at, parts->authority), parts->authority.len};
    u->prefix = (gust_span){copy(&at, parts->prefix), parts->prefix.len};
    u->name = copy(&at, parts->host);
    u->port = copy(&at, parts->port.len ? parts->port : span_of(parts->tls ? "443" : "80"));
    u->tls = parts->tls;
    u->hash = gust__upstream_hash(url, strlen(url));
}

int gust__upstream_new(const gust_http_upstream *options, struct upstream **ret_upstream)
{
    struct url_parts parts;

    if (!options->url || !split_url(options->url, &parts))
        return -EINVAL;
    /* URL, authority, prefix, host and port (of five digits) with their NULs. */
    size_t text = strlen(options->url) + 2 * parts.authority.len + parts.prefix.len + 16;
    struct upstream *u = gust__aligned_alloc(64, (sizeof(*u) + text + 63) & ~(size_t)63);
    if (!u)
        return -ENOMEM;
    memset(u, 0, sizeof(*u));
    atomic_init(&u->refs, UPSTREAM_OWNER);
    fill_in(u, options->url, &parts);
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
