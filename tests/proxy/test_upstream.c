/* URLs of upstreams, places, and who frees one. */
#include "tests/harness/test.h"

#include "proxy/upstream.h"

#include <errno.h>

static struct upstream *make(const gust_http_upstream *options)
{
    struct upstream *u = NULL;

    cr_assert_eq(gust__upstream_new(options, &u), 0, "%s", options->url);
    return u;
}

static void expect_url(const char *url, const char *authority, const char *name, const char *port,
                       const char *prefix)
{
    struct upstream *u = make(&(gust_http_upstream){.url = url});

    cr_assert_str_eq(u->url, url);
    cr_assert_str_eq(u->authority.data, authority);
    cr_assert_eq(u->authority.len, strlen(authority));
    cr_assert_str_eq(u->name, name);
    cr_assert_str_eq(u->port, port);
    cr_assert_str_eq(u->prefix.data, prefix);
    cr_assert_eq(u->prefix.len, strlen(prefix));
    gust__upstream_disown(u);
}

Test(upstream, a_url_is_taken_apart)
{
    expect_url("http://example.org", "example.org", "example.org", "80", "");
    expect_url("HTTPS://example.org/", "example.org", "example.org", "443", "");
    expect_url("http://127.0.0.1:8080/base", "127.0.0.1:8080", "127.0.0.1", "8080", "/base");
    expect_url("http://[::1]:81/a/b//", "[::1]:81", "::1", "81", "/a/b");
    expect_url("https://[2001:db8::1]", "[2001:db8::1]", "2001:db8::1", "443", "");
}

Test(upstream, what_is_no_url_is_refused)
{
    const char *const urls[] = {
        NULL,
        "",
        "example.org",
        "ftp://example.org",
        "http://",
        "http:///path",
        "http://a b",
        "http://example.org:0",
        "http://a:65536",
        "http://user:secret@example.org",
        "http://a/x?y",
        "http://a/#x",
        "http://a/x y",
        "http://a/\"",
        "http://a/\\",
        "http://a/<b>",
        "http://a/\x80",
        "http://:80",
    };
    struct upstream *u;

    for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++)
        cr_assert_eq(gust__upstream_new(&(gust_http_upstream){.url = urls[i]}, &u), -EINVAL, "%s",
                     urls[i]);
}

Test(upstream, has_as_many_places_as_it_should)
{
    const gust_http_upstream options[] = {
        {.url = "http://a", .requests_max = 3},
        {.url = "http://a", .conns_max = 2, .pending_max = 1},
        {.url = "http://a", .conns_max = 2, .pending_max = 9, .requests_max = 3},
        {.url = "http://a", .conns_max = 3},
    };

    for (int i = 0; i < 4; i++) {
        struct upstream *u = make(&options[i]);
        for (int n = 0; n < 3; n++)
            cr_assert(gust__upstream_enter(u));
        cr_assert(!gust__upstream_enter(u));
        cr_assert_eq(upstream_in_flight(u), 3);
        cr_assert_eq(atomic_load(&u->counts[COUNT_REFUSED]), 1);
        gust__upstream_leave(u);
        cr_assert(gust__upstream_enter(u));
        for (int n = 0; n < 3; n++)
            gust__upstream_leave(u);
        gust__upstream_disown(u);
    }
}

static int released;

static void note_release(struct gust_http_origin *origin)
{
    cr_assert_eq((uintptr_t)origin, 0x1000);
    released++;
}

Test(upstream, lives_as_long_as_a_request)
{
    struct upstream *u = make(&(gust_http_upstream){.url = "http://a"});

    u->origin = (struct gust_http_origin *)0x1000;
    u->release = note_release;
    gust__upstream_own(u);
    cr_assert(gust__upstream_enter(u));
    gust__upstream_disown(u);
    gust__upstream_disown(u);
    cr_assert_eq(released, 0);
    gust__upstream_leave(u);
    cr_assert_eq(released, 1);
}

Test(upstream, is_recognised_by_url_and_limits)
{
    gust_http_upstream o = {.url = "http://a", .requests_max = 3, .conns_max = 9};
    struct upstream *u = make(&o);

    o.weight = 7;
    o.drain = true;
    cr_assert(gust__upstream_matches(u, &o));
    o.conns_max = 8;
    cr_assert(!gust__upstream_matches(u, &o));
    o.conns_max = 9;
    o.requests_max = 4;
    cr_assert(!gust__upstream_matches(u, &o));
    o.requests_max = 3;
    o.url = "http://b";
    cr_assert(!gust__upstream_matches(u, &o));
    gust__upstream_disown(u);
}
