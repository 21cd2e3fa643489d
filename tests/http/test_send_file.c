/* Bodies out of files, as a handler writes them. */
#include "tests/http/files_site.h"

#include <errno.h>

#define DIGITS "0123456789"
#define LARGE ((size_t)1 << 20)

/* What the handler does, with a file of DIGITS and one of LARGE bytes. */
static struct {
    void (*handler)(gust_http_request *req, gust_http_response *res);
    int small;
    int large;
    int result;
} scene;

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    scene.handler(req, res);
}

static char pattern(size_t at)
{
    return (char)(at * 31 + (at >> 8));
}

static void make_files(void)
{
    char *bytes = malloc(LARGE);

    CHECK(bytes != NULL);
    for (size_t i = 0; i < LARGE; i++)
        bytes[i] = pattern(i);
    tree_write("small", DIGITS);
    tree_write_bytes("large", bytes, LARGE);
    free(bytes);
    scene.small = open(in_tree("small").text, O_RDONLY | O_CLOEXEC);
    scene.large = open(in_tree("large").text, O_RDONLY | O_CLOEXEC);
    CHECK(scene.small >= 0 && scene.large >= 0);
    scene.result = 1;
}

static void close_files(void)
{
    close(scene.small);
    close(scene.large);
}

static struct reply ask_for(void (*handler)(gust_http_request *, gust_http_response *),
                            const char *request)
{
    struct site site;

    scene.handler = handler;
    site_start(&site, &(gust_http_server_options){.handler = handle});
    struct reply r = site_ask(&site, request);
    site_stop(&site);
    return r;
}

#define GET "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

static bool is_large(gust_span s, size_t from)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.data[i] != pattern(from + i))
            return false;
    return true;
}

/* --- One part ------------------------------------------------------------------ */

static void send_small(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    scene.result = gust_http_send_file(res, scene.small, 2, 5);
}

FilesTest(send_file, a_first_part_is_the_body)
{
    make_files();
    expect_reply(ask_for(send_small, GET), "GET",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n23456");
    CHECK_EQ(scene.result, 0);
    expect_reply(ask_for(send_small, "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                 "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n");
    expect_reply(ask_for(send_small, "GET / HTTP/1.0\r\n\r\n"), "1.0",
                 "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\n23456");
    close_files();
}

static void send_nothing(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    scene.result = gust_http_send_file(res, scene.small, 10, 0);
}

FilesTest(send_file, no_bytes_are_a_body_too)
{
    make_files();
    expect_reply(ask_for(send_nothing, GET), "GET",
                 "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK_EQ(scene.result, 0);
    close_files();
}

static size_t part;

static void send_part_of_large(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    scene.result = gust_http_send_file(res, scene.large, 1, part);
}

/* Around what goes with the header, and what net copies. */
FilesTest(send_file, lengths_at_the_edges_arrive_whole)
{
    static const size_t lengths[] = {1,      2047,   2048,   2049,   16383,  16384,    16385,
                                     32768,  33279,  33280,  33281,  65535,  65536,    65537,
                                     131071, 131072, 131073, 200000, 999999, LARGE - 1};

    make_files();
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        part = lengths[i];
        struct reply r = ask_for(send_part_of_large, GET);
        CHECK_EQ(scene.result, 0);
        CHECK_EQ(reply_body(&r).len, part);
        CHECK_EQ(strtoul(reply_field(&r, "Content-Length").data, NULL, 10), part);
        CHECK(is_large(reply_body(&r), 1));
        free(r.text);
    }
    close_files();
}

/* --- Several parts ---------------------------------------------------------------- */

static void send_after_text(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    CHECK_EQ(gust_http_write(res, "<", 1), 1);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, 3), 0);
    CHECK_EQ(gust_http_write(res, ">", 1), 1);
}

FilesTest(send_file, a_part_among_others_is_chunked)
{
    make_files();
    expect_reply(ask_for(send_after_text, GET), "GET",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                 "1\r\n<\r\n3\r\n012\r\n1\r\n>\r\n0\r\n\r\n");
    close_files();
}

static void send_declared(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    CHECK_EQ(gust_http_header(res, "Content-Length", "8"), 0);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, 3), 0);
    CHECK_EQ(gust_http_write(res, "--", 2), 2);
    CHECK_EQ(gust_http_send_file(res, scene.small, 7, 4), -EMSGSIZE);
    CHECK_EQ(gust_http_send_file(res, scene.small, 7, 3), 0);
    CHECK_EQ(gust_http_send_file(res, scene.small, 7, 1), -EMSGSIZE);
}

