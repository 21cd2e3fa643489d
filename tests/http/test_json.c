/* JSON bodies, read and written. */
#include "tests/http/site.h"

#include <gust/http_json.h>
#include <gust/http_reply.h>
#include <gust/panic.h>

#include <stdio.h>

#define CLOSE "Connection: close\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"

/* --- Writing --------------------------------------------------------------------------- */

/* The body is an array of so many zeroes: 2n + 1 bytes; 0: "[]". */
static void reply_with_zeroes(gust_http_request *req, gust_http_response *res, void *arg)
{
    json_t *all = json_array();

    (void)req;
    for (int i = *(int *)arg; i > 0; i--)
        CHECK_EQ(json_array_append_new(all, json_integer(0)), 0);
    CHECK_EQ(gust_http_json_reply(res, 201, all), 0);
    json_decref(all);
}

static int write_all_sizes(void *arg)
{
    /* 4095, 4097 and 4099 bytes, and many pieces */
    static int counts[] = {0, 1, 2047, 2048, 2049, 100000};
    char head[256];

    (void)arg;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        struct site site;
        size_t len = counts[i] ? 2 * (size_t)counts[i] + 1 : 2;
        site_start(&site,
                   &(gust_http_server_options){.handler = reply_with_zeroes, .arg = &counts[i]});
        struct reply r = site_ask(&site, GET);
        snprintf(head, sizeof(head),
                 "HTTP/1.1 201 Created\r\nContent-Length: %zu\r\n" CLOSE
                 "Content-Type: application/json\r\n\r\n",
                 len);
        CHECK_EQ(r.len, strlen(head) + len);
        CHECK_EQ(memcmp(r.text, head, strlen(head)), 0);
        const char *body = r.text + strlen(head);
        CHECK(body[0] == '[' && body[len - 1] == ']');
        for (size_t at = 1; at + 1 < len; at++)
            CHECK_EQ(body[at], at % 2 ? '0' : ',');
        free(r.text);
        site_stop(&site);
    }
    return 0;
}

Test(json, is_sent_with_its_length_whatever_that_is)
{
    test_run(write_all_sizes, NULL);
}

static void reply_badly_and_well(gust_http_request *req, gust_http_response *res, void *arg)
{
    json_t *outer = json_array(), *inner = json_array();

    (void)req;
    (void)arg;
    json_array_append(outer, inner);
    json_array_append(inner, outer);
    CHECK_EQ(gust_http_json_reply(res, 200, outer), -EINVAL);
    CHECK_EQ(gust_http_json_reply(res, 200, NULL), -EINVAL);
    json_array_clear(inner);
    json_decref(inner);
    json_decref(outer);
    CHECK_EQ(gust_http_json_error(res, 399, "x"), -EINVAL);
    CHECK_EQ(gust_http_json_error(res, 500, "\xff"), -EINVAL);
    CHECK_EQ(gust_http_header(res, "Content-Type", "text/plain"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "5"), 0);
    CHECK_EQ(gust_http_json_error(res, 404, "no item %d, \"%s\"", 7, "x"), 0);
    CHECK_EQ(gust_http_json_error(res, 500, "too late"), -EALREADY);
}

static int answer_problems(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = reply_badly_and_well});
    expect_reply(site_ask(&site, GET), "problem",
                 "HTTP/1.1 404 Not Found\r\nContent-Length: 62\r\n" CLOSE
                 "Content-Type: application/problem+json\r\n\r\n"
                 "{\"status\":404,\"title\":\"Not Found\",\"detail\":\"no item 7, \\\"x\\\"\"}");
    site_stop(&site);
    return 0;
}

Test(json, that_cannot_be_written_leaves_the_answer_to_the_handler)
{
    test_run(answer_problems, NULL);
}

/* --- Reading ----------------------------------------------------------------------------- */

#define LIMIT 64

static void read_and_tell(gust_http_request *req, gust_http_response *res, void *arg)
{
    uint64_t *limit = arg;
    json_t *json = NULL;
    int r = gust_http_json_read(req, res, *limit, &json);

    CHECK_EQ(r < 0, !json);
    if (r == 0)
        CHECK_EQ(gust_http_json_reply(res, 200, json), 0);
    json_decref(json);
}

static struct reply post(const struct site *site, const char *type, gust_span body, bool chunked)
{
    char *request = malloc(body.len + 512);
    int n = sprintf(request, "POST / HTTP/1.1\r\nHost: a\r\n" CLOSE);

    if (type)
        n += sprintf(request + n, "Content-Type: %s\r\n", type);
    if (chunked)
        n += sprintf(request + n, "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", body.len);
    else
        n += sprintf(request + n, "Content-Length: %zu\r\n\r\n", body.len);
    memcpy(request + n, body.data, body.len);
    n += (int)body.len;
    if (chunked)
        n += sprintf(request + n, "\r\n0\r\n\r\n");
    struct reply r = site_ask_bytes(site, request, (size_t)n);
    free(request);
    return r;
}

#define TEN "0123456789"

