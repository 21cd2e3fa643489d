/* Listening: who gets a connection, options, and shortages. */
#include <sys/resource.h>

#include "tests/net/net_test.h"

#define CLIENTS_MAX 700

static void clients_open(int *fds, int count, const gust_addr *addr)
{
    for (int i = 0; i < count; i++)
        fds[i] = raw_connect(addr);
}

static void clients_close(int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void allow_many_fds(void)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* --- Accepting ------------------------------------------------------------- */

NetTest(listener, accept_gives_up_at_its_deadline)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    CHECK_EQ(gust_listener_accept(l, gust_after(5 * GUST_MS), &c), -ETIMEDOUT);
    CHECK(c == NULL);
    gust_conn *client = dial_to(&addr);
    int error;
    AWAIT_SOON((error = gust_listener_accept(l, GUST_NOW, &c)) != -EAGAIN);
    CHECK_EQ(error, 0);
    pair_close(client, c);
    gust_listener_close(l);
}

struct acceptor {
    gust_listener *listener;
    gust_chan *order;
    int number;
    int error;
};

static void accept_one(void *arg)
{
    struct acceptor *a = arg;
    gust_conn *c = NULL;
    a->error = gust_listener_accept(a->listener, SOON, &c);
    gust_conn_close(c, SOON);
    gust_listener_unref(a->listener);
    send_int(a->order, a->number);
}

/* The yields let the acceptors block, as a rule; the outcome is the same if one
 * comes late. */
static void acceptors_start(struct acceptor *as, int count, gust_listener *l, gust_chan *order)
{
    for (int i = 0; i < count; i++) {
        as[i] = (struct acceptor){gust_listener_ref(l), order, i, 0};
        go(accept_one, &as[i]);
        for (int k = 0; k < 200; k++)
            gust_yield();
    }
}

NetTest(listener, every_waiting_acceptor_gets_one)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_chan *order = chan_make(sizeof(int), 4);
    struct acceptor as[4];
    int fds[4], seen = 0;
    acceptors_start(as, 4, l, order);
    clients_open(fds, 4, &addr);
    for (int i = 0; i < 4; i++)
        seen |= 1 << recv_int(order);
    CHECK_EQ(seen, 15);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(as[i].error, 0);
    clients_close(fds, 4);
    gust_chan_unref(order);
    gust_listener_close(l);
}

NetTest(listener, close_wakes_acceptors)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_chan *order = chan_make(sizeof(int), 4);
    struct acceptor as[4];
    gust_conn *c = NULL;
    acceptors_start(as, 4, l, order);
    gust_listener_ref(l);
    gust_listener_close(l);
    for (int i = 0; i < 4; i++)
        (void)recv_int(order);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(as[i].error, -EBADF);
    CHECK_EQ(gust_listener_accept(l, SOON, &c), -EBADF);
    gust_listener_close(l); /* once more, by another owner */
    gust_chan_unref(order);
}

NetTest(listener, close_frees_the_port_at_once)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
        gust_listener_close(l);
        CHECK_EQ(gust_tcp_listen(&addr, NULL, &l), 0);
    }
    gust_listener_unref(l);
}

NetTest(listener, connections_nobody_took_are_closed_with_it)
{
    int fds[8];
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN); /* it accepts from now on */
    size_t before = fd_count();
    clients_open(fds, 8, &addr);
    AWAIT_SOON(fd_count() == before + 16);
    gust_listener_close(l);
    for (int i = 0; i < 8; i++) {
        char byte;
        AWAIT_SOON(recv(fds[i], &byte, 1, 0) == 0 || errno == ECONNRESET);
    }
    clients_close(fds, 8);
}

/* More than the queue takes before it pauses. */
NetTest(listener, burst_is_accepted_completely)
{
    static int fds[CLIENTS_MAX];
    gust_addr addr;
    gust_conn *c = NULL;
    allow_many_fds();
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    size_t before = fd_count();
    clients_open(fds, CLIENTS_MAX, &addr);
    AWAIT_SOON(fd_count() >= before + CLIENTS_MAX + 256);
    for (int i = 0; i < CLIENTS_MAX; i++)
        CHECK_EQ(gust_conn_close(accept_from(l), SOON), 0);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    clients_close(fds, CLIENTS_MAX);
    gust_listener_close(l);
}