FilesTest(send_file, declared_parts_are_counted)
{
    make_files();
    expect_reply(ask_for(send_declared, GET), "GET",
                 "HTTP/1.1 200 OK\r\nContent-Length: 8\r\nConnection: close\r\n\r\n012--789");
    close_files();
}

static void send_large_chunked(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK_EQ(gust_http_send_file(res, scene.large, 0, LARGE), 0);
}

FilesTest(send_file, a_large_part_may_be_chunked)
{
    make_files();
    struct reply r = ask_for(send_large_chunked, GET);
    gust_span body = reply_body(&r);
    size_t at = 0;
    for (;;) {
        char *end;
        size_t len = strtoul(body.data, &end, 16);
        CHECK(memcmp(end, "\r\n", 2) == 0);
        CHECK(is_large((gust_span){end + 2, len}, at));
        if (len == 0)
            break;
        at += len;
        body.data = end + 2 + len + 2;
    }
    CHECK_EQ(at, LARGE);
    free(r.text);
    close_files();
}

static void send_with_trailer(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    CHECK_EQ(gust_http_trailer(res, "X-Sum", "1"), 0);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, 3), 0);
}

FilesTest(send_file, trailers_are_kept)
{
    make_files();
    expect_reply(ask_for(send_with_trailer, GET), "GET",
                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                 "3\r\n012\r\n0\r\nX-Sum: 1\r\n\r\n");
    close_files();
}

/* --- Refused ------------------------------------------------------------------------ */

static void answer_result(gust_http_response *res)
{
    if (scene.result < 0)
        gust_http_reply(res, 500, NULL, "sorry", 5);
}

static void send_beyond(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    scene.result = gust_http_send_file(res, scene.small, 0, 11);
    answer_result(res);
}

#define SORRY \
    "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\nConnection: close\r\n\r\nsorry"

FilesTest(send_file, before_the_body_has_begun_an_error_can_be_told)
{
    make_files();
    expect_reply(ask_for(send_beyond, GET), "too short", SORRY);
    CHECK_EQ(scene.result, -ENODATA);
    close_files();
}

static void send_odd(gust_http_request *req, gust_http_response *res)
{
    int fds[2];
    (void)req;
    CHECK_EQ(pipe(fds), 0);
    CHECK_EQ(gust_http_send_file(res, fds[0], 0, 1), -EINVAL);
    CHECK_EQ(gust_http_send_file(res, -1, 0, 1), -EBADF);
    CHECK_EQ(gust_http_send_file(res, scene.small, UINT64_MAX, 1), -EINVAL);
    CHECK_EQ(gust_http_send_file(res, scene.small, INT64_MAX, 1), -EINVAL);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, UINT64_MAX), -EINVAL);
    close(fds[0]);
    close(fds[1]);
    CHECK_EQ(gust_http_status(res, 304), 0);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, 1), -EMSGSIZE);
    CHECK_EQ(gust_http_send_file(res, scene.small, 0, 0), 0);
}

FilesTest(send_file, what_makes_no_sense_changes_nothing)
{
    make_files();
    struct reply r = ask_for(send_odd, GET);
    expect_body(r, "GET", 304, "");
    close_files();
}

/* --- A file that is cut while it is sent -------------------------------------------- */

#define HUGE_LEN (INT64_C(256) << 20) /* more than sockets hold */

static void send_huge(gust_http_request *req, gust_http_response *res)
{
    (void)req;
    scene.result = gust_http_send_file(res, scene.large, 0, HUGE_LEN);
}

static size_t read_until_end(gust_conn *c)
{
    size_t total = 0;
    ssize_t n;

    do {
        total += gust_conn_view(c).len;
        gust_conn_consume(c, gust_conn_view(c).len);
        n = gust_conn_fill(c, 1 << 16, gust_after(SITE_WAIT_NS));
    } while (n > 0);
    CHECK(n == 0 || n == -ECONNRESET);
    return total;
}

