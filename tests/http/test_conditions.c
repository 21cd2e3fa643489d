/* Dates, entity tags and the conditions made of them. */
#include "http/date_parse.h"
#include "tests/http/guard.h"
#include "tests/http/site.h"

static gust_span span(const char *text)
{
    return (gust_span){text, text ? strlen(text) : 0};
}

/* --- Dates -------------------------------------------------------------------- */

#define NOW INT64_C(1700000000) /* November 2023 */
#define BAD INT64_MIN

static const struct {
    const char *text;
    int64_t seconds;
} dates[] = {
    /* RFC 9110, 5.6.7. */
    {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777},
    {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
    {"Sun Nov  6 08:49:37 1994", 784111777},

    {"Sun Nov 16 08:49:37 1994", 784975777},
    {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
    {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800}, /* a leap second */
    {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
    {"Mon, 01 Jan 0001 00:00:00 GMT", -62135596800},
    {"Tuesday, 01-Jan-00 00:00:00 GMT", 946684800},
    {"Sunday, 01-Jan-73 00:00:00 GMT", 3250454400}, /* 50 years ahead */
    {"Tuesday, 01-Jan-74 00:00:00 GMT", 126230400},

    {"", BAD},
    {"Sun", BAD},
    {"sun, 06 Nov 1994 08:49:37 GMT", BAD},
    {"Sun, 06 nov 1994 08:49:37 GMT", BAD},
    {"Sun, 6 Nov 1994 08:49:37 GMT", BAD},
    {"Sun, 06 Nov 94 08:49:37 GMT", BAD},
    {"Sun, 06 Nov 1994 08:49:37 UTC", BAD},
    {"Sun, 06 Nov 1994 08:49:37", BAD},
    {"Sun, 06 Nov 1994 08:49:37 GMT ", BAD},
    {"Sun, 06 Nov 1994 08:49:37 +0000", BAD},
    {"Sun, 06 Nov 1994 24:00:00 GMT", BAD},
    {"Sun, 06 Nov 1994 08:60:37 GMT", BAD},
    {"Sun, 06 Nov 1994 08:49:61 GMT", BAD},
    {"Sun, 06 Nov 1994 8:49:37 GMT", BAD},
    {"Sun, 00 Nov 1994 08:49:37 GMT", BAD},
    {"Sun, 31 Nov 1994 08:49:37 GMT", BAD},
    {"Thu, 29 Feb 1900 00:00:00 GMT", BAD},
    {"Sat, 01 Jan 0000 00:00:00 GMT", BAD},
    {"Sun, -6 Nov 1994 08:49:37 GMT", BAD},
    {"Sun, 06-Nov-94 08:49:37 GMT", BAD},
    {"Sunday, 06-Nov-1994 08:49:37 GMT", BAD},
    {"Sun Nov 6 08:49:37 1994", BAD},
    {"Sun Nov   6 08:49:37 1994", BAD},
    {"Sun Nov  6 08:49:37 1994 GMT", BAD},
};

Test(conditions, dates_have_three_forms)
{
    struct guard g = guard_new(64);

    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        size_t len = strlen(dates[i].text);
        gust_span text = {guard_put(&g, dates[i].text, len), len};
        int64_t seconds = BAD;
        int r = gust__http_date_parse_at(text, NOW, &seconds);
        cr_assert_eq(seconds, dates[i].seconds, "%s: %lld", dates[i].text, (long long)seconds);
        cr_assert_eq(r, dates[i].seconds == BAD ? -EBADMSG : 0, "%s", dates[i].text);
    }
    guard_free(&g);
}

Test(conditions, dates_written_are_read)
{
    char text[GUST_HTTP_DATE_SIZE];
    int64_t seconds;

    for (int64_t when = 0; when < INT64_C(253402300800); when += 86399 * 13) {
        cr_assert_eq(gust_http_date_format(when, text), 0);
        cr_assert_eq(gust_http_date_parse(span(text), &seconds), 0, "%s", text);
        cr_assert_eq(seconds, when, "%s", text);
    }
    cr_assert_eq(gust_http_date_format(-1, text), -EINVAL);
    cr_assert_eq(gust_http_date_format(INT64_C(253402300800), text), -EINVAL);
}

/* --- Entity tags ------------------------------------------------------------------ */

Test(conditions, entity_tags_have_quotes)
{
    static const char *good[] = {"\"xyzzy\"", "W/\"xyzzy\"", "\"\"", "\"a,b\"", "\"\xff\""};
    static const char *malformed[] = {"",        "\"",     "xyzzy",     "W/",  "W/xyzzy", "w/\"x\"",
                                      "\"a b\"", "\"a\"b", "\"a\x7f\"", "\"a", "W\"a\""};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_assert(gust_http_etag_valid(span(good[i])), "%s", good[i]);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        cr_assert_not(gust_http_etag_valid(span(malformed[i])), "%s", malformed[i]);
}

Test(conditions, entity_tags_compare_as_in_rfc_9110)
{
    /* The table of 8.8.3.2. */
    static const struct {
        const char *a, *b;
        bool strong, weak;
    } pairs[] = {
        {"W/\"1\"", "W/\"1\"", false, true}, {"W/\"1\"", "W/\"2\"", false, false},
        {"W/\"1\"", "\"1\"", false, true},   {"\"1\"", "W/\"1\"", false, true},
        {"\"1\"", "\"1\"", true, true},      {"1", "1", false, false},
    };

    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        gust_span a = span(pairs[i].a), b = span(pairs[i].b);
        cr_assert_eq(gust_http_etag_strong_equal(a, b), pairs[i].strong, "%zu", i);
        cr_assert_eq(gust_http_etag_weak_equal(a, b), pairs[i].weak, "%zu", i);
    }
}

/* --- Conditions ------------------------------------------------------------------- */

#define BEFORE "Sun, 06 Nov 1994 08:49:36 GMT"
#define DATE "Sun, 06 Nov 1994 08:49:37 GMT"
#define AFTER "Sun, 06 Nov 1994 08:49:38 GMT"

static const struct {
    const char *match, *none_match, *since, *unmodified;
    int get, put; /* what a GET and a PUT are answered */
} conditions[] = {
    {NULL, NULL, NULL, NULL, 200, 200},

    {"*", NULL, NULL, NULL, 200, 200},
    {"\"x\"", NULL, NULL, NULL, 200, 200},
    {"\"y\"", NULL, NULL, NULL, 412, 412},
    {"\"y\" , ,\t\"x\"", NULL, NULL, NULL, 200, 200},
    {"\"y\", W/\"x\"", NULL, NULL, NULL, 412, 412},
    {"x", NULL, NULL, NULL, 412, 412},
    {"\"y\" x \"x\"", NULL, NULL, NULL, 412, 412},
    {"", NULL, NULL, NULL, 412, 412},

    {NULL, NULL, NULL, BEFORE, 412, 412},
    {NULL, NULL, NULL, DATE, 200, 200},
    {NULL, NULL, NULL, AFTER, 200, 200},
    {NULL, NULL, NULL, "yesterday", 200, 200},
    {"\"x\"", NULL, NULL, BEFORE, 200, 200}, /* If-Match outranks it */

    {NULL, "*", NULL, NULL, 304, 412},
    {NULL, "\"x\"", NULL, NULL, 304, 412},
    {NULL, "W/\"x\"", NULL, NULL, 304, 412},
    {NULL, "\"y\"", NULL, NULL, 200, 200},
    {NULL, "\"a,b\",\"x\"", NULL, NULL, 304, 412},
    {NULL, "", NULL, NULL, 200, 200},
    {"\"y\"", "\"x\"", NULL, NULL, 412, 412},

    {NULL, NULL, BEFORE, NULL, 200, 200},
    {NULL, NULL, DATE, NULL, 304, 200},
    {NULL, NULL, AFTER, NULL, 304, 200},
    {NULL, NULL, "yesterday", NULL, 200, 200},
    {NULL, "\"y\"", AFTER, NULL, 200, 200}, /* If-None-Match outranks it */
    {NULL, NULL, AFTER, BEFORE, 412, 412},
};

static const gust_http_version version = {
    .exists = true, .etag = {"\"x\"", 3}, .has_modified = true, .modified_s = 784111777};

Test(conditions, they_are_evaluated_in_order)
{
    for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++) {
        gust_http_conditions c = {.is_get = true,
                                  .if_match = span(conditions[i].match),
                                  .if_none_match = span(conditions[i].none_match),
                                  .if_modified_since = span(conditions[i].since),
                                  .if_unmodified_since = span(conditions[i].unmodified)};
        cr_assert_eq(gust_http_conditions_eval(&c, &version), conditions[i].get, "%zu", i);
        c.is_get = false;
        cr_assert_eq(gust_http_conditions_eval(&c, &version), conditions[i].put, "%zu", i);
    }
}

