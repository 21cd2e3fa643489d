/* GUST__OP_ZEROCOPY on the loopback: there the kernel copies in the end, but takes
 * the same way, notifications included.  A poller without it ignores the flag. */
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "tests/core/child.h"
#include "tests/core/sockets.h"

enum { SIZE = 1 << 20 };

#define NEED_ZEROCOPY()                                                \
    do {                                                               \
        cr_assert_eq(gust__netpoll_choose(getenv("GUST_NETPOLL")), 0); \
        if (gust__netpoll_zerocopy_min() == SIZE_MAX)                  \
            cr_skip_test("this poller or kernel copies");              \
    } while (0)

static char pattern(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static char *new_pattern(void)
{
    char *buf = malloc(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        buf[i] = pattern(i);
    return buf;
}

struct reader {
    gust__fd *from;
    size_t expected;
    gust_waitgroup done;
};

static void read_pattern(void *arg)
{
    struct reader *r = arg;
    char *buf = malloc(SIZE);
    for (size_t got = 0; got < r->expected;) {
        int n = do_recv(r->from, buf, SIZE, SOON);
        CHECK(n > 0);
        for (size_t i = 0; i < (size_t)n; i++)
            CHECK_EQ(buf[i], pattern(got + i));
        got += (size_t)n;
    }
    free(buf);
    gust_waitgroup_done(&r->done);
}

static void reader_start(struct reader *r, gust__fd *from)
{
    *r = (struct reader){.from = from, .expected = SIZE};
    gust_waitgroup_add(&r->done, 1);
    go(read_pattern, r);
}

static void reader_end(struct reader *r)
{
    CHECK_EQ(gust_waitgroup_wait(&r->done, SOON), 0);
}

static gust__op op_zerocopy(gust__fd *f, char *buf, size_t len)
{
    gust__op op = op_send(f, buf, len);
    op.flags = GUST__OP_ZEROCOPY;
    return op;
}

/* Sends all of buf, in one piece or in three; returns the op's flags when it is done. */
static int send_pattern(gust__fd *f, char *buf, bool in_pieces)
{
    struct iovec iov[] = {{buf, 1000}, {buf + 1000, 100000}, {buf + 101000, SIZE - 101000}};
    struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 3};
    gust__op op = op_zerocopy(f, buf, SIZE);
    if (in_pieces) {
        op.code = GUST__OP_SENDMSG;
        op.msg = &msg;
    }
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), SIZE);
    CHECK_EQ(op.notes, 0);
    return op.flags;
}

static void exchange(pair *p, bool keeps_flag)
{
    char *buf = new_pattern();
    for (int i = 0; i < 8; i++) {
        struct reader r;
        reader_start(&r, &p->b);
        int flags = send_pattern(&p->a, buf, i % 2);
        CHECK_EQ(flags, keeps_flag ? GUST__OP_ZEROCOPY : 0);
        memset(buf, 'x', SIZE); /* it is ours again */
        reader_end(&r);
        for (size_t j = 0; j < SIZE; j++)
            buf[j] = pattern(j);
    }
    free(buf);
    pair_close(p);
}

static int tcp_main(void *arg)
{
    pair p;
    tcp_pair_open(&p);
    exchange(&p, arg != NULL);
    return 0;
}

static int unix_main(void *arg)
{
    pair p;
    pair_open(&p);
    exchange(&p, arg != NULL);
    return 0;
}

/* --- What the kernel may answer ------------------------------------------------- */

Test(netpoll_zerocopy, the_loopback_copies_and_the_op_says_so)
{
    NEED_ZEROCOPY();
    test_run(tcp_main, NULL);
}

Test(netpoll_zerocopy, a_socket_that_cannot_is_sent_to_by_copy)
{
    NEED_ZEROCOPY();
    test_run(unix_main, NULL);
}

Test(netpoll_zerocopy, a_kernel_that_does_not_know_it_is_asked_for_a_copy)
{
    NEED_ZEROCOPY();
    gust__netpoll_limits_now.zerocopy_garbled = true;
    test_run(tcp_main, NULL);
}

Test(netpoll_zerocopy, a_poller_without_it_leaves_the_flag_alone)
{
    setenv("GUST_NETPOLL", "epoll", 1);
    test_run(tcp_main, &(int){1});
    cr_assert_eq(gust__netpoll_zerocopy_min(), SIZE_MAX);
}

