/* Request heads: the parser alone, against a guard page. */
#include "http/head.h"
#include "tests/http/guard.h"
#include "tests/http/malformed.h"

#include <stdio.h>
#include <stdlib.h>

static const struct head_limits limits = {.line_max = 8192, .bytes_max = 65536, .fields_max = 100};

static int scan_with(struct http_head *h, const struct head_limits *l, const char *text, size_t n)
{
    struct guard g = guard_new(n);

    gust__http_head_init(h);
    int status = gust__http_head_scan(h, l, guard_put(&g, text, n), n);
    guard_free(&g);
    return status;
}

static int scan(struct http_head *h, const char *text)
{
    return scan_with(h, &limits, text, strlen(text));
}

static bool part_is(const char *text, struct head_part part, const char *expected)
{
    return part.len == strlen(expected) && memcmp(text + part.at, expected, part.len) == 0;
}

Test(head, refuses_every_malformed_request)
{
    struct http_head h;

    for (size_t i = 0; i < MALFORMED_COUNT; i++) {
        const struct malformed *m = &malformed[i];
        int status = scan_with(&h, &limits, m->text, m->len);
        cr_expect_eq(status, m->status, "%s: %d, not %d", m->name, status, m->status);
    }
}

/* The view moves with every fill, so each prefix lies somewhere else. */
static int scan_by_steps(struct http_head *h, const char *text, size_t n, size_t first)
{
    struct guard g = guard_new(n);
    int status = HEAD_MORE;

    gust__http_head_init(h);
    for (size_t have = first; have <= n && status == HEAD_MORE; have++)
        status = gust__http_head_scan(h, &limits, guard_put(&g, text, have), have);
    guard_free(&g);
    return status;
}

Test(head, refuses_malformed_requests_that_arrive_byte_by_byte)
{
    struct http_head h;

    for (size_t i = 0; i < MALFORMED_COUNT; i++) {
        const struct malformed *m = &malformed[i];
        int status = scan_by_steps(&h, m->text, m->len, 1);
        cr_expect_eq(status, m->status, "%s: %d, not %d", m->name, status, m->status);
    }
}

static const char complete[] = "\r\nPOST http://h:80/p/q?a=b?c HTTP/1.1\r\n"
                               "Host: other\r\n"
                               "X-Empty:\r\n"
                               "content-LENGTH:\t 0012 \r\n"
                               "Expect: 100-Continue\r\n"
                               "X-Text: a \xe4 b\r\n"
                               "Connection: close\r\n\r\n";

static void check_complete(const struct http_head *h)
{
    cr_assert(part_is(complete, h->method, "POST"));
    cr_assert(part_is(complete, h->target, "http://h:80/p/q?a=b?c"));
    cr_assert(part_is(complete, h->path, "/p/q"));
    cr_assert(part_is(complete, h->query, "a=b?c"));
    cr_assert(part_is(complete, h->host, "h:80"));
    cr_assert_eq(h->method_code, GUST_HTTP_POST);
    cr_assert_eq(h->minor, 1);
    cr_assert_eq(h->fields, 6);
    cr_assert_eq(h->content_length, 12);
    cr_assert_eq(h->len, sizeof(complete) - 1);
    cr_assert(h->expects_continue);
    cr_assert_not(h->keep_alive);
    cr_assert_not(h->chunked);
}

Test(head, reads_a_request_whole_and_in_every_split)
{
    struct http_head h;

    cr_assert_eq(scan(&h, complete), HEAD_DONE);
    check_complete(&h);
    for (size_t first = 0; first < sizeof(complete) - 1; first++) {
        cr_assert_eq(scan_by_steps(&h, complete, sizeof(complete) - 1, first), HEAD_DONE);
        check_complete(&h);
    }
}

