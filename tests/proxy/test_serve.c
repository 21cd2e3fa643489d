/* Requests through the proxy, as the upstream and as the client see them. */
#include "tests/proxy/front.h"

#include <gust/http_client.h>

#define GET "GET /a?b HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"

/* --- What the upstream gets, what the client gets -------------------------------------- */

/* Keeps the head it was sent, for the test. */
static char seen[4096];

static void note_and_answer(gust_conn *conn, struct backend *b)
{
    gust_span head;

    while ((head = backend_read_head(conn)).len > 0) {
        CHECK(head.len < sizeof(seen));
        memcpy(seen, head.data, head.len);
        seen[head.len] = '\0';
        gust_conn_consume(conn, head.len);
        CHECK(gust_conn_write(conn, b->arg, strlen(b->arg), SOON) > 0);
    }
}

struct pass {
    const char *base; /* behind the backend's URL */
    gust_http_proxy_options options;
    const char *request;
    const char *sent; /* what the upstream got; "$" stands for its authority; NULL: any */
    const char *answer;
    const char *received;
};

static void expect_seen(const char *expected, const char *authority)
{
    char text[4096];
    const char *mark = strchr(expected, '$');

    snprintf(text, sizeof(text), "%.*s%s%s", mark ? (int)(mark - expected) : (int)strlen(expected),
             expected, mark ? authority : "", mark ? mark + 1 : "");
    if (strcmp(seen, text) != 0)
        gust_panic("the upstream got\n%s\ninstead of\n%s", seen, text);
}

static int pass_one(void *arg)
{
    const struct pass *p = arg;
    struct backend b;
    struct front f;
    char url[128];

    backend_start(&b, note_and_answer);
    b.arg = (void *)p->answer;
    snprintf(url, sizeof(url), "%s%s", b.url, p->base ? p->base : "");
    front_start(&f, url, p->options);
    expect_reply(site_ask(&f.site, p->request), "the client", p->received);
    if (p->sent)
        expect_seen(p->sent, b.url + strlen("http://"));
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

static void expect_pass(const struct pass *p)
{
    test_run_without_leaks(pass_one, (void *)p);
}

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define HELLO_BACK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"

Test(proxy, passes_request_and_response)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = "GET /a?b HTTP/1.1\r\nHost: site\r\nX-A: 1\r\nConnection: close\r\n\r\n",
        .sent = "GET /a?b HTTP/1.1\r\nHost: $\r\nX-A: 1\r\n\r\n",
        .answer = "HTTP/1.1 404 Never Heard\r\nServer: x\r\nContent-Length: 5\r\nX-B: 2\r\n"
                  "Keep-Alive: 9\r\n\r\nhello",
        .received = "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nConnection: close\r\n"
                    "Server: x\r\nX-B: 2\r\n\r\nhello",
    });
}

Test(proxy, says_who_asks)
{
    expect_pass(&(struct pass){
        .options = {.forwarded = true},
        .request = GET,
        .sent = "GET /a?b HTTP/1.1\r\nHost: $\r\nX-Forwarded-For: 127.0.0.1\r\n"
                "X-Forwarded-Host: site\r\nX-Forwarded-Proto: http\r\n"
                "Forwarded: for=127.0.0.1;host=\"site\";proto=http\r\nVia: 1.1 gust\r\n\r\n",
        .answer = HELLO,
        .received = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n"
                    "Via: 1.1 gust\r\n\r\nhello",
    });
}

Test(proxy, puts_a_path_in_front)
{
    const char *const requests[] = {GET, "GET http://site/a?b HTTP/1.1\r\nHost: site\r\n"
                                         "Connection: close\r\n\r\n"};

    for (int i = 0; i < 2; i++)
        expect_pass(&(struct pass){
            .base = "/base/",
            .options = {QUIET},
            .request = requests[i],
            .sent = "GET /base/a?b HTTP/1.1\r\nHost: $\r\n\r\n",
            .answer = HELLO,
            .received = HELLO_BACK,
        });
}

Test(proxy, an_absolute_target_may_have_no_path)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = "GET http://site?b HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n",
        .sent = "GET /?b HTTP/1.1\r\nHost: $\r\n\r\n",
        .answer = HELLO,
        .received = HELLO_BACK,
    });
}

Test(proxy, options_may_be_about_the_server)
{
    expect_pass(&(struct pass){
        .base = "/base",
        .options = {QUIET},
        .request = "OPTIONS * HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n",
        .sent = "OPTIONS * HTTP/1.1\r\nHost: $\r\n\r\n",
        .answer = HELLO,
        .received = HELLO_BACK,
    });
}

Test(proxy, host_is_by_policy)
{
    expect_pass(&(struct pass){
        .options = {QUIET, .host_policy = GUST_HTTP_HOST_PASS},
        .request = GET,
        .sent = "GET /a?b HTTP/1.1\r\nHost: site\r\n\r\n",
        .answer = HELLO,
        .received = HELLO_BACK,
    });
    expect_pass(&(struct pass){
        .options = {QUIET, .host_policy = GUST_HTTP_HOST_FIXED, .host = "inner:81"},
        .request = GET,
        .sent = "GET /a?b HTTP/1.1\r\nHost: inner:81\r\n\r\n",
        .answer = HELLO,
        .received = HELLO_BACK,
    });
}

