/* Listeners that take PROXY headers. */
#include <gust/proxy.h>

#include "tests/net/net_test.h"

#define V1 "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"

static gust_listener *proxied(const gust_proxy_options *options, const char *text,
                              gust_addr *ret_addr)
{
    const gust_listen_options listen_options = {.proxy = options};
    gust_listener *l = NULL;
    gust_addr addr = addr_of(text);
    CHECK_EQ(gust_tcp_listen(&addr, &listen_options, &l), 0);
    gust_listener_addr(l, ret_addr);
    return l;
}

static gust_listener *required(gust_addr *ret_addr)
{
    return proxied(&(gust_proxy_options){.mode = GUST_PROXY_REQUIRED}, "127.0.0.1:0", ret_addr);
}

static int client(const gust_addr *addr, const void *bytes, size_t len)
{
    int fd = raw_connect(addr);
    if (len > 0)
        raw_write(fd, bytes, len);
    return fd;
}

static int client_text(const gust_addr *addr, const char *text)
{
    return client(addr, text, strlen(text));
}

static void expect_closed(int fd)
{
    char byte;
    AWAIT_SOON(recv(fd, &byte, 1, MSG_DONTWAIT) == 0 || errno == ECONNRESET);
    close(fd);
}

static bool text_is(const gust_addr *addr, const char *text)
{
    char buf[GUST_ADDR_TEXT_MAX];
    return strcmp(gust_addr_format(addr, buf), text) == 0;
}

static void expect_addrs(const gust_conn *c, const char *remote, const char *local)
{
    gust_addr addr;
    gust_conn_remote_addr(c, &addr);
    CHECK(text_is(&addr, remote));
    gust_conn_local_addr(c, &addr);
    CHECK(text_is(&addr, local));
}

