/* What is fuzzed: a function per parser, which takes any bytes and checks what must hold
 * whatever they are.  libFuzzer calls one of them (entry.c), test_corpus.c all.
 *
 * Most of them have a parser read the same bytes whole and in pieces: it must not make a
 * difference. */
#ifndef GUST_TESTS_FUZZ_TARGETS_H
#define GUST_TESTS_FUZZ_TARGETS_H

#include <gust/base.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* assert, which nothing turns off. */
#define EXPECT(cond) ((cond) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #cond))

static inline _Noreturn void fuzz_failed(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    abort();
}

/* True if all of `inner` lies in `outer`. */
static inline bool span_inside(gust_span inner, gust_span outer)
{
    return inner.data >= outer.data && inner.len <= outer.len &&
           (size_t)(inner.data - outer.data) <= outer.len - inner.len;
}

static inline bool span_same(gust_span a, gust_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

typedef void fuzz_target(gust_span input);

fuzz_target fuzz_accept_encoding;
fuzz_target fuzz_auth;
fuzz_target fuzz_chunked;
fuzz_target fuzz_conditions;
fuzz_target fuzz_cookie;
fuzz_target fuzz_head;
fuzz_target fuzz_multipart;
fuzz_target fuzz_range;
fuzz_target fuzz_response_head;
fuzz_target fuzz_url;

#endif
