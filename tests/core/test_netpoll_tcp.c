/* Operations on TCP sockets: accept, connect, reset, and what happens to
 * descriptors whose numbers are used again. */
#include <poll.h>

#include "core/sched.h"
#include "tests/core/sockets.h"

/* --- Connecting -------------------------------------------------------------- */

static int do_connect(gust__fd *f, const struct sockaddr_in *addr, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_CONNECT,
                   .fd = f,
                   .addr = (const struct sockaddr *)addr,
                   .addr_len = sizeof *addr};
    return gust__op_wait(&op, NULL, deadline);
}

static int do_accept(gust__fd *f, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_ACCEPT, .fd = f};
    return gust__op_wait(&op, NULL, deadline);
}

static int connect_main(void *arg)
{
    struct sockaddr_in addr;
    gust__fd listener;
    (void)arg;
    CHECK_EQ(gust__fd_init(&listener, tcp_listen(&addr)), 0);
    for (int i = 0; i < 50; i++) {
        pair p;
        CHECK_EQ(gust__fd_init(&p.a, tcp_socket()), 0);
        CHECK_EQ(do_connect(&p.a, &addr, SOON), 0);
        int fd = do_accept(&listener, i % 2 ? SOON : GUST_NOW);
        CHECK(fd >= 0);
        CHECK_EQ(gust__fd_init(&p.b, fd), 0);
        CHECK_EQ(do_send(&p.a, "x", 1, SOON), 1);
        expect_byte(&p.b, 'x');
        pair_close(&p);
    }
    CHECK_EQ(do_accept(&listener, GUST_NOW), -EAGAIN);
    CHECK_EQ(do_accept(&listener, BRIEFLY), -ETIMEDOUT);
    gust__fd_close(&listener);
    return 0;
}

Test(netpoll_tcp, connect_and_accept_meet)
{
    test_run(connect_main, NULL);
}

static int refused_main(void *arg)
{
    struct sockaddr_in addr;
    gust__fd f;
    (void)arg;
    close(tcp_listen(&addr)); /* so that nobody listens there */
    CHECK_EQ(gust__fd_init(&f, tcp_socket()), 0);
    CHECK_EQ(do_connect(&f, &addr, SOON), -ECONNREFUSED);
    gust__fd_close(&f);
    return 0;
}

Test(netpoll_tcp, connect_reports_a_refusal)
{
    test_run(refused_main, NULL);
}

/* A listener whose queue is full leaves further connections unanswered. */
static int connect_timeout_main(void *arg)
{
    struct sockaddr_in addr = tcp_loopback();
    socklen_t len = sizeof addr;
    gust__fd clients[16];
    int timeouts = 0, listener = tcp_socket();
    (void)arg;
    CHECK_EQ(bind(listener, (struct sockaddr *)&addr, len), 0);
    CHECK_EQ(listen(listener, 0), 0);
    CHECK_EQ(getsockname(listener, (struct sockaddr *)&addr, &len), 0);
    for (int i = 0; i < 16; i++) {
        CHECK_EQ(gust__fd_init(&clients[i], tcp_socket()), 0);
        int error = do_connect(&clients[i], &addr, BRIEFLY);
        CHECK(error == 0 || error == -ETIMEDOUT);
        timeouts += error != 0;
    }
    CHECK(timeouts > 0);
    for (int i = 0; i < 16; i++)
        gust__fd_close(&clients[i]);
    close(listener);
    return 0;
}

Test(netpoll_tcp, connect_gives_up_at_its_deadline)
{
    test_run(connect_timeout_main, NULL);
}

/* --- Accepting many ---------------------------------------------------------- */

struct acceptor {
    gust__op op;
    gust__fd listener;
    gust__lock lock; /* RANK_CONN: op and stopping */
    bool stopping;
    _Atomic int accepted;
    _Atomic bool handing; /* a result is being handed out: the next one has to wait */
    _Atomic bool done;
};

