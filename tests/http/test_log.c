/* The access log: its lines, and how they get to their file. */
#include "tests/http/site.h"

#include <fcntl.h>
#include <gust/chan.h>
#include <gust/file.h>
#include <gust/http_log.h>
#include <stdio.h>
#include <unistd.h>

#include "http/log.h"

#define SOON gust_after(SITE_WAIT_NS)

#define S(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }

/* --- Lines ------------------------------------------------------------------------- */

static const struct log_record full = {
    .addr = S("192.0.2.1"),
    .user = S("ann"),
    .request = S("GET /a?b HTTP/1.1"),
    .host = S("example.com"),
    .referer = S("http://r/"),
    .agent = S("curl/8"),
    .pattern = "GET /{x}",
    .protocol = "HTTP/1.1",
    .tls = "1.3",
    .status = 200,
    .bytes = 13,
    .duration_ns = 1234567890,
};

static void expect_line(gust_http_log_format format, const struct log_record *record,
                        const char *expected)
{
    static char line[LOG_LINE_MAX];
    struct log_time t = {.second = 1};

    setenv("TZ", "XYZ-3:30", 1);
    tzset();
    gust__http_log_time(&t, format, 951782400); /* 2000-02-29T00:00:00Z */
    size_t max = gust__http_log_line_max(record);
    size_t len = gust__http_log_line(format, &t, record, line);
    cr_assert(len <= max && max <= LOG_LINE_MAX);
    line[len] = '\0';
    cr_assert_str_eq(line, expected);
}

Test(log, a_line_has_what_its_format_says)
{
    expect_line(GUST_HTTP_LOG_COMMON, &full,
                "192.0.2.1 - ann [29/Feb/2000:03:30:00 +0330] \"GET /a?b HTTP/1.1\" 200 13\n");
    expect_line(GUST_HTTP_LOG_COMBINED, &full,
                "192.0.2.1 - ann [29/Feb/2000:03:30:00 +0330] \"GET /a?b HTTP/1.1\" 200 13 "
                "\"http://r/\" \"curl/8\"\n");
    expect_line(GUST_HTTP_LOG_JSON, &full,
                "{\"time\":\"2000-02-29T03:30:00+03:30\",\"addr\":\"192.0.2.1\",\"user\":\"ann\","
                "\"host\":\"example.com\",\"request\":\"GET /a?b HTTP/1.1\","
                "\"protocol\":\"HTTP/1.1\",\"tls\":\"1.3\",\"pattern\":\"GET /{x}\","
                "\"status\":200,\"bytes\":13,\"seconds\":1.234567,\"referer\":\"http://r/\","
                "\"agent\":\"curl/8\"}\n");
}

Test(log, what_is_not_there_is_a_dash_or_null)
{
    const struct log_record empty = {.addr = S("::1"), .status = 400};

    expect_line(GUST_HTTP_LOG_COMBINED, &empty,
                "::1 - - [29/Feb/2000:03:30:00 +0330] \"-\" 400 0 \"-\" \"-\"\n");
    expect_line(GUST_HTTP_LOG_JSON, &empty,
                "{\"time\":\"2000-02-29T03:30:00+03:30\",\"addr\":\"::1\",\"user\":null,"
                "\"host\":null,\"request\":null,\"protocol\":null,\"tls\":null,\"pattern\":null,"
                "\"status\":400,\"bytes\":0,\"seconds\":0.000000,\"referer\":null,"
                "\"agent\":null}\n");
}

/* Nobody can end a line or a field, nor begin one. */
Test(log, what_a_client_sends_cannot_leave_its_field)
{
    const struct log_record hostile = {
        .addr = S("::1"),
        .user = S("a b\" -"),
        .request = S("GET /\"\\\n\r\x1b[2J\x7f\xff"),
        .agent = S("\n127.0.0.1 - - ["),
        .status = 400,
    };

    expect_line(GUST_HTTP_LOG_COMBINED, &hostile,
                "::1 - a\\x20b\\x22\\x20- [29/Feb/2000:03:30:00 +0330] "
                "\"GET /\\x22\\x5C\\x0A\\x0D\\x1B[2J\\x7F\\xFF\" 400 0 \"-\" "
                "\"\\x0A127.0.0.1 - - [\"\n");
    expect_line(GUST_HTTP_LOG_JSON, &hostile,
                "{\"time\":\"2000-02-29T03:30:00+03:30\",\"addr\":\"::1\","
                "\"user\":\"a b\\u0022 -\",\"host\":null,"
                "\"request\":\"GET /\\u0022\\u005C\\u000A\\u000D\\u001B[2J\\u007F\\u00FF\","
                "\"protocol\":null,\"tls\":null,\"pattern\":null,"
                "\"status\":400,\"bytes\":0,\"seconds\":0.000000,\"referer\":null,"
                "\"agent\":\"\\u000A127.0.0.1 - - [\"}\n");
}

