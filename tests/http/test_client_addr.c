/* Who the client is: what trusted proxies say, and nobody else. */
#include "core/inject.h"
#include "tests/http/lines.h"
#include "tests/net/net_test.h"

#include <gust/chan.h>
#include <gust/http_hijack.h>
#include <gust/http_operations.h>

static void tell(gust_http_request *req, gust_http_response *res, void *arg)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;

    (void)arg;
    gust_http_request_client_addr(req, &addr);
    gust_addr_format(&addr, text);
    gust_http_reply(res, 200, NULL, text, strlen(text));
}

struct proxy_case {
    const char *fields; /* without the last line end */
    const char *client; /* NULL: the connection's address */
};

static void check_cases(const struct site *site, const struct proxy_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char request[1000];
        const char *fields = cases[i].fields, *expected = cases[i].client;
        snprintf(request, sizeof request,
                 "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s%s\r\n", fields,
                 fields[0] ? "\r\n" : "");
        struct reply r = site_ask(site, request);
        const char *got = strstr(r.text, "\r\n\r\n") + 4;
        if (expected ? strcmp(got, expected) != 0 : strncmp(got, "127.0.0.1:", 10) != 0)
            gust_panic("%s: %s", fields, got);
        free(r.text);
    }
}

static gust_proxy_prefix prefix(const char *text, int bits)
{
    return (gust_proxy_prefix){addr_of(text), bits};
}

/* --- X-Forwarded-For --------------------------------------------------------------------- */

static const struct proxy_case x_forwarded[] = {
    {"", NULL},
    {"X-Forwarded-For: 192.0.2.1", "192.0.2.1:0"},
    {"x-forwarded-for:192.0.2.1:1234", "192.0.2.1:1234"},
    {"X-Forwarded-For: 2001:db8::1", "[2001:db8::1]:0"},
    {"X-Forwarded-For: [2001:db8::1]", "[2001:db8::1]:0"},
    {"X-Forwarded-For: [2001:db8::1]:80", "[2001:db8::1]:80"},
    /* What is left of the first that is not trusted may be a lie. */
    {"X-Forwarded-For: 203.0.113.9, 192.0.2.1", "192.0.2.1:0"},
    {"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.1", "192.0.2.1:0"},
    /* Proxies behind proxies. */
    {"X-Forwarded-For: 203.0.113.9, 192.0.2.1, 10.1.2.3", "192.0.2.1:0"},
    {"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.1.2.3", "203.0.113.9:0"},
    {"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 10.1.2.3,fd00::1", "203.0.113.9:0"},
    {"X-Forwarded-For: 10.1.2.3, 10.1.2.4", "10.1.2.3:0"},
    {"X-Forwarded-For: 11.1.2.3, 10.1.2.4", "11.1.2.3:0"},
    /* What cannot be read ends the way. */
    {"X-Forwarded-For: 192.0.2.1, unknown", NULL},
    {"X-Forwarded-For: 192.0.2.1, unknown, 10.1.2.3", "10.1.2.3:0"},
    {"X-Forwarded-For: ", NULL},
    {"X-Forwarded-For: ,", NULL},
    {"X-Forwarded-For: :80", NULL},
    {"X-Forwarded-For: unix:/tmp/x", NULL},
    {"X-Forwarded-For: 192.0.2.1:99999", NULL},
    {"X-Forwarded-For: "
     "11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111",
     NULL},
    {"Forwarded: for=192.0.2.1", NULL}, /* not what these proxies send */
};

static int trust_proxies(void *arg)
{
    const gust_proxy_prefix trusted[] = {prefix("127.0.0.0:0", 8), prefix("10.0.0.0:0", 8),
                                         prefix("[fd00::]:0", 8)};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){
                          .handler = tell, .trusted_proxies = trusted, .trusted_proxy_count = 3});
    check_cases(&site, x_forwarded, sizeof(x_forwarded) / sizeof(x_forwarded[0]));
    site_stop(&site);
    return 0;
}

Test(client_addr, a_trusted_proxy_says_who_the_client_is)
{
    test_run(trust_proxies, NULL);
}

static int trust_nobody(void *arg)
{
    static const struct proxy_case cases[] = {{"X-Forwarded-For: 192.0.2.1", NULL},
                                              {"Forwarded: for=192.0.2.1", NULL}};
    const gust_proxy_prefix other = prefix("127.0.0.2:0", 32);
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = tell});
    check_cases(&site, cases, 2);
    site_stop(&site);
    site_start(&site, &(gust_http_server_options){
                          .handler = tell, .trusted_proxies = &other, .trusted_proxy_count = 1});
    check_cases(&site, cases, 2);
    site_stop(&site);
    return 0;
}

Test(client_addr, anybody_else_is_not_believed)
{
    test_run(trust_nobody, NULL);
}

/* --- Forwarded ------------------------------------------------------------------------------ */

static const struct proxy_case forwarded[] = {
    {"Forwarded: for=192.0.2.1", "192.0.2.1:0"},
    {"Forwarded: proto=http; FOR=\"192.0.2.1:80\" ;by=x", "192.0.2.1:80"},
    {"Forwarded: for=\"[2001:db8::1]:80\"", "[2001:db8::1]:80"},
    {"Forwarded: for=203.0.113.9, for=192.0.2.1;by=x, for=10.0.0.1", "192.0.2.1:0"},
    {"Forwarded: for=_hidden", NULL},
    {"Forwarded: by=192.0.2.1", NULL},
    {"X-Forwarded-For: 192.0.2.1", NULL},
};

