/* Connections and listeners in goroutines whose contexts are cancelled: no byte is
 * lost, and a connection stays usable or ends, never in doubt. */
#include "tests/core/contexts.h"
#include "tests/net/net_test.h"

/* --- Before -------------------------------------------------------------------- */

NetTest(net_cancel, nothing_waits_under_a_cancelled_context)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_conn *a = dial_to(&addr), *b = accept_from(l), *c = NULL;
    gust_context *context = context_make(NULL);
    char byte = 'x';
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    for (int i = 0; i < 3; i++) {
        gust_time deadline = (gust_time[]){GUST_FOREVER, SOON, 1}[i];
        CHECK_EQ(gust_tcp_dial(&addr, deadline, &c), -ECANCELED);
        CHECK_EQ(gust_listener_accept(l, deadline, &c), -ECANCELED);
        CHECK_EQ(gust_conn_read(b, &byte, 1, deadline), -ECANCELED);
        CHECK_EQ(gust_conn_fill(b, 100, deadline), -ECANCELED);
        CHECK_EQ(gust_conn_fill(b, 65536, deadline), -ECANCELED);
    }
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN);
    CHECK(!c);
    gust_context_swap(NULL);
    CHECK_EQ(gust_conn_write(a, "y", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    CHECK_EQ(byte, 'y');
    gust_context_unref(context);
    gust_listener_close(l);
    pair_close(a, b);
}

NetTest(net_cancel, bytes_in_the_view_are_read_all_the_same)
{
    gust_conn *a, *b;
    char buf[8];
    gust_context *context = context_make(NULL);
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_write(a, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_conn_fill(b, 4096, SOON), 6);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust_conn_read(b, buf, 4, SOON), 4);
    CHECK_EQ(gust_conn_view(b).len, 2);
    CHECK_EQ(gust_conn_fill(b, 4096, SOON), -ECANCELED);
    CHECK_EQ(gust_conn_view(b).len, 2);
    CHECK_EQ(gust_conn_read(b, buf, 4, SOON), 2);
    CHECK_EQ(gust_conn_read(b, buf, 4, SOON), -ECANCELED);
    CHECK(holds_no_buffer(b));
    pair_close(a, b);
}

/* --- During ---------------------------------------------------------------------- */

enum what { READ, FILL, ACCEPT, WRITE, DRAIN, DIAL };

struct blocked {
    enum what what;
    gust_conn *conn;
    gust_listener *listener;
    gust_addr addr;
    char *buf;
    size_t len;
    ssize_t result;
    gust_waitgroup done;
};

static ssize_t do_it(struct blocked *b)
{
    switch (b->what) {
    case READ: return gust_conn_read(b->conn, b->buf, b->len, GUST_FOREVER);
    case FILL: return gust_conn_fill(b->conn, b->len, SOON);
    case ACCEPT: return gust_listener_accept(b->listener, GUST_FOREVER, &b->conn);
    case WRITE: return gust_conn_write(b->conn, b->buf, b->len, SOON);
    case DRAIN: return gust_conn_drain(b->conn, GUST_FOREVER);
    case DIAL: return gust_tcp_dial(&b->addr, GUST_FOREVER, &b->conn);
    }
    return 0;
}

static void block(void *arg)
{
    struct blocked *b = arg;
    b->result = do_it(b);
    gust_waitgroup_done(&b->done);
}

static void cancel_blocked(struct blocked *b)
{
    gust_context *context = context_make(NULL);
    gust_waitgroup_add(&b->done, 1);
    go_under(context, block, b);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&b->done, SOON), 0);
    CHECK_EQ(b->result, -ECANCELED);
    CHECK_EQ(waits_under(context), 0);
    gust_context_unref(context);
}

NetTest(net_cancel, a_cancelled_read_leaves_the_stream_whole)
{
    gust_conn *a, *b;
    char buf[16];
    pair_open(&a, &b);
    for (int i = 0; i < 20; i++) {
        struct blocked by = {.what = i % 2 ? READ : FILL, .conn = b, .buf = buf};
        by.len = i % 4 ? sizeof buf : 8192;
        cancel_blocked(&by);
        CHECK(holds_no_buffer(b));
        stream_fill(buf, 5, (uint64_t)i);
        CHECK_EQ(gust_conn_write(a, buf, 5, SOON), 5);
        CHECK_EQ(gust_conn_read(b, buf, sizeof buf, SOON), 5);
        stream_check(buf, 5, (uint64_t)i);
    }
    pair_close(a, b);
}

NetTest(net_cancel, a_cancelled_accept_leaves_the_listener_in_use)
{
    gust_addr addr;
    struct blocked b = {.what = ACCEPT, .listener = listen_on("127.0.0.1:0", &addr)};
    for (int i = 0; i < 20; i++) {
        cancel_blocked(&b);
        gust_conn *client = dial_to(&addr);
        gust_conn *server = accept_from(b.listener);
        pair_close(client, server);
    }
    gust_listener_close(b.listener);
}

