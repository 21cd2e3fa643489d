/* What could be read in two ways is passed on by neither side, and what can be read in one
 * is framed anew: request smuggling and response splitting, through the proxy. */
#include "tests/proxy/front.h"

#include "tests/http/malformed.h"

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

/* --- Heads of requests ----------------------------------------------------------------- */

static void answer_hello(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, HELLO);
}

static void send_malformed(const struct site *site, const struct malformed *m)
{
    char request[1024], status[32];

    CHECK(m->len + sizeof(SMUGGLED) <= sizeof(request));
    memcpy(request, m->text, m->len);
    memcpy(request + m->len, SMUGGLED, sizeof(SMUGGLED) - 1);
    snprintf(status, sizeof(status), "HTTP/1.1 %d ", m->status);
    expect_reply_start(site_ask_bytes(site, request, m->len + sizeof(SMUGGLED) - 1), m->name,
                       status);
}

static int refuse_heads(void *arg)
{
    struct backend b;
    struct front f;

    (void)arg;
    backend_start(&b, answer_hello);
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    for (size_t i = 0; i < MALFORMED_COUNT; i++)
        send_malformed(&f.site, &malformed[i]);
    CHECK_EQ(atomic_load(&b.accepted), 0);
    front_stop(&f);
    backend_stop(&b);
    return 0;
}

Test(proxy_framing, an_ambiguous_request_reaches_nobody)
{
    test_run_without_leaks(refuse_heads, NULL);
}

/* --- Bodies of requests ------------------------------------------------------------------ */

#define CHUNKED \
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: X-Own\r\nTransfer-Encoding: chunked\r\n\r\n"

/* All bytes that came behind the head, as text. */
static char seen[4096];

static bool is_complete(void)
{
    const char *last = strncmp(seen, "0\r\n", 3) == 0 ? seen : strstr(seen, "\r\n0\r\n");

    return last && strstr(last + 1, "\r\n\r\n");
}

/* Answers a body that is complete. */
static void note_body(gust_conn *conn, struct backend *b)
{
    gust_span head = backend_read_head(conn);

    gust_conn_consume(conn, head.len);
    for (bool more = head.len > 0; more; more = gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0) {
        gust_span view = gust_conn_view(conn);
        CHECK(view.len < sizeof(seen));
        memcpy(seen, view.data, view.len);
        seen[view.len] = '\0';
        if (is_complete()) {
            client_send(conn, b->arg);
            return;
        }
    }
}

struct body {
    const char *sent;
    const char *passed; /* NULL: it is refused */
};

static const struct body bodies[] = {
    {"5\r\nhello\r\n0\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
    {"005\r\nhello\r\n000\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
    {"A\r\n0123456789\r\n0\r\n\r\n", "a\r\n0123456789\r\n0\r\n\r\n"},
    {"5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", "5\r\nhello\r\n0\r\n\r\n"},
    {"0\r\nX-Sum: 7\r\n\r\n", "0\r\nX-Sum: 7\r\n\r\n"},
    /* Trailers that would matter in a header. */
    {"0\r\nX-Sum: 7\r\nContent-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\nTrailer: x\r\n\r\n",
     "0\r\nX-Sum: 7\r\n\r\n"},
    {"0\r\nX-Forwarded-For: 1\r\nForwarded: for=1\r\nX_Forwarded_For: 1\r\nX-Sum: 7\r\n\r\n",
     "0\r\nX-Sum: 7\r\n\r\n"},
    {"0\r\nContent_Length: 9\r\nUpgrade: x\r\nTE: x\r\nKeep-Alive: 1\r\nX-Own: 1\r\n\r\n",
     "0\r\n\r\n"},
    /* Sizes */
    {"3\r\nabc\r\n+5\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n-1\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n0x5\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n 5\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n10000000000000005\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\nfffffffffffffff0\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5\r\nhello0\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5\r\nhelloXX0\r\n\r\n", NULL},
    /* Line ends */
    {"3\r\nabc\r\n5\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5\rhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5\r\nhello\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5;a\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n5;a\rb\r\nhello\r\n0\r\n\r\n", NULL},
    {"3\r\nabc\r\n0\r\nA: b\n\r\n", NULL},
    {"3\r\nabc\r\n0\n\n", NULL},
    /* Trailers */
    {"3\r\nabc\r\n0\r\nA : b\r\n\r\n", NULL},
    {"3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n", NULL},
    {"3\r\nabc\r\n0\r\nA: b\rc\r\n\r\n", NULL},
};

static void send_body(const struct front *f, const struct body *body)
{
    char request[1024];

    seen[0] = '\0';
    snprintf(request, sizeof(request), CHUNKED "%s%s", body->sent, body->passed ? "" : SMUGGLED);
    gust_conn *conn = site_dial(&f->site);
    client_send(conn, request);
    expect_reply_start(client_read_reply(conn), body->sent,
                       body->passed ? "HTTP/1.1 200 " : "HTTP/1.1 400 ");
    client_close(conn);
}

static int send_bodies(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
        const struct body *body = &bodies[i];
        struct backend b;
        struct front f;
        backend_start(&b, note_body);
        b.arg = (void *)HELLO;
        front_start(&f, b.url, (gust_http_proxy_options){QUIET});
        send_body(&f, body);
        front_stop(&f);
        backend_stop(&b);
        if (body->passed ? strcmp(seen, body->passed) != 0 : is_complete())
            gust_panic("of\n%s\nthe upstream got\n%s", body->sent, seen);
    }
    return 0;
}

Test(proxy_framing, bodies_are_chunked_anew_or_refused)
{
    test_run_without_leaks(send_bodies, NULL);
}

/* --- Responses ------------------------------------------------------------------------------ */

#define OK "HTTP/1.1 200 OK\r\n"

static const char *const bad_heads[] = {
    "nonsense\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    "HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1  200 OK\r\nContent-Length: 5\r\n\r\nhello",
    OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    OK "Content-Length: 5, 5\r\n\r\nhello",
    OK "Content-Length: +5\r\n\r\nhello",
    OK "Content-Length: -5\r\n\r\nhello",
    OK "Content-Length: 0x5\r\n\r\nhello",
    OK "Content-Length: 18446744073709551621\r\n\r\nhello",
    OK "Content-Length:\r\n\r\nhello",
    OK "Content-Length : 5\r\n\r\nhello",
    OK "Content-Length:\r\n 5\r\n\r\nhello",
    OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked, gzip\r\n\r\nhello",
    OK "Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding: identity\r\n\r\nhello",
    OK "Transfer-Encoding: xchunked\r\n\r\nhello",
    OK "Transfer-Encoding: chunked;q=1\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding : chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "Transfer-Encoding:\r\n chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    OK "X: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    OK "X: a\rContent-Length: 6\r\nContent-Length: 5\r\n\r\nhello",
    OK "X: a\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello",
    OK " X: a\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nhello" HELLO,
};

static const char *const bad_bodies[] = {
    "+5\r\nhello\r\n0\r\n\r\n",
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhelloX\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5;a\nhello\r\n0\r\n\r\n",
    "5\r\nhello\r\n0\r\nA : b\r\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\n\r\n",
    "5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
};

static void answer_arg(gust_conn *conn, struct backend *b)
{
    backend_answer_all(conn, b, b->arg);
}

static struct reply ask_for(const char *answer, const char *request)
{
    struct backend b;
    struct front f;

    backend_start(&b, answer_arg);
    b.arg = (void *)answer;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET, .retries = GUST_HTTP_PROXY_NONE});
    struct reply r = site_ask(&f.site, request);
    front_stop(&f);
    backend_stop(&b);
    return r;
}

