/* URLs: their parts, as they are sent, and where references lead. */
#include "http/client/url.h"
#include "tests/harness/test.h"

#include <errno.h>
#include <stdlib.h>

#define MAX 65536

static gust_span span(const char *s)
{
    return (gust_span){s, strlen(s)};
}

static bool is(gust_span s, const char *expected)
{
    return s.len == strlen(expected) && memcmp(s.data, expected, s.len) == 0;
}

Test(url, has_parts)
{
    static const struct {
        const char *text, *authority, *host, *target;
        int port;
        bool tls;
    } cases[] = {
        {"http://a", "a", "a", "", 80, false},
        {"HTTPS://A.example/", "A.example", "A.example", "/", 443, true},
        {"http://a:8080/b?c#d", "a:8080", "a", "/b?c", 8080, false},
        {"http://a:/b", "a:", "a", "/b", 80, false},
        {"http://a?b/c", "a", "a", "?b/c", 80, false},
        {"http://a#b/c", "a", "a", "", 80, false},
        {"https://[::1]:1/", "[::1]:1", "[::1]", "/", 1, true},
        {"http://u:p@ss@a/x@y", "a", "a", "/x@y", 80, false},
    };
    struct client_url url;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(gust__url_split(span(cases[i].text), &url), 0, "%s", cases[i].text);
        cr_expect(is(url.authority, cases[i].authority), "%s", cases[i].text);
        cr_expect(is(url.host, cases[i].host), "%s", cases[i].text);
        cr_expect(is(url.target, cases[i].target), "%s", cases[i].text);
        cr_expect_eq(url.port, cases[i].port);
        cr_expect_eq(url.tls, cases[i].tls);
    }
    cr_expect(is(url.userinfo, "u:p@ss"));
    cr_expect_eq(gust__url_split(span("http://a/"), &url), 0);
    cr_expect(url.userinfo.data == NULL);
}

Test(url, is_refused_if_it_is_none)
{
    static const char *const malformed[] = {
        "",
        "a",
        "/a",
        "//a",
        "http",
        "http:",
        "http:/a",
        "http:a",
        "http://",
        "http:///a",
        "http://:80/",
        "http://a:b/",
        "http://a:0/",
        "http://a:65536/",
        "http://a b/",
        "http://[::1/",
        "http://a\\b/",
        "http://a\r\n/",
        "1http://a/",
        "http://\xc3\xa4/",
    };
    static const char *const others[] = {"ftp://a/", "mailto:a@b", "javascript:x", "httpx://a"};
    struct client_url url;

    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        cr_expect_eq(gust__url_split(span(malformed[i]), &url), -EINVAL, "%s", malformed[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        cr_expect_eq(gust__url_split(span(others[i]), &url), -EPROTONOSUPPORT, "%s", others[i]);
}

static int write_url(const char *text, struct http_text *t, size_t *target_at)
{
    struct client_url url;

    cr_assert_eq(gust__url_split(span(text), &url), 0);
    t->len = 0;
    return gust__url_write(&url, MAX, t, target_at);
}

Test(url, is_written_so_that_it_can_be_sent)
{
    static const char *const cases[][2] = {
        {"HTTP://u:p@a:80#f", "http://a:80/"},
        {"https://a?b", "https://a/?b"},
        {"http://a/b c?d e", "http://a/b%20c?d%20e"},
        {"http://a/\xc3\xa4%20", "http://a/%C3%A4%20"},
    };
    static const char *const refused[] = {"http://a/\x7f", "http://a/\n", "http://a/b\r\nc: d"};
    struct http_text t = {NULL, 0, 0, NULL};
    size_t at;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(write_url(cases[i][0], &t, &at), 0);
        cr_expect(is((gust_span){t.data, t.len}, cases[i][1]), "%.*s", (int)t.len, t.data);
        cr_expect_eq(t.data[at], '/');
    }
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        cr_expect_eq(write_url(refused[i], &t, &at), -EINVAL);
    free(t.heap);
}

/* RFC 3986, 5.4, for a base of http. */
Test(url, references_lead_where_the_rfc_says)
{
    static const char *const cases[][2] = {
        {"g:h", "g:h"},
        {"g", "http://a/b/c/g"},
        {"./g", "http://a/b/c/g"},
        {"g/", "http://a/b/c/g/"},
        {"/g", "http://a/g"},
        {"//g", "http://g"},
        {"?y", "http://a/b/c/d;p?y"},
        {"g?y", "http://a/b/c/g?y"},
        {"#s", "http://a/b/c/d;p?q#s"},
        {"g#s", "http://a/b/c/g#s"},
        {"g?y#s", "http://a/b/c/g?y#s"},
        {";x", "http://a/b/c/;x"},
        {"g;x", "http://a/b/c/g;x"},
        {"", "http://a/b/c/d;p?q"},
        {".", "http://a/b/c/"},
        {"./", "http://a/b/c/"},
        {"..", "http://a/b/"},
        {"../", "http://a/b/"},
        {"../g", "http://a/b/g"},
        {"../..", "http://a/"},
        {"../../g", "http://a/g"},
        {"../../../g", "http://a/g"},
        {"../../../../g", "http://a/g"},
        {"/./g", "http://a/g"},
        {"/../g", "http://a/g"},
        {"g.", "http://a/b/c/g."},
        {".g", "http://a/b/c/.g"},
        {"g..", "http://a/b/c/g.."},
        {"./../g", "http://a/b/g"},
        {"./g/.", "http://a/b/c/g/"},
        {"g/./h", "http://a/b/c/g/h"},
        {"g/../h", "http://a/b/c/h"},
        {"g?y/../x", "http://a/b/c/g?y/../x"},
        {"g#s/../x", "http://a/b/c/g#s/../x"},
    };
    struct http_text t = {NULL, 0, 0, NULL};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.len = 0;
        cr_expect_eq(gust__url_resolve(span("http://a/b/c/d;p?q"), span(cases[i][0]), MAX, &t), 0);
        cr_expect(is((gust_span){t.data, t.len}, cases[i][1]), "%s: %.*s", cases[i][0], (int)t.len,
                  t.data);
    }
    free(t.heap);
}
