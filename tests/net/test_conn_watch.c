/* Watching whether the peer is still there: however it goes, a context is cancelled, and
 * neither reader nor writer is disturbed by it. */
#include "tests/core/contexts.h"
#include "tests/net/net_test.h"

#include <gust/panic.h>
#include <gust/timer.h>

/* --- The peer goes ----------------------------------------------------------------- */

static void check_gone(gust_context *context)
{
    CHECK_EQ(gust_chan_recv(gust_context_done(context), NULL, SOON), 0);
    check_ended(context, -ECANCELED, -ECONNRESET);
}

enum leave { CLOSE, HALF_CLOSE, RESET };

static void leave(int peer, enum leave how)
{
    if (how == RESET)
        raw_reset(peer);
    else if (how == HALF_CLOSE)
        CHECK_EQ(shutdown(peer, SHUT_WR), 0);
    else
        close(peer);
}

static void watch_one_that_leaves(enum leave how, bool before)
{
    gust_context *context = context_make(NULL);
    int peer;
    gust_conn *c = raw_pair_open(&peer);
    if (before)
        leave(peer, how);
    CHECK_EQ(gust_conn_watch(c, context), 0);
    if (!before) {
        check_open(context);
        leave(peer, how);
    }
    check_gone(context);
    gust_conn_unwatch(c);
    CHECK_EQ(refs_of(context), 1);
    gust_conn_close(c, SOON);
    if (how == HALF_CLOSE)
        close(peer);
    gust_context_unref(context);
}

NetTest(conn_watch, tells_of_a_peer_that_has_closed_ended_its_direction_or_reset)
{
    for (int how = CLOSE; how <= RESET; how++) {
        watch_one_that_leaves((enum leave)how, false);
        watch_one_that_leaves((enum leave)how, true);
    }
}

static void wait_for_nobody(void *arg)
{
    CHECK_EQ(gust_sleep_until(GUST_FOREVER), -ECANCELED);
    gust_waitgroup_done(arg);
}

NetTest(conn_watch, ends_the_waits_under_its_context)
{
    gust_context *context = context_make(NULL);
    gust_waitgroup over = GUST_WAITGROUP_INIT;
    gust_conn *a, *b;
    pair_open(&a, &b);
    gust_waitgroup_add(&over, 2);
    go_under(context, wait_for_nobody, &over);
    go_under(context, wait_for_nobody, &over);
    AWAIT_SOON(waits_under(context) == 2);
    CHECK_EQ(gust_conn_watch(b, context), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&over, SOON), 0);
    gust_conn_unwatch(b);
    gust_conn_close(b, SOON);
    gust_context_unref(context);
}

/* --- Beside a reader and a writer ---------------------------------------------------- */

NetTest(conn_watch, takes_no_byte_and_leaves_what_came_before_the_end)
{
    gust_context *context = context_make(NULL);
    gust_conn *a, *b;
    char got[6];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_watch(b, context), 0);
    CHECK_EQ(gust_conn_write(a, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_conn_shutdown(a, SHUT_WR, SOON), 0);
    check_gone(context);
    gust_conn_unwatch(b);
    CHECK_EQ(gust_conn_read(b, got, sizeof got, SOON), 6);
    CHECK_EQ(memcmp(got, "abcdef", 6), 0);
    CHECK_EQ(gust_conn_read(b, got, sizeof got, SOON), 0);
    CHECK_EQ(gust_conn_write(b, "ghi", 3, SOON), 3);
    CHECK_EQ(gust_conn_read(a, got, sizeof got, SOON), 3);
    pair_close(a, b);
    gust_context_unref(context);
}

struct reader {
    gust_conn *conn;
    gust_waitgroup over;
};

static void read_stream(void *arg)
{
    struct reader *r = arg;
    char buf[256];
    uint64_t at = 0;
    ssize_t n;
    while ((n = gust_conn_read(r->conn, buf, sizeof buf, SOON)) > 0) {
        stream_check(buf, (size_t)n, at);
        at += (uint64_t)n;
    }
    CHECK_EQ(n, 0);
    CHECK_EQ(at, 100);
    gust_waitgroup_done(&r->over);
}

