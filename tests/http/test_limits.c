/* Limits on connections: at N, at N + 1, and what the others see meanwhile. */
#include "tests/http/site.h"
#include "tests/net/net_test.h"

#include <gust/chan.h>
#include <gust/http_operations.h>
#include <gust/inherit.h>

#include <sys/resource.h>

#include "http/server.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define HELLO_LAST "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_LAST "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "hello", 5);
}

static uint64_t errors_of(const struct site *site, gust_http_error_kind kind)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.errors[kind];
}

static size_t active_of(const struct site *site)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.conns_active;
}

static uint64_t accepted_by(const struct site *site)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.accepted;
}

static void expect_hello(gust_conn *conn, const char *what)
{
    client_send(conn, GET);
    expect_reply(client_read_reply(conn), what, HELLO);
}

/* --- In all ------------------------------------------------------------------------------ */

#define LIMIT 3

/* Says that it is at work and waits until it may end. */
static void hang(gust_http_request *req, gust_http_response *res, void *arg)
{
    CHECK(gust_chan_recv(arg, NULL, gust_after(SITE_WAIT_NS)) >= 0);
    hello(req, res, NULL);
}

/* As many as there may be, each with a request that hangs. */
static void fill_up(struct site *site, gust_conn *conns[LIMIT])
{
    for (size_t i = 0; i < LIMIT; i++) {
        conns[i] = site_dial(site);
        client_send(conns[i], GET);
        AWAIT_SOON(active_of(site) == i + 1);
    }
}

static int wait_for_room(void *arg)
{
    gust_conn *conns[LIMIT + 1];
    gust_chan *go_on;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &go_on), 0);
    site_start(&site, &(gust_http_server_options){
                          .handler = hang, .arg = go_on, .connections_max = LIMIT});
    fill_up(&site, conns);
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_CONNECTION_LIMIT), 0);
    /* The kernel takes it, the server does not; those that it has are served. */
    conns[LIMIT] = site_dial(&site);
    client_send(conns[LIMIT], GET);
    AWAIT_SOON(errors_of(&site, GUST_HTTP_ERROR_CONNECTION_LIMIT) == 1);
    CHECK_EQ(gust_conn_fill(conns[LIMIT], 4096, gust_after(30 * GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_GIVEN_UP), 0);
    gust_chan_close(go_on);
    expect_reply(client_read_reply(conns[LIMIT]), "has waited", HELLO);
    for (int i = 0; i < LIMIT; i++)
        expect_reply(client_read_reply(conns[i]), "at the limit", HELLO);
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_CONNECTION_LIMIT), 1);
    CHECK(errors_of(&site, GUST_HTTP_ERROR_GIVEN_UP) >= 1);
    for (int i = 0; i <= LIMIT; i++)
        client_close(conns[i]);
    site_stop(&site);
    gust_chan_unref(go_on);
    return 0;
}

Test(limits, while_all_are_at_work_the_next_one_waits)
{
    test_run(wait_for_room, NULL);
}

static size_t idle_of(const struct site *site)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.conns_idle;
}

/* Makes conns[i] the one that became idle last. */
static void use(struct site *site, gust_conn *conn, size_t idle)
{
    expect_hello(conn, "at the limit");
    AWAIT_SOON(idle_of(site) == idle);
    CHECK_EQ(gust_sleep(GUST_MS), 0); /* so that the clock tells them apart */
}

/* The second is used last, the first before: so the third has waited longest. */
static int give_up_idle(void *arg)
{
    const int64_t *timeout_ns = arg;
    gust_conn *conns[LIMIT], *next;
    struct site site;

    site_start(&site, &(gust_http_server_options){.handler = hello,
                                                  .connections_max = LIMIT,
                                                  .idle_timeout_ns = *timeout_ns});
    for (size_t i = 0; i < LIMIT; i++) {
        conns[i] = site_dial(&site);
        use(&site, conns[i], i + 1);
    }
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_GIVEN_UP), 0);
    use(&site, conns[0], LIMIT);
    use(&site, conns[1], LIMIT);
    next = site_dial(&site);
    expect_hello(next, "the next one");
    CHECK_EQ(gust_conn_fill(conns[2], 4096, gust_after(SITE_WAIT_NS)), 0);
    expect_hello(conns[0], "kept");
    expect_hello(conns[1], "kept");
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_GIVEN_UP), 1);
    for (size_t i = 0; i < LIMIT; i++)
        client_close(conns[i]);
    client_close(next);
    site_stop(&site);
    return 0;
}

