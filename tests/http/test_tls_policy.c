/* Host names, redirects to HTTPS, and who asks too often. */
#include "tests/http/site.h"
#include "tests/net/tls_test.h"

#include <gust/http_policy.h>
#include <gust/http_rate.h>

/* --- Host names ---------------------------------------------------------------------- */

static const char *const names[] = {"Example.com", "*.example.org", "[::1]"};
static gust_http_hosts hosts = {names, 3};

static const struct {
    const char *host;
    bool allowed;
} host_cases[] = {
    {"example.com", true},
    {"EXAMPLE.COM:8080", true},
    {"example.com.", true},
    {"example.com.:80", true},
    {"xexample.com", false},
    {"example.com.evil.org", false},
    {"www.example.com", false},
    {"a.example.org", true},
    {"a.b.example.org:1", true},
    {"example.org", false},
    {".example.org", false},
    {"aexample.org", false},
    {"[::1]:8080", true},
    {"[::1]", true},
    {"[::2]", false},
    {"", false},
    {".", false},
};

Test(policy, hosts_are_told_apart_by_name)
{
    for (size_t i = 0; i < sizeof(host_cases) / sizeof(host_cases[0]); i++) {
        gust_span host = {host_cases[i].host, strlen(host_cases[i].host)};
        cr_assert_eq(gust_http_host_allowed(&hosts, host), host_cases[i].allowed, "%s",
                     host_cases[i].host);
    }
}

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "hello", 5);
}

static void expect_status(const struct site *site, const char *request, const char *status)
{
    char start[32];

    snprintf(start, sizeof start, "HTTP/1.1 %s ", status);
    expect_reply_start(site_ask(site, request), request, start);
}

static int pass_hosts(void *arg)
{
    const gust_http_layer layers[] = {{gust_http_hosts_layer, &hosts}};
    gust_http_chain chain = {layers, 1, hello, NULL};
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &chain});
    expect_status(&site, "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n", "200");
    expect_status(&site, "GET / HTTP/1.1\r\nHost: evil.org\r\nConnection: close\r\n\r\n", "421");
    expect_status(&site, "GET / HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", "400");
    expect_status(&site, "GET / HTTP/1.0\r\n\r\n", "400");
    /* The target's host outranks the field. */
    expect_status(&site,
                  "GET http://evil.org/ HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n",
                  "421");
    struct reply refused =
        site_ask(&site, "GET / HTTP/1.1\r\nHost: evil.org\r\nConnection: close\r\n\r\n");
    CHECK_EQ(strcmp(strstr(refused.text, "\r\n\r\n") + 4, "Misdirected Request\n"), 0);
    free(refused.text);
    site_stop(&site);
    return 0;
}

Test(policy, other_hosts_are_refused)
{
    test_run(pass_hosts, NULL);
}

/* --- Redirects ------------------------------------------------------------------------- */

struct redirect {
    gust_http_https https;
    const char *request; /* a request line and a host */
    const char *status;
    const char *location; /* NULL: none */
};

static const struct redirect redirects[] = {
    {{0}, "GET /a?b=c HTTP/1.1\r\nHost: x.org", "308", "https://x.org/a?b=c"},
    {{0}, "POST /%2e//?? HTTP/1.1\r\nHost: x.org:80", "308", "https://x.org/%2e//??"},
    {{.status = 301}, "GET http://y.org:8080?q HTTP/1.1\r\nHost: x.org", "301", "https://y.org/?q"},
    {{.port = 8443}, "GET / HTTP/1.1\r\nHost: [::1]:80", "308", "https://[::1]:8443/"},
    {{.port = 443}, "GET / HTTP/1.1\r\nHost: a", "308", "https://a/"},
    {{.host = "www.x.org"}, "GET /p HTTP/1.1\r\nHost: evil", "308", "https://www.x.org/p"},
    {{.host = "www.x.org"}, "GET /p HTTP/1.0", "308", "https://www.x.org/p"},
    {{.hosts = &hosts}, "GET / HTTP/1.1\r\nHost: example.com", "308", "https://example.com/"},
    {{.hosts = &hosts}, "GET / HTTP/1.1\r\nHost: evil.org", "421", NULL},
    {{.hosts = &hosts, .host = "x"}, "GET / HTTP/1.1\r\nHost: evil.org", "421", NULL},
    {{0}, "GET / HTTP/1.0", "400", NULL},
    {{0}, "OPTIONS * HTTP/1.1\r\nHost: a", "400", NULL},
};

static int redirect_all(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(redirects) / sizeof(redirects[0]); i++) {
        struct redirect r = redirects[i];
        char request[200], location[200] = "", start[16];
        struct site site;
        site_start(&site, &(gust_http_server_options){.handler = gust_http_https_redirect,
                                                      .arg = &r.https});
        snprintf(request, sizeof request, "%s\r\nConnection: close\r\n\r\n", r.request);
        struct reply reply = site_ask(&site, request);
        const char *at = strstr(reply.text, "\r\nLocation: ");
        if (at)
            sscanf(at, "\r\nLocation: %199[^\r]", location);
        snprintf(start, sizeof start, "HTTP/1.1 %s ", r.status);
        if (strncmp(reply.text, start, strlen(start)) != 0 ||
            strcmp(location, r.location ? r.location : "") != 0)
            gust_panic("%s: got\n%s", r.request, reply.text);
        free(reply.text);
        site_stop(&site);
    }
    return 0;
}

Test(policy, redirects_keep_host_path_and_query)
{
    test_run(redirect_all, NULL);
}

/* --- HSTS --------------------------------------------------------------------------------- */

static gust_http_hsts hsts = {.max_age_s = 63072000, .include_subdomains = true, .preload = true};

#define HSTS "\r\nStrict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n"

TlsTest(policy, hsts_is_said_over_tls_only)
{
    const gust_http_layer layers[] = {{gust_http_hsts_layer, &hsts}};
    gust_http_chain chain = {layers, 1, hello, NULL};
    struct site plain, site;
    char answer[1024] = "";
    gust_conn *c;

    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    site_start(&plain,
               &(gust_http_server_options){.handler = gust_http_chain_serve, .arg = &chain});
    struct reply r = site_ask(&plain, "GET / HTTP/1.0\r\n\r\n");
    CHECK(!strstr(r.text, "Strict"));
    free(r.text);
    site_stop(&plain);
    site_start(&site, &(gust_http_server_options){
                          .handler = gust_http_chain_serve, .arg = &chain, .tls = server});
    CHECK_EQ(gust_tls_dial(&site.addr, "localhost", client, SOON, &c), 0);
    say(c, "GET / HTTP/1.0\r\n\r\n");
    for (size_t len = 0; len < sizeof answer - 1;) {
        ssize_t n = gust_conn_read(c, answer + len, sizeof answer - 1 - len, SOON);
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    CHECK(strstr(answer, HSTS));
    CHECK_EQ(gust_conn_close(c, SOON), 0);
    site_stop(&site);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}
