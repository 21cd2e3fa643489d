/* An access log whose lines are in memory, for tests of what servers log. */
#ifndef GUST_TESTS_HTTP_LINES_H
#define GUST_TESTS_HTTP_LINES_H

#include "tests/http/site.h"

#include <gust/http_log.h>

#include <stdio.h>

struct lines {
    gust_http_log *log;
    char text[16384];
    size_t len;
};

static int lines_write(const char *text, size_t len, void *arg)
{
    struct lines *lines = arg;

    CHECK(len < sizeof(lines->text) - lines->len);
    memcpy(lines->text + lines->len, text, len);
    lines->len += len;
    lines->text[lines->len] = '\0';
    return 0;
}

static inline void lines_open(struct lines *lines, gust_http_log_format format)
{
    memset(lines, 0, sizeof(*lines));
    CHECK_EQ(gust_http_log_new(&(gust_http_log_options){.format = format,
                                                        .write = lines_write,
                                                        .arg = lines,
                                                        .flush_ns = 3600 * GUST_SEC},
                               &lines->log),
             0);
}

/* Takes the times out, which differ from run to run: all between brackets. */
static inline void lines_drop_times(struct lines *lines)
{
    char *at = lines->text, *open, *close;

    while ((open = strchr(at, '[')) && (close = strchr(open, ']'))) {
        memmove(open + 1, close, strlen(close) + 1);
        at = open + 2;
    }
    lines->len = strlen(lines->text);
}

/* Waits until so many lines are there. */
static inline void lines_await(struct lines *lines, size_t count)
{
    gust_time until = gust_after(SITE_WAIT_NS);
    size_t n = 0;

    while (n < count) {
        CHECK(gust_now() < until);
        gust_yield();
        CHECK_EQ(gust_http_log_flush(lines->log, until), 0);
        n = 0;
        for (size_t i = 0; i < lines->len; i++)
            n += lines->text[i] == '\n';
    }
}

static inline void lines_close(struct lines *lines)
{
    CHECK_EQ(gust_http_log_close(lines->log, gust_after(SITE_WAIT_NS)), 0);
}

#endif
