/* The Date field and the status lines. */
#include "http/date.h"
#include "http/status.h"
#include "tests/harness/test.h"

static void expect_date(time_t when, const char *expected)
{
    char text[HTTP_DATE_LEN + 1] = {0};

    gust__http_date_format(when, text);
    cr_expect_str_eq(text, expected);
}

Test(date, has_the_form_of_rfc_9110)
{
    expect_date(0, "Thu, 01 Jan 1970 00:00:00 GMT");
    expect_date(784111777, "Sun, 06 Nov 1994 08:49:37 GMT");
    expect_date(951782399, "Mon, 28 Feb 2000 23:59:59 GMT");
    expect_date(951782400, "Tue, 29 Feb 2000 00:00:00 GMT");
    expect_date(4107542400, "Mon, 01 Mar 2100 00:00:00 GMT");
    expect_date(253402300799, "Fri, 31 Dec 9999 23:59:59 GMT");
}

/* Every day from 1970 to 2399, against libc. */
Test(date, agrees_with_libc)
{
    char text[HTTP_DATE_LEN + 1] = {0};
    char libc_text[64];
    struct tm tm;

    for (time_t when = 0; when < (time_t)13569465600; when += 86400 + 61) {
        gust__http_date_format(when, text);
        strftime(libc_text, sizeof(libc_text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &tm));
        cr_assert_str_eq(text, libc_text);
    }
}

Test(date, now_is_now)
{
    char text[HTTP_DATE_LEN + 1] = {0};
    char before[HTTP_DATE_LEN + 1] = {0};
    char after[HTTP_DATE_LEN + 1] = {0};
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    gust__http_date_format(ts.tv_sec, before);
    gust__http_date_now(text);
    gust__http_date_now(text); /* from the cache */
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    gust__http_date_format(ts.tv_sec, after);
    cr_assert(strcmp(text, before) == 0 || strcmp(text, after) == 0);
}

static void expect_status(int status, const char *expected)
{
    char line[STATUS_LINE_MAX + 1] = {0};
    size_t n = gust__http_status_line(status, line);

    cr_expect_str_eq(line, expected);
    cr_expect_eq(n, strlen(expected));
}

Test(status, lines_have_their_reasons)
{
    expect_status(200, "HTTP/1.1 200 OK\r\n");
    expect_status(404, "HTTP/1.1 404 Not Found\r\n");
    expect_status(431, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    expect_status(299, "HTTP/1.1 299 \r\n");
    expect_status(999, "HTTP/1.1 999 \r\n");
    cr_assert_eq(gust__http_reason(400).len, strlen("Bad Request"));
    cr_assert_eq(gust__http_reason(418).len, 0);
}