FilesTest(send_file, a_file_that_is_cut_cuts_the_connection)
{
    struct site site;

    make_files();
    CHECK_EQ(truncate(in_tree("large").text, HUGE_LEN), 0);
    scene.handler = send_huge;
    site_start(&site, &(gust_http_server_options){.handler = handle});
    gust_conn *c = site_dial(&site);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(gust_conn_fill(c, 1 << 16, gust_after(SITE_WAIT_NS)) > 0);
    CHECK_EQ(truncate(in_tree("large").text, 1000), 0);
    CHECK(read_until_end(c) < HUGE_LEN);
    client_close(c);
    site_stop(&site);
    CHECK_EQ(scene.result, -ENODATA);
    close_files();
}

/* --- Slow clients ---------------------------------------------------------------------- */

FilesTest(send_file, a_client_that_takes_nothing_is_let_go)
{
    struct site site;

    make_files();
    CHECK_EQ(truncate(in_tree("large").text, HUGE_LEN), 0);
    scene.handler = send_huge;
    site_start(&site, &(gust_http_server_options){.handler = handle,
                                                  .write_timeout_ns = 50 * GUST_MS,
                                                  .write_rate_min = GUST_HTTP_NO_MINIMUM});
    gust_conn *c = site_dial(&site);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(gust_conn_fill(c, 1, gust_after(SITE_WAIT_NS)) > 0);
    site_stop(&site); /* when the handler has given up */
    CHECK_EQ(scene.result, -ETIMEDOUT);
    CHECK(read_until_end(c) < HUGE_LEN);
    client_close(c);
    close_files();
}

/* As much as opens the window for more, in any case. */
static size_t read_piece(gust_conn *c)
{
    size_t total = 0;

    while (total < 1 << 20) {
        CHECK(gust_conn_fill(c, 1 << 20, gust_after(SITE_WAIT_NS)) > 0);
        total += gust_conn_view(c).len;
        gust_conn_consume(c, gust_conn_view(c).len);
    }
    return total;
}

/* What has been taken in one turn is no credit for the next. */
FilesTest(send_file, a_client_that_stops_is_let_go)
{
    struct site site;
    size_t total = 0;

    make_files();
    CHECK_EQ(truncate(in_tree("large").text, HUGE_LEN), 0);
    scene.handler = send_huge;
    site_start(&site, &(gust_http_server_options){.handler = handle,
                                                  .write_timeout_ns = 200 * GUST_MS,
                                                  .write_rate_min = GUST_HTTP_NO_MINIMUM});
    gust_conn *c = site_dial(&site);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    while (total < HUGE_LEN / 8)
        total += read_piece(c);
    site_stop(&site); /* when the handler has given up */
    CHECK_EQ(scene.result, -ETIMEDOUT);
    CHECK(total + read_until_end(c) < HUGE_LEN);
    client_close(c);
    close_files();
}

/* Longer than one write timeout, with a piece in each; the rate allows for no more. */
FilesTest(send_file, a_client_that_is_slow_gets_it_all)
{
    struct site site;
    size_t total = 0;

    make_files();
    CHECK_EQ(truncate(in_tree("large").text, HUGE_LEN), 0);
    scene.handler = send_huge;
    site_start(&site, &(gust_http_server_options){.handler = handle,
                                                  .write_timeout_ns = 1 * GUST_SEC,
                                                  .write_rate_min = GUST_HTTP_NO_MINIMUM});
    gust_conn *c = site_dial(&site);
    client_send(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    for (int i = 0; i < 25; i++) {
        total += read_piece(c);
        CHECK_EQ(gust_sleep(100 * GUST_MS), 0);
    }
    total += read_until_end(c);
    client_close(c);
    site_stop(&site);
    CHECK_EQ(scene.result, 0);
    CHECK(total > HUGE_LEN);
    close_files();
}

/* --- What is not in the page cache ------------------------------------------------- */

FilesTest(send_file, a_disk_is_waited_for)
{
    make_files();
    part = LARGE - 1;
    CHECK_EQ(fsync(scene.large), 0);
    for (int i = 0; i < 3; i++) {
        (void)posix_fadvise(scene.large, 0, 0, POSIX_FADV_DONTNEED);
        struct reply r = ask_for(send_part_of_large, GET);
        CHECK_EQ(reply_body(&r).len, part);
        CHECK(is_large(reply_body(&r), 1));
        free(r.text);
        part /= 10;
    }
    close_files();
}
