/* A TLS connection is a gust_conn: reading, writing, views, deadlines. */
#include "tests/net/tls_test.h"

TlsTest(tls, bytes_go_both_ways)
{
    struct ends e;
    ends_usual(&e);
    ends_talk(&e);
    ends_close(&e);
}

TlsTest(tls, the_first_read_or_write_makes_the_handshake)
{
    struct ends e;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    ends_connect(&e, server, client, "localhost");
    struct writer w = {.conn = e.client, .buf = (char *)"ping", .len = 4};
    go(write_all, &w);
    hear(e.server, "ping");
    AWAIT_SOON(atomic_load(&w.finished));
    CHECK_EQ(gust_tls_handshake(e.server, GUST_NOW), 0);
    ends_talk(&e);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

static void read_one(void *arg)
{
    struct writer *r = arg;
    CHECK_EQ(gust_conn_fill(r->conn, 4096, SOON), 4);
    gust_conn_consume(r->conn, 4);
    atomic_store(&r->finished, 1);
}

/* Both directions are used at once from the start: a writer that came while a reader
 * was making the handshake does not wait until that has read something. */
TlsTest(tls, a_writer_waits_for_the_handshake_only)
{
    struct ends e;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    ends_connect(&e, server, client, "localhost");
    struct writer there = {.conn = e.client, .buf = (char *)"ping", .len = 4};
    struct writer back = {.conn = e.server, .buf = (char *)"pong", .len = 4};
    struct writer reads = {.conn = e.server};
    go(read_one, &reads);
    AWAIT_SOON(is_reading(e.server));
    go(write_all, &back);
    AWAIT_SOON(queue_len(&tls_of(e.server)->shaking.waiters) == 1);
    CHECK_EQ(gust_tls_handshake(e.client, SOON), 0);
    AWAIT_SOON(atomic_load(&back.finished));
    hear(e.client, "pong");
    CHECK_EQ(atomic_load(&reads.finished), 0);
    go(write_all, &there);
    AWAIT_SOON(atomic_load(&reads.finished) && atomic_load(&there.finished));
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

static void version_is(gust_tls_version version)
{
    struct ends e;
    struct setup s;
    make_files();
    gust_tls_options o = server_options(&s);
    o.min_version = o.max_version = version;
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    CHECK_EQ(e.client_error, 0);
    ends_talk(&e);
    gust_tls_info ours = info_of_conn(e.server), theirs = info_of_conn(e.client);
    CHECK_EQ(ours.version, version);
    CHECK_EQ(theirs.version, version);
    CHECK_EQ(strcmp(ours.cipher, theirs.cipher), 0);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls, speaks_1_2)
{
    version_is(GUST_TLS_1_2);
}

TlsTest(tls, speaks_1_3)
{
    version_is(GUST_TLS_1_3);
}

static void suite_is(const char *wanted, const char *negotiated)
{
    struct ends e;
    struct setup s;
    gust_tls_options o = server_options(&s);
    o.ciphersuites = wanted;
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    CHECK_EQ(strcmp(info_of_conn(e.server).cipher, negotiated), 0);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls, a_server_prefers_aes_128_unless_it_is_told)
{
    make_files();
    suite_is(NULL, "TLS_AES_128_GCM_SHA256");
    suite_is("TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384");
}

/* --- Streams ------------------------------------------------------------------- */

enum { STREAM_BYTES = 1 << 20 };

struct stream {
    gust_conn *conn;
    size_t piece; /* per write */
    gust_waitgroup *done;
};

static void stream_write(void *arg)
{
    struct stream *s = arg;
    char *buf = malloc(s->piece);
    for (size_t at = 0; at < STREAM_BYTES; at += s->piece) {
        size_t len = s->piece < STREAM_BYTES - at ? s->piece : STREAM_BYTES - at;
        stream_fill(buf, len, at);
        CHECK_EQ(gust_conn_write(s->conn, buf, len, SOON), len);
    }
    free(buf);
    gust_waitgroup_done(s->done);
}

static void stream_read(void *arg)
{
    struct stream *s = arg;
    char buf[10000];
    for (size_t at = 0; at < STREAM_BYTES;) {
        ssize_t n = gust_conn_read(s->conn, buf, sizeof buf, SOON);
        CHECK(n > 0);
        stream_check(buf, (size_t)n, at);
        at += (size_t)n;
    }
    gust_waitgroup_done(s->done);
}

/* Each end reads while it writes. */
static void streams_cross(struct ends *e, size_t piece, size_t other)
{
    gust_waitgroup done = {0};
    struct stream there = {e->client, piece, &done}, back = {e->server, other, &done};
    gust_waitgroup_add(&done, 4);
    go(stream_write, &there);
    go(stream_write, &back);
    go(stream_read, &there);
    go(stream_read, &back);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
}

TlsTest(tls, streams_cross_without_loss)
{
    struct ends e;
    ends_usual(&e);
    streams_cross(&e, 1000, 17000);
    streams_cross(&e, RECORD_MAX, RECORD_MAX + 1);
    streams_cross(&e, STREAM_BYTES, 16384);
    ends_close(&e);
}

TlsTest(tls, small_records_first_lose_nothing)
{
    struct ends e;
    struct setup s;
    make_files();
    gust_tls_options o = server_options(&s);
    o.small_records_first = true;
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    streams_cross(&e, 30000, 30000);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls, small_records_are_small_at_first_and_after_a_pause)
{
    struct ends e;
    struct setup s;
    char buf[20000];
    make_files();
    gust_tls_options o = server_options(&s);
    o.small_records_first = true;
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    stream_fill(buf, sizeof buf, 0);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(gust_conn_write(e.server, buf, sizeof buf, SOON), sizeof buf);
        read_exactly(e.client, buf, sizeof buf);
        stream_check(buf, sizeof buf, 0);
        /* A read never returns more than a record. */
        CHECK_EQ(gust_conn_write(e.server, buf, 5000, SOON), 5000);
        ssize_t n = gust_conn_read(e.client, buf, 5000, SOON);
        CHECK(n > 0 && (i > 1 || n < 1400));
        read_exactly(e.client, buf + n, (size_t)(5000 - n));
        stream_check(buf, 5000, 0);
    }
    tls_of(e.server)->ramp_last -= 2 * GUST_SEC;
    CHECK_EQ(gust_conn_write(e.server, buf, 5000, SOON), 5000);
    ssize_t n = gust_conn_read(e.client, buf, 5000, SOON);
    CHECK(n > 0 && n < 1400);
    read_exactly(e.client, buf, (size_t)(5000 - n));
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls, writev_sends_its_pieces_as_one)
{
    struct ends e;
    ends_usual(&e);
    static char body[50000], got[50000];
    stream_fill(body, sizeof body, 0);
    struct iovec iov[] = {{(void *)"head", 4}, {NULL, 0}, {(void *)"er", 2}};
    CHECK_EQ(gust_conn_writev(e.client, iov, 3, SOON), 6);
    hear(e.server, "header");
    struct iovec large[] = {{(void *)"head", 4}, {body, sizeof body}, {(void *)"foot", 4}};
    CHECK_EQ(gust_conn_writev(e.client, large, 3, SOON), sizeof body + 8);
    hear(e.server, "head");
    read_exactly(e.server, got, sizeof got);
    stream_check(got, sizeof got, 0);
    hear(e.server, "foot");
    ends_close(&e);
}

/* --- Appending ------------------------------------------------------------------- */

TlsTest(tls, appends_leave_together_in_one_record)
{
    struct ends e;
    ends_usual(&e);
    char buf[64];
    CHECK_EQ(gust_conn_append(e.server, "one ", 4, GUST_NOW), 4);
    CHECK_EQ(gust_conn_append(e.server, "two ", 4, GUST_NOW), 4);
    CHECK_EQ(gust_conn_append(e.server, "three", 5, GUST_NOW), 5);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_flush(e.server), 0);
    CHECK_EQ(gust_conn_read(e.client, buf, sizeof buf, SOON), 13);
    CHECK_EQ(memcmp(buf, "one two three", 13), 0);
    ends_close(&e);
}

