/* Forms as a handler gets them: over a connection, into memory and into files. */
#include "tests/core/failures.h"
#include "tests/http/site.h"

#include <gust/file.h>
#include <gust/http_form.h>

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define POST(type) "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: " type "\r\n"
#define URLENCODED "application/x-www-form-urlencoded"
#define MULTIPART "multipart/form-data; boundary=b-1"

/* A request with this body and a Content-Length. */
static char *request_new(const char *head, const char *body, size_t len, size_t *ret_len)
{
    char *request = malloc(strlen(head) + len + 64);

    CHECK(request);
    size_t n = (size_t)sprintf(request, "%sContent-Length: %zu\r\n\r\n", head, len);
    memcpy(request + n, body, len);
    *ret_len = n + len;
    return request;
}

static struct reply ask_with_body(const struct site *site, const char *head, const char *body,
                                  size_t len)
{
    size_t n;
    char *request = request_new(head, body, len, &n);
    struct reply r = site_ask_bytes(site, request, n);

    free(request);
    return r;
}

static void expect(const struct site *site, const char *head, const char *body, const char *answer)
{
    expect_reply_start(ask_with_body(site, head, body, strlen(body)), body, answer);
}

/* What the documentation says an error is answered with. */
static int status_of(int r)
{
    return r == -ENOTSUP ? 415 : r == -EBADMSG ? 400 : r == -EMSGSIZE ? 413 : 500;
}

/* --- Whole bodies ---------------------------------------------------------------- */

#define LIMIT 10000

static void echo_name(gust_http_request *req, gust_http_response *res, void *arg)
{
    char name[64];
    char *data;
    size_t len;

    (void)arg;
    int r = gust_http_form_read(req, LIMIT, &data, &len);
    if (r < 0) {
        CHECK_EQ(gust_http_status(res, status_of(r)), 0);
        return;
    }
    CHECK_EQ(strlen(data), len);
    ssize_t n = gust_http_query_get((gust_span){data, len}, "name", name, sizeof(name));
    free(data);
    CHECK_EQ(gust_http_reply(res, n < 0 ? 400 : 200, NULL, name, n < 0 ? 0 : (size_t)n), 0);
}

static int read_forms(void *arg)
{
    static char body[LIMIT + 1];
    struct site site;

    (void)arg;
    memset(body, '&', sizeof(body));
    memcpy(body, "name=x", 6);
    /* The call's limit takes the place of the server's, which is smaller. */
    const gust_http_server_options options = {.handler = echo_name, .body_bytes_max = 10};
    site_start(&site, &options);
    expect(&site, POST(URLENCODED), "name=J%C3%B6+D", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n");
    expect(&site, POST(URLENCODED "; charset=utf-8"), "a=b&name=", "HTTP/1.1 200 ");
    expect(&site, POST(URLENCODED), "", "HTTP/1.1 400 ");
    expect(&site, POST(MULTIPART), "name=x", "HTTP/1.1 415 ");
    expect_reply_start(ask_with_body(&site, POST(URLENCODED), body, LIMIT), "at the limit",
                       "HTTP/1.1 200 ");
    expect_reply_start(ask_with_body(&site, POST(URLENCODED), body, LIMIT + 1), "beyond it",
                       "HTTP/1.1 413 ");
    expect_reply_start(site_ask(&site, POST(URLENCODED) "Transfer-Encoding: chunked\r\n\r\n"
                                                        "4\r\nna\x6d\x65\r\n2\r\n=x\r\n0\r\n\r\n"),
                       "chunked", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n");
    site_stop(&site);
    return 0;
}

Test(form, is_read_whole_under_a_limit)
{
    test_run(read_forms, NULL);
}

static void echo_all(gust_http_request *req, gust_http_response *res, void *arg)
{
    char *data;
    size_t len;

    (void)arg;
    int r = gust_http_body_read_all(req, LIMIT, &data, &len);
    if (r < 0) {
        CHECK_EQ(gust_http_status(res, status_of(r)), 0);
        return;
    }
    CHECK_EQ(data[len], '\0');
    CHECK_EQ(gust_http_reply(res, 200, NULL, data, len), 0);
    free(data);
}

/* Of any type, and of any bytes. */
static int read_bodies(void *arg)
{
    static const size_t lengths[] = {0, 1, 4095, 4096, 5000, LIMIT};
    static char body[LIMIT + 1];
    struct site site;

    (void)arg;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 7);
    site_start(&site, &(gust_http_server_options){.handler = echo_all, .body_bytes_max = 10});
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        struct reply r = ask_with_body(&site, POST("a/b"), body, lengths[i]);
        CHECK(r.len > lengths[i]);
        CHECK(memcmp(r.text, "HTTP/1.1 200 ", 13) == 0);
        CHECK(memcmp(r.text + r.len - lengths[i] - 4, "\r\n\r\n", 4) == 0);
        CHECK(memcmp(r.text + r.len - lengths[i], body, lengths[i]) == 0);
        free(r.text);
    }
    expect_reply_start(ask_with_body(&site, POST("a/b"), body, sizeof(body)), "beyond the limit",
                       "HTTP/1.1 413 ");
    site_stop(&site);
    return 0;
}