/* --- Shortage --------------------------------------------------------------- */

static _Atomic int complaints;

static void count_complaints(const char *line)
{
    if (strncmp(line, "accept on ", 10) == 0)
        atomic_fetch_add(&complaints, 1);
}

/* A limit that leaves no descriptor free.  What sysmon has open for a moment
 * (fd_is_sysmons) does not count as taken: dups fill that, too. */
struct shortage {
    struct rlimit before;
    int dups[16];
    size_t count;
};

static void dup_all(struct shortage *s)
{
    int fd;
    while ((fd = dup(0)) >= 0) {
        CHECK(s->count < sizeof s->dups / sizeof *s->dups);
        s->dups[s->count++] = fd;
    }
    CHECK_EQ(errno, EMFILE);
}

static bool all_are_ours(rlim_t limit)
{
    for (rlim_t fd = 0; fd < limit; fd++) {
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", (int)fd);
        if (fd_is_sysmons(AT_FDCWD, path))
            return false;
    }
    return true;
}

static void forbid_new_fds(struct shortage *s)
{
    struct rlimit limit;
    s->dups[0] = dup(0);
    s->count = 1;
    CHECK(s->dups[0] >= 0);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &s->before), 0);
    limit = s->before;
    limit.rlim_cur = (rlim_t)s->dups[0] + 1;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    do
        dup_all(s);
    while (!all_are_ours(limit.rlim_cur));
}

static void allow_new_fds(struct shortage *s)
{
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &s->before), 0);
    while (s->count > 0)
        close(s->dups[--s->count]);
}

static void backs_off_body(void)
{
    struct shortage shortage;
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    forbid_new_fds(&shortage);
    CHECK_EQ(connect(fd, &addr.any, addr.len), 0);
    CHECK_EQ(gust_listener_accept(l, gust_after(50 * GUST_MS), &c), -ETIMEDOUT);
    CHECK_EQ(atomic_load(&complaints), 1);
    allow_new_fds(&shortage);
    gust_conn_unref(accept_from(l));
    CHECK_EQ(atomic_load(&complaints), 1);
    close(fd);
    gust_listener_close(l);
}

static int backs_off_main(void *arg)
{
    (void)arg;
    backs_off_body();
    return 0;
}

Test(listener, lack_of_descriptors_delays_but_loses_nothing)
{
    gust_set_log(count_complaints);
    test_run(backs_off_main, NULL);
}

NetTest(listener, closes_while_backing_off)
{
    struct shortage shortage;
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    forbid_new_fds(&shortage);
    CHECK_EQ(connect(fd, &addr.any, addr.len), 0);
    CHECK_EQ(gust_listener_accept(l, gust_after(7 * GUST_MS), &c), -ETIMEDOUT);
    gust_listener_close(l);
    allow_new_fds(&shortage);
    close(fd);
}

/* --- Addresses and options -------------------------------------------------- */

NetTest(listener, taken_port_is_reported)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr), *second = NULL;
    CHECK(gust_addr_port(&addr) != 0);
    CHECK_EQ(gust_tcp_listen(&addr, NULL, &second), -EADDRINUSE);
    gust_addr foreign = addr_of("192.0.2.1:0");
    CHECK_EQ(gust_tcp_listen(&foreign, NULL, &second), -EADDRNOTAVAIL);
    CHECK(second == NULL);
    gust_listener_close(l);
}

NetTest(listener, reuse_port_shares_a_port)
{
    gust_listen_options options = {.reuse_port = true, .backlog = 16};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *a, *b;
    gust_conn *c = NULL;
    int error;
    CHECK_EQ(gust_tcp_listen(&addr, &options, &a), 0);
    gust_listener_addr(a, &addr);
    CHECK_EQ(gust_tcp_listen(&addr, &options, &b), 0);
    /* The kernel chooses by a hash: some client comes to the second one. */
    bool came = false;
    for (int i = 0; i < 200 && !came; i++) {
        int fd = raw_connect(&addr);
        AWAIT_SOON((error = gust_listener_accept(a, GUST_NOW, &c)) == 0 ||
                   (came = gust_listener_accept(b, GUST_NOW, &c) == 0));
        gust_conn_unref(c);
        close(fd);
    }
    CHECK(came);
    gust_listener_close(a);
    gust_listener_close(b);
}

