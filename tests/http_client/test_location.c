/* Calls with a URL, and redirects. */
#include "tests/http_client/origin.h"

#include <stdio.h>
#include <string.h>

/* A script of "@" for the server's host and port. */
#define TEXT_MAX 600

struct place {
    struct origin o;
    char texts[16][TEXT_MAX];
    struct exchange script[8];
    char port[8];
};

static const char *put_port(struct place *p, const char *text, char *buf)
{
    size_t len = 0;

    for (; *text; text++) {
        if (*text == '@')
            len += (size_t)snprintf(buf + len, TEXT_MAX - len, "127.0.0.1:%s", p->port);
        else
            buf[len++] = *text;
        CHECK(len < TEXT_MAX);
    }
    buf[len] = '\0';
    return buf;
}

static void place_start(struct place *p, const struct exchange *script, size_t count,
                        const gust_http_client_options *options)
{
    memset(p, 0, sizeof(*p));
    CHECK(count <= 8);
    origin_listen(&p->o);
    snprintf(p->port, sizeof(p->port), "%u", gust_addr_port(&p->o.addr));
    for (size_t i = 0; i < count; i++) {
        p->script[i] = script[i];
        p->script[i].expected = put_port(p, script[i].expected, p->texts[2 * i]);
        p->script[i].reply = put_port(p, script[i].reply, p->texts[2 * i + 1]);
    }
    p->o.script = p->script;
    p->o.count = count;
    CHECK_EQ(gust_http_client_new(options, &p->o.client), 0);
    gust_waitgroup_add(&p->o.playing, 1);
    CHECK_EQ(gust_go(play_script, &p->o), 0);
}

#define PLACE_START(p, script, ...) \
    place_start(p, script, sizeof(script) / sizeof((script)[0]), __VA_ARGS__)

static gust_http_call *url_call(struct place *p, const char *method, const char *url)
{
    char text[TEXT_MAX];
    gust_http_call *call;

    CHECK_EQ(gust_http_call_new(p->o.client, method, put_port(p, url, text), &call), 0);
    return call;
}

#define HOST "Host: @\r\n"
#define AGENT "User-Agent: gust\r\n"
#define GO(status, location) \
    "HTTP/1.1 " status " Moved\r\nLocation: " location "\r\nContent-Length: 2\r\n\r\nno"

/* --- Simple calls ---------------------------------------------------------------------- */

static int simple_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /a?b HTTP/1.1\r\n" HOST AGENT "\r\n", OK_BODY("5", "hello"), STAY},
        {"GET / HTTP/1.1\r\n" HOST AGENT "\r\n", OK_BODY("5", "hello"), STAY},
        {"POST /p HTTP/1.1\r\n" HOST AGENT
         "Content-Length: 3\r\nContent-Type: text/plain\r\n\r\nabc",
         "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n", STAY},
        {"POST /p HTTP/1.1\r\n" HOST AGENT "Content-Length: 0\r\n\r\n", OK_BODY("0", ""), LEAVE},
    };
    struct place p;
    char url[TEXT_MAX], *data;
    size_t len;
    (void)arg;
    PLACE_START(&p, script, NULL);
    CHECK_EQ(gust_http_get(p.o.client, put_port(&p, "http://@/a?b#c", url), 5, &data, &len), 200);
    CHECK(len == 5 && strcmp(data, "hello") == 0);
    free(data);
    CHECK_EQ(gust_http_get(p.o.client, put_port(&p, "http://@", url), 4, &data, &len), -EMSGSIZE);
    put_port(&p, "http://@/p", url);
    CHECK_EQ(gust_http_post(p.o.client, url, "text/plain", "abc", 3, 10, &data, &len), 201);
    CHECK_EQ(len, 0);
    free(data);
    CHECK_EQ(gust_http_post(p.o.client, url, NULL, NULL, 0, 0, &data, &len), 200);
    free(data);
    CHECK_EQ(gust_http_get(p.o.client, "nonsense", 4, &data, &len), -EINVAL);
    CHECK_EQ(gust_http_get(p.o.client, "gopher://x", 4, &data, &len), -EPROTONOSUPPORT);
    gust_http_call *call;
    CHECK_EQ(gust_http_call_new(p.o.client, "CONNECT", url, &call), -EINVAL);
    CHECK_EQ(gust_http_call_new(p.o.client, "G T", url, &call), -EINVAL);
    origin_stop(&p.o);
    return 0;
}

