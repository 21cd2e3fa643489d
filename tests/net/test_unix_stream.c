/* Unix streams: listening, connecting, and that such a connection is one like TCP's. */
#include "tests/core/contexts.h"
#include "tests/net/unix_test.h"

/* --- Connections --------------------------------------------------------------- */

static void check_echo(const gust_addr *addr)
{
    char buf[8];
    gust_listener *l = unix_listen(addr);
    gust_conn *a = unix_dial(addr), *b = accept_from(l);
    CHECK_EQ(gust_conn_write(a, "ping", 4, SOON), 4);
    CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 4);
    CHECK(memcmp(buf, "ping", 4) == 0);
    CHECK_EQ(gust_conn_write(b, "pong", 4, SOON), 4);
    CHECK_EQ(gust_conn_shutdown(b, SHUT_WR, SOON), 0);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 4);
    CHECK_EQ(gust_conn_read(a, buf, sizeof buf, SOON), 0);
    pair_close(a, b);
    gust_listener_close(l);
}

NetTest(unix_stream, streams_carry_bytes_both_ways)
{
    char dir[32];
    gust_addr path = addr_in(dir_make(dir), "socket"), name = addr_of("unix:@gust test");
    for (int i = 0; i < 20; i++) {
        check_echo(&path);
        check_echo(&name);
    }
    dir_remove(dir);
}

static void write_and_free(void *arg)
{
    struct writer *w = arg;
    write_all(w);
    free(w->buf);
    gust_conn_unref(w->conn);
}

NetTest(unix_stream, streams_are_as_long_as_they_like)
{
    enum { LEN = 3 << 20 };
    gust_conn *a, *b;
    unix_pair_open(&a, &b);
    struct writer w = {.conn = gust_conn_ref(a), .buf = malloc(LEN), .len = LEN};
    stream_fill(w.buf, LEN, 0);
    go(write_and_free, &w);
    for (uint64_t at = 0; at < LEN;) {
        ssize_t n = gust_conn_fill(b, 100000, SOON);
        CHECK(n > 0);
        gust_span view = gust_conn_view(b);
        stream_check(view.data, view.len, at);
        at += view.len;
        gust_conn_consume(b, view.len);
    }
    AWAIT_SOON(atomic_load(&w.finished));
    pair_close(a, b);
    AWAIT_SOON(gust_num_goroutines() == 1);
}

NetTest(unix_stream, conns_and_listeners_have_addresses)
{
    char dir[32], text[GUST_ADDR_TEXT_MAX];
    gust_addr addr = addr_in(dir_make(dir), "socket"), got;
    gust_listener *l = unix_listen(&addr);
    gust_conn *a = unix_dial(&addr), *b = accept_from(l);
    gust_listener_addr(l, &got);
    CHECK(same_addr(&got, &addr));
    CHECK_EQ(gust_addr_port(&got), 0);
    gust_conn_remote_addr(a, &got);
    CHECK(same_addr(&got, &addr));
    gust_conn_local_addr(b, &got);
    CHECK(same_addr(&got, &addr));
    gust_conn_remote_addr(b, &got);
    CHECK(strcmp(gust_addr_format(&got, text), "unix:@") == 0);
    pair_close(a, b);
    gust_listener_close(l);
    dir_remove(dir);
}

NetTest(unix_stream, kernel_picks_an_abstract_name)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr any = addr_of("unix:@"), a, b;
    gust_listener *first = unix_listen(&any), *second = unix_listen(&any);
    gust_listener_addr(first, &a);
    gust_listener_addr(second, &b);
    CHECK(!same_addr(&a, &b));
    CHECK(strlen(gust_addr_format(&a, text)) > strlen("unix:@"));
    gust_conn_unref(unix_dial(&a));
    gust_listener_close(first);
    gust_listener_close(second);
}

NetTest(unix_stream, listen_takes_addresses_of_every_family)
{
    static const char *const texts[] = {"127.0.0.1:0", "unix:@"};
    for (size_t i = 0; i < 2; i++) {
        gust_addr addr = addr_of(texts[i]);
        gust_listener *l = NULL;
        CHECK_EQ(gust_listen(&addr, &l), 0);
        gust_listener_addr(l, &addr);
        gust_conn *c = i == 0 ? dial_to(&addr) : unix_dial(&addr);
        gust_conn_unref(accept_from(l));
        gust_conn_unref(c);
        gust_listener_close(l);
    }
    gust_addr none = {.len = 0};
    gust_listener *l = NULL;
    CHECK_EQ(gust_listen(&none, &l), -EAFNOSUPPORT);
}

/* --- Errors ---------------------------------------------------------------------- */

