/* How TLS connections end, in good order and otherwise; peers that do not speak TLS,
 * or do not speak at all. */
#include "tests/net/tls_test.h"

/* --- In good order ------------------------------------------------------------- */

TlsTest(tls_close, a_close_is_a_clean_end)
{
    struct ends e;
    char buf[4];
    ends_usual(&e);
    ends_talk(&e);
    CHECK_EQ(gust_conn_close(e.server, SOON), 0);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), 0);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), 0);
    CHECK_EQ(gust_conn_fill(e.client, sizeof buf, SOON), 0);
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
}

TlsTest(tls_close, a_close_that_waits_for_nothing_is_clean_too)
{
    struct ends e;
    char buf[4];
    ends_usual(&e);
    ends_talk(&e);
    CHECK_EQ(gust_conn_drain(e.client, SOON), 0);
    CHECK_EQ(gust_conn_drain(e.server, SOON), 0);
    CHECK_EQ(gust_conn_close(e.server, GUST_NOW), 0);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), 0);
    CHECK_EQ(gust_conn_close(e.client, GUST_NOW), 0);
}

TlsTest(tls_close, half_a_connection_goes_on)
{
    struct ends e;
    char buf[4];
    ends_usual(&e);
    say(e.client, "last words");
    CHECK_EQ(gust_conn_shutdown(e.client, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_write(e.client, "x", 1, SOON), -EPIPE);
    CHECK_EQ(gust_conn_append(e.client, "x", 1, GUST_NOW), -EPIPE);
    hear(e.server, "last words");
    CHECK_EQ(gust_conn_read(e.server, buf, sizeof buf, SOON), 0);
    say(e.server, "still here");
    hear(e.client, "still here");
    CHECK_EQ(gust_conn_shutdown(e.server, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), 0);
    ends_close(&e);
}

static void read_to_the_end(void *arg)
{
    struct writer *r = arg;
    char buf[4];
    CHECK_EQ(gust_conn_read(r->conn, buf, sizeof buf, SOON), 0);
    atomic_store(&r->finished, 1);
}

TlsTest(tls_close, shutting_down_our_reading_is_no_attack)
{
    struct ends e;
    ends_usual(&e);
    ends_talk(&e);
    struct writer r = {.conn = e.server};
    go(read_to_the_end, &r);
    AWAIT_SOON(is_reading(e.server));
    CHECK_EQ(gust_conn_shutdown(e.server, SHUT_RD, SOON), 0);
    AWAIT_SOON(atomic_load(&r.finished));
    say(e.server, "I can still talk");
    hear(e.client, "I can still talk");
    ends_close(&e);
}

static void read_closed(void *arg)
{
    struct writer *r = arg;
    char buf[4];
    CHECK_EQ(gust_conn_read(r->conn, buf, sizeof buf, SOON), -EBADF);
    gust_conn_unref(r->conn);
    atomic_store(&r->finished, 1);
}

TlsTest(tls_close, a_close_ends_a_blocked_read)
{
    struct ends e;
    ends_usual(&e);
    ends_talk(&e);
    struct writer r = {.conn = gust_conn_ref(e.server)};
    go(read_closed, &r);
    AWAIT_SOON(is_reading(e.server));
    CHECK_EQ(gust_conn_close(e.server, SOON), 0);
    AWAIT_SOON(atomic_load(&r.finished));
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
}

TlsTest(tls_close, a_close_within_a_handshake_ends_it)
{
    gust_conn *a, *b;
    make_files();
    gust_tls_config *config = server_config();
    pair_open(&a, &b);
    CHECK_EQ(gust_tls_server(b, config), 0);
    struct writer r = {.conn = gust_conn_ref(b)};
    go(read_closed, &r);
    AWAIT_SOON(is_reading(b));
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    AWAIT_SOON(atomic_load(&r.finished));
    gust_conn_close(a, SOON);
    gust_tls_config_unref(config);
}

/* --- Cut off -------------------------------------------------------------------- */

TlsTest(tls_close, an_end_without_notice_is_told_apart)
{
    struct ends e;
    char buf[4];
    ends_usual(&e);
    ends_talk(&e);
    gust_conn_unref(e.server);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), -ECONNABORTED);
    CHECK_EQ(gust_conn_fill(e.client, sizeof buf, SOON), -ECONNABORTED);
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
}

/* The wire of a TLS conn, whose peer a test plays with plain bytes. */
static void pair_with_raw(gust_tls_config *config, gust_conn **ret_tls, gust_conn **ret_raw)
{
    pair_open(ret_raw, ret_tls);
    CHECK_EQ(gust_tls_server(*ret_tls, config), 0);
}

