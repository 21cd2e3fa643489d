/* Redirects, errors, formatted text, interim responses, and what is set so far. */
#include "core/inject.h"
#include "tests/http/site.h"

#include <gust/http_reply.h>

#include <gust/chan.h>
#include <stdio.h>
#include <wchar.h>

#define CLOSE "Connection: close\r\n"
#define TAIL " HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n"
#define GET(target) "GET " target TAIL

/* Asks each time a server of its own, and compares the whole answer. */
struct asked {
    gust_http_handler *handler;
    void *arg;
    const char *request;
    const char *expected;
};

static int ask(void *arg)
{
    const struct asked *asked = arg;
    struct site site;

    site_start(&site, &(gust_http_server_options){.handler = asked->handler, .arg = asked->arg});
    expect_reply(site_ask(&site, asked->request), asked->request, asked->expected);
    site_stop(&site);
    return 0;
}

/* --- Redirects --------------------------------------------------------------------- */

static void redirect(gust_http_request *req, gust_http_response *res, void *arg)
{
    CHECK_EQ(gust_http_redirect(req, res, 302, arg), 0);
}

static const struct {
    const char *target;
    const char *location;
    const char *expected;
} locations[] = {
    {"/a/b", "/x", "/x"},
    {"/a/b", "x", "/a/x"},
    {"/a/b/", "x", "/a/b/x"},
    {"/a/b", "../x/", "/x/"},
    {"/a/b", "", "/a/"},
    {"/a/b", "..", "/"},
    {"/a/b", "../../../../etc", "/etc"},
    {"/a/b", "/x/../y/./z?q=../r#../s", "/y/z?q=../r#../s"},
    {"/a/b", "?q", "/a/?q"},
    {"//evil/a", "x", "/evil/x"},
    {"/a", "//other/x/../y", "//other/x/../y"},
    {"/a", "https://other/x/../y", "https://other/x/../y"},
    {"/a", "mailto:a@b", "mailto:a@b"},
    {"/a/b", "1x:y", "/a/1x:y"},
    {"/a", "/\\evil", "/%5Cevil"},
    {"/a", "/a b\"<>'&", "/a%20b%22%3C%3E'&"},
    {"/a", "/\xc3\xa9%20", "/%C3%A9%20"},
    {"http://a", "x", "/x"},
};

static int redirect_everywhere(void *arg)
{
    char request[256], expected[256];

    (void)arg;
    for (size_t i = 0; i < sizeof(locations) / sizeof(locations[0]); i++) {
        snprintf(request, sizeof(request), "POST %s" TAIL, locations[i].target);
        snprintf(expected, sizeof(expected),
                 "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" CLOSE "Location: %s\r\n\r\n",
                 locations[i].expected);
        ask(&(struct asked){redirect, (void *)locations[i].location, request, expected});
    }
    return 0;
}

Test(reply, redirects_lead_where_go_leads_them)
{
    test_run(redirect_everywhere, NULL);
}

static void redirect_with_status(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const int refused[] = {200, 300, 304, 305, 306, 309, 404};

    (void)arg;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        CHECK_EQ(gust_http_redirect(req, res, refused[i], "/"), -EINVAL);
    CHECK_EQ(gust_http_redirect(req, res, 302, "/a\r\nX: y"), -EINVAL);
    CHECK_EQ(gust_http_redirect(req, res, 302, "/a\x7f"), -EINVAL);
    CHECK_EQ(gust_http_redirect(req, res, 302, "/a\tb"), -EINVAL);
    char *endless = malloc(65537);
    memset(endless, 'a', 65536);
    endless[65536] = '\0';
    CHECK_EQ(gust_http_redirect(req, res, 302, endless), -ENOBUFS);
    free(endless);
    CHECK_EQ(gust_http_header(res, "Location", "/overruled"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "5"), 0);
    CHECK_EQ(gust_http_redirect(req, res, 308, "/x?a=1&b='"), 0);
    CHECK_EQ(gust_http_redirect(req, res, 302, "/"), -EALREADY);
}

#define PAGE "<a href=\"/x?a=1&amp;b=&#39;\">Permanent Redirect</a>.\n\n"

