/* Whatever the system refuses, and whenever: net says so by a documented error, or
 * the peer sees the connection end; nothing hangs, and nothing leaks. */
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

static bool moved(ssize_t n)
{
    return !is_hang_up((int)n) && served((int)n);
}

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
