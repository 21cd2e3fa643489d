/* Sends that do not fit the socket's buffer: they go on until all is sent, or say
 * how far they came. */
#include <string.h>
#include <sys/uio.h>

#include "tests/core/sockets.h"

#define BIG (4 << 20)

static char pattern(size_t i)
{
    return (char)(i * 131 >> 3);
}

static char *big_make(void)
{
    char *big = malloc(BIG);
    CHECK(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = pattern(i);
    return big;
}

/* Reads all of it in pieces of changing sizes. */
static void big_reader(void *arg)
{
    waiting *w = arg; /* only fd, result and done are used */
    char buf[50000];
    size_t got = 0;
    while (got < BIG) {
        int n = do_recv(w->op.fd, buf, 1 + got % sizeof buf, SOON);
        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            CHECK_EQ(buf[i], pattern(got + (size_t)i));
        got += (size_t)n;
    }
    gust_waitgroup_done(&w->done);
}

static void with_reader(void (*send_all)(gust__fd *f, char *big))
{
    pair p;
    char *big = big_make();
    for (int tcp = 0; tcp < 2; tcp++) {
        (tcp ? tcp_pair_open : pair_open)(&p);
        waiting w = {.op.fd = &p.b};
        gust_waitgroup_add(&w.done, 1);
        CHECK_EQ(gust_go_with(&(gust_go_options){.name = "reader"}, big_reader, &w), 0);
        send_all(&p.a, big);
        CHECK_EQ(gust_waitgroup_wait(&w.done, SOON), 0);
        pair_close(&p);
    }
    free(big);
}

static void send_in_one(gust__fd *f, char *big)
{
    CHECK_EQ(do_send(f, big, BIG, SOON), BIG);
}

static int send_big_main(void *arg)
{
    (void)arg;
    with_reader(send_in_one);
    return 0;
}

Test(netpoll_send, send_goes_on_until_all_is_sent)
{
    test_run(send_big_main, NULL);
}

static void sendmsg_in_one(gust__fd *f, char *big)
{
    enum { PIECES = 37 };
    struct iovec iov[PIECES];
    size_t at = 0;
    for (size_t i = 0; i < PIECES; i++) {
        size_t len = i < PIECES - 1 ? i * 5000 : BIG - at;
        iov[i] = (struct iovec){big + at, len};
        at += len;
    }
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = PIECES};
    gust__op op = {.code = GUST__OP_SENDMSG, .fd = f, .msg = &msg};
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), BIG);
}

static int sendmsg_big_main(void *arg)
{
    (void)arg;
    with_reader(sendmsg_in_one);
    return 0;
}

Test(netpoll_send, sendmsg_goes_on_until_all_is_sent)
{
    test_run(sendmsg_big_main, NULL);
}

static int send_cut_main(void *arg)
{
    pair p;
    char *big = big_make();
    const gust_time deadlines[] = {BRIEFLY, GUST_NOW, 1};
    (void)arg;
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        pair_open(&p);
        int n = do_send(&p.a, big, BIG, deadlines[i]);
        CHECK(n > 0 && n < BIG);
        /* Now that it is full, nothing at all goes. */
        CHECK_EQ(do_send(&p.a, big, BIG, BRIEFLY), -ETIMEDOUT);
        CHECK_EQ(do_send(&p.a, big, BIG, GUST_NOW), -EAGAIN);
        pair_close(&p);
    }
    free(big);
    return 0;
}

Test(netpoll_send, send_cut_short_by_its_deadline_returns_what_was_sent)
{
    test_run(send_cut_main, NULL);
}

static int duplex_main(void *arg)
{
    pair p;
    char *big = big_make();
    (void)arg;
    tcp_pair_open(&p);
    waiting readers[2] = {{.op.fd = &p.a}, {.op.fd = &p.b}};
    waiting writer = {.result = -1};
    for (int i = 0; i < 2; i++) {
        gust_waitgroup_add(&readers[i].done, 1);
        go(big_reader, &readers[i]);
    }
    waiting_start(&writer, op_send(&p.a, big, BIG), SOON);
    CHECK_EQ(do_send(&p.b, big, BIG, SOON), BIG);
    CHECK_EQ(waiting_end(&writer), BIG);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(gust_waitgroup_wait(&readers[i].done, SOON), 0);
    free(big);
    pair_close(&p);
    return 0;
}

Test(netpoll_send, both_directions_of_a_descriptor_wait_at_once)
{
    test_run(duplex_main, NULL);
}

/* home is who started it. */
static int untold_main(void *arg)
{
    pair p;
    char byte = 'x';
    struct iovec iov = {.iov_base = &byte, .iov_len = 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    gust__op op = {.code = GUST__OP_SENDMSG, .msg = &msg};
    const bool is_sqpoll = strcmp(gust_netpoll_name(), "sqpoll") == 0;
    (void)arg;
    pair_open(&p);
    op.fd = &p.a;
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 1);
    CHECK_EQ(op.home != NULL, is_sqpoll);
    byte = 0;
    CHECK_EQ(recv(p.b.fd, &byte, 1, MSG_DONTWAIT), 1);
    CHECK_EQ(byte, 'x');
    pair_close(&p);
    return 0;
}

Test(netpoll_send, a_message_that_fits_is_sent_without_a_ring_unless_that_costs_no_call)
{
    test_run(untold_main, NULL);
}