Test(proxy, a_short_body_goes_with_its_header)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = "POST / HTTP/1.1\r\nHost: site\r\nContent-Length: 3\r\nConnection: close\r\n"
                   "\r\nabc",
        .sent = "POST / HTTP/1.1\r\nHost: $\r\nContent-Length: 3\r\n\r\n",
        .answer = HELLO,
        .received = HELLO_BACK,
    });
}

/* --- Framing ------------------------------------------------------------------------------ */

Test(proxy, a_chunked_response_stays_chunked_and_keeps_its_trailers)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
                  "Connection: X-Own\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\nX-Sum: 7\r\n"
                  "Content-Length: 9\r\nKeep-Alive: 9\r\nX-Own: 9\r\n\r\n",
        .received = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
                    "Trailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n",
    });
}

Test(proxy, head_tells_the_length_that_get_would_have)
{
    const char *request = "HEAD / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n";

    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = request,
        .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n",
        .received = "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nConnection: close\r\n\r\n",
    });
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = request,
        .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        .received = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n",
    });
}

Test(proxy, some_statuses_have_no_body)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 204 No Content\r\n\r\n",
        .received = "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
    });
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 7\r\n\r\n",
        .received = "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nConnection: close\r\n"
                    "ETag: \"x\"\r\n\r\n",
    });
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n",
        .received = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\nETag: \"x\"\r\n\r\n",
    });
}

Test(proxy, an_empty_body_has_length_0)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        .received = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    });
}

Test(proxy, interim_responses_are_passed_on)
{
    expect_pass(&(struct pass){
        .options = {QUIET},
        .request = GET,
        .answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nConnection: x\r\nX: 1\r\n\r\n" HELLO,
        .received = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" HELLO_BACK,
    });
}

/* The longest header that is read, to which Via is added. */
Test(proxy, a_response_with_too_many_fields_is_502)
{
    static char answer[GUST_HTTP_CLIENT_HEADER_BYTES_MAX + 1], via[100];
    const char begin[] = "HTTP/1.1 200 OK\r\nX: ";

    memset(answer, 'x', sizeof(answer) - 1);
    memcpy(answer, begin, sizeof(begin) - 1);
    memcpy(answer + sizeof(answer) - 5, "\r\n\r\n", 4);
    memset(via, 'v', sizeof(via) - 1);
    expect_pass(&(struct pass){
        .options = {.forwarding = GUST_HTTP_FORWARDING_NONE, .via = via},
        .request = GET,
        .answer = answer,
        .received = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 12\r\nConnection: close\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "X-Content-Type-Options: nosniff\r\n\r\nBad Gateway\n",
    });
}

/* --- Connections -------------------------------------------------------------------------- */

static void answer_hello(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, HELLO);
}

static int keep_alive(void *arg)
{
    struct backend b;
    struct front f;

    (void)arg;
    backend_start(&b, answer_hello);
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    for (int i = 0; i < 5; i++) {
        client_send(conn, "GET / HTTP/1.1\r\nHost: site\r\n\r\n");
        expect_reply(client_read_reply(conn), "the client", HELLO);
    }
    client_close(conn);
    CHECK_EQ(atomic_load(&b.accepted), 1);
    CHECK_EQ(atomic_load(&b.requests), 5);
    gust_http_upstream_stats stats;
    front_stats(&f, &stats);
    CHECK_EQ(stats.state, GUST_HTTP_UPSTREAM_UP);
    CHECK_EQ(stats.requests, 5);
    CHECK_EQ(stats.responses, 5);
    CHECK_EQ(stats.failures, 0);
    CHECK(stats.p50_ns > 0 && stats.p99_ns >= stats.p50_ns);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy, both_connections_serve_many_requests)
{
    test_run_without_leaks(keep_alive, NULL);
}

/* Answers the first request, and the second one only when the test lets it. */
static void answer_and_wait(gust_conn *conn, struct backend *b)
{
    gust_waitgroup *go = b->arg;

    while (backend_read_head(conn).len > 0) {
        gust_conn_consume(conn, backend_read_head(conn).len);
        if (atomic_fetch_add(&b->requests, 1) > 0)
            CHECK_EQ(gust_waitgroup_wait(go, SOON), 0);
        client_send(conn, HELLO);
    }
}

static int pipeline(void *arg)
{
    gust_waitgroup go = GUST_WAITGROUP_INIT;
    struct backend b;
    struct front f;

    (void)arg;
    gust_waitgroup_add(&go, 1);
    backend_start(&b, answer_and_wait);
    b.arg = &go;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    gust_conn *conn = site_dial(&f.site);
    client_send(conn, "GET /1 HTTP/1.1\r\nHost: site\r\n\r\nGET /2 HTTP/1.1\r\nHost: site\r\n\r\n");
    expect_reply(client_read_reply(conn), "the first", HELLO);
    gust_waitgroup_done(&go);
    expect_reply(client_read_reply(conn), "the second", HELLO);
    client_close(conn);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy, an_answer_does_not_wait_for_the_next_one)
{
    test_run_without_leaks(pipeline, NULL);
}

