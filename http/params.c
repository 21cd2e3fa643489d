/* Parameters of Content-Type and Content-Disposition. */
#include "http/params.h"

#include <string.h>

static size_t skip_white(gust_span s, size_t at)
{
    while (at < s.len && (s.data[at] == ' ' || s.data[at] == '\t'))
        at++;
    return at;
}

gust_span gust__http_params_main(gust_span field, size_t *ret_cursor)
{
    const char *semicolon = field.len ? memchr(field.data, ';', field.len) : NULL;
    size_t len = semicolon ? (size_t)(semicolon - field.data) : field.len;

    *ret_cursor = len;
    return gust__http_trim(field.data, len);
}

static bool is_escape(gust_span s, size_t at)
{
    return s.data[at] == '\\' && at + 1 < s.len &&
           (s.data[at + 1] == '"' || s.data[at + 1] == '\\');
}

/* Returns the offset behind the value, or 0 if it is malformed. */
static size_t read_value(gust_span s, size_t at, struct http_param *param)
{
    param->quoted = at < s.len && s.data[at] == '"';
    if (!param->quoted) {
        size_t len = chars_prefix(s.data + at, s.len - at, CH_TOKEN);
        param->value = (gust_span){s.data + at, len};
        return len > 0 ? at + len : 0;
    }
    size_t begin = ++at;
    while (at < s.len && s.data[at] != '"')
        at += is_escape(s, at) ? 2 : 1;
    if (at >= s.len)
        return 0;
    param->value = (gust_span){s.data + begin, at - begin};
    return at + 1;
}

int gust__http_params_next(gust_span field, size_t *cursor, struct http_param *ret_param)
{
    size_t at = skip_white(field, *cursor);
    struct http_param param;

    /* Nothing between two semicolons, or behind the last, is allowed. */
    bool separated = false;
    while (at < field.len && field.data[at] == ';') {
        separated = true;
        at = skip_white(field, at + 1);
    }
    *cursor = at;
    if (at == field.len)
        return 0;
    size_t name = chars_prefix(field.data + at, field.len - at, CH_TOKEN);
    if (!separated || name == 0 || at + name == field.len || field.data[at + name] != '=')
        return -EBADMSG;
    param.name = (gust_span){field.data + at, name};
    at = read_value(field, at + name + 1, &param);
    if (at == 0)
        return -EBADMSG;
    *cursor = at;
    *ret_param = param;
    return 1;
}

int gust__http_params_find(gust_span field, const char *lower, struct http_param *ret_param)
{
    struct http_param param;
    size_t cursor;
    int found = 0;
    int r;

    gust__http_params_main(field, &cursor);
    while ((r = gust__http_params_next(field, &cursor, &param)) > 0) {
        if (!gust__http_equals(param.name, lower))
            continue;
        if (found)
            return -EBADMSG;
        found = 1;
        *ret_param = param;
    }
    return r < 0 ? r : found;
}

gust_span gust__http_params_unquote(const struct http_param *param, char *buf)
{
    gust_span s = param->value;
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        if (param->quoted && is_escape(s, i))
            i++;
        buf[len++] = s.data[i];
    }
    return (gust_span){buf, len};
}
