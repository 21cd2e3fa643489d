/* Attacks by slowness, with the default limits, on simulated sockets: so that a minute
 * takes none.  Each shows that others are served meanwhile, at once. */
#include <stdio.h>

#include "tests/core/sim.h"
#include "tests/http/site.h"

#include <gust/http_operations.h>

static const sim_options exact = {.seed = 3};

#define ATTACKERS 40

/* Nobody else waits for any of them. */
#define AT_ONCE_NS (5 * GUST_MS)

#define LARGE (4 << 20)

static int calls; /* of the handler */

/* GET: much; POST: what it is sent. */
static void serve_all(gust_http_request *req, gust_http_response *res, void *arg)
{
    static char large[LARGE];
    gust_span piece;
    (void)arg;
    calls++;
    if (span_is(gust_http_request_path(req), "/hello")) {
        gust_http_reply(res, 200, NULL, "hello", 5);
    } else if (gust_http_request_method(req) == GUST_HTTP_GET) {
        gust_http_reply(res, 200, NULL, large, sizeof large);
    } else {
        while (gust_http_body_next(req, &piece) > 0)
            continue;
        gust_http_reply(res, 200, NULL, NULL, 0);
    }
}

static void expect_others_served(const struct site *site)
{
    gust_time since = gust_now();

    expect_reply(site_ask(site, "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                 "somebody else",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    CHECK(gust_now() - since < AT_ONCE_NS);
}

/* --- An attack ---------------------------------------------------------------------------- */

struct attack {
    const char *opening;  /* what each sends at first */
    const char *dripping; /* and then, every so often; NULL: nothing */
    int64_t drip_ns;
    size_t sip;         /* bytes that it reads each time; 0: none */
    int64_t end_ns_max; /* by when the server has let go of it */
    gust_http_error_kind limit;
    const char *told; /* how what it gets begins; NULL: nobody looks */
};

struct attackers {
    struct site site;
    const struct attack *attack;
    gust_waitgroup done;
};

/* False once the server has let go. */
static bool drip(gust_conn *c, const struct attack *a)
{
    char sip[64];

    gust_sleep(a->drip_ns);
    if (a->sip && gust_conn_read(c, sip, a->sip, gust_after(GUST_MS)) == 0)
        return false;
    if (!a->dripping)
        return true;
    size_t len = strlen(a->dripping);
    return gust_conn_write(c, a->dripping, len, gust_after(GUST_SEC)) == (ssize_t)len &&
           gust_conn_drain(c, gust_after(GUST_SEC)) == 0;
}

static uint64_t count_of(const struct site *site, gust_http_error_kind kind)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.errors[kind];
}

static void attack_once(void *arg)
{
    struct attackers *all = arg;
    const struct attack *a = all->attack;
    gust_conn *c = site_dial(&all->site);

    if (a->opening[0])
        client_send(c, a->opening);
    /* As long as anybody is held. */
    while (count_of(&all->site, a->limit) < ATTACKERS && drip(c, a))
        continue;
    if (a->told)
        expect_reply_start(client_take(c, gust_conn_fill(c, 4096, gust_after(GUST_SEC)) > 0
                                              ? gust_conn_view(c).len
                                              : 0),
                           "attacker", a->told);
    client_close(c);
    gust_waitgroup_done(&all->done);
}

static int attack_main(void *arg)
{
    struct attackers all = {.attack = arg};
    gust_time since;

    site_start(&all.site, &(gust_http_server_options){.handler = serve_all});
    gust_waitgroup_add(&all.done, ATTACKERS);
    since = gust_now();
    for (int i = 0; i < ATTACKERS; i++) {
        CHECK_EQ(gust_go(attack_once, &all), 0);
        gust_sleep(GUST_MS);
    }
    while (gust_waitgroup_wait(&all.done, gust_after(2 * GUST_SEC)) == -ETIMEDOUT)
        expect_others_served(&all.site);
    CHECK_EQ(count_of(&all.site, all.attack->limit), ATTACKERS);
    CHECK(gust_now() - since <= all.attack->end_ns_max);
    expect_others_served(&all.site);
    site_stop(&all.site);
    return 0;
}

static void run_attack(struct attack attack)
{
    sim_run(&exact, attack_main, &attack);
}

/* What starting them, ending a step, and looking take. */
#define SLACK_NS (4 * GUST_SEC)

Test(sim_attacks, silent_connections)
{
    run_attack((struct attack){.opening = "",
                               .drip_ns = GUST_SEC,
                               .sip = 1,
                               .end_ns_max = GUST_HTTP_HEADER_TIMEOUT_NS + SLACK_NS,
                               .limit = GUST_HTTP_ERROR_HEADER_TIMEOUT});
}

Test(sim_attacks, slow_headers)
{
    run_attack((struct attack){.opening = "GET / HTTP/1.1\r\nHost: x\r\nX: ",
                               .dripping = "x",
                               .drip_ns = GUST_SEC,
                               .end_ns_max = GUST_HTTP_HEADER_TIMEOUT_NS + SLACK_NS,
                               .limit = GUST_HTTP_ERROR_HEADER_TIMEOUT,
                               .told = "HTTP/1.1 408 "});
}

Test(sim_attacks, slow_body)
{
    run_attack(
        (struct attack){.opening = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 999\r\n\r\n",
                        .dripping = "x",
                        .drip_ns = 10 * GUST_SEC,
                        .end_ns_max = GUST_HTTP_READ_TIMEOUT_NS + 10 * GUST_SEC + SLACK_NS,
                        .limit = GUST_HTTP_ERROR_BODY_TIMEOUT,
                        .told = "HTTP/1.1 408 "});
}

Test(sim_attacks, slow_chunks)
{
    run_attack((struct attack){
        .opening = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        .dripping = "1\r\nx\r\n",
        .drip_ns = 10 * GUST_SEC,
        .end_ns_max = GUST_HTTP_READ_TIMEOUT_NS + 10 * GUST_SEC + SLACK_NS,
        .limit = GUST_HTTP_ERROR_BODY_TIMEOUT,
        .told = "HTTP/1.1 408 "});
}

/* What a piece may take, and one more for what lies in buffers. */
#define PIECE_NS \
    (GUST_HTTP_WRITE_TIMEOUT_NS + GUST_HTTP_WRITE_PIECE_MAX * GUST_SEC / GUST_HTTP_WRITE_RATE_MIN)

Test(sim_attacks, slow_readers)
{
    run_attack((struct attack){.opening = "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                               .drip_ns = 10 * GUST_SEC,
                               .sip = 1,
                               .end_ns_max = 2 * PIECE_NS + SLACK_NS,
                               .limit = GUST_HTTP_ERROR_WRITE_TIMEOUT});
}

/* Requests without end, and no answer is read: the server stops reading, so that the
 * client has to wait, and gives up then. */
static int pipeline_main(void *arg)
{
    static char requests[64 * 1024];
    const char *one = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
    size_t len = 0;
    struct site site;

    (void)arg;
    while (len + strlen(one) <= sizeof requests) {
        memcpy(requests + len, one, strlen(one));
        len += strlen(one);
    }
    site_start(&site, &(gust_http_server_options){.handler = serve_all});
    gust_conn *c = site_dial(&site);
    gust_time since = gust_now();
    ssize_t n;
    do
        n = gust_conn_write(c, requests, len, gust_after(GUST_SEC));
    while (n == (ssize_t)len);
    CHECK_EQ(n, -ETIMEDOUT);
    int answered = calls;
    while (count_of(&site, GUST_HTTP_ERROR_WRITE_TIMEOUT) == 0) {
        expect_others_served(&site);
        answered++;
        gust_sleep(GUST_SEC);
        CHECK(gust_now() - since < GUST_HTTP_WRITE_TIMEOUT_NS + SLACK_NS);
    }
    CHECK(calls <= answered + 1); /* not one of its requests more */
    client_close(c);
    site_stop(&site);
    return 0;
}

Test(sim_attacks, pipelining_without_reading)
{
    sim_run(&exact, pipeline_main, NULL);
}
