/* Response heads: the parser alone, against a guard page. */
#include "http/response_head.h"
#include "tests/http/guard.h"

#include <stdio.h>
#include <stdlib.h>

static const struct response_limits limits = {.bytes_max = 65536, .fields_max = 100};

static enum response_scan scan_with(struct response_head *h, const struct response_limits *l,
                                    const char *text, size_t n)
{
    struct guard g = guard_new(n);

    response_head_init(h);
    enum response_scan r = gust__http_response_scan(h, l, guard_put(&g, text, n), n);
    guard_free(&g);
    return r;
}

static enum response_scan scan(struct response_head *h, const char *text)
{
    return scan_with(h, &limits, text, strlen(text));
}

/* The view moves with every fill, so each prefix lies somewhere else. */
static enum response_scan scan_by_bytes(struct response_head *h, const char *text)
{
    struct guard g = guard_new(strlen(text));
    enum response_scan r = RESPONSE_MORE;

    response_head_init(h);
    for (size_t n = 0; n <= strlen(text) && r == RESPONSE_MORE; n++)
        r = gust__http_response_scan(h, &limits, guard_put(&g, text, n), n);
    guard_free(&g);
    return r;
}

Test(response_head, tells_what_the_response_says)
{
    static const char text[] =
        "HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello";
    struct response_head h;

    cr_assert_eq(scan(&h, text), RESPONSE_COMPLETE);
    cr_expect_eq(h.status, 404);
    cr_expect_eq(h.minor, 1);
    cr_expect_eq(h.fields, 2);
    cr_expect_eq(h.len, sizeof(text) - 1 - 5);
    cr_expect(h.reason.len == 9 && memcmp(text + h.reason.at, "Not Found", 9) == 0);
    cr_expect(h.has_length && h.content_length == 5 && !h.chunked && h.keep_alive);
    cr_assert_eq(scan_by_bytes(&h, text), RESPONSE_COMPLETE);
    cr_expect_eq(h.len, sizeof(text) - 1 - 5);
}

Test(response_head, reason_and_its_space_may_be_missing)
{
    struct response_head h;

    cr_expect_eq(scan(&h, "HTTP/1.1 200\r\n\r\n"), RESPONSE_COMPLETE);
    cr_expect_eq(h.reason.len, 0);
    cr_expect_eq(scan(&h, "HTTP/1.1 200 \r\n\r\n"), RESPONSE_COMPLETE);
    cr_expect_eq(scan(&h, "HTTP/1.1 200 \xc3\xa4 b\r\n\r\n"), RESPONSE_COMPLETE);
    cr_expect_eq(h.reason.len, 4);
}

Test(response_head, connections_are_kept_as_version_and_connection_say)
{
    static const struct {
        const char *text;
        bool kept;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\n\r\n", true},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nConnection: x, Close\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", true},
        {"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", true},
    };
    struct response_head h;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        cr_expect_eq(scan(&h, cases[i].text), RESPONSE_COMPLETE, "%s", cases[i].text);
        cr_expect_eq(h.keep_alive, cases[i].kept, "%s", cases[i].text);
    }
}

#define LINE "HTTP/1.1 200 OK\r\n"

static const char *const malformed[] = {
    "SSH-2.0-OpenSSH_9.2\r\n",
    "\r\nHTTP/1.1 200 OK\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.2 200 OK\r\n\r\n",
    "http/1.1 200 OK\r\n\r\n",
    "HTTP/1.1\r\n\r\n",
    "HTTP/1.1 20\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 2x0 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1\t200 OK\r\n\r\n",
    "HTTP/1.1 200 O\001K\r\n\r\n",
    "HTTP/1.1 200 O\rK\r\n\r\n",
    "HTTP/1.1 200 OK\n\r\n",
    LINE "\n",
    LINE "A: b\n\r\n",
    LINE "A : b\r\n\r\n",
    LINE ": b\r\n\r\n",
    LINE "A\r\n\r\n",
    LINE " A: b\r\n\r\n",
    LINE "A: b\r\n c\r\n\r\n",
    LINE "A: b\rc\r\n\r\n",
    LINE "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
    LINE "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
    LINE "Content-Length: 5, 5\r\n\r\n",
    LINE "Content-Length: +5\r\n\r\n",
    LINE "Content-Length: -5\r\n\r\n",
    LINE "Content-Length: 0x5\r\n\r\n",
    LINE "Content-Length:\r\n\r\n",
    LINE "Content-Length: 9223372036854775808\r\n\r\n",
    LINE "Transfer-Encoding: gzip, chunked\r\n\r\n",
    LINE "Transfer-Encoding: chunked, chunked\r\n\r\n",
    LINE "Transfer-Encoding: chunked, identity\r\n\r\n",
    LINE "Transfer-Encoding: identity\r\n\r\n",
    LINE "Transfer-Encoding: xchunked\r\n\r\n",
    LINE "Transfer-Encoding:\r\n\r\n",
    LINE "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
    LINE "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    LINE "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
};

Test(response_head, refuses_what_is_malformed_or_ambiguous_and_says_why)
{
    struct response_head h;

    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
        cr_expect_eq(scan(&h, malformed[i]), RESPONSE_MALFORMED, "%s", malformed[i]);
        cr_expect(h.wrong != NULL, "%s", malformed[i]);
        cr_expect_eq(scan_by_bytes(&h, malformed[i]), RESPONSE_MALFORMED, "%s", malformed[i]);
    }
}

Test(response_head, something_else_is_not_waited_for)
{
    struct response_head h;

    cr_expect_eq(scan(&h, ""), RESPONSE_MORE);
    cr_expect_eq(scan(&h, "HTTP/1."), RESPONSE_MORE);
    cr_expect_eq(scan(&h, "HTTP/2"), RESPONSE_MALFORMED);
    cr_expect_eq(scan(&h, "\x15\x03\x01"), RESPONSE_MALFORMED);
}

/* At the limit, one more, and none at all. */
Test(response_head, limits_hold_to_the_byte_and_the_field)
{
    static const char text[] = LINE "A: b\r\nC: d\r\n\r\n";
    const size_t n = sizeof(text) - 1;
    struct response_head h;

    for (size_t max = 0; max < n; max++) {
        const struct response_limits l = {.bytes_max = max, .fields_max = 2};
        cr_expect_eq(scan_with(&h, &l, text, n), RESPONSE_TOO_LARGE, "%zu", max);
    }
    cr_expect_eq(scan_with(&h, &(struct response_limits){n, 2}, text, n), RESPONSE_COMPLETE);
    cr_expect_eq(scan_with(&h, &(struct response_limits){n, 1}, text, n), RESPONSE_TOO_LARGE);
    cr_expect_eq(scan_with(&h, &(struct response_limits){n, 0}, text, n), RESPONSE_TOO_LARGE);
    cr_expect_eq(scan_with(&h, &(struct response_limits){n, 0}, LINE "\r\n", sizeof(LINE) + 1),
                 RESPONSE_COMPLETE);
    /* What has not ended must leave room for its end. */
    cr_expect_eq(scan_with(&h, &(struct response_limits){20, 2}, text, 19), RESPONSE_MORE);
    cr_expect_eq(scan_with(&h, &(struct response_limits){20, 2}, text, 20), RESPONSE_TOO_LARGE);
}
