/* Fields of the program's own in the access log. */
#include "tests/http/site.h"

#include <gust/http_log.h>
#include <stdio.h>

#include "http/log.h"

static const struct log_field second = {NULL, {"b", 1}, {"\"\n", 2}};
static const struct log_field first = {(struct log_field *)&second, {"a", 1}, {"1 2", 3}};

static void expect_end(gust_http_log_format format, const char *expected)
{
    static char line[LOG_LINE_MAX];
    const struct log_record record = {.addr = {"::1", 3}, .status = 200, .fields = &first};
    struct log_time t = {.second = 0};
    size_t want = strlen(expected);

    gust__http_log_time(&t, format, 951782400);
    size_t len = gust__http_log_line(format, &t, &record, line);
    cr_assert(len <= gust__http_log_line_max(&record));
    cr_assert(len > want && memcmp(line + len - want, expected, want) == 0, "%.*s", (int)len, line);
}

Test(log_fields, stand_at_the_end_of_a_line)
{
    expect_end(GUST_HTTP_LOG_COMMON, " 200 0 a=\"1 2\" b=\"\\x22\\x0A\"\n");
    expect_end(GUST_HTTP_LOG_COMBINED, " \"-\" \"-\" a=\"1 2\" b=\"\\x22\\x0A\"\n");
    expect_end(GUST_HTTP_LOG_JSON, ",\"agent\":null,\"a\":\"1 2\",\"b\":\"\\u0022\\u000A\"}\n");
}

static char written[4 * LOG_LINE_MAX];
static size_t written_len;

static int write_lines(const char *lines, size_t len, void *arg)
{
    (void)arg;
    CHECK(written_len + len < sizeof(written));
    memcpy(written + written_len, lines, len);
    written_len += len;
    return 0;
}

static void add_fields(gust_http_request *req, gust_http_response *res, void *arg)
{
    static char value[GUST_HTTP_LOG_FIELDS_BYTES_MAX + 1];
    bool *logs = arg;
    char name[16];

    (void)res;
    memset(value, 'x', GUST_HTTP_LOG_FIELDS_BYTES_MAX);
    CHECK_EQ(gust_http_log_field(req, "", "1"), *logs ? -EINVAL : 0);
    CHECK_EQ(gust_http_log_field(req, "a-b", "1"), *logs ? -EINVAL : 0);
    if (gust_http_request_query(req).data) { /* bytes: a name of one, and all the rest */
        CHECK_EQ(gust_http_log_field(req, "v", value), *logs ? -ENOBUFS : 0);
        CHECK_EQ(gust_http_log_field(req, "v", value + 1), 0);
        CHECK_EQ(gust_http_log_field(req, "w", ""), *logs ? -ENOBUFS : 0);
        return;
    }
    for (int i = 0; i < GUST_HTTP_LOG_FIELDS_MAX; i++) {
        snprintf(name, sizeof(name), "f_%d", i);
        CHECK_EQ(gust_http_log_field(req, name, name), 0);
    }
    CHECK_EQ(gust_http_log_field(req, "g", "1"), *logs ? -ENOBUFS : 0);
}

static int log_requests(void *arg)
{
    const gust_http_log_options options = {.write = write_lines, .format = GUST_HTTP_LOG_JSON};
    bool logs = *(const bool *)arg;
    gust_http_server_options o = {.handler = add_fields, .arg = &logs};
    struct site site;

    if (logs)
        CHECK_EQ(gust_http_log_new(&options, &o.log), 0);
    site_start(&site, &o);
    free(site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").text);
    free(site_ask(&site, "GET /?b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").text);
    site_stop(&site);
    CHECK_EQ(gust_http_log_close(o.log, gust_after(SITE_WAIT_NS)), 0);
    if (logs) {
        written[written_len] = '\0';
        CHECK(strstr(written, ",\"f_0\":\"f_0\",\"f_1\":\"f_1\","));
        CHECK(strstr(written, "\"f_15\":\"f_15\"}\n"));
        CHECK(strstr(written, ",\"v\":\"xxx"));
    }
    return 0;
}

Test(log_fields, are_added_up_to_a_limit)
{
    bool logs = true;

    test_run_without_leaks(log_requests, &logs);
}

Test(log_fields, are_nothing_without_a_log)
{
    bool logs = false;

    test_run_without_leaks(log_requests, &logs);
}
