/* TCP's options: what the kernel is told, and that accepted connections have their
 * listener's. */
#include <gust/tcp.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/syscall.h>

#include "tests/net/net_test.h"

static int option(const gust_conn *c, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_EQ(getsockopt(c->fd.fd, level, name, &value, &len), 0);
    return value;
}

static int tcp_option(const gust_conn *c, int name)
{
    return option(c, IPPROTO_TCP, name);
}

/* A dialled and an accepted end, with the same options. */
static void pair_open_with(const gust_tcp_options *options, gust_conn **ret_a, gust_conn **ret_b)
{
    gust_listen_options listen_options = {.tcp = options};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l = NULL;
    CHECK_EQ(gust_tcp_listen(&addr, &listen_options, &l), 0);
    gust_listener_addr(l, &addr);
    CHECK_EQ(gust_tcp_dial_with(&addr, options, SOON, ret_a), 0);
    *ret_b = accept_from(l);
    gust_listener_close(l);
}

NetTest(tcp_options, keepalive_and_nodelay_are_on_by_default)
{
    gust_conn *c[2];
    pair_open(&c[0], &c[1]);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(option(c[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        CHECK_EQ(tcp_option(c[i], TCP_KEEPIDLE), 15);
        CHECK_EQ(tcp_option(c[i], TCP_KEEPINTVL), 15);
        CHECK_EQ(tcp_option(c[i], TCP_NODELAY), 1);
        CHECK_EQ(tcp_option(c[i], TCP_USER_TIMEOUT), 0);
    }
    pair_close(c[0], c[1]);
}

NetTest(tcp_options, they_hold_for_what_is_dialled_and_accepted)
{
    const gust_tcp_options options = {
        .keepalive = {.idle_ns = 30 * GUST_SEC - 1, .interval_ns = 7 * GUST_SEC, .count = 4},
        .delay = true,
        .user_timeout_ns = 12345 * GUST_MS,
        .receive_buffer = 20000,
        .send_buffer = 30000,
        .dscp = 46,
    };
    gust_conn *c[2];
    pair_open_with(&options, &c[0], &c[1]);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(option(c[i], SOL_SOCKET, SO_KEEPALIVE), 1);
        CHECK_EQ(tcp_option(c[i], TCP_KEEPIDLE), 30);
        CHECK_EQ(tcp_option(c[i], TCP_KEEPINTVL), 7);
        CHECK_EQ(tcp_option(c[i], TCP_KEEPCNT), 4);
        CHECK_EQ(tcp_option(c[i], TCP_NODELAY), 0);
        CHECK_EQ(tcp_option(c[i], TCP_USER_TIMEOUT), 12345);
        CHECK_EQ(option(c[i], SOL_SOCKET, SO_RCVBUF), 40000);
        CHECK_EQ(option(c[i], SOL_SOCKET, SO_SNDBUF), 60000);
        CHECK_EQ(option(c[i], IPPROTO_IP, IP_TOS), 46 << 2);
    }
    pair_close(c[0], c[1]);
}

NetTest(tcp_options, keepalive_can_be_left_out)
{
    const gust_tcp_options options = {.no_keepalive = true};
    gust_conn *c[2];
    pair_open_with(&options, &c[0], &c[1]);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(option(c[i], SOL_SOCKET, SO_KEEPALIVE), 0);
    pair_close(c[0], c[1]);
}

NetTest(tcp_options, each_can_be_changed_on_a_connection)
{
    gust_conn *a, *b;
    const gust_tcp_keepalive keepalive = {.idle_ns = 60 * GUST_SEC, .count = 3};
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_nodelay(a, false), 0);
    CHECK_EQ(tcp_option(a, TCP_NODELAY), 0);
    CHECK_EQ(gust_conn_set_nodelay(a, true), 0);
    CHECK_EQ(tcp_option(a, TCP_NODELAY), 1);
    CHECK_EQ(gust_conn_set_keepalive(a, NULL), 0);
    CHECK_EQ(option(a, SOL_SOCKET, SO_KEEPALIVE), 0);
    CHECK_EQ(gust_conn_set_keepalive(a, &keepalive), 0);
    CHECK_EQ(option(a, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(tcp_option(a, TCP_KEEPIDLE), 60);
    CHECK_EQ(tcp_option(a, TCP_KEEPINTVL), 15);
    CHECK_EQ(tcp_option(a, TCP_KEEPCNT), 3);
    CHECK_EQ(gust_conn_set_user_timeout(a, GUST_SEC + 1), 0);
    CHECK_EQ(tcp_option(a, TCP_USER_TIMEOUT), 1001);
    CHECK_EQ(gust_conn_set_user_timeout(a, 0), 0);
    CHECK_EQ(tcp_option(a, TCP_USER_TIMEOUT), 0);
    CHECK_EQ(gust_conn_set_quickack(a, false), 0);
    CHECK_EQ(tcp_option(a, TCP_QUICKACK), 0);
    CHECK_EQ(gust_conn_set_quickack(a, true), 0);
    CHECK_EQ(tcp_option(a, TCP_QUICKACK), 1);
    CHECK_EQ(gust_conn_set_buffers(a, 10000, 0), 0);
    CHECK_EQ(option(a, SOL_SOCKET, SO_RCVBUF), 20000);
    CHECK_EQ(gust_conn_set_buffers(a, 0, 20000), 0);
    CHECK_EQ(option(a, SOL_SOCKET, SO_SNDBUF), 40000);
    CHECK_EQ(gust_conn_set_dscp(a, 8), 0);
    CHECK_EQ(option(a, IPPROTO_IP, IP_TOS), 8 << 2);
    pair_close(a, b);
}

NetTest(tcp_options, nonsense_is_refused)
{
    const gust_tcp_options bad[] = {
        {.keepalive.idle_ns = -1},
        {.keepalive.interval_ns = -1},
        {.keepalive.count = -1},
        {.user_timeout_ns = -1},
        {.receive_buffer = -1},
        {.send_buffer = -1},
        {.dscp = 64},
        {.dscp = -1},
    };
    gust_addr addr, any = addr_of("127.0.0.1:0");
    gust_listener *l = listen_on("127.0.0.1:0", &addr), *second = NULL;
    gust_conn *c = NULL, *a, *b;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        gust_listen_options options = {.tcp = &bad[i]};
        CHECK_EQ(gust_tcp_listen(&any, &options, &second), -EINVAL);
        CHECK_EQ(gust_tcp_dial_with(&addr, &bad[i], SOON, &c), -EINVAL);
    }
    CHECK(!c && !second);
    gust_listener_close(l);
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_keepalive(a, &bad[0].keepalive), -EINVAL);
    CHECK_EQ(gust_conn_set_user_timeout(a, -1), -EINVAL);
    CHECK_EQ(gust_conn_set_buffers(a, -1, 0), -EINVAL);
    CHECK_EQ(gust_conn_set_dscp(a, 64), -EINVAL);
    gust_conn_ref(a);
    pair_close(a, b);
    CHECK_EQ(gust_conn_set_nodelay(a, true), -EBADF);
    CHECK_EQ(gust_conn_set_linger(a, 0), -EBADF);
    CHECK_EQ(gust_conn_set_keepalive(a, NULL), -EBADF);
    gust_conn_unref(a);
}

