/* Cookies, those read and those set. */
#include "http/set_cookie.h"
#include "tests/http/guard.h"
#include "tests/http/site.h"

#include <stdio.h>

/* --- Reading ------------------------------------------------------------------- */

static const struct {
    const char *field;
    const char *expected; /* name=value/ ... */
} fields[] = {
    {"", ""},
    {"SID=31d4d96e407aad42", "SID=31d4d96e407aad42/"},
    {"SID=31d4d96e407aad42; lang=en-US", "SID=31d4d96e407aad42/lang=en-US/"},
    {"a=1;b=2 ;\tc=3;", "a=1/b=2/c=3/"},
    {"a=\"x y\"; b=\"\"; c=\"; d=\"\"x\"", "a=x y/b=/"},
    {"a=b=c; =x; novalue; a b=c; d=,", "a=b=c/d=,/"},
    {"a=\x80; b=\x01; c=x\\y; d=1", "d=1/"},
    {";;; ;a=", "a=/"},
};

Test(cookie, reads_those_of_a_field)
{
    struct guard g = guard_new(64);

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        size_t len = strlen(fields[i].field);
        gust_span field = {guard_put(&g, fields[i].field, len), len};
        char out[128] = "", *p = out;
        size_t cursor = 0;
        gust_http_cookie c;
        while (gust_http_cookie_next(field, &cursor, &c))
            p += sprintf(p, "%.*s=%.*s/", (int)c.name.len, c.name.data, (int)c.value.len,
                         c.value.data);
        cr_assert_str_eq(out, fields[i].expected);
    }
    guard_free(&g);
}

/* --- Setting ------------------------------------------------------------------- */

static char text[SET_COOKIE_SIZE];

static void expect_text(gust_http_set_cookie c, const char *expected)
{
    memset(text, 'x', sizeof(text));
    cr_assert_eq(gust__http_set_cookie_format(&c, text), 0, "%s", expected);
    cr_assert_str_eq(text, expected);
}

#define LAX GUST_HTTP_SAME_SITE_LAX
#define STRICT GUST_HTTP_SAME_SITE_STRICT
#define NONE GUST_HTTP_SAME_SITE_NONE

Test(cookie, sets_every_attribute)
{
    expect_text((gust_http_set_cookie){.name = "a"}, "a=");
    expect_text((gust_http_set_cookie){.name = "a", .value = "b=c"}, "a=b=c");
    expect_text((gust_http_set_cookie){.name = "a", .max_age_s = -1}, "a=; Max-Age=0");
    expect_text((gust_http_set_cookie){.name = "a", .same_site = LAX}, "a=; SameSite=Lax");
    expect_text((gust_http_set_cookie){.name = "a", .same_site = NONE, .secure = true},
                "a=; Secure; SameSite=None");
    expect_text((gust_http_set_cookie){.name = "__Host-a", .path = "/", .secure = true},
                "__Host-a=; Path=/; Secure");
    expect_text((gust_http_set_cookie){.name = "a",
                                       .value = "b",
                                       .path = "/x",
                                       .domain = "a-b.example.com",
                                       .max_age_s = INT64_MAX,
                                       .expires_s = 784111777,
                                       .secure = true,
                                       .http_only = true,
                                       .partitioned = true,
                                       .same_site = STRICT},
                "a=b; Path=/x; Domain=a-b.example.com; Max-Age=9223372036854775807; "
                "Expires=Sun, 06 Nov 1994 08:49:37 GMT; HttpOnly; Secure; SameSite=Strict; "
                "Partitioned");
}

