/* Proxies of the environment: which one is asked, and how. */
#include "http/client/proxies.h"
#include "tests/http_client/origin.h"

#include <stdio.h>
#include <stdlib.h>

static bool excluded(const char *list, const char *host, uint16_t port)
{
    return gust__proxy_excluded(list, text_span(host), port);
}

Test(proxies, no_proxy_names_those_who_are_asked_directly)
{
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool is;
    } cases[] = {
        {"", "a.b", 80, false},
        {"*", "a.b", 80, true},
        {"x, * ", "a.b", 80, true},
        {"a.b", "a.b", 80, true},
        {"A.b", "a.B", 80, true},
        {"a.b", "x.a.b", 80, true},
        {"a.b", "xa.b", 80, false},
        {"a.b", "b", 80, false},
        {".a.b", "a.b", 80, false},
        {".a.b", "x.a.b", 80, true},
        {"*.a.b", "x.a.b", 80, true},
        {"*.a.b", "a.b", 80, false},
        {"a.b:81", "a.b", 80, false},
        {"a.b:80", "a.b", 80, true},
        {"c,,  a.b:80", "a.b", 80, true},
        {"10.1.2.3", "10.1.2.3", 80, true},
        {"10.1.2.3:80", "10.1.2.3", 81, false},
        {"10.1.2.3", "10.1.2.4", 80, false},
        {"10.0.0.0/8", "10.1.2.4", 80, true},
        {"10.0.0.0/8", "11.1.2.4", 80, false},
        {"10.1.2.128/25", "10.1.2.129", 80, true},
        {"10.1.2.128/25", "10.1.2.127", 80, false},
        {"10.1.2.3/32", "10.1.2.3", 80, true},
        {"10.1.2.3/33", "10.1.2.3", 80, false},
        {"0.0.0.0/0", "10.1.2.3", 80, true},
        {"0.0.0.0/0", "[fe80::1]", 80, false},
        {"fe80::/10", "[fe80::1]", 80, true},
        {"fe80::1", "[fe80::1]", 80, true},
        {"[fe80::1]:80", "[fe80::1]", 80, true},
        {"[fe80::1]:81", "[fe80::1]", 80, false},
        {"10.0.0.0/8", "a.b", 80, false},
        {"/", "10.0.0.1", 80, false},
        {":", "a", 80, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        cr_expect_eq(excluded(cases[i].list, cases[i].host, cases[i].port), cases[i].is, "%s in %s",
                     cases[i].host, cases[i].list);
}

static void clear_environment(void)
{
    static const char *const names[] = {"HTTP_PROXY", "http_proxy", "HTTPS_PROXY",   "https_proxy",
                                        "NO_PROXY",   "no_proxy",   "REQUEST_METHOD"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unsetenv(names[i]);
}

/* The authority of the proxy for a URL; "" for none. */
static const char *proxy_for(const struct client_proxies *p, const char *text)
{
    struct client_url url;

    cr_assert_eq(gust__url_split(text_span(text), &url), 0);
    const struct client_proxy *proxy = gust__proxy_for(p, &url);
    return proxy ? proxy->authority : "";
}

static int read_proxies(struct client_proxies *p)
{
    memset(p, 0, sizeof(*p));
    return gust__proxies_read(p);
}

Test(proxies, the_environment_names_them)
{
    struct client_proxies p;

    clear_environment();
    cr_assert_eq(read_proxies(&p), 0);
    cr_expect_str_eq(proxy_for(&p, "http://a/"), "");
    setenv("http_proxy", "http://u:p@h:1/", 1);
    setenv("HTTPS_PROXY", "s:2", 1);
    setenv("no_proxy", "x", 1);
    cr_assert_eq(read_proxies(&p), 0);
    cr_expect_str_eq(proxy_for(&p, "http://a/"), "h:1");
    cr_expect_str_eq(proxy_for(&p, "https://a/"), "s:2");
    cr_expect_str_eq(proxy_for(&p, "https://x/"), "");
    cr_expect_str_eq(proxy_for(&p, "http://localhost:8/"), "");
    cr_expect_str_eq(proxy_for(&p, "http://127.1.2.3/"), "");
    cr_expect_str_eq(proxy_for(&p, "http://[::1]/"), "");
    cr_expect_eq(p.http.port, 1);
    cr_expect_eq(memcmp(p.http.basic.data, "Basic dTpw", 10), 0);
    gust__proxies_fini(&p);
    setenv("HTTP_PROXY", "h2", 1);
    cr_assert_eq(read_proxies(&p), 0);
    cr_expect_str_eq(proxy_for(&p, "http://a/"), "h2");
    cr_expect_eq(p.http.port, 80);
    gust__proxies_fini(&p);
    setenv("REQUEST_METHOD", "GET", 1); /* a client may have sent "Proxy: h2" */
    cr_assert_eq(read_proxies(&p), 0);
    cr_expect_str_eq(proxy_for(&p, "http://a/"), "h:1");
    gust__proxies_fini(&p);
    clear_environment();
}

Test(proxies, what_is_no_proxy_is_refused)
{
    static const char *const values[] = {"https://a/", "socks5://a", "http://", "a b", "a:b"};
    struct client_proxies p;

    clear_environment();
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        setenv("HTTPS_PROXY", values[i], 1);
        cr_expect_eq(read_proxies(&p), -EINVAL, "%s", values[i]);
        gust__proxies_fini(&p);
    }
    clear_environment();
}

/* --- Asking them ----------------------------------------------------------------------- */

static int plain_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET http://a.test/x?y HTTP/1.1\r\nHost: a.test\r\nUser-Agent: gust\r\n"
         "Proxy-Authorization: Basic dTpw\r\nCookie: c\r\nA: b\r\n\r\n",
         "HTTP/1.1 302 X\r\nLocation: http://b.test/\r\nContent-Length: 0\r\n\r\n", STAY},
        {"GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\nUser-Agent: gust\r\n"
         "Proxy-Authorization: Basic dTpw\r\nA: b\r\n\r\n",
         OK_BODY("2", "ok"), LEAVE},
    };
    struct origin o;
    char proxy[64];
    (void)arg;
    memset(&o, 0, sizeof(o));
    o.script = script;
    o.count = 2;
    origin_listen(&o);
    snprintf(proxy, sizeof(proxy), "http://u:p@127.0.0.1:%u", gust_addr_port(&o.addr));
    setenv("HTTP_PROXY", proxy, 1);
    CHECK_EQ(
        gust_http_client_new(
            &(gust_http_client_options){.proxy_from_env = true, .redirects_max = 1}, &o.client),
        0);
    gust_waitgroup_add(&o.playing, 1);
    CHECK_EQ(gust_go(play_script, &o), 0);
    gust_http_call *call;
    CHECK_EQ(gust_http_call_new(o.client, "GET", "http://a.test/x?y", &call), 0);
    CHECK_EQ(gust_http_call_header(call, "Cookie", "c"), 0); /* not for b.test */
    CHECK_EQ(gust_http_call_header(call, "A", "b"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "ok");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(proxies, are_sent_the_whole_url)
{
    clear_environment();
    cr_assert_eq(gust_run(plain_main, NULL), 0);
    clear_environment();
}
