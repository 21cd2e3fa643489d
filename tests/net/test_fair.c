/* More connections than a P's queue holds, all of them always with something to do: none is
 * served at the expense of another. */
#include <pthread.h>
#include <sys/epoll.h>

#include "tests/core/procs.h"
#include "tests/net/net_test.h"

enum { CONNS = 600, ROUNDS = 100 };

static struct {
    int fd[CONNS];
    unsigned answers[CONNS];
} clients;

static gust_waitgroup serving;

static void echo(void *arg)
{
    char byte;
    while (gust_conn_read(arg, &byte, 1, SOON) == 1 && gust_conn_write(arg, &byte, 1, SOON) == 1)
        continue;
    (void)gust_conn_close(arg, SOON); /* the client has not read the last answer */
    gust_waitgroup_done(&serving);
}

static void watch(int epoll, unsigned i)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    CHECK_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, clients.fd[i], &event), 0);
    raw_write(clients.fd[i], "x", 1);
}

/* Asks again on each connection as soon as there is an answer. */
static void *ask_all(void *arg)
{
    struct epoll_event events[64];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    (void)arg;
    CHECK(epoll >= 0);
    for (unsigned i = 0; i < CONNS; i++)
        watch(epoll, i);
    for (unsigned left = CONNS * ROUNDS; left > 0;) {
        int n = epoll_wait(epoll, events, 64, 30000);
        CHECK(n > 0);
        for (int i = 0; i < n && left > 0; i++, left--) {
            unsigned c = events[i].data.u32;
            char byte;
            CHECK_EQ(recv(clients.fd[c], &byte, 1, 0), 1);
            clients.answers[c]++;
            raw_write(clients.fd[c], "x", 1);
        }
    }
    for (unsigned i = 0; i < CONNS; i++)
        close(clients.fd[i]);
    close(epoll);
    return NULL;
}

static void open_all(void)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    for (unsigned i = 0; i < CONNS; i++) {
        clients.fd[i] = raw_connect(&addr);
        gust_waitgroup_add(&serving, 1);
        CHECK_EQ(gust_go(echo, accept_from(l)), 0);
    }
    gust_listener_close(l);
}

static int serve_all(void *arg)
{
    pthread_t thread;
    (void)arg;
    open_all();
    CHECK_EQ(pthread_create(&thread, NULL, ask_all, NULL), 0);
    CHECK_EQ(gust_waitgroup_wait(&serving, SOON), 0);
    pthread_join(thread, NULL);
    for (unsigned i = 0; i < CONNS; i++)
        CHECK(clients.answers[i] >= ROUNDS / 4);
    return 0;
}

/* Between Ps the kernel is who is fair, and chaos has goroutines wait in the global queue. */
static void one_orderly_p(void)
{
    one_p();
    no_chaos();
}

Test(fair, connections_beyond_the_run_queue_get_their_turns, .init = one_orderly_p)
{
    test_run(serve_all, NULL);
}
