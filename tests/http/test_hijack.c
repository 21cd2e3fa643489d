/* Connections that a handler takes. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/context.h>
#include <gust/http_hijack.h>
#include <gust/http_reply.h>
#include <gust/panic.h>

#define SOON gust_after(SITE_WAIT_NS)
#define HEAD " HTTP/1.1\r\nHost: a\r\n"

/* Sends back what comes, in pieces, until the client ends its direction. */
static void echo(void *arg)
{
    gust_conn *conn = arg;
    ssize_t n;

    do {
        gust_span view = gust_conn_view(conn);
        CHECK_EQ(gust_conn_write(conn, view.data, view.len, SOON), view.len);
        gust_conn_consume(conn, view.len);
    } while ((n = gust_conn_fill(conn, 65536, SOON)) > 0);
    CHECK_EQ(n, 0);
    CHECK_EQ(gust_conn_close(conn, SOON), 0);
}

/* --- Taking ------------------------------------------------------------------------------ */

/* What nobody may do any more, and what still can be asked. */
static void check_is_taken(gust_http_request *req, gust_http_response *res)
{
    gust_conn *again;
    gust_span piece;

    CHECK_EQ(gust_http_hijack(req, res, &again), -EALREADY);
    CHECK_EQ(gust_http_upgrade(req, res, "echo", &again), -EALREADY);
    CHECK_EQ(gust_http_status(res, 204), -EALREADY);
    CHECK_EQ(gust_http_header(res, "X", "y"), -EALREADY);
    CHECK_EQ(gust_http_write(res, "x", 1), -EBADF);
    CHECK_EQ(gust_http_flush(res), -EBADF);
    CHECK_EQ(gust_http_body_next(req, &piece), -EBADF);
    CHECK(span_is(gust_http_request_path(req), "/take"));
    CHECK(span_is(gust_http_request_header(req, "Host"), "a"));
}

static void take(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span query = gust_http_request_query(req);
    gust_conn *conn;

    (void)arg;
    if (!span_is(gust_http_request_path(req), "/take")) {
        gust_http_reply(res, 200, NULL, "fine", 4);
        return;
    }
    bool panics = span_is(query, "panic"), exits = span_is(query, "goexit");
    CHECK_EQ(gust_http_hijack(req, res, &conn), 0);
    check_is_taken(req, res);
    if (span_is(gust_http_request_query(req), "later"))
        CHECK_EQ(gust_go(echo, conn), 0);
    else if (panics || exits)
        CHECK_EQ(gust_go_with(&(gust_go_options){.name = "echo"}, echo, conn), 0);
    else
        echo(conn);
    CHECK_EQ(gust_context_err(gust_context_current()), 0);
    if (panics)
        gust_panic("it is not mine any more");
    if (exits)
        gust_goexit();
}

/* The goroutine that goes on with the conn is not the handler's. */
static void take_free(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_context *context = gust_context_swap(NULL);

    gust_defer((void (*)(void *))gust_context_unref, context);
    take(req, res, arg);
    gust_context_swap(gust_context_ref(context));
}

#define FINE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfine"

static void be_quiet(const char *line)
{
    (void)line;
}

/* An answer before, bytes behind: in order, and none lost. */
static int take_in_many_ways(void *arg)
{
    static const char *const requests[] = {
        "GET /" HEAD "\r\nGET /take" HEAD "\r\nahead",
        "GET /" HEAD "\r\nGET /take?later" HEAD "\r\nahead",
        "GET /" HEAD "\r\nGET /take?panic" HEAD "\r\nahead",
        "GET /" HEAD "\r\nGET /take?goexit" HEAD "\r\nahead",
        "GET /" HEAD "\r\nPOST /take" HEAD "Content-Length: 99\r\n\r\nahead",
        "GET /" HEAD "\r\nPOST /take" HEAD
        "Content-Length: 99\r\nExpect: 100-continue\r\n\r\nahead",
    };
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = take_free});
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        gust_conn *conn = site_dial(&site);
        client_send(conn, requests[i]);
        client_send(conn, " and after");
        CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
        expect_reply(client_read_all(conn), requests[i], FINE "ahead and after");
        client_close(conn);
    }
    site_stop(&site);
    return 0;
}

Test(hijack, gives_the_connection_with_all_that_was_read_ahead)
{
    gust_set_log(be_quiet);
    test_run_without_leaks(take_in_many_ways, NULL);
}

static void refuse_late(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;

    (void)arg;
    CHECK_EQ(gust_http_write(res, "x", 1), 1);
    CHECK_EQ(gust_http_hijack(req, res, &conn), -EALREADY);
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK_EQ(gust_http_hijack(req, res, &conn), -EALREADY);
}

static int take_too_late(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = refuse_late});
    expect_reply(site_ask(&site, "GET / HTTP/1.0\r\n\r\n"), "late",
                 "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nx");
    site_stop(&site);
    return 0;
}

Test(hijack, is_refused_once_the_answer_has_begun)
{
    test_run(take_too_late, NULL);
}

/* --- The server ---------------------------------------------------------------------------- */

static int shut_down_beside_a_taken_one(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = take});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET /take" HEAD "\r\n1");
    struct reply r = {malloc(2), 1};
    CHECK_EQ(gust_conn_read(conn, r.text, 1, SOON), 1);
    free(r.text);
    site_stop(&site);
    client_send(conn, "still there");
    CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
    expect_reply(client_read_all(conn), "after the shutdown", "still there");
    client_close(conn);
    return 0;
}

