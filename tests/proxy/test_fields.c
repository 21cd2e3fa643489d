/* Header fields on their way through. */
#include "tests/harness/test.h"

#include "proxy/fields.h"

#include <stdlib.h>

static const struct forward_rules plain = {.forwarding = GUST_HTTP_FORWARDING_NONE};
static const struct forward_client nobody = {.tls = false};

static gust_span span(const char *text)
{
    return (gust_span){text, strlen(text)};
}

struct result {
    struct http_text text;
    struct forward_found found;
    bool date;
};

static void expect_text(struct result *r, const char *expected)
{
    gust__http_text_add(&r->text, (gust_span){"", 1}, SIZE_MAX / 2);
    cr_assert_str_eq(r->text.data, expected);
    free(r->text.heap);
}

static struct result request(const struct forward_rules *rules, const struct forward_client *client,
                             const char *lines)
{
    struct result r = {.text = {0}};

    cr_assert_eq(gust__forward_request(rules, client, span(lines), &r.text, &r.found), 0);
    return r;
}

static void expect_request(const char *lines, const char *expected)
{
    struct result r = request(&plain, &nobody, lines);

    expect_text(&r, expected);
}

static void expect_response(const char *lines, const char *expected)
{
    struct result r = {.text = {0}};

    cr_assert_eq(gust__forward_response(&plain, span(lines), FORWARD_BYTES_MAX, &r.text, &r.date),
                 0);
    expect_text(&r, expected);
}

/* --- What is left out ------------------------------------------------------------ */

Test(fields, what_is_nobodys_business_passes_as_it_came)
{
    expect_request("", "");
    expect_request("Accept:  */* \r\nx-A: \r\nCookie: a=b\r\n",
                   "Accept:  */* \r\nx-A: \r\nCookie: a=b\r\n");
    expect_response("Server: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTrailer: X\r\n",
                    "Server: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nTrailer: X\r\n");
}

Test(fields, those_of_one_connection_are_left_out)
{
    const char *lines = "A: 1\r\nConnection: close\r\nKEEP-ALIVE: 5\r\nProxy-Connection: x\r\n"
                        "B: 2\r\nProxy-Authorization: x\r\nProxy-Authenticate: x\r\nC: 3\r\n"
                        "Transfer-Encoding: chunked\r\nContent-Length: 3\r\nUpgrade: x\r\n"
                        "TE: gzip\r\nD: 4\r\n";

    expect_request(lines, "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n");
    expect_response(lines, "A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\n");
}

Test(fields, those_that_connection_names_are_left_out)
{
    const char *lines = "X-Secret: 1\r\nA: 1\r\nConnection: keep-alive, x-secret\r\n"
                        "connection: X-Other ,\r\nX-Other: 2\r\nX-Third: 3\r\n";

    expect_request(lines, "A: 1\r\nX-Third: 3\r\n");
    expect_response(lines, "A: 1\r\nX-Third: 3\r\n");
}

Test(fields, a_request_says_host_and_expect_anew)
{
    expect_request("Host: a\r\nA: 1\r\nExpect: 100-continue\r\n", "A: 1\r\n");
}

Test(fields, an_underscore_does_not_get_round_it)
{
    expect_request("Content_Length: 3\r\nTransfer_Encoding: chunked\r\nX_Forwarded_For: 1\r\n"
                   "x_forwarded-Proto: https\r\nX_Own: 1\r\n",
                   "X_Own: 1\r\n");
}

/* --- What is found ------------------------------------------------------------------ */

Test(fields, an_upgrade_is_found_if_connection_says_so)
{
    struct result r = request(&plain, &nobody,
                              "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
                              "Sec-WebSocket-Key: x\r\n");

    cr_assert_eq(r.found.upgrade.len, 9);
    cr_assert(memcmp(r.found.upgrade.data, "websocket", 9) == 0);
    expect_text(&r, "Sec-WebSocket-Key: x\r\n");
    r = request(&plain, &nobody, "Upgrade: websocket\r\nConnection: close\r\n");
    cr_assert_eq(r.found.upgrade.len, 0);
    expect_text(&r, "");
}

Test(fields, expect_is_found)
{
    struct result r = request(&plain, &nobody, "Expect: 100-continue\r\n");

    cr_assert(r.found.expects);
    expect_text(&r, "");
}

Test(fields, that_trailers_are_welcome_is_said_again)
{
    expect_request("TE: gzip;q=1, trailers\r\n", "TE: trailers\r\n");
}