static void on_accepted(gust__op *op, int res)
{
    struct acceptor *a = (struct acceptor *)op;
    CHECK(!gust__g());
    CHECK(res >= 0);
    CHECK(!a->done);
    CHECK(!atomic_exchange(&a->handing, true));
    close(res);
    gust__poller_poll(gust__poller_current()); /* what others may do meanwhile */
    a->accepted++;
    atomic_store(&a->handing, false);
}

static void on_accept_done(gust__op *op);

static void acceptor_arm(struct acceptor *a)
{
    a->op = (gust__op){.code = GUST__OP_ACCEPT,
                       .flags = GUST__OP_MULTISHOT,
                       .fd = &a->listener,
                       .more = on_accepted,
                       .done = on_accept_done};
    gust__op_start(&a->op);
}

/* The kernel ends a multishot when its queue overflows: once more, then. */
static void on_accept_done(gust__op *op)
{
    struct acceptor *a = (struct acceptor *)op;
    gust__lock_take(&a->lock, RANK_CONN);
    CHECK(op->res == 0 || (op->res == -ECANCELED && a->stopping));
    bool again = op->res == 0 && !a->stopping;
    if (again)
        acceptor_arm(a);
    gust__lock_drop(&a->lock);
    a->done = !again;
}

static void acceptor_start(struct acceptor *a)
{
    a->done = a->stopping = false;
    acceptor_arm(a);
}

static void acceptor_stop(struct acceptor *a)
{
    GUST__CALL();
    gust__lock_take(&a->lock, RANK_CONN);
    a->stopping = true;
    gust__op_cancel(&a->op);
    gust__lock_drop(&a->lock);
    AWAIT(a->done);
}

static int multishot_main(void *arg)
{
    struct sockaddr_in addr;
    struct acceptor a = {.accepted = 0};
    int clients[200];
    (void)arg;
    CHECK_EQ(gust__fd_init(&a.listener, tcp_listen(&addr)), 0);
    /* Some wait before the start, some come after it, and so again. */
    for (int round = 0; round < 10; round++) {
        int from = round * 20;
        for (int i = from; i < from + 10; i++)
            clients[i] = tcp_connect(&addr);
        acceptor_start(&a);
        for (int i = from + 10; i < from + 20; i++)
            clients[i] = tcp_connect(&addr);
        AWAIT(a.accepted == from + 20);
        acceptor_stop(&a);
    }
    for (int i = 0; i < 200; i++)
        close(clients[i]);
    gust__fd_close(&a.listener);
    return 0;
}

Test(netpoll_tcp, multishot_accept_hands_out_every_socket_until_it_is_cancelled)
{
    test_run(multishot_main, NULL);
}

/* More sockets wait than one turn hands out. */
static int burst_main(void *arg)
{
    struct sockaddr_in addr;
    struct acceptor a = {.accepted = 0};
    int clients[200];
    (void)arg;
    CHECK_EQ(gust__fd_init(&a.listener, tcp_listen(&addr)), 0);
    for (int i = 0; i < 200; i++)
        clients[i] = tcp_connect(&addr);
    acceptor_start(&a);
    AWAIT(a.accepted == 200);
    acceptor_stop(&a);
    for (int i = 0; i < 200; i++)
        close(clients[i]);
    gust__fd_close(&a.listener);
    return 0;
}

Test(netpoll_tcp, multishot_accept_takes_a_burst)
{
    test_run(burst_main, NULL);
}

/* --- Reset ------------------------------------------------------------------- */

