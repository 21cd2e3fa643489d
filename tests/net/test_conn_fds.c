/* Descriptors that are passed with the bytes of a Unix stream: each arrives once, at its
 * place in the stream, and none is left open by an error. */
#include <gust/inherit.h>
#include <sys/resource.h>

#include "tests/core/contexts.h"
#include "tests/net/unix_test.h"

/* --- Helpers --------------------------------------------------------------------- */

static ssize_t recv_fds(gust_conn *c, void *buf, size_t len, gust_fds *fds, gust_time deadline)
{
    ssize_t n = gust_conn_recv_fds(c, buf, len, fds, deadline);
    for (size_t i = 0; i < fds->count; i++)
        CHECK_EQ(fcntl(fds->fds[i], F_GETFD), FD_CLOEXEC);
    return n;
}

static void close_all(gust_fds *fds)
{
    while (fds->count > 0)
        close(fds->fds[--fds->count]);
}

/* The two descriptors are of one and the same pipe. */
static void check_pipe(int read_end, int write_end)
{
    char byte = 0;
    CHECK_EQ(write(write_end, "p", 1), 1);
    CHECK_EQ(read(read_end, &byte, 1), 1);
    CHECK_EQ(byte, 'p');
}

static void send_pipes(gust_conn *c, const char *text, int *pipes, size_t count)
{
    ssize_t len = (ssize_t)strlen(text);
    CHECK_EQ(gust_conn_send_fds(c, text, (size_t)len, pipes, count, SOON), len);
}

/* --- Passing ---------------------------------------------------------------------- */

NetTest(conn_fds, descriptors_arrive_with_their_bytes)
{
    gust_conn *a, *b;
    int pipe_fds[2], got[4];
    char buf[16];
    unix_pair_open(&a, &b);
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    for (int i = 0; i < 50; i++) {
        gust_fds fds = {.fds = got, .max = 4};
        send_pipes(a, "hello", pipe_fds, 2);
        CHECK_EQ(recv_fds(b, buf, sizeof buf, &fds, SOON), 5);
        CHECK(memcmp(buf, "hello", 5) == 0);
        CHECK_EQ(fds.count, 2);
        CHECK(!fds.truncated);
        check_pipe(fds.fds[0], pipe_fds[1]);
        check_pipe(pipe_fds[0], fds.fds[1]);
        close_all(&fds);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    pair_close(a, b);
}

/* Before, between and behind: bytes written in every way keep their order. */
NetTest(conn_fds, the_order_of_bytes_holds)
{
    gust_conn *a, *b;
    int out[2], got[2];
    char buf[64];
    unix_pair_open(&a, &b);
    CHECK_EQ(pipe2(out, O_CLOEXEC), 0);
    gust_fds fds = {.fds = got, .max = 2};
    size_t len = 0, count = 0;
    CHECK_EQ(gust_conn_append(a, "one ", 4, SOON), 4);
    send_pipes(a, "two ", out, 1);
    CHECK_EQ(gust_conn_write(a, "three ", 6, SOON), 6);
    send_pipes(a, "four ", out, 1);
    CHECK_EQ(gust_conn_send_fds(a, "five ", 5, NULL, 0, SOON), 5);
    CHECK_EQ(gust_conn_write(a, "six ", 4, SOON), 4);
    while (len < 28) {
        ssize_t n = recv_fds(b, buf + len, sizeof buf - len, &fds, SOON);
        CHECK(n > 0);
        size_t before = len;
        len += (size_t)n;
        count += fds.count;
        if (fds.count > 0) /* not past the message they came with */
            CHECK(len == 8 || len == 19);
        else
            CHECK(before >= 19 || len == 4 || len == 14);
        close_all(&fds);
    }
    CHECK_EQ(len, 28);
    CHECK(memcmp(buf, "one two three four five six ", 28) == 0);
    CHECK_EQ(count, 2);
    close(out[0]);
    close(out[1]);
    pair_close(a, b);
}

struct sender {
    gust_conn *conn;
    int fd;
    size_t len;
    ssize_t result;
    gust_time deadline;
    gust_waitgroup done;
};

static void send_big(void *arg)
{
    struct sender *s = arg;
    char *big = malloc(s->len);
    stream_fill(big, s->len, 0);
    s->result = gust_conn_send_fds(s->conn, big, s->len, &s->fd, 1, s->deadline);
    free(big);
    gust_waitgroup_done(&s->done);
}

NetTest(conn_fds, large_messages_pass_descriptors_once)
{
    enum { LEN = 2 << 20 };
    gust_conn *a, *b;
    static char buf[30000];
    int got[2];
    gust_fds fds = {.fds = got, .max = 2};
    size_t at = 0, count = 0;
    unix_pair_open(&a, &b);
    struct sender s = {.conn = a, .fd = a->fd.fd, .len = LEN, .deadline = SOON};
    gust_waitgroup_add(&s.done, 1);
    go(send_big, &s);
    while (at < LEN) {
        ssize_t n = recv_fds(b, buf, sizeof buf, &fds, SOON);
        CHECK(n > 0);
        CHECK(fds.count == 0 || at == 0);
        stream_check(buf, (size_t)n, at);
        at += (size_t)n;
        count += fds.count;
        close_all(&fds);
    }
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    CHECK_EQ(s.result, LEN);
    CHECK_EQ(count, 1);
    pair_close(a, b);
}

NetTest(conn_fds, reads_take_the_bytes_and_drop_the_descriptors)
{
    gust_conn *a, *b;
    char buf[16];
    int got[1];
    gust_fds fds = {.fds = got, .max = 1};
    unix_pair_open(&a, &b);
    int fd = a->fd.fd;
    send_pipes(a, "read", &fd, 1);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 4);
    send_pipes(a, "fill", &fd, 1);
    CHECK_EQ(gust_conn_fill(b, 8192, SOON), 4);
    send_pipes(a, "more", &fd, 1);
    /* What is in the view comes first, without any. */
    CHECK_EQ(recv_fds(b, buf, 2, &fds, SOON), 2);
    CHECK_EQ(recv_fds(b, buf + 2, 14, &fds, SOON), 2);
    CHECK(memcmp(buf, "fill", 4) == 0);
    CHECK_EQ(fds.count, 0);
    CHECK_EQ(recv_fds(b, buf, sizeof buf, &fds, SOON), 4);
    CHECK_EQ(fds.count, 1);
    close_all(&fds);
    CHECK_EQ(recv_fds(b, buf, 0, &fds, SOON), 0);
    pair_close(a, b);
}