static int redirect_browsers(void *arg)
{
    static const char head[] =
        "HTTP/1.1 308 Permanent Redirect\r\nContent-Length: 54\r\n" CLOSE
        "Location: /x?a=1&b='\r\nContent-Type: text/html; charset=utf-8\r\n\r\n";
    char whole[512];

    (void)arg;
    CHECK_EQ(sizeof(PAGE) - 1, 54);
    snprintf(whole, sizeof(whole), "%s" PAGE, head);
    ask(&(struct asked){redirect_with_status, NULL, GET("/"), whole});
    ask(&(struct asked){redirect_with_status, NULL, "HEAD /" TAIL, head});
    return 0;
}

Test(reply, redirects_show_a_page_to_who_gets)
{
    test_run(redirect_browsers, NULL);
}

static void redirect_with_own_page(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)arg;
    CHECK_EQ(gust_http_header(res, "Content-Type", "text/plain"), 0);
    CHECK_EQ(gust_http_redirect(req, res, 303, "/x"), 0);
    CHECK_EQ(gust_http_write(res, "there", 5), 5);
}

static int redirect_quietly(void *arg)
{
    (void)arg;
    return ask(&(struct asked){redirect_with_own_page, NULL, GET("/"),
                               "HTTP/1.1 303 See Other\r\nContent-Length: 5\r\n" CLOSE
                               "Content-Type: text/plain\r\nLocation: /x\r\n\r\nthere"});
}

Test(reply, redirects_leave_a_page_of_another_type_to_the_handler)
{
    test_run(redirect_quietly, NULL);
}

/* --- Errors ------------------------------------------------------------------------ */

static void fail_after_all(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    CHECK_EQ(gust_http_header(res, "content-length", "100"), 0);
    CHECK_EQ(gust_http_header(res, "X-Kept", "1"), 0);
    CHECK_EQ(gust_http_header(res, "content-type", "image/png"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Encoding", "gzip"), 0);
    CHECK_EQ(gust_http_header(res, "ETag", "\"a\""), 0);
    CHECK_EQ(gust_http_header(res, "Cache-Control", "max-age=60"), 0);
    CHECK_EQ(gust_http_header(res, "Last-Modified", "today"), 0);
    CHECK_EQ(gust_http_error(res, 399, "x"), -EINVAL);
    CHECK_EQ(gust_http_error(res, 1000, "x"), -EINVAL);
    CHECK_EQ(gust_http_error(res, 404, arg), 0);
    CHECK_EQ(gust_http_error(res, 500, "x"), -EALREADY);
}

#define ERROR_HEAD(len)                                           \
    "HTTP/1.1 404 Not Found\r\nContent-Length: " len "\r\n" CLOSE \
    "X-Kept: 1\r\nContent-Type: text/plain; charset=utf-8\r\n"    \
    "X-Content-Type-Options: nosniff\r\n\r\n"

static int answer_errors(void *arg)
{
    (void)arg;
    ask(&(struct asked){fail_after_all, (void *)"no such item", GET("/"),
                        ERROR_HEAD("13") "no such item\n"});
    ask(&(struct asked){fail_after_all, NULL, GET("/"), ERROR_HEAD("10") "Not Found\n"});
    ask(&(struct asked){fail_after_all, NULL, "HEAD /" TAIL, ERROR_HEAD("10")});
    return 0;
}

Test(reply, errors_are_plain_text_and_forget_the_body_meant_before)
{
    test_run(answer_errors, NULL);
}

/* --- Formatted text ---------------------------------------------------------------- */

static void print_length(gust_http_request *req, gust_http_response *res, void *arg)
{
    const int *len = arg;

    (void)req;
    CHECK_EQ(gust_http_printf(res, "%s", ""), 0);
    CHECK_EQ(gust_http_printf(res, "%*s", *len, "x"), *len);
    CHECK_EQ(gust_http_printf(res, "%s=%d", "a", 1), 3);
}

static int print_all_lengths(void *arg)
{
    static int lengths[] = {1, 1023, 1024, 1025, 100000};

    (void)arg;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        struct site site;
        site_start(&site, &(gust_http_server_options){.handler = print_length, .arg = &lengths[i]});
        struct reply r = site_ask(&site, "GET / HTTP/1.0\r\n\r\n");
        CHECK(r.len > (size_t)lengths[i] + 3);
        const char *text = r.text + r.len - lengths[i] - 3;
        CHECK_EQ(strspn(text, " "), lengths[i] - 1);
        CHECK_EQ(strcmp(text + lengths[i] - 1, "xa=1"), 0);
        CHECK_EQ(memcmp(text - 4, "\r\n\r\n", 4), 0);
        free(r.text);
        site_stop(&site);
    }
    return 0;
}

Test(reply, printf_writes_text_of_any_length)
{
    test_run(print_all_lengths, NULL);
}

static void print_nonsense(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const wchar_t wide[] = {0xd800, 0};

    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_printf(res, "before%ls", wide), -EILSEQ);
    CHECK_EQ(gust_http_header(res, "Content-Length", "4"), 0);
    CHECK_EQ(gust_http_printf(res, "%d", 12345), -EMSGSIZE);
    CHECK_EQ(gust_http_printf(res, "%d", 1234), 4);
}

