/* The idle connections of `bench conns`: opens many, and keeps them.
 *
 *     conns PORT COUNT
 *
 * Opens COUNT keep-alive connections to 127.0.0.1:PORT as fast as it can; each makes
 * one request, and falls silent when it has its answer.  Then a line of JSON says how
 * that went.  For every line read from stdin, each makes another request, and another
 * line of JSON follows.  At the end of stdin it resets all of them.
 *
 * At most IN_FLIGHT connections at a time wait for their answer, so the server's
 * backlog never overflows: a dropped SYN would be sent again only a second later, and
 * the rate would be that of the retransmissions. */
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/lib/client.h"

#define COUNT_MAX 1000000
#define IN_FLIGHT 512
#define EVENTS 512
/* There are some 28 000 ephemeral ports for each pair of addresses; the search for a
 * free one becomes slow when most are taken. */
#define PER_SOURCE 10000
#define STALL_MS 20000

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\n\r\n";
static const char status[] = "HTTP/1.1 200 ";
static const char body[] = "Hello, World!";

typedef enum conn_state {
    CONN_IDLE,   /* it has had its answer; the server owes it nothing */
    CONN_ASKED,  /* its request is sent */
    CONN_BROKEN, /* closed by the server, or answered wrongly; the socket is closed */
} conn_state;

typedef struct conn {
    int fd;
    conn_state state;
} conn;

static int epoll_fd;
static conn *conns;
static size_t count;
static size_t in_flight; /* how many are CONN_ASKED */

/* --- One connection ------------------------------------------------------ */

static void conn_break(conn *c)
{
    close(c->fd);
    c->state = CONN_BROKEN;
}

static void conn_ask(conn *c)
{
    if (send(c->fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) {
        conn_break(c);
        return;
    }
    c->state = CONN_ASKED;
    in_flight++;
}

/* Number i, from a source address that it shares with PER_SOURCE - 1 others. */
static int connect_from(size_t i, int port)
{
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr =
                                   htonl(0x7f000101 + (uint32_t)(i / PER_SOURCE))}; /* 127.0.1.1 */
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* The port is picked by connect, which knows that only the pair must be unique. */
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) < 0 ||
        connect(fd, (struct sockaddr *)&to, sizeof to) < 0)
        return -1;
    return fd;
}

static void conn_open(size_t i, int port)
{
    conn *c = &conns[i];
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = c};
    c->fd = connect_from(i, port);
    if (c->fd < 0)
        die("connect", strerror(errno));
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll", strerror(errno));
    conn_ask(c);
}

static bool ends_well(const char *answer, size_t len)
{
    return len >= sizeof status + sizeof body && memcmp(answer, status, sizeof status - 1) == 0 &&
           memcmp(answer + len - (sizeof body - 1), body, sizeof body - 1) == 0;
}

/* Reads an answer of which there is something.  Nearly always that is all of it. */
static bool answer_is_good(int fd)
{
    char answer[4096];
    size_t len = 0;
    while (len < sizeof answer) {
        ssize_t n = recv(fd, answer + len, sizeof answer - len, MSG_DONTWAIT);
        struct pollfd more = {.fd = fd, .events = POLLIN};
        if (n == 0 || (n < 0 && (errno != EAGAIN || poll(&more, 1, STALL_MS) <= 0)))
            return false;
        len += n > 0 ? (size_t)n : 0;
        if (ends_well(answer, len))
            return true;
    }
    return false;
}

static void conn_event(conn *c)
{
    bool asked = c->state == CONN_ASKED;
    in_flight -= asked;
    if (asked && answer_is_good(c->fd))
        c->state = CONN_IDLE;
    else if (c->state != CONN_BROKEN)
        conn_break(c); /* nobody asked: it is being closed */
}

/* --- All of them --------------------------------------------------------- */

/* Serves events until fewer than `limit` connections wait for an answer. */
static void await_answers(size_t limit)
{
    struct epoll_event events[EVENTS];
    while (in_flight >= limit) {
        int ready = epoll_wait(epoll_fd, events, EVENTS, STALL_MS);
        if (ready == 0)
            die("answers", "none has come for a long time");
        for (int i = 0; i < ready; i++)
            conn_event(events[i].data.ptr);
    }
}

static void open_all(int port)
{
    for (size_t i = 0; i < count; i++) {
        conn_open(i, port);
        await_answers(IN_FLIGHT);
    }
    await_answers(1);
}

static void ask_all(void)
{
    for (size_t i = 0; i < count; i++) {
        if (conns[i].state == CONN_IDLE)
            conn_ask(&conns[i]);
        await_answers(IN_FLIGHT);
    }
    await_answers(1);
}

static void report(int64_t began_us)
{
    size_t broken = 0;
    for (size_t i = 0; i < count; i++)
        broken += conns[i].state == CONN_BROKEN;
    printf("{\"connections\": %zu, \"broken\": %zu, \"duration_us\": %lld}\n", count, broken,
           (long long)(now_ns() / 1000 - began_us));
    fflush(stdout);
}

/* A reset leaves no TIME_WAIT behind, which would take memory and ports from what is
 * measured next. */
static void reset_all(void)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    for (size_t i = 0; i < count; i++)
        if (conns[i].state != CONN_BROKEN) {
            setsockopt(conns[i].fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(conns[i].fd);
        }
}

int main(int argc, char **argv)
{
    char line[64];
    if (argc != 3) {
        fprintf(stderr, "usage: conns PORT COUNT\n");
        return 2;
    }
    int port = (int)argument(argv[1], "port", 1, 65535);
    count = (size_t)argument(argv[2], "count", 1, COUNT_MAX);
    conns = calloc(count, sizeof *conns);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (!conns || epoll_fd < 0)
        die("start", strerror(errno));
    int64_t began_us = now_ns() / 1000;
    open_all(port);
    report(began_us);
    while (fgets(line, sizeof line, stdin)) {
        began_us = now_ns() / 1000;
        ask_all();
        report(began_us);
    }
    reset_all();
    return 0;
}
