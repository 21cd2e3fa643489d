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

/* What is due in 20 s at the least rate, and a bit more. */
#define FAIR_BYTES (21 * GUST_HTTP_BODY_RATE_MIN)

/* The time of a body is for each wait; 20 s and 20 s are allowed, if something comes. */
static void stop_in_body(struct site *site)
{
    static char piece[FAIR_BYTES];
    gust_conn *c = site_dial(site);
    char head[80];

    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n",
             6 * FAIR_BYTES);
    client_send(c, head);
    for (int i = 0; i < 5; i++) {
        gust_sleep(20 * GUST_SEC);
        client_send_bytes(c, piece, sizeof piece);
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

/* A byte every ten seconds: each wait is short enough, all together are not. */
static void trickle_body(struct site *site)
{
    gust_conn *c = site_dial(site);

    client_send(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    gust_time since = gust_now();
    for (int i = 0; i < 2; i++) {
        gust_sleep(10 * GUST_SEC);
        client_send(c, "x");
    }
    CHECK(gust_conn_fill(c, 4096, GUST_FOREVER) > 0);
    /* The two bytes have earned two times 2 ms. */
    check_time(since, 30 * GUST_SEC + 2 * GUST_SEC / GUST_HTTP_BODY_RATE_MIN);
    expect_reply_start(client_read_all(c), "trickle", "HTTP/1.1 408 ");
    client_close(c);
}

Test(http_sim, a_body_that_trickles_is_given_up)
{
    run_with_client(trickle_body);
}

/* Nobody can save up for later, not by megabytes. */
static void stop_after_much(struct site *site)
{
    static char piece[100000];
    gust_conn *c = site_dial(site);

    client_send(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 9; i++)
        client_send_bytes(c, piece, sizeof piece);
    gust_time since = gust_now();
    CHECK(gust_conn_fill(c, 4096, GUST_FOREVER) > 0);
    check_time(since, 30 * GUST_SEC);
    client_close(c);
}

Test(http_sim, bytes_that_came_early_buy_no_time)
{
    run_with_client(stop_after_much);
}

/* --- Rates that a handler or an option sets ------------------------------------------ */

static void allow_silence(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_body_rate(req, *(const int64_t *)arg);
    reply_with_target(req, res, NULL);
}

static int silence_main(void *arg)
{
    static int64_t none = GUST_HTTP_NO_MINIMUM;
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = allow_silence, .arg = &none});
    gust_conn *c = site_dial(&site);
    client_send(c, "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    for (int i = 0; i < 9; i++) {
        gust_sleep(29 * GUST_SEC);
        client_send(c, "x");
    }
    expect_reply(client_read_reply(c), "slow, by leave", HELLO);
    client_close(c);
    site_stop(&site);
    return 0;
}

Test(http_sim, a_handler_may_allow_a_slow_body)
{
    sim_run(&exact, silence_main, NULL);
}

/* A handler that thinks for long takes none of its client's time. */
static void think(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span piece;
    (void)arg;
    while (gust_http_body_next(req, &piece) > 0)
        gust_sleep(100 * GUST_SEC);
    gust_http_reply(res, 200, NULL, "/hello", 6);
}

static int thinking_main(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = think});
    gust_conn *c = site_dial(&site);
    client_send(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
    for (int i = 0; i < 9; i++) {
        client_send(c, "x");
        gust_sleep(101 * GUST_SEC); /* the handler waits for a second */
    }
    expect_reply(client_read_reply(c), "slow handler", HELLO);
    client_close(c);
    site_stop(&site);
    return 0;
}

Test(http_sim, the_time_of_a_body_is_not_that_of_the_handler)
{
    sim_run(&exact, thinking_main, NULL);
}

/* --- Slow readers ----------------------------------------------------------------------- */

#define LARGE (4 * GUST_HTTP_WRITE_PIECE_MAX)

/* What a piece may take. */
#define PIECE_NS \
    (GUST_HTTP_WRITE_TIMEOUT_NS + GUST_HTTP_WRITE_PIECE_MAX * GUST_SEC / GUST_HTTP_WRITE_RATE_MIN)

struct reader {
    size_t bytes; /* that it takes every ten seconds */
    int result;   /* of the handler; 1: it is at work */
    gust_time end;
};

static void reply_large(gust_http_request *req, gust_http_response *res, void *arg)
{
    static char body[LARGE];
    struct reader *reader = arg;
    (void)req;
    reader->result = gust_http_reply(res, 200, NULL, body, sizeof body);
    reader->end = gust_now();
}

/* Reads at its pace until the handler has ended. */
static void read_slowly(gust_conn *c, const struct reader *reader)
{
    static char buf[LARGE];

    while (reader->result == 1) {
        ssize_t n = 1;
        for (size_t left = reader->bytes; left > 0 && n > 0; left -= (size_t)n)
            n = gust_conn_read(c, buf, left, gust_after(GUST_SEC));
        gust_sleep(10 * GUST_SEC);
    }
}

static int reader_main(void *arg)
{
    struct reader *reader = arg;
    struct site site;

    reader->result = 1;
    site_start(&site, &(gust_http_server_options){.handler = reply_large, .arg = reader});
    gust_conn *c = site_dial(&site);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    gust_time since = gust_now();
    read_slowly(c, reader);
    client_close(c);
    if (reader->bytes >= 10 * GUST_HTTP_WRITE_RATE_MIN) {
        CHECK_EQ(reader->result, 0);
        CHECK(reader->end - since > 2 * GUST_HTTP_WRITE_TIMEOUT_NS);
    } else {
        CHECK_EQ(reader->result, -ETIMEDOUT);
        CHECK(reader->end - since <= PIECE_NS + 12 * GUST_SEC); /* two of its steps */
    }
    site_stop(&site);
    return 0;
}

Test(http_sim, a_slow_reader_is_served_at_the_least_rate)
{
    sim_run(&exact, reader_main, &(struct reader){.bytes = 10 * GUST_HTTP_WRITE_RATE_MIN});
}

Test(http_sim, a_slower_one_is_cut_off)
{
    sim_run(&exact, reader_main, &(struct reader){.bytes = 100});
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
