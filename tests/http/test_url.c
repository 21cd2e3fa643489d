/* Percent-encoding and queries, against a guard page. */
#include "tests/http/guard.h"

#include <gust/http_url.h>

static gust_span span(const char *text)
{
    return (gust_span){text, strlen(text)};
}

static bool same(gust_span s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/* --- Escapes ---------------------------------------------------------------- */

static const struct {
    gust_http_escaping escaping;
    const char *text;
    const char *expected; /* NULL: malformed */
} escaped[] = {
    {GUST_HTTP_PATH, "", ""},         {GUST_HTTP_PATH, "/a%20b+c", "/a b+c"},
    {GUST_HTTP_PATH, "%2F%2f", "//"}, {GUST_HTTP_PATH, "%c3%A9", "\xc3\xa9"},
    {GUST_HTTP_PATH, "%2541", "%41"}, {GUST_HTTP_PATH, "a%00b", NULL},
    {GUST_HTTP_SEGMENT, "%00", NULL}, {GUST_HTTP_FORM, "a+b%2B", "a b+"},
    {GUST_HTTP_FORM, "%", NULL},      {GUST_HTTP_FORM, "%4", NULL},
    {GUST_HTTP_FORM, "%4g", NULL},    {GUST_HTTP_FORM, "%g4", NULL},
    {GUST_HTTP_FORM, "% 4", NULL},    {GUST_HTTP_FORM, "%%41", NULL},
    {GUST_HTTP_FORM, "%u0041", NULL}, {GUST_HTTP_FORM, "%+1", NULL},
};

Test(url, unescapes)
{
    struct guard g = guard_new(64);

    for (size_t i = 0; i < sizeof(escaped) / sizeof(escaped[0]); i++) {
        char buf[64];
        size_t len = strlen(escaped[i].text);
        gust_span text = {guard_put(&g, escaped[i].text, len), len};
        ssize_t n = gust_http_unescape(escaped[i].escaping, text, buf, sizeof(buf));
        if (!escaped[i].expected) {
            cr_assert_eq(n, -EBADMSG, "%s", escaped[i].text);
            continue;
        }
        cr_assert_eq(n, (ssize_t)strlen(escaped[i].expected), "%s", escaped[i].text);
        cr_assert_str_eq(buf, escaped[i].expected);
    }
    guard_free(&g);
}

Test(url, a_nul_in_a_form_is_data)
{
    char buf[8];

    cr_assert_eq(gust_http_unescape(GUST_HTTP_FORM, span("a%00b"), buf, sizeof(buf)), 3);
    cr_assert_eq(memcmp(buf, "a\0b", 4), 0);
}

Test(url, the_buffer_needs_room_for_the_nul)
{
    char buf[4] = "xyz";

    cr_assert_eq(gust_http_unescape(GUST_HTTP_PATH, span("%61bc"), buf, 4), 3);
    cr_assert_eq(gust_http_unescape(GUST_HTTP_PATH, span("abc"), buf, 3), -ENOBUFS);
    cr_assert_eq(gust_http_unescape(GUST_HTTP_PATH, span(""), buf, 1), 0);
    cr_assert_eq(gust_http_unescape(GUST_HTTP_PATH, span(""), buf, 0), -ENOBUFS);
    cr_assert_eq(gust_http_escape(GUST_HTTP_PATH, span("%"), buf, 4), 3);
    cr_assert_eq(gust_http_escape(GUST_HTTP_PATH, span("%"), buf, 3), -ENOBUFS);
    cr_assert_eq(gust_http_escape(GUST_HTTP_PATH, span("ab"), buf, 2), -ENOBUFS);
    cr_assert_eq(gust_http_escape(GUST_HTTP_PATH, span(""), buf, 0), -ENOBUFS);
}

static void expect_escaped(gust_http_escaping escaping, const char *text, const char *expected)
{
    char buf[128];

    cr_assert_eq(gust_http_escape(escaping, span(text), buf, sizeof(buf)),
                 (ssize_t)strlen(expected));
    cr_assert_str_eq(buf, expected);
}

Test(url, escapes_what_would_mean_something)
{
    expect_escaped(GUST_HTTP_SEGMENT, "a/b c?d#e%\xff", "a%2Fb%20c%3Fd%23e%25%FF");
    expect_escaped(GUST_HTTP_PATH, "/a/b c", "/a/b%20c");
    expect_escaped(GUST_HTTP_PATH, "-._~!$&'()*+,;=:@", "-._~!$&'()*+,;=:@");
    expect_escaped(GUST_HTTP_FORM, "a b&c=d+e/-._~*", "a+b%26c%3Dd%2Be%2F-._~%2A");
}

Test(url, every_byte_comes_back)
{
    static const gust_http_escaping all[] = {GUST_HTTP_SEGMENT, GUST_HTTP_PATH, GUST_HTTP_FORM};
    char text[256], there[3 * 256 + 1], back[257];

    for (int i = 0; i < 256; i++)
        text[i] = (char)i;
    for (size_t i = 0; i < 3; i++) {
        /* Paths have no NUL. */
        size_t skip = all[i] != GUST_HTTP_FORM;
        ssize_t n =
            gust_http_escape(all[i], (gust_span){text + skip, 256 - skip}, there, sizeof(there));
        cr_assert_gt(n, 0);
        n = gust_http_unescape(all[i], (gust_span){there, (size_t)n}, back, sizeof(back));
        cr_assert_eq(n, (ssize_t)(256 - skip));
        cr_assert_eq(memcmp(back, text + skip, 256 - skip), 0);
    }
}

/* --- Queries ---------------------------------------------------------------- */

Test(url, a_query_is_gone_through_in_order)
{
    static const char *expected[][2] = {{"a", "1"}, {"b", ""},      {"c", ""},   {"", "x"},
                                        {"d", "="}, {"a", "2;e=3"}, {"%zz", "+"}};
    const char text[] = "&a=1&b&c=&&=x&d==&a=2;e=3&%zz=+&";
    struct guard g = guard_new(64);
    gust_span query = {guard_put(&g, text, sizeof(text) - 1), sizeof(text) - 1};
    gust_http_pair pair;
    size_t cursor = 0;
    size_t count = 0;

    while (gust_http_query_next(query, &cursor, &pair)) {
        cr_assert(same(pair.name, expected[count][0]), "%zu", count);
        cr_assert(same(pair.value, expected[count][1]), "%zu", count);
        count++;
    }
    cr_assert_eq(count, 7);
    cr_assert_not(gust_http_query_next(query, &cursor, &pair));
    cursor = 0;
    cr_assert_not(gust_http_query_next((gust_span){NULL, 0}, &cursor, &pair));
    guard_free(&g);
}

Test(url, values_are_found_by_their_unescaped_name)
{
    gust_span query = span("ab=0&%61+b=1%2F2&a b=second&bad=%4&%zz=1&empty&long=123456789");
    char buf[8];
    gust_http_pair pair;

    cr_assert_eq(gust_http_query_get(query, "a b", buf, sizeof(buf)), 3);
    cr_assert_str_eq(buf, "1/2");
    cr_assert_eq(gust_http_query_get(query, "empty", buf, sizeof(buf)), 0);
    cr_assert_str_eq(buf, "");
    cr_assert_eq(gust_http_query_get(query, "a", buf, sizeof(buf)), -ENOENT);
    cr_assert_eq(gust_http_query_get(query, "abc", buf, sizeof(buf)), -ENOENT);
    cr_assert_eq(gust_http_query_get(query, "%zz", buf, sizeof(buf)), -ENOENT);
    cr_assert_eq(gust_http_query_get(query, "bad", buf, sizeof(buf)), -EBADMSG);
    cr_assert_eq(gust_http_query_get(query, "long", buf, sizeof(buf)), -ENOBUFS);
    cr_assert(gust_http_query_find(query, "long", &pair));
    cr_assert(same(pair.value, "123456789"));
}
