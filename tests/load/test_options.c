/* The command line, and the requests that are made of it. */
#include "bench/load/options.h"
#include "tests/harness/test.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>

#define WORDS_MAX 100

static struct plan plan;

/* What the words after the program's name, up to NULL, are read as. */
static enum options_verdict parse(const char *word, ...)
{
    char *argv[WORDS_MAX + 2] = {(char *)"gust-load"};
    int argc = 1;
    va_list more;
    va_start(more, word);
    for (; word && argc <= WORDS_MAX; word = va_arg(more, const char *))
        argv[argc++] = (char *)word;
    va_end(more);
    optind = 0;
    return options_read(argc, argv, &plan);
}

#define URL "http://127.0.0.1:8080/x"

static bool takes(const char *option, const char *value)
{
    bool ok = parse(option, value, URL, NULL) == OPTIONS_RUN;
    plan_free(&plan);
    return ok;
}

static int finish(void *arg)
{
    *(bool *)arg = plan_finish(&plan);
    return 0;
}

static bool finishes(void)
{
    bool ok;
    test_run(finish, &ok);
    return ok;
}

Test(load_options, defaults_are_a_closed_loop_of_ten_seconds)
{
    cr_assert_eq(parse(URL, NULL), OPTIONS_RUN);
    cr_assert_eq(plan.connections, 64);
    cr_assert_eq(plan.duration_ns, 10 * GUST_SEC);
    cr_assert_eq(plan.timeout_ns, 10 * GUST_SEC);
    cr_assert_eq(plan.warm_up_ns, 0);
    cr_assert_eq(plan.requests, 0);
    cr_assert_eq(plan.pipeline, 1);
    cr_assert_eq(plan.rate, 0);
    cr_assert_str_eq(plan.method, "GET");
    cr_assert(!plan.good[100] && plan.good[200] && plan.good[399] && !plan.good[400]);
    plan_free(&plan);
}

Test(load_options, all_spellings_mean_the_same)
{
    cr_assert_eq(parse("-c", "5", URL, "--requests=7", "-d2s", NULL), OPTIONS_RUN);
    cr_assert_eq(plan.connections, 5);
    cr_assert_eq(plan.requests, 7);
    cr_assert_eq(plan.duration_ns, 2 * GUST_SEC);
    cr_assert_eq(plan.target_count, 1);
    plan_free(&plan);
    cr_assert_eq(parse("--connections", "5", "--", URL, NULL), OPTIONS_RUN);
    cr_assert_eq(plan.connections, 5);
    plan_free(&plan);
}

Test(load_options, numbers_have_bounds)
{
    static const struct {
        const char *option, *least, *below, *most, *above;
    } bounds[] = {
        {"-c", "1", "0", "1000000", "1000001"},
        {"-n", "1", "0", "1000000000000", "1000000000001"},
        {"-p", "1", "0", "1024", "1025"},
        {"-t", "1", "0", "1024", "1025"},
        {"-d", "1us", "0", "24h", "86401"},
        {"-w", "0", "-1", "24h", "86401"},
        {"--ramp", "0", "-1", "24h", "86401"},
        {"--timeout", "1us", "0", "24h", "86401"},
        {"-r", "0.1", "0", "10000000", "10000001"},
        {"--sweep", "0.1", "0", "10000000", "10000001"},
        {"--size", "1", "0", "1g", "1073741825"},
        {"--expect-length", "0", "-1", "9223372036854775807", "9223372036854775808"},
        {"--expect-status", "200", "199", "999", "1000"},
        {"--seed", "0", "-1", "9223372036854775807", "9223372036854775808"},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        cr_expect(takes(bounds[i].option, bounds[i].least), "%s", bounds[i].option);
        cr_expect(takes(bounds[i].option, bounds[i].most), "%s", bounds[i].option);
        cr_expect(!takes(bounds[i].option, bounds[i].below), "%s", bounds[i].option);
        cr_expect(!takes(bounds[i].option, bounds[i].above), "%s", bounds[i].option);
        cr_expect(!takes(bounds[i].option, "x"), "%s", bounds[i].option);
        cr_expect(!takes(bounds[i].option, ""), "%s", bounds[i].option);
    }
}

Test(load_options, times_have_units)
{
    static const struct {
        const char *text;
        int64_t ns;
    } times[] = {{"2", 2 * GUST_SEC},  {"0.5s", GUST_SEC / 2}, {"20ms", 20 * GUST_MS},
                 {"7us", 7 * GUST_US}, {"3m", 180 * GUST_SEC}, {"1h", 3600 * GUST_SEC}};
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        cr_assert_eq(parse("-d", times[i].text, URL, NULL), OPTIONS_RUN);
        cr_expect_eq(plan.duration_ns, times[i].ns, "%s", times[i].text);
        plan_free(&plan);
    }
    cr_expect(!takes("-d", "2x"));
    cr_expect(!takes("-d", "nan"));
    cr_expect(!takes("-d", "1e300"));
}

Test(load_options, statuses_are_listed)
{
    cr_assert_eq(parse("--expect-status", "204, 4xx", URL, NULL), OPTIONS_RUN);
    cr_assert(!plan.good[200] && plan.good[204] && !plan.good[399] && plan.good[400] &&
              plan.good[499] && !plan.good[500]);
    plan_free(&plan);
    cr_assert(!takes("--expect-status", "1xx"));
    cr_assert(!takes("--expect-status", "20"));
    cr_assert(!takes("--expect-status", "200-299"));
}

