/* Bytes that end at the last byte before an unreadable page: a parser that looks
 * one byte too far dies. */
#ifndef GUST_TESTS_HTTP_GUARD_H
#define GUST_TESTS_HTTP_GUARD_H

#include "tests/harness/test.h"

#include <sys/mman.h>
#include <unistd.h>

struct guard {
    char *base;
    size_t room; /* readable bytes before the guard page */
};

static inline struct guard guard_new(size_t room_min)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (room_min + page - 1) / page * page;
    char *base =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    CHECK(base != MAP_FAILED);
    CHECK(mprotect(base + room, page, PROT_NONE) == 0);
    return (struct guard){base, room};
}

/* A copy of the n bytes, up against the guard page. */
static inline const char *guard_put(struct guard *g, const char *bytes, size_t n)
{
    CHECK(n <= g->room);
    if (n == 0)
        return g->base + g->room;
    return memcpy(g->base + g->room - n, bytes, n);
}

static inline void guard_free(struct guard *g)
{
    munmap(g->base, g->room + (size_t)sysconf(_SC_PAGESIZE));
}

#endif