TlsTest(tls, drain_and_close_send_what_was_appended)
{
    struct ends e;
    ends_usual(&e);
    CHECK_EQ(gust_conn_append(e.server, "drained", 7, SOON), 7);
    CHECK_EQ(gust_conn_drain(e.server, SOON), 0);
    hear(e.client, "drained");
    CHECK_EQ(gust_conn_append(e.server, "closed", 6, SOON), 6);
    CHECK_EQ(gust_conn_close(e.server, SOON), 0);
    hear(e.client, "closed");
    CHECK_EQ(gust_conn_read(e.client, &(char){0}, 1, SOON), 0);
    CHECK_EQ(gust_conn_close(e.client, SOON), 0);
}

TlsTest(tls, appends_beyond_the_buffer_go_out)
{
    struct ends e;
    ends_usual(&e);
    char piece[3000], got[3000];
    for (uint64_t i = 0; i < 20; i++) {
        stream_fill(piece, sizeof piece, i * sizeof piece);
        CHECK_EQ(gust_conn_append(e.server, piece, sizeof piece, SOON), sizeof piece);
    }
    CHECK_EQ(gust_conn_flush(e.server), 0);
    for (uint64_t i = 0; i < 20; i++) {
        read_exactly(e.client, got, sizeof got);
        stream_check(got, sizeof got, i * sizeof got);
    }
    ends_close(&e);
}

