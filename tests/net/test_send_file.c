/* Files into connections: ranges, ends, errors, and what is not in the page cache. */
#include <fcntl.h>
#include <gust/copy.h>

#include "core/inject.h"
#include "tests/net/net_test.h"

enum { FILE_LEN = 1 << 20 };

/* Of the stream's bytes; on a disk, so that its pages can be dropped. */
static int file_open(void)
{
    static char buf[65536];
    int fd = open(".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    for (uint64_t at = 0; at < FILE_LEN; at += sizeof buf) {
        stream_fill(buf, sizeof buf, at);
        CHECK_EQ(write(fd, buf, sizeof buf), sizeof buf);
    }
    return fd;
}

struct receiver {
    gust_conn *conn;
    uint64_t at;
    uint64_t len;
    gust_waitgroup done;
};

static void receive(void *arg)
{
    char buf[8192];
    struct receiver *r = arg;
    while (r->len > 0) {
        ssize_t n = gust_conn_read(r->conn, buf, r->len < sizeof buf ? r->len : sizeof buf, SOON);
        CHECK(n > 0);
        stream_check(buf, (size_t)n, r->at);
        r->at += (uint64_t)n;
        r->len -= (uint64_t)n;
    }
    gust_waitgroup_done(&r->done);
}

static void send_range(gust_conn *a, gust_conn *b, int fd, uint64_t offset, uint64_t len,
                       uint64_t expected)
{
    struct receiver r = {.conn = b, .at = offset, .len = expected};
    uint64_t copied = 99;
    gust_waitgroup_add(&r.done, 1);
    go(receive, &r);
    CHECK_EQ(gust_conn_send_file(a, fd, offset, len, SOON, &copied), 0);
    CHECK_EQ(copied, expected);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
}

NetTest(send_file, ranges_of_a_file_arrive)
{
    gust_conn *a, *b;
    int fd = file_open();
    pair_open(&a, &b);
    send_range(a, b, fd, 0, FILE_LEN, FILE_LEN);
    send_range(a, b, fd, 0, 0, 0);
    send_range(a, b, fd, 12345, 1, 1);
    send_range(a, b, fd, 12345, 300000, 300000);
    send_range(a, b, fd, FILE_LEN - 10, 20, 10);
    send_range(a, b, fd, FILE_LEN - 10, UINT64_MAX, 10);
    send_range(a, b, fd, FILE_LEN, 10, 0);
    send_range(a, b, fd, FILE_LEN + 10, 10, 0);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), FILE_LEN); /* as it was */
    close(fd);
    pair_close(a, b);
}

#ifdef GUST_DEBUG

/* Everything is tried without a copy first, and goes on with one. */
NetTest(send_file, what_cannot_be_spliced_is_copied)
{
    gust_conn *a, *b;
    int fd = file_open();
    pair_open(&a, &b);
    for (uint64_t nth = 1; nth <= 4; nth++) {
        gust__inject_arm(INJECT_SPLICE, nth, INJECT_FOR_EVER);
        send_range(a, b, fd, 100, FILE_LEN - 100, FILE_LEN - 100);
        gust__inject_disarm();
    }
    gust__inject_arm(INJECT_PIPE, 1, INJECT_FOR_EVER);
    send_range(a, b, fd, 100, FILE_LEN - 100, FILE_LEN - 100);
    gust__inject_disarm();
    close(fd);
    pair_close(a, b);
}

#endif

NetTest(send_file, it_comes_after_what_was_written)
{
    gust_conn *a, *b;
    char buf[16];
    uint64_t copied;
    int fd = file_open();
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_append(a, "head", 4, SOON), 4);
    CHECK_EQ(gust_conn_send_file(a, fd, 0, 8, SOON, &copied), 0);
    CHECK_EQ(gust_conn_write(a, "tail", 4, SOON), 4);
    for (size_t got = 0; got < sizeof buf;) {
        ssize_t n = gust_conn_read(b, buf + got, sizeof buf - got, SOON);
        CHECK(n > 0);
        got += (size_t)n;
    }
    CHECK(memcmp(buf, "head", 4) == 0 && memcmp(buf + 12, "tail", 4) == 0);
    stream_check(buf + 4, 8, 0);
    close(fd);
    pair_close(a, b);
}

/* Where the file system lets them be dropped; elsewhere this is the test above. */
NetTest(send_file, pages_that_are_not_in_memory_are_waited_for)
{
    gust_conn *a, *b;
    int fd = file_open();
    pair_open(&a, &b);
    CHECK_EQ(fsync(fd), 0);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        send_range(a, b, fd, 1000, FILE_LEN - 1000, FILE_LEN - 1000);
    }
    close(fd);
    pair_close(a, b);
}