Test(log, the_longest_line_fits_where_it_must)
{
    static char bytes[GUST_HTTP_LOG_FIELD_MAX + 1], line[LOG_LINE_MAX];
    static char pattern[GUST_HTTP_LOG_FIELD_MAX + 2];
    struct log_time t = {.second = 0};
    memset(bytes, 1, sizeof(bytes));
    memset(pattern, 1, sizeof(pattern) - 1);
    const gust_span s = {bytes, sizeof(bytes)};
    const struct log_record record = {.addr = S("::1"),
                                      .user = s,
                                      .request = s,
                                      .host = s,
                                      .referer = s,
                                      .agent = s,
                                      .pattern = pattern,
                                      .protocol = "HTTP/1.1",
                                      .tls = "1.3",
                                      .status = 999,
                                      .bytes = UINT64_MAX,
                                      .duration_ns = INT64_MAX};

    gust__http_log_time(&t, GUST_HTTP_LOG_JSON, 951782400);
    size_t len = gust__http_log_line(GUST_HTTP_LOG_JSON, &t, &record, line);
    cr_assert(len <= gust__http_log_line_max(&record));
    cr_assert(gust__http_log_line_max(&record) <= LOG_LINE_MAX);
    /* One byte of each of the six was one too many. */
    cr_assert(len > 6 * 6 * GUST_HTTP_LOG_FIELD_MAX);
    cr_assert(len < 6 * 6 * GUST_HTTP_LOG_FIELD_MAX + 512);
}

/* --- A sink that can be stopped -------------------------------------------------------- */

struct sink {
    gust_http_log *log;
    gust_chan *begun; /* a write has */
    gust_chan *go_on; /* each write takes one, or finds it closed */
    char *text;
    size_t len;
    _Atomic int error; /* what a write returns */
};

static int sink_write(const char *lines, size_t len, void *arg)
{
    struct sink *sink = arg;

    gust_chan_send(sink->begun, NULL, GUST_NOW);
    CHECK(gust_chan_recv(sink->go_on, NULL, SOON) >= 0);
    sink->text = realloc(sink->text, sink->len + len + 1);
    CHECK(sink->text);
    memcpy(sink->text + sink->len, lines, len);
    sink->len += len;
    sink->text[sink->len] = '\0';
    return sink->error;
}

static void sink_open(struct sink *sink, gust_http_log_options options)
{
    *sink = (struct sink){NULL};
    CHECK_EQ(gust_chan_new(0, 1, &sink->begun), 0);
    CHECK_EQ(gust_chan_new(0, 1, &sink->go_on), 0);
    options.write = sink_write;
    options.arg = sink;
    CHECK_EQ(gust_http_log_new(&options, &sink->log), 0);
}

/* Writes go on without being told to. */
static void sink_release(struct sink *sink)
{
    gust_chan_close(sink->go_on);
}

static void sink_close(struct sink *sink)
{
    CHECK_EQ(gust_http_log_close(sink->log, SOON), sink->error);
    gust_chan_unref(sink->begun);
    gust_chan_unref(sink->go_on);
}

static void await_write(struct sink *sink)
{
    CHECK_EQ(gust_chan_recv(sink->begun, NULL, SOON), 1);
}

static void put_number(gust_http_log *log, int number)
{
    struct log_record record = {.addr = S("::1"), .status = 200, .bytes = (uint64_t)number};

    gust__http_log_put(log, &record);
}

static size_t count_lines(const struct sink *sink)
{
    size_t n = 0;

    for (size_t i = 0; i < sink->len; i++)
        n += sink->text[i] == '\n';
    return n;
}

static gust_http_log_stats stats_of(gust_http_log *log)
{
    gust_http_log_stats stats;

    gust_http_log_stats_read(log, &stats);
    return stats;
}

/* --- Gathering -------------------------------------------------------------------------- */