static void expect_bytes(gust_conn *c, const char *text)
{
    char buf[64];
    size_t len = strlen(text);
    for (size_t got = 0; got < len;) {
        ssize_t n = gust_conn_read(c, buf + got, len - got, SOON);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(memcmp(buf, text, len) == 0);
}

static gust_proxy_stats stats_of(gust_listener *l)
{
    gust_proxy_stats stats;
    gust_listener_proxy_stats(l, &stats);
    return stats;
}

/* --- Headers ---------------------------------------------------------------------- */

NetTest(proxy, addresses_are_the_headers)
{
    gust_addr addr, peer;
    gust_listener *l = required(&addr);
    int fd = client_text(&addr, V1 "hello");
    gust_conn *c = accept_from(l);
    expect_addrs(c, "192.0.2.1:56324", "198.51.100.7:443");
    gust_conn_peer_addr(c, &peer);
    CHECK_EQ(peer.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    CHECK_EQ(gust_conn_proxy_header(c)->version, 1);
    expect_bytes(c, "hello");
    CHECK(holds_no_buffer(c));
    CHECK_EQ(stats_of(l).with_header, 1);
    gust_conn_ref(c);
    gust_conn_close(c, SOON);
    gust_conn_remote_addr(c, &addr);
    CHECK_EQ(addr.len, 0);
    gust_conn_unref(c);
    close(fd);
    gust_listener_close(l);
}

NetTest(proxy, fields_of_version_2_are_reachable)
{
    gust_addr addr;
    gust_proxy_header header = {.version = 2,
                                .source = addr_of("[2001:db8::1]:5"),
                                .destination = addr_of("[2001:db8::2]:6"),
                                .tlvs = {.data = "\x02\x00\x07mail.ex", .len = 10}};
    char bytes[256];
    gust_listener *l = required(&addr);
    ssize_t n = gust_proxy_header_format(&header, true, bytes, sizeof bytes);
    CHECK(n > 0);
    int fd = client(&addr, bytes, (size_t)n);
    gust_conn *c = accept_from(l);
    expect_addrs(c, "[2001:db8::1]:5", "[2001:db8::2]:6");
    gust_span tlvs = gust_conn_proxy_header(c)->tlvs;
    gust_proxy_tlv tlv;
    CHECK(gust_proxy_tlv_next(&tlvs, &tlv));
    CHECK_EQ(tlv.type, GUST_PROXY_TLV_AUTHORITY);
    CHECK(tlv.value.len == 7 && memcmp(tlv.value.data, "mail.ex", 7) == 0);
    gust_conn_close(c, SOON);
    close(fd);
    /* One wrong bit. */
    bytes[17] ^= 1;
    expect_closed(client(&addr, bytes, (size_t)n));
    CHECK_EQ(stats_of(l).malformed, 1);
    gust_listener_close(l);
}

NetTest(proxy, a_local_header_leaves_the_sockets_addresses)
{
    gust_addr addr, remote, local;
    gust_listener *l = required(&addr);
    int fd = client(&addr, "\r\n\r\n\0\r\nQUIT\n\x20\x00\0\0", 16);
    gust_conn *c = accept_from(l);
    CHECK(gust_conn_proxy_header(c)->local);
    gust_conn_remote_addr(c, &remote);
    CHECK_EQ(remote.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    gust_conn_local_addr(c, &local);
    CHECK_EQ(gust_addr_port(&local), gust_addr_port(&addr));
    gust_conn_close(c, SOON);
    close(fd);
    gust_listener_close(l);
}

NetTest(proxy, a_header_may_come_byte_by_byte)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = required(&addr);
    int fd = client(&addr, NULL, 0);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    for (const char *p = V1 "x"; *p; p++) {
        raw_write(fd, p, 1);
        for (int i = 0; i < 20; i++)
            gust_yield();
    }
    c = accept_from(l);
    expect_addrs(c, "192.0.2.1:56324", "198.51.100.7:443");
    expect_bytes(c, "x");
    gust_conn_close(c, SOON);
    close(fd);
    gust_listener_close(l);
}

/* --- Who is closed ------------------------------------------------------------------ */

NetTest(proxy, malformed_headers_are_closed_and_counted)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = required(&addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    expect_closed(client_text(&addr, "PROXY TCP4 nonsense\r\n"));
    expect_closed(client(&addr, "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c............", 28));
    int fd = client_text(&addr, V1);
    gust_conn_close(accept_from(l), SOON);
    close(fd);
    gust_proxy_stats stats = stats_of(l);
    CHECK_EQ(stats.malformed, 2);
    CHECK_EQ(stats.with_header, 1);
    CHECK_EQ(stats.without + stats.timed_out + stats.refused + stats.failed, 0);
    gust_listener_close(l);
}

NetTest(proxy, one_is_required)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = required(&addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    expect_closed(client_text(&addr, "GET / HTTP/1.1\r\n"));
    CHECK_EQ(stats_of(l).refused, 1);
    int fd = client_text(&addr, "PRO");
    shutdown(fd, SHUT_WR);
    expect_closed(fd);
    CHECK_EQ(stats_of(l).failed, 1);
    fd = client_text(&addr, "");
    shutdown(fd, SHUT_WR);
    expect_closed(fd);
    CHECK_EQ(stats_of(l).failed, 2);
    gust_listener_close(l);
}

NetTest(proxy, a_silent_client_holds_up_nobody)
{
    enum { SILENT = 20 };
    gust_addr addr;
    int silent[SILENT];
    gust_conn *c = NULL;
    gust_listener *l =
        proxied(&(gust_proxy_options){.header_timeout_ns = 3600 * GUST_SEC}, "127.0.0.1:0", &addr);
    for (int i = 0; i < SILENT; i++)
        silent[i] = client_text(&addr, i % 2 ? "" : "PROXY T");
    int fd = client_text(&addr, V1 "first");
    c = accept_from(l);
    expect_bytes(c, "first");
    gust_conn_close(c, SOON);
    /* And the late ones come in when they have spoken. */
    raw_write(silent[0], V1 + 7, strlen(V1) - 7);
    c = accept_from(l);
    expect_addrs(c, "192.0.2.1:56324", "198.51.100.7:443");
    gust_conn_close(c, SOON);
    close(fd);
    close(silent[0]);
    gust_listener_close(l);
    for (int i = 1; i < SILENT; i++)
        expect_closed(silent[i]);
    AWAIT_SOON(gust_num_goroutines() == 1);
}

NetTest(proxy, time_for_a_header_is_bounded)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l =
        proxied(&(gust_proxy_options){.header_timeout_ns = 10 * GUST_MS}, "127.0.0.1:0", &addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    expect_closed(client_text(&addr, ""));
    expect_closed(client_text(&addr, "PROXY TCP4 1"));
    CHECK_EQ(stats_of(l).timed_out, 2);
    gust_listener_close(l);
}

/* --- Optional ----------------------------------------------------------------------- */

NetTest(proxy, an_optional_header_may_be_missing)
{
    gust_addr addr, remote;
    gust_listener *l =
        proxied(&(gust_proxy_options){.mode = GUST_PROXY_OPTIONAL}, "127.0.0.1:0", &addr);
    int fd = client_text(&addr, "GET /");
    gust_conn *c = accept_from(l);
    CHECK(!gust_conn_proxy_header(c));
    gust_conn_remote_addr(c, &remote);
    CHECK_EQ(remote.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    expect_bytes(c, "GET /");
    gust_conn_close(c, SOON);
    close(fd);
    fd = client_text(&addr, V1);
    c = accept_from(l);
    expect_addrs(c, "192.0.2.1:56324", "198.51.100.7:443");
    gust_conn_close(c, SOON);
    close(fd);
    CHECK_EQ(stats_of(l).without, 1);
    CHECK_EQ(stats_of(l).with_header, 1);
    expect_closed(client_text(&addr, "PROXY nonsense\r\n"));
    gust_listener_close(l);
}

NetTest(proxy, a_client_may_be_silent_where_the_header_is_optional)
{
    const gust_proxy_options options = {.mode = GUST_PROXY_OPTIONAL,
                                        .header_timeout_ns = 10 * GUST_MS};
    gust_addr addr;
    char buf[8];
    gust_listener *l = proxied(&options, "127.0.0.1:0", &addr);
    int fd = client_text(&addr, "");
    gust_conn *c = accept_from(l);
    raw_write(fd, "late", 4);
    expect_bytes(c, "late");
    gust_conn_close(c, SOON);
    close(fd);
    fd = client_text(&addr, "");
    shutdown(fd, SHUT_WR);
    c = accept_from(l);
    CHECK_EQ(gust_conn_read(c, buf, sizeof buf, SOON), 0);
    gust_conn_close(c, SOON);
    close(fd);
    CHECK_EQ(stats_of(l).without, 2);
    gust_listener_close(l);
}

/* --- Who may ------------------------------------------------------------------------ */

static gust_proxy_prefix prefix_of(const char *text, int bits)
{
    return (gust_proxy_prefix){.addr = addr_of(text), .bits = bits};
}

static bool takes_header(const gust_proxy_prefix *allow, size_t count, const char *listen)
{
    gust_addr addr;
    const gust_proxy_options options = {
        .mode = GUST_PROXY_OPTIONAL, .allow = allow, .allow_count = count};
    gust_listener *l = proxied(&options, listen, &addr);
    gust_addr v4 = addr_of("127.0.0.1:0");
    v4.v4.sin_port = htons(gust_addr_port(&addr));
    int fd = client_text(&v4, V1);
    gust_conn *c = accept_from(l);
    bool taken = gust_conn_proxy_header(c) != NULL;
    if (!taken)
        expect_bytes(c, V1);
    gust_conn_close(c, SOON);
    close(fd);
    gust_listener_close(l);
    return taken;
}

NetTest(proxy, only_the_allowed_are_believed)
{
    gust_proxy_prefix allow[3] = {prefix_of("10.0.0.0:0", 8), prefix_of("[::1]:0", 128),
                                  prefix_of("127.0.0.9:0", 32)};
    CHECK(!takes_header(allow, 3, "127.0.0.1:0"));
    CHECK(!takes_header(allow, 0, "127.0.0.1:0"));
    CHECK(!takes_header(allow, 3, ":0"));
    allow[1] = prefix_of("127.0.0.1:0", 32);
    CHECK(takes_header(allow, 3, "127.0.0.1:0"));
    CHECK(takes_header(allow, 3, ":0")); /* as ::ffff:127.0.0.1 */
    allow[1] = prefix_of("126.1.2.3:0", 7);
    CHECK(takes_header(allow, 3, "127.0.0.1:0"));
    allow[1] = prefix_of("126.1.2.3:0", 8);
    CHECK(!takes_header(allow, 3, "127.0.0.1:0"));
    allow[1] = prefix_of("1.2.3.4:0", 0);
    CHECK(takes_header(allow, 3, "127.0.0.1:0"));
}

NetTest(proxy, others_are_closed_where_one_is_required)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_proxy_prefix allow = prefix_of("10.0.0.0:0", 8);
    gust_listener *l =
        proxied(&(gust_proxy_options){.allow = &allow, .allow_count = 1}, "127.0.0.1:0", &addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    expect_closed(client_text(&addr, V1));
    CHECK_EQ(stats_of(l).refused, 1);
    gust_listener_close(l);
}

NetTest(proxy, nonsense_is_refused)
{
    gust_proxy_prefix bad[] = {prefix_of("10.0.0.0:0", 33),
                               prefix_of("10.0.0.0:0", -1),
                               prefix_of("[::]:0", 129),
                               prefix_of("unix:/a", 0),
                               {.bits = 0}};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l = NULL;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const gust_proxy_options options = {.allow = &bad[i], .allow_count = 1};
        const gust_listen_options listen_options = {.proxy = &options};
        CHECK_EQ(gust_tcp_listen(&addr, &listen_options, &l), -EINVAL);
    }
    const gust_proxy_options options = {.header_timeout_ns = -1};
    CHECK_EQ(gust_tcp_listen(&addr, &(gust_listen_options){.proxy = &options}, &l), -EINVAL);
    CHECK(!l);
}

/* --- Closing ------------------------------------------------------------------------ */

struct acceptor {
    gust_listener *listener;
    gust_waitgroup done;
};

static void accept_none(void *arg)
{
    struct acceptor *a = arg;
    gust_conn *c = NULL;
    CHECK_EQ(gust_listener_accept(a->listener, SOON, &c), -EBADF);
    gust_listener_unref(a->listener);
    gust_waitgroup_done(&a->done);
}

NetTest(proxy, close_wakes_acceptors_and_closes_what_nobody_took)
{
    enum { CLIENTS = 12 };
    gust_addr addr;
    int fds[CLIENTS];
    gust_conn *c = NULL;
    gust_listener *l = required(&addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_text(&addr, i % 3 ? V1 : "");
    AWAIT_SOON(stats_of(l).with_header == CLIENTS - CLIENTS / 3);
    gust_listener_ref(l);
    gust_listener_close(l);
    CHECK_EQ(gust_listener_accept(l, SOON, &c), -EBADF);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EBADF);
    gust_listener_unref(l);
    for (int i = 0; i < CLIENTS; i++)
        expect_closed(fds[i]);
    l = required(&addr);
    struct acceptor a = {.listener = gust_listener_ref(l)};
    gust_waitgroup_add(&a.done, 1);
    go(accept_none, &a);
    for (int i = 0; i < 50; i++)
        gust_yield();
    gust_listener_close(l);
    CHECK_EQ(gust_waitgroup_wait(&a.done, SOON), 0);
    /* One that was never asked. */
    gust_listener_close(required(&addr));
    gust_listener_unref(required(&addr));
    AWAIT_SOON(gust_num_goroutines() == 1);
}

/* More than the gate holds: the rest waits in front of it. */
NetTest(proxy, nothing_is_lost_when_the_gate_is_full)
{
    enum { CLIENTS = 200 };
    gust_addr addr;
    int fds[CLIENTS];
    gust_conn *c = NULL;
    gust_listener *l = required(&addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    for (int i = 0; i < CLIENTS; i++)
        fds[i] = client_text(&addr, V1 "x");
    AWAIT_SOON(stats_of(l).with_header == CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        c = accept_from(l);
        expect_bytes(c, "x");
        gust_conn_close(c, SOON);
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    gust_listener_close(l);
}

NetTest(proxy, a_plain_listener_counts_nothing)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_conn *a = dial_to(&addr), *b = accept_from(l);
    gust_proxy_stats stats = stats_of(l);
    CHECK_EQ(stats.with_header + stats.without, 0);
    CHECK(!gust_conn_proxy_header(b));
    pair_close(a, b);
    gust_listener_close(l);
}
