/* Listeners whose connections are TLS, and dialling them. */
#include "tests/net/tls_test.h"

struct site {
    gust_listener *listener;
    gust_addr addr;
    gust_waitgroup done;
};

static void echo_until_end(void *arg)
{
    char buf[256];
    ssize_t n;
    while ((n = gust_conn_read(arg, buf, sizeof buf, SOON)) > 0)
        CHECK_EQ(gust_conn_write(arg, buf, (size_t)n, SOON), n);
    gust_conn_close(arg, SOON);
}

static void serve(void *arg)
{
    struct site *site = arg;
    gust_conn *c;
    while (gust_listener_accept(site->listener, SOON, &c) == 0)
        go(echo_until_end, c);
    gust_listener_unref(site->listener);
    gust_waitgroup_done(&site->done);
}

static void site_open(struct site *site)
{
    *site = (struct site){0};
    make_files();
    gust_tls_config *config = server_config();
    site->listener = listen_on("127.0.0.1:0", &site->addr);
    gust_listener_use_tls(site->listener, config);
    gust_tls_config_unref(config); /* the listener has its own reference */
    gust_waitgroup_add(&site->done, 1);
    gust_listener_ref(site->listener);
    go(serve, site);
}

static void site_close(struct site *site)
{
    gust_listener_close(site->listener);
    CHECK_EQ(gust_waitgroup_wait(&site->done, SOON), 0);
}

TlsTest(tls_listener, its_connections_are_tls)
{
    struct site site;
    gust_conn *c;
    site_open(&site);
    gust_tls_config *client = client_config();
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    say(c, "through a listener");
    hear(c, "through a listener");
    CHECK_EQ(gust_conn_shutdown(c, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_read(c, &(char){0}, 1, SOON), 0);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    gust_tls_config_unref(client);
    site_close(&site);
}

/* The silent ones are accepted, and nobody waits for them. */
TlsTest(tls_listener, a_slow_handshake_keeps_nobody_waiting)
{
    enum { SILENT = 20 };
    gust_conn *silent[SILENT], *c;
    struct site site;
    site_open(&site);
    gust_tls_config *client = client_config();
    for (int i = 0; i < SILENT; i++)
        silent[i] = dial_to(&site.addr);
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    say(c, "first");
    hear(c, "first");
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    for (int i = 0; i < SILENT; i++)
        CHECK_EQ(gust_conn_close(silent[i], SOON), 0);
    gust_tls_config_unref(client);
    site_close(&site);
}

TlsTest(tls_listener, dialling_fails_without_a_conn)
{
    struct site site;
    gust_conn *c = NULL;
    site_open(&site);
    gust_tls_config *client = client_config();
    CHECK_EQ(gust_tls_dial(&site.addr, "wrong.test", client, SOON, &c), -EKEYREJECTED);
    CHECK_EQ(gust_tls_dial(&site.addr, NULL, client, SOON, &c), -EINVAL);
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, GUST_NOW, &c), -EAGAIN);
    gust_addr nobody = site.addr;
    site_close(&site);
    CHECK_EQ(gust_tls_dial(&nobody, "localhost", client, SOON, &c), -ECONNREFUSED);
    CHECK(c == NULL);
    gust_tls_config_unref(client);
}

TlsTest(tls_listener, it_can_be_made_plain_again)
{
    gust_addr addr;
    make_files();
    gust_tls_config *config = server_config();
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_listener_use_tls(l, config);
    gust_listener_use_tls(l, NULL);
    gust_conn *a = dial_to(&addr), *b = accept_from(l);
    say(a, "in the clear");
    hear(b, "in the clear");
    pair_close(a, b);
    gust_listener_use_tls(l, config); /* and closed with it */
    gust_listener_close(l);
    gust_tls_config_unref(config);
}
