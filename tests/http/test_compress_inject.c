/* Compression when memory is refused: a response is sent as it is, or cut off; brotli, which
 * would end the process, never hears of it. */
#include "tests/http/scenario.h"

#include <gust/http_compress.h>

#ifndef GUST_DEBUG

Test(compress_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

#define LARGE 200000

static char body[LARGE];

static void answer(gust_http_request *req, gust_http_response *res, void *arg)
{
    size_t len = span_is(gust_http_request_path(req), "/small") ? 2000 : sizeof(body);
    (void)arg;
    if (!served(gust_http_header(res, "Content-Type", "text/plain")) ||
        !served(gust_http_header(res, "ETag", "\"x\"")))
        return;
    moved(gust_http_write(res, body, len));
}

/* What is compressed says so; a status that is not 200 there is not. */
static void check_compressed(gust_span got)
{
    while (got.len > 0) {
        const char *end = memmem(got.data, got.len, "\r\n\r\n", 4);
        if (!end)
            return;
        size_t head = (size_t)(end - got.data) + 4;
        CHECK(memmem(got.data, head, "HTTP/1.1 200 ", 13) || memmem(got.data, head, " 503 ", 5));
        bool coded = memmem(got.data, head, "Content-Encoding: ", 18) != NULL;
        CHECK_EQ(coded, memmem(got.data, head, "ETag: W/\"x\"", 11) != NULL);
        const char *next = memmem(end, got.len - head + 4, "HTTP/1.1 ", 9);
        if (!next)
            return;
        got = (gust_span){next, got.len - (size_t)(next - got.data)};
    }
}

static void serve_coding(const char *request)
{
    struct scenario scenario = {.options = {.handler = gust_http_chain_serve},
                                .request = request,
                                .check = check_compressed};
    gust_http_compress *compress;

    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)('a' + i * i % 23);
    if (!served(gust_http_compress_new(NULL, &compress)))
        return;
    const gust_http_layer layer = {gust_http_compress_layer, compress};
    gust_http_chain chain = {&layer, 1, answer, NULL};
    scenario.options.arg = &chain;
    play(&scenario);
    gust_http_compress_free(compress);
}

static int gzip_main(void *arg)
{
    (void)arg;
    serve_coding("GET /small HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n"
                 "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n");
    return 0;
}

static int br_main(void *arg)
{
    (void)arg;
    serve_coding("GET /small HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\n\r\n"
                 "GET / HTTP/1.1\r\nHost: x\r\nAccept-Encoding: br\r\nConnection: close\r\n\r\n");
    return 0;
}

Test(compress_inject, memory_may_be_refused_to_gzip, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, gzip_main);
    fail_each(INJECT_MALLOC, 3, gzip_main);
}

Test(compress_inject, memory_may_be_refused_to_brotli, .timeout = TEST_TIMEOUT_S)
{
    fail_each(INJECT_MALLOC, 1, br_main);
    fail_each(INJECT_MALLOC, 3, br_main);
}

#endif