NetTest(send_file, it_is_taken_up_where_a_deadline_ended_it)
{
    int peer;
    static char buf[65536];
    gust_conn *c = raw_pair_open(&peer);
    int fd = file_open();
    uint64_t sum = 0, got = 0, copied;
    while (got < FILE_LEN) {
        if (sum < FILE_LEN) {
            int error =
                gust_conn_send_file(c, fd, sum, FILE_LEN - sum, gust_after(GUST_MS), &copied);
            CHECK(error == 0 || error == -ETIMEDOUT);
            sum += copied;
        }
        ssize_t n = raw_read_some(peer, buf, sizeof buf);
        CHECK(n >= 0);
        stream_check(buf, (size_t)n, got);
        got += (uint64_t)n;
    }
    CHECK_EQ(sum, FILE_LEN);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    close(fd);
    close(peer);
}

/* The first bytes bring a reset, which the rest of the same call meets: no SIGPIPE even if
 * it has a count to return. */
NetTest(send_file, a_peer_that_has_gone_raises_no_signal)
{
    uint64_t copied;
    int peer, fd = file_open();
    for (int i = 0; i < 10; i++) {
        gust_conn *c = raw_pair_open(&peer);
        close(peer);
        int error = 0;
        while (!error)
            error = gust_conn_send_file(c, fd, 0, FILE_LEN, SOON, &copied);
        CHECK(error == -EPIPE || error == -ECONNRESET);
        gust_conn_close(c, GUST_NOW);
    }
    close(fd);
}

NetTest(send_file, errors_are_reported)
{
    gust_conn *a, *b;
    uint64_t copied = 99;
    int fd = file_open(), fds[2];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_send_file(a, -1, 0, 1, SOON, &copied), -EBADF);
    CHECK_EQ(copied, 0);
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(gust_conn_send_file(a, fds[0], 0, 1, SOON, &copied), -EINVAL);
    CHECK_EQ(gust_conn_send_file(a, fd, UINT64_MAX, 1, SOON, &copied), -EINVAL);
    CHECK_EQ(gust_conn_shutdown(a, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_send_file(a, fd, 0, FILE_LEN, SOON, &copied), -EPIPE);
    CHECK_EQ(copied, 0);
    gust_conn_ref(a);
    gust_conn_close(a, SOON);
    CHECK_EQ(gust_conn_send_file(a, fd, 0, FILE_LEN, SOON, &copied), -EBADF);
    gust_conn_unref(a);
    gust_conn_close(b, SOON);
    close(fds[0]);
    close(fds[1]);
    close(fd);
}

/* --- The socket afterwards ------------------------------------------------------ */

static int zeros_open(size_t len)
{
    int fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    char *zeros = calloc(1, len);
    CHECK(fd >= 0 && zeros);
    CHECK_EQ(write(fd, zeros, len), (ssize_t)len);
    free(zeros);
    return fd;
}

struct echo {
    gust_conn *conn;
    char byte;
    gust_waitgroup done;
};

static void read_byte(void *arg)
{
    struct echo *e = arg;
    CHECK_EQ(gust_conn_read(e->conn, &e->byte, 1, SOON), 1);
    gust_waitgroup_done(&e->done);
}

/* It is non-blocking then, which the ring must not take for "do not wait": neither for a
 * read that waits meanwhile, nor for what comes later. */
NetTest(send_file, the_socket_waits_as_before)
{
    char buf;
    int fd = file_open();
    gust_conn *a, *b;
    pair_open(&a, &b);
    struct echo e = {.conn = a};
    for (int i = 0; i < 2; i++) {
        gust_waitgroup_add(&e.done, 1);
        go(read_byte, &e);
        gust_yield();
        send_range(a, b, fd, 0, FILE_LEN, FILE_LEN);
        CHECK_EQ(gust_conn_write(b, &"xy"[i], 1, SOON), 1);
        CHECK_EQ(gust_waitgroup_wait(&e.done, SOON), 0);
        CHECK_EQ(e.byte, "xy"[i]);
        CHECK_EQ(gust_conn_read(a, &buf, 1, gust_after(GUST_MS)), -ETIMEDOUT);
    }
    close(fd);
    pair_close(a, b);
}

/* Who does not read is waited for, and no byte is lost or sent twice. */
NetTest(send_file, a_deadline_ends_the_wait_for_room)
{
    int peer, fd = zeros_open(32 << 20);
    uint64_t copied = 0;
    gust_conn *c = raw_pair_open(&peer);
    CHECK_EQ(gust_conn_send_file(c, fd, 0, 32 << 20, GUST_NOW, &copied), -EAGAIN);
    CHECK(copied > 0 && copied < 32 << 20);
    CHECK_EQ(gust_conn_send_file(c, fd, copied, 65536, gust_after(GUST_MS), &copied), -ETIMEDOUT);
    CHECK_EQ(gust_conn_set_write_deadline(c, GUST_NOW), 0);
    CHECK_EQ(gust_conn_send_file(c, fd, 0, 65536, SOON, &copied), -ETIMEDOUT);
    CHECK_EQ(copied, 0);
    gust_conn_close(c, GUST_NOW);
    close(peer);
    close(fd);
}