/* Of an ordinary user, who may lock little memory. */
static void without_memory(void)
{
    struct rlimit little = {SIZE / 4, SIZE / 4}; /* the rings need some */
    gust__netpoll_limits_now.sq_entries = 8;
    gust__netpoll_limits_now.cq_entries = 64;
    setenv("GUST_MAXPROCS", "1", 1);
    CHECK_EQ(setrlimit(RLIMIT_MEMLOCK, &little), 0);
    CHECK(geteuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    CHECK_EQ(gust_run(tcp_main, NULL), 0);
}

Test(netpoll_zerocopy, no_memory_to_lock_means_a_copy)
{
    NEED_ZEROCOPY();
    child_assert_ends(without_memory, 0);
}

Test(netpoll_zerocopy, old_kernels_are_not_asked)
{
    NEED_ZEROCOPY();
    gust__netpoll_limits_now.missing_features = 1U << 14; /* RECVSEND_BUNDLE: before 6.10 */
    cr_assert_eq(gust__netpoll_choose(getenv("GUST_NETPOLL")), 0);
    cr_assert_eq(gust__netpoll_zerocopy_min(), SIZE_MAX);
}

/* --- Cancelling ------------------------------------------------------------------ */

/* All that could be sent was, and acknowledged; the rest waits for the peer to read. */
static bool is_stuck(int fd)
{
    int queued = 0, unsent = 0;
    CHECK_EQ(ioctl(fd, SIOCOUTQ, &queued), 0);
    CHECK_EQ(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
    return queued > 0 && queued == unsent;
}

static bool is_over(gust__op *op)
{
    GUST__CALL();
    gust__lock_take(&op->home->lock, RANK_POLLER);
    bool over = op->over && op->notes > 0;
    gust__lock_drop(&op->home->lock);
    return over;
}

/* The peer's window is small; `room`: but all that is sent fits into our buffer. */
static void stuck_pair_open(pair *p, int room)
{
    const int small = 16384;
    struct sockaddr_in addr;
    int listener = tcp_listen(&addr);
    CHECK_EQ(setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    int fds[2] = {tcp_connect(&addr), -1};
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(listener);
    CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof room), 0);
    pair_init(p, fds);
}

/* What has come, then the reset. */
static void expect_reset(gust__fd *f)
{
    static char buf[SIZE];
    int n;
    while ((n = do_recv(f, buf, SIZE, SOON)) > 0)
        continue;
    CHECK_EQ(n, -ECONNRESET);
}

/* In the middle: part of it is in the kernel, the rest is not. */
static int cancel_stuck_main(void *arg)
{
    char *buf = new_pattern();
    (void)arg;
    for (int i = 0; i < 10; i++) {
        pair p;
        waiting w = {.result = 1};
        stuck_pair_open(&p, 65536);
        waiting_start(&w, op_zerocopy(&p.a, buf, SIZE), SOON);
        AWAIT(is_stuck(p.a.fd));
        gust__op_cancel(&w.op);
        CHECK_EQ(waiting_end(&w), -ECANCELED);
        CHECK_EQ(w.op.notes, 0);
        expect_reset(&p.b);
        CHECK(do_send(&p.a, "x", 1, SOON) < 0);
        pair_close(&p);
    }
    free(buf);
    return 0;
}

Test(netpoll_zerocopy, a_cancelled_send_resets_the_connection_and_frees_the_memory)
{
    NEED_ZEROCOPY();
    test_run(cancel_stuck_main, NULL);
}

enum { ROOM = 200000, FITS = 192 << 10 };

static void unacknowledged_open(pair *p, waiting *w, char *buf)
{
    stuck_pair_open(p, ROOM);
    *w = (waiting){.result = 1};
    waiting_start(w, op_zerocopy(&p->a, buf, FITS), SOON);
    AWAIT(is_over(&w->op));
}

static int unacknowledged_main(void *arg)
{
    char *buf = new_pattern();
    waiting w;
    pair p;
    (void)arg;
    /* It waits for the peer, */
    unacknowledged_open(&p, &w, buf);
    struct reader r = {.from = &p.b, .expected = FITS};
    gust_waitgroup_add(&r.done, 1);
    go(read_pattern, &r);
    CHECK_EQ(waiting_end(&w), FITS);
    reader_end(&r);
    pair_close(&p);
    /* but not for ever. */
    unacknowledged_open(&p, &w, buf);
    gust__op_cancel(&w.op);
    gust__op_cancel(&w.op);
    CHECK_EQ(waiting_end(&w), -ECANCELED);
    expect_reset(&p.b);
    pair_close(&p);
    /* Nor beyond its deadline. */
    stuck_pair_open(&p, ROOM);
    gust__op op = op_zerocopy(&p.a, buf, FITS);
    CHECK_EQ(gust__op_wait(&op, NULL, BRIEFLY), -ETIMEDOUT);
    pair_close(&p);
    free(buf);
    return 0;
}

Test(netpoll_zerocopy, a_send_is_done_when_the_peer_has_it)
{
    NEED_ZEROCOPY();
    test_run(unacknowledged_main, NULL);
}

/* Nothing was sent, so nothing is lost: the connection goes on. */
static int cancel_early_main(void *arg)
{
    static char filler[SIZE];
    char *buf = new_pattern();
    pair p;
    (void)arg;
    stuck_pair_open(&p, 65536);
    size_t filled = 0;
    /* Stuck before the send that fails: from then on the peer has to read first. */
    for (bool full = false; !full;) {
        bool stuck = is_stuck(p.a.fd);
        ssize_t n = send(p.a.fd, filler, SIZE, MSG_DONTWAIT | MSG_NOSIGNAL);
        filled += n > 0 ? (size_t)n : 0;
        full = stuck && n < 0;
    }
    waiting w = {.result = 1};
    waiting_start(&w, op_zerocopy(&p.a, buf, SIZE), SOON);
    gust__op_cancel(&w.op);
    CHECK_EQ(waiting_end(&w), -ECANCELED);
    while (filled > 0) {
        int n = do_recv(&p.b, filler, filled < SIZE ? filled : SIZE, SOON);
        CHECK(n > 0);
        filled -= (size_t)n;
    }
    put_byte(&p.a, 'x');
    expect_byte(&p.b, 'x');
    pair_close(&p);
    free(buf);
    return 0;
}

Test(netpoll_zerocopy, a_cancelled_send_that_sent_nothing_leaves_the_connection)
{
    NEED_ZEROCOPY();
    test_run(cancel_early_main, NULL);
}

/* Refused by this kind of socket, when the cancellation is on its way already. */
static int cancel_refused_main(void *arg)
{
    char *buf = new_pattern();
    pair p;
    (void)arg;
    pair_open(&p);
    gust__op op = op_zerocopy(&p.a, buf, SIZE);
    op.flags |= GUST__OP_TRY;
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), -ECANCELED);
    CHECK(!(op.flags & GUST__OP_ZEROCOPY));
    put_byte(&p.a, 'x');
    expect_byte(&p.b, 'x');
    pair_close(&p);
    free(buf);
    return 0;
}