Test(limits, the_longest_idle_connection_is_given_up)
{
    test_run(give_up_idle, &(int64_t){60 * GUST_SEC});
}

Test(limits, also_if_they_may_be_idle_for_ever)
{
    test_run(give_up_idle, &(int64_t){GUST_FOREVER});
}

/* Clients that come and stay idle, many more than there may be. */
#define VISITORS 8
#define VISITS 15

struct visitor {
    struct site *site;
    gust_waitgroup *done;
};

static void visit(void *arg)
{
    const struct visitor *v = arg;
    gust_conn *last = NULL;

    for (int i = 0; i < VISITS; i++) {
        gust_conn *conn = site_dial(v->site);
        client_send(conn, GET);
        /* It may be given up before its request has come. */
        (void)gust_conn_fill(conn, 4096, gust_after(SITE_WAIT_NS));
        if (last)
            client_close(last);
        last = conn;
    }
    client_close(last);
    gust_waitgroup_done(v->done);
}

static int crowd(void *arg)
{
    struct site site;
    gust_waitgroup done = {0};
    struct visitor v = {&site, &done};

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello, .connections_max = LIMIT});
    gust_waitgroup_add(&done, VISITORS);
    for (int i = 0; i < VISITORS; i++)
        CHECK_EQ(gust_go(visit, &v), 0);
    CHECK_EQ(gust_waitgroup_wait(&done, gust_after(6 * SITE_WAIT_NS)), 0);
    CHECK(errors_of(&site, GUST_HTTP_ERROR_GIVEN_UP) > 0);
    site_stop(&site);
    return 0;
}

Test(limits, a_crowd_gets_in_one_for_another)
{
    test_run(crowd, NULL);
}

static void shut_down(void *arg)
{
    struct site *site = arg;

    CHECK_EQ(gust_http_server_shutdown(site->server, gust_after(SITE_WAIT_NS)), 0);
}

/* Who waits for room is let go when a shutdown begins, and not when it ends. */
static int shut_down_full(void *arg)
{
    gust_chan *go_on;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &go_on), 0);
    site_start(&site,
               &(gust_http_server_options){.handler = hang, .arg = go_on, .connections_max = 1});
    gust_conn *first = site_dial(&site);
    client_send(first, GET);
    AWAIT_SOON(active_of(&site) == 1);
    gust_conn *second = site_dial(&site);
    AWAIT_SOON(errors_of(&site, GUST_HTTP_ERROR_CONNECTION_LIMIT) == 1);
    CHECK_EQ(gust_go(shut_down, &site), 0);
    CHECK(gust_conn_fill(second, 4096, gust_after(SITE_WAIT_NS)) <= 0);
    gust_chan_close(go_on);
    expect_reply(client_read_all(first), "first", HELLO_LAST);
    client_close(first);
    client_close(second);
    site_end(&site);
    gust_chan_unref(go_on);
    return 0;
}

Test(limits, a_full_server_can_be_shut_down)
{
    test_run(shut_down_full, NULL);
}

static unsigned default_for(rlim_t files)
{
    const struct rlimit limit = {files, files};
    gust_http_server *server;

    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(gust_http_server_new(&(gust_http_server_options){.handler = hello}, &server), 0);
    unsigned max = server->options.connections_max;
    gust_http_server_free(server);
    return max;
}

static int look_at_files(void *arg)
{
    struct rlimit before;

    (void)arg;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    if (before.rlim_max >= 10000)
        CHECK_EQ(default_for(10000), 10000 - GUST_HTTP_RESERVED_FDS);
    CHECK_EQ(default_for(800), 700);
    return 0;
}

Test(limits, by_default_connections_leave_some_descriptors)
{
    test_run(look_at_files, NULL);
}

/* --- Of a client ------------------------------------------------------------------------- */

/* From another address of the loopback interface. */
static gust_conn *dial_from(const struct site *site, const char *from)
{
    gust_addr local = addr_of(from);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    gust_conn *conn;

    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, &local.any, local.len), 0);
    CHECK_EQ(connect(fd, &site->addr.any, site->addr.len), 0);
    CHECK_EQ(gust_conn_adopt(fd, &conn), 0);
    return conn;
}

static void expect_refused(gust_conn *conn)
{
    ssize_t n = gust_conn_fill(conn, 4096, gust_after(SITE_WAIT_NS));

    CHECK(n == 0 || n == -ECONNRESET);
    client_close(conn);
}