NetTest(tcp_options, dscp_of_ipv6_has_an_option_of_its_own)
{
    const gust_tcp_options options = {.dscp = 10};
    gust_listen_options listen_options = {.tcp = &options};
    gust_addr addr = addr_of("[::1]:0");
    gust_listener *l;
    if (gust_tcp_listen(&addr, &listen_options, &l) < 0)
        return; /* there is no IPv6 here */
    gust_listener_addr(l, &addr);
    gust_conn *a = NULL;
    CHECK_EQ(gust_tcp_dial_with(&addr, &options, SOON, &a), 0);
    CHECK_EQ(option(a, IPPROTO_IPV6, IPV6_TCLASS), 10 << 2);
    gust_conn *b = accept_from(l);
    CHECK_EQ(option(b, IPPROTO_IPV6, IPV6_TCLASS), 10 << 2);
    pair_close(a, b);
    gust_listener_close(l);
}

/* --- Linger --------------------------------------------------------------------- */

NetTest(tcp_options, a_linger_of_0_resets)
{
    gust_conn *a, *b;
    char byte;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_linger(a, 0), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), -ECONNRESET);
    gust_conn_close(b, SOON);
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_set_linger(a, 0), 0);
    CHECK_EQ(gust_conn_set_linger(a, -1), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 0);
    gust_conn_close(b, SOON);
}