static void is_refused(const char *bytes, size_t len, int error)
{
    gust_conn *raw, *tls;
    char buf[64];
    gust_tls_config *config = server_config();
    pair_with_raw(config, &tls, &raw);
    CHECK_EQ(gust_conn_write(raw, bytes, len, SOON), len);
    CHECK_EQ(gust_conn_shutdown(raw, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_tls_handshake(tls, SOON), error);
    CHECK(*gust_tls_error(tls) != '\0');
    CHECK_EQ(gust_conn_read(tls, buf, sizeof buf, SOON), error);
    CHECK_EQ(gust_conn_write(tls, "x", 1, SOON), error);
    CHECK_EQ(gust_conn_flush(tls), error);
    CHECK_EQ(gust_conn_drain(tls, SOON), error);
    CHECK_EQ(gust_tls_handshake(tls, SOON), error);
    gust_conn_close(tls, SOON);
    gust_conn_close(raw, SOON);
    gust_tls_config_unref(config);
}

/* A record with a hello whose length is a lie. */
static const char lying_hello[] = {0x16, 3, 1, 0, 5, 1, 0, 0, 0, 0};

TlsTest(tls_close, what_is_no_tls_is_refused)
{
    char garbage[4000];
    make_files();
    stream_fill(garbage, sizeof garbage, 1);
    is_refused(garbage, sizeof garbage, -EPROTO);
    is_refused("GET / HTTP/1.1\r\n\r\n", 18, -EPROTO);
    is_refused(lying_hello, sizeof lying_hello, -EPROTO);
}

TlsTest(tls_close, a_handshake_cut_short_is_refused)
{
    make_files();
    is_refused("\x16\x03\x01\x02", 4, -ECONNABORTED);
    is_refused("", 0, -ECONNABORTED);
}

TlsTest(tls_close, an_alert_says_why)
{
    gust_conn *raw, *tls;
    char buf[64];
    make_files();
    gust_tls_config *config = server_config();
    pair_with_raw(config, &tls, &raw);
    CHECK_EQ(gust_conn_write(raw, lying_hello, sizeof lying_hello, SOON), sizeof lying_hello);
    CHECK_EQ(gust_tls_handshake(tls, SOON), -EPROTO);
    /* Sent although nobody has written anything. */
    CHECK_EQ(gust_conn_read(raw, buf, sizeof buf, SOON), 7);
    CHECK_EQ(buf[0], 21); /* an alert */
    CHECK_EQ(buf[5], 2);  /* a fatal one */
    gust_conn_close(tls, SOON);
    gust_conn_close(raw, SOON);
    gust_tls_config_unref(config);
}

/* Whatever byte of a record is changed on its way, none of it gets through. */
TlsTest(tls_close, a_forged_record_is_refused)
{
    struct ends e;
    char buf[64];
    ends_usual(&e);
    ends_talk(&e);
    static const char forged[] = "\x17\x03\x03\x00\x20"
                                 "0123456789abcdef0123456789abcdef";
    CHECK_EQ(send(e.client->fd.fd, forged, sizeof forged - 1, MSG_NOSIGNAL), sizeof forged - 1);
    CHECK_EQ(gust_conn_read(e.server, buf, sizeof buf, SOON), -EPROTO);
    CHECK_EQ(gust_conn_read(e.server, buf, sizeof buf, SOON), -EPROTO);
    gust_conn_close(e.server, SOON);
    gust_conn_close(e.client, SOON);
}

/* --- Slow ------------------------------------------------------------------------- */

TlsTest(tls_close, a_handshake_has_a_timeout_of_its_own)
{
    gust_conn *raw, *tls;
    char buf[8];
    struct setup s;
    make_files();
    gust_tls_options o = server_options(&s);
    o.handshake_timeout_ns = 20 * GUST_MS;
    gust_tls_config *config = config_of(&o);
    pair_with_raw(config, &tls, &raw);
    say(raw, "\x16\x03\x01"); /* and no more */
    CHECK_EQ(gust_conn_read(tls, buf, sizeof buf, GUST_FOREVER), -ETIMEDOUT);
    CHECK_EQ(gust_tls_handshake(tls, GUST_FOREVER), -ETIMEDOUT);
    CHECK_EQ(strcmp(gust_tls_error(tls), "the handshake took too long"), 0);
    gust_conn_close(tls, SOON);
    gust_conn_close(raw, SOON);
    gust_tls_config_unref(config);
}

TlsTest(tls_close, the_default_timeout_is_set)
{
    gust_conn *raw, *tls;
    make_files();
    gust_tls_config *config = server_config();
    gust_time before = gust_now();
    pair_with_raw(config, &tls, &raw);
    gust_time deadline = tls_of(tls)->handshake_deadline;
    CHECK(deadline >= before + GUST_TLS_HANDSHAKE_TIMEOUT_NS);
    CHECK(deadline <= gust_now() + GUST_TLS_HANDSHAKE_TIMEOUT_NS);
    gust_conn_close(tls, SOON);
    gust_conn_close(raw, SOON);
    gust_tls_config_unref(config);
}

TlsTest(tls_close, the_callers_deadline_only_interrupts_a_handshake)
{
    struct ends e;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    ends_connect(&e, server, client, "localhost");
    CHECK_EQ(gust_tls_handshake(e.server, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_tls_handshake(e.server, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(e.server, "x", 1, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_tls_handshake(e.client, GUST_NOW), -EAGAIN);
    ends_shake(&e);
    CHECK_EQ(e.client_error, 0);
    CHECK_EQ(e.server_error, 0);
    ends_talk(&e);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

/* --- Broken writes -------------------------------------------------------------- */

/* The peer does not read: the write ends by its deadline, and the close says so and
 * sends no clean end after what is missing. */
TlsTest(tls_close, a_write_cut_short_is_no_clean_end)
{
    struct ends e;
    static char buf[1 << 20];
    ends_usual(&e);
    ends_talk(&e);
    ssize_t n;
    do
        n = gust_conn_write(e.server, buf, sizeof buf, gust_after(20 * GUST_MS));
    while (n > 0);
    CHECK_EQ(n, -ETIMEDOUT);
    CHECK_EQ(gust_conn_write(e.server, "x", 1, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_close(e.server, SOON), -ETIMEDOUT);
    do
        n = gust_conn_read(e.client, buf, sizeof buf, SOON);
    while (n > 0);
    CHECK(n == -ECONNABORTED || n == -ECONNRESET);
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
}

TlsTest(tls_close, a_reset_is_reported)
{
    struct ends e;
    char buf[4];
    ends_usual(&e);
    ends_talk(&e);
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    CHECK_EQ(setsockopt(e.client->fd.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    gust_conn_unref(e.client);
    CHECK_EQ(gust_conn_read(e.server, buf, sizeof buf, SOON), -ECONNRESET);
    gust_conn_close(e.server, SOON);
}
