/* What a handler learns about its request, and what it never gets to see. */
#include "tests/http/malformed.h"
#include "tests/http/site.h"

#include <stdio.h>

/* --- Accessors -------------------------------------------------------------------- */

#define LONG_VALUE_LEN 3000

static void check_everything(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_field field;
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    size_t cursor = 0;
    unsigned count = 0;

    (void)arg;
    CHECK_EQ(gust_http_request_method(req), GUST_HTTP_PUT);
    CHECK(span_is(gust_http_request_method_text(req), "PUT"));
    CHECK(span_is(gust_http_request_target(req), "/a/b?c=d&e"));
    CHECK(span_is(gust_http_request_path(req), "/a/b"));
    CHECK(span_is(gust_http_request_query(req), "c=d&e"));
    CHECK(span_is(gust_http_request_host(req), "example.com:80"));
    CHECK_EQ(gust_http_request_minor(req), 1);
    CHECK(!gust_http_request_keep_alive(req));
    CHECK(span_is(gust_http_request_header(req, "x-PAD"), "padded value"));
    CHECK(span_is(gust_http_request_header(req, "x-empty"), ""));
    CHECK(gust_http_request_header(req, "x-empty").data != NULL);
    CHECK(gust_http_request_header(req, "absent").data == NULL);
    while (gust_http_request_fields(req, &cursor, &field))
        count++;
    CHECK_EQ(count, 6);
    CHECK(!gust_http_request_fields(req, &cursor, &field));
    CHECK(gust_http_request_trailer(req, "host").data == NULL);
    gust_http_request_remote_addr(req, &addr);
    CHECK_EQ(addr.any.sa_family, AF_INET);
    CHECK_EQ(strcmp(gust_http_request_remote_host(req, text), "127.0.0.1"), 0);
    CHECK_EQ(gust_http_reply(res, 200, NULL, "ok", 2), 0);
}

/* The spans are looked at again after the body was read: they must not move. */
static void check_around_the_body(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span value = gust_http_request_header(req, "X-Pad");
    gust_span path = gust_http_request_path(req);
    char body[4];

    CHECK_EQ(gust_http_request_content_length(req), 4);
    CHECK_EQ(gust_http_body_read(req, body, 1), 1);
    CHECK_EQ(gust_http_body_read(req, body + 1, 1), 1);
    CHECK_EQ(gust_http_body_read(req, body + 2, 0), 0);
    CHECK_EQ(gust_http_body_read(req, body + 2, 2), 2);
    CHECK_EQ(gust_http_body_read(req, body, 4), 0);
    CHECK_EQ(memcmp(body, "body", 4), 0);
    CHECK(span_is(value, "padded value"));
    CHECK(span_is(path, "/a/b"));
    check_everything(req, res, arg);
}

#define HEAD_START                                                                     \
    "PUT /a/b?c=d&e HTTP/1.1\r\nHost: example.com:80\r\nX-Pad: \t padded value\t \r\n" \
    "X-Empty:\r\nConnection: close\r\n"

static void ask_with_value(const struct site *site, size_t value_len, const char *rest)
{
    char *request = malloc(value_len + 256);
    size_t n;

    CHECK(request);
    n = (size_t)sprintf(request, HEAD_START "X-Long: ");
    memset(request + n, 'v', value_len);
    strcpy(request + n + value_len, rest);
    struct reply r = site_ask(site, request);
    CHECK(strncmp(r.text, "HTTP/1.1 200 OK\r\n", 17) == 0);
    CHECK(strcmp(r.text + r.len - 2, "ok") == 0);
    free(r.text);
    free(request);
}

static int look_at_requests(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = check_everything});
    ask_with_value(&site, 1, "\r\nContent-Length: 0\r\n\r\n");
    ask_with_value(&site, LONG_VALUE_LEN, "\r\nContent-Length: 0\r\n\r\n");
    site_stop(&site);
    site_start(&site, &(gust_http_server_options){.handler = check_around_the_body});
    ask_with_value(&site, 1, "\r\nContent-Length: 4\r\n\r\nbody");
    ask_with_value(&site, LONG_VALUE_LEN, "\r\nContent-Length: 4\r\n\r\nbody");
    site_stop(&site);
    return 0;
}

Test(request, shows_its_parts_before_and_after_the_body)
{
    test_run(look_at_requests, NULL);
}

/* Kept: what the second request is told lies where the first one's does. */
static void compare_hosts(gust_http_request *req, gust_http_response *res, void *arg)
{
    const char **kept = arg;
    char text[GUST_ADDR_TEXT_MAX];
    const char *host = gust_http_request_remote_host(req, text);

    CHECK(host != text && (!*kept || host == *kept));
    CHECK_EQ(strcmp(host, "127.0.0.1"), 0);
    *kept = host;
    CHECK_EQ(gust_http_reply(res, 200, NULL, NULL, 0), 0);
}