Test(fields, a_date_is_passed_once)
{
    struct result r = {.text = {0}};
    const char *lines = "Date: 1\r\nA: 1\r\nDate: 2\r\n";

    cr_assert_eq(gust__forward_response(&plain, span(lines), 1000, &r.text, &r.date), 0);
    cr_assert(r.date);
    expect_text(&r, "Date: 1\r\nA: 1\r\n");
    r = (struct result){.text = {0}};
    cr_assert_eq(gust__forward_response(&plain, span("A: 1\r\n"), 1000, &r.text, &r.date), 0);
    cr_assert(!r.date);
    expect_text(&r, "A: 1\r\n");
}

/* --- What is added --------------------------------------------------------------------- */

static const char forwarded_before[] = "X-Forwarded-For: 1.1.1.1, 2.2.2.2\r\nA: 1\r\n"
                                       "x-forwarded-for: 3.3.3.3\r\nX-Forwarded-Host: first\r\n"
                                       "X-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\n";

static const struct forward_client v4 = {{"192.0.2.1", 9}, {"site:8080", 9}, false};
static const struct forward_client v6 = {{"2001:db8::1", 11}, {"site", 4}, true};

Test(fields, what_a_client_says_of_itself_is_replaced)
{
    const struct forward_rules rules = {.forwarded = true};
    struct result r = request(&rules, &v4, forwarded_before);

    expect_text(&r, "A: 1\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Host: site:8080\r\n"
                    "X-Forwarded-Proto: http\r\n"
                    "Forwarded: for=192.0.2.1;host=\"site:8080\";proto=http\r\n");
    r = request(&rules, &v6, "");
    expect_text(&r, "X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Host: site\r\n"
                    "X-Forwarded-Proto: https\r\n"
                    "Forwarded: for=\"[2001:db8::1]\";host=\"site\";proto=https\r\n");
    r = request(&rules, &nobody, "");
    expect_text(&r, "X-Forwarded-For: unknown\r\nX-Forwarded-Proto: http\r\n"
                    "Forwarded: for=unknown;proto=http\r\n");
}

Test(fields, what_proxies_say_is_added_to)
{
    const struct forward_rules rules = {.forwarding = GUST_HTTP_FORWARDING_APPEND,
                                        .forwarded = true};
    struct result r = request(&rules, &v4, forwarded_before);

    expect_text(&r, "A: 1\r\nX-Forwarded-Host: first\r\nX-Forwarded-Proto: https\r\n"
                    "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.1\r\n"
                    "Forwarded: for=1.1.1.1, for=192.0.2.1;host=\"site:8080\";proto=http\r\n");
}

Test(fields, connection_cannot_take_them_away)
{
    const struct forward_rules rules = {.forwarding = GUST_HTTP_FORWARDING_APPEND};
    struct result r = request(&rules, &v4,
                              "Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host\r\n"
                              "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n");

    expect_text(&r, "X-Forwarded-Proto: https\r\nX-Forwarded-For: 1.1.1.1, 192.0.2.1\r\n"
                    "X-Forwarded-Host: site:8080\r\n");
}

Test(fields, none_may_be_sent)
{
    struct result r = request(&plain, &v4, forwarded_before);

    expect_text(&r, "A: 1\r\n");
}

Test(fields, via_is_added_on_both_ways)
{
    const struct forward_rules rules = {.forwarding = GUST_HTTP_FORWARDING_NONE,
                                        .via = {"Via: 1.1 us\r\n", 13}};
    struct result r = request(&rules, &v4, "Via: 1.0 them\r\n");

    expect_text(&r, "Via: 1.0 them\r\nVia: 1.1 us\r\n");
    r = (struct result){.text = {0}};
    cr_assert_eq(gust__forward_response(&rules, span("A: 1\r\n"), 1000, &r.text, &r.date), 0);
    expect_text(&r, "A: 1\r\nVia: 1.1 us\r\n");
}

/* --- Limits ------------------------------------------------------------------------------ */

Test(fields, there_is_a_limit)
{
    static char lines[FORWARD_BYTES_MAX + 2];
    struct result r = {.text = {0}};

    for (int over = 0; over < 2; over++) {
        size_t len = FORWARD_BYTES_MAX + (size_t)over;
        memset(lines, 'x', len);
        memcpy(lines, "A:", 2);
        memcpy(lines + len - 2, "\r\n", 2);
        r.text.len = 0;
        cr_assert_eq(
            gust__forward_request(&plain, &nobody, (gust_span){lines, len}, &r.text, &r.found),
            over ? -ENOBUFS : 0);
    }
    free(r.text.heap);
}

Test(fields, an_interim_response_passes_what_is_not_framing)
{
    const gust_span lines = span("A: 1\r\nConnection: X-Own\r\n");

    cr_assert(gust__forward_passes(lines, span("Link")));
    cr_assert(!gust__forward_passes(lines, span("Content-Length")));
    cr_assert(!gust__forward_passes(lines, span("connection")));
    cr_assert(!gust__forward_passes(lines, span("Date")));
    cr_assert(!gust__forward_passes(lines, span("x-own")));
}
