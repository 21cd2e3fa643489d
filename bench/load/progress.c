#include "bench/load/progress.h"

#include "bench/load/units.h"

#include <stdarg.h>
#include <unistd.h>

static bool is_shown(const struct plan *p)
{
    return !p->quiet && isatty(STDERR_FILENO);
}

/* Takes the place of the line before it. */
static void show(const struct plan *p, const char *format, ...) GUST_PRINTF(2, 3);
static void show(const struct plan *p, const char *format, ...)
{
    va_list args;
    if (!is_shown(p))
        return;
    va_start(args, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, args);
    fflush(stderr);
    va_end(args);
}

void progress_opening(const struct plan *p)
{
    show(p, "opening %u connections", p->connections);
}

void progress_warming(const struct plan *p)
{
    show(p, "warming up");
}

void progress_second(const struct plan *p, double rate, const struct second *s)
{
    char p50[UNITS_TEXT_MAX], p99[UNITS_TEXT_MAX], at[UNITS_TEXT_MAX] = "";
    if (p->sweep_rate > 0)
        snprintf(at, sizeof at, "at %.0f/s  ", rate);
    show(p, "%s%.0f s  %.0f requests/s  p50 %s  p99 %s  errors %llu", at, s->at_s,
         s->length_s > 0 ? (double)s->answers / s->length_s : 0, units_time(s->p50_ns, p50),
         units_time(s->p99_ns, p99), (unsigned long long)s->errors);
}

void progress_draining(const struct plan *p)
{
    show(p, "waiting for the last answers");
}

void progress_clear(const struct plan *p)
{
    show(p, "%s", "");
}