static int print_what_cannot_be(void *arg)
{
    (void)arg;
    return ask(&(struct asked){print_nonsense, NULL, GET("/"),
                               "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n" CLOSE "\r\n1234"});
}

Test(reply, printf_sends_nothing_of_what_it_cannot_format)
{
    test_run(print_what_cannot_be, NULL);
}

/* What a handler's own function for errors would be. */
static ssize_t __attribute__((format(printf, 2, 3)))
vprint(gust_http_response *res, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    ssize_t n = gust_http_vprintf(res, format, args);
    va_end(args);
    return n;
}

/* The arguments are of all the kinds that are passed in different ways, and more than
 * there are registers for.  Formatted twice they must be the same. */
static void vprint_length(gust_http_request *req, gust_http_response *res, void *arg)
{
    const int *width = arg;
    ssize_t n =
        vprint(res, "%*s|%d|%g|%s|%lld|%g|%s|%d", *width, "x", 1, 2.5, "three", 4LL, 5.5, "six", 7);

    (void)req;
    CHECK_EQ(n, *width + (ssize_t)sizeof("|1|2.5|three|4|5.5|six|7") - 1);
}

static int vprint_all_lengths(void *arg)
{
    static const char tail[] = "x|1|2.5|three|4|5.5|six|7";
    static int widths[] = {1, 999, 1000, 1001, 5000};

    (void)arg;
    for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
        struct site site;
        site_start(&site, &(gust_http_server_options){.handler = vprint_length, .arg = &widths[i]});
        struct reply r = site_ask(&site, "GET / HTTP/1.0\r\n\r\n");
        const char *body = strstr(r.text, "\r\n\r\n") + 4;
        CHECK_EQ(strspn(body, " "), widths[i] - 1);
        CHECK_EQ(strcmp(body + widths[i] - 1, tail), 0);
        free(r.text);
        site_stop(&site);
    }
    return 0;
}

Test(reply, vprintf_reads_its_arguments_anew_for_long_text)
{
    test_run(vprint_all_lengths, NULL);
}

static void vprint_nonsense(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const wchar_t wide[] = {0xd800, 0};

    (void)req;
    (void)arg;
    CHECK_EQ(vprint(res, "%1024s%ls", "before", wide), -EILSEQ);
    CHECK_EQ(gust_http_header(res, "Content-Length", "1024"), 0);
    CHECK_EQ(vprint(res, "%1025s", "x"), -EMSGSIZE);
    CHECK_EQ(gust_http_response_bytes(res), 0);
    CHECK_EQ(vprint(res, "%1024s", "x"), 1024);
    CHECK_EQ(vprint(res, "%s", "x"), -EMSGSIZE);
}

static int vprint_what_cannot_be(void *arg)
{
    char expected[2048];

    (void)arg;
    snprintf(expected, sizeof(expected),
             "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n" CLOSE "\r\n%1024s", "x");
    return ask(&(struct asked){vprint_nonsense, NULL, GET("/"), expected});
}

Test(reply, vprintf_says_why_it_wrote_nothing)
{
    test_run(vprint_what_cannot_be, NULL);
}

#ifdef GUST_DEBUG

/* The client waits meanwhile, so that nobody else asks for memory. */
static void vprint_without_memory(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    CHECK_EQ(gust_chan_recv(arg, NULL, gust_after(SITE_WAIT_NS)), 1);
    gust__inject_arm(INJECT_MALLOC, 1, INJECT_FOR_EVER);
    ssize_t n = vprint(res, "%1024s", "x");
    CHECK_EQ(gust__inject_disarm(), 1);
    CHECK_EQ(n, -ENOMEM);
    CHECK_EQ(gust_http_response_bytes(res), 0);
    CHECK_EQ(gust_http_error(res, 503, NULL), 0);
    CHECK_EQ(gust_chan_send(arg, NULL, gust_after(SITE_WAIT_NS)), 0);
}

