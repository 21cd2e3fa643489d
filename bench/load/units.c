#include "bench/load/units.h"

#include <stdio.h>
#include <stdlib.h>

/* Three digits, whatever their place. */
static char *write_value(double value, const char *unit, char text[UNITS_TEXT_MAX])
{
    int digits = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    snprintf(text, UNITS_TEXT_MAX, "%.*f %s", digits, value, unit);
    return text;
}

char *units_time(int64_t ns, char text[UNITS_TEXT_MAX])
{
    if (ns < GUST_US)
        snprintf(text, UNITS_TEXT_MAX, "%lld ns", (long long)ns);
    else if (ns < GUST_MS)
        write_value((double)ns / (double)GUST_US, "us", text);
    else if (ns < GUST_SEC)
        write_value((double)ns / (double)GUST_MS, "ms", text);
    else
        write_value((double)ns / (double)GUST_SEC, "s", text);
    return text;
}

char *units_bytes(double bytes, char text[UNITS_TEXT_MAX])
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    size_t i = 0;
    if (bytes < 1024) {
        snprintf(text, UNITS_TEXT_MAX, "%.0f B", bytes);
        return text;
    }
    for (bytes /= 1024; bytes >= 1024 && i + 1 < sizeof units / sizeof units[0]; i++)
        bytes /= 1024;
    return write_value(bytes, units[i], text);
}

char *units_count(uint64_t n, char text[UNITS_TEXT_MAX])
{
    char digits[UNITS_TEXT_MAX], *to = text;
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ' ';
        *to++ = digits[i];
    }
    *to = '\0';
    return text;
}

/* --- Reading ----------------------------------------------------------------------------- */

static int64_t time_unit(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ns;
    } units[] = {{"", GUST_SEC},  {"s", GUST_SEC},      {"ms", GUST_MS},
                 {"us", GUST_US}, {"m", 60 * GUST_SEC}, {"h", 3600 * GUST_SEC}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0)
            return units[i].ns;
    return 0;
}

bool units_read_time(const char *text, int64_t max_ns, int64_t *ret_ns)
{
    char *end;
    double value = strtod(text, &end);
    double ns = value * (double)time_unit(end);
    if (end == text || time_unit(end) == 0 || !(ns >= 0 && ns <= (double)max_ns))
        return false;
    *ret_ns = (int64_t)ns;
    return true;
}

bool units_read_size(const char *text, uint64_t max, uint64_t *ret_size)
{
    static const char units[] = "kmg";
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end ? strchr(units, *end | 0x20) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    bool is_number = *text >= '0' && *text <= '9' && (*end == '\0' || (unit && end[1] == '\0'));
    if (!is_number || value > max >> shift)
        return false;
    *ret_size = value << shift;
    return true;
}