Test(form, any_body_is_read_whole)
{
    test_run(read_bodies, NULL);
}

/* --- Multipart --------------------------------------------------------------------- */

static char dir[] = "/tmp/gust-form-XXXXXX";
static char path[64];

#define SAVE_MAX 300000
#define BODY_MAX 300500
#define SOON gust_after(SITE_WAIT_NS)

#define PART(name, more) \
    "--b-1\r\nContent-Disposition: form-data; name=\"" name "\"" more "\r\n\r\n"

/* Saves what is a file, echoes the rest. */
static int take_part(gust_http_response *res, gust_http_multipart *mp, const gust_http_part *part)
{
    char *data;
    size_t len;

    if (part->is_file) {
        int64_t n = gust_http_part_save(mp, path, 0600, SAVE_MAX, SOON);
        return n < 0 ? (int)n : 0;
    }
    int r = gust_http_part_read_all(mp, 8, &data, &len);
    if (r < 0)
        return r;
    ssize_t written = gust_http_write(res, data, len);
    free(data);
    return written < 0 ? (int)written : 0;
}

static void take_parts(gust_http_request *req, gust_http_response *res, void *arg)
{
    const gust_http_multipart_options options = {.body_bytes_max = BODY_MAX};
    gust_http_multipart *mp = NULL;
    gust_http_part part;

    (void)arg;
    int r = gust_http_multipart_new(req, &options, &mp);
    while (r >= 0 && (r = gust_http_multipart_next(mp, &part)) > 0)
        r = take_part(res, mp, &part);
    gust_http_multipart_free(mp);
    if (r < 0)
        gust_http_status(res, r == -EEXIST ? 409 : r == -EFBIG ? 507 : status_of(r));
}

static void check_saved(const char *expected, size_t len)
{
    char *data;
    size_t n;

    CHECK_EQ(gust_file_read_all(path, 1 << 20, SOON, &data, &n), 0);
    CHECK_EQ(n, len);
    CHECK(memcmp(data, expected, len) == 0);
    free(data);
}

static void check_not_saved(void)
{
    CHECK_EQ(access(path, F_OK), -1);
}

static void send_small_forms(const struct site *site)
{
    expect(site, POST(MULTIPART), PART("a", "") "1\r\n" PART("b", "") "2\r\n--b-1--\r\n",
           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n");
    expect(site, POST(MULTIPART), PART("a", "") "12345678\r\n--b-1--", "HTTP/1.1 200 ");
    expect(site, POST(MULTIPART), PART("a", "") "123456789\r\n--b-1--", "HTTP/1.1 413 ");
    expect(site, POST(MULTIPART), PART("a", "") "1", "HTTP/1.1 400 ");
    expect(site, POST("multipart/form-data"), "", "HTTP/1.1 400 ");
    expect(site, POST("text/plain"), "", "HTTP/1.1 415 ");
}

#define FILE_PART PART("f", "; filename=\"x\"")

static void send_files(const struct site *site)
{
    static char body[BODY_MAX + 256];
    size_t head = strlen(FILE_PART);

    expect(site, POST(MULTIPART), FILE_PART "content\r\n--b-1--", "HTTP/1.1 200 ");
    check_saved("content", 7);
    expect(site, POST(MULTIPART), FILE_PART "other\r\n--b-1--", "HTTP/1.1 409 ");
    check_saved("content", 7);
    unlink(path);
    expect(site, POST(MULTIPART), FILE_PART "cut short", "HTTP/1.1 400 ");
    check_not_saved();
    for (size_t len = SAVE_MAX; len <= SAVE_MAX + 1; len++) {
        memset(body, '\r', sizeof(body));
        memcpy(body, FILE_PART, head);
        strcpy(body + head + len, "\r\n--b-1--");
        struct reply r = ask_with_body(site, POST(MULTIPART), body, head + len + 9);
        expect_reply_start(r, "large", len == SAVE_MAX ? "HTTP/1.1 200 " : "HTTP/1.1 507 ");
        if (len == SAVE_MAX)
            check_saved(body + head, len);
        unlink(path);
    }
    expect_reply_start(ask_with_body(site, POST(MULTIPART), body, BODY_MAX + 1), "too large",
                       "HTTP/1.1 413 ");
    check_not_saved();
}

/* Neither where it leads nor the link itself is touched. */
static void send_to_links(const struct site *site)
{
    char target[80];
    struct stat st;

    sprintf(target, "%s.target", path);
    CHECK_EQ(symlink(target, path), 0);
    expect(site, POST(MULTIPART), FILE_PART "content\r\n--b-1--", "HTTP/1.1 409 ");
    CHECK_EQ(access(target, F_OK), -1);
    CHECK(lstat(path, &st) == 0 && S_ISLNK(st.st_mode));
    unlink(path);
}

static int receive_parts(void *arg)
{
    struct site site;

    (void)arg;
    CHECK(mkdtemp(dir));
    sprintf(path, "%s/upload", dir);
    site_start(&site, &(gust_http_server_options){.handler = take_parts});
    send_small_forms(&site);
    send_files(&site);
    send_to_links(&site);
    site_stop(&site);
    CHECK_EQ(rmdir(dir), 0);
    return 0;
}

Test(form, parts_go_to_memory_and_to_files)
{
    test_run(receive_parts, NULL);
}

static int send_byte_by_byte(void *arg)
{
    static const char body[] =
        "pre\r\n" PART("a", "") "1\r\r\n--b-\r\n" PART("b", "") "2\r\n--b-1--";
    struct site site;
    size_t n;
    char *request = request_new(POST(MULTIPART), body, sizeof(body) - 1, &n);

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = take_parts});
    gust_conn *conn = site_dial(&site);
    for (size_t i = 0; i < n; i++) {
        client_send_bytes(conn, request + i, 1);
        gust_yield();
    }
    expect_reply(client_read_all(conn), "bytes",
                 "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\n1\r\r\n--b-2");
    client_close(conn);
    free(request);
    site_stop(&site);
    return 0;
}