static int vprint_poorly(void *arg)
{
    gust_chan *turn;
    struct site site;

    (void)arg;
    CHECK_EQ(gust_chan_new(0, 0, &turn), 0);
    site_start(&site, &(gust_http_server_options){.handler = vprint_without_memory, .arg = turn});
    gust_conn *conn = site_dial(&site);
    client_send(conn, GET("/"));
    CHECK_EQ(gust_chan_send(turn, NULL, gust_after(SITE_WAIT_NS)), 0);
    CHECK_EQ(gust_chan_recv(turn, NULL, gust_after(SITE_WAIT_NS)), 1);
    expect_reply_start(client_read_all(conn), "503", "HTTP/1.1 503 ");
    client_close(conn);
    site_stop(&site);
    gust_chan_unref(turn);
    return 0;
}

Test(reply, vprintf_without_memory_leaves_the_answer_open)
{
    test_run(vprint_poorly, NULL);
}

#endif

/* --- Interim responses -------------------------------------------------------------- */

#define SPAN(text) ((gust_span){text, sizeof(text) - 1})

static void hint(gust_http_request *req, gust_http_response *res, void *arg)
{
    const gust_http_field fields[] = {{SPAN("Link"), SPAN("</a.css>; rel=preload")},
                                      {SPAN("X-Empty"), {NULL, 0}}};
    const gust_http_field split = {SPAN("X"), SPAN("a\r\nb")};
    const gust_http_field framing = {SPAN("content-Length"), SPAN("1")};

    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_status(res, 201), 0);
    CHECK_EQ(gust_http_header(res, "X-Later", "1"), 0);
    CHECK_EQ(gust_http_inform(res, 103, fields, 2), 0);
    CHECK_EQ(gust_http_inform(res, 102, NULL, 0), 0);
    CHECK_EQ(gust_http_inform(res, 99, NULL, 0), -EINVAL);
    CHECK_EQ(gust_http_inform(res, 101, NULL, 0), -EINVAL);
    CHECK_EQ(gust_http_inform(res, 200, NULL, 0), -EINVAL);
    CHECK_EQ(gust_http_inform(res, 103, &split, 1), -EINVAL);
    CHECK_EQ(gust_http_inform(res, 103, &framing, 1), -EINVAL);
    CHECK_EQ(gust_http_write(res, "x", 1), 1);
    CHECK_EQ(gust_http_inform(res, 199, NULL, 0), 0);
    CHECK_EQ(gust_http_header(res, "X", "y"), -EALREADY);
}