Test(location, whole_calls_are_simple)
{
    cr_assert_eq(gust_run(simple_main, NULL), 0);
}

static int fields_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET / HTTP/1.1\r\n" HOST AGENT "Authorization: Basic dXNlcjpwQHNz\r\n\r\n",
         OK_BODY("0", ""), STAY},
        {"GET / HTTP/1.1\r\n" HOST "user-agent: me\r\nauthorization: x\r\n\r\n", OK_BODY("0", ""),
         STAY},
        {"GET / HTTP/1.1\r\n" HOST AGENT "Authorization: Basic dTo=\r\n\r\n", OK_BODY("0", ""),
         STAY},
        {"GET / HTTP/1.1\r\n" HOST AGENT "Authorization: Basic YTpiYw==\r\n\r\n", OK_BODY("0", ""),
         LEAVE},
    };
    static const char *const urls[] = {"http://user:p%40ss\x01@/", "http://a:b\x01@/",
                                       "http://u\x01@/", "http://a:bc\x01@/"};
    struct place p;
    (void)arg;
    PLACE_START(&p, script, NULL);
    for (size_t i = 0; i < 4; i++) {
        char url[TEXT_MAX], text[TEXT_MAX];
        gust_http_call *call;
        put_port(&p, urls[i], url);
        /* The mark stands for an '@' that is one. */
        for (char *at = url, *to = text;; at++) {
            *to++ = *at == '\x01' ? '@' : *at;
            if (!*at)
                break;
        }
        CHECK_EQ(gust_http_call_new(p.o.client, "GET", text, &call), 0);
        if (i == 1) {
            CHECK_EQ(gust_http_call_header(call, "user-agent", "me"), 0);
            CHECK_EQ(gust_http_call_header(call, "authorization", "x"), 0);
        }
        CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
        CHECK_EQ(gust_http_call_wait(call), 200);
        CHECK(!memchr(gust_http_call_url(call).data, '@', gust_http_call_url(call).len));
        gust_http_call_free(call);
    }
    origin_stop(&p.o);
    return 0;
}

Test(location, a_url_says_who_asks)
{
    cr_assert_eq(gust_run(fields_main, NULL), 0);
}

/* --- Redirects --------------------------------------------------------------------------- */

static int off_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET / HTTP/1.1\r\n" HOST AGENT "\r\n", GO("302", "/b"), LEAVE}};
    struct place p;
    (void)arg;
    PLACE_START(&p, script, NULL);
    gust_http_call *call = url_call(&p, "GET", "http://@/");
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 302);
    expect_body(call, "no");
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, redirects_are_not_followed_unasked)
{
    cr_assert_eq(gust_run(off_main, NULL), 0);
}

static int followed_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /a/b HTTP/1.1\r\n" HOST AGENT "Cookie: c\r\n\r\n", GO("301", "../c?d#e"), STAY},
        {"GET /c?d HTTP/1.1\r\n" HOST AGENT "Cookie: c\r\n\r\n", GO("302", "http://@/e"), STAY},
        {"GET /e HTTP/1.1\r\n" HOST AGENT "Cookie: c\r\n\r\n", OK_BODY("2", "ok"), LEAVE},
    };
    gust_http_call_info info;
    char expected[TEXT_MAX];
    struct place p;
    (void)arg;
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 2});
    gust_http_call *call = url_call(&p, "GET", "http://@/a/b");
    CHECK_EQ(gust_http_call_header(call, "Cookie", "c"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK(span_is(gust_http_call_url(call), put_port(&p, "http://@/e", expected)));
    expect_body(call, "ok");
    gust_http_call_info_read(call, &info);
    CHECK_EQ(info.redirects, 2);
    CHECK(info.reused);
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, redirects_are_followed_if_they_may_be)
{
    cr_assert_eq(gust_run(followed_main, NULL), 0);
}

static int too_many_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /1 HTTP/1.1\r\n", GO("307", "/2"), STAY},
        {HOST AGENT "\r\nGET /2 HTTP/1.1\r\n", GO("307", "/3"), LEAVE},
    };
    struct place p;
    (void)arg;
    PLACE_START(&p, script, NULL);
    gust_http_call *call = url_call(&p, "GET", "http://@/1");
    gust_http_call_redirects(call, 1);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), -ELOOP);
    expect_failure(call, GUST_HTTP_PHASE_HEAD, -ELOOP, "too many redirects");
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, redirects_are_bounded)
{
    cr_assert_eq(gust_run(too_many_main, NULL), 0);
}