static int flush_by_time(void *arg)
{
    struct sink sink;

    (void)arg;
    sink_open(&sink, (gust_http_log_options){.flush_ns = GUST_MS});
    sink_release(&sink);
    for (int i = 0; i < 3; i++) {
        put_number(sink.log, i);
        await_write(&sink); /* nobody has asked for it */
    }
    sink_close(&sink);
    CHECK_EQ(count_lines(&sink), 3);
    free(sink.text);
    return 0;
}

Test(log, lines_are_written_after_a_while)
{
    test_run(flush_by_time, NULL);
}

/* More than half of a buffer and less than all of it. */
#define LINES_OF_HALF 1300

/* With a single P there is one buffer for all of them. */
static int flush_by_size(void *arg)
{
    struct sink sink;

    (void)arg;
    sink_open(&sink, (gust_http_log_options){.flush_ns = 3600 * GUST_SEC,
                                             .buffer_bytes = GUST_HTTP_LOG_BUFFER_BYTES_MIN});
    sink_release(&sink);
    for (int i = 0; i < LINES_OF_HALF; i++)
        put_number(sink.log, i);
    await_write(&sink);
    CHECK_EQ(gust_http_log_flush(sink.log, SOON), 0);
    CHECK_EQ(count_lines(&sink), LINES_OF_HALF);
    CHECK(sink.len > GUST_HTTP_LOG_BUFFER_BYTES_MIN / 2);
    CHECK_EQ(stats_of(sink.log).written, LINES_OF_HALF);
    CHECK_EQ(stats_of(sink.log).dropped, 0);
    sink_close(&sink);
    free(sink.text);
    return 0;
}

Test(log, lines_are_written_when_a_buffer_is_half_full)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(flush_by_size, NULL);
}

/* The time of the next flush is far away, but not waited for. */
static int end(void *arg)
{
    struct sink sink;

    (void)arg;
    for (int n = 0; n < 2; n++) {
        sink_open(&sink, (gust_http_log_options){.flush_ns = 3600 * GUST_SEC});
        sink_release(&sink);
        gust_http_log *log = gust__http_log_ref(sink.log);
        for (int i = 0; i < n; i++)
            put_number(log, i);
        sink_close(&sink);
        CHECK_EQ(count_lines(&sink), n);
        put_number(log, 0);
        CHECK_EQ(stats_of(log).dropped, 1);
        gust__http_log_unref(log);
        free(sink.text);
    }
    return 0;
}

Test(log, its_end_writes_what_there_is_and_takes_no_more)
{
    test_run(end, NULL);
}

/* --- A disk that cannot keep up ----------------------------------------------------------- */

