/* HTTPS: the server is verified, unless it was said otherwise; and what may be negotiated. */
#include "tests/net/tls_test.h"

#include "tests/http_client/origin.h"

#include <gust/copy.h>

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_tls_info info;
    (void)arg;
    CHECK_EQ(gust_tls_info_read(gust_http_request_conn(req), &info), 0);
    gust_http_reply(res, 200, "text/plain", info.server_name, strlen(info.server_name));
}

/* An HTTPS server on the loopback, and a client that trusts its authority. */
struct secure {
    struct site site;
    gust_tls_config *server_tls, *client_tls;
    gust_http_client *client;
    char url[64];
};

static void secure_start(struct secure *s, const char *const *server_alpn)
{
    struct setup setup;
    make_files();
    gust_tls_options options = server_options(&setup);
    options.alpn = server_alpn;
    s->server_tls = config_of(&options);
    site_start(&s->site, &(gust_http_server_options){.handler = handle, .tls = s->server_tls});
    snprintf(s->url, sizeof(s->url), "https://localhost:%u/", gust_addr_port(&s->site.addr));
}

static void secure_client(struct secure *s, const gust_tls_options *options)
{
    s->client_tls = config_of(options);
    CHECK_EQ(gust_http_client_new(&(gust_http_client_options){.tls = s->client_tls}, &s->client),
             0);
}

static void secure_stop(struct secure *s)
{
    gust_http_client_free(s->client);
    gust_tls_config_unref(s->client_tls);
    site_stop(&s->site);
    gust_tls_config_unref(s->server_tls);
}

static void expect_refused(gust_http_client *client, const char *url, int error)
{
    gust_http_call_info info;
    gust_http_call *call;

    CHECK_EQ(gust_http_call_new(client, "GET", url, &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), error);
    gust_http_call_info_read(call, &info);
    CHECK_EQ(info.phase, GUST_HTTP_PHASE_TLS);
    CHECK_EQ(info.error, error);
    CHECK(info.reason[0] != '\0');
    gust_http_call_free(call);
}