static int flood_from_one(void *arg)
{
    gust_conn *conns[LIMIT];
    struct site site;

    (void)arg;
    site_start(&site,
               &(gust_http_server_options){.handler = hello, .client_connections_max = LIMIT});
    for (int i = 0; i < LIMIT; i++) {
        conns[i] = site_dial(&site);
        expect_hello(conns[i], "within");
    }
    for (int i = 0; i < 5; i++)
        expect_refused(site_dial(&site));
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_CLIENT_LIMIT), 5);
    gust_conn *other = dial_from(&site, "127.0.0.2:0");
    expect_hello(other, "another client");
    client_close(other);
    expect_hello(conns[0], "one of the first");
    /* What is closed makes room, once the server has seen it. */
    client_close(conns[0]);
    gust_http_server_stats stats;
    do {
        gust_http_server_stats_read(site.server, &stats);
        gust_yield();
    } while (stats.conns_idle + stats.conns_closing + stats.conns_active > LIMIT - 1);
    gust_conn *next = site_dial(&site);
    expect_hello(next, "there is room");
    client_close(next);
    for (int i = 1; i < LIMIT; i++)
        client_close(conns[i]);
    site_stop(&site);
    return 0;
}

Test(limits, one_client_has_so_many_connections_and_others_have_theirs)
{
    test_run(flood_from_one, NULL);
}

/* --- Requests of a connection ---------------------------------------------------------------- */

static int count_requests(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = hello, .conn_requests_max = LIMIT});
    expect_reply(site_ask(&site, GET GET GET GET), "pipelined", HELLO HELLO HELLO_LAST);
    gust_conn *conn = site_dial(&site);
    expect_hello(conn, "first");
    expect_hello(conn, "second");
    client_send(conn, GET);
    expect_reply(client_read_all(conn), "third", HELLO_LAST);
    client_close(conn);
    CHECK_EQ(errors_of(&site, GUST_HTTP_ERROR_CONN_REQUESTS), 2);
    site_stop(&site);
    site_start(&site, &(gust_http_server_options){.handler = hello, .conn_requests_max = 1});
    expect_reply(site_ask(&site, GET), "the only one", HELLO_LAST);
    site_stop(&site);
    return 0;
}

Test(limits, a_connection_is_closed_after_its_last_request)
{
    test_run(count_requests, NULL);
}

/* --- Several listeners --------------------------------------------------------------------- */

struct second {
    gust_http_server *server;
    gust_listener *listener;
    gust_waitgroup done;
};

static void serve_second(void *arg)
{
    struct second *s = arg;

    CHECK_EQ(gust_http_server_serve(s->server, s->listener), 0);
    gust_waitgroup_done(&s->done);
}

/* The limit is the server's; a shutdown ends both. */
static int serve_two(void *arg)
{
    struct second second = {NULL};
    struct site site, other;
    gust_chan *go_on;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &go_on), 0);
    site_start(&site,
               &(gust_http_server_options){.handler = hang, .arg = go_on, .connections_max = 2});
    other = site;
    second.server = site.server;
    second.listener = listen_on("127.0.0.1:0", &other.addr);
    gust_waitgroup_add(&second.done, 1);
    CHECK_EQ(gust_go(serve_second, &second), 0);
    gust_conn *first = site_dial(&site), *next = site_dial(&other);
    client_send(first, GET_LAST);
    client_send(next, GET_LAST);
    AWAIT_SOON(active_of(&site) == 2);
    gust_conn *late = site_dial(&site), *later = site_dial(&other);
    client_send(late, GET);
    client_send(later, GET);
    AWAIT_SOON(errors_of(&site, GUST_HTTP_ERROR_CONNECTION_LIMIT) == 2);
    /* One leaves, one enters; then the rest. */
    CHECK_EQ(gust_chan_send(go_on, NULL, gust_after(SITE_WAIT_NS)), 0);
    AWAIT_SOON(accepted_by(&site) == 3 && active_of(&site) == 2);
    gust_chan_close(go_on);
    expect_reply(client_read_reply(first), "by the first", HELLO_LAST);
    expect_reply(client_read_reply(next), "by the second", HELLO_LAST);
    client_close(first);
    client_close(next);
    expect_reply(client_read_reply(late), "late", HELLO);
    expect_reply(client_read_reply(later), "later", HELLO);
    client_close(late);
    client_close(later);
    CHECK_EQ(gust_http_server_shutdown(site.server, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(gust_waitgroup_wait(&second.done, gust_after(SITE_WAIT_NS)), 0);
    site_end(&site); /* frees the server, which nobody may be serving then */
    gust_listener_close(second.listener);
    gust_chan_unref(go_on);
    return 0;
}

Test(limits, several_listeners_share_a_server)
{
    test_run(serve_two, NULL);
}
