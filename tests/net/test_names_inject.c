/* Whatever the system refuses: names and dialling by them say so by a documented error,
 * and nothing hangs or leaks. */
#include "net/dial_name.h"
#include "tests/core/failures.h"
#include "tests/net/names.h"

#ifndef GUST_DEBUG

Test(names_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

static int names_main(void *arg)
{
    gust_resolver_options keep = {.in_flight_max = 1, .cache_ns = GUST_SEC};
    gust_addr addr;
    gust_conn *c;
    char name[32];
    size_t fds = fd_count();
    (void)arg;
    fake_begin();
    FAKE_ANSWER("127.0.0.1", "127.0.0.5");
    addr = addr_of("127.0.0.5:0");
    gust_listener *l;
    if (!served(gust_tcp_listen(&addr, NULL, &l)))
        return 0;
    gust_listener_addr(l, &addr);
    snprintf(name, sizeof name, "h:%u", gust_addr_port(&addr));
    CHECK_EQ(gust_resolver_configure(&keep), 0);
    for (int i = 0; i < 2; i++) {
        gust_addrs *addrs;
        if (served(gust_resolve_text(name, NULL, SOON, &addrs)))
            gust_addrs_free(addrs);
        int error = gust_dial(name, NULL, SOON, &c);
        if (error != -ECONNREFUSED && served(error))
            gust_conn_close(c, GUST_NOW);
    }
    gust_listener_close(l);
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

Test(names_inject, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, names_main);
    fail_each(INJECT_MALLOC, 3, names_main);
}

Test(names_inject, threads_and_mappings_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_THREAD, 1, names_main);
    fail_each(INJECT_MMAP, 1, names_main);
}

Test(names_inject, the_pollers_may_be_refused, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_EPOLL_ADD, 1, names_main);
    fail_each(INJECT_URING_ENTER, 2, names_main);
}

#endif
