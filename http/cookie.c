/* Cookies that a client sends. */
#include <gust/http_cookie.h>

#include "http/syntax.h"

#include <string.h>

static gust_span unquote(gust_span s)
{
    if (s.len >= 2 && s.data[0] == '"' && s.data[s.len - 1] == '"')
        return (gust_span){s.data + 1, s.len - 2};
    return s;
}

static bool value_valid(gust_span s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (c < ' ' || c > '~' || c == '"' || c == ';' || c == '\\')
            return false;
    }
    return true;
}

/* Reads name=value. */
static bool read_pair(gust_span pair, gust_http_cookie *ret_cookie)
{
    size_t name = chars_prefix(pair.data, pair.len, CH_TOKEN);

    if (name == 0 || name == pair.len || pair.data[name] != '=')
        return false;
    gust_span value = unquote((gust_span){pair.data + name + 1, pair.len - name - 1});
    if (!value_valid(value))
        return false;
    *ret_cookie = (gust_http_cookie){{pair.data, name}, value};
    return true;
}

bool gust_http_cookie_next(gust_span field, size_t *cursor, gust_http_cookie *ret_cookie)
{
    while (*cursor < field.len) {
        const char *pair = field.data + *cursor;
        size_t rest = field.len - *cursor;
        const char *end = memchr(pair, ';', rest);
        size_t len = end ? (size_t)(end - pair) : rest;
        *cursor += end ? len + 1 : len;
        if (read_pair(gust__http_trim(pair, len), ret_cookie))
            return true;
    }
    return false;
}

gust_span gust_http_request_cookie(const gust_http_request *req, const char *name)
{
    size_t len = strlen(name);
    size_t fields = 0;
    gust_http_field field;
    gust_http_cookie cookie;

    while (gust_http_request_fields(req, &fields, &field)) {
        size_t cursor = 0;
        if (!gust__http_equals(field.name, "cookie"))
            continue;
        while (gust_http_cookie_next(field.value, &cursor, &cookie))
            if (cookie.name.len == len && memcmp(cookie.name.data, name, len) == 0)
                return cookie.value;
    }
    return (gust_span){NULL, 0};
}
