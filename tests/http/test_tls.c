/* HTTPS: the server's option, and what a handler can learn of the connection. */
#include "tests/http/lines.h"
#include "tests/net/tls_test.h"

#include <gust/chan.h>
#include <gust/http_hijack.h>
#include <gust/http_operations.h>

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_tls_info info;
    int r = gust_tls_info_read(gust_http_request_conn(req), &info);
    (void)arg;
    gust_http_reply(res, 200, "text/plain", r ? "plain" : info.server_name,
                    strlen(r ? "plain" : info.server_name));
}

static void ask(gust_conn *c, const char *expected)
{
    char answer[1024] = "";
    size_t len = 0;
    say(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    while (!strstr(answer, "\r\n\r\n") || !strstr(answer, expected)) {
        ssize_t n = gust_conn_read(c, answer + len, sizeof answer - 1 - len, SOON);
        CHECK(n > 0);
        len += (size_t)n;
        answer[len] = '\0';
    }
    CHECK_EQ(strncmp(answer, "HTTP/1.1 200 OK\r\n", 17), 0);
}

TlsTest(http_tls, requests_are_served)
{
    struct site site;
    gust_conn *c;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    site_start(&site, &(gust_http_server_options){.handler = handle, .tls = server});
    gust_tls_config_unref(server); /* the server has its own reference */
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    for (int i = 0; i < 10; i++)
        ask(c, "localhost");
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    site_stop(&site);
    gust_tls_config_unref(client);
}

TlsTest(http_tls, a_shutdown_ends_idle_connections_cleanly)
{
    struct site site;
    gust_conn *c;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    site_start(&site, &(gust_http_server_options){.handler = handle, .tls = server});
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    ask(c, "localhost");
    site_stop(&site);
    CHECK_EQ(gust_conn_read(c, &(char){0}, 1, SOON), 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(http_tls, a_listener_may_have_seen_to_it)
{
    struct site site;
    gust_conn *c;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    memset(&site, 0, sizeof site);
    site.listener = listen_on("127.0.0.1:0", &site.addr);
    gust_listener_use_tls(site.listener, server);
    CHECK_EQ(gust_http_server_new(&(gust_http_server_options){.handler = handle, .tls = server},
                                  &site.server),
             0);
    gust_waitgroup_add(&site.serving, 1);
    go(site_serve, &site);
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    ask(c, "localhost");
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    site_stop(&site);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(http_tls, without_it_connections_are_plain)
{
    struct site site;
    make_files();
    site_start(&site, &(gust_http_server_options){.handler = handle});
    gust_conn *c = dial_to(&site.addr);
    ask(c, "plain");
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    site_stop(&site);
}

/* Of the plain client OpenSSL has something to say. */
static void note_error(const gust_http_error_info *error, void *arg)
{
    CHECK_EQ(error->kind, GUST_HTTP_ERROR_HANDSHAKE);
    CHECK_EQ(error->status, 0);
    CHECK(error->error == -ETIMEDOUT || error->error == -EPROTO);
    CHECK(error->error == -ETIMEDOUT || error->text[0] != '\0');
    CHECK_EQ(gust_chan_send(arg, &error->error, GUST_NOW), 0);
}

/* A client that says nothing, and one that speaks plain HTTP, are let go. */
TlsTest(http_tls, whoever_makes_no_handshake_is_let_go)
{
    gust_chan *errors;
    struct site site;
    make_files();
    gust_tls_config *server = server_config();
    CHECK_EQ(gust_chan_new(sizeof(int), 2, &errors), 0);
    site_start(&site, &(gust_http_server_options){.handler = handle,
                                                  .tls = server,
                                                  .header_timeout_ns = GUST_SEC,
                                                  .on_error = note_error,
                                                  .hook_arg = errors});
    gust_conn *silent = dial_to(&site.addr), *plain = dial_to(&site.addr);
    CHECK(gust_conn_write(plain, "GET / HTTP/1.1\r\n\r\n", 18, SOON) != 0);
    ssize_t n;
    char buf[64];
    do
        n = gust_conn_read(plain, buf, sizeof buf, SOON);
    while (n > 0);
    CHECK(n == 0 || n == -ECONNRESET);
    CHECK_EQ(gust_conn_read(silent, buf, sizeof buf, SOON), 0);
    int sum = 0, error;
    for (int i = 0; i < 2; i++, sum += error)
        CHECK_EQ(gust_chan_recv(errors, &error, SOON), 1);
    CHECK_EQ(sum, -ETIMEDOUT - EPROTO);
    gust_conn_close(plain, SOON);
    gust_conn_close(silent, SOON);
    site_stop(&site);
    gust_chan_unref(errors);
    gust_tls_config_unref(server);
}

static void take_and_close(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *c;
    (void)arg;
    CHECK_EQ(gust_http_hijack(req, res, &c), 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
}

TlsTest(http_tls, the_log_says_it_of_a_connection_that_was_taken_and_closed)
{
    struct lines lines;
    struct site site;
    gust_conn *c;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    lines_open(&lines, GUST_HTTP_LOG_JSON);
    site_start(&site, &(gust_http_server_options){
                          .handler = take_and_close, .tls = server, .log = lines.log});
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    say(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    lines_await(&lines, 1);
    CHECK(strstr(lines.text, "\"tls\":\"1.3\""));
    CHECK(strstr(lines.text, "\"addr\":\"127.0.0.1\""));
    gust_conn_close(c, SOON);
    site_stop(&site);
    lines_close(&lines);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(http_tls, the_log_says_which_version_it_was)
{
    struct lines lines;
    struct site site;
    gust_conn *c;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    lines_open(&lines, GUST_HTTP_LOG_JSON);
    site_start(&site,
               &(gust_http_server_options){.handler = handle, .tls = server, .log = lines.log});
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    ask(c, "localhost");
    lines_await(&lines, 1);
    CHECK(strstr(lines.text, "\"tls\":\"1.3\""));
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    site_stop(&site);
    lines_close(&lines);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}
