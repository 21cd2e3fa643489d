/* The load of `bench latency`: requests at times that do not depend on the answers.
 *
 *     open_loop PORT PATH CONNECTIONS RATE WARM_UP_MS MS SEED
 *
 * RATE times a second, at random moments (a Poisson process), a request falls due.  A
 * connection that is idle takes it; if none is, it waits for one, the oldest first.  Its
 * latency counts from when it fell due, so that a server that stands still is charged for
 * every request that came meanwhile (no coordinated omission).  After the warm-up the
 * latencies of those that fall due within MS milliseconds are kept, every one, and
 * percentiles of them are printed as a line of JSON, in microseconds.
 *
 * The thread never sleeps: what it measures is not its own waking up.  So it needs a CPU
 * of its own; "late_us" is by how much it was behind its own times at worst.
 *
 * The answers have to be 200s of one and the same length. */
#include <fcntl.h>
#include <math.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/lib/client.h"

#define EVENTS 512
#define READ_SIZE 65536
#define REQUEST_MAX 1024
#define CONNECTIONS_MAX 20000
#define RATE_MAX 10000000
/* No server is silent for so long. */
#define STALL_NS (20 * NS_PER_S)
/* A queue of as many requests: the server is far from keeping up. */
#define WAITING_MAX ((size_t)1 << 20)
#define OK_LINE "HTTP/1.1 200 "

typedef struct conn {
    int fd;
    int64_t due_ns;  /* of the request under way */
    size_t received; /* bytes of its answer */
} conn;

static char request[REQUEST_MAX];
static size_t request_len;
static size_t answer_len; /* head and body, from the first answer on */

/* The one that has been idle for longest is the next; a ring. */
static struct {
    conn **conns;
    size_t first, count, size;
} idle;

/* Times at which requests fell due that no connection has taken; a ring. */
static struct {
    int64_t due_ns[WAITING_MAX];
    size_t first, count;
} waiting;

static struct {
    int64_t begin_ns, end_ns;
    uint32_t *latency_ns;
    size_t count, capacity;
    size_t under_way; /* due within the time, not answered yet */
    int64_t late_ns;
} kept;

/* --- When requests fall due -------------------------------------------------- */

static uint64_t random_state;

/* xorshift64*, from above 0 to 1. */
static double random_part(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return ((double)(random_state * UINT64_C(0x2545f4914f6cdd1d) >> 11) + 1) / 9007199254740992.0;
}

/* Times between the events of a Poisson process are exponentially distributed. */
static int64_t next_gap_ns(double rate)
{
    return (int64_t)(-log(random_part()) / rate * (double)NS_PER_S);
}

static int is_kept(int64_t due_ns)
{
    return due_ns >= kept.begin_ns && due_ns < kept.end_ns;
}

/* --- Connections -------------------------------------------------------------- */

static void conn_request(conn *c, int64_t due_ns)
{
    c->due_ns = due_ns;
    c->received = 0;
    if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
        die("send", "the server does not take a small request");
}

static void idle_put(conn *c)
{
    idle.conns[(idle.first + idle.count++) % idle.size] = c;
}

static conn *idle_take(void)
{
    conn *c = idle.conns[idle.first];
    idle.first = (idle.first + 1) % idle.size;
    idle.count--;
    return c;
}

static void conn_is_free(conn *c)
{
    if (waiting.count == 0) {
        idle_put(c);
        return;
    }
    int64_t due_ns = waiting.due_ns[waiting.first];
    waiting.first = (waiting.first + 1) % WAITING_MAX;
    waiting.count--;
    conn_request(c, due_ns);
}

static void falls_due(int64_t due_ns)
{
    kept.under_way += is_kept(due_ns);
    if (idle.count > 0) {
        conn_request(idle_take(), due_ns);
        return;
    }
    if (waiting.count == WAITING_MAX)
        die("load", "the server does not keep up by far");
    waiting.due_ns[(waiting.first + waiting.count++) % WAITING_MAX] = due_ns;
}

static void keep(int64_t due_ns)
{
    int64_t latency_ns = now_ns() - due_ns;
    if (!is_kept(due_ns))
        return;
    if (kept.count == kept.capacity)
        die("load", "more requests than the rate allows");
    kept.latency_ns[kept.count++] = latency_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_ns;
    kept.under_way--;
}

/* The length of an answer whose head is at the start of buf. */
static size_t answer_size(char *buf, size_t len)
{
    buf[len] = '\0';
    const char *end = strstr(buf, "\r\n\r\n"), *field = strcasestr(buf, "\r\nContent-Length:");
    if (!end || !field || field > end)
        die("answer", "its first piece has no whole head with a Content-Length");
    return (size_t)(end + 4 - buf) + strtoul(field + 17, NULL, 10);
}

