/* What the tests of net share: connected pairs, raw sockets as badly behaved
 * peers, a reproducible stream of bytes, and counting descriptors. */
#ifndef GUST_TESTS_NET_NET_TEST_H
#define GUST_TESTS_NET_NET_TEST_H

#include <dirent.h>
#include <fcntl.h>
#include <gust/net.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/conn.h"
#include "tests/core/fds.h"
#include "tests/core/waiters.h"

/* A test whose body is the main goroutine: CHECK only.  It ends with as many
 * descriptors as it began with. */
#define NetTest(suite, name)           \
    static void name##_body(void);     \
    static int name##_main(void *arg)  \
    {                                  \
        size_t fds = fd_count();       \
        (void)arg;                     \
        name##_body();                 \
        AWAIT_SOON(fd_count() == fds); \
        return 0;                      \
    }                                  \
    Test(suite, name)                  \
    {                                  \
        test_run(name##_main, NULL);   \
    }                                  \
    static void name##_body(void)

/* AWAIT, but a failure says where. */
#define AWAIT_SOON(cond)                                              \
    do {                                                              \
        gust_time await_until_ = SOON;                                \
        while (!(cond)) {                                             \
            CHECK(gust_now() < await_until_ && "waiting for " #cond); \
            gust_yield();                                             \
        }                                                             \
    } while (0)

/* --- Listeners and pairs --------------------------------------------------- */

static inline gust_addr addr_of(const char *text)
{
    gust_addr addr;
    CHECK_EQ(gust_addr_parse(text, &addr), 0);
    return addr;
}

static inline gust_listener *listen_on(const char *text, gust_addr *ret_addr)
{
    gust_listener *l = NULL;
    gust_addr addr = addr_of(text);
    CHECK_EQ(gust_tcp_listen(&addr, NULL, &l), 0);
    gust_listener_addr(l, ret_addr);
    return l;
}

static inline gust_conn *accept_from(gust_listener *l)
{
    gust_conn *c = NULL;
    CHECK_EQ(gust_listener_accept(l, SOON, &c), 0);
    return c;
}

static inline gust_conn *dial_to(const gust_addr *addr)
{
    gust_conn *c = NULL;
    CHECK_EQ(gust_tcp_dial(addr, SOON, &c), 0);
    return c;
}

/* Two ends of one connection. */
static inline void pair_open(gust_conn **ret_a, gust_conn **ret_b)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    *ret_a = dial_to(&addr);
    *ret_b = accept_from(l);
    gust_listener_close(l);
}

static inline void pair_close(gust_conn *a, gust_conn *b)
{
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

/* --- A stream of known bytes ------------------------------------------------ */

/* Byte number i of the stream: any lost, doubled or swapped piece shows. */
static inline char stream_byte(uint64_t i)
{
    return (char)((i * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

static inline void stream_fill(char *buf, size_t len, uint64_t at)
{
    for (size_t i = 0; i < len; i++)
        buf[i] = stream_byte(at + i);
}

static inline void stream_check(const char *buf, size_t len, uint64_t at)
{
    for (size_t i = 0; i < len; i++)
        CHECK_EQ(buf[i], stream_byte(at + i));
}

/* --- Raw sockets ----------------------------------------------------------- */

/* Connects a plain non-blocking socket with a small window; the backlog takes it
 * at once. */
static inline int raw_connect(const gust_addr *addr)
{
    int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int small = 16384;
    CHECK(fd >= 0);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    CHECK_EQ(connect(fd, &addr->any, addr->len), 0);
    CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    return fd;
}

/* A conn whose peer is a raw socket.  Small buffers, so that little data is
 * enough to make a writer wait. */
static inline gust_conn *raw_pair_open(int *ret_peer)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    *ret_peer = raw_connect(&addr);
    gust_conn *c = accept_from(l);
    const int small = 16384;
    setsockopt(c->fd.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    gust_listener_close(l);
    return c;
}

/* Reads as much as is there; 0 if nothing, -1 at the end of the stream. */
static inline ssize_t raw_read_some(int fd, void *buf, size_t len)
{
    ssize_t n = recv(fd, buf, len, MSG_DONTWAIT);
    CHECK(n >= 0 || errno == EAGAIN);
    return n > 0 ? n : n == 0 ? -1 : 0;
}

static inline void raw_write(int fd, const void *buf, size_t len)
{
    CHECK_EQ(send(fd, buf, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Receives so many bytes. */
static inline void raw_read(int fd, char *buf, size_t len)
{
    const gust_time until = SOON;
    for (size_t got = 0; got < len;) {
        ssize_t n = raw_read_some(fd, buf + got, len - got);
        CHECK(n >= 0);
        got += (size_t)n;
        if (n == 0)
            gust_yield();
        CHECK(gust_now() < until);
    }
}

/* Receives the first `len` bytes of a stream. */
static inline void raw_read_stream(int fd, uint64_t len)
{
    char buf[4096];
    for (uint64_t at = 0; at < len;) {
        size_t n = len - at < sizeof buf ? (size_t)(len - at) : sizeof buf;
        raw_read(fd, buf, n);
        stream_check(buf, n, at);
        at += n;
    }
}

/* All that was sent is acknowledged and the rest has to wait: the peer's window is
 * closed, and it stays so until the peer reads. */
static inline bool window_is_closed(int fd)
{
    int queued = 0, unsent = 0;
    CHECK_EQ(ioctl(fd, SIOCOUTQ, &queued), 0);
    CHECK_EQ(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
    return queued > 0 && queued == unsent;
}

/* No send goes on before the peer reads: its window is closed, and the kernel's buffer
 * as good as full. */
static inline bool is_stuck(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    return window_is_closed(fd) && poll(&p, 1, 0) == 0;
}

/* Writes until the peer's window, the kernel's buffer and both blocks are full;
 * returns how much that was.  The blocks' bytes are the stream's. */
static inline uint64_t stuff(gust_conn *c)
{
    char block[4096];
    uint64_t taken = 0;
    ssize_t n = 0;
    /* Stuck before the write that fails: else it may have been the network's fault. */
    for (bool stuck = false; n >= 0 || !stuck;) {
        stuck = is_stuck(c->fd.fd);
        stream_fill(block, sizeof block, taken);
        n = gust_conn_write(c, block, sizeof block, gust_after(10 * GUST_MS));
        CHECK(n == sizeof block || n == -ETIMEDOUT);
        taken += n > 0 ? (uint64_t)n : 0;
    }
    return taken;
}

/* Makes the peer of fd see a reset. */
static inline void raw_reset(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    close(fd);
}

/* --- A writer --------------------------------------------------------------- */

struct writer {
    gust_conn *conn;
    char *buf;
    size_t len;
    _Atomic int finished;
};

static inline void write_all(void *arg)
{
    struct writer *w = arg;
    CHECK_EQ(gust_conn_write(w->conn, w->buf, w->len, SOON), (ssize_t)w->len);
    atomic_store(&w->finished, 1);
}

/* --- What a conn holds ------------------------------------------------------ */

static inline bool holds_no_buffer(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    bool none = !c->rd.heap && (!c->wr || (!c->wr->filling && !c->wr->sending));
    gust__lock_drop(&c->lock);
    return none;
}

/* A goroutine is blocked in a read. */
static inline bool is_reading(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    gust__op *op = c->rd.op;
    bool reading = op && atomic_load(&op->state) == GUST__OP_INFLIGHT;
    gust__lock_drop(&c->lock);
    return reading;
}

/* A goroutine is blocked in a write or a drain. */
static inline bool is_writing(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    gust__op *op = c->wr ? c->wr->direct : NULL;
    bool writing = c->waiters.head || (op && atomic_load(&op->state) == GUST__OP_INFLIGHT);
    gust__lock_drop(&c->lock);
    return writing;
}

#endif
