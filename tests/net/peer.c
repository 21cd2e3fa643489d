/* A client built on gust, for tests/integration/netns.py.
 *
 *     peer stream ADDR:PORT BYTES CONNECTIONS
 *
 * Each connection sends a stream of BYTES known bytes to an echo server, ends it by
 * SHUT_WR, and checks that the same bytes and then the end come back.
 *
 *     peer talk ADDR:PORT MS
 *
 * Dials, waiting MS milliseconds at most (0: for ever), and then does what stdin says,
 * on a stream of the same kind:
 *
 *     send N MS    writes the next N bytes, and drains
 *     recv N MS    reads the next N bytes
 *     end MS       reads to the end of the stream
 *     shut MS      shuts down for writing
 *
 * The dial and each line are answered by a line: "ok", "EOF", or the name of the error.
 * Everything goes by gust's calls with deadlines. */
#include <errno.h>
#include <gust/net.h>
#include <gust/runtime.h>
#include <gust/sync.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longer than anything takes, even over a bad network. */
#define PATIENCE (60 * GUST_SEC)
#define CHUNK 4096

struct options {
    const char *mode;
    gust_addr addr;
    int64_t first; /* BYTES or MS */
    int64_t connections;
};

static gust_time within_ms(int64_t ms)
{
    return ms ? gust_after(ms * GUST_MS) : GUST_FOREVER;
}

static _Noreturn void fail(const char *what, ssize_t error)
{
    fprintf(stderr, "peer: %s: %s\n", what, error < 0 ? strerrorname_np((int)-error) : "EOF");
    exit(1);
}

/* --- The stream ------------------------------------------------------------ */

/* Byte number i: any lost, doubled or swapped piece shows. */
static char stream_byte(uint64_t i)
{
    return (char)((i * UINT64_C(0x9e3779b97f4a7c15)) >> 56);
}

/* Writes bytes [at, at + len).  0 or an error. */
static int stream_send(gust_conn *c, uint64_t at, int64_t len, gust_time deadline)
{
    char buf[CHUNK];
    while (len > 0) {
        size_t n = len < CHUNK ? (size_t)len : CHUNK;
        for (size_t i = 0; i < n; i++)
            buf[i] = stream_byte(at + i);
        ssize_t r = gust_conn_write(c, buf, n, deadline);
        if (r < 0)
            return (int)r;
        at += n;
        len -= (int64_t)n;
    }
    return gust_conn_drain(c, deadline);
}

/* Reads and checks bytes [*at, end), moving *at, so that it can go on after -ETIMEDOUT.
 * 1 when all are there, 0 if the stream ends before, or an error. */
static int stream_recv(gust_conn *c, uint64_t *at, uint64_t end, gust_time deadline)
{
    char buf[CHUNK];
    while (*at < end) {
        size_t wanted = end - *at < CHUNK ? (size_t)(end - *at) : CHUNK;
        ssize_t n = gust_conn_read(c, buf, wanted, deadline);
        if (n <= 0)
            return (int)n;
        for (ssize_t i = 0; i < n; i++) {
            if (buf[i] != stream_byte(*at + (uint64_t)i)) {
                fprintf(stderr, "peer: byte %llu is wrong\n", (unsigned long long)*at + (size_t)i);
                exit(1);
            }
        }
        *at += (uint64_t)n;
    }
    return 1;
}

/* --- stream ------------------------------------------------------------------ */

struct stream {
    gust_conn *conn;
    int64_t len;
    gust_waitgroup *group;
};

static void write_stream(void *arg)
{
    struct stream *s = arg;
    int error = stream_send(s->conn, 0, s->len, gust_after(PATIENCE));
    if (!error)
        error = gust_conn_shutdown(s->conn, SHUT_WR, gust_after(PATIENCE));
    if (error)
        fail("write", error);
    gust_waitgroup_done(s->group);
}

static void read_stream(void *arg)
{
    struct stream *s = arg;
    uint64_t at = 0;
    char byte;
    int r = stream_recv(s->conn, &at, (uint64_t)s->len, gust_after(PATIENCE));
    if (r <= 0)
        fail("read", r);
    ssize_t n = gust_conn_read(s->conn, &byte, 1, gust_after(PATIENCE));
    if (n > 0)
        fail("more came back than was sent", -EMSGSIZE);
    if (n < 0)
        fail("end of the stream", n);
    gust_waitgroup_done(s->group);
}