struct closer {
    gust_conn *conn;
    _Atomic int closed;
};

static void close_it(void *arg)
{
    struct closer *closer = arg;
    CHECK_EQ(gust_conn_close(closer->conn, SOON), 0);
    atomic_store(&closer->closed, 1);
}

/* Fills the kernel's buffer, past the conn, until nothing goes any more. */
static void fill_kernel(const gust_conn *c)
{
    static char block[4096];
    ssize_t n = 0;
    gust_time until = SOON;
    while (n >= 0 || !is_stuck(c->fd.fd)) {
        n = send(c->fd.fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL);
        CHECK(n > 0 || errno == EAGAIN);
        CHECK(gust_now() < until);
        gust_yield();
    }
}

static bool is_in(const char *tid, long syscall_nr)
{
    char path[300];
    long nr = -1;
    snprintf(path, sizeof path, "/proc/self/task/%s/syscall", tid);
    FILE *f = fopen(path, "re");
    bool found = f && fscanf(f, "%ld", &nr) == 1 && nr == syscall_nr;
    if (f)
        fclose(f);
    return found;
}

/* Does a thread of ours sleep in this system call? */
static bool somebody_waits_in(long syscall_nr)
{
    bool found = false;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *e; !found && (e = readdir(tasks));)
        found = is_in(e->d_name, syscall_nr);
    closedir(tasks);
    return found;
}

/* What the kernel holds is not acknowledged before the peer reads. */
NetTest(tcp_options, a_positive_linger_waits_for_the_acknowledgement)
{
    int peer;
    static char block[4096];
    struct closer closer = {.conn = raw_pair_open(&peer)};
    CHECK_EQ(gust_conn_set_linger(closer.conn, 3600), 0);
    fill_kernel(closer.conn);
    go(close_it, &closer);
    AWAIT_SOON(somebody_waits_in(SYS_close));
    CHECK_EQ(atomic_load(&closer.closed), 0);
    while (raw_read_some(peer, block, sizeof block) >= 0)
        gust_yield();
    AWAIT_SOON(atomic_load(&closer.closed));
    close(peer);
}

NetTest(tcp_options, the_last_unref_does_not_linger)
{
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    CHECK_EQ(gust_conn_set_linger(c, 3600), 0);
    fill_kernel(c);
    gust_conn_unref(c); /* else the test's bound ends it */
    close(peer);
}

/* --- When the kernel may wait ------------------------------------------------------ */

NetTest(tcp_options, a_deferred_accept_comes_with_the_first_bytes)
{
    gust_listen_options options = {.defer_accept_ns = 20 * GUST_SEC};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l;
    gust_conn *c = NULL;
    char buf[4];
    CHECK_EQ(gust_tcp_listen(&addr, &options, &l), 0);
    gust_listener_addr(l, &addr);
    int fd = raw_connect(&addr);
    CHECK_EQ(gust_listener_accept(l, gust_after(30 * GUST_MS), &c), -ETIMEDOUT);
    raw_write(fd, "abc", 3);
    c = accept_from(l);
    CHECK_EQ(gust_conn_read(c, buf, sizeof buf, GUST_NOW), 3); /* it is there */
    gust_conn_close(c, SOON);
    close(fd);
    gust_listener_close(l);
}

