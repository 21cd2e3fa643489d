/* Splices between a socket and a pipe, and from a file. */
#include <fcntl.h>
#include <gust/runtime.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "tests/core/sockets.h"

struct pipe_ends {
    int out, in;
};

static struct pipe_ends pipe_open(void)
{
    int fds[2];
    CHECK_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    return (struct pipe_ends){fds[0], fds[1]};
}

static void pipe_close(struct pipe_ends p)
{
    close(p.out);
    close(p.in);
}

static gust__op op_pull(gust__fd *f, struct pipe_ends p, uint32_t len)
{
    return (gust__op){.code = GUST__OP_SPLICE,
                      .fd = f,
                      .in = f->fd,
                      .out = p.in,
                      .offset = -1,
                      .splice_len = len};
}

static gust__op op_push(struct pipe_ends p, gust__fd *f, uint32_t len)
{
    return (gust__op){.code = GUST__OP_SPLICE,
                      .fd = f,
                      .in = p.out,
                      .out = f->fd,
                      .offset = -1,
                      .splice_len = len};
}

static int pull(gust__fd *f, struct pipe_ends p, uint32_t len, gust_time deadline)
{
    gust__op op = op_pull(f, p, len);
    return gust__op_wait(&op, NULL, deadline);
}

static int push(struct pipe_ends p, gust__fd *f, uint32_t len, gust_time deadline)
{
    gust__op op = op_push(p, f, len);
    return gust__op_wait(&op, NULL, deadline);
}

static int through_main(void *arg)
{
    pair a, b;
    char buf[8];
    struct pipe_ends p = pipe_open();
    (void)arg;
    tcp_pair_open(&a);
    tcp_pair_open(&b);
    CHECK_EQ(do_send(&a.a, "hello", 5, SOON), 5);
    CHECK_EQ(pull(&a.b, p, 3, SOON), 3); /* no more than asked for */
    CHECK_EQ(push(p, &b.a, 3, SOON), 3);
    CHECK_EQ(pull(&a.b, p, 4096, SOON), 2);
    CHECK_EQ(push(p, &b.a, 2, SOON), 2);
    for (int got = 0; got < 5;) {
        int n = do_recv(&b.b, buf + got, sizeof buf - (size_t)got, SOON);
        CHECK(n > 0);
        got += n;
    }
    CHECK(memcmp(buf, "hello", 5) == 0);
    CHECK_EQ(shutdown(a.a.fd, SHUT_WR), 0);
    CHECK_EQ(pull(&a.b, p, 4096, SOON), 0);
    pipe_close(p);
    pair_close(&a);
    pair_close(&b);
    return 0;
}

Test(netpoll_splice, bytes_go_from_socket_to_socket)
{
    test_run(through_main, NULL);
}

static int pull_waits_main(void *arg)
{
    pair a;
    waiting w = {.result = -1};
    struct pipe_ends p = pipe_open();
    char buf[4];
    (void)arg;
    tcp_pair_open(&a);
    for (int i = 0; i < 5; i++) {
        waiting_start(&w, op_pull(&a.b, p, 4096), SOON);
        CHECK_EQ(do_send(&a.a, "abc", 3, SOON), 3);
        CHECK_EQ(waiting_end(&w), 3);
        CHECK_EQ(read(p.out, buf, sizeof buf), 3);
    }
    pipe_close(p);
    pair_close(&a);
    return 0;
}

Test(netpoll_splice, one_from_a_socket_waits_for_bytes)
{
    test_run(pull_waits_main, NULL);
}

/* Whatever ends it, the bytes are in one place. */
static int pull_ends_main(void *arg)
{
    pair a;
    struct pipe_ends p = pipe_open();
    char buf[4];
    const gust_time deadlines[] = {1, GUST_NOW};
    (void)arg;
    tcp_pair_open(&a);
    CHECK_EQ(pull(&a.b, p, 4096, BRIEFLY), -ETIMEDOUT);
    for (int i = 0; i < 2; i++) {
        int n = pull(&a.b, p, 4096, deadlines[i]);
        CHECK(n == -ETIMEDOUT || n == -EAGAIN);
    }
    waiting w = {.result = -1};
    waiting_start(&w, op_pull(&a.b, p, 4096), SOON);
    AWAIT(gust__op_state_now(&w.op) == GUST__OP_INFLIGHT);
    {
        GUST__CALL();
        gust__op_cancel(&w.op);
    }
    CHECK_EQ(waiting_end(&w), -ECANCELED);
    CHECK_EQ(do_send(&a.a, "xyz", 3, SOON), 3);
    CHECK_EQ(pull(&a.b, p, 4096, SOON), 3);
    CHECK_EQ(read(p.out, buf, sizeof buf), 3);
    CHECK(memcmp(buf, "xyz", 3) == 0);
    pipe_close(p);
    pair_close(&a);
    return 0;
}