Test(conditions, nothing_matches_what_does_not_exist)
{
    const gust_http_version nothing = {.exists = false};
    gust_http_conditions c = {.if_match = span("*")};

    cr_assert_eq(gust_http_conditions_eval(&c, &nothing), 412);
    c = (gust_http_conditions){.if_none_match = span("*")};
    cr_assert_eq(gust_http_conditions_eval(&c, &nothing), 200);
    c = (gust_http_conditions){.if_unmodified_since = span(BEFORE)};
    cr_assert_eq(gust_http_conditions_eval(&c, &nothing), 200);
    c = (gust_http_conditions){.is_get = true, .if_modified_since = span(AFTER)};
    cr_assert_eq(gust_http_conditions_eval(&c, &nothing), 200);
}

static bool range_is_for(const char *if_range, const gust_http_version *v)
{
    gust_http_conditions c = {
        .is_get = true, .range = span("bytes=0-"), .if_range = span(if_range)};
    return gust_http_conditions_range(&c, v);
}

Test(conditions, a_range_is_of_one_version)
{
    const gust_http_version weak = {.exists = true, .etag = {"W/\"x\"", 5}};
    const gust_http_conditions no_range = {.is_get = true};

    cr_assert(range_is_for(NULL, &version));
    cr_assert(range_is_for("\"x\"", &version));
    cr_assert(range_is_for(DATE, &version));
    cr_assert_not(range_is_for("\"y\"", &version));
    cr_assert_not(range_is_for("W/\"x\"", &version));
    cr_assert_not(range_is_for("W/\"x\"", &weak));
    cr_assert_not(range_is_for(BEFORE, &version));
    cr_assert_not(range_is_for(AFTER, &version));
    cr_assert_not(range_is_for(DATE, &weak));
    cr_assert_not(range_is_for("", &version));
    cr_assert_not(gust_http_conditions_range(&no_range, &version));
}

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_conditions c;

    (void)arg;
    gust_http_conditions_read(req, &c);
    int status = gust_http_conditions_eval(&c, &version);
    bool part = status == 200 && gust_http_conditions_range(&c, &version);
    CHECK_EQ(gust_http_status(res, part ? 206 : status), 0);
}

