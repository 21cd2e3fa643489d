/* Attacks by size and by ambiguity, with the default limits.  Each shows what the
 * attacker gets, that nothing of it reaches a handler, and that others are served while
 * the attack is under way.  Attacks by slowness: test_sim_attacks.c; by number of
 * connections: test_limits.c. */
#include "tests/http/site.h"

#include <gust/http_operations.h>

#include <stdio.h>

#include "http/chunked.h"
#include "tests/http/malformed.h"

#define SMUGGLED "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

static void serve_all(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span host = gust_http_request_host(req), piece;

    (void)arg;
    CHECK(!span_is(gust_http_request_path(req), "/smuggled"));
    while (gust_http_body_next(req, &piece) > 0)
        continue;
    gust_http_reply(res, 200, NULL, host.data, host.len);
}

static void start(struct site *site)
{
    site_start(site, &(gust_http_server_options){.handler = serve_all});
}

static void expect_others_served(const struct site *site)
{
    expect_reply(site_ask(site, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
                 "somebody else",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx");
}

static uint64_t count_of(const struct site *site, gust_http_error_kind kind)
{
    gust_http_server_stats stats;

    gust_http_server_stats_read(site->server, &stats);
    return stats.errors[kind];
}

/* --- Floods ------------------------------------------------------------------------------- */

struct flood {
    const char *opening;
    const char *again; /* sent until the server has had enough */
    size_t bytes_max;  /* after which it has, but for what lies in buffers */
    gust_http_error_kind limit;
    const char *told;
};

#define POST_CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

static const struct flood floods[] = {
    {"GET /", "xxxxxxxx", GUST_HTTP_REQUEST_LINE_MAX, GUST_HTTP_ERROR_REQUEST_LINE,
     "HTTP/1.1 414 "},
    {"GET / HTTP/1.1\r\nHost: a\r\nX: ", "xxxxxxxx", GUST_HTTP_HEADER_BYTES_MAX,
     GUST_HTTP_ERROR_HEADER_LIMIT, "HTTP/1.1 431 "},
    {"GET / HTTP/1.1\r\nHost: a\r\n", "X: y\r\n", GUST_HTTP_HEADER_FIELDS_MAX * 20,
     GUST_HTTP_ERROR_HEADER_LIMIT, "HTTP/1.1 431 "},
    {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n", "xxxxxxxx", 0,
     GUST_HTTP_ERROR_BODY_LIMIT, "HTTP/1.1 413 "},
    {POST_CHUNKED, "8\r\nxxxxxxxx\r\n", GUST_HTTP_BODY_BYTES_MAX * 2, GUST_HTTP_ERROR_BODY_LIMIT,
     "HTTP/1.1 413 "},
    {POST_CHUNKED, "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nx\r\n",
     CHUNK_EXTENSION_BYTES_MAX * 2, GUST_HTTP_ERROR_MALFORMED, "HTTP/1.1 400 "},
    {POST_CHUNKED "1;", "xxxxxxxx", CHUNK_LINE_MAX, GUST_HTTP_ERROR_MALFORMED, "HTTP/1.1 400 "},
    {POST_CHUNKED "0\r\n", "X: y\r\n", GUST_HTTP_HEADER_FIELDS_MAX * 20,
     GUST_HTTP_ERROR_HEADER_LIMIT, "HTTP/1.1 431 "},
    {POST_CHUNKED "0\r\nX: ", "xxxxxxxx", GUST_HTTP_HEADER_BYTES_MAX, GUST_HTTP_ERROR_HEADER_LIMIT,
     "HTTP/1.1 431 "},
};

#define FLOODS (sizeof(floods) / sizeof(floods[0]))

/* How much a client can send before it notices that nobody reads: kernel buffers. */
#define BUFFERS_MAX ((size_t)24 << 20)

/* The server answers while the client still sends; it may also reset the connection,
 * once it has read enough of what nobody asked for. */
static void send_flood(const struct site *site, const struct flood *f)
{
    gust_conn *conn = site_dial(site);
    uint64_t before = count_of(site, f->limit);
    size_t sent = 0;
    size_t len = strlen(f->again);

    client_send(conn, f->opening);
    for (unsigned i = 0; count_of(site, f->limit) == before; i++) {
        if (gust_conn_write(conn, f->again, len, gust_after(SITE_WAIT_NS)) < 0)
            break;
        sent += len;
        if (i % 4096 == 0)
            expect_others_served(site);
        CHECK(sent <= f->bytes_max + BUFFERS_MAX);
    }
    expect_others_served(site);
    ssize_t n;
    while ((n = gust_conn_fill(conn, CLIENT_VIEW_MAX, gust_after(SITE_WAIT_NS))) > 0)
        continue;
    CHECK(n == 0 || n == -ECONNRESET);
    if (n == 0)
        expect_reply_start(client_take(conn, gust_conn_view(conn).len), f->opening, f->told);
    CHECK_EQ(count_of(site, f->limit), before + 1);
    client_close(conn);
}

static int flood_all(void *arg)
{
    struct site site;

    (void)arg;
    start(&site);
    for (size_t i = 0; i < FLOODS; i++)
        send_flood(&site, &floods[i]);
    site_stop(&site);
    return 0;
}

Test(attacks, floods_end_at_a_limit)
{
    test_run(flood_all, NULL);
}

/* --- Smuggling ----------------------------------------------------------------------------- */

/* What follows a request that two could read in two ways is not read at all. */
static void expect_one_answer(const struct site *site, const char *name, const char *text,
                              size_t len, int status)
{
    size_t all = len + sizeof SMUGGLED - 1;
    char start_of[16], *request = malloc(all);

    CHECK(request);
    memcpy(request, text, len);
    memcpy(request + len, SMUGGLED, sizeof SMUGGLED - 1);
    struct reply r = site_ask_bytes(site, request, all);
    snprintf(start_of, sizeof start_of, "HTTP/1.1 %d ", status);
    if (strncmp(r.text, start_of, strlen(start_of)) != 0 || strstr(r.text + 1, "HTTP/1.1 "))
        gust_panic("%s: got\n%s", name, r.text);
    free(r.text);
    free(request);
}

static int smuggle_in_heads(void *arg)
{
    struct site site;

    (void)arg;
    start(&site);
    for (size_t i = 0; i < MALFORMED_COUNT; i++) {
        const struct malformed *m = &malformed[i];
        /* With more behind it, a head that was cut short is another one. */
        if (m->len >= 4 && memcmp(m->text + m->len - 2, "\r\n", 2) == 0)
            expect_one_answer(&site, m->name, m->text, m->len, m->status);
        if (i % 16 == 0)
            expect_others_served(&site);
    }
    site_stop(&site);
    return 0;
}

Test(attacks, nothing_is_smuggled_in_a_head)
{
    test_run(smuggle_in_heads, NULL);
}

#define POST_LENGTH(n) "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " n "\r\n\r\n"

static const struct {
    const char *name, *text;
} bodies[] = {
    {"CL.TE", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n"
              "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"TE.CL", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
              "Content-Length: 4\r\n\r\n5c\r\n"},
    {"a size that wraps", POST_CHUNKED "10000000000000001\r\nx\r\n0\r\n\r\n"},
    {"a size of 64 bits", POST_CHUNKED "ffffffffffffffff\r\n"},
    {"sizes that wrap in all", POST_CHUNKED "1\r\nx\r\n7fffffffffffffff\r\n"},
    {"a negative size", POST_CHUNKED "-1\r\n\r\n"},
    {"a size with a prefix", POST_CHUNKED "0x1\r\nx\r\n0\r\n\r\n"},
    {"a size behind a space", POST_CHUNKED " 0\r\n\r\n"},
    {"a size before a space", POST_CHUNKED "0 \r\n\r\n"},
    {"a bare LF after the size", POST_CHUNKED "0\n\n"},
    {"a bare CR after the size", POST_CHUNKED "0\r\r\n\r\n"},
    {"a bare LF in an extension", POST_CHUNKED "0;x\ny\r\n\r\n"},
    {"a chunk longer than it says", POST_CHUNKED "1\r\nxx\r\n0\r\n\r\n"},
    {"a chunk shorter than it says", POST_CHUNKED "3\r\nx\r\n0\r\n\r\n"},
    {"a bare LF after the data", POST_CHUNKED "1\r\nx\n0\r\n\r\n"},
    {"a trailer folded", POST_CHUNKED "0\r\nX: y\r\n z\r\n\r\n"},
    {"a trailer before a space", POST_CHUNKED "0\r\nX : y\r\n\r\n"},
    {"a bare LF among trailers", POST_CHUNKED "0\r\nX: y\n\r\n"},
};

static int smuggle_in_bodies(void *arg)
{
    struct site site;

    (void)arg;
    start(&site);
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        expect_one_answer(&site, bodies[i].name, bodies[i].text, strlen(bodies[i].text), 400);
        expect_others_served(&site);
    }
    site_stop(&site);
    return 0;
}

Test(attacks, nothing_is_smuggled_in_a_body)
{
    test_run(smuggle_in_bodies, NULL);
}

/* What looks like a request is a body where it has been announced as one. */
static int send_requests_as_bodies(void *arg)
{
    static const char two[] =
        POST_LENGTH("40") SMUGGLED "....."
                                   "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\n\r\n";
    struct site site;

    (void)arg;
    _Static_assert(sizeof SMUGGLED - 1 + 5 == 40, "the length above");
    start(&site);
    expect_reply(site_ask(&site, two), "a request in a body",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb");
    /* A GET may have one, too. */
    expect_reply(site_ask(&site, "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n"
                                 "Connection: close\r\n\r\n" SMUGGLED),
                 "a body of GET",
                 "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\na");
    site_stop(&site);
    return 0;
}

Test(attacks, a_body_is_a_body)
{
    test_run(send_requests_as_bodies, NULL);
}

/* The target is what counts, for everybody who asks gust_http_request_host. */
static int disagree_about_the_host(void *arg)
{
    struct site site;

    (void)arg;
    start(&site);
    expect_reply(site_ask(&site, "GET http://b/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                 "two hosts", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\nb");
    site_stop(&site);
    return 0;
}

Test(attacks, the_host_of_the_target_outranks_the_field)
{
    test_run(disagree_about_the_host, NULL);
}
