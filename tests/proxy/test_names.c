/* Upstreams by name, whose address changes. */
#include "tests/net/net_test.h"

#include "tests/proxy/front.h"

#include "net/resolve.h"

#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"
#define OK(body) "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n" body

static atomic_bool moved;

static int look_up(const char *host, const char *service, const struct addrinfo *hints,
                   struct addrinfo **ret_list)
{
    struct addrinfo numeric = *hints;
    (void)host;
    numeric.ai_flags |= AI_NUMERICHOST;
    return getaddrinfo(moved ? "127.0.0.2" : "127.0.0.1", service, &numeric, ret_list);
}

static void answer_old(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, OK("old"));
}

static void answer_new(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, OK("new"));
}

static bool is_answered(const struct front *f, const char *text)
{
    struct reply r = site_ask(&f->site, GET);
    bool has = has_text(r, text);

    free(r.text);
    return has;
}

/* The connection to the old address is alive and idle, and would serve every request. */
static int follow(void *arg)
{
    struct backend before, after;
    struct front f;
    gust_addr addr;
    char url[64];

    (void)arg;
    backend_start(&before, answer_old);
    gust_listener_addr(before.listener, &addr);
    const unsigned port = gust_addr_port(&addr);
    CHECK_EQ(gust_addr_parse("127.0.0.2:0", &addr), 0);
    addr.v4.sin_port = htons((uint16_t)port);
    backend_start_at(&after, answer_new, &addr);
    snprintf(url, sizeof(url), "http://upstream.test:%u", port);
    front_start(&f, url, (gust_http_proxy_options){QUIET, .resolve_ns = 10 * GUST_MS});
    CHECK(is_answered(&f, "old"));
    moved = true;
    AWAIT_SOON(is_answered(&f, "new"));
    CHECK(is_answered(&f, "new"));
    front_stop(&f);
    backend_stop(&before);
    backend_stop(&after);
    return 0;
}

Test(proxy_names, an_address_that_is_gone_gets_no_more_requests)
{
    gust__system_resolver_now.get = look_up;
    test_run(follow, NULL);
}
