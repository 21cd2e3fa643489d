/* The least that a single-threaded echo server can spend per message on this
 * kernel: the mark that examples/tcp_echo is measured against.
 *
 *     tcp MODE [PORT]          PORT 0, the default, takes a free one; the port
 *                              is printed; SIGTERM ends it
 *
 *     epoll                    edge-triggered; one recv and one send per wake-up
 *     coop defer               io_uring; a send linked to the next recv
 *
 * coop and defer are the ring's set-up flags: COOP_TASKRUN, which gust uses
 * because such a ring may change threads, and DEFER_TASKRUN, which binds a ring
 * to one thread.
 *
 * It keeps no deadlines and shares no work between threads.  It does echo
 * faithfully, though: what a client does not take waits, and meanwhile nothing more
 * is read from that client. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/serve.h"

/* The larger of the messages that are measured fits. */
#define BUF_SIZE ((size_t)64 << 10)
#define EVENTS 512
#define RING_ENTRIES 4096

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (!memory)
        die("memory", ENOMEM);
    return memory;
}

/* --- epoll ---------------------------------------------------------------
 *
 * One buffer serves all connections, so it stays in the cache.  What a client did
 * not take of it is kept in memory of the connection's own. */

typedef struct conn {
    int fd;
    char *rest; /* NULL if all is sent; else [sent, size) of it is not */
    size_t sent;
    size_t size;
} conn;

static void conn_close(conn *c)
{
    close(c->fd);
    free(c->rest);
    free(c);
}

/* How much of it the kernel took; -1 if the connection is broken. */
static ssize_t send_some(int fd, const char *data, size_t len)
{
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

static void rest_keep(conn *c, const char *data, size_t len)
{
    c->rest = allocate(len);
    memcpy(c->rest, data, len);
    c->sent = 0;
    c->size = len;
}

/* Returns what send_some does; afterwards rest is NULL if all of it is out. */
static ssize_t rest_send(conn *c)
{
    ssize_t n = send_some(c->fd, c->rest + c->sent, c->size - c->sent);
    if (n < 0 || (c->sent += (size_t)n) < c->size)
        return n;
    free(c->rest);
    c->rest = NULL;
    return n;
}

/* Echoes what is there.  -1: the connection has ended. */
static int echo(conn *c, uint32_t events)
{
    static char buf[BUF_SIZE];
    ssize_t got, sent;
    do {
        got = recv(c->fd, buf, sizeof buf, 0);
        if (got < 0 && errno == EAGAIN)
            return 0;
        if (got <= 0 || (sent = send_some(c->fd, buf, (size_t)got)) < 0)
            return -1;
        if (sent < got)
            rest_keep(c, buf + sent, (size_t)(got - sent));
        /* There is no further edge for what a full buffer, or a FIN that came with
         * the bytes, left behind. */
    } while (!c->rest && (got == sizeof buf || events & EPOLLRDHUP));
    return 0;
}

static void epoll_serve(conn *c, uint32_t events)
{
    if (c->rest && rest_send(c) < 0)
        conn_close(c);
    else if (!c->rest && echo(c, events) < 0)
        conn_close(c);
}

static void epoll_accept(int epoll_fd, int listen_fd)
{
    int fd;
    while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        conn *c = allocate(sizeof *c);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
                                    .data.ptr = c};
        c->fd = fd;
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            die("epoll_ctl", errno);
    }
    if (errno == EMFILE || errno == ENFILE)
        die("accept", errno);
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
                epoll_serve(events[i].data.ptr, events[i].events);
            else
                epoll_accept(epoll_fd, listen_fd);
    }
}

/* --- io_uring ------------------------------------------------------------
 *
 * A connection has one buffer and one recv in flight.  The recv that follows a send
 * is linked to it: the kernel starts it when the whole message is out, so one
 * io_uring_enter does both, and the buffer is free by then. */

typedef struct ring_conn {
    int fd;
    char buf[BUF_SIZE];
} ring_conn;

static struct io_uring ring;

/* Room for a linked pair, which must go in one submission. */
static void ring_make_room(unsigned entries)
{
    while (io_uring_sq_space_left(&ring) < entries)
        io_uring_submit(&ring);
}

static void ring_accept(int listen_fd)
{
    ring_make_room(1);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_multishot_accept(sqe, listen_fd, NULL, NULL, 0);
    io_uring_sqe_set_data(sqe, NULL);
}

static void ring_recv(ring_conn *c)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_recv(sqe, c->fd, c->buf, sizeof c->buf, 0);
    io_uring_sqe_set_data(sqe, c);
}

/* Nothing waits for a send that went well; after one that failed, or that sent less
 * than all, the recv is cancelled and says so. */
static void ring_send_then_recv(ring_conn *c, size_t len)
{
    ring_make_room(2);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
    io_uring_prep_send(sqe, c->fd, c->buf, len, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS;
    io_uring_sqe_set_data(sqe, &ring);
    ring_recv(c);
}

static void on_accept(int listen_fd, const struct io_uring_cqe *cqe)
{
    if (cqe->res < 0)
        die("accept", -cqe->res);
    ring_conn *c = allocate(sizeof *c);
    c->fd = cqe->res;
    ring_make_room(1);
    ring_recv(c);
    if (!(cqe->flags & IORING_CQE_F_MORE))
        ring_accept(listen_fd);
}

static void on_recv(ring_conn *c, int got)
{
    if (got > 0) {
        ring_send_then_recv(c, (size_t)got);
    } else {
        close(c->fd);
        free(c);
    }
}

static void ring_reap(int listen_fd)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(&ring, head, cqe)
    {
        void *data = io_uring_cqe_get_data(cqe);
        if (!data)
            on_accept(listen_fd, cqe);
        else if (data != &ring)
            on_recv(data, cqe->res);
        count++;
    }
    io_uring_cq_advance(&ring, count);
}

static void run_ring(int listen_fd, unsigned flags)
{
    struct io_uring_params params = {.flags = flags | IORING_SETUP_CQSIZE,
                                     .cq_entries = 4 * RING_ENTRIES};
    int err = io_uring_queue_init_params(RING_ENTRIES, &ring, &params);
    if (err)
        die("io_uring", -err);
    io_uring_register_ring_fd(&ring);
    ring_accept(listen_fd);
    for (;;) {
        err = io_uring_submit_and_wait(&ring, 1);
        if (err < 0 && err != -EINTR)
            die("io_uring_enter", -err);
        ring_reap(listen_fd);
    }
}

/* ------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    int port = argc > 2 ? atoi(argv[2]) : 0;
    if (strcmp(mode, "epoll") == 0)
        run_epoll(listen_on(port));
    if (strcmp(mode, "coop") == 0)
        run_ring(listen_on(port), IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG);
    if (strcmp(mode, "defer") == 0)
        run_ring(listen_on(port), IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
    fprintf(stderr, "usage: tcp epoll|coop|defer [PORT]\n");
    return 2;
}
