/* Who the client is: what trusted proxies say, and nobody else. */
#include "tests/http/lines.h"
#include "tests/net/net_test.h"

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

static int log_client(void *arg)
{
    const gust_proxy_prefix trusted = prefix("127.0.0.1:0", 32);
    struct lines lines;
    struct site site;

    (void)arg;
    lines_open(&lines, GUST_HTTP_LOG_COMMON);
    site_start(&site, &(gust_http_server_options){.handler = tell,
                                                  .trusted_proxies = &trusted,
                                                  .trusted_proxy_count = 1,
                                                  .log = lines.log});
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