/* Three messages with descriptors, read in all ways. */
static void check_goes_on(gust_conn *a, gust_conn *b)
{
    char buf[100];
    int fd = a->fd.fd;
    for (int i = 0; i < 20; i++) {
        size_t got = 0;
        for (int k = 0; k < 3; k++)
            send_pipes(a, "pass", &fd, 1);
        while (got < 12) {
            ssize_t n =
                i % 2 ? gust_conn_read(b, buf, sizeof buf, SOON) : gust_conn_fill(b, 8192, SOON);
            CHECK(n > 0);
            gust_conn_consume(b, gust_conn_view(b).len);
            got += (size_t)n;
        }
    }
}

/* The kernel ends a receive behind descriptors, although more is there: that must not be
 * taken for an empty socket.  Of a conn that was accepted, dialled, adopted. */
NetTest(conn_fds, reads_go_on_behind_descriptors)
{
    gust_conn *a, *b;
    int fds[2];
    unix_pair_open(&a, &b);
    check_goes_on(a, b);
    check_goes_on(b, a);
    pair_close(a, b);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    CHECK_EQ(gust_conn_adopt(fds[0], &a), 0);
    CHECK_EQ(gust_conn_adopt(fds[1], &b), 0);
    check_goes_on(a, b);
    pair_close(a, b);
}

NetTest(conn_fds, a_whole_connection_can_be_passed)
{
    gust_conn *a, *b;
    char buf[8];
    int got[1], raw[2];
    gust_fds fds = {.fds = got, .max = 1};
    unix_pair_open(&a, &b);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, raw), 0);
    send_pipes(a, "c", &raw[0], 1);
    close(raw[0]);
    CHECK_EQ(recv_fds(b, buf, sizeof buf, &fds, SOON), 1);
    CHECK_EQ(fds.count, 1);
    CHECK_EQ(write(got[0], "hello", 5), 5);
    CHECK_EQ(read(raw[1], buf, 5), 5);
    close_all(&fds);
    CHECK_EQ(read(raw[1], buf, 5), 0);
    close(raw[1]);
    pair_close(a, b);
}

/* --- Too many ---------------------------------------------------------------------- */