#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"

static int ask_for_bad_heads(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < sizeof(bad_heads) / sizeof(*bad_heads); i++)
        expect_reply_start(ask_for(bad_heads[i], GET), bad_heads[i],
                           "HTTP/1.1 502 Bad Gateway\r\n");
    return 0;
}

Test(proxy_framing, an_ambiguous_response_is_502)
{
    test_run_without_leaks(ask_for_bad_heads, NULL);
}

/* What had been sent on before stays without its end. */
static int ask_for_bad_bodies(void *arg)
{
    char answer[256];

    (void)arg;
    for (size_t i = 0; i < sizeof(bad_bodies) / sizeof(*bad_bodies); i++) {
        snprintf(answer, sizeof(answer), OK "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n%s",
                 bad_bodies[i]);
        struct reply r = ask_for(answer, GET);
        bool told = has_text(r, "HTTP/1.1 502 ");
        if (!told && r.len >= 5 && memcmp(r.text + r.len - 5, "0\r\n\r\n", 5) == 0)
            gust_panic("%s became\n%s", bad_bodies[i], r.text);
        free(r.text);
    }
    return 0;
}

Test(proxy_framing, a_response_with_bad_chunks_does_not_look_complete)
{
    test_run_without_leaks(ask_for_bad_bodies, NULL);
}

#define DATE_LEN (sizeof("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") - 1) /* the server's */

/* Has two requests of one client answered by an upstream that says more than it was asked. */
static void expect_no_second(const char *method, const char *answer, const char *received)
{
    char request[128];
    struct backend b;
    struct front f;

    backend_start(&b, answer_arg);
    b.arg = (void *)answer;
    front_start(&f, b.url, (gust_http_proxy_options){QUIET});
    snprintf(request, sizeof(request), "%s / HTTP/1.1\r\nHost: site\r\n\r\n", method);
    gust_conn *conn = site_dial(&f.site);
    for (int i = 0; i < 2; i++) {
        client_send(conn, request);
        while (gust_conn_view(conn).len < strlen(received) + DATE_LEN)
            CHECK(gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0);
        expect_reply(client_take(conn, gust_conn_view(conn).len), answer, received);
    }
    client_close(conn);
    CHECK_EQ(atomic_load(&b.accepted), 2);
    front_stop(&f);
    backend_stop(&b);
}

#define SPLIT "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsmuggled"

static int split_responses(void *arg)
{
    const char *no_content = "HTTP/1.1 204 No Content\r\n\r\n";
    const char *unchanged = "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n";

    (void)arg;
    expect_no_second("GET", HELLO SPLIT, HELLO);
    expect_no_second("HEAD", HELLO, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    expect_no_second("GET", "HTTP/1.1 204 No Content\r\n\r\n" SPLIT, no_content);
    expect_no_second("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 40\r\n\r\n", no_content);
    expect_no_second("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 40\r\n\r\n" SPLIT,
                     unchanged);
    return 0;
}

Test(proxy_framing, what_follows_a_response_answers_nobody)
{
    test_run_without_leaks(split_responses, NULL);
}
