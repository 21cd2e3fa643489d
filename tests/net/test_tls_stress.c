/* TLS connections that are read, written, flushed, interrupted and closed from several
 * goroutines at random: every byte that comes is the next of the stream. */
#include "tests/net/tls_test.h"

enum { PAIRS = 6, ROUNDS = 3, ENOUGH_BYTES = 400000 };

struct side {
    gust_conn *conn;
    unsigned rng;
    struct pair *pair;
};

struct pair {
    struct side sides[2];
    _Atomic uint64_t received;
    gust_waitgroup done;
};

static unsigned draw(unsigned *rng, unsigned below)
{
    *rng = *rng * 1103515245 + 12345;
    return (*rng >> 16) % below;
}

static unsigned seed_of_test(void)
{
    const char *text = getenv("GUST_TEST_SEED");
    unsigned seed = text ? (unsigned)strtoul(text, NULL, 10) : (unsigned)gust_now();
    fprintf(stderr, "GUST_TEST_SEED=%u\n", seed);
    return seed;
}

static bool has_ended(ssize_t n)
{
    return n == 0 || n == -EBADF || n == -ECONNRESET || n == -EPIPE || n == -ECONNABORTED ||
           n == -ECANCELED;
}

/* Reads and fills in turn, now and then without patience. */
static void read_side(void *arg)
{
    struct side *s = arg;
    unsigned rng = s->rng ^ 0x55555555;
    uint64_t at = 0;
    char buf[3000];
    for (;;) {
        gust_time deadline = draw(&rng, 4) ? SOON : gust_after(draw(&rng, 50) * GUST_US);
        ssize_t n;
        if (draw(&rng, 2)) {
            n = gust_conn_read(s->conn, buf, 1 + draw(&rng, sizeof buf), deadline);
            if (n > 0)
                stream_check(buf, (size_t)n, at);
        } else {
            n = gust_conn_fill(s->conn, 20000, deadline);
            gust_span view = gust_conn_view(s->conn);
            if (n > 0 || n == -ENOBUFS) {
                stream_check(view.data, view.len, at);
                gust_conn_consume(s->conn, view.len);
                n = (ssize_t)view.len;
            }
        }
        if (n == -ETIMEDOUT || n == -EAGAIN)
            continue;
        if (n <= 0) {
            CHECK(has_ended(n));
            break;
        }
        at += (uint64_t)n;
        atomic_fetch_add(&s->pair->received, (uint64_t)n);
    }
    gust_conn_unref(s->conn);
    gust_waitgroup_done(&s->pair->done);
}

static ssize_t write_some(struct side *s, unsigned *rng, uint64_t at)
{
    static const size_t sizes[] = {10, 900, 5000, 16000, 40000};
    char *buf = malloc(40000);
    size_t len = 1 + draw(rng, (unsigned)sizes[draw(rng, 5)]);
    stream_fill(buf, len, at);
    ssize_t n = draw(rng, 2)   ? gust_conn_append(s->conn, buf, len, SOON)
                : draw(rng, 2) ? gust_conn_write(s->conn, buf, len, SOON)
                               : gust_conn_write(s->conn, buf, len, GUST_NOW);
    free(buf);
    return n;
}

static void write_side(void *arg)
{
    struct side *s = arg;
    unsigned rng = s->rng;
    uint64_t at = 0;
    for (;;) {
        ssize_t n = write_some(s, &rng, at);
        if (n == -EAGAIN) {
            gust_yield();
            continue;
        }
        if (n < 0) {
            CHECK(has_ended(n));
            break;
        }
        at += (uint64_t)n;
        if (draw(&rng, 3) == 0 && gust_conn_drain(s->conn, SOON) < 0)
            break;
    }
    gust_conn_unref(s->conn);
    gust_waitgroup_done(&s->pair->done);
}

/* Flushes what others append, and in the end closes under them. */
static void disturb_side(void *arg)
{
    struct side *s = arg;
    unsigned rng = s->rng ^ 0x12345678;
    uint64_t enough = draw(&rng, ENOUGH_BYTES);
    while (atomic_load(&s->pair->received) < enough && gust_conn_flush(s->conn) == 0)
        gust_yield();
    /* Not for long: if both ends do this neither reads any more. */
    int error = gust_conn_close(s->conn, draw(&rng, 2) ? GUST_NOW : gust_after(GUST_MS));
    CHECK(error == 0 || error == -EAGAIN || error == -ETIMEDOUT || has_ended(error));
    gust_waitgroup_done(&s->pair->done);
}

static void pair_start(struct pair *p, gust_tls_config *server, gust_tls_config *client,
                       unsigned seed)
{
    *p = (struct pair){0};
    pair_open(&p->sides[0].conn, &p->sides[1].conn);
    CHECK_EQ(gust_tls_server(p->sides[0].conn, server), 0);
    CHECK_EQ(gust_tls_client(p->sides[1].conn, client, "localhost"), 0);
    gust_waitgroup_add(&p->done, 6);
    for (unsigned i = 0; i < 2; i++) {
        struct side *s = &p->sides[i];
        s->pair = p;
        s->rng = seed + i * 7919;
        gust_conn_ref(s->conn);
        gust_conn_ref(s->conn);
        go(read_side, s);
        go(write_side, s);
        go(disturb_side, s);
    }
}

TlsTest(tls_stress, no_byte_is_lost_or_doubled)
{
    static struct pair pairs[PAIRS];
    unsigned seed = seed_of_test();
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < PAIRS; i++)
            pair_start(&pairs[i], server, client, seed + round * 1000 + i);
        for (unsigned i = 0; i < PAIRS; i++)
            CHECK_EQ(gust_waitgroup_wait(&pairs[i].done, SOON), 0);
    }
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}