static void reset(gust__fd *f)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    CHECK_EQ(setsockopt(f->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    gust__fd_close(f);
}

static int reset_main(void *arg)
{
    char byte;
    (void)arg;
    for (int i = 0; i < 20; i++) {
        pair p;
        waiting w = {.result = 0};
        tcp_pair_open(&p);
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        reset(&p.b);
        CHECK_EQ(waiting_end(&w), -ECONNRESET);
        CHECK_EQ(do_send(&p.a, "x", 1, SOON), -EPIPE); /* and no SIGPIPE */
        gust__fd_close(&p.a);
    }
    return 0;
}

Test(netpoll_tcp, recv_reports_a_reset_and_send_raises_no_signal)
{
    test_run(reset_main, NULL);
}

/* --- Descriptor numbers ------------------------------------------------------ */

/* Each round closes descriptors that have just become ready, and opens others
 * that get the same numbers: what was reported for the old must not reach them. */
static int reuse_main(void *arg)
{
    char byte;
    (void)arg;
    for (int i = 0; i < 500; i++) {
        pair p;
        waiting w = {.result = -1};
        tcp_pair_open(&p);
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        put_byte(&p.b, 'x');
        CHECK_EQ(waiting_end(&w), 1);
        put_byte(&p.b, 'y');
        shutdown(p.b.fd, SHUT_WR);
        pair_close(&p);
        tcp_pair_open(&p);
        waiting_start(&w, op_recv(&p.a, &byte, 1), SOON);
        if (i % 10 == 0)
            gust_sleep_until(gust_after(GUST_MS)); /* time for an event that must not come */
        CHECK_EQ(gust__op_state_now(&w.op), GUST__OP_INFLIGHT);
        put_byte(&p.b, 'z');
        CHECK_EQ(waiting_end(&w), 1);
        CHECK_EQ(byte, 'z');
        pair_close(&p);
    }
    return 0;
}

Test(netpoll_tcp, events_of_a_closed_descriptor_reach_nobody)
{
    test_run(reuse_main, NULL);
}

/* --- Many at once ------------------------------------------------------------ */

enum { PAIRS = 64, ROUNDS = 50 };

struct pinger {
    pair p;
    gust_waitgroup *group;
};

static void echo(void *arg)
{
    struct pinger *s = arg;
    char byte;
    while (do_recv(&s->p.b, &byte, 1, SOON) == 1)
        CHECK_EQ(do_send(&s->p.b, &byte, 1, SOON), 1);
    gust_waitgroup_done(s->group);
}

static void ping(void *arg)
{
    struct pinger *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        char byte = (char)i;
        CHECK_EQ(do_send(&s->p.a, &byte, 1, SOON), 1);
        if (i % 4 == 0) {
            gust__op op = op_recv_picked(&s->p.a);
            int n = gust__op_wait(&op, NULL, SOON);
            CHECK(n == 1 || n == -ENOBUFS);
            if (n == 1) {
                CHECK_EQ(op.picked->data[0], byte);
                gust__buf_put(op.picked);
                continue;
            }
        }
        expect_byte(&s->p.a, byte);
    }
    shutdown(s->p.a.fd, SHUT_WR);
    gust_waitgroup_done(s->group);
}

static int many_main(void *arg)
{
    static struct pinger all[PAIRS];
    gust_waitgroup group = {0};
    (void)arg;
    gust_waitgroup_add(&group, 2 * PAIRS);
    for (int i = 0; i < PAIRS; i++) {
        all[i].group = &group;
        (i % 2 ? tcp_pair_open : pair_open)(&all[i].p);
        go(echo, &all[i]);
        go(ping, &all[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&group, SOON), 0);
    for (int i = 0; i < PAIRS; i++)
        pair_close(&all[i].p);
    return 0;
}

Test(netpoll_tcp, many_connections_talk_at_once)
{
    test_run(many_main, NULL);
}

/* Queues that are always full: the submission queue with its 4 entries, and the
 * completion queue with its 8, which overflows all the time. */
Test(netpoll_tcp, full_queues_lose_nothing)
{
    gust__netpoll_limits_now =
        (gust__netpoll_limits){.sq_entries = 4, .cq_entries = 8, .buf_count = 2};
    test_run(many_main, NULL);
}

Test(netpoll_tcp, a_burst_of_sockets_survives_full_queues)
{
    gust__netpoll_limits_now =
        (gust__netpoll_limits){.sq_entries = 4, .cq_entries = 8, .buf_count = 2};
    test_run(multishot_main, NULL);
}
