/* The HTTP server on simulated sockets: its timeouts, each of which takes a minute
 * or so of simulated time and none of ours; and requests in pieces, under many seeds. */
#include <stdio.h>

#include "tests/core/sim.h"
#include "tests/http/site.h"

static const sim_options exact = {.seed = 3};
static const sim_options rough = {.delay_ns_max = 2 * GUST_MS, .bytes_max = 64};

/* What a few dozen dispatches may add to a time (tests/core/sim.h). */
#define SLACK_NS (1 * GUST_MS)

static void reply_with_target(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span target = gust_http_request_target(req);
    gust_span piece;
    (void)arg;
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_http_reply(res, 200, NULL, target.data, target.len);
}

static const gust_http_server_options options = {
    .handler = reply_with_target,
    .idle_timeout_ns = 60 * GUST_SEC,
    .header_timeout_ns = 10 * GUST_SEC,
    .read_timeout_ns = 30 * GUST_SEC,
};

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n/hello"

/* Runs `client` with a server, in an exact simulation. */
static int site_main(void *arg)
{
    struct site site;
    void (*client)(struct site *) = *(void (**)(struct site *))arg;

    site_start(&site, &options);
    client(&site);
    site_stop(&site);
    return 0;
}

static void run_with_client(void (*client)(struct site *site))
{
    sim_run(&exact, site_main, &client);
}

static void check_time(gust_time since, int64_t expected_ns)
{
    int64_t ns = gust_now() - since;

    CHECK(ns >= expected_ns && ns <= expected_ns + SLACK_NS);
}

static void expect_end(gust_conn *c)
{
    CHECK_EQ(gust_conn_fill(c, 4096, GUST_FOREVER), 0);
}

/* --- Timeouts --------------------------------------------------------------------- */

static void be_idle(struct site *site)
{
    gust_conn *c = site_dial(site);

    for (int i = 0; i < 3; i++) {
        client_send(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        expect_reply(client_read_reply(c), "keep-alive", HELLO);
        gust_sleep(59 * GUST_SEC);
    }
    client_send(c, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_reply(client_read_reply(c), "the last", HELLO);
    gust_time since = gust_now();
    expect_end(c);
    check_time(since, 60 * GUST_SEC);
    client_close(c);
}

Test(http_sim, an_idle_connection_is_closed_after_a_minute_and_no_sooner)
{
    run_with_client(be_idle);
}

static void say_nothing_at_all(struct site *site)
{
    gust_time since = gust_now();
    gust_conn *c = site_dial(site);

    expect_end(c);
    check_time(since, 10 * GUST_SEC);
    client_close(c);
}

Test(http_sim, a_new_connection_that_says_nothing_has_the_time_of_a_header)
{
    run_with_client(say_nothing_at_all);
}

/* A byte a second: progress does not extend it. */
static void be_slow(struct site *site)
{
    gust_time since = gust_now();
    gust_conn *c = site_dial(site);
    ssize_t n;

    client_send(c, "GET /");
    do {
        client_send(c, "a");
        n = gust_conn_fill(c, 4096, gust_after(GUST_SEC));
    } while (n == -ETIMEDOUT);
    CHECK(n > 0);
    check_time(since, 10 * GUST_SEC);
    expect_reply_start(client_read_all(c), "slow header", "HTTP/1.1 408 ");
    client_close(c);
}

Test(http_sim, a_slow_header_is_refused_when_its_time_is_over)
{
    run_with_client(be_slow);
}

/* The time of a body is for each wait; 20 s and 20 s are allowed. */
static void stop_in_body(struct site *site)
{
    gust_conn *c = site_dial(site);

    client_send(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    for (int i = 0; i < 5; i++) {
        gust_sleep(20 * GUST_SEC);
        client_send(c, "x");
    }
    gust_time since = gust_now();
    CHECK(gust_conn_fill(c, 4096, GUST_FOREVER) > 0);
    check_time(since, 30 * GUST_SEC);
    expect_reply_start(client_read_all(c), "slow body", "HTTP/1.1 408 ");
    client_close(c);
}

Test(http_sim, a_body_that_stops_is_given_up)
{
    run_with_client(stop_in_body);
}

/* --- Many seeds ------------------------------------------------------------------- */

enum { CLIENTS = 4, REQUESTS = 8 };

struct client {
    struct site *site;
    int number;
    gust_waitgroup *group;
};

static void request_number(char text[128], const struct client *c, int i)
{
    if (i % 2)
        snprintf(text, 128,
                 "POST /%d/%d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "3\r\nabc\r\n0\r\n\r\n",
                 c->number, i);
    else
        snprintf(text, 128, "GET /%d/%d HTTP/1.1\r\nHost: x\r\n\r\n", c->number, i);
}

/* All requests at once; the answers come in order. */
static void client_body(void *arg)
{
    struct client *c = arg;
    gust_conn *conn = site_dial(c->site);
    char text[128];

    for (int i = 0; i < REQUESTS; i++) {
        request_number(text, c, i);
        client_send(conn, text);
        if (sim_rand(4) == 0)
            gust_sleep((int64_t)sim_rand(20) * GUST_MS);
    }
    for (int i = 0; i < REQUESTS; i++) {
        snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n/%d/%d", c->number,
                 i);
        expect_reply(client_read_reply(conn), "pipelined", text);
    }
    client_close(conn);
    gust_waitgroup_done(c->group);
}

static int clients_main(void *arg)
{
    struct site site;
    struct client all[CLIENTS];
    gust_waitgroup group = {0};

    (void)arg;
    site_start(&site, &options);
    gust_waitgroup_add(&group, CLIENTS);
    for (int i = 0; i < CLIENTS; i++) {
        all[i] = (struct client){&site, i, &group};
        CHECK_EQ(gust_go(client_body, &all[i]), 0);
    }
    CHECK_EQ(gust_waitgroup_wait(&group, gust_after(SITE_WAIT_NS)), 0);
    site_stop(&site);
    return 0;
}

Test(http_sim, requests_in_pieces_are_answered_under_every_seed)
{
    sim_seeds(rough, 100, clients_main, NULL);
}

Test(http_sim, the_same_seed_gives_the_same_run)
{
    sim_options o = rough;

    for (o.seed = 1; o.seed <= 5; o.seed++) {
        sim_run(&o, clients_main, NULL);
        char *first = strdup(sim_trace());
        sim_run(&o, clients_main, NULL);
        cr_assert_str_eq(first, sim_trace(), "seed %d", (int)o.seed);
        free(first);
    }
}
