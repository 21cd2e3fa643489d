/* The least that a single-threaded keep-alive HTTP server can spend per request
 * on this kernel: the mark that gust is measured against.
 *
 *     limit MODE [PORT]        PORT 0, the default, takes a free one; the port
 *                              is printed; SIGTERM ends it
 *
 *     epoll                    edge-triggered, one recv and one send per wake-up
 *     plain coop defer         io_uring, a one-shot recv re-armed after each send
 *     plain-ms coop-ms defer-ms
 *     sqpoll                   io_uring, multishot recv from provided buffers
 *
 * The names before -ms are the ring's set-up flags: none, COOP_TASKRUN (what
 * gust uses, because such a ring may change threads) and DEFER_TASKRUN (which
 * binds a ring to one thread).  On Linux 6.18 one-shot and multishot recv cost
 * the same within noise, and so do coop and defer.
 *
 * It parses nothing: a request ends with its blank line, and every answer is the
 * same.  It keeps no deadlines, and a client that does not take its answer at
 * once is dropped.  No honest server can be this cheap. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/serve.h"

#define ANSWER \
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
#define ANSWER_SIZE (sizeof ANSWER - 1)
#define READ_SIZE 4096
/* No read holds the ends of more requests than this. */
#define ANSWERS_MAX (READ_SIZE / 4)

#define EVENTS 512
#define RING_ENTRIES 4096
#define RING_BUFFERS 4096

typedef struct conn {
    int fd;
    uint32_t tail; /* the last four bytes that were read: a blank line may be split */
    char buf[READ_SIZE];
} conn;

static char answers[ANSWERS_MAX * ANSWER_SIZE];

static conn *conn_open(int fd)
{
    conn *c = calloc(1, sizeof *c);
    if (!c)
        die("conn", ENOMEM);
    c->fd = fd;
    return c;
}

static void conn_close(conn *c)
{
    close(c->fd);
    free(c);
}

/* How many requests end in these bytes. */
static size_t requests_in(conn *c, const char *data, size_t size)
{
    const char blank[4] = "\r\n\r\n";
    size_t count = 0;
    /* The usual case, a whole request and nothing else, at memchr's speed. */
    if (c->tail == 0 && size >= 4 && memcmp(data + size - 4, blank, 4) == 0 &&
        !memmem(data, size - 4, blank, 4))
        return 1;
    for (size_t i = 0; i < size; i++) {
        c->tail = c->tail << 8 | (unsigned char)data[i];
        count += c->tail == 0x0d0a0d0a;
    }
    if (c->tail == 0x0d0a0d0a)
        c->tail = 0;
    return count;
}

/* --- epoll --------------------------------------------------------------- */

static void epoll_accept(int epoll_fd, int listen_fd)
{
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        struct epoll_event event = {.events = EPOLLIN | EPOLLET | EPOLLRDHUP,
                                    .data.ptr = conn_open(fd)};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl", errno);
    }
    if (errno == EMFILE || errno == ENFILE)
        die("accept", errno);
}

static void epoll_serve(conn *c)
{
    ssize_t got;
    do {
        got = recv(c->fd, c->buf, sizeof c->buf, 0);
        if (got < 0 && errno == EAGAIN)
            return;
        size_t size = got > 0 ? requests_in(c, c->buf, (size_t)got) * ANSWER_SIZE : 0;
        if (got <= 0 || (size && send(c->fd, answers, size, MSG_NOSIGNAL) != (ssize_t)size)) {
            conn_close(c);
            return;
        }
        /* There is no further edge for what a full buffer left behind. */
    } while (got == sizeof c->buf);
}

static void run_epoll(int listen_fd)
{
    struct epoll_event events[EVENTS], event = {.events = EPOLLIN, .data.ptr = NULL};
    int epoll_fd = epoll_create1(0);
    fcntl(listen_fd, F_SETFL, O_NONBLOCK);
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listen_fd, &event) < 0)
        die("epoll", errno);
    for (;;) {
        int count = epoll_wait(epoll_fd, events, EVENTS, -1);
        for (int i = 0; i < count; i++)
            if (events[i].data.ptr)
                epoll_serve(events[i].data.ptr);
            else
                epoll_accept(epoll_fd, listen_fd);
    }
}

/* --- io_uring ------------------------------------------------------------ */

/* What completed, in the low bits of user_data, below the conn's address. */
enum { OP_ACCEPT, OP_RECV, OP_SEND, OP_MASK = 3 };

typedef struct server {
    struct io_uring ring;
    int listen_fd;
    bool multishot;
    struct io_uring_buf_ring *pool;
    char *pool_data;
    int pool_returned; /* added to the pool, but not yet visible to the kernel */
} server;

static struct io_uring_sqe *ring_sqe(server *s)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&s->ring)))
        io_uring_submit(&s->ring);
    return sqe;
}

static void ring_accept(server *s)
{
    struct io_uring_sqe *sqe = ring_sqe(s);
    io_uring_prep_multishot_accept(sqe, s->listen_fd, NULL, NULL, 0);
    io_uring_sqe_set_data64(sqe, OP_ACCEPT);
}

static void ring_recv(server *s, conn *c)
{
    struct io_uring_sqe *sqe = ring_sqe(s);
    if (s->multishot) {
        io_uring_prep_recv_multishot(sqe, c->fd, NULL, 0, 0);
        sqe->flags |= IOSQE_BUFFER_SELECT;
        sqe->buf_group = 0;
    } else {
        io_uring_prep_recv(sqe, c->fd, c->buf, sizeof c->buf, 0);
    }
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_RECV);
}