NetTest(unix_stream, errors_of_dial_and_listen)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket"), tcp = addr_of("127.0.0.1:0");
    gust_addr nowhere = addr_in(dir, "nowhere/socket"), nobody = addr_of("unix:@gust nobody");
    gust_conn *c = NULL;
    gust_listener *l = NULL;
    CHECK_EQ(gust_unix_dial(&addr, SOON, &c), -ENOENT);
    CHECK_EQ(gust_unix_dial(&nobody, SOON, &c), -ECONNREFUSED);
    CHECK_EQ(gust_unix_dial(&tcp, SOON, &c), -EAFNOSUPPORT);
    CHECK_EQ(gust_unix_listen(&tcp, NULL, &l), -EAFNOSUPPORT);
    CHECK_EQ(gust_unix_listen(&nowhere, NULL, &l), -ENOENT);
    CHECK_EQ(gust_unix_listen(&addr, &(gust_unix_options){.mode = 01777}, &l), -EINVAL);
    CHECK(!l && !c);
    gust_packet *p = NULL;
    CHECK_EQ(gust_unixgram_bind(&addr, NULL, &p), 0);
    CHECK_EQ(gust_unix_dial(&addr, SOON, &c), -EPROTOTYPE);
    gust_packet_close(p);
    dir_remove(dir);
}

/* --- A full backlog ---------------------------------------------------------------- */

/* A plain listener that accepts nothing, and as many connections as it has room for. */
struct full {
    int listener;
    gust_addr addr;
    int fds[8];
    size_t count;
};

static void full_open(struct full *f)
{
    *f = (struct full){.addr = addr_of("unix:@")};
    f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(f->listener, &f->addr.any, f->addr.len), 0);
    CHECK_EQ(listen(f->listener, 1), 0);
    f->addr.len = sizeof f->addr.un;
    CHECK_EQ(getsockname(f->listener, &f->addr.any, &f->addr.len), 0);
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(f->count < sizeof f->fds / sizeof *f->fds);
        f->fds[f->count++] = fd;
        if (connect(fd, &f->addr.any, f->addr.len) < 0)
            break;
    }
    CHECK_EQ(errno, EAGAIN);
}

static void full_close(struct full *f)
{
    while (f->count > 0)
        close(f->fds[--f->count]);
    close(f->listener);
}

struct dialer {
    const gust_addr *addr;
    _Atomic int result;
    gust_conn *conn;
    gust_waitgroup done;
};

static void dial(void *arg)
{
    struct dialer *d = arg;
    atomic_store(&d->result, gust_unix_dial(d->addr, GUST_FOREVER, &d->conn));
    gust_waitgroup_done(&d->done);
}

NetTest(unix_stream, dial_waits_for_room_in_the_backlog)
{
    struct full full;
    full_open(&full);
    struct dialer d = {.addr = &full.addr, .result = 1};
    gust_conn *c = NULL;
    CHECK_EQ(gust_unix_dial(&full.addr, GUST_NOW, &c), -EAGAIN);
    CHECK_EQ(gust_unix_dial(&full.addr, gust_after(5 * GUST_MS), &c), -ETIMEDOUT);
    gust_waitgroup_add(&d.done, 1);
    go(dial, &d);
    CHECK_EQ(gust_sleep(5 * GUST_MS), 0);
    CHECK_EQ(atomic_load(&d.result), 1);
    close(accept4(full.listener, NULL, NULL, SOCK_CLOEXEC));
    CHECK_EQ(gust_waitgroup_wait(&d.done, SOON), 0);
    CHECK_EQ(atomic_load(&d.result), 0);
    gust_conn_unref(d.conn);
    full_close(&full);
}

NetTest(unix_stream, a_cancelled_dial_ends)
{
    struct full full;
    full_open(&full);
    struct dialer d = {.addr = &full.addr, .result = 1};
    gust_context *context = context_make(NULL);
    gust_waitgroup_add(&d.done, 1);
    go_under(context, dial, &d);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&d.done, SOON), 0);
    CHECK_EQ(atomic_load(&d.result), -ECANCELED);
    full_close(&full);
    gust_addr nobody = addr_of("unix:@gust nobody");
    gust_context_swap(context);
    CHECK_EQ(gust_unix_dial(&nobody, SOON, &d.conn), -ECANCELED);
    CHECK_EQ(gust_unix_dial(&nobody, GUST_NOW, &d.conn), -ECONNREFUSED);
    gust_context_swap(NULL);
    gust_context_unref(context);
}

/* --- Peers -------------------------------------------------------------------------- */

NetTest(unix_stream, peers_have_credentials)
{
    gust_conn *a, *b;
    gust_peer_cred cred = {0};
    unix_pair_open(&a, &b);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(gust_conn_peer_cred(i ? a : b, &cred), 0);
        CHECK_EQ(cred.pid, getpid());
        CHECK_EQ(cred.uid, getuid());
        CHECK_EQ(cred.gid, getgid());
    }
    gust_conn_ref(a);
    pair_close(a, b);
    CHECK_EQ(gust_conn_peer_cred(a, &cred), -EBADF);
    gust_conn_unref(a);
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_peer_cred(a, &cred), -EOPNOTSUPP);
    pair_close(a, b);
}