static int drop(void *arg)
{
    struct sink sink;
    int n = 0;

    (void)arg;
    sink_open(&sink, (gust_http_log_options){.flush_ns = GUST_MS,
                                             .buffer_bytes = GUST_HTTP_LOG_BUFFER_BYTES_MIN});
    put_number(sink.log, n++);
    await_write(&sink);
    /* The write hangs from here on, and nobody waits for it. */
    while (stats_of(sink.log).dropped < 10)
        put_number(sink.log, n++);
    CHECK_EQ(gust_http_log_flush(sink.log, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(stats_of(sink.log).written, 0);
    sink_release(&sink);
    CHECK_EQ(gust_http_log_flush(sink.log, SOON), 0);
    gust_http_log_stats stats = stats_of(sink.log);
    CHECK_EQ(stats.written + stats.dropped, n);
    CHECK_EQ(count_lines(&sink), stats.written);
    sink_close(&sink);
    free(sink.text);
    return 0;
}

Test(log, lines_are_dropped_and_counted_if_the_disk_cannot_keep_up)
{
    test_run(drop, NULL);
}

struct blocked {
    struct sink sink;
    _Atomic int put;
    gust_waitgroup done;
};

#define BLOCKED_LINES 20000

static void put_many(void *arg)
{
    struct blocked *b = arg;

    for (int i = 0; i < BLOCKED_LINES; i++) {
        put_number(b->sink.log, i);
        b->put++;
    }
    gust_waitgroup_done(&b->done);
}

static int block(void *arg)
{
    struct blocked b = {.put = 0};

    (void)arg;
    sink_open(&b.sink, (gust_http_log_options){.flush_ns = GUST_MS,
                                               .buffer_bytes = GUST_HTTP_LOG_BUFFER_BYTES_MIN,
                                               .block_when_full = true});
    gust_waitgroup_add(&b.done, 1);
    CHECK_EQ(gust_go(put_many, &b), 0);
    await_write(&b.sink);
    CHECK_EQ(gust_waitgroup_wait(&b.done, gust_after(50 * GUST_MS)), -ETIMEDOUT);
    CHECK(b.put < BLOCKED_LINES);
    sink_release(&b.sink);
    CHECK_EQ(gust_waitgroup_wait(&b.done, SOON), 0);
    sink_close(&b.sink);
    CHECK_EQ(count_lines(&b.sink), BLOCKED_LINES);
    free(b.sink.text);
    return 0;
}

Test(log, or_a_request_waits_for_room)
{
    test_run(block, NULL);
}

static int fail(void *arg)
{
    struct sink sink;

    (void)arg;
    sink_open(&sink, (gust_http_log_options){.flush_ns = 3600 * GUST_SEC});
    sink_release(&sink);
    sink.error = -ENOSPC;
    put_number(sink.log, 0);
    CHECK_EQ(gust_http_log_flush(sink.log, SOON), -ENOSPC);
    CHECK_EQ(stats_of(sink.log).dropped, 1);
    CHECK_EQ(stats_of(sink.log).error, -ENOSPC);
    sink.error = 0;
    put_number(sink.log, 1);
    CHECK_EQ(gust_http_log_flush(sink.log, SOON), 0);
    CHECK_EQ(stats_of(sink.log).written, 1);
    CHECK_EQ(stats_of(sink.log).error, 0);
    sink_close(&sink);
    free(sink.text);
    return 0;
}

Test(log, a_write_that_fails_is_told_and_the_next_is_tried)
{
    test_run(fail, NULL);
}

/* --- Files ----------------------------------------------------------------------------------- */

static size_t file_lines(const char *path)
{
    char *text;
    size_t len, n = 0;

    CHECK_EQ(gust_file_read_all(path, 1 << 20, SOON, &text, &len), 0);
    for (size_t i = 0; i < len; i++)
        n += text[i] == '\n';
    free(text);
    return n;
}

static int rotate(void *arg)
{
    char dir[] = "/tmp/gust-log-XXXXXX", path[64], old[64];
    gust_http_log *log;

    (void)arg;
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/log", dir);
    snprintf(old, sizeof old, "%s/log.1", dir);
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.path = path}, &log), 0);
    put_number(log, 0);
    put_number(log, 1);
    CHECK_EQ(rename(path, old), 0);
    CHECK_EQ(gust_http_log_reopen(log, SOON), 0);
    CHECK_EQ(file_lines(old), 2); /* they came before */
    put_number(log, 2);
    CHECK_EQ(gust_http_log_close(log, SOON), 0);
    CHECK_EQ(file_lines(old), 2);
    CHECK_EQ(file_lines(path), 1);
    /* Who opens it again adds to it. */
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.path = path}, &log), 0);
    put_number(log, 3);
    CHECK_EQ(unlink(path), 0);
    CHECK_EQ(unlink(old), 0);
    CHECK_EQ(rmdir(dir), 0);
    CHECK_EQ(gust_http_log_reopen(log, SOON), -ENOENT); /* and the old file stays */
    CHECK_EQ(gust_http_log_close(log, SOON), 0);
    return 0;
}

Test(log, a_file_is_opened_anew_when_it_was_rotated)
{
    test_run(rotate, NULL);
}

static int bad_options(void *arg)
{
    gust_http_log *log;

    (void)arg;
    CHECK_EQ(gust_http_log_new(NULL, &log), -EINVAL);
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.flush_ns = 1}, &log), -EINVAL);
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.path = "/x", .write = sink_write}, &log),
             -EINVAL);
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.write = sink_write, .flush_ns = -1}, &log),
             -EINVAL);
    CHECK_EQ(gust_http_log_new(
                 &(gust_http_log_options){.write = sink_write,
                                          .buffer_bytes = GUST_HTTP_LOG_BUFFER_BYTES_MIN - 1},
                 &log),
             -EINVAL);
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.path = "/nowhere/log"}, &log), -ENOENT);
    CHECK_EQ(gust_http_log_close(NULL, SOON), 0);
    return 0;
}

Test(log, it_says_what_it_cannot_do)
{
    test_run(bad_options, NULL);
}
