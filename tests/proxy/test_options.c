/* That options reach those who act on them: keys of the consistent hash, numbers of
 * connections, times. */
#include "tests/net/net_test.h"

#include "tests/proxy/front.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"

/* --- Keys ------------------------------------------------------------------------------ */

#define KEYS 32

static void answer_hello(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, HELLO);
}

struct hashed {
    struct backend backends[BACKENDS_MAX];
    struct front front;
};

static void hashed_start(struct hashed *h, gust_http_proxy_options options)
{
    gust_http_upstream upstreams[BACKENDS_MAX];

    for (int i = 0; i < BACKENDS_MAX; i++) {
        backend_start(&h->backends[i], answer_hello);
        upstreams[i] = (gust_http_upstream){.url = h->backends[i].url};
    }
    options.balance = GUST_HTTP_CONSISTENT_HASH;
    options.upstreams = upstreams;
    options.upstream_count = BACKENDS_MAX;
    front_start_with(&h->front, &options, (gust_http_server_options){.handler = NULL});
}

static void hashed_stop(struct hashed *h)
{
    front_stop(&h->front);
    for (int i = 0; i < BACKENDS_MAX; i++)
        backend_stop(&h->backends[i]);
}

/* Who has answered. */
static int ask_hashed(struct hashed *h, const char *request)
{
    unsigned before[BACKENDS_MAX];
    int who = -1;

    for (int i = 0; i < BACKENDS_MAX; i++)
        before[i] = atomic_load(&h->backends[i].requests);
    expect_reply_start(site_ask(&h->front.site, request), "the client", "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < BACKENDS_MAX; i++)
        if (atomic_load(&h->backends[i].requests) > before[i])
            who = i;
    return who;
}

/* A request with each key goes to the same one again; returns to how many all of them went. */
static int count_owners(struct hashed *h, bool by_path)
{
    bool owns[BACKENDS_MAX] = {false};
    char request[256], user[32];
    int count = 0;

    for (int key = 0; key < KEYS; key++) {
        snprintf(user, sizeof(user), "X-User: %d\r\n", key);
        snprintf(request, sizeof(request),
                 "GET /%d HTTP/1.1\r\nHost: site\r\n%sConnection: close\r\n\r\n", by_path ? key : 0,
                 by_path ? "" : user);
        int owner = ask_hashed(h, request);
        CHECK_EQ(ask_hashed(h, request), owner);
        count += !owns[owner];
        owns[owner] = true;
    }
    return count;
}

static int hash(void *arg)
{
    struct hashed h;

    (void)arg;
    hashed_start(&h, (gust_http_proxy_options){QUIET, .hash_key = GUST_HTTP_HASH_URI});
    CHECK(count_owners(&h, true) > 1);
    CHECK_EQ(count_owners(&h, false), 1);
    hashed_stop(&h);
    hashed_start(&h, (gust_http_proxy_options){QUIET, .hash_key = GUST_HTTP_HASH_HEADER,
                                               .hash_header = "X-User"});
    CHECK(count_owners(&h, false) > 1);
    CHECK_EQ(count_owners(&h, true), 1); /* without the field: by client */
    hashed_stop(&h);
    hashed_start(&h, (gust_http_proxy_options){QUIET, .hash_key = GUST_HTTP_HASH_CLIENT});
    CHECK_EQ(count_owners(&h, false), 1);
    CHECK_EQ(count_owners(&h, true), 1);
    hashed_stop(&h);
    return 0;
}

Test(proxy_options, keys_are_of_uri_header_or_client)
{
    test_run_without_leaks(hash, NULL);
}

/* --- Connections ----------------------------------------------------------------------------- */

struct gate {
    gust_waitgroup arrived; /* until the first request has */
    gust_waitgroup open;
};

static void wait_at_gate(gust_conn *conn, struct backend *b)
{
    struct gate *g = b->arg;

    while (backend_read_head(conn).len > 0) {
        gust_conn_consume(conn, backend_read_head(conn).len);
        if (atomic_fetch_add(&b->requests, 1) == 0)
            gust_waitgroup_done(&g->arrived);
        CHECK_EQ(gust_waitgroup_wait(&g->open, SOON), 0);
        client_send(conn, HELLO);
    }
}

static unsigned in_flight(const struct front *f)
{
    gust_http_upstream_stats stats;

    front_stats(f, &stats);
    return (unsigned)stats.in_flight;
}

static int wait_in_line(void *arg)
{
    struct gate gate = {.arrived = GUST_WAITGROUP_INIT};
    struct backend b;
    struct front f;
    gust_conn *clients[2];

    (void)arg;
    gust_waitgroup_add(&gate.arrived, 1);
    gust_waitgroup_add(&gate.open, 1);
    backend_start(&b, wait_at_gate);
    b.arg = &gate;
    const gust_http_upstream upstream = {.url = b.url, .conns_max = 1, .pending_max = 1};
    const gust_http_proxy_options o = {.upstreams = &upstream, .upstream_count = 1, QUIET};
    front_start_with(&f, &o, (gust_http_server_options){.handler = NULL});
    for (unsigned i = 0; i < 2; i++) {
        clients[i] = site_dial(&f.site);
        client_send(clients[i], GET);
        AWAIT_SOON(in_flight(&f) == i + 1);
    }
    CHECK_EQ(gust_waitgroup_wait(&gate.arrived, SOON), 0);
    expect_reply_start(site_ask(&f.site, GET), "the third", "HTTP/1.1 503 ");
    CHECK_EQ(atomic_load(&b.requests), 1);
    gust_waitgroup_done(&gate.open);
    for (int i = 0; i < 2; i++) {
        expect_reply_start(client_read_all(clients[i]), "who waited", "HTTP/1.1 200 OK\r\n");
        client_close(clients[i]);
    }
    CHECK_EQ(atomic_load(&b.accepted), 1);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_options, so_many_wait_for_a_connection)
{
    test_run_without_leaks(wait_in_line, NULL);
}

/* --- Times ------------------------------------------------------------------------------------- */

/* Until the other end closes. */
static void wait_for_end(gust_conn *conn)
{
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
}

static void answer_and_note_end(gust_conn *conn, struct backend *b)
{
    CHECK(backend_read_head(conn).len > 0);
    client_send(conn, HELLO);
    wait_for_end(conn);
    gust_waitgroup_done(b->arg);
}

static int idle(void *arg)
{
    gust_waitgroup ended = GUST_WAITGROUP_INIT;
    struct backend b;
    struct front f;

    (void)arg;
    gust_waitgroup_add(&ended, 1);
    backend_start(&b, answer_and_note_end);
    b.arg = &ended;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET, .keep_alive_ns = 10 * GUST_MS});
    expect_reply_start(site_ask(&f.site, GET), "the client", "HTTP/1.1 200 OK\r\n");
    CHECK_EQ(gust_waitgroup_wait(&ended, SOON), 0);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_options, a_connection_is_kept_for_keep_alive)
{
    test_run_without_leaks(idle, NULL);
}
