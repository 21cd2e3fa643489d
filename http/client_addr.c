/* Who the client is, behind proxies that are trusted to say so. */
#include "http/server.h"

#include "core/inject.h"
#include "http/syntax.h"

#include <gust/proxy.h>

#include <string.h>

/* --- Trust ------------------------------------------------------------------ */

static bool is_trusted(const gust_http_server_options *o, const gust_addr *addr)
{
    for (size_t i = 0; i < o->trusted_proxy_count; i++)
        if (gust_proxy_prefix_has(&o->trusted_proxies[i], addr))
            return true;
    return false;
}

int gust__http_trust_copy(gust_http_server_options *o)
{
    size_t size = o->trusted_proxy_count * sizeof(*o->trusted_proxies);

    for (size_t i = 0; i < o->trusted_proxy_count; i++)
        if (!gust_proxy_prefix_valid(&o->trusted_proxies[i]))
            return -EINVAL;
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

/* Takes the last element off a list; false if none is left.  From its end, and with no
 * regard to quotes: one that a client has left open must not hide what proxies add. */
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