Test(netpoll_splice, one_that_is_given_up_has_moved_nothing)
{
    test_run(pull_ends_main, NULL);
}

/* All that was sent is acknowledged, and the rest waits for the peer to read. */
static bool window_is_closed(int fd)
{
    int queued = 0, unsent = 0;
    CHECK_EQ(ioctl(fd, SIOCOUTQ, &queued), 0);
    CHECK_EQ(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
    return queued > 0 && queued == unsent;
}

/* Into a socket that is full, until somebody reads. */
static int push_waits_main(void *arg)
{
    static char block[65536], got[65536];
    pair a;
    waiting w = {.result = -1};
    struct pipe_ends p = pipe_open();
    size_t sent = 0, received = 0;
    int n = 0;
    (void)arg;
    tcp_pair_open(&a);
    /* Closed before the send that fails: else it may have been the network's fault. */
    for (bool closed = false; n >= 0 || !closed; sent += n > 0 ? (size_t)n : 0) {
        closed = window_is_closed(a.a.fd);
        n = do_send(&a.a, block, sizeof block, BRIEFLY);
        CHECK(n > 0 || n == -ETIMEDOUT);
    }
    CHECK_EQ(write(p.in, "tail", 4), 4);
    CHECK_EQ(push(p, &a.a, 4, BRIEFLY), -ETIMEDOUT);
    waiting_start(&w, op_push(p, &a.a, 4), SOON);
    while (received < sent + 4) {
        n = do_recv(&a.b, got, sizeof got, SOON);
        CHECK(n > 0);
        received += (size_t)n;
    }
    CHECK_EQ(waiting_end(&w), 4);
    CHECK_EQ(got[n - 1], 'l');
    pipe_close(p);
    pair_close(&a);
    return 0;
}

Test(netpoll_splice, one_into_a_full_socket_waits_for_room)
{
    test_run(push_waits_main, NULL);
}

/* The process would be dead. */
static int no_signal_main(void *arg)
{
    pair a;
    struct pipe_ends p = pipe_open();
    (void)arg;
    tcp_pair_open(&a);
    CHECK_EQ(write(p.in, "tail", 4), 4);
    CHECK_EQ(shutdown(a.a.fd, SHUT_WR), 0);
    CHECK_EQ(push(p, &a.a, 4, SOON), -EPIPE);
    pipe_close(p);
    pair_close(&a);
    return 0;
}

Test(netpoll_splice, there_is_no_sigpipe)
{
    test_run(no_signal_main, NULL);
}

static int file_main(void *arg)
{
    char buf[8];
    struct pipe_ends p = pipe_open();
    FILE *file = tmpfile();
    (void)arg;
    CHECK(file && fwrite("0123456789", 1, 10, file) == 10 && fflush(file) == 0);
    gust__fd f = {.fd = fileno(file)};
    gust__op op = op_pull(&f, p, 4);
    op.offset = 8;
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 2);
    CHECK_EQ(read(p.out, buf, sizeof buf), 2);
    CHECK(memcmp(buf, "89", 2) == 0);
    op = op_pull(&f, p, 4);
    op.offset = 10;
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 0);
    op = op_pull(&f, p, 4);
    op.offset = 3;
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 4);
    CHECK_EQ(read(p.out, buf, sizeof buf), 4);
    CHECK(memcmp(buf, "3456", 4) == 0);
    fclose(file);
    pipe_close(p);
    return 0;
}

static int file_main_if_ring(void *arg)
{
    return strcmp(gust_netpoll_name(), "io_uring") == 0 ? file_main(arg) : 0;
}

Test(netpoll_splice, with_io_uring_it_reads_files)
{
    test_run(file_main_if_ring, NULL);
}
