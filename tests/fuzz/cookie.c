/* Cookie fields.  What is read from one, if it can be set, is read again from what was
 * set. */
#include "http/set_cookie.h"
#include "http/syntax.h"
#include "tests/fuzz/targets.h"

static void check_set(const gust_http_cookie *cookie)
{
    static char text[SET_COOKIE_SIZE], name[5000], value[5000];
    const gust_http_set_cookie set = {.name = name, .value = value, .path = value, .domain = name};
    const gust_http_set_cookie plain = {.name = name, .value = value, .secure = true};
    gust_http_cookie again;
    size_t cursor = 0;

    if (cookie->name.len >= sizeof(name) || cookie->value.len >= sizeof(value))
        return;
    snprintf(name, sizeof(name), "%.*s", (int)cookie->name.len, cookie->name.data);
    snprintf(value, sizeof(value), "%.*s", (int)cookie->value.len, cookie->value.data);
    gust__http_set_cookie_format(&set, text);
    if (gust__http_set_cookie_format(&plain, text) < 0)
        return;
    gust_span field = {text, strlen(text)};
    EXPECT(gust__http_value_valid(field));
    EXPECT(gust_http_cookie_next(field, &cursor, &again));
    EXPECT(span_same(again.name, cookie->name) && span_same(again.value, cookie->value));
}

void fuzz_cookie(gust_span input)
{
    gust_http_cookie cookie;
    size_t cursor = 0;

    while (gust_http_cookie_next(input, &cursor, &cookie)) {
        EXPECT(cookie.name.len > 0 && span_inside(cookie.name, input));
        EXPECT(span_inside(cookie.value, input));
        check_set(&cookie);
    }
}