static void fast_open_once(gust_listener *l, const gust_addr *addr)
{
    const gust_tcp_options options = {.fast_open = true};
    gust_conn *a = NULL;
    char buf[8];
    CHECK_EQ(gust_tcp_dial_with(addr, &options, SOON, &a), 0);
    CHECK_EQ(gust_conn_write(a, "hello", 5, SOON), 5);
    gust_conn *b = accept_from(l);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_EQ(gust_conn_write(b, "world", 5, SOON), 5);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 5);
    pair_close(a, b);
}

static bool syn_carried_data(const gust_conn *c)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    CHECK_EQ(getsockopt(c->fd.fd, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
    return info.tcpi_options & TCPI_OPT_SYN_DATA;
}

static gust_listener *fast_listener(gust_addr *ret_addr)
{
    const gust_tcp_options options = {.fast_open = true};
    const gust_listen_options listen_options = {.tcp = &options};
    gust_listener *l = NULL;
    *ret_addr = addr_of("127.0.0.1:0");
    CHECK_EQ(gust_tcp_listen(ret_addr, &listen_options, &l), 0);
    gust_listener_addr(l, ret_addr);
    return l;
}

/* Whether the system allows it or not. */
NetTest(tcp_options, fast_open_falls_back_silently)
{
    gust_addr addr;
    gust_listener *l = fast_listener(&addr);
    for (int i = 0; i < 3; i++)
        fast_open_once(l, &addr);
    gust_listener_close(l);
}

static bool loopback_set(short flags)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = flags};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    close(fd);
    return done;
}

/* A network of its own; false: not allowed to make one. */
static bool enter_own_network(void)
{
    return unshare(CLONE_NEWNET) == 0 && loopback_set(IFF_UP);
}

/* In which the server may. */
static bool enter_fast_open_network(void)
{
    if (!enter_own_network())
        return false;
    FILE *file = fopen("/proc/sys/net/ipv4/tcp_fastopen", "w");
    bool written = file && fputs("3", file) >= 0;
    return file && fclose(file) == 0 && written;
}

static int fast_open_main(void *arg)
{
    const gust_tcp_options options = {.fast_open = true};
    gust_addr addr;
    gust_conn *a = NULL;
    char buf[8];
    (void)arg;
    gust_listener *l = fast_listener(&addr);
    fast_open_once(l, &addr); /* gets the cookie */
    CHECK_EQ(gust_tcp_dial_with(&addr, &options, SOON, &a), 0);
    CHECK_EQ(gust_conn_write(a, "early", 5, SOON), 5);
    gust_conn *b = accept_from(l);
    CHECK(syn_carried_data(b));
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
    pair_close(a, b);
    gust_listener_close(l);
    return 0;
}

Test(tcp_options, fast_open_sends_data_with_the_syn)
{
    if (!enter_fast_open_network())
        cr_skip_test("may not make a network of its own");
    test_run(fast_open_main, NULL);
}

/* --- A peer that is gone ------------------------------------------------------------ */

/* The network ends under a connection with unacknowledged bytes. */
static int silent_main(void *arg)
{
    gust_conn *a, *b;
    char byte;
    (void)arg;
    for (int i = 0; i < 2; i++) {
        CHECK(loopback_set(IFF_UP));
        pair_open(&a, &b);
        CHECK_EQ(gust_conn_set_user_timeout(a, 50 * GUST_MS), 0);
        CHECK_EQ(gust_conn_drain(a, SOON), 0);
        CHECK(loopback_set(0));
        CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
        ssize_t n = gust_conn_read(a, &byte, 1, i ? SOON : GUST_FOREVER);
        CHECK_EQ(n, -ECONNRESET);
        gust_conn_unref(a);
        gust_conn_unref(b);
    }
    return 0;
}

Test(tcp_options, a_peer_that_stops_answering_is_told_from_a_deadline)
{
    if (!enter_own_network())
        cr_skip_test("may not make a network of its own");
    test_run(silent_main, NULL);
}