static void open_stream(struct stream *s, const gust_addr *addr)
{
    int error = gust_tcp_dial(addr, gust_after(PATIENCE), &s->conn);
    if (error)
        fail("dial", error);
    gust_waitgroup_add(s->group, 2);
    if ((error = gust_go(write_stream, s)) || (error = gust_go(read_stream, s)))
        fail("go", error);
}

static int run_streams(struct options *o)
{
    gust_waitgroup group = {0};
    struct stream *streams = calloc((size_t)o->connections, sizeof *streams);
    if (!streams)
        fail("memory", -ENOMEM);
    for (int64_t i = 0; i < o->connections; i++) {
        streams[i] = (struct stream){.len = o->first, .group = &group};
        open_stream(&streams[i], &o->addr);
    }
    gust_waitgroup_wait(&group, GUST_FOREVER);
    for (int64_t i = 0; i < o->connections; i++) {
        int error = gust_conn_close(streams[i].conn, gust_after(PATIENCE));
        if (error)
            fail("close", error);
    }
    free(streams);
    return 0;
}

/* --- talk -------------------------------------------------------------------- */

struct talk {
    gust_conn *conn;
    uint64_t sent;
    uint64_t received;
};

static void say(const char *text)
{
    puts(text);
    fflush(stdout);
}

static void say_result(int error)
{
    say(error ? strerrorname_np(-error) : "ok");
}

static void do_send(struct talk *t, int64_t len, gust_time deadline)
{
    int error = stream_send(t->conn, t->sent, len, deadline);
    t->sent += (uint64_t)len;
    say_result(error);
}

static void do_recv(struct talk *t, int64_t len, gust_time deadline)
{
    int r = stream_recv(t->conn, &t->received, t->received + (uint64_t)len, deadline);
    if (r == 0)
        say("EOF");
    else
        say_result(r < 0 ? r : 0);
}

static void do_end(struct talk *t, gust_time deadline)
{
    int r;
    do
        r = stream_recv(t->conn, &t->received, t->received + 1, deadline);
    while (r > 0);
    if (r == 0)
        say("EOF");
    else
        say_result(r);
}

/* False: the line is none that it knows. */
static bool obey(struct talk *t, const char *line)
{
    long long n, ms;
    if (sscanf(line, "send %lld %lld", &n, &ms) == 2)
        do_send(t, n, within_ms(ms));
    else if (sscanf(line, "recv %lld %lld", &n, &ms) == 2)
        do_recv(t, n, within_ms(ms));
    else if (sscanf(line, "end %lld", &ms) == 1)
        do_end(t, within_ms(ms));
    else if (sscanf(line, "shut %lld", &ms) == 1)
        say_result(gust_conn_shutdown(t->conn, SHUT_WR, within_ms(ms)));
    else
        return false;
    return true;
}

static bool next_line(char *line, int size)
{
    gust_blocking_begin();
    bool more = fgets(line, size, stdin) != NULL;
    gust_blocking_end();
    return more;
}

static int run_talk(struct options *o)
{
    struct talk t = {0};
    char line[128];
    int error = gust_tcp_dial(&o->addr, within_ms(o->first), &t.conn);
    say_result(error);
    while (!error && next_line(line, sizeof line)) {
        if (!obey(&t, line)) {
            fprintf(stderr, "peer: cannot %s", line);
            return 1;
        }
    }
    gust_conn_unref(t.conn);
    return 0;
}

/* ----------------------------------------------------------------------------- */

static int run(void *arg)
{
    struct options *o = arg;
    return strcmp(o->mode, "talk") == 0 ? run_talk(o) : run_streams(o);
}

static bool parse_count(const char *text, int64_t *ret_count)
{
    char *end;
    *ret_count = strtoll(text, &end, 10);
    return end != text && *end == '\0' && *ret_count >= 0;
}

int main(int argc, char **argv)
{
    struct options o = {.mode = argc > 1 ? argv[1] : ""};
    bool stream = strcmp(o.mode, "stream") == 0 && argc == 5;
    bool talk = strcmp(o.mode, "talk") == 0 && argc == 4;
    if ((stream || talk) && gust_addr_parse(argv[2], &o.addr) == 0 &&
        parse_count(argv[3], &o.first) && (talk || parse_count(argv[4], &o.connections)))
        return gust_run(run, &o) == 0 ? 0 : 1;
    fputs("usage: peer stream ADDR:PORT BYTES CONNECTIONS | talk ADDR:PORT MS\n", stderr);
    return 2;
}