static void expect_status(const struct site *site, const char *request, const char *status)
{
    expect_reply_start(site_ask(site, request), request, status);
}

#define END "Host: a\r\nConnection: close\r\n\r\n"

static int ask(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = answer});
    expect_status(&site, "GET / HTTP/1.1\r\n" END, "HTTP/1.1 200");
    expect_status(&site, "GET / HTTP/1.1\r\nif-none-match: \"x\"\r\n" END, "HTTP/1.1 304");
    expect_status(&site, "PUT / HTTP/1.1\r\nIf-None-Match: \"x\"\r\n" END, "HTTP/1.1 412");
    expect_status(&site, "HEAD / HTTP/1.1\r\nIf-Modified-Since: " DATE "\r\n" END, "HTTP/1.1 304");
    expect_status(&site, "GET / HTTP/1.1\r\nIf-Unmodified-Since: " BEFORE "\r\n" END,
                  "HTTP/1.1 412");
    expect_status(&site, "GET / HTTP/1.1\r\nIf-Match: \"y\"\r\n" END, "HTTP/1.1 412");
    expect_status(&site, "GET / HTTP/1.1\r\nRange: bytes=0-\r\n" END, "HTTP/1.1 206");
    expect_status(&site, "GET / HTTP/1.1\r\nRange: bytes=0-\r\nIf-Range: " AFTER "\r\n" END,
                  "HTTP/1.1 200");
    site_stop(&site);
    return 0;
}

Test(conditions, they_are_read_from_a_request)
{
    test_run(ask, NULL);
}
