/* Serving and shutting down. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/context.h>

#include "http/exchange.h"
#include "net/conn.h"
#include "tests/net/net_test.h"

/* A handler that says it has started and waits until it may go on. */
struct stage {
    gust_chan *started;
    gust_chan *go_on;
};

static void stage_init(struct stage *stage)
{
    CHECK_EQ(gust_chan_new(0, 64, &stage->started), 0);
    CHECK_EQ(gust_chan_new(0, 64, &stage->go_on), 0);
}

static void stage_fini(struct stage *stage)
{
    gust_chan_unref(stage->started);
    gust_chan_unref(stage->go_on);
}

static void perform(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct stage *stage = arg;

    (void)req;
    CHECK_EQ(gust_chan_send(stage->started, NULL, GUST_NOW), 0);
    CHECK_EQ(gust_chan_recv(stage->go_on, NULL, gust_after(SITE_WAIT_NS)), 1);
    gust_http_reply(res, 200, NULL, "done", 4);
}

static void wait_started(struct stage *stage)
{
    CHECK_EQ(gust_chan_recv(stage->started, NULL, gust_after(SITE_WAIT_NS)), 1);
}

static void let_go_on(struct stage *stage)
{
    CHECK_EQ(gust_chan_send(stage->go_on, NULL, GUST_NOW), 0);
}

#define GET_KEEP "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define DONE_KEEP "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"
#define DONE_LAST "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndone"

struct shutdown {
    struct site *site;
    gust_time deadline;
    gust_chan *result;
};

static void shut_down(void *arg)
{
    struct shutdown *s = arg;
    gust_chan *result = s->result;
    int r = gust_http_server_shutdown(s->site->server, s->deadline);

    CHECK_EQ(gust_chan_send(result, &r, GUST_NOW), 0);
    gust_chan_unref(result);
}

static void shutdown_begin(struct shutdown *s, struct site *site, gust_time deadline)
{
    s->site = site;
    s->deadline = deadline;
    CHECK_EQ(gust_chan_new(sizeof(int), 1, &s->result), 0);
    gust_chan_ref(s->result); /* for shut_down */
    CHECK_EQ(gust_go(shut_down, s), 0);
}

static int shutdown_result(struct shutdown *s)
{
    int r;

    CHECK_EQ(gust_chan_recv(s->result, &r, gust_after(SITE_WAIT_NS)), 1);
    gust_chan_unref(s->result);
    return r;
}

/* --- Shutting down with connections in every state ---------------------------------- */

static int finish_what_is_in_flight(void *arg)
{
    struct shutdown shutdown;
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = perform, .arg = &stage});
    gust_conn *idle = site_dial(&site);
    let_go_on(&stage);
    client_send(idle, GET_KEEP);
    expect_reply(client_read_reply(idle), "before", DONE_KEEP);
    wait_started(&stage);
    gust_conn *fresh = site_dial(&site);
    gust_conn *active = site_dial(&site);
    client_send(active, GET_KEEP GET_KEEP);
    wait_started(&stage);

    shutdown_begin(&shutdown, &site, gust_after(SITE_WAIT_NS));
    expect_reply(client_read_all(idle), "idle", "");
    expect_reply(client_read_all(fresh), "fresh", "");
    let_go_on(&stage);
    expect_reply(client_read_all(active), "active", DONE_LAST);
    client_close(active);
    CHECK_EQ(shutdown_result(&shutdown), 0);
    client_close(idle);
    client_close(fresh);
    site_end(&site);
    stage_fini(&stage);
    return 0;
}

Test(server, shutdown_closes_idle_connections_and_finishes_the_rest)
{
    test_run(finish_what_is_in_flight, NULL);
}

/* --- A response that is on its way while its connection is idle -------------------- */

#define ANSWER_LEN 2000

struct slow {
    _Atomic(struct http_conn *) hc;
    _Atomic int answered;
};

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct slow *slow = arg;
    char body[ANSWER_LEN];

    memset(body, 'x', sizeof(body));
    atomic_store(&slow->hc, req->hc);
    gust_http_reply(res, 200, NULL, body, sizeof(body));
    atomic_fetch_add(&slow->answered, 1);
}

static bool is_sending(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    bool sending = conn_is_sending(c);
    gust__lock_drop(&c->lock);
    return sending;
}

/* Has a part of the answer to wait until the client reads? */
static bool is_full(struct http_conn *hc)
{
    return is_sending(hc->conn) && is_stuck(hc->conn->fd.fd);
}