static void conn_receive(conn *c)
{
    static char buf[READ_SIZE + 1];
    ssize_t n = recv(c->fd, buf, READ_SIZE, 0);
    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("recv", n ? strerror(errno) : "the server has closed the connection");
    if (c->received == 0 && strncmp(buf, OK_LINE, strlen(OK_LINE)) != 0)
        die("answer", "it is not a 200");
    if (!answer_len)
        answer_len = answer_size(buf, (size_t)n);
    c->received += (size_t)n;
    if (c->received > answer_len)
        die("answer", "it is longer than the first one");
    if (c->received == answer_len) {
        keep(c->due_ns);
        conn_is_free(c);
    }
}

static void conn_open(conn *c, int epoll_fd, int port)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    c->fd = connect_to(port);
    if (fcntl(c->fd, F_SETFL, O_NONBLOCK) < 0 ||
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        die("epoll", strerror(errno));
    idle_put(c);
}

static int open_all(int port, size_t count)
{
    int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    conn *conns = calloc(count, sizeof *conns);
    idle.conns = calloc(count, sizeof *idle.conns);
    idle.size = count;
    if (epoll_fd < 0 || !conns || !idle.conns)
        die("start", strerror(errno));
    for (size_t i = 0; i < count; i++)
        conn_open(&conns[i], epoll_fd, port);
    return epoll_fd;
}

/* --- The run ------------------------------------------------------------------ */

static void keep_between(int64_t begin_ns, int64_t measured_ns, double rate)
{
    kept.begin_ns = begin_ns;
    kept.end_ns = begin_ns + measured_ns;
    /* More than ten times the standard deviation above what is expected. */
    kept.capacity = (size_t)(rate * (double)measured_ns / (double)NS_PER_S * 1.1) + 1000;
    kept.latency_ns = calloc(kept.capacity, sizeof *kept.latency_ns);
    if (!kept.latency_ns)
        die("start", strerror(errno));
}

/* Requests go on falling due until the last one that is kept has its answer. */
static void run(int epoll_fd, double rate)
{
    struct epoll_event events[EVENTS];
    int64_t due_ns = now_ns();
    while (due_ns < kept.end_ns || kept.under_way > 0) {
        int64_t now = now_ns();
        if (now > kept.end_ns + STALL_NS)
            die("load", "answers do not come");
        for (; due_ns <= now; due_ns += next_gap_ns(rate)) {
            if (is_kept(due_ns) && now - due_ns > kept.late_ns)
                kept.late_ns = now - due_ns;
            falls_due(due_ns);
        }
        int count = epoll_wait(epoll_fd, events, EVENTS, 0);
        for (int i = 0; i < count; i++)
            conn_receive(events[i].data.ptr);
    }
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double percentile_us(double percent)
{
    size_t at = (size_t)(percent / 100 * (double)kept.count);
    return kept.latency_ns[at < kept.count ? at : kept.count - 1] / 1e3;
}

static void report(void)
{
    if (kept.count == 0)
        die("load", "no request fell due");
    qsort(kept.latency_ns, kept.count, sizeof *kept.latency_ns, compare);
    printf("{\"requests\": %zu, \"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, "
           "\"p99_9_us\": %.1f, \"max_us\": %.1f, \"late_us\": %.1f}\n",
           kept.count, percentile_us(50), percentile_us(90), percentile_us(99), percentile_us(99.9),
           percentile_us(100), (double)kept.late_ns / 1e3);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: open_loop PORT PATH CONNECTIONS RATE WARM_UP_MS MS SEED\n");
        return 2;
    }
    int port = (int)argument(argv[1], "port", 1, 65535);
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", argv[2]);
    size_t count = (size_t)argument(argv[3], "connections", 1, CONNECTIONS_MAX);
    double rate = (double)argument(argv[4], "rate", 1, RATE_MAX);
    int64_t warm_up_ns = argument(argv[5], "warm-up", 0, INT32_MAX) * NS_PER_MS;
    int64_t measured_ns = argument(argv[6], "time", 1, INT32_MAX) * NS_PER_MS;
    random_state = (uint64_t)argument(argv[7], "seed", 1, INT32_MAX);

    if (len < 0 || (size_t)len >= sizeof request)
        die("path", "too long");
    request_len = (size_t)len;
    int epoll_fd = open_all(port, count);
    keep_between(now_ns() + warm_up_ns, measured_ns, rate);
    run(epoll_fd, rate);
    report();
    return 0;
}