Test(netpoll_zerocopy, a_refusal_is_no_result_of_a_cancelled_send)
{
    NEED_ZEROCOPY();
    test_run(cancel_refused_main, NULL);
}

/* --- The end --------------------------------------------------------------------- */

static struct {
    pair pair;
    waiting w;
    char *buf;
} left;

static int leave_main(void *arg)
{
    (void)arg;
    stuck_pair_open(&left.pair, 65536);
    left.w = (waiting){.result = 1};
    waiting_start(&left.w, op_zerocopy(&left.pair.a, left.buf, SIZE), SOON);
    AWAIT(is_stuck(left.pair.a.fd));
    return 0;
}

Test(netpoll_zerocopy, the_end_of_the_runtime_does_not_wait_for_the_peer)
{
    NEED_ZEROCOPY();
    left.buf = new_pattern();
    test_run(leave_main, NULL);
    close(left.pair.a.fd);
    close(left.pair.b.fd);
    free(left.buf);
}

static int leave_unacknowledged_main(void *arg)
{
    (void)arg;
    unacknowledged_open(&left.pair, &left.w, left.buf);
    return 0;
}

/* What it had in its hands it no longer sends, whatever the memory is used for now. */
Test(netpoll_zerocopy, after_the_end_of_the_runtime_the_kernel_has_no_memory)
{
    static char bytes[SIZE];
    const struct timeval soon = {.tv_sec = 30};
    ssize_t n;
    NEED_ZEROCOPY();
    left.buf = new_pattern();
    test_run(leave_unacknowledged_main, NULL);
    free(left.buf);
    const int peer = left.pair.b.fd;
    cr_assert_eq(setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon), 0);
    size_t got = 0;
    while ((n = recv(peer, bytes, sizeof bytes, 0)) > 0)
        got += (size_t)n;
    cr_assert(n < 0 && errno == ECONNRESET);
    cr_assert_lt(got, FITS);
    close(left.pair.a.fd);
    close(peer);
}
