/* What the library says: log lines, fatal errors, panics.
 *
 * Each line goes out in a single write, so that lines of several threads, and
 * of other processes on the same terminal, do not mix. */
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/backtrace.h"
#include "core/chaos.h"
#include "core/fault.h"
#include "core/sched.h"

/* Bytes of a line, its newline included; what is longer ends in "...". */
enum { LINE_MAX_BYTES = 512 };

static _Atomic(gust_log_fn *) log_hook;

static void line_write(const char *line, size_t len)
{
    ssize_t n;

    do
        n = write(STDERR_FILENO, line, len);
    while (n < 0 && errno == EINTR);
}

/* prefix + formatted text, cut to fit, NUL-terminated.  Returns the length. */
static size_t GUST_PRINTF(3, 0)
    line_format(char line[LINE_MAX_BYTES], const char *prefix, const char *format, va_list args)
{
    size_t room = LINE_MAX_BYTES; /* for text and NUL, whose place the newline takes */
    size_t len = strlen(prefix);
    int n;

    memcpy(line, prefix, len);
    n = vsnprintf(line + len, room - len, format, args);
    if (n < 0) {
        line[len] = '\0';
        return len;
    }
    if ((size_t)n < room - len)
        return len + (size_t)n;
    memcpy(line + room - 4, "...", 4);
    return room - 1;
}

static void GUST_PRINTF(2, 0) line_print(const char *prefix, const char *format, va_list args)
{
    char line[LINE_MAX_BYTES];
    size_t len = line_format(line, prefix, format, args);

    line[len] = '\n';
    line_write(line, len + 1);
}

/* --- The log hook ---------------------------------------------------------- */

void gust_set_log(gust_log_fn *hook)
{
    /* Release: what the hook needs was written before.  Pairs with gust__log. */
    atomic_store_explicit(&log_hook, hook, memory_order_release);
}

void gust__log(const char *format, ...)
{
    gust_log_fn *hook = atomic_load_explicit(&log_hook, memory_order_acquire);
    char line[LINE_MAX_BYTES];
    va_list args;

    va_start(args, format);
    if (hook) {
        line_format(line, "", format, args);
        hook(line);
    } else {
        line_print("gust: ", format, args);
    }
    va_end(args);
}

/* --- The ways to die ------------------------------------------------------- */

_Noreturn void gust__fatal(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    line_print("gust: ", format, args);
    va_end(args);
    gust__chaos_print();
    gust__dump_and_abort(true);
}

/* "goroutine 17 ("name"), started at ..."; nothing on a foreign thread. */
static void print_goroutine(void)
{
    gust__fault_who who;
    char line[LINE_MAX_BYTES];
    int n;

    if (!gust__fault_whoami(&who))
        return;
    if (who.name && *who.name)
        n = snprintf(line, sizeof line, "goroutine %llu (\"%.300s\"), started at ",
                     (unsigned long long)who.goid, who.name);
    else
        n = snprintf(line, sizeof line, "goroutine %llu, started at ",
                     (unsigned long long)who.goid);
    line_write(line, (size_t)n);
    gust__pc_print(STDERR_FILENO, who.spawn_pc);
}

_Noreturn void gust__panic_die(const char *format, va_list args)
{
    line_print("panic: ", format, args);
    print_goroutine();
    gust__chaos_print();
    gust__backtrace_print(STDERR_FILENO, "");
    gust__dump_and_abort(false);
}