/* A backlog that is full: the kernel answers nobody. */
NetTest(net_cancel, a_cancelled_dial_gives_up_its_socket)
{
    struct blocked b = {.what = DIAL, .addr = addr_of("127.0.0.1:0")};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, &b.addr.any, b.addr.len), 0);
    CHECK_EQ(listen(fd, 0), 0);
    CHECK_EQ(getsockname(fd, &b.addr.any, &b.addr.len), 0);
    int only = raw_connect(&b.addr);
    size_t fds = fd_count();
    for (int i = 0; i < 5; i++)
        cancel_blocked(&b);
    CHECK(!b.conn);
    AWAIT_SOON(fd_count() == fds);
    close(only);
    close(fd);
}

/* A small write that had to wait for room took nothing over. */
NetTest(net_cancel, a_cancelled_small_write_leaves_the_stream_whole)
{
    int peer;
    char buf[4096], got[4096];
    gust_conn *c = raw_pair_open(&peer);
    uint64_t taken = stuff(c), seen = 0;
    for (int i = 0; i < 5; i++) {
        struct blocked b = {.what = i % 2 ? DRAIN : WRITE, .conn = c, .buf = buf};
        b.len = sizeof buf;
        cancel_blocked(&b);
    }
    stream_fill(buf, 100, taken);
    while (seen < taken) {
        ssize_t n = raw_read_some(peer, got, sizeof got);
        CHECK(n >= 0);
        stream_check(got, (size_t)n, seen);
        seen += (uint64_t)n;
        if (n == 0)
            gust_yield();
    }
    CHECK_EQ(gust_conn_write(c, buf, 100, SOON), 100);
    CHECK_EQ(gust_conn_drain(c, SOON), 0);
    ssize_t n;
    AWAIT_SOON((n = raw_read_some(peer, got, sizeof got)) != 0);
    CHECK_EQ(n, 100);
    stream_check(got, 100, taken);
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    close(peer);
}

/* A large one has sent a part: the connection is of no use any more, and says so. */
NetTest(net_cancel, a_cancelled_large_write_ends_the_stream)
{
    int peer;
    struct blocked b = {.what = WRITE, .len = 8 << 20, .conn = raw_pair_open(&peer)};
    char byte;
    ssize_t n;
    b.buf = calloc(1, b.len);
    stream_fill(b.buf, b.len, 0);
    cancel_blocked(&b);
    CHECK_EQ(gust_conn_write(b.conn, b.buf, 1, SOON), -ECANCELED);
    CHECK_EQ(gust_conn_flush(b.conn), -ECANCELED);
    CHECK_EQ(gust_conn_close(b.conn, SOON), -ECANCELED);
    for (uint64_t seen = 0; (n = raw_read_some(peer, &byte, 1)) >= 0; seen += (uint64_t)n) {
        if (n > 0)
            stream_check(&byte, 1, seen);
        else
            gust_yield();
    }
    free(b.buf);
    close(peer);
}