static int trust_forwarded(void *arg)
{
    const gust_proxy_prefix trusted[] = {prefix("127.0.0.1:0", 32), prefix("10.0.0.0:0", 8)};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = tell,
                                                  .trusted_proxies = trusted,
                                                  .trusted_proxy_count = 2,
                                                  .trust_forwarded = true});
    check_cases(&site, forwarded, sizeof(forwarded) / sizeof(forwarded[0]));
    site_stop(&site);
    return 0;
}

Test(client_addr, by_forwarded_if_that_is_what_they_send)
{
    test_run(trust_forwarded, NULL);
}

/* --- Elsewhere -------------------------------------------------------------------------------- */

static void start_behind_proxy(struct site *site, gust_http_handler *handler, void *arg,
                               gust_http_log *log)
{
    const gust_proxy_prefix trusted = prefix("127.0.0.1:0", 32);

    site_start(site, &(gust_http_server_options){.handler = handler,
                                                 .arg = arg,
                                                 .trusted_proxies = &trusted,
                                                 .trusted_proxy_count = 1,
                                                 .log = log});
}

static int log_client(void *arg)
{
    struct lines lines;
    struct site site;

    (void)arg;
    lines_open(&lines, GUST_HTTP_LOG_COMMON);
    start_behind_proxy(&site, tell, NULL, lines.log);
    free(site_ask(&site, "GET / HTTP/1.0\r\nX-Forwarded-For: 2001:db8::1\r\n\r\n").text);
    lines_await(&lines, 1);
    CHECK_EQ(strncmp(lines.text, "2001:db8::1 - - [", 17), 0);
    site_stop(&site);
    lines_close(&lines);
    return 0;
}

Test(client_addr, is_what_the_log_says)
{
    test_run(log_client, NULL);
}

/* The log's line comes after the handler, by which time nobody can be asked any more. */
static void take_and_close(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;

    (void)arg;
    CHECK_EQ(gust_http_hijack(req, res, &conn), 0);
    CHECK_EQ(gust_conn_close(conn, gust_after(SITE_WAIT_NS)), 0);
}

static void ask_and_be_cut_off(const struct site *site, const char *fields, gust_chan *turn)
{
    gust_conn *conn = site_dial(site);

    client_send(conn, "GET / HTTP/1.0\r\n");
    client_send(conn, fields);
    client_send(conn, "\r\n");
    if (turn) {
        CHECK_EQ(gust_chan_send(turn, NULL, gust_after(SITE_WAIT_NS)), 0);
        CHECK_EQ(gust_chan_recv(turn, NULL, gust_after(SITE_WAIT_NS)), 1);
    }
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, gust_after(SITE_WAIT_NS)) > 0)
        continue;
    client_close(conn);
}

static int log_taken(void *arg)
{
    struct lines lines;
    struct site site;

    (void)arg;
    lines_open(&lines, GUST_HTTP_LOG_COMMON);
    start_behind_proxy(&site, take_and_close, NULL, lines.log);
    ask_and_be_cut_off(&site, "X-Forwarded-For: 2001:db8::1\r\n", NULL);
    lines_await(&lines, 1);
    ask_and_be_cut_off(&site, "", NULL);
    lines_await(&lines, 2);
    CHECK_EQ(strncmp(lines.text, "2001:db8::1 - - [", 17), 0);
    CHECK(strstr(lines.text, "\n127.0.0.1 - - ["));
    site_stop(&site);
    lines_close(&lines);
    return 0;
}

Test(client_addr, is_kept_for_the_log_when_the_connection_is_taken)
{
    test_run(log_taken, NULL);
}

#ifdef GUST_DEBUG

/* Refuses the last memory that is asked for: without what comes before it nothing is
 * taken.  The client waits meanwhile, so that nobody else asks. */
static void take_without_memory(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_conn *conn;
    int r = -ENOMEM;

    CHECK_EQ(gust_chan_recv(arg, NULL, gust_after(SITE_WAIT_NS)), 1);
    for (uint64_t nth = 1; r == -ENOMEM; nth++) {
        gust__inject_arm(INJECT_MALLOC, nth, 1);
        r = gust_http_hijack(req, res, &conn);
        CHECK_EQ(gust__inject_disarm(), 1);
    }
    CHECK_EQ(r, 0);
    CHECK_EQ(gust_conn_close(conn, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(gust_chan_send(arg, NULL, gust_after(SITE_WAIT_NS)), 0);
}

static int log_taken_poorly(void *arg)
{
    struct lines lines;
    struct site site;
    gust_chan *turn;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &turn), 0);
    lines_open(&lines, GUST_HTTP_LOG_COMMON);
    start_behind_proxy(&site, take_without_memory, turn, lines.log);
    ask_and_be_cut_off(&site, "X-Forwarded-For: 2001:db8::1\r\n", turn);
    lines_await(&lines, 1);
    CHECK_EQ(strncmp(lines.text, "- - - [", 7), 0);
    site_stop(&site);
    lines_close(&lines);
    gust_chan_unref(turn);
    return 0;
}

Test(client_addr, without_memory_to_keep_it_the_line_has_none)
{
    test_run(log_taken_poorly, NULL);
}

#endif

static int bad_prefixes(void *arg)
{
    const gust_proxy_prefix bad[] = {
        {{.len = 0}, 0}, prefix("1.2.3.4:0", 33), prefix("1.2.3.4:0", -1), prefix("[::1]:0", 129)};
    gust_http_server *server;

    (void)arg;
    for (int i = 0; i < 4; i++)
        CHECK_EQ(gust_http_server_new(&(gust_http_server_options){.handler = tell,
                                                                  .trusted_proxies = &bad[i],
                                                                  .trusted_proxy_count = 1},
                                      &server),
                 -EINVAL);
    return 0;
}

Test(client_addr, a_prefix_that_is_none_is_refused)
{
    test_run(bad_prefixes, NULL);
}