/* Returns how many requests were answered. */
static int ask_until_full(gust_conn *client, struct slow *slow)
{
    for (int asked = 1;; asked++) {
        client_send(client, GET_KEEP);
        AWAIT_SOON(atomic_load(&slow->answered) == asked);
        struct http_conn *hc = atomic_load(&slow->hc);
        AWAIT_SOON(conn_state(hc) == CONN_IDLE && (!is_sending(hc->conn) || is_full(hc)));
        if (is_full(hc))
            return asked;
    }
}

/* The idle connections are next, once it refuses new ones. */
static bool is_refused(struct site *site)
{
    gust_conn *conn;
    int r = gust_tcp_dial(&site->addr, gust_after(SITE_WAIT_NS), &conn);

    if (r == 0)
        client_close(conn);
    return r == -ECONNREFUSED;
}

static int lose_nothing(void *arg)
{
    struct shutdown shutdown;
    struct slow slow = {NULL, 0};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer, .arg = &slow});
    gust_conn *client = site_dial(&site);
    int asked = ask_until_full(client, &slow);
    shutdown_begin(&shutdown, &site, gust_after(SITE_WAIT_NS));
    AWAIT_SOON(is_refused(&site));
    for (int i = 0; i < asked; i++) {
        struct reply r = client_read_reply(client);
        CHECK_EQ(strlen(strstr(r.text, "\r\n\r\n") + 4), ANSWER_LEN);
        free(r.text);
    }
    expect_reply(client_read_all(client), "the end", "");
    client_close(client);
    CHECK_EQ(shutdown_result(&shutdown), 0);
    site_end(&site);
    return 0;
}

Test(server, shutdown_loses_no_response_of_an_idle_connection)
{
    test_run(lose_nothing, NULL);
}

static int refuse_new_ones(void *arg)
{
    struct shutdown shutdown;
    struct stage stage;
    struct site site;
    gust_conn *late;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = perform, .arg = &stage});
    gust_conn *idle = site_dial(&site);
    gust_conn *active = site_dial(&site);
    client_send(active, GET_KEEP);
    wait_started(&stage);
    shutdown_begin(&shutdown, &site, gust_after(SITE_WAIT_NS));
    /* The listener is closed before the idle connections are. */
    expect_reply(client_read_all(idle), "idle", "");
    CHECK_EQ(gust_tcp_dial(&site.addr, gust_after(SITE_WAIT_NS), &late), -ECONNREFUSED);
    let_go_on(&stage);
    expect_reply(client_read_all(active), "active", DONE_LAST);
    client_close(active);
    client_close(idle);
    CHECK_EQ(shutdown_result(&shutdown), 0);
    site_end(&site);
    stage_fini(&stage);
    return 0;
}

Test(server, shutdown_refuses_new_connections)
{
    test_run(refuse_new_ones, NULL);
}

/* --- The deadline ------------------------------------------------------------------------ */

static void read_forever(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    ssize_t n;

    (void)res;
    CHECK_EQ(gust_chan_send(arg, NULL, GUST_NOW), 0);
    while ((n = gust_http_body_next(req, &piece)) > 0)
        continue;
    CHECK_EQ(n, -EBADF);
}

static int run_out_of_time(void *arg)
{
    gust_chan *started;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 1, &started), 0);
    site_start(&site, &(gust_http_server_options){.handler = read_forever, .arg = started});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n");
    CHECK_EQ(gust_chan_recv(started, NULL, gust_after(SITE_WAIT_NS)), 1);
    CHECK_EQ(gust_http_server_shutdown(site.server, gust_after(30 * GUST_MS)), -ETIMEDOUT);
    CHECK(gust_conn_fill(conn, 65536, gust_after(SITE_WAIT_NS)) <= 0);
    client_close(conn);
    site_end(&site);
    gust_chan_unref(started);
    return 0;
}

Test(server, shutdown_closes_what_is_left_at_its_deadline)
{
    test_run(run_out_of_time, NULL);
}

static void perform_whatever_happens(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_context *context = gust_context_swap(NULL);

    perform(req, res, arg);
    gust_context_swap(context);
}

/* The handler waits for something the shutdown cannot end: the server may be
 * freed under it. */
static int outlive_the_server(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site,
               &(gust_http_server_options){.handler = perform_whatever_happens, .arg = &stage});
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET_KEEP);
    wait_started(&stage);
    CHECK_EQ(gust_http_server_shutdown(site.server, GUST_NOW), -ETIMEDOUT);
    site_end(&site);
    size_t before = gust_num_goroutines();
    let_go_on(&stage);
    while (gust_num_goroutines() == before)
        gust_yield();
    client_close(conn);
    stage_fini(&stage);
    return 0;
}