/* Refused before it began: nothing was sent, and others may go on. */
NetTest(net_cancel, a_large_write_under_a_cancelled_context_sends_nothing)
{
    gust_conn *a, *b;
    gust_context *context = context_make(NULL);
    size_t len = 1 << 20;
    char *buf = calloc(1, len), byte;
    pair_open(&a, &b);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust_conn_write(a, buf, len, SOON), -ECANCELED);
    gust_context_swap(NULL);
    CHECK_EQ(gust_conn_write(a, "z", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
    CHECK_EQ(byte, 'z');
    CHECK_EQ(gust_conn_read(b, &byte, 1, GUST_NOW), -EAGAIN);
    gust_context_unref(context);
    free(buf);
    pair_close(a, b);
}

/* --- Closing ------------------------------------------------------------------------ */

struct closing {
    gust_conn *conn;
    int result;
    gust_waitgroup done;
};

static void close_it(void *arg)
{
    struct closing *cl = arg;
    cl->result = gust_conn_close(cl->conn, SOON);
    gust_waitgroup_done(&cl->done);
}

NetTest(net_cancel, close_sends_what_was_written_all_the_same)
{
    int peer;
    char got[4096];
    ssize_t n;
    struct closing cl = {.conn = raw_pair_open(&peer)};
    gust_context *context = context_make(NULL);
    uint64_t taken = stuff(cl.conn), seen = 0;
    gust_waitgroup_add(&cl.done, 1);
    gust_context_cancel(context, 0);
    go_under(context, close_it, &cl);
    while ((n = raw_read_some(peer, got, sizeof got)) >= 0) {
        stream_check(got, (size_t)n, seen);
        seen += (uint64_t)n;
        if (n == 0)
            gust_yield();
    }
    CHECK_EQ(seen, taken);
    CHECK_EQ(gust_waitgroup_wait(&cl.done, SOON), 0);
    CHECK_EQ(cl.result, 0);
    gust_context_unref(context);
    close(peer);
}

static void expect_closed(void *arg)
{
    struct closing *cl = arg;
    char byte;
    cl->result = (int)gust_conn_read(cl->conn, &byte, 1, GUST_FOREVER);
    gust_conn_unref(cl->conn);
    gust_waitgroup_done(&cl->done);
}

NetTest(net_cancel, a_close_by_another_is_told_from_a_cancellation)
{
    for (int i = 0; i < 50; i++) {
        gust_conn *a, *b;
        gust_context *context = context_make(NULL);
        pair_open(&a, &b);
        struct closing cl = {.conn = gust_conn_ref(b)};
        gust_waitgroup_add(&cl.done, 1);
        go_under(context, expect_closed, &cl);
        if (i % 2)
            AWAIT_SOON(is_reading(b));
        CHECK_EQ(gust_conn_close(b, SOON), 0);
        CHECK_EQ(gust_waitgroup_wait(&cl.done, SOON), 0);
        CHECK_EQ(cl.result, -EBADF);
        gust_context_unref(context);
        CHECK_EQ(gust_conn_close(a, SOON), 0);
    }
}

NetTest(net_cancel, a_listener_is_closed_all_the_same)
{
    gust_addr addr;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    gust_conn *c;
    gust_context *context = context_make(NULL);
    CHECK_EQ(gust_listener_accept(l, GUST_NOW, &c), -EAGAIN); /* begins to accept */
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    gust_listener_close(l);
    gust_context_swap(NULL);
    gust_context_unref(context);
}

/* --- Races ---------------------------------------------------------------------------- */

#define TOTAL 300000

struct flow {
    gust_conn *from, *to;
    target targets[2];
    gust_waitgroup workers;
    uint64_t seed;
    _Atomic int canceled;
};

static void renew_if_cancelled(struct flow *f, int side, ssize_t n)
{
    CHECK(n > 0 || n == -ECANCELED || n == -ETIMEDOUT || n == -EAGAIN);
    if (!gust_context_err(gust_context_current()))
        return;
    f->canceled += n == -ECANCELED;
    target_renew(&f->targets[side]);
}

static void flow_writer(void *arg)
{
    struct flow *f = arg;
    uint64_t rand = f->seed, at = 0;
    char buf[4096];
    target_renew(&f->targets[0]);
    while (at < TOTAL) {
        size_t len = 1 + test_rand(&rand) % sizeof buf;
        stream_fill(buf, len, at);
        ssize_t n = gust_conn_write(f->from, buf, len, GUST_FOREVER);
        at += n > 0 ? (uint64_t)n : 0;
        renew_if_cancelled(f, 0, n);
    }
    target_leave(&f->targets[0]);
    CHECK_EQ(gust_conn_shutdown(f->from, SHUT_WR, SOON), 0);
    gust_waitgroup_done(&f->workers);
}

static void flow_reader(void *arg)
{
    struct flow *f = arg;
    uint64_t rand = f->seed + 1, at = 0;
    char buf[4096];
    ssize_t n;
    target_renew(&f->targets[1]);
    for (;;) {
        gust_time deadline =
            test_rand(&rand) % 2 ? GUST_FOREVER : gust_after((int64_t)(test_rand(&rand) % 50000));
        if (test_rand(&rand) % 2) {
            n = gust_conn_fill(f->to, 16384, deadline);
            gust_span view = gust_conn_view(f->to);
            stream_check(view.data, view.len, at);
            at += view.len;
            gust_conn_consume(f->to, view.len);
        } else if ((n = gust_conn_read(f->to, buf, sizeof buf, deadline)) > 0) {
            stream_check(buf, (size_t)n, at);
            at += (uint64_t)n;
        }
        if (n == 0)
            break;
        renew_if_cancelled(f, 1, n);
    }
    CHECK(at >= TOTAL);
    target_leave(&f->targets[1]);
    gust_waitgroup_done(&f->workers);
}

NetTest(net_cancel, a_flow_under_random_cancellation_loses_no_byte)
{
    uint64_t seed = test_seed();
    const gust_time until = SOON;
    int canceled = 0;
    /* On a busy machine the sniper may come too late for all. */
    for (int i = 0; i < 4 || canceled == 0; i++) {
        CHECK(i < 4 || gust_now() < until);
        struct flow f = {.seed = seed++};
        const int small = 8192;
        pair_open(&f.from, &f.to);
        setsockopt(f.from->fd.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
        gust_waitgroup_add(&f.workers, 2);
        go(flow_writer, &f);
        go(flow_reader, &f);
        sniper s = {.targets = f.targets,
                    .count = 2,
                    .rand = f.seed,
                    .pause_ns_max = 40 * GUST_US,
                    .workers = &f.workers};
        sniper_start(&s);
        sniper_end(&s);
        canceled += f.canceled;
        pair_close(f.from, f.to);
    }
}
