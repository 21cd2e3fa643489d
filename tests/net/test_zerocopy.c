/* Large writes without a copy: who gets them, and what becomes of the connection.
 * Over the loopback by force; over a veth pair between two network namespaces, where
 * the kernel allows them, as between machines. */
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/wait.h>

#include "core/netpoll_backend.h"
#include "tests/core/child.h"
#include "tests/net/net_test.h"

enum { LARGE = 8 << 20 };

/* A test with every peer taken for one elsewhere. */
#define ForcedTest(name)                             \
    static void name##_body(void);                   \
    static int name##_main(void *arg)                \
    {                                                \
        size_t fds = fd_count();                     \
        (void)arg;                                   \
        if (gust__netpoll_zerocopy_min() < SIZE_MAX) \
            name##_body();                           \
        AWAIT_SOON(fd_count() == fds);               \
        return 0;                                    \
    }                                                \
    Test(zerocopy, name)                             \
    {                                                \
        gust__zerocopy_everywhere = true;            \
        test_run(name##_main, NULL);                 \
    }                                                \
    static void name##_body(void)

static char *new_stream(size_t len)
{
    char *buf = malloc(len);
    stream_fill(buf, len, 0);
    return buf;
}

static void read_stream(gust_conn *c, size_t len)
{
    static char piece[65536];
    for (size_t got = 0; got < len;) {
        ssize_t n = gust_conn_read(c, piece, sizeof piece, SOON);
        CHECK(n > 0);
        stream_check(piece, (size_t)n, got);
        got += (size_t)n;
    }
}

static void write_and_read(gust_conn *a, gust_conn *b, char *buf, size_t len)
{
    struct writer w = {.conn = a, .buf = buf, .len = len};
    go(write_all, &w);
    read_stream(b, len);
    AWAIT_SOON(atomic_load(&w.finished));
}

/* --- Who gets it ---------------------------------------------------------------- */

NetTest(zerocopy, a_peer_on_this_machine_gets_a_copy)
{
    static const char *addrs[] = {"127.0.0.1:0", "127.1.2.3:0", "[::1]:0"};
    bool known = gust__netpoll_zerocopy_min() < SIZE_MAX;
    char *buf = new_stream(LARGE);
    for (size_t i = 0; i < sizeof addrs / sizeof *addrs; i++) {
        gust_addr addr;
        gust_listener *l = listen_on(addrs[i], &addr);
        gust_conn *a = dial_to(&addr), *b = accept_from(l);
        gust_listener_close(l);
        write_and_read(a, b, buf, LARGE);
        write_and_read(b, a, buf, LARGE);
        CHECK_EQ(a->zerocopy, known ? ZEROCOPY_NO : ZEROCOPY_UNKNOWN);
        CHECK_EQ(b->zerocopy, known ? ZEROCOPY_NO : ZEROCOPY_UNKNOWN);
        pair_close(a, b);
    }
    free(buf);
}

ForcedTest(small_writes_are_copied)
{
    gust_conn *a, *b;
    char *buf = new_stream(LARGE);
    pair_open(&a, &b);
    write_and_read(a, b, buf, 4096); /* fits into a block */
    CHECK_EQ(a->zerocopy, ZEROCOPY_UNKNOWN);
    write_and_read(a, b, buf, gust__netpoll_zerocopy_min() - 1);
    CHECK_EQ(a->zerocopy, ZEROCOPY_UNKNOWN); /* nobody has asked who the peer is */
    write_and_read(a, b, buf, gust__netpoll_zerocopy_min());
    CHECK_EQ(a->zerocopy, ZEROCOPY_NO);
    free(buf);
    pair_close(a, b);
}

/* The wait for the acknowledgement would be long beside it. */
NetTest(zerocopy, a_write_of_few_round_trips_is_copied)
{
    struct tcp_info info;
    socklen_t info_len = sizeof info;
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(getsockopt(a->fd.fd, IPPROTO_TCP, TCP_INFO, &info, &info_len), 0);
    size_t many = (size_t)8 * info.tcpi_snd_cwnd * info.tcpi_snd_mss;
    CHECK(many > GUST__ZEROCOPY_MIN);
    bool known = gust__netpoll_zerocopy_min() < SIZE_MAX;
    CHECK_EQ(gust__conn_zerocopy_flag(a, many), 0);
    a->zerocopy = ZEROCOPY_YES;
    CHECK_EQ(gust__conn_zerocopy_flag(a, many - 8), 0);
    CHECK_EQ(gust__conn_zerocopy_flag(a, many), known ? GUST__OP_ZEROCOPY : 0);
    a->zerocopy = ZEROCOPY_NO;
    CHECK_EQ(gust__conn_zerocopy_flag(a, many), 0);
    pair_close(a, b);
}

/* The first operation says that the kernel copies; the rest of the same write, and
 * the next, are copied at once. */
ForcedTest(a_connection_without_use_for_it_stops)
{
    gust_conn *a, *b;
    char *buf = new_stream(LARGE);
    pair_open(&a, &b);
    for (int i = 0; i < 3; i++) {
        write_and_read(a, b, buf, LARGE);
        CHECK_EQ(a->zerocopy, ZEROCOPY_NO);
        memset(buf, 'x', LARGE);
        stream_fill(buf, LARGE, 0);
    }
    free(buf);
    pair_close(a, b);
}

/* --- A peer that does not read ---------------------------------------------------- */

/* What came before it, then the reset. */
static void expect_raw_reset(int fd)
{
    static char buf[65536];
    ssize_t n = 0;
    for (gust_time end = SOON; n >= 0 || errno == EAGAIN;) {
        CHECK(gust_now() < end);
        n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
        CHECK(n != 0);
        if (n < 0 && errno == EAGAIN)
            gust_yield();
    }
    CHECK_EQ(errno, ECONNRESET);
}

ForcedTest(a_deadline_ends_a_write_and_the_connection)
{
    char *buf = new_stream(LARGE), byte;
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    CHECK_EQ(gust_conn_write(c, buf, LARGE, gust_after(20 * GUST_MS)), -ETIMEDOUT);
    free(buf); /* the kernel has no use for it any more */
    CHECK_EQ(gust_conn_write(c, "x", 1, SOON), -ETIMEDOUT);
    CHECK_EQ(gust_conn_read(c, &byte, 1, gust_after(20 * GUST_MS)), -ECONNRESET);
    expect_raw_reset(peer);
    close(peer);
    CHECK_EQ(gust_conn_close(c, SOON), -ETIMEDOUT);
}

struct stuck {
    gust_conn *conn;
    char *buf;
    ssize_t result;
    gust_waitgroup done;
};

static void write_stuck(void *arg)
{
    struct stuck *s = arg;
    s->result = gust_conn_write(s->conn, s->buf, LARGE, SOON);
    free(s->buf);
    gust_waitgroup_done(&s->done);
}

ForcedTest(a_close_ends_a_write_that_waits_for_the_peer)
{
    int peer;
    struct stuck s = {.conn = raw_pair_open(&peer), .buf = new_stream(LARGE)};
    gust_waitgroup_add(&s.done, 1);
    gust_conn_ref(s.conn);
    go(write_stuck, &s);
    AWAIT_SOON(window_is_closed(s.conn->fd.fd));
    CHECK(gust_conn_close(s.conn, SOON) < 0);
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    CHECK_EQ(s.result, -EBADF);
    gust_conn_unref(s.conn);
    expect_raw_reset(peer);
    close(peer);
}

/* --- Between two namespaces ------------------------------------------------------- */

enum { SKIPPED = 77 };

#define HERE "10.213.7.1"
#define THERE "10.213.7.2"

static int sh(const char *command)
{
    return system(command) == 0 ? 0 : -1;
}

/* The other machine: sends back how many bytes of the stream came. */
static void sink(int listener)
{
    static char piece[65536];
    uint64_t got = 0;
    int fd = accept(listener, NULL, NULL);
    CHECK(fd >= 0);
    for (ssize_t n; (n = read(fd, piece, sizeof piece)) > 0; got += (uint64_t)n)
        stream_check(piece, (size_t)n, got);
    CHECK_EQ(write(fd, &got, sizeof got), (ssize_t)sizeof got);
    close(fd);
}

static int sink_listen(uint16_t port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    CHECK_EQ(listen(fd, 1), 0);
    return fd;
}

/* In a namespace of its own; says over `ready` when it is in there, and, told over
 * `go_on` that its end of the pair has come, that it listens. */
_Noreturn static void other_machine(int ready, int go_on)
{
    char byte = 0;
    if (unshare(CLONE_NEWNET) < 0 || write(ready, "n", 1) != 1 || read(go_on, &byte, 1) != 1)
        _exit(SKIPPED);
    if (sh("ip addr add " THERE "/24 dev there && ip link set there up"))
        _exit(SKIPPED);
    int listener = sink_listen(4321);
    CHECK_EQ(write(ready, "l", 1), 1);
    sink(listener);
    _exit(0);
}

static int veth_main(void *arg)
{
    gust_addr addr = addr_of(THERE ":4321");
    gust_conn *c = dial_to(&addr);
    char *buf = new_stream(LARGE);
    uint64_t got = 0;
    (void)arg;
    gust__conn_zerocopy_limit(c, LARGE, LARGE);
    if (gust__netpoll_zerocopy_min() < SIZE_MAX)
        CHECK_EQ(c->zerocopy, ZEROCOPY_YES);
    CHECK_EQ(gust_conn_write(c, buf, LARGE, SOON), LARGE);
    CHECK_EQ(gust_conn_shutdown(c, SHUT_WR, SOON), 0);
    for (size_t have = 0; have < sizeof got;) {
        ssize_t n = gust_conn_read(c, (char *)&got + have, sizeof got - have, SOON);
        CHECK(n > 0);
        have += (size_t)n;
    }
    CHECK_EQ(got, LARGE);
    if (gust__netpoll_zerocopy_min() < SIZE_MAX) /* it was tried, and the kernel copied */
        CHECK_EQ(c->zerocopy, ZEROCOPY_NO);
    free(buf);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    return 0;
}

static int run_between(pid_t other, int ready, int go_on)
{
    char command[200], byte;
    snprintf(command, sizeof command,
             "ip link add here type veth peer name there netns %d && ip addr add " HERE
             "/24 dev here && ip link set here up",
             (int)other);
    if (read(ready, &byte, 1) != 1 || sh(command) || write(go_on, "g", 1) != 1 ||
        read(ready, &byte, 1) != 1)
        return SKIPPED;
    CHECK_EQ(gust_run(veth_main, NULL), 0);
    return 0;
}

/* Namespaces and what is in them go with the two processes. */
static void between_machines(void)
{
    int ready[2], go_on[2], status;
    if (unshare(CLONE_NEWNET) < 0 || sh("ip link set lo up"))
        _exit(SKIPPED);
    CHECK(pipe(ready) == 0 && pipe(go_on) == 0);
    pid_t other = fork();
    CHECK(other >= 0);
    if (other == 0) {
        close(ready[0]);
        close(go_on[1]);
        alarm(TEST_TIMEOUT_S);
        other_machine(ready[1], go_on[0]);
    }
    close(ready[1]);
    close(go_on[0]);
    int verdict = run_between(other, ready[0], go_on[1]);
    close(go_on[1]);
    CHECK_EQ(waitpid(other, &status, 0), other);
    CHECK(verdict == SKIPPED || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    _exit(verdict);
}

Test(zerocopy, between_machines_it_is_tried)
{
    char text[4096];
    int status = child_run(between_machines, text, sizeof text);
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
        cr_skip_test("no network namespaces with veth here: %s", text);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s", text);
}
