/* For tests of what dumps say: takes one, and finds things in it. */
#ifndef GUST_TESTS_CORE_DUMPS_H
#define GUST_TESTS_CORE_DUMPS_H

#include <gust/debug.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/core/waiters.h"

/* All that was written to `fd`, a memfd, which is closed.  The caller frees it. */
static inline char *text_of(int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    char *text = malloc((size_t)size + 1);
    CHECK(text);
    CHECK_EQ(pread(fd, text, (size_t)size, 0), size);
    text[size] = '\0';
    close(fd);
    return text;
}

static inline int text_file(void)
{
    int fd = memfd_create("text", MFD_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

static inline char *dump_take(void)
{
    int fd = text_file();
    gust_dump_goroutines(fd);
    return text_of(fd);
}

static inline int count_in(const char *text, const char *what)
{
    int n = 0;
    while ((text = strstr(text, what))) {
        n++;
        text += strlen(what);
    }
    return n;
}

/* What is said of one goroutine, by its name; the caller frees it.  Aborts if it
 * is not there. */
static inline char *section_of(const char *text, const char *name)
{
    char quoted[80];
    snprintf(quoted, sizeof quoted, " (\"%s\") [", name);
    const char *at = strstr(text, quoted);
    if (!at)
        fprintf(stderr, "no \"%s\" in:\n%s\n", name, text);
    CHECK(at);
    const char *end = strstr(at, "\n\n");
    return end ? strndup(at, (size_t)(end - at)) : strdup(at);
}

/* Is there an address of this (small) function? */
static inline bool has_frame_in(const char *text, void (*fn)(void *arg))
{
    uintptr_t low = (uintptr_t)fn;
    for (; (text = strstr(text, "[0x")); text++) {
        uintptr_t pc = (uintptr_t)strtoull(text + 1, NULL, 16);
        if (pc >= low && pc < low + 2000)
            return true;
    }
    return false;
}

#define CHECK_HAS(text, what)                                           \
    do {                                                                \
        if (!strstr((text), (what)))                                    \
            fprintf(stderr, "not there: %s\nin: %s\n", (what), (text)); \
        CHECK(strstr((text), (what)));                                  \
    } while (0)

static inline void go_named(const char *name, void (*fn)(void *arg), void *arg)
{
    CHECK_EQ(gust_go_with(&(gust_go_options){.name = name}, fn, arg), 0);
}

#endif
