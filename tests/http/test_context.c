/* What a handler's context hears of, and what it does not. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/panic.h>

#define HEAD " HTTP/1.1\r\nHost: a\r\n"
#define GET "GET /" HEAD "\r\n"
#define DONE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
#define SOON gust_after(SITE_WAIT_NS)

/* Handlers tell that they have started, and how it ended: a cause, or 0. */
struct stage {
    gust_chan *started;
    gust_chan *ended; /* of int */
    gust_chan *go_on;
    gust_addr silent; /* a listener that nobody accepts on */
};

static void stage_init(struct stage *stage)
{
    CHECK_EQ(gust_chan_new(0, 64, &stage->started), 0);
    CHECK_EQ(gust_chan_new(sizeof(int), 64, &stage->ended), 0);
    CHECK_EQ(gust_chan_new(0, 64, &stage->go_on), 0);
}

static void stage_fini(struct stage *stage)
{
    gust_chan_unref(stage->started);
    gust_chan_unref(stage->ended);
    gust_chan_unref(stage->go_on);
}

static void tell_started(struct stage *stage)
{
    CHECK_EQ(gust_chan_send(stage->started, NULL, GUST_NOW), 0);
}

static void tell_ended(struct stage *stage)
{
    int cause = gust_context_cause(gust_context_current());

    CHECK_EQ(gust_chan_send(stage->ended, &cause, GUST_NOW), 0);
}

static void wait_started(struct stage *stage)
{
    CHECK_EQ(gust_chan_recv(stage->started, NULL, SOON), 1);
}

static void check_ended(struct stage *stage, int expected)
{
    int cause;

    CHECK_EQ(gust_chan_recv(stage->ended, &cause, SOON), 1);
    CHECK_EQ(cause, expected);
}

/* --- The client goes away -------------------------------------------------------------- */

static void sleep_on(struct stage *stage)
{
    (void)stage;
    CHECK_EQ(gust_sleep_until(GUST_FOREVER), -ECANCELED);
}

static void receive(struct stage *stage)
{
    CHECK_EQ(gust_chan_recv(stage->go_on, NULL, GUST_FOREVER), -ECANCELED);
}

static void look_for_it(struct stage *stage)
{
    gust_chan *done = gust_context_done(gust_context_current());

    (void)stage;
    gust_context *context = gust_context_swap(NULL);
    CHECK_EQ(gust_chan_recv(done, NULL, SOON), 0);
    gust_context_swap(context);
}

static void read_upstream(struct stage *stage)
{
    gust_conn *upstream;
    char byte;

    CHECK_EQ(gust_tcp_dial(&stage->silent, GUST_FOREVER, &upstream), 0);
    CHECK_EQ(gust_conn_read(upstream, &byte, 1, GUST_FOREVER), -ECANCELED);
    CHECK_EQ(gust_tcp_dial(&stage->silent, GUST_FOREVER, &upstream), -ECANCELED);
    gust_conn_unref(upstream);
}

static void (*const waits[])(struct stage *stage) = {sleep_on, receive, look_for_it, read_upstream};

struct wait {
    struct stage stage;
    void (*body)(struct stage *stage);
};

static void wait_in_vain(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct wait *w = arg;

    (void)req;
    tell_started(&w->stage);
    w->body(&w->stage);
    tell_ended(&w->stage);
    gust_http_reply(res, 200, NULL, "done", 4);
}

enum leave { CLOSE, HALF_CLOSE, LEAVES };

static void leave_while_it_waits(struct wait *w, enum leave how)
{
    struct site site;

    site_start(&site, &(gust_http_server_options){.handler = wait_in_vain, .arg = w});
    w->stage.silent = site.addr;
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET);
    wait_started(&w->stage);
    if (how == HALF_CLOSE)
        CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
    else
        client_close(gust_conn_ref(conn));
    check_ended(&w->stage, -ECONNRESET);
    if (how == HALF_CLOSE)
        expect_reply(client_read_all(conn), "half-closed", DONE);
    client_close(conn);
    site_stop(&site);
}

static int leave_while_handlers_wait(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++)
        for (int how = CLOSE; how < LEAVES; how++) {
            struct wait w = {.body = waits[i]};
            stage_init(&w.stage);
            leave_while_it_waits(&w, (enum leave)how);
            stage_fini(&w.stage);
        }
    return 0;
}

Test(context, is_cancelled_when_the_client_goes_away)
{
    test_run_without_leaks(leave_while_handlers_wait, NULL);
}

/* More than sockets hold: the handler has to wait for a client that only reads. */
#define MUCH ((size_t)16 << 20)

static void answer_much(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char piece[65536];

    (void)req;
    tell_started(arg);
    sleep_on(arg);
    for (size_t sent = 0; sent < MUCH; sent += sizeof(piece))
        CHECK_EQ(gust_http_write(res, piece, sizeof(piece)), sizeof(piece));
    tell_ended(arg);
}