NetTest(conn_watch, does_not_mind_a_reader_that_waits)
{
    gust_context *context = context_make(NULL);
    struct reader r = {0};
    gust_conn *a;
    pair_open(&a, &r.conn);
    gust_waitgroup_add(&r.over, 1);
    go(read_stream, &r);
    AWAIT_SOON(is_reading(r.conn));
    CHECK_EQ(gust_conn_watch(r.conn, context), 0);
    for (uint64_t i = 0; i < 100; i++) {
        char byte = stream_byte(i);
        CHECK_EQ(gust_conn_write(a, &byte, 1, SOON), 1);
        if (i % 10 == 0)
            AWAIT_SOON(is_reading(r.conn));
    }
    check_open(context);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    check_gone(context);
    CHECK_EQ(gust_waitgroup_wait(&r.over, SOON), 0);
    gust_conn_close(r.conn, SOON);
    gust_context_unref(context);
}

/* --- The watch ends ------------------------------------------------------------------ */

NetTest(conn_watch, that_was_ended_tells_nothing)
{
    gust_context *context = context_make(NULL);
    gust_conn *a, *b;
    pair_open(&a, &b);
    gust_conn_unwatch(b);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_conn_watch(b, context), 0);
        CHECK_EQ(gust_conn_watch(b, context), -EBUSY);
        gust_conn_unwatch(b);
        CHECK_EQ(refs_of(context), 1);
    }
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    char byte;
    CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 0);
    check_open(context);
    gust_conn_close(b, SOON);
    gust_context_unref(context);
}

NetTest(conn_watch, ends_with_its_connection)
{
    gust_context *context = context_make(NULL);
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_watch(b, context), 0);
    gust_conn_ref(b);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
    CHECK_EQ(refs_of(context), 1);
    check_open(context);
    CHECK_EQ(gust_conn_watch(b, context), -EBADF);
    gust_conn_unwatch(b);
    gust_conn_unref(b);
    gust_conn_close(a, SOON);
    gust_context_unref(context);
}

NetTest(conn_watch, is_ended_by_one_whose_own_context_is_cancelled)
{
    gust_context *context = context_make(NULL);
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_watch(b, context), 0);
    gust_context *own = context_make(NULL);
    gust_context_cancel(own, 0);
    gust_context_swap(own);
    gust_conn_unwatch(b);
    CHECK_EQ(refs_of(context), 1);
    gust_context_unref(gust_context_swap(NULL));
    check_open(context);
    pair_close(a, b);
    gust_context_unref(context);
}

static void never_run(void *arg)
{
    (void)arg;
    gust_panic("it was refused");
}

static void finish(void *arg)
{
    gust_waitgroup_done(arg);
}

NetTest(conn_watch, and_a_wait_without_a_goroutine_exclude_each_other)
{
    gust_context *context = context_make(NULL);
    gust_waitgroup over = GUST_WAITGROUP_INIT;
    gust_conn *a, *b;
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_watch(b, context), 0);
    CHECK_EQ(gust_conn_on_input(b, never_run, NULL, GUST_FOREVER), -EBUSY);
    gust_conn_unwatch(b);
    gust_waitgroup_add(&over, 1);
    CHECK_EQ(gust_conn_on_input(b, finish, &over, GUST_FOREVER), 0);
    CHECK_EQ(gust_conn_watch(b, context), -EBUSY);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&over, SOON), 0);
    check_open(context);
    gust_conn_close(b, SOON);
    gust_context_unref(context);
}

/* --- All at once ----------------------------------------------------------------------- */

struct race {
    gust_conn *conn;
    gust_context *context;
    bool unwatches;
    gust_waitgroup over;
};

static void end_it(void *arg)
{
    struct race *r = arg;
    if (r->unwatches)
        gust_conn_unwatch(r->conn);
    else
        gust_conn_close(gust_conn_ref(r->conn), SOON);
    /* Whichever came first: nobody uses the context any more. */
    CHECK_EQ(refs_of(r->context), 1);
    gust_waitgroup_done(&r->over);
}

NetTest(conn_watch, survives_a_peer_that_leaves_as_it_ends)
{
    uint64_t rand = test_seed();
    for (int round = 0; round < 100; round++) {
        struct race r = {.context = context_make(NULL), .unwatches = test_rand(&rand) % 2};
        gust_conn *peer;
        pair_open(&peer, &r.conn);
        CHECK_EQ(gust_conn_watch(r.conn, r.context), 0);
        gust_waitgroup_add(&r.over, 1);
        go(end_it, &r);
        for (uint64_t n = test_rand(&rand) % 4; n > 0; n--)
            gust_yield();
        gust_conn_close(peer, GUST_NOW);
        CHECK_EQ(gust_waitgroup_wait(&r.over, SOON), 0);
        gust_conn_close(r.conn, GUST_NOW);
        gust_context_unref(r.context);
    }
}