TlsTest(client_tls, connections_are_made_kept_and_used_again)
{
    struct secure s;
    struct setup setup;
    char *data;
    size_t len;
    secure_start(&s, NULL);
    gust_tls_options options = client_options(&setup);
    secure_client(&s, &options);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_http_get(s.client, s.url, 100, &data, &len), 200);
        CHECK(len == 9 && memcmp(data, "localhost", 9) == 0);
        free(data);
    }
    gust_http_call_info info;
    gust_http_call *call;
    CHECK_EQ(gust_http_call_new(s.client, "GET", s.url, &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_info_read(call, &info);
    CHECK(info.reused);
    gust_http_call_free(call);
    secure_stop(&s);
}

TlsTest(client_tls, servers_are_verified)
{
    struct secure s;
    char url[64];
    secure_start(&s, NULL);
    secure_client(&s, &(gust_tls_options){0}); /* the system's store does not know it */
    expect_refused(s.client, s.url, -EKEYREJECTED);
    secure_stop(&s);

    struct setup setup;
    secure_start(&s, NULL);
    gust_tls_options options = client_options(&setup);
    secure_client(&s, &options);
    /* Trusted, but it is somebody else. */
    snprintf(url, sizeof(url), "other:%u", gust_addr_port(&s.site.addr));
    gust_http_origin *origin;
    gust_http_call *call;
    CHECK_EQ(gust_http_origin_new(s.client,
                                  &(gust_http_origin_options){
                                      .authority = url, .addr = &s.site.addr, .tls = s.client_tls},
                                  &origin),
             0);
    CHECK_EQ(gust_http_origin_call(origin, text_span("GET"), text_span("/"), &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), -EKEYREJECTED);
    gust_http_call_free(call);
    gust_http_origin_unref(origin);
    /* It is who it should be, by another name than Host's. */
    CHECK_EQ(gust_http_origin_new(s.client,
                                  &(gust_http_origin_options){.authority = url,
                                                              .addr = &s.site.addr,
                                                              .tls = s.client_tls,
                                                              .tls_name = "localhost"},
                                  &origin),
             0);
    CHECK_EQ(gust_http_origin_call(origin, text_span("GET"), text_span("/"), &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "localhost");
    gust_http_call_free(call);
    gust_http_origin_unref(origin);
    secure_stop(&s);
}

TlsTest(client_tls, another_protocol_than_http_1_is_not_spoken)
{
    static const char *const h2[] = {"h2", NULL}, *const h1[] = {"http/1.1", NULL};
    static const char *const both[] = {"h2", "http/1.1", NULL};
    struct secure s;
    struct setup setup;
    char *data;
    size_t len;
    secure_start(&s, h2);
    gust_tls_options options = client_options(&setup);
    options.alpn = both;
    secure_client(&s, &options);
    expect_refused(s.client, s.url, -EPROTO);
    secure_stop(&s);

    secure_start(&s, h1);
    options = client_options(&setup);
    options.alpn = both;
    secure_client(&s, &options);
    CHECK_EQ(gust_http_get(s.client, s.url, 100, &data, &len), 200);
    free(data);
    secure_stop(&s);
}

/* Nothing is left of a handshake that somebody does not answer. */
TlsTest(client_tls, the_handshake_has_its_time)
{
    struct setup setup;
    struct origin o;
    gust_http_call *call;
    char url[64];
    memset(&o, 0, sizeof(o));
    origin_listen(&o);
    make_files();
    gust_tls_options options = client_options(&setup);
    gust_tls_config *config = config_of(&options);
    CHECK_EQ(
        gust_http_client_new(
            &(gust_http_client_options){.tls = config, .timeouts.tls_ns = 10 * GUST_MS}, &o.client),
        0);
    gust_tls_config_unref(config);
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", gust_addr_port(&o.addr));
    CHECK_EQ(gust_http_call_new(o.client, "GET", url, &call), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), -ETIMEDOUT);
    expect_failure(call, GUST_HTTP_PHASE_TLS, -ETIMEDOUT, "");
    gust_http_call_free(call);
    gust_http_client_free(o.client);
    gust_listener_close(o.listener);
}

TlsTest(client_tls, without_a_configuration_there_is_no_https)
{
    gust_http_client *client;
    gust_http_call *call;
    CHECK_EQ(gust_http_client_new(NULL, &client), 0);
    CHECK_EQ(gust_http_call_new(client, "GET", "https://x/", &call), -EPROTONOSUPPORT);
    gust_http_client_free(client);
}

/* --- Through a proxy ---------------------------------------------------------------------- */

struct connector {
    gust_listener *listener;
    gust_addr addr, to;
    const char *answer; /* if it is a 200, the connection goes on to `to` */
    gust_waitgroup done;
    char got[300];
};

struct carrier {
    gust_conn *from, *to;
    gust_waitgroup *done;
};

static void carry(void *arg)
{
    struct carrier *c = arg;
    uint64_t copied;
    gust_conn_copy(c->to, c->from, GUST_COPY_ALL, SOON, &copied);
    gust_conn_shutdown(c->to, SHUT_WR, SOON);
    gust_waitgroup_done(c->done);
}

static void carry_both(gust_conn *a, const gust_addr *to)
{
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_conn *b;
    CHECK_EQ(gust_tcp_dial(to, SOON, &b), 0);
    struct carrier there = {a, b, &done}, back = {b, a, &done};
    gust_waitgroup_add(&done, 2);
    go(carry, &there);
    go(carry, &back);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    gust_conn_close(b, GUST_NOW);
}

static void connect_one(void *arg)
{
    struct connector *p = arg;
    gust_conn *c;
    gust_span head;
    CHECK_EQ(gust_listener_accept(p->listener, SOON, &c), 0);
    while (head = gust_conn_view(c), !memmem(head.data, head.len, "\r\n\r\n", 4))
        CHECK(gust_conn_fill(c, 65536, SOON) > 0);
    snprintf(p->got, sizeof(p->got), "%.*s", (int)head.len, head.data);
    gust_conn_consume(c, head.len);
    CHECK(gust_conn_write(c, p->answer, strlen(p->answer), SOON) > 0);
    if (strstr(p->answer, " 200 "))
        carry_both(c, &p->to);
    gust_conn_close(c, SOON);
    gust_waitgroup_done(&p->done);
}

static void connector_start(struct connector *p, const char *answer, const gust_addr *to)
{
    char url[64];
    *p = (struct connector){.answer = answer, .to = *to};
    p->listener = listen_on("127.0.0.1:0", &p->addr);
    snprintf(url, sizeof(url), "http://u:p@127.0.0.1:%u", gust_addr_port(&p->addr));
    setenv("HTTPS_PROXY", url, 1);
    gust_waitgroup_add(&p->done, 1);
    go(connect_one, p);
}

static void connector_stop(struct connector *p)
{
    CHECK_EQ(gust_waitgroup_wait(&p->done, SOON), 0);
    gust_listener_close(p->listener);
}

/* The certificate is the server's, whose name the proxy resolves. */
TlsTest(client_tls, proxies_are_asked_to_connect)
{
    static const char expected[] = "CONNECT server.test:443 HTTP/1.1\r\nHost: server.test:443\r\n"
                                   "Proxy-Authorization: Basic dTpw\r\n\r\n";
    struct connector p;
    struct secure s;
    struct setup setup;
    char *data;
    size_t len;
    secure_start(&s, NULL);
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "server", "DNS:server.test");
    issuer_free(&ca);
    CHECK_EQ(gust_tls_config_reload(s.server_tls), 0);
    connector_start(&p, "HTTP/1.1 200 OK\r\n\r\n", &s.site.addr);
    gust_tls_options options = client_options(&setup);
    s.client_tls = config_of(&options);
    CHECK_EQ(
        gust_http_client_new(
            &(gust_http_client_options){.tls = s.client_tls, .proxy_from_env = true}, &s.client),
        0);
    for (int i = 0; i < 2; i++) { /* by the same connection */
        CHECK_EQ(gust_http_get(s.client, "https://server.test/", 100, &data, &len), 200);
        CHECK(strcmp(data, "server.test") == 0);
        free(data);
    }
    gust_http_client_close_idle(s.client);
    connector_stop(&p);
    CHECK(strcmp(p.got, expected) == 0);
    secure_stop(&s);
    unsetenv("HTTPS_PROXY");
}