struct rewrite {
    const char *status, *method;
    const char *after; /* request line's method, and what follows the fields; NULL: not followed */
    bool keeps_body;
    bool by_parts;
};

static const struct rewrite rewrites[] = {
    {"301", "POST", "GET", false, false}, {"302", "POST", "GET", false, false},
    {"303", "POST", "GET", false, false}, {"303", "PUT", "GET", false, false},
    {"307", "POST", "POST", true, false}, {"308", "POST", "POST", true, false},
    {"301", "PUT", "PUT", true, false},   {"302", "PUT", "PUT", true, false},
    {"303", "POST", "GET", false, true},  {"307", "POST", NULL, false, true},
    {"300", "POST", NULL, false, false},  {"304", "POST", NULL, false, false},
};

static int rewrite_main(void *arg)
{
    const struct rewrite *t = arg;
    char first[300], second[300] = "", reply[200];
    struct place p;
    bool is_304 = strcmp(t->status, "304") == 0;

    snprintf(first, sizeof(first),
             "%s /a HTTP/1.1\r\n" HOST AGENT
             "Content-Length: 2\r\nContent-Type: x\r\nA: b\r\n\r\nhi",
             t->method);
    snprintf(reply, sizeof(reply), "HTTP/1.1 %s X\r\nLocation: /b\r\n%s\r\n", t->status,
             is_304 ? "" : "Content-Length: 0\r\n");
    if (t->after)
        snprintf(second, sizeof(second), "%s /b HTTP/1.1\r\n" HOST AGENT "%sA: b\r\n\r\n%s",
                 t->after, t->keeps_body ? "Content-Length: 2\r\nContent-Type: x\r\n" : "",
                 t->keeps_body ? "hi" : "");
    const struct exchange script[] = {{first, reply, t->after ? STAY : LEAVE},
                                      {second, OK_BODY("0", ""), LEAVE}};
    place_start(&p, script, t->after ? 2 : 1, &(gust_http_client_options){.redirects_max = 5});
    gust_http_call *call = url_call(&p, t->method, "http://@/a");
    CHECK_EQ(gust_http_call_header(call, "Content-Type", "x"), 0);
    CHECK_EQ(gust_http_call_header(call, "A", "b"), 0);
    if (t->by_parts) {
        CHECK_EQ(gust_http_call_begin(call, 2), 0);
        CHECK_EQ(gust_http_call_write(call, "hi", 2), 2);
        CHECK_EQ(gust_http_call_end(call), 0);
    } else {
        CHECK_EQ(gust_http_call_send(call, "hi", 2), 0);
    }
    CHECK_EQ(gust_http_call_wait(call), t->after ? 200 : atoi(t->status));
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, methods_change_as_the_rfc_says)
{
    for (size_t i = 0; i < sizeof(rewrites) / sizeof(rewrites[0]); i++)
        cr_assert_eq(gust_run(rewrite_main, (void *)&rewrites[i]), 0);
}

static int head_main(void *arg)
{
    static const struct exchange script[] = {
        {"HEAD /a HTTP/1.1\r\n" HOST AGENT "\r\n", "HTTP/1.1 303 X\r\nLocation: /b\r\n\r\n", STAY},
        {"HEAD /b HTTP/1.1\r\n" HOST AGENT "\r\n", OK_BODY("2", ""), LEAVE}};
    struct place p;
    (void)arg;
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 1});
    gust_http_call *call = url_call(&p, "HEAD", "http://@/a");
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, head_stays_head)
{
    cr_assert_eq(gust_run(head_main, NULL), 0);
}