static const gust_http_set_cookie refused[] = {
    {.name = NULL},
    {.name = ""},
    {.name = "a b"},
    {.name = "a="},
    {.name = "a\r\nX: y"},
    {.name = "a", .value = "b c"},
    {.name = "a", .value = "b;c"},
    {.name = "a", .value = "b,c"},
    {.name = "a", .value = "\"b\""},
    {.name = "a", .value = "b\\"},
    {.name = "a", .value = "b\r\nX: y"},
    {.name = "a", .value = "\xc3\xa9"},
    {.name = "a", .path = ""},
    {.name = "a", .path = "x"},
    {.name = "a", .path = "/;"},
    {.name = "a", .path = "/\r\nX: y"},
    {.name = "a", .domain = ""},
    {.name = "a", .domain = ".example.com"},
    {.name = "a", .domain = "example..com"},
    {.name = "a", .domain = "example.com."},
    {.name = "a", .domain = "-example.com"},
    {.name = "a", .domain = "example-.com"},
    {.name = "a", .domain = "example.com; Path=/"},
    {.name = "a", .domain = "a\n"},
    {.name = "a", .expires_s = -1},
    {.name = "a", .expires_s = 253402300800},
    {.name = "a", .same_site = NONE},
    {.name = "a", .partitioned = true},
    {.name = "__Secure-a"},
    {.name = "__secure-a"},
    {.name = "__Host-a", .path = "/"},
    {.name = "__Host-a", .secure = true},
    {.name = "__Host-a", .secure = true, .path = "/a"},
    {.name = "__Host-a", .secure = true, .path = "/", .domain = "example.com"},
};

Test(cookie, refuses_what_clients_would)
{
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        cr_assert_eq(gust__http_set_cookie_format(&refused[i], text), -EINVAL, "%zu", i);
}

static char *letters(char *buf, size_t n)
{
    memset(buf, 'v', n);
    buf[n] = '\0';
    return buf;
}

Test(cookie, the_longest_one_fits)
{
    static char value[4100], path[1100], domain[300];
    gust_http_set_cookie c = {.name = "n",
                              .value = letters(value, 4095),
                              .path = letters(path, 1024),
                              .domain = letters(domain, 253),
                              .max_age_s = INT64_MAX,
                              .expires_s = 1,
                              .secure = true,
                              .http_only = true,
                              .partitioned = true,
                              .same_site = STRICT};
    path[0] = '/';
    cr_assert_eq(gust__http_set_cookie_format(&c, text), 0);
    cr_assert_lt(strlen(text), sizeof(text));
    letters(value, 4096);
    cr_assert_eq(gust__http_set_cookie_format(&c, text), -EINVAL);
    letters(value, 4095);
    letters(path, 1025)[0] = '/';
    cr_assert_eq(gust__http_set_cookie_format(&c, text), -EINVAL);
    letters(path, 1)[0] = '/';
    letters(domain, 254);
    cr_assert_eq(gust__http_set_cookie_format(&c, text), -EINVAL);
}

/* --- In a handler ---------------------------------------------------------------- */

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    CHECK(span_is(gust_http_request_cookie(req, "a"), "1"));
    CHECK(span_is(gust_http_request_cookie(req, "b"), "2"));
    CHECK(span_is(gust_http_request_cookie(req, "B"), ""));
    CHECK(gust_http_request_cookie(req, "c").data == NULL);
    CHECK_EQ(gust_http_cookie_set(res, &(gust_http_set_cookie){.name = "a b"}), -EINVAL);
    CHECK_EQ(gust_http_cookie_set(res, &(gust_http_set_cookie){.name = "x", .value = "y"}), 0);
    CHECK_EQ(gust_http_cookie_set(res, &(gust_http_set_cookie){.name = "z"}), 0);
}

static int ask(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer});
    expect_reply(site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1; B=\r\nX: c=3\r\n"
                                 "cookie: a=2; b=2\r\nConnection: close\r\n\r\n"),
                 "cookies",
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n"
                 "Set-Cookie: x=y\r\nSet-Cookie: z=\r\n\r\n");
    site_stop(&site);
    return 0;
}

Test(cookie, a_handler_reads_and_sets_them)
{
    test_run(ask, NULL);
}
