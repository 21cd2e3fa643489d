/* Buckets of tokens, the table of clients, and the layer that refuses. */
#include "tests/http/site.h"
#include "tests/net/net_test.h"

#include <gust/http_rate.h>

#include "http/clients.h"

static gust_addr client(const char *text)
{
    return addr_of(text);
}

/* --- Keys ------------------------------------------------------------------------------ */

Test(clients, an_ipv6_client_is_a_network)
{
    gust_addr a, b;

    cr_assert_eq(gust_addr_parse("[2001:db8:0:1::1]:1", &a), 0);
    cr_assert_eq(gust_addr_parse("[2001:db8:0:1:ffff::]:2", &b), 0);
    cr_assert_eq(gust__http_client_key(&a), gust__http_client_key(&b));
    cr_assert_eq(gust_addr_parse("[2001:db8:0:2::1]:1", &b), 0);
    cr_assert_neq(gust__http_client_key(&a), gust__http_client_key(&b));
    cr_assert_eq(gust_addr_parse("192.0.2.1:1", &a), 0);
    cr_assert_eq(gust_addr_parse("[::ffff:192.0.2.1]:2", &b), 0);
    cr_assert_eq(gust__http_client_key(&a), gust__http_client_key(&b));
    cr_assert_eq(gust_addr_parse("192.0.2.2:1", &b), 0);
    cr_assert_neq(gust__http_client_key(&a), gust__http_client_key(&b));
}

/* --- Connections -------------------------------------------------------------------------- */

static int count_connections(void *arg)
{
    gust_addr a = client("192.0.2.1:1"), b = client("192.0.2.2:1"), c = client("192.0.2.3:1");
    struct http_clients *clients;
    struct http_client *a1, *a2, *b1, *c1;

    (void)arg;
    CHECK_EQ(gust__http_clients_new(2, &clients), 0);
    CHECK_EQ(gust__http_clients_enter(clients, &a, 2, &a1), 0);
    CHECK_EQ(gust__http_clients_enter(clients, &a, 2, &a2), 0);
    CHECK_EQ(gust__http_clients_enter(clients, &a, 2, &a2), -EUSERS);
    CHECK_EQ(gust__http_clients_enter(clients, &b, 2, &b1), 0);
    /* Two have connections, and it is full: the third is not counted. */
    CHECK_EQ(gust__http_clients_enter(clients, &c, 2, &c1), 0);
    CHECK(!c1);
    gust__http_clients_leave(clients, c1);
    gust__http_clients_leave(clients, b1);
    CHECK_EQ(gust__http_clients_enter(clients, &c, 2, &c1), 0);
    CHECK(c1);
    gust__http_clients_leave(clients, a1);
    CHECK_EQ(gust__http_clients_enter(clients, &a, 2, &a1), 0);
    gust__http_clients_leave(clients, a1);
    gust__http_clients_leave(clients, a1);
    gust__http_clients_leave(clients, c1);
    gust__http_clients_free(clients);
    return 0;
}

Test(clients, connections_are_counted_in_a_bounded_table)
{
    test_run(count_connections, NULL);
}

/* --- Requests ------------------------------------------------------------------------------- */

static int take_tokens(void *arg)
{
    gust_addr a = client("192.0.2.1:1"), b = client("192.0.2.2:1"), c = client("192.0.2.3:1");
    struct http_clients *clients;
    gust_time t = 1000;

    (void)arg;
    CHECK_EQ(gust__http_clients_new(2, &clients), 0);
#define ADMIT(who, when) gust__http_clients_admit(clients, &who, when, 10, 3)
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ADMIT(a, t), 0);
    CHECK_EQ(ADMIT(a, t), 10);
    CHECK_EQ(ADMIT(a, t + 9), 1);
    CHECK_EQ(ADMIT(a, t + 10), 0);
    CHECK_EQ(ADMIT(a, t + 10), 10);
    CHECK_EQ(ADMIT(b, t + 10), 0); /* has a bucket of its own */
    /* After a long time it is full, and not more than that. */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(ADMIT(a, t + 1000), 0);
    CHECK_EQ(ADMIT(a, t + 1000), 10);
    /* The third client takes the place of b, who has not asked for longer than a. */
    CHECK_EQ(ADMIT(c, t + 1000), 0);
    CHECK_EQ(ADMIT(a, t + 1000), 10);
#undef ADMIT
    gust__http_clients_free(clients);
    return 0;
}

Test(clients, tokens_come_back_one_by_one)
{
    test_run(take_tokens, NULL);
}

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "hello", 5);
}

static int limit(void *arg)
{
    gust_http_layer layers[] = {{gust_http_rate_layer, NULL}};
    gust_http_chain chain = {layers, 1, hello, NULL};
    gust_http_rate *rate;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_http_rate_new(
                 &(gust_http_rate_options){.requests = 3, .per_ns = 3600 * 3 * GUST_SEC}, &rate),
             0);
    layers[0].arg = rate;
    site_start(&site, &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &chain});
    gust_conn *conn = site_dial(&site);
    for (int i = 0; i < 5; i++) {
        client_send(conn, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        struct reply r = client_read_reply(conn);
        CHECK_EQ(strncmp(r.text, i < 3 ? "HTTP/1.1 200 " : "HTTP/1.1 429 ", 13), 0);
        /* An hour, or a bit less. */
        const char *after = strstr(r.text, "\r\nRetry-After: ");
        CHECK_EQ(after != NULL, i >= 3);
        CHECK(!after || (atoi(after + 15) <= 3600 && atoi(after + 15) > 3500));
        free(r.text);
    }
    client_close(conn);
    CHECK_EQ(gust_http_rate_refused(rate), 2);
    site_stop(&site);
    gust_http_rate_free(rate);
    return 0;
}

Test(rate, who_asks_too_often_is_told_when_to_come_back)
{
    test_run(limit, NULL);
}

static int bad_options(void *arg)
{
    gust_http_rate *rate;

    (void)arg;
    CHECK_EQ(gust_http_rate_new(&(gust_http_rate_options){.requests = 0}, &rate), -EINVAL);
    CHECK_EQ(gust_http_rate_new(&(gust_http_rate_options){.requests = 1, .per_ns = -1}, &rate),
             -EINVAL);
    CHECK_EQ(gust_http_rate_new(&(gust_http_rate_options){.requests = 2, .per_ns = 1}, &rate),
             -EINVAL);
    CHECK_EQ(
        gust_http_rate_new(
            &(gust_http_rate_options){.requests = 1, .per_ns = INT64_MAX / 2, .burst = 8}, &rate),
        -EINVAL);
    gust_http_rate_free(NULL);
    return 0;
}

Test(rate, options_that_make_no_sense_are_refused)
{
    test_run(bad_options, NULL);
}
