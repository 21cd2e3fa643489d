/* The load of `bench latency`, `scale` and `stall`, as an open or a closed loop.
 *
 *     http [--rate RATE] [--seed N] [--slow PATH --one-in N]
 *          PORT PATH CONNECTIONS WARM_UP_MS MS PID...
 *
 * With a rate it is open: so many times a second, at random moments (a Poisson process), a
 * request falls due, whatever the answers do.  A connection that is idle takes it; if none
 * is, it waits for one, the oldest first.  Its latency counts from when it fell due, so that
 * a server that stands still is charged for every request that came meanwhile (no
 * coordinated omission).  The thread never sleeps: what it measures is not its own waking
 * up.  So it needs a CPU of its own; "late_us" is by how much it was behind its own times at
 * worst.
 *
 * Without one it is closed: every connection sends a request as soon as it has the answer to
 * the one before, and the thread sleeps when there is nothing to read.
 *
 * One in N requests asks for the slow path instead, and its latency is not kept.
 *
 * After the warm-up the latencies of those requests that fall due within MS milliseconds are
 * kept, every one, and percentiles of them are printed as a line of JSON, in microseconds,
 * with the CPU time that the server's processes PID used meanwhile.  Connections are open
 * before the warm-up begins.  The answers have to be 200s of one and the same length. */
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdbool.h>
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
/* No server answers more on one CPU: how many latencies a closed loop makes room for. */
#define CLOSED_RATE_MAX 2e6
#define STALL_MS ((int)(STALL_NS / NS_PER_MS))
#define PIDS_MAX 64
#define OK_LINE "HTTP/1.1 200 "

typedef struct conn {
    int fd;
    int64_t due_ns;  /* of the request under way */
    size_t received; /* bytes of its answer */
    bool slow;       /* it is for the slow path */
} conn;

typedef struct message {
    char text[REQUEST_MAX];
    size_t len;
} message;

static message request, slow_request;
static unsigned slow_one_in; /* 0: none */
static unsigned requests_sent;
static double rate;       /* 0: a closed loop */
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

/* The CPU time of the server, and how much of it was used before and within the time. */
static struct {
    clockid_t clocks[PIDS_MAX];
    int count;
    int64_t before_ns, used_ns; /* -1: not known yet */
} cpu = {.before_ns = -1, .used_ns = -1};

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
static int64_t next_gap_ns(void)
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
    c->slow = slow_one_in && ++requests_sent % slow_one_in == 0;
    const message *m = c->slow ? &slow_request : &request;
    if (send(c->fd, m->text, m->len, MSG_NOSIGNAL) != (ssize_t)m->len)
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

/* A closed loop's next one. */
static void conn_ask(conn *c, int64_t now)
{
    if (now >= kept.end_ns)
        return;
    kept.under_way += is_kept(now);
    conn_request(c, now);
}

