/* Helpers of the netpoller's tests: pairs of sockets under the poller's care, and
 * operations in one line. */
#ifndef GUST_TESTS_CORE_SOCKETS_H
#define GUST_TESTS_CORE_SOCKETS_H

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/netpoll_backend.h"
#include "tests/core/waiters.h"

/* A short deadline, for what must not happen. */
#define BRIEFLY gust_after(20 * GUST_MS)

typedef struct pair {
    gust__fd a, b;
} pair;

static inline void pair_init(pair *p, const int *fds)
{
    CHECK_EQ(gust__fd_init(&p->a, fds[0]), 0);
    CHECK_EQ(gust__fd_init(&p->b, fds[1]), 0);
}

static inline void pair_open(pair *p)
{
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair_init(p, fds);
}

static inline void pair_close(pair *p)
{
    gust__fd_close(&p->a);
    gust__fd_close(&p->b);
}

/* --- TCP on the loopback ------------------------------------------------- */

static inline int tcp_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    return fd;
}

static inline struct sockaddr_in tcp_loopback(void)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Listens on a port that the kernel picks. */
static inline int tcp_listen(struct sockaddr_in *ret_addr)
{
    int fd = tcp_socket();
    socklen_t len = sizeof *ret_addr;
    *ret_addr = tcp_loopback();
    CHECK_EQ(bind(fd, (struct sockaddr *)ret_addr, len), 0);
    CHECK_EQ(listen(fd, SOMAXCONN), 0);
    CHECK_EQ(getsockname(fd, (struct sockaddr *)ret_addr, &len), 0);
    return fd;
}

/* Does not wait: the loopback answers at once. */
static inline int tcp_connect(const struct sockaddr_in *addr)
{
    int fd = tcp_socket();
    CHECK_EQ(connect(fd, (const struct sockaddr *)addr, sizeof *addr), 0);
    return fd;
}

static inline void tcp_pair_open(pair *p)
{
    struct sockaddr_in addr;
    int listener = tcp_listen(&addr);
    int fds[2] = {tcp_connect(&addr), -1};
    fds[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fds[1] >= 0);
    close(listener);
    pair_init(p, fds);
}

/* --- Operations ---------------------------------------------------------- */

static inline gust__op op_recv(gust__fd *f, void *buf, size_t len)
{
    return (gust__op){.code = GUST__OP_RECV, .fd = f, .buf = buf, .len = len};
}

static inline gust__op op_recv_picked(gust__fd *f)
{
    return (gust__op){.code = GUST__OP_RECV, .flags = GUST__OP_PICK, .fd = f};
}

static inline gust__op op_send(gust__fd *f, const void *buf, size_t len)
{
    return (gust__op){.code = GUST__OP_SEND, .fd = f, .buf = (void *)(uintptr_t)buf, .len = len};
}

static inline gust__op op_poll(gust__fd *f, short events)
{
    return (gust__op){.code = GUST__OP_POLL, .fd = f, .events = events};
}

static inline int do_recv(gust__fd *f, void *buf, size_t len, gust_time deadline)
{
    gust__op op = op_recv(f, buf, len);
    return gust__op_wait(&op, NULL, deadline);
}

static inline int do_send(gust__fd *f, const void *buf, size_t len, gust_time deadline)
{
    gust__op op = op_send(f, buf, len);
    return gust__op_wait(&op, NULL, deadline);
}

static inline void put_byte(gust__fd *f, char byte)
{
    CHECK_EQ(send(f->fd, &byte, 1, MSG_NOSIGNAL), 1);
}

static inline void expect_byte(gust__fd *f, char byte)
{
    char got = 0;
    CHECK_EQ(do_recv(f, &got, 1, SOON), 1);
    CHECK_EQ(got, byte);
}

/* A goroutine that waits for one op. */
typedef struct waiting {
    gust__op op;
    gust_time deadline;
    int result;
    gust_waitgroup done;
} waiting;

static inline void waiting_body(void *arg)
{
    waiting *w = arg;
    w->result = gust__op_wait(&w->op, NULL, w->deadline);
    gust_waitgroup_done(&w->done);
}

/* Returns once the op is held by a poller. */
static inline void waiting_start(waiting *w, gust__op op, gust_time deadline)
{
    w->op = op;
    w->deadline = deadline;
    gust_waitgroup_add(&w->done, 1);
    go(waiting_body, w);
    AWAIT(gust__op_state_now(&w->op) != GUST__OP_IDLE);
}

static inline int waiting_end(waiting *w)
{
    CHECK_EQ(gust_waitgroup_wait(&w->done, SOON), 0);
    return w->result;
}

#endif
