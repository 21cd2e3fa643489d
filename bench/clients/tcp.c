/* The load of `bench tcp`: sends messages, checks what comes back, counts.
 *
 *     tcp PORT CONNECTIONS BYTES WARM_UP_MS MS PID
 *
 * Every connection sends a message of BYTES bytes, reads as many, compares them
 * and goes on with its next message, all on one thread.  What the clocks, that of
 * the server's process PID included, advance in MS milliseconds after the warm-up
 * is printed as a line of JSON.  A byte that is not the one sent ends it with
 * status 1.
 *
 * Message k of connection c is a piece of one random text, at an offset that
 * depends on k and c: what is lost, doubled, late or another's is different. */
#include <fcntl.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/client.h"

#define OFFSETS 4096
#define EVENTS 512
#define READ_SIZE ((size_t)256 << 10)
/* No server is silent for so long. */
#define STALL_MS 20000
#define CONNECTIONS_MAX 100000
#define BYTES_MAX ((size_t)1 << 30)

typedef struct conn {
    int fd;
    uint32_t offset; /* of this message in the text */
    size_t sent;
    size_t received;
} conn;

static char *text;
static char scratch[READ_SIZE];
static size_t size;
static uint64_t messages;

/* xorshift64: the same text in every run. */
static void text_make(void)
{
    uint64_t x = UINT64_C(0x9e3779b97f4a7c15);
    text = malloc(size + OFFSETS);
    if (!text)
        die("text", strerror(ENOMEM));
    for (size_t i = 0; i < size + OFFSETS; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        text[i] = (char)(x >> 32);
    }
}

/* What the kernel does not take now, it takes at the next EPOLLOUT. */
static void conn_send(conn *c)
{
    ssize_t n = send(c->fd, text + c->offset + c->sent, size - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN)
        die("send", strerror(errno));
    c->sent += n > 0 ? (size_t)n : 0;
}

/* One recv is enough for an edge: nothing follows the message's last byte, and less
 * than was asked for means that the socket is empty. */
static void conn_receive(conn *c)
{
    for (;;) {
        size_t wanted = size - c->received < READ_SIZE ? size - c->received : READ_SIZE;
        ssize_t n = recv(c->fd, scratch, wanted, 0);
        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0)
            die("recv", n ? strerror(errno) : "the server has closed the connection");
        if (c->received + (size_t)n > c->sent ||
            memcmp(scratch, text + c->offset + c->received, (size_t)n) != 0)
            die("echo", "these are not the bytes that were sent");
        c->received += (size_t)n;
        if (c->received == size || (size_t)n < wanted)
            return;
    }
}

static void conn_go_on(conn *c)
{
    conn_receive(c);
    if (c->received == size) {
        messages++;
        c->sent = c->received = 0;
        c->offset = (c->offset + 61) % OFFSETS;
    }
    if (c->sent < size)
        conn_send(c);
}

static void conn_open(conn *c, int epoll_fd, int port)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
    c->fd = connect_to(port);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll", strerror(errno));
}

/* Serves events until the clock says `end`. */
static void run_until(int epoll_fd, int64_t end_ns)
{
    struct epoll_event events[EVENTS];
    while (now_ns() < end_ns) {
        int count = epoll_wait(epoll_fd, events, EVENTS, STALL_MS);
        if (count == 0)
            die("echo", "no byte has come back for a long time");
        for (int i = 0; i < count; i++)
            conn_go_on(events[i].data.ptr);
    }
}

/* The clock of all threads of a process, as clock_getcpuclockid makes it.  It counts
 * nanoseconds; /proc/PID/stat counts ticks of 10 ms. */
static clockid_t cpu_clock(long pid)
{
    return (clockid_t)(~(uint32_t)pid << 3 | 2);
}

static void measure(int epoll_fd, int64_t warm_up_ns, int64_t measured_ns, clockid_t server)
{
    run_until(epoll_fd, now_ns() + warm_up_ns);
    int64_t began_ns = now_ns(), cpu_ns = clock_ns(server);
    messages = 0;
    run_until(epoll_fd, began_ns + measured_ns);
    cpu_ns = clock_ns(server) - cpu_ns;
    printf("{\"messages\": %llu, \"duration_us\": %lld, \"server_cpu_us\": %lld}\n",
           (unsigned long long)messages, (long long)(now_ns() - began_ns) / 1000,
           (long long)cpu_ns / 1000);
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: tcp PORT CONNECTIONS BYTES WARM_UP_MS MS PID\n");
        return 2;
    }
    int port = (int)argument(argv[1], "port", 1, 65535);
    size_t count = (size_t)argument(argv[2], "connections", 1, CONNECTIONS_MAX);
    size = (size_t)argument(argv[3], "bytes", 1, BYTES_MAX);
    int64_t warm_up_ns = argument(argv[4], "warm-up", 0, INT32_MAX) * NS_PER_MS;
    int64_t measured_ns = argument(argv[5], "time", 1, INT32_MAX) * NS_PER_MS;
    clockid_t server = cpu_clock(argument(argv[6], "pid", 1, INT32_MAX));
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conn *conns = calloc(count, sizeof *conns);
    if (epoll_fd < 0 || !conns)
        die("start", strerror(errno));
    text_make();
    for (size_t i = 0; i < count; i++) {
        conns[i].offset = (uint32_t)(i * 1031 % OFFSETS);
        conn_open(&conns[i], epoll_fd, port);
    }
    measure(epoll_fd, warm_up_ns, measured_ns, server);
    return 0;
}
