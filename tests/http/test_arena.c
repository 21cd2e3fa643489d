/* Memory that lives as long as a request. */
#include "tests/core/failures.h"
#include "tests/http/site.h"

#include <gust/panic.h>

#include <stdalign.h>

#include "http/arena.h"

Test(arena, owns_nothing_until_it_is_used)
{
    struct http_arena arena = {NULL};

    gust__http_arena_clear(&arena);
    cr_assert(arena.newest == NULL);
    cr_assert(gust__http_arena_take(&arena, 1) != NULL);
    gust__http_arena_clear(&arena);
    cr_assert(arena.newest == NULL);
}

#define PIECES 500

/* Each piece is filled with its number, and looked at when all are there. */
Test(arena, pieces_are_aligned_and_apart)
{
    struct http_arena arena = {NULL};
    unsigned char *piece[PIECES];

    for (size_t i = 0; i < PIECES; i++) {
        piece[i] = gust__http_arena_take(&arena, i);
        cr_assert(piece[i] != NULL);
        cr_assert_eq((uintptr_t)piece[i] % alignof(max_align_t), 0);
        memset(piece[i], (int)(i & 0xff), i);
    }
    for (size_t i = 0; i < PIECES; i++)
        for (size_t at = 0; at < i; at++)
            cr_assert_eq(piece[i][at], i & 0xff);
    cr_assert(piece[0] != piece[1]);
    gust__http_arena_clear(&arena);
}

Test(arena, takes_large_pieces_and_refuses_impossible_ones)
{
    struct http_arena arena = {NULL};
    const size_t large = (size_t)1 << 20;
    char *piece = gust__http_arena_take(&arena, large);

    cr_assert(piece != NULL);
    memset(piece, 'x', large);
    cr_assert(gust__http_arena_take(&arena, 16) != NULL);
    cr_assert(gust__http_arena_take(&arena, SIZE_MAX) == NULL);
    cr_assert(gust__http_arena_take(&arena, SIZE_MAX - 15) == NULL);
    gust__http_arena_clear(&arena);
}

/* --- In a request ------------------------------------------------------------- */

/* That it is released is for LeakSanitizer to see. */
static void keep_a_copy(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span path = gust_http_request_path(req);
    char *copy = gust_http_alloc(req, path.len);

    (void)arg;
    CHECK(copy);
    CHECK(gust_http_alloc(req, 100000));
    memcpy(copy, path.data, path.len);
    if (span_is(path, "/panic"))
        gust_panic("with memory taken");
    gust_http_reply(res, 200, NULL, copy, path.len);
}

static int ask_twice(void *arg)
{
    struct site site;

    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = keep_a_copy});
    expect_reply(site_ask(&site, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
                                 "GET /bc HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
                 "two requests",
                 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n/a"
                 "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n/bc");
    expect_reply_start(site_ask(&site, "GET /panic HTTP/1.1\r\nHost: a\r\n\r\n"), "a panic",
                       "HTTP/1.1 500 ");
    site_stop(&site);
    return 0;
}

Test(arena, is_released_after_the_response_and_after_a_panic)
{
    test_run(ask_twice, NULL);
}

#ifdef GUST_DEBUG

Test(arena, says_null_when_memory_is_refused)
{
    struct http_arena arena = {NULL};

    gust__inject_arm(INJECT_MALLOC, 1, 1);
    cr_assert(gust__http_arena_take(&arena, 1) == NULL);
    cr_assert_eq(gust__inject_disarm(), 1);
    cr_assert(gust__http_arena_take(&arena, 1) != NULL);
    gust__inject_arm(INJECT_MALLOC, 1, 1);
    cr_assert(gust__http_arena_take(&arena, 1 << 20) == NULL);
    cr_assert(gust__http_arena_take(&arena, 1) != NULL);
    cr_assert_eq(gust__inject_disarm(), 1);
    gust__http_arena_clear(&arena);
}

#endif
