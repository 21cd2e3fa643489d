/* Escapes and queries. */
#include "tests/fuzz/targets.h"

#include <gust/http_url.h>

#define ROOM 1024

/* What was unescaped is the same after another way there and back. */
static void check_round_trip(gust_http_escaping escaping, gust_span text)
{
    static char plain[ROOM + 1], escaped[3 * ROOM + 1], again[ROOM + 1];

    ssize_t n = gust_http_unescape(escaping, text, plain, sizeof(plain));
    EXPECT(n == -EBADMSG || (n >= 0 && (size_t)n <= text.len && plain[n] == '\0'));
    if (n < 0)
        return;
    ssize_t m = gust_http_escape(escaping, (gust_span){plain, (size_t)n}, escaped, sizeof(escaped));
    EXPECT(m >= n && escaped[m] == '\0');
    ssize_t k = gust_http_unescape(escaping, (gust_span){escaped, (size_t)m}, again, sizeof(again));
    EXPECT(k == n && memcmp(plain, again, (size_t)n) == 0);
    EXPECT(gust_http_unescape(escaping, text, again, (size_t)n) == -ENOBUFS);
}

/* A pair is found by its name, or by an earlier one of the same name. */
static void check_pair(gust_span query, const gust_http_pair *pair)
{
    char name[ROOM + 1];
    gust_http_pair found;

    EXPECT(span_inside(pair->name, query) && span_inside(pair->value, query));
    ssize_t n = gust_http_unescape(GUST_HTTP_FORM, pair->name, name, sizeof(name));
    if (n >= 0 && strlen(name) == (size_t)n)
        EXPECT(gust_http_query_find(query, name, &found) && found.name.data <= pair->name.data);
}

void fuzz_url(gust_span input)
{
    gust_http_pair pair;
    size_t cursor = 0;

    if (input.len > ROOM)
        return;
    check_round_trip(GUST_HTTP_SEGMENT, input);
    check_round_trip(GUST_HTTP_PATH, input);
    check_round_trip(GUST_HTTP_FORM, input);
    while (gust_http_query_next(input, &cursor, &pair))
        check_pair(input, &pair);
}
