/* A P that always has something to do: more connections than its queue holds, none of which is
 * served at the expense of another; and a queue that is full without any connection. */
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

/* --- Without connections -------------------------------------------------------- */

enum { PAIRS = 200 };

static struct {
    gust_chan *there[PAIRS], *back[PAIRS];
    bool over;
} games;

static void serve_ball(void *arg)
{
    const intptr_t i = (intptr_t)arg;
    char ball = 0;
    while (!games.over) {
        CHECK_EQ(gust_chan_send(games.there[i], &ball, SOON), 0);
        CHECK_EQ(gust_chan_recv(games.back[i], &ball, SOON), 1);
    }
    gust_chan_close(games.there[i]);
    gust_waitgroup_done(&serving);
}

static void return_ball(void *arg)
{
    const intptr_t i = (intptr_t)arg;
    char ball;
    while (gust_chan_recv(games.there[i], &ball, SOON) == 1)
        CHECK_EQ(gust_chan_send(games.back[i], &ball, SOON), 0);
    gust_waitgroup_done(&serving);
}

static void play_all(void)
{
    gust_waitgroup_add(&serving, 2 * PAIRS);
    for (intptr_t i = 0; i < PAIRS; i++) {
        CHECK_EQ(gust_chan_new(1, 0, &games.there[i]), 0);
        CHECK_EQ(gust_chan_new(1, 0, &games.back[i]), 0);
        CHECK_EQ(gust_go(serve_ball, (void *)i), 0);
        CHECK_EQ(gust_go(return_ball, (void *)i), 0);
    }
}

static int read_beside(void *arg)
{
    gust_conn *a, *b;
    char byte;
    (void)arg;
    pair_open(&a, &b);
    play_all();
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
        CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    }
    games.over = true;
    CHECK_EQ(gust_waitgroup_wait(&serving, SOON), 0);
    for (int i = 0; i < PAIRS; i++) {
        gust_chan_unref(games.there[i]);
        gust_chan_unref(games.back[i]);
    }
    pair_close(a, b);
    return 0;
}

Test(fair, connections_get_their_turns_beside_a_full_run_queue, .init = one_orderly_p)
{
    test_run(read_beside, NULL);
}