TlsTest(tls, a_write_that_must_not_wait_takes_all_or_nothing)
{
    struct ends e;
    ends_usual(&e);
    static char buf[GUST_CONN_WBUF + 1], got[GUST_CONN_WBUF];
    stream_fill(buf, sizeof buf, 0);
    CHECK_EQ(gust_conn_write(e.server, buf, sizeof buf, GUST_NOW), -EAGAIN);
    for (size_t len = GUST_CONN_WBUF; len >= RECORD_MAX - 1; len -= 171) {
        CHECK_EQ(gust_conn_drain(e.server, SOON), 0);
        CHECK_EQ(gust_conn_write(e.server, buf, len, GUST_NOW), len);
        read_exactly(e.client, got, len);
        stream_check(got, len, 0);
    }
    /* Nobody reads: it must end, and what was taken must come. */
    uint64_t taken = 0;
    ssize_t n;
    for (bool stuck = false;;) {
        char piece[5000];
        stuck = is_stuck(e.server->fd.fd);
        stream_fill(piece, sizeof piece, taken);
        n = gust_conn_append(e.server, piece, sizeof piece, GUST_NOW);
        CHECK(n == sizeof piece || n == -EAGAIN);
        taken += n > 0 ? (uint64_t)n : 0;
        if (n < 0 && stuck)
            break;
        gust_yield();
    }
    CHECK_EQ(gust_conn_flush(e.server), 0);
    for (uint64_t at = 0; at < taken; at += (uint64_t)n) {
        n = gust_conn_read(e.client, got, sizeof got, SOON);
        CHECK(n > 0);
        stream_check(got, (size_t)n, at);
    }
    CHECK_EQ(gust_conn_read(e.client, got, 1, GUST_NOW), -EAGAIN);
    ends_close(&e);
}

/* Goes on with a stream of which `taken` bytes are written, without waiting, until neither
 * the kernel nor the blocks take any more; returns how much is written then. */
static uint64_t write_until_stuck(gust_conn *c, uint64_t taken)
{
    static char piece[RECORD_MAX];
    for (ssize_t n = 0; n >= 0 || !is_stuck(c->fd.fd);) {
        stream_fill(piece, sizeof piece, taken);
        tls_of(c)->ramp_last = 0; /* small records each time, if they are wanted at all */
        n = gust_conn_write(c, piece, sizeof piece, GUST_NOW);
        CHECK(n == sizeof piece || n == -EAGAIN);
        taken += n > 0 ? (uint64_t)n : 0;
        gust_yield();
    }
    return taken;
}

static uint64_t read_piece(gust_conn *c, uint64_t from)
{
    static char got[GUST_CONN_WBUF];
    ssize_t n = gust_conn_read(c, got, sizeof got, SOON);
    CHECK(n > 0);
    stream_check(got, (size_t)n, from);
    return from + (uint64_t)n;
}

static void read_stream(gust_conn *c, uint64_t from, uint64_t to)
{
    while (from < to)
        from = read_piece(c, from);
    CHECK_EQ(from, to);
}

static bool block_is_empty(gust_conn *c)
{
    size_t room;
    bool idle;
    CHECK_EQ(gust__conn_room(c, &room, &idle), 0);
    return room == GUST_CONN_WBUF;
}