static int inform_clients(void *arg)
{
#define FINAL "HTTP/1.1 201 Created\r\nContent-Length: 1\r\n" CLOSE "X-Later: 1\r\n\r\n"

    (void)arg;
    ask(&(struct asked){hint, NULL, GET("/"),
                        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
                        "X-Empty: \r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                        "HTTP/1.1 199 \r\n\r\n" FINAL "x"});
    ask(&(struct asked){hint, NULL, "GET / HTTP/1.0\r\n\r\n", FINAL "x"});
    ask(&(struct asked){hint, NULL, "HEAD /" TAIL,
                        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n"
                        "X-Empty: \r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
                        "HTTP/1.1 199 \r\n\r\n" FINAL});
    return 0;
}

Test(reply, interim_responses_go_ahead_of_the_real_one)
{
    test_run(inform_clients, NULL);
}

#define FIELDS_MAX 65536

static void inform_too_late(gust_http_request *req, gust_http_response *res, void *arg)
{
    static char much[FIELDS_MAX];
    /* With ": " and the line end, in two fields of one letter each. */
    const gust_http_field large[] = {
        {SPAN("X"), {much, FIELDS_MAX - 10 - 1}}, {SPAN("Y"), {much, 1}}, {SPAN("Y"), {much, 2}}};

    (void)req;
    (void)arg;
    memset(much, 'a', sizeof(much));
    CHECK_EQ(gust_http_inform(res, 103, (gust_http_field[]){large[0], large[2]}, 2), -ENOBUFS);
    CHECK_EQ(gust_http_inform(res, 103, &(gust_http_field){SPAN("X"), {much, FIELDS_MAX}}, 1),
             -ENOBUFS);
    CHECK_EQ(gust_http_header(res, "Content-Length", "1"), 0);
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK_EQ(gust_http_inform(res, 103, large, 2), -EALREADY); /* it is not the length */
    CHECK_EQ(gust_http_write(res, "x", 1), 1);
}

static void ask_for_the_body(gust_http_request *req, gust_http_response *res, void *arg)
{
    char body[2];

    CHECK_EQ(gust_http_inform(res, 100, NULL, 0), 0);
    CHECK_EQ(gust_chan_send(arg, NULL, GUST_NOW), 0);
    CHECK_EQ(gust_http_body_read(req, body, 2), 2);
    CHECK_EQ(gust_http_reply(res, 200, NULL, body, 2), 0);
}

/* The hint arrives while the handler has not answered yet. */
static int inform_at_once(void *arg)
{
    gust_chan *asked;
    struct site site;

    (void)arg;
    ask(&(struct asked){inform_too_late, NULL, GET("/"),
                        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" CLOSE "\r\nx"});
    CHECK_EQ(gust_chan_new(0, 1, &asked), 0);
    site_start(&site, &(gust_http_server_options){.handler = ask_for_the_body, .arg = asked});
    gust_conn *conn = site_dial(&site);
    client_send(conn, "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                      "Content-Length: 2\r\n" CLOSE "\r\n");
    expect_reply(client_read_reply(conn), "100", "HTTP/1.1 100 Continue\r\n\r\n");
    client_send(conn, "ab");
    expect_reply(client_read_all(conn), "once",
                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" CLOSE "\r\nab");
    client_close(conn);
    site_stop(&site);
    gust_chan_unref(asked);
    return 0;
}

Test(reply, interim_responses_arrive_at_once_or_not_at_all)
{
    test_run(inform_at_once, NULL);
}

/* --- What was set so far ------------------------------------------------------------- */

static void look_back(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    CHECK_EQ(gust_http_response_status(res), 200);
    CHECK(!gust_http_response_header(res, "X").data);
    CHECK_EQ(gust_http_header_remove(res, "X"), 0);
    CHECK_EQ(gust_http_header(res, "X", "1"), 0);
    CHECK_EQ(gust_http_header(res, "Y", "  2 "), 0);
    CHECK_EQ(gust_http_header(res, "x", "3"), 0);
    CHECK_EQ(gust_http_header(res, "XX", "4"), 0);
    CHECK_EQ(gust_http_header(res, "X", "5"), 0);
    CHECK_EQ(gust_http_header(res, "Date", "never"), 0);
    CHECK(span_is(gust_http_response_header(res, "x"), "1"));
    CHECK(span_is(gust_http_response_header(res, "y"), "2"));
    CHECK_EQ(gust_http_header_remove(res, "X"), 0);
    CHECK(!gust_http_response_header(res, "X").data);
    CHECK(span_is(gust_http_response_header(res, "xx"), "4"));
    CHECK_EQ(gust_http_header_remove(res, "date"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "7"), 0);
    CHECK_EQ(gust_http_header_remove(res, "Content-Length"), 0);
    CHECK_EQ(gust_http_header(res, "Content-Length", "5"), 0);
    CHECK_EQ(gust_http_status(res, 202), 0);
    CHECK_EQ(gust_http_response_status(res), 202);
    CHECK_EQ(gust_http_write(res, "12", 2), 2);
    CHECK_EQ(gust_http_response_bytes(res), 2);
    CHECK(!gust_http_response_sent(res));
    CHECK_EQ(gust_http_header_remove(res, "XX"), -EALREADY);
    CHECK(span_is(gust_http_response_header(res, "XX"), "4"));
    CHECK_EQ(gust_http_flush(res), 0);
    CHECK(gust_http_response_sent(res));
    CHECK_EQ(gust_http_header_remove(res, "XX"), -EALREADY);
    CHECK(span_is(gust_http_response_header(res, "XX"), "4"));
    CHECK_EQ(gust_http_write(res, "345", 3), 3);
    CHECK_EQ(gust_http_response_bytes(res), 5);
}

static int look_back_on_all(void *arg)
{
    static const char head[] =
        "HTTP/1.1 202 Accepted\r\nContent-Length: 5\r\n" CLOSE "Y:   2 \r\nXX: 4\r\n\r\n";
    char whole[256];

    (void)arg;
    snprintf(whole, sizeof(whole), "%s12345", head);
    ask(&(struct asked){look_back, NULL, GET("/"), whole});
    ask(&(struct asked){look_back, NULL, "HEAD /" TAIL, head});
    return 0;
}

Test(reply, tells_what_was_set_and_takes_it_back)
{
    test_run(look_back_on_all, NULL);
}