Test(form, parts_are_the_same_byte_by_byte)
{
    test_run(send_byte_by_byte, NULL);
}

/* --- Failures ----------------------------------------------------------------------- */

#ifdef GUST_DEBUG

/* Any of the answers, or the end of the connection. */
static void ask_anyhow(const struct site *site, const char *head, const char *body)
{
    gust_conn *conn;
    size_t n;
    char *request = request_new(head, body, strlen(body), &n);

    if (served(gust_tcp_dial(&site->addr, SOON, &conn))) {
        if (gust_conn_write(conn, request, n, SOON) == (ssize_t)n)
            while (gust_conn_fill(conn, 1 << 20, SOON) > 0)
                continue;
        gust_conn_close(conn, GUST_NOW);
    }
    free(request);
}

static void take_any(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span type = gust_http_request_header(req, "Content-Type");
    char *data;
    size_t len;

    if (type.len == strlen(MULTIPART)) {
        take_parts(req, res, arg);
        return;
    }
    int r = gust_http_form_read(req, LIMIT, &data, &len);
    if (r == 0)
        free(data);
    CHECK(r == 0 || r == -ENOMEM || is_hang_up(r));
}

/* What was saved is complete. */
static void drop_saved(void)
{
    struct stat st;

    CHECK(stat(path, &st) < 0 || st.st_size == 1);
    unlink(path);
}

static int ask_under_failures(void *arg)
{
    const gust_http_server_options options = {.handler = take_any};
    struct site site = {.server = NULL};
    gust_addr addr;

    (void)arg;
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    if (!served(gust_tcp_listen(&addr, NULL, &site.listener)))
        return 0;
    gust_listener_addr(site.listener, &site.addr);
    if (served(gust_http_server_new(&options, &site.server))) {
        gust_waitgroup_add(&site.serving, 1);
        if (served(gust_go(site_serve, &site))) {
            ask_anyhow(&site, POST(URLENCODED), "name=x");
            ask_anyhow(&site, POST(MULTIPART), PART("a", "") "1\r\n" FILE_PART "2\r\n--b-1--");
            CHECK_EQ(gust_http_server_shutdown(site.server, SOON), 0);
            CHECK_EQ(gust_waitgroup_wait(&site.serving, SOON), 0);
            drop_saved();
        }
        gust_http_server_free(site.server);
    }
    gust_listener_close(site.listener);
    return 0;
}

Test(form, memory_may_be_refused_anywhere, .timeout = TEST_TIMEOUT_S)
{
    cr_assert(mkdtemp(dir) != NULL);
    sprintf(path, "%s/upload", dir);
    fail_each(INJECT_MALLOC, 1, ask_under_failures);
    cr_assert_eq(rmdir(dir), 0);
}

#endif