static int ask_twice_of_a_connection(void *arg)
{
    const char *kept = NULL;
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){
                          .handler = compare_hosts, .arg = &kept, .keep_remote_hosts = true});
    expect_reply_start(site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
                                       "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                       "keep_remote_hosts", "HTTP/1.1 200 ");
    site_stop(&site);
    CHECK(kept);
    return 0;
}

Test(request, remote_host_may_be_kept)
{
    test_run(ask_twice_of_a_connection, NULL);
}

/* --- Refusals ---------------------------------------------------------------------- */

static void must_not_run(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)res;
    gust_panic("the handler ran for: %s", *(const char **)arg);
}

/* The answer is complete, says what is wrong, and is the last one. */
static void expect_refusal(const char *name, struct reply r, int status)
{
    char start[32];

    sprintf(start, "HTTP/1.1 %d ", status);
    if (strncmp(r.text, start, strlen(start)) != 0)
        gust_panic("%s: got\n%s\ninstead of %d", name, r.text, status);
    CHECK(strstr(r.text, "\r\nConnection: close\r\n") != NULL);
    const char *body = strstr(r.text, "\r\n\r\n") + 4;
    CHECK_EQ(strtoul(strstr(r.text, "Content-Length: ") + 16, NULL, 10),
             r.len - (size_t)(body - r.text));
    free(r.text);
}

/* A second request follows: whoever took the first one for good, or skipped it,
 * would answer that. */
static int send_malformed(void *arg)
{
    static const char next[] = "GET /next HTTP/1.1\r\nHost: a\r\n\r\n";
    const char *name = NULL;
    struct site site;
    char request[512];

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = must_not_run, .arg = &name});
    for (size_t i = 0; i < MALFORMED_COUNT; i++) {
        const struct malformed *m = &malformed[i];
        name = m->name;
        memcpy(request, m->text, m->len);
        memcpy(request + m->len, next, sizeof(next) - 1);
        expect_refusal(name, site_ask_bytes(&site, request, m->len + sizeof(next) - 1), m->status);
    }
    site_stop(&site);
    return 0;
}

Test(request, malformed_ones_are_refused_once_and_the_connection_closes)
{
    test_run(send_malformed, NULL);
}

static void answer_ok(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, NULL, "ok", 2);
}

/* "GET /aaa HTTP/1.1", a Host and one more field, as long as asked. */
static struct reply ask_sized(const struct site *site, size_t line, size_t total)
{
    char *request = malloc(total + 1);
    size_t n = (size_t)sprintf(request, "GET /");

    memset(request + n, 'a', line - n - 9);
    n = line - 9;
    n += (size_t)sprintf(request + n, " HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: ");
    memset(request + n, 'x', total - n - 4);
    strcpy(request + total - 4, "\r\n\r\n");
    struct reply r = site_ask(site, request);
    free(request);
    return r;
}

static int reach_the_limits(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer_ok});
    expect_reply_start(ask_sized(&site, 65400, 65536), "longest line", "HTTP/1.1 200 ");
    expect_refusal("line N + 1", ask_sized(&site, 65537, 65600), 414);
    expect_reply_start(ask_sized(&site, 100, 65536), "header N", "HTTP/1.1 200 ");
    expect_refusal("header N + 1", ask_sized(&site, 100, 65537), 431);
    site_stop(&site);
    site_start(&site, &(gust_http_server_options){.handler = answer_ok,
                                                  .request_line_max = 100,
                                                  .header_bytes_max = 200,
                                                  .header_fields_max = 3});
    expect_reply_start(ask_sized(&site, 100, 200), "small N", "HTTP/1.1 200 ");
    expect_refusal("small line N + 1", ask_sized(&site, 101, 200), 414);
    expect_refusal("small header N + 1", ask_sized(&site, 100, 201), 431);
    expect_refusal(
        "fields N + 1",
        site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nA: b\r\nC: d\r\n\r\n"),
        431);
    site_stop(&site);
    return 0;
}

Test(request, header_limits_hold_at_n_and_n_plus_one)
{
    test_run(reach_the_limits, NULL);
}

static int pass_bad_options(void *arg)
{
    gust_http_server *server = NULL;

    (void)arg;
    CHECK_EQ(gust_http_server_new(NULL, &server), -EINVAL);
    CHECK_EQ(gust_http_server_new(&(gust_http_server_options){0}, &server), -EINVAL);
    CHECK_EQ(gust_http_server_new(
                 &(gust_http_server_options){.handler = answer_ok, .idle_timeout_ns = -1}, &server),
             -EINVAL);
    CHECK_EQ(gust_http_server_new(&(gust_http_server_options){.handler = answer_ok,
                                                              .header_bytes_max = (16 << 20) + 1},
                                  &server),
             -EINVAL);
    CHECK(server == NULL);
    gust_http_server_free(NULL);
    return 0;
}

Test(server, refuses_bad_options)
{
    test_run(pass_bad_options, NULL);
}
