/* Reading dates, and the public way to write them.
 *
 *     Sun, 06 Nov 1994 08:49:37 GMT     IMF-fixdate
 *     Sunday, 06-Nov-94 08:49:37 GMT    RFC 850
 *     Sun Nov  6 08:49:37 1994          asctime
 */
#include "http/date_parse.h"

#include "http/date.h"

#include <string.h>
#include <time.h>

struct date {
    int year;
    int month; /* 1 to 12 */
    int day;
    int hour;
    int minute;
    int second;
};

/* --- Pieces --------------------------------------------------------------- */

/* Bytes that are taken off their start; `ok` goes false at the first that is not as it
 * should be, and nothing is taken any more. */
struct reader {
    const char *p;
    size_t n;
    bool ok;
};

static void take_text(struct reader *r, const char *text)
{
    size_t len = strlen(text);

    r->ok = r->ok && r->n >= len && memcmp(r->p, text, len) == 0;
    if (r->ok) {
        r->p += len;
        r->n -= len;
    }
}

static int take_number(struct reader *r, size_t digits)
{
    int value = 0;

    r->ok = r->ok && r->n >= digits;
    for (size_t i = 0; r->ok && i < digits; i++) {
        r->ok = r->p[i] >= '0' && r->p[i] <= '9';
        value = value * 10 + (r->p[i] - '0');
    }
    if (!r->ok)
        return 0;
    r->p += digits;
    r->n -= digits;
    return value;
}

/* One of the names, counted from 1. */
static int take_name(struct reader *r, const char *const *names, int count)
{
    for (int i = 0; r->ok && i < count; i++) {
        size_t len = strlen(names[i]);
        if (r->n >= len && memcmp(r->p, names[i], len) == 0) {
            take_text(r, names[i]);
            return i + 1;
        }
    }
    r->ok = false;
    return 0;
}

static const char *const day_names[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const long_day_names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                             "Thursday", "Friday", "Saturday"};

static int take_month(struct reader *r)
{
    static const char *const names[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                        "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    return take_name(r, names, 12);
}

static void take_time(struct reader *r, struct date *d)
{
    d->hour = take_number(r, 2);
    take_text(r, ":");
    d->minute = take_number(r, 2);
    take_text(r, ":");
    d->second = take_number(r, 2);
}

/* --- Forms ---------------------------------------------------------------- */

static bool read_fixdate(gust_span text, struct date *d)
{
    struct reader r = {text.data, text.len, true};

    take_name(&r, day_names, 7);
    take_text(&r, ", ");
    d->day = take_number(&r, 2);
    take_text(&r, " ");
    d->month = take_month(&r);
    take_text(&r, " ");
    d->year = take_number(&r, 4);
    take_text(&r, " ");
    take_time(&r, d);
    take_text(&r, " GMT");
    return r.ok && r.n == 0;
}

/* To a day or so, which does for a choice of the century. */
static int year_of(int64_t now)
{
    return 1970 + (int)(now / 31556952);
}

static bool read_rfc850(gust_span text, int64_t now, struct date *d)
{
    struct reader r = {text.data, text.len, true};

    take_name(&r, long_day_names, 7);
    take_text(&r, ", ");
    d->day = take_number(&r, 2);
    take_text(&r, "-");
    d->month = take_month(&r);
    take_text(&r, "-");
    d->year = take_number(&r, 2);
    take_text(&r, " ");
    take_time(&r, d);
    take_text(&r, " GMT");
    if (!r.ok || r.n > 0)
        return false;
    int this_year = year_of(now);
    d->year += this_year / 100 * 100;
    if (d->year > this_year + 50)
        d->year -= 100;
    return true;
}

static bool read_asctime(gust_span text, struct date *d)
{
    struct reader r = {text.data, text.len, true};

    take_name(&r, day_names, 7);
    take_text(&r, " ");
    d->month = take_month(&r);
    take_text(&r, " ");
    bool padded = r.ok && r.n > 0 && r.p[0] == ' ';
    if (padded)
        take_text(&r, " ");
    d->day = take_number(&r, padded ? 1 : 2);
    take_text(&r, " ");
    take_time(&r, d);
    take_text(&r, " ");
    d->year = take_number(&r, 4);
    return r.ok && r.n == 0;
}

/* --- Seconds -------------------------------------------------------------- */

static int month_length(int year, int month)
{
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    if (month == 2)
        return 28 + is_leap;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

static bool exists(const struct date *d)
{
    /* 60: a leap second. */
    return d->year >= 1 && d->day >= 1 && d->day <= month_length(d->year, d->month) &&
           d->hour <= 23 && d->minute <= 59 && d->second <= 60;
}

/* The inverse of civil_from_days in date.c; years begin in March there. */
static int64_t days_from_civil(const struct date *d)
{
    int year = d->year - (d->month <= 2);
    int month = d->month > 2 ? d->month - 3 : d->month + 9;
    int day_of_year = (153 * month + 2) / 5 + d->day - 1;

    return (int64_t)year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719468;
}

int gust__http_date_parse_at(gust_span text, int64_t now, int64_t *ret_seconds)
{
    struct date d;

    if (!read_fixdate(text, &d) && !read_rfc850(text, now, &d) && !read_asctime(text, &d))
        return -EBADMSG;
    if (!exists(&d))
        return -EBADMSG;
    *ret_seconds = days_from_civil(&d) * 86400 + d.hour * 3600 + d.minute * 60 + d.second;
    return 0;
}

int gust_http_date_parse(gust_span text, int64_t *ret_seconds)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return gust__http_date_parse_at(text, now.tv_sec, ret_seconds);
}

int gust_http_date_format(int64_t seconds, char text[GUST_HTTP_DATE_SIZE])
{
    if (seconds < 0 || seconds > INT64_C(253402300799))
        return -EINVAL;
    gust__http_date_format(seconds, text);
    text[HTTP_DATE_LEN] = '\0';
    return 0;
}