static int answer_who_only_reads(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = answer_much, .arg = &stage});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET / HTTP/1.0\r\n\r\n");
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
    struct reply r = client_read_all(conn);
    CHECK(r.len > MUCH);
    free(r.text);
    check_ended(&stage, -ECONNRESET);
    client_close(conn);
    site_stop(&site);
    stage_fini(&stage);
    return 0;
}

Test(context, that_is_cancelled_ends_no_response)
{
    test_run(answer_who_only_reads, NULL);
}

static void read_what_ends_early(gust_http_request *req, gust_http_response *res, void *arg)
{
    char body[10];

    (void)res;
    tell_started(arg);
    sleep_on(arg);
    CHECK_EQ(gust_http_body_read(req, body, sizeof(body)), 4);
    CHECK_EQ(gust_http_body_read(req, body, sizeof(body)), -ECONNRESET);
    tell_ended(arg);
}

static int send_half_a_body(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = read_what_ends_early, .arg = &stage});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "POST /" HEAD "Content-Length: 8\r\n\r\nhalf");
    wait_started(&stage);
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
    check_ended(&stage, -ECONNRESET);
    client_close(conn);
    site_stop(&site);
    stage_fini(&stage);
    return 0;
}

Test(context, that_is_cancelled_leaves_the_body_to_be_read)
{
    test_run(send_half_a_body, NULL);
}

/* --- The client stays -------------------------------------------------------------------- */

/* Long enough for the client to be watched. */
static void sleep_for_long(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_sleep(4 * GUST_HTTP_WATCH_NS), 0);
    CHECK_EQ(gust_http_reply(res, 200, NULL, "done", 4), 0);
}

static int pipeline_to_who_sleeps(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = sleep_for_long});
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET GET);
    expect_reply(client_read_reply(conn), "first", DONE);
    client_send(conn, GET);
    expect_reply(client_read_reply(conn), "second", DONE);
    expect_reply(client_read_reply(conn), "third", DONE);
    client_send(conn, GET);
    expect_reply(client_read_reply(conn), "fourth", DONE);
    client_close(conn);
    site_stop(&site);
    return 0;
}

Test(context, stays_while_the_client_does_and_takes_none_of_its_bytes)
{
    test_run_without_leaks(pipeline_to_who_sleeps, NULL);
}

static int leave_one_that_does_not_care(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = sleep_for_long, .ignore_client_abort = true});
    expect_reply(site_ask(&site, "GET / HTTP/1.0\r\n\r\n"), "stays",
                 "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone");
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET);
    client_close(conn);
    site_stop(&site); /* the CHECK of the handler is what counts */
    return 0;
}

Test(context, knows_nothing_of_clients_that_are_ignored)
{
    test_run_without_leaks(leave_one_that_does_not_care, NULL);
}

/* --- The end of the handler ---------------------------------------------------------------- */

static void outlive(void *arg)
{
    struct stage *stage = arg;

    sleep_on(stage);
    tell_ended(stage);
}

static void leave_one_behind(gust_http_request *req, gust_http_response *res, void *arg)
{
    CHECK_EQ(gust_context_err(gust_context_current()), 0);
    if (span_is(gust_http_request_query(req), "wait"))
        check_ended(arg, -ECANCELED);
    else
        CHECK_EQ(gust_go(outlive, arg), 0);
    gust_http_reply(res, 200, NULL, "done", 4);
}

static int end_with_goroutines_left(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = leave_one_behind, .arg = &stage});
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 3; i++) {
        client_send(conn, GET);
        expect_reply(client_read_reply(conn), "answer", DONE);
        check_ended(&stage, -ECANCELED);
    }
    client_send(conn, GET "GET /?wait" HEAD "\r\n");
    expect_reply(client_read_reply(conn), "first of two", DONE);
    expect_reply(client_read_reply(conn), "second of two", DONE);
    client_close(conn);
    site_stop(&site);
    stage_fini(&stage);
    return 0;
}

Test(context, is_cancelled_for_those_who_outlive_the_handler)
{
    test_run_without_leaks(end_with_goroutines_left, NULL);
}

static const char key;

static void drop(void *context)
{
    gust_context_unref(context);
}

/* Leaves in every way there is, under a context of its own. */
static void keep_own(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span how = gust_http_request_query(req);
    gust_context *own;

    CHECK_EQ(gust_context_err(gust_context_current()), 0);
    CHECK(gust_context_value(gust_context_current(), &key) == arg);
    CHECK_EQ(gust_context_new(gust_context_current(), &own), 0);
    own = gust_context_swap(own);
    if (span_is(how, "panic") || span_is(how, "goexit"))
        gust_defer(drop, own);
    if (span_is(how, "panic"))
        gust_panic("under my own");
    if (span_is(how, "goexit"))
        gust_goexit();
    if (span_is(how, "drop"))
        gust_context_unref(own);
    else
        gust_context_unref(gust_context_swap(own));
    gust_http_reply(res, 200, NULL, "done", 4);
}

