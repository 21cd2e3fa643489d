/* Conditional requests (RFC 9110, 13).  Pure. */
#include <gust/http_conditions.h>

#include "http/syntax.h"

#include <string.h>

/* --- Entity tags ---------------------------------------------------------- */

/* The length of the tag at the start of s, 0 if there is none (RFC 9110, 8.8.3). */
static size_t etag_prefix(gust_span s)
{
    size_t at = s.len >= 2 && memcmp(s.data, "W/", 2) == 0 ? 2 : 0;

    if (at == s.len || s.data[at] != '"')
        return 0;
    for (at++; at < s.len; at++) {
        uint8_t c = (uint8_t)s.data[at];
        if (c == '"')
            return at + 1;
        if (c <= ' ' || c == 0x7f)
            return 0;
    }
    return 0;
}

bool gust_http_etag_valid(gust_span etag)
{
    return etag.len > 0 && etag_prefix(etag) == etag.len;
}

static bool is_weak(gust_span etag)
{
    return etag.len > 0 && etag.data[0] == 'W';
}

static bool same_bytes(gust_span a, gust_span b)
{
    return a.len == b.len && a.len > 0 && memcmp(a.data, b.data, a.len) == 0;
}

static gust_span opaque(gust_span etag)
{
    return is_weak(etag) ? (gust_span){etag.data + 2, etag.len - 2} : etag;
}

bool gust_http_etag_strong_equal(gust_span a, gust_span b)
{
    return !is_weak(a) && gust_http_etag_valid(a) && same_bytes(a, b);
}

bool gust_http_etag_weak_equal(gust_span a, gust_span b)
{
    return gust_http_etag_valid(a) && gust_http_etag_valid(b) && same_bytes(opaque(a), opaque(b));
}

typedef bool etag_equal(gust_span a, gust_span b);

static size_t skip_separators(gust_span s, size_t at)
{
    while (at < s.len && (s.data[at] == ' ' || s.data[at] == '\t' || s.data[at] == ','))
        at++;
    return at;
}

/* If one of the list is equal to what there is.  Not gust__http_list_next: what is between
 * the quotes of an entity tag is no quoted string, a backslash escapes nothing there. */
static bool list_has(gust_span list, const gust_http_version *version, etag_equal *equal)
{
    size_t at = 0;
    size_t len;

    if (list.len == 1 && list.data[0] == '*')
        return version->exists;
    while ((at = skip_separators(list, at)) < list.len) {
        gust_span rest = {list.data + at, list.len - at};
        len = etag_prefix(rest);
        if (len == 0)
            return false;
        if (equal((gust_span){rest.data, len}, version->etag))
            return true;
        at += len;
    }
    return false;
}

/* --- Conditions ----------------------------------------------------------- */

/* Where the value of a field of this name goes; NULL if it is none of them. */
static gust_span *find_place(gust_http_conditions *c, gust_span name)
{
    switch (name.len) {
    case 5: return gust__http_equals(name, "range") ? &c->range : NULL;
    case 8:
        if (gust__http_equals(name, "if-match"))
            return &c->if_match;
        return gust__http_equals(name, "if-range") ? &c->if_range : NULL;
    case 13: return gust__http_equals(name, "if-none-match") ? &c->if_none_match : NULL;
    case 17: return gust__http_equals(name, "if-modified-since") ? &c->if_modified_since : NULL;
    case 19: return gust__http_equals(name, "if-unmodified-since") ? &c->if_unmodified_since : NULL;
    default: return NULL;
    }
}

void gust_http_conditions_read(const gust_http_request *req, gust_http_conditions *ret_conditions)
{
    gust_http_method method = gust_http_request_method(req);
    gust_http_field field;
    size_t cursor = 0;

    *ret_conditions = (gust_http_conditions){
        .is_get = method == GUST_HTTP_GET || method == GUST_HTTP_HEAD,
    };
    while (gust_http_request_fields(req, &cursor, &field)) {
        gust_span *place = find_place(ret_conditions, field.name);
        if (place && !place->data)
            *place = field.value;
    }
}

/* True if there are two dates to compare: the field's and the version's. */
static bool read_date(gust_span field, const gust_http_version *version, int64_t *ret_date)
{
    return field.data && version->has_modified && gust_http_date_parse(field, ret_date) == 0;
}

static bool may_proceed(const gust_http_conditions *c, const gust_http_version *version)
{
    int64_t date;

    if (c->if_match.data)
        return list_has(c->if_match, version, gust_http_etag_strong_equal);
    return !read_date(c->if_unmodified_since, version, &date) || version->modified_s <= date;
}

static bool client_has_it(const gust_http_conditions *c, const gust_http_version *version)
{
    int64_t date;

    if (c->if_none_match.data)
        return list_has(c->if_none_match, version, gust_http_etag_weak_equal);
    return c->is_get && read_date(c->if_modified_since, version, &date) &&
           version->modified_s <= date;
}

int gust_http_conditions_eval(const gust_http_conditions *c, const gust_http_version *version)
{
    if (!may_proceed(c, version))
        return 412;
    if (client_has_it(c, version))
        return c->is_get ? 304 : 412;
    return 200;
}

bool gust_http_conditions_range(const gust_http_conditions *c, const gust_http_version *version)
{
    int64_t date;

    if (!c->range.data)
        return false;
    if (!c->if_range.data || gust_http_etag_strong_equal(c->if_range, version->etag))
        return true;
    return read_date(c->if_range, version, &date) && version->modified_s == date;
}