static bool have_ipv6(void)
{
    gust_addr addr = addr_of("[::1]:0");
    gust_listener *l;
    if (gust_tcp_listen(&addr, NULL, &l) < 0)
        return false;
    gust_listener_close(l);
    return true;
}

NetTest(listener, ipv6_works_where_there_is_any)
{
    gust_addr addr;
    if (!have_ipv6())
        return;
    gust_listener *l = listen_on("[::1]:0", &addr);
    gust_conn *a = dial_to(&addr);
    pair_close(a, accept_from(l));
    gust_listener_close(l);
}

static gust_addr v4_loopback(const gust_addr *addr)
{
    gust_addr v4 = addr_of("127.0.0.1:0");
    v4.v4.sin_port = htons(gust_addr_port(addr));
    return v4;
}

NetTest(listener, wildcard_takes_ipv4)
{
    gust_addr addr;
    gust_listener *l = listen_on(":0", &addr);
    gust_addr v4 = v4_loopback(&addr);
    gust_conn *a = dial_to(&v4);
    pair_close(a, accept_from(l));
    gust_listener_close(l);
}

NetTest(listener, v6only_does_not_take_ipv4)
{
    gust_listen_options options = {.v6only = true};
    gust_addr addr = addr_of(":0");
    gust_listener *l;
    gust_conn *c = NULL;
    if (!have_ipv6())
        return;
    CHECK_EQ(gust_tcp_listen(&addr, &options, &l), 0);
    gust_listener_addr(l, &addr);
    gust_addr v4 = v4_loopback(&addr);
    CHECK_EQ(gust_tcp_dial(&v4, SOON, &c), -ECONNREFUSED);
    gust_listener_close(l);
}

/* --- Many ------------------------------------------------------------------- */

static void echo(void *arg)
{
    char buf[512];
    ssize_t n;
    while ((n = gust_conn_read(arg, buf, sizeof buf, SOON)) > 0)
        CHECK_EQ(gust_conn_write(arg, buf, (size_t)n, SOON), n);
    CHECK_EQ(gust_conn_close(arg, SOON), 0);
}

static void accept_all(void *arg)
{
    gust_conn *c;
    int error;
    while ((error = gust_listener_accept(arg, SOON, &c)) == 0)
        go(echo, c);
    CHECK_EQ(error, -EBADF);
    gust_listener_unref(arg);
}

struct crowd {
    gust_addr addr;
    gust_waitgroup done;
};

static void converse(void *arg)
{
    struct crowd *crowd = arg;
    gust_conn *c = dial_to(&crowd->addr);
    char out[100], in[100];
    for (int round = 0; round < 20; round++) {
        stream_fill(out, sizeof out, (uint64_t)round);
        CHECK_EQ(gust_conn_write(c, out, sizeof out, SOON), sizeof out);
        for (size_t got = 0; got < sizeof in;) {
            ssize_t n = gust_conn_read(c, in + got, sizeof in - got, SOON);
            CHECK(n > 0);
            got += (size_t)n;
        }
        CHECK(memcmp(in, out, sizeof in) == 0);
    }
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    gust_waitgroup_done(&crowd->done);
}

NetTest(listener, echoes_for_250_connections_at_once)
{
    struct crowd crowd = {.done = GUST_WAITGROUP_INIT};
    allow_many_fds();
    gust_listener *l = listen_on("127.0.0.1:0", &crowd.addr);
    go(accept_all, gust_listener_ref(l));
    gust_waitgroup_add(&crowd.done, 250);
    for (int i = 0; i < 250; i++)
        go(converse, &crowd);
    CHECK_EQ(gust_waitgroup_wait(&crowd.done, SOON), 0);
    gust_listener_close(l);
    AWAIT_SOON(gust_num_goroutines() == 1);
}