/* --- Options ---------------------------------------------------------------------------------- */

static int check_options(void *arg)
{
    const gust_http_upstream good[] = {{.url = "http://a"}, {.url = "http://b", .weight = 1000}};
    const gust_http_upstream twice[] = {{.url = "http://a"}, {.url = "http://a"}};
    const gust_http_upstream heavy = {.url = "http://a", .weight = 1001};
    const gust_http_upstream secure = {.url = "https://a"};
    const gust_http_upstream none = {.url = NULL};
    gust_http_proxy *proxy;

    (void)arg;
#define NEW(...) \
    gust_http_proxy_new(&(gust_http_proxy_options){.resolve_ns = GUST_FOREVER, __VA_ARGS__}, &proxy)
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 0), -EINVAL);
    CHECK_EQ(NEW(.upstreams = twice, .upstream_count = 2), -EINVAL);
    CHECK_EQ(NEW(.upstreams = &heavy, .upstream_count = 1), -EINVAL);
    CHECK_EQ(NEW(.upstreams = &none, .upstream_count = 1), -EINVAL);
    CHECK_EQ(NEW(.upstreams = &secure, .upstream_count = 1), -EPROTONOSUPPORT);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .retries = 9), -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .idle_timeout_ns = -1), -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .via = "a b"), -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .check_path = "x"), -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .proxy_protocol = 3), -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .host_policy = GUST_HTTP_HOST_FIXED),
             -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .balance = GUST_HTTP_CONSISTENT_HASH,
                 .hash_key = GUST_HTTP_HASH_HEADER),
             -EINVAL);
    CHECK_EQ(NEW(.upstreams = good, .upstream_count = 2, .retries = 8), 0);
    gust_http_proxy_free(proxy);
    gust_http_proxy_free(NULL);
    return 0;
}

Test(proxy, options_are_checked)
{
    test_run_without_leaks(check_options, NULL);
}

static int too_many(void *arg)
{
    static char urls[GUST_HTTP_PROXY_UPSTREAMS_MAX + 1][32];
    static gust_http_upstream upstreams[GUST_HTTP_PROXY_UPSTREAMS_MAX + 1];
    gust_http_proxy_options o = {.upstreams = upstreams, .resolve_ns = GUST_FOREVER};
    gust_http_proxy *proxy;

    (void)arg;
    for (int i = 0; i <= GUST_HTTP_PROXY_UPSTREAMS_MAX; i++) {
        snprintf(urls[i], sizeof(urls[i]), "http://%d", i);
        upstreams[i].url = urls[i];
    }
    o.upstream_count = GUST_HTTP_PROXY_UPSTREAMS_MAX + 1;
    CHECK_EQ(gust_http_proxy_new(&o, &proxy), -EINVAL);
    o.upstream_count--;
    CHECK_EQ(gust_http_proxy_new(&o, &proxy), 0);
    gust_http_proxy_free(proxy);
    return 0;
}

Test(proxy, upstreams_are_limited)
{
    test_run_without_leaks(too_many, NULL);
}

/* --- Looking at it ------------------------------------------------------------------------------ */

static int look(void *arg)
{
    const gust_http_upstream upstreams[] = {{.url = "http://127.0.0.1:1/a&b", .weight = 3},
                                            {.url = "http://127.0.0.1:2", .drain = true}};
    const gust_http_proxy_options o = {.upstreams = upstreams, .upstream_count = 2};
    gust_http_proxy *proxy;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_http_proxy_new(&o, &proxy), 0);
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_proxy_stats_json, .arg = proxy});
    expect_has(site_ask(&site, GET),
               "\r\n\r\n{\"upstreams\": [\n  {\"url\": \"http://127.0.0.1:1/a&b\", \"state\": "
               "\"up\", \"weight\": 3, \"in_flight\": 0, \"requests\": 0, \"responses\": 0, "
               "\"failures\": 0, \"cut\": 0, \"retries\": 0, \"refused\": 0, \"ejections\": 0, "
               "\"p50_ms\": 0.000, \"p90_ms\": 0.000, \"p99_ms\": 0.000},\n  {\"url\": "
               "\"http://127.0.0.1:2\", \"state\": \"draining\"");
    site_stop(&site);
    site_start(&site,
               &(gust_http_server_options){.handler = gust_http_proxy_stats_page, .arg = proxy});
    expect_has(site_ask(&site, GET), "<td>http://127.0.0.1:2</td><td class=\"draining\">draining");
    site_stop(&site);
    gust_http_proxy_free(proxy);
    return 0;
}

Test(proxy, stats_are_a_page_and_json)
{
    test_run_without_leaks(look, NULL);
}