/* And as much as there is room for. */
static uint64_t write_into_room(gust_conn *c, uint64_t taken)
{
    static char piece[GUST_CONN_WBUF];
    size_t room;
    bool idle;
    CHECK_EQ(gust__conn_room(c, &room, &idle), 0);
    if (room <= tls_sealed_max(0))
        return taken;
    size_t len = room - tls_sealed_max(0);
    stream_fill(piece, len, taken);
    tls_of(c)->ramp_last = 0;
    ssize_t n = gust_conn_write(c, piece, len, GUST_NOW);
    CHECK(n == (ssize_t)len || n == -EAGAIN);
    return n > 0 ? taken + len : taken;
}

/* Many small records, each with much around it, where the room was for one. */
TlsTest(tls, what_a_write_has_taken_leaves_without_another_call)
{
    struct ends e;
    struct setup s;
    make_files();
    gust_tls_options o = server_options(&s);
    o.small_records_first = true;
    o.max_version = GUST_TLS_1_2;
    o.ciphers = "ECDHE-ECDSA-AES256-SHA384";
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    uint64_t taken = 0;
    /* Which record is the last one to find room is not for us to say. */
    for (uint64_t i = 0, from = 0; i < 8; i++, from = taken) {
        taken = write_until_stuck(e.server, taken);
        taken = i % 2 ? write_into_room(e.server, taken) : taken;
        read_stream(e.client, from, taken);
    }
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

/* As an alert: something that OpenSSL has to say for itself. */
static int talk(SSL *ssl, void *buf, size_t len, size_t *ret_done)
{
    (void)buf, (void)len;
    *ret_done = 1;
    return SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 ? SSL_do_handshake(ssl) : 0;
}

/* A reader talks until it has to wait for room. */
static void talk_until_full(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    ssize_t n;
    gust_mutex_lock(&tls->mutex);
    do
        n = gust__tls_enter(c, talk, NULL, 0, TLS_READING | TLS_FLUSH);
    while (n > 0);
    CHECK_EQ(n, TLS_WANT_WRITE);
    gust_mutex_unlock(&tls->mutex);
}

TlsTest(tls, a_reader_that_talks_leaves_room_for_what_is_pending)
{
    static char piece[RECORD_MAX - 2000];
    struct ends e;
    ends_usual(&e);
    /* Little to fill, for what is said is short. */
    CHECK_EQ(setsockopt(e.server->fd.fd, SOL_SOCKET, SO_SNDBUF, &(int){16384}, sizeof(int)), 0);
    uint64_t taken = write_until_stuck(e.server, 0), from = 0;
    while (!block_is_empty(e.server)) {
        from = read_piece(e.client, from);
        gust_yield();
    }
    stream_fill(piece, sizeof piece, taken);
    CHECK_EQ(gust_conn_append(e.server, piece, sizeof piece, GUST_NOW), sizeof piece);
    talk_until_full(e.server);
    CHECK_EQ(gust_conn_flush(e.server), 0);
    read_stream(e.client, from, taken + sizeof piece);
    ends_close(&e);
}

/* --- Views ----------------------------------------------------------------------- */

TlsTest(tls, a_view_grows_and_is_consumed)
{
    struct ends e;
    ends_usual(&e);
    static char buf[60000];
    stream_fill(buf, sizeof buf, 0);
    struct writer w = {.conn = e.client, .buf = buf, .len = sizeof buf};
    go(write_all, &w);
    size_t at = 0;
    while (gust_conn_view(e.server).len < 50000)
        CHECK(gust_conn_fill(e.server, 50000, SOON) > 0);
    CHECK_EQ(gust_conn_fill(e.server, 50000, SOON), -ENOBUFS);
    while (at < sizeof buf) {
        gust_span view = gust_conn_view(e.server);
        if (view.len == 0) {
            CHECK(gust_conn_fill(e.server, 50000, SOON) > 0);
            continue;
        }
        size_t n = view.len < 777 ? view.len : 777;
        stream_check(view.data, n, at);
        gust_conn_consume(e.server, n);
        at += n;
    }
    CHECK_EQ(gust_conn_view(e.server).len, 0);
    AWAIT_SOON(atomic_load(&w.finished));
    ends_close(&e);
}

TlsTest(tls, reads_and_fills_may_be_mixed)
{
    struct ends e;
    char buf[16];
    ends_usual(&e);
    say(e.client, "abcdefgh");
    CHECK_EQ(gust_conn_fill(e.server, 4, SOON), 4);
    CHECK_EQ(gust_conn_read(e.server, buf, 2, SOON), 2);
    CHECK_EQ(memcmp(buf, "ab", 2), 0);
    while (gust_conn_view(e.server).len < 6)
        CHECK(gust_conn_fill(e.server, 100, SOON) > 0);
    CHECK_EQ(memcmp(gust_conn_view(e.server).data, "cdefgh", 6), 0);
    gust_conn_consume(e.server, 1);
    hear(e.server, "defgh");
    ends_talk(&e);
    ends_close(&e);
}

static bool tls_holds_no_buffer(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    return holds_no_buffer(c) && !tls->view.data && !tls->pending;
}

TlsTest(tls, a_conn_that_waits_holds_no_buffer)
{
    struct ends e;
    ends_usual(&e);
    ends_talk(&e);
    struct writer r = {.conn = e.server};
    go(read_one, &r);
    AWAIT_SOON(is_reading(e.server));
    AWAIT_SOON(tls_holds_no_buffer(e.server));
    say(e.client, "wake");
    AWAIT_SOON(atomic_load(&r.finished));
    AWAIT_SOON(tls_holds_no_buffer(e.server));
    ends_close(&e);
}

/* --- Deadlines and cancellation ----------------------------------------------------- */

TlsTest(tls, deadlines_leave_the_stream_intact)
{
    struct ends e;
    char buf[8];
    ends_usual(&e);
    CHECK_EQ(gust_conn_read(e.server, buf, 8, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_conn_read(e.server, buf, 8, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_conn_fill(e.server, 8, gust_after(GUST_MS)), -ETIMEDOUT);
    ends_talk(&e);
    ends_close(&e);
}

static void read_canceled(void *arg)
{
    struct writer *r = arg;
    char buf[8];
    CHECK_EQ(gust_conn_read(r->conn, buf, sizeof buf, SOON), -ECANCELED);
    atomic_store(&r->finished, 1);
}

TlsTest(tls, cancellation_leaves_the_stream_intact)
{
    struct ends e;
    ends_usual(&e);
    gust_context *context = NULL;
    CHECK_EQ(gust_context_new(NULL, &context), 0);
    struct writer r = {.conn = e.server};
    gust_go_options options = {.context = context};
    CHECK_EQ(gust_go_with(&options, read_canceled, &r), 0);
    AWAIT_SOON(is_reading(e.server));
    gust_context_cancel(context, -ECANCELED);
    AWAIT_SOON(atomic_load(&r.finished));
    gust_context_unref(context);
    ends_talk(&e);
    ends_close(&e);
}

/* The reader waits for bytes; a writer gets through all the same. */
TlsTest(tls, a_waiting_reader_does_not_stop_a_writer)
{
    struct ends e;
    ends_usual(&e);
    struct writer r = {.conn = e.server};
    go(read_one, &r);
    AWAIT_SOON(is_reading(e.server));
    say(e.server, "while you read");
    hear(e.client, "while you read");
    say(e.client, "done");
    AWAIT_SOON(atomic_load(&r.finished));
    ends_close(&e);
}

/* The other end asks for new keys with each message. */
TlsTest(tls, keys_are_updated_on_demand)
{
    struct ends e;
    ends_usual(&e);
    for (int i = 0; i < 10; i++) {
        gust__tls *tls = tls_of(e.client);
        gust_mutex_lock(&tls->mutex);
        CHECK_EQ(SSL_key_update(tls->ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        gust_mutex_unlock(&tls->mutex);
        ends_talk(&e);
    }
    ends_close(&e);
}

TlsTest(tls, a_conn_is_made_tls_once)
{
    gust_conn *a, *b;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    gust_tls_info info;
    pair_open(&a, &b);
    CHECK_EQ(gust_tls_handshake(a, SOON), -EINVAL);
    CHECK_EQ(gust_tls_info_read(a, &info), -EINVAL);
    CHECK_EQ(*gust_tls_error(a), '\0');
    CHECK_EQ(gust_tls_server(a, client), -EINVAL); /* it has no certificate */
    CHECK_EQ(gust_tls_server(a, server), 0);
    CHECK_EQ(gust_tls_server(a, server), -EALREADY);
    CHECK_EQ(gust_tls_client(a, client, "localhost"), -EALREADY);
    CHECK_EQ(gust_tls_info_read(a, &info), -ENOTCONN);
    CHECK_EQ(gust_tls_client(b, client, NULL), -EINVAL);
    CHECK_EQ(gust_tls_client(b, client, ""), -EINVAL);
    pair_close(a, b);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}
