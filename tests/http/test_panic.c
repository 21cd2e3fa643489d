/* A handler's panic ends its request and its connection, and nothing else. */
#include "tests/http/site.h"

#include <gust/chan.h>
#include <gust/panic.h>

#include <pthread.h>

#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define FAILED_HEAD                                                                  \
    "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Type: text/" \
    "plain\r\nContent-Length: 22\r\n\r\n"
#define FAILED FAILED_HEAD "Internal Server Error\n"

/* What the log hook was told; several goroutines may tell it something. */
static struct {
    pthread_mutex_t mutex;
    int panics, frames;
    char last[512];
} logged = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void hook(const char *line)
{
    pthread_mutex_lock(&logged.mutex);
    if (strstr(line, "panic: ")) {
        logged.panics++;
        strcpy(logged.last, line);
    } else if (strstr(line, "[0x")) {
        logged.frames++;
    }
    pthread_mutex_unlock(&logged.mutex);
}

/* How a handler goes wrong is the query of its request. */
static bool is_asked(const gust_http_request *req, const char *what)
{
    return span_is(gust_http_request_query(req), what);
}

/* What it holds is released by what it deferred. */
static void fail_inside_gust(void)
{
    void *memory = malloc(100);

    CHECK_EQ(gust_defer(free, memory), 0);
    gust_chan_close(NULL);
}

static void misbehave(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char big[100000];

    (void)arg;
    if (is_asked(req, "first"))
        gust_panic("before anything was sent");
    gust_http_header(res, "X-Prepared", "yes");
    if (is_asked(req, "prepared")) {
        gust_http_write(res, big, 800); /* still collected */
        gust_panic("after %d bytes", 800);
    }
    if (is_asked(req, "inside"))
        fail_inside_gust();
    if (is_asked(req, "blocking")) {
        gust_blocking_begin();
        gust_panic("in foreign code");
    }
    if (is_asked(req, "chunked")) {
        gust_http_write(res, "begun", 5);
        gust_http_flush(res);
        gust_panic("in the middle");
    }
    if (is_asked(req, "length")) {
        gust_http_header(res, "Content-Length", "100000");
        gust_http_write(res, big, sizeof(big) / 2);
        gust_panic("half way");
    }
    if (is_asked(req, "end")) {
        gust_http_header(res, "Content-Length", "5");
        gust_http_write(res, "ended", 5);
        gust_http_flush(res);
        gust_panic("at the end");
    }
    gust_http_reply(res, 200, NULL, "fine", 4);
}

static void expect_fine(gust_conn *conn)
{
    client_send(conn, GET);
    struct reply r = client_read_reply(conn);
    CHECK(strstr(r.text, "HTTP/1.1 200 OK\r\n") && strstr(r.text, "\r\n\r\nfine"));
    free(r.text);
}

static void expect_logged(int panics, const char *message)
{
    pthread_mutex_lock(&logged.mutex);
    CHECK_EQ(logged.panics, panics);
    CHECK(strstr(logged.last, message));
    CHECK(strncmp(logged.last, "http: serving 127.0.0.1:", 24) == 0);
    CHECK(strstr(logged.last, "(goroutine "));
    CHECK(logged.frames >= 3 * panics);
    pthread_mutex_unlock(&logged.mutex);
}

static int panic_before_sending(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = misbehave});
    gust_conn *other = site_dial(&site);
    expect_fine(other);
    expect_reply(site_ask(&site, "GET /?first HTTP/1.1\r\nHost: a\r\n\r\n"), "first", FAILED);
    expect_logged(1, ": panic: before anything was sent (goroutine ");
    expect_reply(site_ask(&site, "GET /?prepared HTTP/1.1\r\nHost: a\r\n\r\n"), "prepared", FAILED);
    expect_logged(2, ": panic: after 800 bytes (");
    expect_reply(site_ask(&site, "HEAD /?first HTTP/1.1\r\nHost: a\r\n\r\n"), "HEAD", FAILED_HEAD);
    expect_reply(site_ask(&site, "GET /?inside HTTP/1.1\r\nHost: a\r\n\r\n"), "inside", FAILED);
    expect_logged(4, ": panic: close of nil channel (");
    expect_reply(site_ask(&site, "GET /?blocking HTTP/1.1\r\nHost: a\r\n\r\n"), "blocking", FAILED);
    expect_reply(
        site_ask(&site, "POST /?first HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde"),
        "a body that nobody read", FAILED);
    expect_logged(6, ": panic: before anything");
    expect_fine(other);
    client_close(other);
    site_stop(&site);
    return 0;
}

Test(http_panic, is_answered_500_and_the_server_goes_on)
{
    gust_set_log(hook);
    test_run(panic_before_sending, NULL);
}

/* Pipelined behind the bad request are others: they are not served. */
static int panic_after_sending(void *arg)
{
    struct site site;
    struct reply r;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = misbehave});
    r = site_ask(&site, "GET /?chunked HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    CHECK(strstr(r.text, "HTTP/1.1 200 OK\r\n") == r.text);
    CHECK(strstr(r.text, "\r\n\r\n5\r\nbegun\r\n") == r.text + r.len - 14);
    free(r.text);
    expect_logged(1, ": panic: in the middle (");
    r = site_ask(&site, "GET /?length HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    CHECK(r.len > 50000 && r.len < 50200);
    free(r.text);
    expect_logged(2, ": panic: half way (");
    r = site_ask(&site, "GET /?end HTTP/1.1\r\nHost: a\r\n\r\n" GET);
    CHECK(memcmp(r.text + r.len - 9, "\r\n\r\nended", 9) == 0);
    free(r.text);
    expect_logged(3, ": panic: at the end (");
    site_stop(&site);
    return 0;
}

Test(http_panic, cuts_a_response_off_that_has_begun)
{
    gust_set_log(hook);
    test_run(panic_after_sending, NULL);
}

#define PANICS 200

static int panic_often(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = misbehave});
    for (int i = 0; i < PANICS; i++)
        expect_reply(site_ask(&site, i % 2 ? "GET /?inside HTTP/1.1\r\nHost: a\r\n\r\n"
                                           : "GET /?prepared HTTP/1.1\r\nHost: a\r\n\r\n"),
                     "one of many", FAILED);
    expect_logged(PANICS, ": panic: ");
    site_stop(&site);
    return 0;
}

/* LeakSanitizer would see what one of them left. */
Test(http_panic, leaves_no_memory_behind)
{
    gust_set_log(hook);
    test_run(panic_often, NULL);
}