NetTest(conn_fds, what_there_is_no_room_for_is_closed)
{
    gust_conn *a, *b;
    char byte;
    int out[GUST_FDS_MAX + 1], got[GUST_FDS_MAX];
    unix_pair_open(&a, &b);
    for (int i = 0; i <= GUST_FDS_MAX; i++)
        out[i] = a->fd.fd;
    size_t before = fd_count();
    static const size_t room[] = {0, 1, 2, 3, GUST_FDS_MAX - 1, GUST_FDS_MAX};
    for (size_t i = 0; i < sizeof room / sizeof *room; i++) {
        gust_fds fds = {.fds = got, .max = room[i]};
        send_pipes(a, "x", out, GUST_FDS_MAX);
        CHECK_EQ(recv_fds(b, &byte, 1, &fds, SOON), 1);
        CHECK_EQ(fds.count, room[i]);
        CHECK_EQ(fds.truncated, room[i] < GUST_FDS_MAX);
        AWAIT_SOON(fd_count() == before + room[i]);
        close_all(&fds);
    }
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, out, GUST_FDS_MAX + 1, SOON), -EINVAL);
    CHECK_EQ(gust_conn_send_fds(a, "", 0, out, 1, SOON), -EINVAL);
    CHECK_EQ(gust_conn_send_fds(a, "", 0, out, 0, SOON), 0);
    pair_close(a, b);
}

/* Room for some of them: those are there, the others are not, and it is said. */
NetTest(conn_fds, a_full_table_of_descriptors_is_reported)
{
    enum { SENT = 64 };
    gust_conn *a, *b;
    char byte;
    int out[SENT], got[SENT];
    struct rlimit before, limit;
    gust_fds fds = {.fds = got, .max = SENT};
    unix_pair_open(&a, &b);
    for (int i = 0; i < SENT; i++)
        out[i] = a->fd.fd;
    send_pipes(a, "x", out, SENT);
    size_t count = fd_count();
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    int highest = dup(0);
    close(highest);
    limit = before;
    limit.rlim_cur = (rlim_t)highest + SENT / 2;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(recv_fds(b, &byte, 1, &fds, SOON), 1);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    CHECK(fds.truncated);
    CHECK(fds.count > 0 && fds.count < SENT);
    AWAIT_SOON(fd_count() == count + fds.count);
    close_all(&fds);
    pair_close(a, b);
}

/* --- Errors ------------------------------------------------------------------------- */

NetTest(conn_fds, a_closed_descriptor_is_refused_and_the_stream_is_whole)
{
    gust_conn *a, *b;
    char buf[8];
    int bad = -1;
    unix_pair_open(&a, &b);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, &bad, 1, SOON), -EBADF);
    CHECK_EQ(gust_conn_write(a, "ok", 2, SOON), 2);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 2);
    pair_close(a, b);
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_send_fds(a, "tcp", 3, NULL, 0, SOON), 3);
    pair_close(a, b);
}

/* Fills the socket itself, so that nothing more goes. */
static size_t stuff_socket(gust_conn *c)
{
    static const char block[4096];
    size_t sent = 0;
    for (ssize_t n; (n = send(c->fd.fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0;)
        sent += (size_t)n;
    return sent;
}

static void read_stuffing(gust_conn *c, size_t len)
{
    static char buf[4096];
    while (len > 0) {
        size_t want = len < sizeof buf ? len : sizeof buf;
        ssize_t n = gust_conn_read(c, buf, want, SOON);
        CHECK(n > 0);
        len -= (size_t)n;
    }
}

NetTest(conn_fds, a_send_that_had_no_room_can_be_made_again)
{
    gust_conn *a, *b;
    char buf[8];
    int got[1];
    gust_fds fds = {.fds = got, .max = 1};
    unix_pair_open(&a, &b);
    int fd = a->fd.fd;
    size_t stuffed = stuff_socket(a);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, &fd, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, &fd, 1, 1), -ETIMEDOUT);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, &fd, 1, gust_after(5 * GUST_MS)), -ETIMEDOUT);
    read_stuffing(b, stuffed);
    CHECK_EQ(gust_conn_send_fds(a, "y", 1, &fd, 1, SOON), 1);
    CHECK_EQ(recv_fds(b, buf, sizeof buf, &fds, SOON), 1);
    CHECK_EQ(buf[0], 'y');
    CHECK_EQ(fds.count, 1);
    close_all(&fds);
    pair_close(a, b);
}

static bool has_input(gust_conn *c)
{
    int bytes = 0;
    CHECK_EQ(ioctl(c->fd.fd, FIONREAD, &bytes), 0);
    return bytes > 0;
}

