/* The chunked decoder alone, against a guard page. */
#include "http/chunked.h"
#include "tests/http/guard.h"

#include <stdio.h>

struct decoded {
    char data[512];
    size_t len;
    size_t used; /* bytes of input up to the trailers */
    enum chunk_next end;
};

/* Gives the decoder what a connection would: the bytes not consumed yet, first up
 * to `split`, then all (or, with `split` 0, one more byte each time). */
static struct decoded decode(const char *text, size_t n, size_t split)
{
    struct guard g = guard_new(n + 1);
    struct chunked c = {0};
    struct decoded d = {0};
    size_t have = split;

    for (;;) {
        const char *p = guard_put(&g, text + d.used, have - d.used);
        size_t skip;
        d.end = gust__chunked_next(&c, p, have - d.used, &skip);
        d.used += skip;
        if (d.end == CHUNK_NEXT_DATA) {
            size_t take = have - d.used < c.left ? have - d.used : (size_t)c.left;
            memcpy(d.data + d.len, text + d.used, take);
            d.len += take;
            d.used += take;
            c.left -= take;
        } else if (d.end == CHUNK_NEXT_MORE && have < n) {
            have = split ? n : have + 1;
        } else {
            break;
        }
    }
    guard_free(&g);
    return d;
}

static const char body[] = "5\r\nhello\r\n"
                           "1;name=value;x=\"y z\"\r\n \r\n"
                           "00000000000000A\r\n0123456789\r\n"
                           "0\r\n";

Test(chunked, decodes_at_every_split)
{
    for (size_t split = 0; split < sizeof(body); split++) {
        struct decoded d = decode(body, sizeof(body) - 1, split);
        cr_assert_eq(d.end, CHUNK_NEXT_TRAILERS, "split %zu", split);
        cr_assert_eq(d.used, sizeof(body) - 1, "split %zu", split);
        cr_assert_eq(d.len, 16, "split %zu", split);
        cr_assert_eq(memcmp(d.data, "hello 0123456789", 16), 0, "split %zu", split);
    }
}

static const struct {
    const char *name;
    const char *text;
} bad[] = {
    {"no size", "\r\nhello\r\n"},
    {"no digit", "g\r\n"},
    {"extension without size", ";x\r\n"},
    {"sign", "+5\r\nhello\r\n"},
    {"negative", "-5\r\nhello\r\n"},
    {"prefix", "0x5\r\nhello\r\n"},
    {"underscore", "1_0\r\n"},
    {"space before the size", " 5\r\nhello\r\n"},
    {"space after the size", "5 \r\nhello\r\n"},
    {"space before an extension", "5 ;x\r\nhello\r\n"},
    {"tab after the size", "5\t\r\nhello\r\n"},
    {"LF after the size", "5\nhello\r\n"},
    {"CR alone after the size", "5\rhello\r\n"},
    {"LF in an extension", "5;a\nb\r\nhello\r\n"},
    {"CR in an extension", "5;a\rb\r\nhello\r\n"},
    {"control byte in an extension", "5;\x01\r\nhello\r\n"},
    {"data shorter than its chunk", "6\r\nhello\r\n0\r\n"},
    {"data longer than its chunk", "4\r\nhello\r\n"},
    {"LF after the data", "5\r\nhello\n0\r\n"},
    {"CR and something after the data", "5\r\nhello\rx"},
    {"17 digits", "00000000000000005\r\nhello\r\n"},
    {"above INT64_MAX", "8000000000000000\r\n"},
    {"UINT64_MAX", "ffffffffffffffff\r\n"},
    {"above UINT64_MAX", "10000000000000005\r\nhello\r\n"},
    {"sum above INT64_MAX", "5\r\nhello\r\n7ffffffffffffffb\r\n"},
    {"LF after the last chunk", "0\n"},
};

Test(chunked, refuses_bad_framing_at_every_split)
{
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t split = 0; split <= strlen(bad[i].text); split++) {
            struct decoded d = decode(bad[i].text, strlen(bad[i].text), split);
            cr_expect_eq(d.end, CHUNK_NEXT_BAD, "%s, split %zu", bad[i].name, split);
        }
}

static enum chunk_next decode_line(size_t line_len)
{
    char line[CHUNK_LINE_MAX + 2];
    struct chunked c = {0};
    size_t skip;

    memset(line, 'x', line_len);
    memcpy(line, "5;", 2);
    memcpy(line + line_len - 2, "\r\n", 2);
    return gust__chunked_next(&c, line, line_len, &skip);
}

Test(chunked, bounds_a_size_line)
{
    cr_assert_eq(decode_line(CHUNK_LINE_MAX), CHUNK_NEXT_MORE);
    cr_assert_eq(decode_line(CHUNK_LINE_MAX + 1), CHUNK_NEXT_BAD);
}

/* 129 bytes of extension with each byte of data: 16384 is not a multiple. */
Test(chunked, bounds_the_extensions_of_a_body)
{
    char chunk[160];
    char x[129];
    struct chunked c = {0};
    size_t spent = 0;
    size_t skip;

    memset(x, 'x', sizeof(x));
    x[sizeof(x) - 1] = '\0';
    size_t n = (size_t)sprintf(chunk, "1;%s\r\nA\r\n", x);
    for (;;) {
        enum chunk_next next = gust__chunked_next(&c, chunk, n, &skip);
        spent += 129;
        cr_assert_eq(next, spent > CHUNK_EXTENSION_BYTES_MAX ? CHUNK_NEXT_BAD : CHUNK_NEXT_DATA);
        if (next == CHUNK_NEXT_BAD)
            break;
        c.left--;
        cr_assert_eq(gust__chunked_next(&c, "\r\n", 2, &skip), CHUNK_NEXT_MORE);
    }
}

static bool more(enum chunk_state state, uint64_t left, const char *rest)
{
    const struct chunked c = {.state = state, .left = left};

    return gust__chunked_has_more(&c, (gust_span){rest, strlen(rest)});
}

Test(chunked, knows_whether_reading_on_would_wait)
{
    cr_assert(!more(CHUNK_DATA, 0, ""));
    cr_assert(!more(CHUNK_DATA, 0, "\r\n"));
    cr_assert(!more(CHUNK_DATA, 0, "\r\n5"));
    cr_assert(!more(CHUNK_DATA, 0, "\r\n5\r\n"));
    cr_assert(more(CHUNK_DATA, 0, "\r\n5\r\nh"));
    cr_assert(more(CHUNK_DATA, 3, "h"));
    cr_assert(!more(CHUNK_DATA, 0, "\r\n0\r\n"));
    cr_assert(!more(CHUNK_DATA, 0, "\r\n0\r\nA: b\r\n"));
    cr_assert(more(CHUNK_DATA, 0, "\r\n0\r\n\r\n"));
    cr_assert(more(CHUNK_DATA, 0, "\r\n0\r\nA: b\r\n\r\n"));
    cr_assert(more(CHUNK_SIZE, 0, "nonsense"));
}