Test(server, handler_may_outlive_a_shutdown)
{
    test_run(outlive_the_server, NULL);
}

/* --- Serve -------------------------------------------------------------------------------- */

static int serve_after_shutdown(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = perform, .arg = &stage});
    CHECK_EQ(gust_http_server_shutdown(site.server, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(gust_http_server_shutdown(site.server, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(gust_http_server_serve(site.server, site.listener), 0);
    site_end(&site);
    stage_fini(&stage);
    return 0;
}

Test(server, serves_nothing_after_a_shutdown)
{
    test_run(serve_after_shutdown, NULL);
}

static int lose_the_listener(void *arg)
{
    struct stage stage;
    struct site site;

    (void)arg;
    stage_init(&stage);
    site_start(&site, &(gust_http_server_options){.handler = perform, .arg = &stage});
    gust_listener_close(gust_listener_ref(site.listener));
    CHECK_EQ(gust_waitgroup_wait(&site.serving, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(site.result, -EBADF);
    gust_http_server_free(site.server);
    gust_listener_close(site.listener);
    stage_fini(&stage);
    return 0;
}

Test(server, serve_reports_a_listener_that_was_closed)
{
    test_run(lose_the_listener, NULL);
}

static void wait_in_vain(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct stage *stage = arg;

    CHECK_EQ(gust_chan_send(stage->started, NULL, GUST_NOW), 0);
    CHECK_EQ(gust_chan_recv(stage->go_on, NULL, gust_after(SITE_WAIT_NS)), -ECANCELED);
    gust_http_reply(res, 503, NULL, "no", 2);
    (void)req;
}

static int cancel_all(void *arg)
{
    gust_context *context;
    struct stage stage;
    struct site site;
    size_t before = gust_num_goroutines();

    (void)arg;
    stage_init(&stage);
    CHECK_EQ(gust_context_new(NULL, &context), 0);
    gust_context_swap(gust_context_ref(context));
    site_start(&site, &(gust_http_server_options){.handler = wait_in_vain, .arg = &stage});
    gust_context_unref(gust_context_swap(NULL));
    gust_conn *idle = site_dial(&site), *busy = site_dial(&site);
    client_send(busy, GET_KEEP);
    wait_started(&stage);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&site.serving, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(site.result, -ECANCELED);
    /* The idle one is closed by a goroutine that starts for it. */
    CHECK(gust_conn_fill(idle, 65536, gust_after(SITE_WAIT_NS)) <= 0);
    while (gust_conn_fill(busy, 65536, gust_after(SITE_WAIT_NS)) > 0)
        continue;
    while (gust_num_goroutines() > before)
        gust_yield();
    client_close(idle);
    client_close(busy);
    gust_http_server_free(site.server);
    gust_listener_close(site.listener);
    gust_context_unref(context);
    stage_fini(&stage);
    return 0;
}

Test(server, ends_with_all_its_handlers_when_its_context_is_cancelled)
{
    test_run(cancel_all, NULL);
}

/* --- Many clients at once --------------------------------------------------------------- */

#define CLIENTS 32
#define REQUESTS 50

static void reply_at_once(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "done", 4);
}

struct crowd {
    struct site site;
    gust_waitgroup clients;
};

static void ask_often(void *arg)
{
    struct crowd *crowd = arg;
    gust_conn *conn = site_dial(&crowd->site);

    for (int i = 0; i < REQUESTS; i++) {
        client_send(conn, GET_KEEP);
        expect_reply(client_read_reply(conn), "one of many", DONE_KEEP);
    }
    client_close(conn);
    gust_waitgroup_done(&crowd->clients);
}

static int serve_a_crowd(void *arg)
{
    struct crowd crowd = {0};

    (void)arg;
    site_start(&crowd.site, &(gust_http_server_options){.handler = reply_at_once});
    gust_waitgroup_add(&crowd.clients, CLIENTS);
    for (int i = 0; i < CLIENTS; i++)
        CHECK_EQ(gust_go(ask_often, &crowd), 0);
    CHECK_EQ(gust_waitgroup_wait(&crowd.clients, gust_after(SITE_WAIT_NS)), 0);
    site_stop(&crowd.site);
    return 0;
}

Test(server, serves_many_clients_at_once)
{
    test_run(serve_a_crowd, NULL);
}