static void conn_is_free(conn *c)
{
    if (rate == 0) {
        conn_ask(c, now_ns());
        return;
    }
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

static void keep(const conn *c)
{
    int64_t latency_ns = now_ns() - c->due_ns;
    if (!is_kept(c->due_ns))
        return;
    kept.under_way--;
    if (c->slow)
        return;
    if (kept.count == kept.capacity)
        die("load", "more requests than the rate allows");
    kept.latency_ns[kept.count++] = latency_ns > UINT32_MAX ? UINT32_MAX : (uint32_t)latency_ns;
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
        keep(c);
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

/* The clock of all threads of a process, as clock_getcpuclockid makes it. */
static clockid_t cpu_clock(long pid)
{
    return (clockid_t)(~(uint32_t)pid << 3 | 2);
}

static int64_t cpu_ns(void)
{
    int64_t sum = 0;
    for (int i = 0; i < cpu.count; i++)
        sum += clock_ns(cpu.clocks[i]);
    return sum;
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

static void keep_between(int64_t begin_ns, int64_t measured_ns)
{
    double expected = (rate > 0 ? rate : CLOSED_RATE_MAX) * (double)measured_ns / (double)NS_PER_S;
    kept.begin_ns = begin_ns;
    kept.end_ns = begin_ns + measured_ns;
    /* More than ten times the standard deviation above what is expected. */
    kept.capacity = (size_t)(expected * 1.1) + 1000;
    kept.latency_ns = calloc(kept.capacity, sizeof *kept.latency_ns);
    if (!kept.latency_ns)
        die("start", strerror(errno));
}

/* Reads the server's clocks when the time begins and when it ends. */
static void watch_cpu(int64_t now)
{
    if (cpu.before_ns < 0 && now >= kept.begin_ns)
        cpu.before_ns = cpu_ns();
    if (cpu.used_ns < 0 && now >= kept.end_ns)
        cpu.used_ns = cpu_ns() - cpu.before_ns;
}

/* What falls due until now; returns when the next one does. */
static int64_t ask_until(int64_t now, int64_t due_ns)
{
    for (; due_ns <= now; due_ns += next_gap_ns()) {
        if (is_kept(due_ns) && now - due_ns > kept.late_ns)
            kept.late_ns = now - due_ns;
        falls_due(due_ns);
    }
    return due_ns;
}

/* Goes on until the last request that is kept has its answer: in an open loop others fall
 * due meanwhile. */
static void run(int epoll_fd)
{
    struct epoll_event events[EVENTS];
    int64_t now = now_ns(), due_ns = now;
    while (rate == 0 && idle.count > 0)
        conn_ask(idle_take(), now);
    while (cpu.used_ns < 0 || kept.under_way > 0) {
        now = now_ns();
        watch_cpu(now);
        if (now > kept.end_ns + STALL_NS)
            die("load", "answers do not come");
        if (rate > 0)
            due_ns = ask_until(now, due_ns);
        else if (cpu.used_ns >= 0 && kept.under_way == 0)
            break;
        int count = epoll_wait(epoll_fd, events, EVENTS, rate > 0 ? 0 : STALL_MS);
        if (count == 0 && rate == 0)
            die("load", "answers do not come");
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
           "\"p99_9_us\": %.1f, \"max_us\": %.1f, \"late_us\": %.1f, "
           "\"duration_us\": %lld, \"server_cpu_us\": %lld}\n",
           kept.count, percentile_us(50), percentile_us(90), percentile_us(99), percentile_us(99.9),
           percentile_us(100), (double)kept.late_ns / 1e3,
           (long long)(kept.end_ns - kept.begin_ns) / 1000, (long long)cpu.used_ns / 1000);
}

/* --- Command line --------------------------------------------------------------- */

static void message_make(message *m, const char *path)
{
    int len = snprintf(m->text, sizeof m->text, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path);
    if (len < 0 || (size_t)len >= sizeof m->text)
        die("path", "too long");
    m->len = (size_t)len;
}

static void parse_options(int argc, char **argv)
{
    static const struct option options[] = {{"rate", required_argument, NULL, 'r'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"slow", required_argument, NULL, 'p'},
                                            {"one-in", required_argument, NULL, 'n'},
                                            {0}};
    int option;
    random_state = 1;
    while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        switch (option) {
        case 'r': rate = (double)argument(optarg, "rate", 1, RATE_MAX); break;
        case 's': random_state = (uint64_t)argument(optarg, "seed", 1, INT32_MAX); break;
        case 'p': message_make(&slow_request, optarg); break;
        case 'n': slow_one_in = (unsigned)argument(optarg, "one-in", 1, INT32_MAX); break;
        default: exit(2);
        }
    }
    if ((slow_one_in > 0) != (slow_request.len > 0))
        die("options", "--slow and --one-in go together");
}

int main(int argc, char **argv)
{
    parse_options(argc, argv);
    argv += optind;
    argc -= optind;
    if (argc < 6 || argc > 5 + PIDS_MAX) {
        fprintf(stderr, "usage: http [--rate RATE] [--seed N] [--slow PATH --one-in N]\n"
                        "            PORT PATH CONNECTIONS WARM_UP_MS MS PID...\n");
        return 2;
    }
    int port = (int)argument(argv[0], "port", 1, 65535);
    message_make(&request, argv[1]);
    size_t count = (size_t)argument(argv[2], "connections", 1, CONNECTIONS_MAX);
    int64_t warm_up_ns = argument(argv[3], "warm-up", 0, INT32_MAX) * NS_PER_MS;
    int64_t measured_ns = argument(argv[4], "time", 1, INT32_MAX) * NS_PER_MS;
    for (int i = 5; i < argc; i++)
        cpu.clocks[cpu.count++] = cpu_clock(argument(argv[i], "pid", 1, INT32_MAX));

    int epoll_fd = open_all(port, count);
    keep_between(now_ns() + warm_up_ns, measured_ns);
    run(epoll_fd);
    report();
    return 0;
}