/* With multishot recv nothing waits for a send that went well. */
static void ring_send(server *s, conn *c, size_t count)
{
    struct io_uring_sqe *sqe = ring_sqe(s);
    io_uring_prep_send(sqe, c->fd, answers, count * ANSWER_SIZE, MSG_NOSIGNAL | MSG_WAITALL);
    if (s->multishot)
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data64(sqe, (uintptr_t)c | OP_SEND);
}

static void pool_put(server *s, int id)
{
    io_uring_buf_ring_add(s->pool, s->pool_data + (size_t)id * READ_SIZE, READ_SIZE,
                          (unsigned short)id, io_uring_buf_ring_mask(RING_BUFFERS),
                          s->pool_returned++);
}

static void pool_publish(server *s)
{
    io_uring_buf_ring_advance(s->pool, s->pool_returned);
    s->pool_returned = 0;
}

static void pool_open(server *s)
{
    size_t ring_size = RING_BUFFERS * sizeof(struct io_uring_buf);
    s->pool = aligned_alloc((size_t)sysconf(_SC_PAGESIZE), ring_size);
    s->pool_data = malloc((size_t)RING_BUFFERS * READ_SIZE);
    if (!s->pool || !s->pool_data)
        die("buffers", ENOMEM);
    struct io_uring_buf_reg reg = {.ring_addr = (uintptr_t)s->pool, .ring_entries = RING_BUFFERS};
    int err = io_uring_register_buf_ring(&s->ring, &reg, 0);
    if (err)
        die("buffer ring", -err);
    io_uring_buf_ring_init(s->pool);
    for (int id = 0; id < RING_BUFFERS; id++)
        pool_put(s, id);
    pool_publish(s);
}

static void on_accept(server *s, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0)
        die("accept", -cqe->res);
    ring_recv(s, conn_open(cqe->res));
    if (!(cqe->flags & IORING_CQE_F_MORE))
        ring_accept(s);
}

static void on_recv(server *s, conn *c, const struct io_uring_cqe *cqe)
{
    const char *data = c->buf;
    int id = -1;
    if (cqe->res == -ENOBUFS) {
        ring_recv(s, c);
        return;
    }
    if (cqe->res <= 0) {
        conn_close(c);
        return;
    }
    if (s->multishot) {
        id = (int)(cqe->flags >> IORING_CQE_BUFFER_SHIFT);
        data = s->pool_data + (size_t)id * READ_SIZE;
    }
    size_t count = requests_in(c, data, (size_t)cqe->res);
    if (id >= 0)
        pool_put(s, id);
    if (count)
        ring_send(s, c, count);
    if (s->multishot ? !(cqe->flags & IORING_CQE_F_MORE) : !count)
        ring_recv(s, c);
}

static void on_send(server *s, conn *c, const struct io_uring_cqe *cqe)
{
    if (s->multishot) /* it failed; the recv will say so, and owns the conn */
        return;
    if (cqe->res > 0)
        ring_recv(s, c);
    else
        conn_close(c);
}

static void ring_reap(server *s)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&s->ring, head, cqe)
    {
        conn *c = (conn *)(uintptr_t)(cqe->user_data & ~(uint64_t)OP_MASK);
        switch (cqe->user_data & OP_MASK) {
        case OP_ACCEPT: on_accept(s, cqe); break;
        case OP_RECV: on_recv(s, c, cqe); break;
        case OP_SEND: on_send(s, c, cqe); break;
        }
        count++;
    }
    if (s->multishot)
        pool_publish(s);
    io_uring_cq_advance(&s->ring, count);
}

static void run_ring(int listen_fd, unsigned flags, bool multishot)
{
    server s = {.listen_fd = listen_fd, .multishot = multishot};
    struct io_uring_params params = {.flags = flags | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4 * RING_ENTRIES,
                                     .sq_thread_idle = 2000};
    int err = io_uring_queue_init_params(RING_ENTRIES, &s.ring, &params);
    if (err)
        die("io_uring", -err);
    io_uring_register_ring_fd(&s.ring);
    if (multishot)
        pool_open(&s);
    ring_accept(&s);
    for (;;) {
        err = io_uring_submit_and_wait(&s.ring, 1);
        if (err < 0 && err != -EINTR)
            die("io_uring_enter", -err);
        ring_reap(&s);
    }
}

/* ------------------------------------------------------------------------- */

#define COOP (IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG)
#define DEFER (IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN)

static const struct mode {
    const char *name;
    unsigned flags;
    bool multishot;
} ring_modes[] = {
    {"plain", 0, false},
    {"coop", COOP, false},
    {"defer", DEFER, false},
    {"plain-ms", 0, true},
    {"coop-ms", COOP, true},
    {"defer-ms", DEFER, true},
    {"sqpoll", IORING_SETUP_SQPOLL, true},
};

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int port = argc > 2 ? atoi(argv[2]) : 0;
    for (size_t i = 0; i < ANSWERS_MAX; i++)
        memcpy(answers + i * ANSWER_SIZE, ANSWER, ANSWER_SIZE);
    if (strcmp(mode, "epoll") == 0)
        run_epoll(listen_on(port));
    for (size_t i = 0; i < sizeof ring_modes / sizeof *ring_modes; i++)
        if (strcmp(mode, ring_modes[i].name) == 0)
            run_ring(listen_on(port), ring_modes[i].flags, ring_modes[i].multishot);
    fprintf(stderr,
            "usage: limit epoll|plain|coop|defer|plain-ms|coop-ms|defer-ms|sqpoll [PORT]\n");
    return 2;
}