Test(hijack, is_forgotten_by_the_server_also_at_its_end)
{
    test_run_without_leaks(shut_down_beside_a_taken_one, NULL);
}

static void take_and_wait(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;
    char byte;

    CHECK_EQ(gust_sleep(3 * GUST_HTTP_WATCH_NS), 0); /* the client is watched by now */
    CHECK_EQ(gust_http_hijack(req, res, &conn), 0);
    CHECK_EQ(gust_chan_send(arg, NULL, GUST_NOW), 0);
    CHECK_EQ(gust_conn_read(conn, &byte, 1, SOON), 0);
    CHECK_EQ(gust_context_err(gust_context_current()), 0);
    CHECK_EQ(gust_conn_watch(conn, gust_context_current()), 0);
    CHECK_EQ(gust_sleep_until(GUST_FOREVER), -ECANCELED);
    gust_conn_close(conn, GUST_NOW);
    CHECK_EQ(gust_chan_send(arg, NULL, GUST_NOW), 0);
}

static int leave_a_taken_one(void *arg)
{
    gust_chan *steps;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 2, &steps), 0);
    site_start(&site, &(gust_http_server_options){.handler = take_and_wait, .arg = steps});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "GET /" HEAD "\r\n");
    CHECK_EQ(gust_chan_recv(steps, NULL, SOON), 1);
    gust_http_server_shutdown(site.server, GUST_NOW); /* its deadline concerns others */
    client_close(conn);
    CHECK_EQ(gust_chan_recv(steps, NULL, SOON), 1);
    site_end(&site);
    gust_chan_unref(steps);
    return 0;
}

Test(hijack, leaves_it_to_the_handler_who_watches)
{
    test_run_without_leaks(leave_a_taken_one, NULL);
}

/* --- Upgrades -------------------------------------------------------------------------------- */

static void upgrade(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;
    char body[8];

    (void)arg;
    CHECK_EQ(gust_http_upgrade(req, res, "", &conn), -EINVAL);
    CHECK_EQ(gust_http_upgrade(req, res, "echo\r\nX: y", &conn), -EINVAL);
    CHECK_EQ(gust_http_upgrade(req, res, "echo/", &conn), -EINVAL);
    CHECK_EQ(gust_http_upgrade(req, res, "ech", &conn), -EPROTO);
    CHECK_EQ(gust_http_header(res, "X-Accept", "yes"), 0);
    int r = gust_http_upgrade(req, res, "echo/2", &conn);
    if (r == -EBUSY) {
        while (gust_http_body_read(req, body, sizeof(body)) > 0)
            continue;
        r = gust_http_upgrade(req, res, "echo/2", &conn);
    }
    if (r == 0) {
        echo(conn);
        return;
    }
    CHECK_EQ(r, -EPROTO);
    gust_http_error(res, 426, NULL);
}

#define ACCEPTED                                                                     \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/2\r\n" \
    "X-Accept: yes\r\n\r\n"
#define REFUSED "HTTP/1.1 426 Upgrade Required\r\n"
#define ASK "GET /" HEAD

static const struct {
    const char *request;
    bool accepted;
} upgrades[] = {
    {ASK "Connection: Upgrade\r\nUpgrade: echo/2\r\n\r\nhello", true},
    {ASK "Connection: keep-alive, upgrade\r\nUpgrade: ECHO/2\r\n\r\nhello", true},
    {ASK "Connection: keep-alive\r\nConnection: ,Upgrade,\r\nUpgrade: h2c, x\r\nUpgrade: a,echo/2"
         "\r\n\r\nhello",
     true},
    {"POST /" HEAD "Connection: Upgrade\r\nUpgrade: echo/2\r\nContent-Length: 3\r\n\r\nabchello",
     true},
    {"POST /" HEAD "Connection: Upgrade\r\nUpgrade: echo/2\r\nTransfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0\r\nX: y\r\n\r\nhello",
     true},
    {ASK "Connection: Upgrade\r\n\r\n", false},
    {ASK "Connection: Upgrade\r\nUpgrade: \r\n\r\n", false},
    {ASK "Connection: Upgrade\r\nUpgrade: echo\r\n\r\n", false},
    {ASK "Upgrade: echo/2\r\n\r\n", false},
    {ASK "Connection: upgraded\r\nUpgrade: echo/2\r\n\r\n", false},
    {"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: echo/2\r\n\r\n", false},
};

static int ask_for_upgrades(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = upgrade});
    for (size_t i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]); i++) {
        gust_conn *conn = site_dial(&site);
        client_send(conn, upgrades[i].request);
        CHECK_EQ(gust_conn_shutdown(conn, SHUT_WR, SOON), 0);
        struct reply r = client_read_all(conn);
        if (upgrades[i].accepted)
            expect_reply(r, upgrades[i].request, ACCEPTED "hello");
        else
            expect_reply_start(r, upgrades[i].request, REFUSED);
        client_close(conn);
    }
    site_stop(&site);
    return 0;
}

Test(hijack, upgrades_who_asks_for_it_in_due_form)
{
    test_run_without_leaks(ask_for_upgrades, NULL);
}
