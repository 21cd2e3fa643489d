/* What a conn can do besides reading and writing, when it has TLS: waiting without a
 * goroutine, copies, lines; and what it cannot. */
#include "tests/net/tls_test.h"

#include <gust/copy.h>
#include <gust/text.h>
#include <gust/unix.h>

/* --- Parked ------------------------------------------------------------------------ */

struct parked {
    gust_conn *conn;
    const char *expected;
    gust_waitgroup over;
};

static void hear_it(void *arg)
{
    struct parked *p = arg;
    hear(p->conn, p->expected);
    gust_waitgroup_done(&p->over);
}

static void park(struct parked *p, gust_conn *c, const char *expected)
{
    *p = (struct parked){.conn = c, .expected = expected};
    gust_waitgroup_add(&p->over, 1);
    CHECK_EQ(gust_conn_on_input(c, hear_it, p, SOON), 0);
}

static void parked_over(struct parked *p)
{
    CHECK_EQ(gust_waitgroup_wait(&p->over, SOON), 0);
}

TlsTest(tls_conn, a_parked_one_starts_when_a_record_arrives)
{
    struct ends e;
    struct parked p;
    ends_usual(&e);
    for (int i = 0; i < 3; i++) {
        park(&p, e.server, "ping");
        AWAIT_SOON(is_reading(e.server));
        say(e.client, "ping");
        parked_over(&p);
    }
    ends_close(&e);
}

/* The record has come over the wire; no further byte will. */
TlsTest(tls_conn, a_parked_one_starts_at_once_with_what_was_decrypted)
{
    struct ends e;
    struct parked p;
    ends_usual(&e);
    say(e.client, "ping and pong");
    hear(e.server, "ping"); /* the rest is OpenSSL's */
    park(&p, e.server, " and");
    parked_over(&p);
    CHECK_EQ(gust_conn_fill(e.server, 4096, SOON), 5);
    park(&p, e.server, " pong"); /* in the view */
    parked_over(&p);
    ends_close(&e);
}