/* A part of it has arrived, and there is no room for the rest. */
NetTest(conn_fds, a_send_cut_short_breaks_the_stream_and_says_so)
{
    gust_conn *a, *b;
    gust_context *context = context_make(NULL);
    unix_pair_open(&a, &b);
    struct sender s = {.conn = a, .fd = a->fd.fd, .len = 4 << 20, .deadline = GUST_FOREVER};
    gust_waitgroup_add(&s.done, 1);
    go_under(context, send_big, &s);
    AWAIT_SOON(has_input(b));
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    CHECK_EQ(s.result, -ECANCELED);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), -ECANCELED);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, NULL, 0, SOON), -ECANCELED);
    CHECK_EQ(gust_conn_close(a, SOON), -ECANCELED);
    gust_conn_unref(b);
    gust_context_unref(context);
}

NetTest(conn_fds, send_now_does_not_wait_for_a_send_under_way)
{
    gust_conn *a, *b;
    unix_pair_open(&a, &b);
    size_t stuffed = stuff_socket(a);
    CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_send_fds(a, "y", 1, NULL, 0, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_send_fds(a, "y", 1, NULL, 0, gust_after(5 * GUST_MS)), -ETIMEDOUT);
    read_stuffing(b, stuffed);
    CHECK_EQ(gust_conn_send_fds(a, "y", 1, NULL, 0, SOON), 1);
    read_stuffing(b, 2);
    pair_close(a, b);
}

/* --- Closing and cancelling ------------------------------------------------------------ */

static void blocked_recv(void *arg)
{
    char byte;
    int got[1];
    gust_fds fds = {.fds = got, .max = 1, .count = 9, .truncated = true};
    CHECK_EQ(gust_conn_recv_fds(arg, &byte, 1, &fds, SOON), -EBADF);
    CHECK(fds.count == 0 && !fds.truncated);
    gust_conn_unref(arg);
}

static void blocked_send(void *arg)
{
    int fd = 0;
    CHECK_EQ(gust_conn_send_fds(arg, "x", 1, &fd, 1, SOON), -EBADF);
    gust_conn_unref(arg);
}

NetTest(conn_fds, close_wakes_both_sides)
{
    gust_conn *a, *b;
    unix_pair_open(&a, &b);
    stuff_socket(a);
    go(blocked_recv, gust_conn_ref(a));
    go(blocked_send, gust_conn_ref(a));
    AWAIT_SOON(is_reading(a) && is_writing(a));
    CHECK_EQ(gust_conn_close(a, SOON), 0); /* nothing of the send had begun */
    AWAIT_SOON(gust_num_goroutines() == 1);
    gust_conn_unref(b);
}

NetTest(conn_fds, everything_after_close_is_ebadf)
{
    gust_conn *a, *b;
    char byte;
    gust_fds fds = {.max = 0};
    unix_pair_open(&a, &b);
    gust_conn_ref(a);
    pair_close(a, b);
    CHECK_EQ(gust_conn_send_fds(a, "x", 1, NULL, 0, SOON), -EBADF);
    CHECK_EQ(gust_conn_recv_fds(a, &byte, 1, &fds, SOON), -EBADF);
    gust_conn_unref(a);
}

static void receive_cancelled(void *arg)
{
    struct sender *s = arg;
    char byte;
    gust_fds fds = {.max = 0};
    s->result = gust_conn_recv_fds(s->conn, &byte, 1, &fds, GUST_FOREVER);
    gust_waitgroup_done(&s->done);
}

NetTest(conn_fds, a_cancelled_receive_leaves_the_descriptors_where_they_are)
{
    gust_conn *a, *b;
    char byte;
    int got[1];
    gust_fds fds = {.fds = got, .max = 1};
    unix_pair_open(&a, &b);
    int fd = a->fd.fd;
    gust_context *context = context_make(NULL);
    struct sender s = {.conn = b};
    gust_waitgroup_add(&s.done, 1);
    go_under(context, receive_cancelled, &s);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&s.done, SOON), 0);
    CHECK_EQ(s.result, -ECANCELED);
    send_pipes(a, "x", &fd, 1);
    CHECK_EQ(recv_fds(b, &byte, 1, &fds, SOON), 1);
    CHECK_EQ(fds.count, 1);
    close_all(&fds);
    gust_context_unref(context);
    pair_close(a, b);
}