/* Another port is another origin. */
static int elsewhere_main(void *arg)
{
    static const struct exchange to_other[] = {
        {"GET /x HTTP/1.1\r\nHost: ", OK_BODY("5", "other"), LEAVE}};
    static char reply[200];
    struct exchange script[] = {
        {"GET / HTTP/1.1\r\nUser-Agent: gust\r\nHost: name\r\nCookie: c\r\nA: b\r\n"
         "Authorization: x\r\nProxy-Authorization: y\r\n\r\n",
         reply, LEAVE}};
    struct place p;
    struct origin other;
    (void)arg;
    ORIGIN_START(&other, to_other, NULL);
    snprintf(reply, sizeof(reply), GO("302", "http://127.0.0.1:%u/x"), gust_addr_port(&other.addr));
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 1});
    gust_http_call *call = url_call(&p, "GET", "http://@/");
    CHECK_EQ(gust_http_call_header(call, "Host", "name"), 0);
    CHECK_EQ(gust_http_call_header(call, "Cookie", "c"), 0);
    CHECK_EQ(gust_http_call_header(call, "A", "b"), 0);
    CHECK_EQ(gust_http_call_header(call, "Authorization", "x"), 0);
    CHECK_EQ(gust_http_call_header(call, "Proxy-Authorization", "y"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "other");
    gust_http_call_free(call);
    origin_stop(&p.o);
    origin_stop(&other);
    return 0;
}

/* What the other one gets, to the last byte. */
static int strict_elsewhere_main(void *arg)
{
    static char expected[200], reply[200];
    const struct exchange to_other[] = {{expected, OK_BODY("0", ""), LEAVE}};
    struct exchange script[] = {{"GET / HTTP/1.1\r\n", reply, LEAVE}};
    struct place p;
    struct origin other;
    (void)arg;
    ORIGIN_START(&other, to_other, NULL);
    unsigned port = gust_addr_port(&other.addr);
    snprintf(expected, sizeof(expected),
             "GET /x HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: gust\r\nA: b\r\n\r\n", port);
    snprintf(reply, sizeof(reply), GO("302", "http://127.0.0.1:%u/x"), port);
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 1});
    char url[TEXT_MAX];
    gust_http_call *call;
    snprintf(url, sizeof(url), "http://user:secret@127.0.0.1:%s/", p.port);
    CHECK_EQ(gust_http_call_new(p.o.client, "GET", url, &call), 0);
    CHECK_EQ(gust_http_call_header(call, "Cookie", "c"), 0);
    CHECK_EQ(gust_http_call_header(call, "A", "b"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    origin_stop(&p.o);
    origin_stop(&other);
    return 0;
}

Test(location, credentials_are_not_sent_to_others)
{
    cr_assert_eq(gust_run(elsewhere_main, NULL), 0);
    cr_assert_eq(gust_run(strict_elsewhere_main, NULL), 0);
}

static int nowhere_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /1 HTTP/1.1\r\n" HOST AGENT "\r\n", GO("302", "ftp://x/"), LEAVE},
        {"GET /2 HTTP/1.1\r\n" HOST AGENT "\r\n", GO("302", "http://"), LEAVE},
        {"GET /3 HTTP/1.1\r\n" HOST AGENT "\r\n", GO("302", ""), LEAVE},
    };
    static const int results[] = {-EPROTONOSUPPORT, -EINVAL, 302};
    struct place p;
    (void)arg;
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 5});
    for (int i = 0; i < 3; i++) {
        char url[32];
        snprintf(url, sizeof(url), "http://@/%d", i + 1);
        gust_http_call *call = url_call(&p, "GET", url);
        CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
        CHECK_EQ(gust_http_call_wait(call), results[i]);
        gust_http_call_free(call);
    }
    origin_stop(&p.o);
    return 0;
}

Test(location, redirects_to_nowhere_are_errors)
{
    cr_assert_eq(gust_run(nowhere_main, NULL), 0);
}

/* What is missing of its body, or wrong with it, is nobody's business. */
static int unfinished_main(void *arg)
{
    static const struct exchange script[] = {
        {"GET /1 HTTP/1.1\r\n" HOST AGENT "\r\n",
         "HTTP/1.1 302 X\r\nLocation: /2\r\nContent-Length: 5\r\n\r\nno", LEAVE},
        {"GET /2 HTTP/1.1\r\n" HOST AGENT "\r\n",
         "HTTP/1.1 302 X\r\nLocation: /3\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", LEAVE},
        {"GET /3 HTTP/1.1\r\n" HOST AGENT "\r\n", OK_BODY("2", "ok"), LEAVE},
    };
    struct place p;
    (void)arg;
    PLACE_START(&p, script, &(gust_http_client_options){.redirects_max = 2});
    gust_http_call *call = url_call(&p, "GET", "http://@/1");
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "ok");
    gust_http_call_free(call);
    origin_stop(&p.o);
    return 0;
}

Test(location, a_redirect_need_not_have_ended)
{
    cr_assert_eq(gust_run(unfinished_main, NULL), 0);
}