TlsTest(tls_conn, a_parked_one_makes_the_handshake_when_it_begins)
{
    struct ends e;
    struct parked p;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    ends_connect(&e, server, client, "localhost");
    park(&p, e.server, "ping");
    say(e.client, "ping");
    parked_over(&p);
    ends_talk(&e);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

static void see_the_end(void *arg)
{
    struct parked *p = arg;
    char byte;
    CHECK_EQ(gust_conn_read(p->conn, &byte, 1, SOON), 0);
    gust_waitgroup_done(&p->over);
}

TlsTest(tls_conn, a_parked_one_starts_at_close_notify)
{
    struct ends e;
    ends_usual(&e);
    ends_talk(&e); /* the client has read its ticket: no reset */
    struct parked p = {.conn = e.server};
    gust_waitgroup_add(&p.over, 1);
    CHECK_EQ(gust_conn_on_input(e.server, see_the_end, &p, SOON), 0);
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
    parked_over(&p);
    gust_conn_close(e.server, SOON);
}

/* --- Copies ------------------------------------------------------------------------ */

enum { LEN = 300000 };

struct copying {
    gust_conn *dst, *src;
    uint64_t copied;
    int error;
    gust_waitgroup *over;
};

static void copy(void *arg)
{
    struct copying *k = arg;
    k->error = gust_conn_copy(k->dst, k->src, LEN, SOON, &k->copied);
    gust_waitgroup_done(k->over);
}

/* client --TLS--> server, copied to a plain pair, and from there over TLS again. */
TlsTest(tls_conn, copies_go_through_tls)
{
    static char sent[LEN], got[LEN];
    struct ends in, out;
    gust_conn *a, *b;
    gust_waitgroup over = GUST_WAITGROUP_INIT;
    ends_usual(&in);
    ends_usual(&out);
    pair_open(&a, &b);
    stream_fill(sent, LEN, 0);
    struct writer w = {.conn = in.client, .buf = sent, .len = LEN};
    struct copying first = {.dst = a, .src = in.server, .over = &over};
    struct copying second = {.dst = out.server, .src = b, .over = &over};
    gust_waitgroup_add(&over, 2);
    go(write_all, &w);
    go(copy, &first);
    go(copy, &second);
    read_exactly(out.client, got, LEN);
    stream_check(got, LEN, 0);
    CHECK_EQ(gust_waitgroup_wait(&over, SOON), 0);
    AWAIT_SOON(atomic_load(&w.finished));
    CHECK_EQ(first.error, 0);
    CHECK_EQ(second.error, 0);
    CHECK_EQ(first.copied, LEN);
    CHECK_EQ(second.copied, LEN);
    pair_close(a, b);
    ends_close(&in);
    ends_close(&out);
}

struct sending {
    gust_conn *dst;
    int fd;
    uint64_t copied;
    int error;
    gust_waitgroup over;
};

static void send_file(void *arg)
{
    struct sending *s = arg;
    s->error = gust_conn_send_file(s->dst, s->fd, 0, LEN, SOON, &s->copied);
    gust_waitgroup_done(&s->over);
}

TlsTest(tls_conn, files_go_through_tls)
{
    static char sent[LEN], got[LEN];
    struct ends e;
    ends_usual(&e);
    stream_fill(sent, LEN, 0);
    int fd = open(in_dir("file").text, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_EQ(write(fd, sent, LEN), LEN);
    struct sending s = {.dst = e.server, .fd = fd};
    gust_waitgroup_add(&s.over, 1);
    go(send_file, &s);
    read_exactly(e.client, got, LEN);
    stream_check(got, LEN, 0);
    CHECK_EQ(gust_waitgroup_wait(&s.over, SOON), 0);
    CHECK_EQ(s.error, 0);
    CHECK_EQ(s.copied, LEN);
    close(fd);
    ends_close(&e);
}

/* What was counted has arrived, and what was not has not. */
TlsTest(tls_conn, a_copy_that_cannot_go_on_takes_whole_pieces)
{
    static char sent[LEN], got[LEN];
    struct ends e;
    gust_conn *a, *b;
    uint64_t copied = 0, more = 0;
    ends_usual(&e);
    pair_open(&a, &b);
    stream_fill(sent, LEN, 0);
    struct writer w = {.conn = a, .buf = sent, .len = LEN};
    go(write_all, &w);
    for (size_t have = 0; have < LEN; have = copied) {
        int error = gust_conn_copy(e.server, b, LEN - copied, GUST_NOW, &more);
        CHECK(error == 0 || error == -EAGAIN);
        copied += more;
        CHECK_EQ(gust_conn_drain(e.server, SOON), 0); /* without waiting, TLS keeps some back */
        read_exactly(e.client, got + have, copied - have);
        gust_yield();
    }
    stream_check(got, LEN, 0);
    AWAIT_SOON(atomic_load(&w.finished));
    pair_close(a, b);
    ends_drop(&e);
}

/* --- Lines --------------------------------------------------------------------------- */

TlsTest(tls_conn, lines_and_printf_go_through_tls)
{
    struct ends e;
    gust_span line;
    ends_usual(&e);
    CHECK_EQ(gust_conn_printf(e.client, SOON, "%s %d\r\n%600d\n", "answer", 42, 7), 11 + 601);
    CHECK_EQ(gust_conn_flush(e.client), 0);
    CHECK_EQ(gust_conn_read_line(e.server, 100, SOON, &line), 11);
    CHECK_EQ(line.len, 9);
    CHECK_EQ(memcmp(line.data, "answer 42", 9), 0);
    gust_conn_consume(e.server, 11);
    CHECK_EQ(gust_conn_read_line(e.server, 1000, SOON, &line), 601);
    gust_conn_consume(e.server, 601);
    ends_close(&e);
}

/* --- Descriptors ----------------------------------------------------------------------- */

TlsTest(tls_conn, no_descriptors_go_through_tls)
{
    struct ends e;
    gust_fds fds;
    char byte;
    ends_usual(&e);
    CHECK_EQ(gust_conn_send_fds(e.client, "x", 1, NULL, 0, SOON), -EOPNOTSUPP);
    CHECK_EQ(gust_conn_recv_fds(e.server, &byte, 1, &fds, SOON), -EOPNOTSUPP);
    ends_talk(&e);
    ends_close(&e);
}