Test(head, stops_at_the_end_of_the_first_request)
{
    static const char text[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nbad\n";
    struct http_head h;

    cr_assert_eq(scan(&h, text), HEAD_DONE);
    cr_assert_eq(h.len, 28);
    cr_assert(part_is(text, h.path, "/a"));
    cr_assert(part_is(text, h.host, "a"));
    cr_assert(h.keep_alive);
}

static const struct {
    const char *text;
    bool keep_alive;
} accepted[] = {
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a:\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a%20b.c-d_e~\r\n\r\n", true},
    {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", true},
    {"M-SEARCH / HTTP/1.1\r\nHost: a\r\n\r\n", true},
    {"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", true},
    {"GET HTTP://a?q HTTP/1.1\r\nHost: a\r\n\r\n", true},
    {"GET /{|}\"^ HTTP/1.1\r\nHost: a\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n", true},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n", false},
    {"GET / HTTP/1.1\r\nHost: a\r\nConnection: CLOSE\r\n\r\n", false},
    {"GET / HTTP/1.0\r\n\r\n", false},
    {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", true},
    {"GET / HTTP/1.0\r\nExpect: x\r\n\r\n", false},
};

Test(head, accepts_what_is_unusual_but_valid)
{
    struct http_head h;

    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        cr_expect_eq(scan(&h, accepted[i].text), HEAD_DONE, "%s", accepted[i].text);
        cr_expect_eq(h.keep_alive, accepted[i].keep_alive, "%s", accepted[i].text);
    }
}

Test(head, reads_chunked_in_any_case)
{
    struct http_head h;

    cr_assert_eq(scan(&h, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"),
                 HEAD_DONE);
    cr_assert(h.chunked);
    cr_assert_not(h.has_length);
}

Test(head, reads_the_largest_content_length)
{
    struct http_head h;

    cr_assert_eq(
        scan(&h, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n"),
        HEAD_DONE);
    cr_assert_eq(h.content_length, INT64_MAX);
}

/* --- Limits: N passes, N + 1 does not ---------------------------------------- */

/* A request of exactly `line` bytes in its request line and `total` in all. */
static char *sized_request(size_t line, size_t total)
{
    char *text = malloc(total + 1);
    size_t n = (size_t)sprintf(text, "GET /");

    memset(text + n, 'a', line - n - 9);
    n = line - 9;
    n += (size_t)sprintf(text + n, " HTTP/1.1\r\nHost: a\r\nX: ");
    memset(text + n, 'x', total - n - 4);
    strcpy(text + total - 4, "\r\n\r\n");
    return text;
}

static void expect_sized(size_t line, size_t total, int expected)
{
    const struct head_limits l = {.line_max = 100, .bytes_max = 1000, .fields_max = 100};
    char *text = sized_request(line, total);
    struct http_head h;

    cr_expect_eq(scan_with(&h, &l, text, total), expected, "line %zu, total %zu", line, total);
    free(text);
}

Test(head, bounds_the_request_line_and_the_header)
{
    expect_sized(100, 500, HEAD_DONE);
    expect_sized(101, 500, 414);
    expect_sized(50, 1000, HEAD_DONE);
    expect_sized(50, 1001, 431);
}

Test(head, bounds_lines_that_have_not_ended)
{
    const struct head_limits l = {.line_max = 100, .bytes_max = 1000, .fields_max = 100};
    char *text = sized_request(200, 1200);
    struct http_head h;

    cr_assert_eq(scan_with(&h, &l, text, 101), HEAD_MORE);
    cr_assert_eq(scan_with(&h, &l, text, 102), 414);
    free(text);
    text = sized_request(50, 1200);
    cr_assert_eq(scan_with(&h, &l, text, 999), HEAD_MORE);
    cr_assert_eq(scan_with(&h, &l, text, 1000), 431);
    free(text);
}

static int scan_fields(unsigned count)
{
    char text[4096] = "GET / HTTP/1.1\r\nHost: a\r\n";
    struct http_head h;

    for (unsigned i = 1; i < count; i++)
        strcat(text, "X: y\r\n");
    strcat(text, "\r\n");
    return scan(&h, text);
}

Test(head, bounds_the_number_of_fields)
{
    cr_assert_eq(scan_fields(100), HEAD_DONE);
    cr_assert_eq(scan_fields(101), 431);
}

/* --- Field access ------------------------------------------------------------- */

Test(head, fields_are_found_in_any_case_and_in_order)
{
    static const char block[] =
        "Host: a\r\nX-One: 1\r\nX-Two:\t two words \r\nx-one: again\r\n\r\n";
    struct guard g = guard_new(sizeof(block));
    const char *p = guard_put(&g, block, sizeof(block) - 1);
    gust_http_field field;
    size_t cursor = 0;
    int count = 0;

    gust_span value = gust__http_fields_find(p, sizeof(block) - 1, "X-TWO");
    cr_assert_eq(value.len, 9);
    cr_assert_eq(memcmp(value.data, "two words", 9), 0);
    cr_assert_eq(gust__http_fields_find(p, sizeof(block) - 1, "x-one").data[0], '1');
    cr_assert(gust__http_fields_find(p, sizeof(block) - 1, "X-On").data == NULL);
    while (gust__http_fields_next(p, sizeof(block) - 1, &cursor, &field))
        count++;
    cr_assert_eq(count, 4);
    guard_free(&g);
}