TlsTest(client_tls, a_proxy_may_refuse)
{
    gust_addr nowhere = addr_of("127.0.0.1:1");
    struct connector p;
    struct setup setup;
    gust_http_client *client;
    gust_http_call_info info;
    gust_http_call *call;
    make_files();
    gust_tls_options options = client_options(&setup);
    gust_tls_config *config = config_of(&options);
    static const char *const answers[] = {"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                                          "SSH-2.0-x\r\n", "H"};
    static const int errors[] = {-ECONNREFUSED, -EBADMSG, -ECONNRESET};
    for (int i = 0; i < 3; i++) {
        connector_start(&p, answers[i], &nowhere);
        CHECK_EQ(gust_http_client_new(
                     &(gust_http_client_options){.tls = config, .proxy_from_env = true}, &client),
                 0);
        CHECK_EQ(gust_http_call_new(client, "GET", "https://server.test/", &call), 0);
        CHECK_EQ(gust_http_call_send(call, NULL, 0), errors[i]);
        gust_http_call_info_read(call, &info);
        CHECK_EQ(info.phase, GUST_HTTP_PHASE_PROXY);
        CHECK_EQ(info.proxy_status, i == 0 ? 407 : 0);
        gust_http_call_free(call);
        gust_http_client_free(client);
        connector_stop(&p);
    }
    gust_tls_config_unref(config);
    unsetenv("HTTPS_PROXY");
}
