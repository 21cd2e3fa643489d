/* The words every gust header uses: time, spans, and how errors travel.
 *
 * Errors are values.  A function that can fail returns 0 (or a count) on
 * success and a negative errno value on failure.  gust never sets errno, and a
 * program must not rely on errno across a gust call: the goroutine may have
 * moved to another thread, and errno belongs to the thread. */
#ifndef GUST_BASE_H
#define GUST_BASE_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUST_NORETURN __attribute__((noreturn))
#define GUST_PRINTF(fmt_arg, first_arg) __attribute__((format(printf, fmt_arg, first_arg)))

/* A point in time: nanoseconds on CLOCK_MONOTONIC.  Every call that may block
 * takes one as its deadline; a deadline in the past means "try, do not wait". */
typedef int64_t gust_time;

#define GUST_NOW ((gust_time)0)
#define GUST_FOREVER ((gust_time)INT64_MAX)

/* Lengths of time, in nanoseconds. */
#define GUST_US INT64_C(1000)
#define GUST_MS INT64_C(1000000)
#define GUST_SEC INT64_C(1000000000)

/* The current time.  Never blocks; any thread. */
gust_time gust_now(void);

/* The time `ns` nanoseconds from now; GUST_FOREVER if that is past the end of
 * time.  The usual way to write a deadline: gust_after(5 * GUST_SEC). */
gust_time gust_after(int64_t ns);

/* Borrowed bytes: whoever hands out a span says how long it stays valid. */
typedef struct gust_span {
    const char *data;
    size_t len;
} gust_span;

/* The bytes of a string, without its NUL. */
static inline gust_span gust_span_of(const char *text)
{
    gust_span span = {text, strlen(text)};
    return span;
}

#ifdef __cplusplus
}
#endif
#endif