static void be_quiet(const char *line)
{
    (void)line;
}

static int leave_own_contexts(void *arg)
{
    struct site site;
    int value = 1;
    gust_context *context;

    (void)arg;
    CHECK_EQ(gust_context_with_value(NULL, &key, &value, NULL, &context), 0);
    gust_context_swap(context);
    site_start(&site, &(gust_http_server_options){.handler = keep_own, .arg = &value});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET /?drop" HEAD "\r\n" GET "GET /?drop" HEAD "\r\n" GET);
    for (int i = 0; i < 4; i++)
        expect_reply(client_read_reply(conn), "answer", DONE);
    client_close(conn);
    expect_reply_start(site_ask(&site, "GET /?panic" HEAD "\r\n"), "panic", "HTTP/1.1 500 ");
    free(site_ask(&site, "GET /?goexit" HEAD "\r\n").text);
    site_stop(&site);
    gust_context_unref(gust_context_swap(NULL));
    return 0;
}

Test(context, is_as_new_however_the_last_handler_left_it)
{
    gust_set_log(be_quiet);
    test_run(leave_own_contexts, NULL);
}

/* --- A shutdown --------------------------------------------------------------------------- */

static int shut_down_over_a_sleeper(void *arg)
{
    struct wait w = {.body = sleep_on};
    struct site site;

    (void)arg;
    stage_init(&w.stage);
    site_start(&site, &(gust_http_server_options){.handler = wait_in_vain, .arg = &w});
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET);
    wait_started(&w.stage);
    CHECK_EQ(gust_http_server_shutdown(site.server, gust_after(10 * GUST_MS)), -ETIMEDOUT);
    check_ended(&w.stage, -ESHUTDOWN);
    client_close(conn);
    site_end(&site);
    stage_fini(&w.stage);
    return 0;
}

Test(context, is_cancelled_when_a_shutdown_has_waited_long_enough)
{
    test_run_without_leaks(shut_down_over_a_sleeper, NULL);
}

static void wait_to_go_on(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct stage *stage = arg;

    (void)req;
    tell_started(stage);
    CHECK_EQ(gust_chan_recv(stage->go_on, NULL, SOON), 1);
    gust_http_reply(res, 200, NULL, "done", 4);
}

static void shut_down(void *arg)
{
    struct site *site = arg;

    CHECK_EQ(gust_http_server_shutdown(site->server, SOON), 0);
}

static int shut_down_in_time(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = wait_to_go_on, .arg = &stage});
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET);
    wait_started(&stage);
    CHECK_EQ(gust_go(shut_down, &site), 0);
    gust_conn *refused;
    while (gust_tcp_dial(&site.addr, SOON, &refused) == 0)
        gust_conn_unref(refused);
    CHECK_EQ(gust_chan_send(stage.go_on, NULL, GUST_NOW), 0);
    expect_reply_start(client_read_all(conn), "in flight", "HTTP/1.1 200 OK\r\n");
    client_close(conn);
    site_end(&site);
    stage_fini(&stage);
    return 0;
}

Test(context, stays_while_a_shutdown_waits)
{
    test_run(shut_down_in_time, NULL);
}

/* --- Many ----------------------------------------------------------------------------------- */

#define CLIENTS 300

static int leave_in_crowds(void *arg)
{
    struct stage stage;
    struct site site;
    gust_conn *conns[CLIENTS];
    struct wait w = {.body = sleep_on};

    (void)arg;
    CHECK_EQ(gust_chan_new(0, CLIENTS, &stage.started), 0);
    CHECK_EQ(gust_chan_new(sizeof(int), CLIENTS, &stage.ended), 0);
    CHECK_EQ(gust_chan_new(0, CLIENTS, &stage.go_on), 0);
    w.stage = stage;
    site_start(&site, &(gust_http_server_options){.handler = wait_in_vain, .arg = &w});
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            conns[i] = site_dial(&site);
            client_send(conns[i], GET);
        }
        for (int i = 0; i < CLIENTS; i++)
            wait_started(&w.stage);
        for (int i = 0; i < CLIENTS; i++)
            client_close(conns[i]);
        for (int i = 0; i < CLIENTS; i++)
            check_ended(&w.stage, -ECONNRESET);
    }
    site_stop(&site);
    stage_fini(&w.stage);
    return 0;
}

Test(context, of_each_in_a_crowd_is_cancelled)
{
    test_run_without_leaks(leave_in_crowds, NULL);
}
