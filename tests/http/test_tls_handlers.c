/* Handlers over TLS that do more than answer: who watch, who take the connection, and
 * bodies out of files. */
#include "tests/http/files_site.h"
#include "tests/net/tls_test.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/http_hijack.h>

struct tls_site {
    struct site site;
    gust_tls_config *server;
    gust_tls_config *client;
};

static void tls_site_start(struct tls_site *t, gust_http_handler *handler, void *arg)
{
    make_files();
    t->server = server_config();
    t->client = client_config();
    site_start(&t->site, &(gust_http_server_options){.handler = handler,
                                                     .arg = arg,
                                                     .tls = t->server,
                                                     .header_timeout_ns = GUST_FOREVER});
}

static void tls_site_stop(struct tls_site *t)
{
    site_stop(&t->site);
    gust_tls_config_unref(t->server);
    gust_tls_config_unref(t->client);
}

static gust_conn *tls_site_dial(const struct tls_site *t)
{
    gust_conn *c;

    CHECK_EQ(gust_tls_dial(&t->site.addr, "localhost", t->client, SOON, &c), 0);
    return c;
}

/* --- Watching ------------------------------------------------------------------------ */

struct wait {
    gust_chan *begun;
    gust_chan *ended; /* of int: what has ended it */
};

static void wait_for_end(gust_http_request *req, gust_http_response *res, void *arg)
{
    const struct wait *w = arg;
    (void)req;
    (void)res;
    CHECK_EQ(gust_chan_send(w->begun, NULL, SOON), 0);
    int r = gust_sleep(SITE_WAIT_NS);
    CHECK_EQ(gust_chan_send(w->ended, &r, GUST_NOW), 0);
}

/* By a close_notify and the end of the stream, and by a reset. */
static void leave_while_it_waits(bool politely)
{
    struct wait w;
    struct tls_site t;
    int r = 0;

    CHECK_EQ(gust_chan_new(0, 0, &w.begun), 0);
    CHECK_EQ(gust_chan_new(sizeof(int), 1, &w.ended), 0);
    tls_site_start(&t, wait_for_end, &w);
    gust_conn *c = tls_site_dial(&t);
    client_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK_EQ(gust_chan_recv(w.begun, NULL, SOON), 1);
    gust_conn_close(c, politely ? SOON : GUST_NOW);
    CHECK_EQ(gust_chan_recv(w.ended, &r, SOON), 1);
    CHECK_EQ(r, -ECANCELED);
    tls_site_stop(&t);
    gust_chan_unref(w.begun);
    gust_chan_unref(w.ended);
}

TlsTest(http_tls, a_client_that_goes_away_cancels_the_handler)
{
    leave_while_it_waits(true);
    leave_while_it_waits(false);
}

/* --- Taking the connection ------------------------------------------------------------- */

static void echo_until_end(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *c;
    (void)arg;
    CHECK_EQ(gust_http_hijack(req, res, &c), 0);
    do {
        gust_span view = gust_conn_view(c);
        CHECK_EQ(gust_conn_write(c, view.data, view.len, SOON), (ssize_t)view.len);
        gust_conn_consume(c, view.len);
    } while (gust_conn_fill(c, 65536, SOON) > 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
}

static void expect_text(gust_conn *c, const char *text)
{
    char got[64];
    size_t len = strlen(text);
    CHECK(len <= sizeof got);
    for (size_t at = 0; at < len;) {
        ssize_t n = gust_conn_read(c, got + at, len - at, SOON);
        CHECK(n > 0);
        at += (size_t)n;
    }
    CHECK(memcmp(got, text, len) == 0);
}

/* What came in one record with the request is in the view, decrypted. */
TlsTest(http_tls, a_hijacked_connection_stays_encrypted)
{
    struct tls_site t;

    tls_site_start(&t, echo_until_end, NULL);
    gust_conn *c = tls_site_dial(&t);
    client_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\nahead");
    expect_text(c, "ahead");
    client_send(c, "later");
    expect_text(c, "later");
    CHECK_EQ(gust_conn_shutdown(c, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_read(c, &(char){0}, 1, SOON), 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    tls_site_stop(&t);
}

/* --- Shutting down ------------------------------------------------------------------------ */

static void answer_hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, "text/plain", "hello", 5);
}

/* A browser connects ahead of what it may want: it shakes hands, and says no more.  Who
 * shuts the server down need not wait for its request. */
TlsTest(http_tls, a_client_that_only_shakes_hands_is_idle)
{
    struct tls_site t;
    char got[256];

    tls_site_start(&t, answer_hello, NULL);
    gust_conn *idle = tls_site_dial(&t);
    gust_conn *c = tls_site_dial(&t);
    client_send(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(gust_conn_read(c, got, sizeof got, SOON) > 0);
    CHECK_EQ(gust_http_server_shutdown(t.site.server, SOON), 0);
    CHECK_EQ(gust_conn_read(idle, got, sizeof got, SOON), 0);
    CHECK_EQ(gust_conn_close(idle, SOON), 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    tls_site_stop(&t);
}

/* --- Files -------------------------------------------------------------------------------- */

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 8));
}

static void ask_for_file(const struct tls_site *t, const char *name, size_t len)
{
    char request[128];
    gust_conn *c = tls_site_dial(t);

    snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
             name);
    client_send(c, request);
    struct reply r = client_read_all(c);
    const char *end = memmem(r.text, r.len, "\r\n\r\n", 4);
    CHECK(end && strncmp(r.text, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK_EQ(r.text + r.len - (end + 4), (ssize_t)len);
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(end[4 + i], pattern(i));
    free(r.text);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
}

/* Below and above what goes with the header, and what is copied by net. */
TlsTest(http_tls, files_are_sent)
{
    static const size_t lengths[] = {0, 1, 16384, 16385, 33279, 33280, 1000000};
    gust_http_files *files;
    struct tls_site t;

    tree_make();
    CHECK_EQ(gust_http_files_new(&(gust_http_files_options){.root = tree}, &files), 0);
    tls_site_start(&t, gust_http_files_serve, files);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        char *bytes = malloc(lengths[i] + 1);
        CHECK(bytes != NULL);
        for (size_t at = 0; at < lengths[i]; at++)
            bytes[at] = pattern(at);
        tree_write_bytes("file", bytes, lengths[i]);
        free(bytes);
        ask_for_file(&t, "file", lengths[i]);
    }
    tls_site_stop(&t);
    gust_http_files_free(files);
    tree_remove();
}
