/* Who the client is, behind proxies that are trusted to say so. */
#include "http/server.h"

#include "core/inject.h"
#include "http/syntax.h"

#include <string.h>

/* --- Prefixes --------------------------------------------------------------- */

/* The bytes of an address without its port; IPv4 in IPv6's clothes is IPv4.  NULL if it is
 * neither. */
static const uint8_t *host_of(const gust_addr *addr, int *ret_bits)
{
    if (addr->len == 0 || (addr->any.sa_family != AF_INET && addr->any.sa_family != AF_INET6))
        return NULL;
    if (addr->any.sa_family == AF_INET) {
        *ret_bits = 32;
        return (const uint8_t *)&addr->v4.sin_addr;
    }
    const uint8_t *host = addr->v6.sin6_addr.s6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr);
    *ret_bits = mapped ? 32 : 128;
    return mapped ? host + 12 : host;
}

static bool is_unix(const gust_addr *addr)
{
    return addr->len > 0 && addr->any.sa_family == AF_UNIX;
}

static bool prefix_has(const gust_proxy_prefix *prefix, const gust_addr *addr)
{
    int bits, prefix_bits;
    const uint8_t *host = host_of(addr, &bits);
    const uint8_t *with = host_of(&prefix->addr, &prefix_bits);

    if (!host || !with)
        return is_unix(addr) && is_unix(&prefix->addr);
    int whole = prefix->bits / 8, rest = prefix->bits % 8;
    if (bits != prefix_bits || memcmp(host, with, (size_t)whole) != 0)
        return false;
    return rest == 0 || (host[whole] ^ with[whole]) >> (8 - rest) == 0;
}

static bool is_trusted(const gust_http_server_options *o, const gust_addr *addr)
{
    for (size_t i = 0; i < o->trusted_proxy_count; i++)
        if (prefix_has(&o->trusted_proxies[i], addr))
            return true;
    return false;
}

int gust__http_trust_copy(gust_http_server_options *o)
{
    size_t size = o->trusted_proxy_count * sizeof(*o->trusted_proxies);
    int bits;

    for (size_t i = 0; i < o->trusted_proxy_count; i++) {
        const gust_proxy_prefix *prefix = &o->trusted_proxies[i];
        bool ip = host_of(&prefix->addr, &bits) != NULL;
        if (ip ? prefix->bits < 0 || prefix->bits > bits : !is_unix(&prefix->addr))
            return -EINVAL;
    }
    if (size == 0) {
        o->trusted_proxies = NULL;
        return 0;
    }
    gust_proxy_prefix *copy = gust__malloc(size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, o->trusted_proxies, size);
    o->trusted_proxies = copy;
    return 0;
}

/* --- What the fields say ------------------------------------------------------ */

/* "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80". */
static bool read_addr(gust_span s, gust_addr *ret_addr)
{
    char text[80];
    bool bracket = s.len > 0 && s.data[0] == '[';
    size_t colons = 0;

    if (s.len == 0 || s.len > sizeof(text) - 5)
        return false;
    for (size_t i = 0; i < s.len; i++)
        colons += s.data[i] == ':';
    bool bare_v6 = !bracket && colons > 1;
    bool has_port = bracket ? s.data[s.len - 1] != ']' : colons == 1;
    char *p = text;
    if (bare_v6)
        *p++ = '[';
    memcpy(p, s.data, s.len);
    p += s.len;
    if (bare_v6)
        *p++ = ']';
    strcpy(p, has_port ? "" : ":0");
    return memchr(text, '\0', s.len) == NULL && text[0] != ':' && strncmp(text, "unix:", 5) != 0 &&
           gust_addr_parse(text, ret_addr) == 0;
}

static gust_span unquoted(gust_span s)
{
    if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
        return (gust_span){s.data + 1, s.len - 2};
    return s;
}

/* The for= of an element of Forwarded; empty if it has none. */
static gust_span forwarded_for(gust_span element)
{
    const char *p = element.data, *end = p + element.len;

    while (p < end) {
        const char *semicolon = memchr(p, ';', (size_t)(end - p));
        const char *stop = semicolon ? semicolon : end;
        gust_span pair = gust__http_trim(p, (size_t)(stop - p));
        if (pair.len > 4 && gust__http_equals((gust_span){pair.data, 4}, "for="))
            return unquoted((gust_span){pair.data + 4, pair.len - 4});
        p = semicolon ? semicolon + 1 : end;
    }
    return (gust_span){p, 0};
}

/* Takes the last element off a list; false if none is left. */
static bool last_element(gust_span *list, gust_span *ret_element)
{
    if (!list->data)
        return false;
    const char *comma = memrchr(list->data, ',', list->len);
    const char *at = comma ? comma + 1 : list->data;
    *ret_element = gust__http_trim(at, list->len - (size_t)(at - list->data));
    *list = (gust_span){comma ? list->data : NULL, comma ? (size_t)(comma - list->data) : 0};
    return true;
}

/* Goes from the last element of a field to the first, as long as who has written it is
 * trusted: *addr.  False if there the way ends. */
static bool follow(const gust_http_server_options *o, gust_span list, gust_addr *addr)
{
    gust_span element;

    while (last_element(&list, &element)) {
        gust_addr next;
        gust_span who = o->trust_forwarded ? forwarded_for(element) : element;
        if (!read_addr(who, &next))
            return false;
        *addr = next;
        if (!is_trusted(o, addr))
            return false;
    }
    return true;
}

/* The n-th field of this name, counted from the last one; data is NULL without one. */
static gust_span field_from_last(const gust_http_request *req, const char *lower, size_t n)
{
    gust_http_field field;
    size_t count = 0, cursor = 0;

    while (gust_http_request_fields(req, &cursor, &field))
        count += gust__http_equals(field.name, lower);
    if (n >= count)
        return (gust_span){NULL, 0};
    cursor = 0;
    for (size_t at = 0; gust_http_request_fields(req, &cursor, &field);)
        if (gust__http_equals(field.name, lower) && at++ == count - 1 - n)
            break;
    return field.value;
}

void gust_http_request_client_addr(const gust_http_request *req, gust_addr *ret_addr)
{
    const gust_http_server_options *o = gust__http_options(req->hc);
    const char *name = o->trust_forwarded ? "forwarded" : "x-forwarded-for";

    gust_http_request_remote_addr(req, ret_addr);
    if (!is_trusted(o, ret_addr))
        return;
    for (size_t n = 0;; n++) {
        gust_span list = field_from_last(req, name, n);
        if (!list.data || !follow(o, list, ret_addr))
            return;
    }
}