Test(load_options, what_contradicts_itself_is_refused)
{
    cr_expect_eq(parse(NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--nonsense", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse(URL, "-c", NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--no-keepalive", "-p", "2", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--sweep", "10", "-r", "10", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--sweep", "10", "-n", "10", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--sweep-p99", "10ms", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--insecure", "--ca-file", "x", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
    cr_expect_eq(parse("--data", "x", "--body", "x", URL, NULL), OPTIONS_BAD);
    plan_free(&plan);
}

Test(load_options, fields_that_frame_are_ours)
{
    cr_expect(takes("-H", "X-Y: z"));
    cr_expect(takes("-H", "Empty:"));
    cr_expect(!takes("-H", "no colon"));
    cr_expect(!takes("-H", "a b: c"));
    cr_expect(!takes("-H", "a: b\r\nc: d"));
    cr_expect(!takes("-H", "content-length: 1"));
    cr_expect(!takes("-H", "Transfer-Encoding: chunked"));
    cr_expect(!takes("-H", "Connection: close"));
    cr_expect(!takes("-H", "Expect: 100-continue"));
    cr_expect(!takes("-m", "CONNECT"));
    cr_expect(!takes("-m", "G T"));
}

Test(load_options, there_is_a_most_of_urls)
{
    char *argv[TARGETS_MAX + 3] = {(char *)"gust-load"};
    for (int i = 1; i <= TARGETS_MAX + 1; i++)
        argv[i] = (char *)URL;
    optind = 0;
    cr_assert_eq(options_read(TARGETS_MAX + 1, argv, &plan), OPTIONS_RUN);
    plan_free(&plan);
    optind = 0;
    cr_assert_eq(options_read(TARGETS_MAX + 2, argv, &plan), OPTIONS_BAD);
    plan_free(&plan);
}

/* --- Requests --------------------------------------------------------------------------------- */

static void expect_request(const char *expected)
{
    cr_assert(finishes());
    const struct target *t = &plan.targets[0];
    cr_assert_eq(t->request_len, strlen(expected), "%.*s", (int)t->request_len, t->request);
    cr_assert(memcmp(t->request, expected, t->request_len) == 0, "%.*s", (int)t->request_len,
              t->request);
    plan_free(&plan);
}

Test(load_requests, have_a_line_and_a_host)
{
    parse("http://a.example:81/b c?d#e", NULL);
    expect_request("GET /b%20c?d HTTP/1.1\r\nHost: a.example:81\r\n\r\n");
    parse("-m", "HEAD", "https://[::1]", NULL);
    expect_request("HEAD / HTTP/1.1\r\nHost: [::1]\r\n\r\n");
}

Test(load_requests, have_the_fields_that_were_given)
{
    parse("-H", "A: b", "--header", "host:x", "--no-keepalive", URL, NULL);
    expect_request("GET /x HTTP/1.1\r\nA: b\r\nhost: x\r\nConnection: close\r\n\r\n");
}

Test(load_requests, have_the_body_and_its_length)
{
    parse("--data", "hello", URL, NULL);
    expect_request("POST /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 5\r\n\r\nhello");
    parse("-m", "PUT", URL, NULL);
    expect_request("PUT /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Length: 0\r\n\r\n");
}

Test(load_requests, have_a_bound)
{
    static char url[HEADER_BYTES_MAX + 2];
    const int fixed = (int)strlen("GET  HTTP/1.1\r\nHost: a\r\n\r\n"), scheme = 8;
    for (int over = 0; over <= 1; over++) {
        memset(url, 'x', sizeof url);
        memcpy(url, "http://a/", 9);
        url[HEADER_BYTES_MAX - fixed + scheme + over] = '\0';
        cr_assert_eq(parse(url, NULL), OPTIONS_RUN);
        cr_assert_eq(finishes(), over == 0);
        plan_free(&plan);
    }
}

Test(load_requests, urls_have_weights)
{
    parse("3@http://a/x", "http://a/y", NULL);
    cr_assert(finishes());
    cr_assert_eq(plan.targets[0].weight, 3);
    cr_assert_eq(plan.targets[1].weight, 1);
    cr_assert_eq(plan.weight_sum, 4);
    cr_assert_str_eq(plan.targets[0].url, "http://a/x");
    plan_free(&plan);
    parse("1000000@http://a/", NULL);
    cr_assert(finishes());
    plan_free(&plan);
}

Test(load_requests, bad_urls_are_refused)
{
    static const char *const bad[] = {
        "",
        "a.example",
        "/x",
        "ftp://a/",
        "http://",
        "http://a b/",
        "http://a:99999/",
        "http://u@a/",
        "0@http://a/",
        "1000001@http://a/",
        "tcp://a",
        "tcp://a:1/x",
        "tcp://a:0",
        "http://a/\x01",
        "x@http://a/",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_assert_eq(parse(bad[i], NULL), OPTIONS_RUN);
        cr_expect_not(finishes(), "%s", bad[i]);
        plan_free(&plan);
    }
}

Test(load_requests, all_urls_are_of_one_server)
{
    static const char *const others[] = {"http://b/", "http://a:81/", "https://a:80/",
                                         "tcp://a:80"};
    parse("http://a/x", "HTTP://A:80/y", NULL);
    cr_expect(finishes());
    plan_free(&plan);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        parse("http://a/", others[i], NULL);
        cr_expect_not(finishes(), "%s", others[i]);
        plan_free(&plan);
    }
}

Test(load_requests, an_echo_has_a_host_and_a_port)
{
    parse("--size", "16k", "tcp://[::1]:7", NULL);
    cr_assert(finishes());
    cr_assert_eq(plan.protocol, PROTOCOL_ECHO);
    cr_assert_eq(plan.port, 7);
    cr_assert_str_eq(plan.host, "::1");
    cr_assert_eq(plan.echo_size, 16384);
    plan_free(&plan);
}