static const struct {
    const char *type;
    const char *body;
    int status;
    const char *part; /* of the answer's body */
} bodies[] = {
    {"application/json", "{\"a\":[1,2.5,null,\"\\u00e4\"]}", 200,
     "{\"a\":[1,2.5,null,\"\xc3\xa4\"]}"},
    {"Application/JSON; charset=utf-8", " 7 ", 200, "7"},
    {"application/vnd.api+json", "\"x\"", 200, "\"x\""},
    {"application/json", "\"" TEN TEN TEN TEN TEN TEN "12\"", 200, TEN TEN "12"},
    {"application/json", "\"" TEN TEN TEN TEN TEN TEN "123\"", 413, "longer than 64 bytes"},
    {NULL, "{}", 415, "application/json"},
    {"text/plain", "{}", 415, "application/json"},
    {"+json", "{}", 415, "application/json"},
    {"application/jsonx", "{}", 415, "application/json"},
    {"application/json", "", 400, "line 1, column 0"},
    {"application/json", "{\"a\":\n 1,}", 400, "line 2, column 4"},
    {"application/json", "{\"a\":1,\"a\":2}", 400, "duplicate"},
    {"application/json", "1 2", 400, "line 1, column 3"},
    {"application/json", "[1", 400, "line 1, column 2"},
    {"application/json", "\xff", 400, "line 1, column"},
    {"application/json", "\xef\xbb\xbf{}", 400, "line 1, column"},
    {"application/json", "\"\\u0000\"", 400, "line 1, column"},
    {"application/json", "[NaN]", 400, "line 1, column"},
};

static int read_bodies(void *arg)
{
    uint64_t limit = LIMIT;
    struct site site;
    char status[32];

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = read_and_tell, .arg = &limit});
    for (size_t i = 0; i < 2 * sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *body = bodies[i / 2].body;
        if (i % 2 && !*body)
            continue; /* a chunk of 0 bytes is the last one */
        struct reply r = post(&site, bodies[i / 2].type, (gust_span){body, strlen(body)}, i % 2);
        snprintf(status, sizeof(status), "HTTP/1.1 %d ", bodies[i / 2].status);
        if (strncmp(r.text, status, strlen(status)) != 0 || !strstr(r.text, bodies[i / 2].part))
            gust_panic("%s: got\n%s", body, r.text);
        free(r.text);
    }
    site_stop(&site);
    return 0;
}

Test(json, is_read_or_the_client_hears_why_not)
{
    test_run(read_bodies, NULL);
}

static int read_to_the_limit(void *arg)
{
    uint64_t limit;
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = read_and_tell, .arg = &limit});
    for (limit = 0; limit <= 3; limit++)
        expect_reply_start(post(&site, "application/json", (gust_span){"12", 2}, true), "limit",
                           limit < 2 ? "HTTP/1.1 413 " : "HTTP/1.1 200 ");
    site_stop(&site);
    return 0;
}

Test(json, is_read_to_the_limit_and_no_further)
{
    test_run(read_to_the_limit, NULL);
}

/* "[[[...]]]", and brackets that do not count. */
static gust_span nested(unsigned depth, char *buf)
{
    char *p = stpcpy(buf, "[\"[{\\\"[\\\\\",");

    for (unsigned i = 1; i < depth; i++)
        *p++ = '[';
    for (unsigned i = 1; i < depth; i++)
        *p++ = ']';
    p = stpcpy(p, depth > 1 ? ",{}" : "0");
    p = stpcpy(p, "]");
    return (gust_span){buf, (size_t)(p - buf)};
}

static int nest(void *arg)
{
    uint64_t limit = GUST_HTTP_UNLIMITED;
    struct site site;
    char *buf = malloc(1 << 20);

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = read_and_tell, .arg = &limit});
    const struct {
        unsigned depth;
        const char *answer;
    } depths[] = {{1, "HTTP/1.1 200 "},
                  {GUST_HTTP_JSON_DEPTH_MAX, "HTTP/1.1 200 "},
                  {GUST_HTTP_JSON_DEPTH_MAX + 1, "HTTP/1.1 400 "},
                  {100000, "HTTP/1.1 400 "}};
    for (size_t i = 0; i < 4; i++)
        expect_reply_start(post(&site, "application/json", nested(depths[i].depth, buf), false),
                           "depth", depths[i].answer);
    site_stop(&site);
    free(buf);
    return 0;
}

Test(json, that_is_too_deep_is_refused)
{
    test_run(nest, NULL);
}

/* What the server answers by itself when a body is malformed, it still does. */
static int break_the_framing(void *arg)
{
    uint64_t limit = LIMIT;
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = read_and_tell, .arg = &limit});
    expect_reply_start(site_ask(&site, "POST / HTTP/1.1\r\nHost: a\r\n"
                                       "Content-Type: application/json\r\n"
                                       "Transfer-Encoding: chunked\r\n\r\n1\r\n1x"),
                       "framing", "HTTP/1.1 400 ");
    site_stop(&site);
    return 0;
}

Test(json, in_a_malformed_body_is_the_servers_to_refuse)
{
    test_run(break_the_framing, NULL);
}
