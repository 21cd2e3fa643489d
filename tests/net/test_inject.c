/* Whatever the system refuses, and whenever: net says so by a documented error, or
 * the peer sees the connection end; nothing hangs, and nothing leaks. */
#include <gust/copy.h>
#include <gust/proxy.h>

#include "tests/core/failures.h"
#include "tests/net/net_test.h"

#ifndef GUST_DEBUG

Test(net_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

enum { CONNS = 18, ECHOES = 3, SMALL = 100, LARGE = 60000 };

/* A scenario at a time. */
static struct {
    gust_listener *listener;
    gust_waitgroup done; /* what the server has started */
} echo;

/* --- The server ------------------------------------------------------------------ */

/* A view that has to grow, and answers of both kinds. */
static void echo_conn(gust_conn *c)
{
    for (size_t want = SMALL;; want = LARGE) {
        while (gust_conn_view(c).len < want)
            if (!moved(gust_conn_fill(c, LARGE, SOON)))
                return;
        if (!moved(gust_conn_write(c, gust_conn_view(c).data, want, SOON)))
            return;
        gust_conn_consume(c, want);
    }
}

static void serve_conn(void *arg)
{
    echo_conn(arg);
    gust_conn_close(arg, GUST_NOW);
    gust_waitgroup_done(&echo.done);
}

/* Half of the connections wait for their first bytes without a goroutine. */
static int start_conn(gust_conn *c)
{
    static _Atomic unsigned number;
    bool parked = atomic_fetch_add(&number, 1) % 2;
    return parked ? gust_conn_on_input(c, serve_conn, c, SOON) : gust_go(serve_conn, c);
}

/* Each connection gets a goroutine: which comes first is not for the server to say. */
static void serve(void *arg)
{
    gust_conn *c;
    (void)arg;
    for (int error; (error = gust_listener_accept(echo.listener, SOON, &c)) != -EBADF;) {
        if (!served(error))
            continue; /* that connection is closed */
        gust_waitgroup_add(&echo.done, 1);
        if (!served(start_conn(c))) {
            gust_conn_close(c, GUST_NOW);
            gust_waitgroup_done(&echo.done);
        }
    }
    gust_waitgroup_done(&echo.done);
}

/* --- The client -------------------------------------------------------------------- */

static bool echoes(gust_conn *c, size_t len)
{
    static char sent[LARGE], got[LARGE];
    stream_fill(sent, len, 0);
    if (!moved(gust_conn_write(c, sent, len, SOON)))
        return false;
    for (size_t have = 0; have < len;) {
        ssize_t n = gust_conn_read(c, got + have, len - have, SOON);
        if (!moved(n))
            return false;
        have += (size_t)n;
    }
    stream_check(got, len, 0);
    return true;
}

/* More connections than the listener's first queue holds, all in it at once. */
static void dial_many(const gust_addr *addr)
{
    gust_conn *conns[CONNS] = {0};
    for (int i = 0; i < CONNS; i++)
        served(gust_tcp_dial(addr, SOON, &conns[i]));
    for (int i = 0; i < CONNS; i++) {
        if (!conns[i])
            continue;
        if (i < ECHOES && echoes(conns[i], SMALL))
            echoes(conns[i], LARGE);
        gust_conn_close(conns[i], GUST_NOW);
    }
}

static int echo_main(void *arg)
{
    gust_addr addr = addr_of("127.0.0.1:0");
    size_t fds = fd_count();
    (void)arg;
    if (!served(gust_tcp_listen(&addr, NULL, &echo.listener)))
        return 0;
    gust_listener_addr(echo.listener, &addr);
    gust_listener_ref(echo.listener);
    gust_waitgroup_add(&echo.done, 1);
    if (served(gust_go(serve, NULL)))
        dial_many(&addr);
    else
        gust_waitgroup_done(&echo.done);
    gust_listener_close(echo.listener);
    CHECK_EQ(gust_waitgroup_wait(&echo.done, SOON), 0);
    gust_listener_unref(echo.listener);
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

/* --- Behind a gate ----------------------------------------------------------------- */

static uint64_t fates(const gust_proxy_stats *stats)
{
    return stats->with_header + stats->failed + stats->refused + stats->malformed +
           stats->timed_out + stats->without;
}

/* Each client is accepted, or what became of it is counted, or it finds out itself. */
static void gate_one(gust_listener *l, const gust_addr *addr, uint64_t number)
{
    static const char header[] = "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n";
    gust_conn *client = NULL, *c = NULL;
    gust_proxy_stats stats;
    if (!served(gust_tcp_dial(addr, SOON, &client)))
        return;
    moved(gust_conn_write(client, header, sizeof header - 1, SOON));
    for (gust_time until = SOON; !c; gust_yield()) {
        CHECK(gust_now() < until);
        served(gust_listener_accept(l, GUST_NOW, &c));
        gust_listener_proxy_stats(l, &stats);
        if (!c && fates(&stats) - stats.with_header >= number)
            break;
        char byte;
        if (!c && gust_conn_read(client, &byte, 1, GUST_NOW) != -EAGAIN)
            break;
    }
    gust_conn_close(c, GUST_NOW);
    gust_conn_close(client, GUST_NOW);
}

static int gate_main(void *arg)
{
    const gust_proxy_prefix allow = {.addr = addr_of("127.0.0.1:0"), .bits = 32};
    const gust_proxy_options options = {.allow = &allow, .allow_count = 1};
    const gust_listen_options listen_options = {.proxy = &options};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l;
    size_t fds = fd_count();
    (void)arg;
    if (!served(gust_tcp_listen(&addr, &listen_options, &l)))
        return 0;
    gust_listener_addr(l, &addr);
    for (int i = 0; i < 2; i++)
        gate_one(l, &addr, 1);
    gust_listener_close(l);
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

/* --- Copies ------------------------------------------------------------------------ */

enum { COPIED = 300000 };

/* Some more of the stream into fd, as far as it goes. */
static void raw_stream_on(int fd, uint64_t *at)
{
    static char buf[65536];
    size_t len = COPIED - *at < sizeof buf ? (size_t)(COPIED - *at) : sizeof buf;
    stream_fill(buf, len, *at);
    ssize_t n = len > 0 ? send(fd, buf, len, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
    CHECK(n >= 0 || errno == EAGAIN);
    *at += n > 0 ? (uint64_t)n : 0;
}

/* Whatever is refused, all of it arrives in the end. */
static void copy_all(gust_conn *dst, gust_conn *src, int from, int to)
{
    static char buf[65536];
    uint64_t sent = 0, got = 0, copied;
    for (gust_time until = SOON; got < COPIED; gust_yield()) {
        CHECK(gust_now() < until);
        raw_stream_on(from, &sent);
        served(gust_conn_copy(dst, src, COPIED, GUST_NOW, &copied));
        ssize_t n = raw_read_some(to, buf, sizeof buf);
        CHECK(n >= 0);
        stream_check(buf, (size_t)n, got);
        got += (uint64_t)n;
    }
}

/* Nobody comes if there was no memory to remember him by. */
static bool accepted(gust_listener *l, gust_conn **ret_conn)
{
    int error = gust_listener_accept(l, gust_after(GUST_SEC), ret_conn);
    return error != -ETIMEDOUT && served(error);
}

static int copy_main(void *arg)
{
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l;
    gust_conn *c[2] = {NULL, NULL};
    int fds[2];
    size_t before = fd_count();
    (void)arg;
    if (!served(gust_tcp_listen(&addr, NULL, &l)))
        return 0;
    gust_listener_addr(l, &addr);
    for (int i = 0; i < 2; i++) {
        fds[i] = raw_connect(&addr);
        (void)accepted(l, &c[i]);
    }
    if (c[0] && c[1])
        copy_all(c[1], c[0], fds[0], fds[1]);
    for (int i = 0; i < 2; i++) {
        gust_conn_close(c[i], GUST_NOW);
        close(fds[i]);
    }
    gust_listener_close(l);
    AWAIT_SOON(fd_count() == before);
    return 0;
}

Test(net_inject, memory_and_pipes_may_be_refused_to_a_copy, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_PIPE, 1, copy_main);
    fail_each(INJECT_PIPE, INJECT_FOR_EVER, copy_main);
    fail_each(INJECT_MALLOC, 1, copy_main);
}

static int send_file_main(void *arg)
{
    gust_conn *a, *b;
    char buf[100];
    uint64_t copied;
    (void)arg;
    FILE *file = tmpfile();
    CHECK(file && fwrite("0123456789", 1, 10, file) == 10 && fflush(file) == 0);
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l;
    if (served(gust_tcp_listen(&addr, NULL, &l))) {
        gust_listener_addr(l, &addr);
        a = b = NULL;
        if (served(gust_tcp_dial(&addr, SOON, &a)) && accepted(l, &b) &&
            served(gust_conn_send_file(a, fileno(file), 2, 5, SOON, &copied))) {
            ssize_t n = gust_conn_read(b, buf, sizeof buf, SOON);
            CHECK(!moved(n) || (n <= 5 && memcmp(buf, "23456", (size_t)n) == 0));
        }
        gust_conn_close(a, GUST_NOW);
        gust_conn_close(b, GUST_NOW);
        gust_listener_close(l);
    }
    fclose(file);
    return 0;
}

Test(net_inject, memory_may_be_refused_to_a_file, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, send_file_main);
}

Test(net_inject, memory_may_be_refused_at_the_gate, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, gate_main);
    fail_each(INJECT_MALLOC, 3, gate_main);
}

Test(net_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, echo_main);
    fail_each(INJECT_MALLOC, 4, echo_main);
}

Test(net_inject, descriptors_may_be_refused_by_epoll, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, echo_main);
    fail_each(INJECT_EPOLL_ADD, 4, echo_main);
}

Test(net_inject, entering_the_ring_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_URING_ENTER, 1, echo_main);
    fail_each(INJECT_URING_ENTER, 4, echo_main);
}

Test(net_inject, threads_and_mappings_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_THREAD, 1, echo_main);
    fail_each(INJECT_THREAD, INJECT_FOR_EVER, echo_main);
    fail_each(INJECT_MMAP, 1, echo_main);
}

#endif
