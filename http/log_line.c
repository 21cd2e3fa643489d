/* The lines of the access log.  Pure: a record in, bytes out.
 *
 * Always: a field takes at most ESCAPE_MAX times its bytes, of which at most
 * GUST_HTTP_LOG_FIELD_MAX are taken.  So the room for a line is known before it is
 * written, and nothing here looks for the end of the buffer. */
#include "http/log.h"

#include "http/syntax.h"

#include <stdio.h>
#include <string.h>

#define ESCAPE_MAX 6 /* \u001f */

/* Beside the fields: names, numbers, the time. */
#define LINE_FRAME_MAX 512

/* What is around a field of the program's: ,"":"" */
#define OWN_FRAME_MAX 6

_Static_assert(7 * ESCAPE_MAX * GUST_HTTP_LOG_FIELD_MAX +
                       ESCAPE_MAX * GUST_HTTP_LOG_FIELDS_BYTES_MAX +
                       OWN_FRAME_MAX * GUST_HTTP_LOG_FIELDS_MAX + LINE_FRAME_MAX <=
                   LOG_LINE_MAX,
               "seven fields, and the program's, fit a line");
_Static_assert(LOG_LINE_MAX <= GUST_HTTP_LOG_BUFFER_BYTES_MIN, "a line fits a buffer");

static size_t cut(size_t len)
{
    return len < GUST_HTTP_LOG_FIELD_MAX ? len : GUST_HTTP_LOG_FIELD_MAX;
}

static size_t own_max(const struct log_field *f)
{
    size_t max = 0;

    for (; f; f = f->next)
        max += f->name.len + ESCAPE_MAX * f->value.len + OWN_FRAME_MAX;
    return max;
}

size_t gust__http_log_line_max(const struct log_record *r)
{
    size_t pattern = r->pattern ? cut(strlen(r->pattern)) : 0;

    return own_max(r->fields) +
           ESCAPE_MAX * (cut(r->addr.len) + cut(r->user.len) + cut(r->request.len) +
                         cut(r->host.len) + cut(r->referer.len) + cut(r->agent.len) + pattern) +
           LINE_FRAME_MAX;
}

/* --- Time ------------------------------------------------------------------- */

void gust__http_log_time(struct log_time *t, gust_http_log_format format, time_t now)
{
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm tm;

    if (t->second == now)
        return;
    t->second = now;
    localtime_r(&now, &tm);
    long minutes = tm.tm_gmtoff / 60;
    char sign = minutes < 0 ? '-' : '+';
    unsigned zone = (unsigned)(minutes < 0 ? -minutes : minutes);
    unsigned year = (unsigned)(tm.tm_year + 1900);
    int n;
    /* Not strftime: its months speak the user's language. */
    if (format == GUST_HTTP_LOG_JSON)
        n = snprintf(t->text, sizeof(t->text), "%04u-%02d-%02dT%02d:%02d:%02d%c%02u:%02u", year,
                     tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, sign, zone / 60,
                     zone % 60);
    else
        n = snprintf(t->text, sizeof(t->text), "[%02d/%.3s/%04u:%02d:%02d:%02d %c%02u%02u]",
                     tm.tm_mday, months + 3 * (ptrdiff_t)tm.tm_mon, year, tm.tm_hour, tm.tm_min,
                     tm.tm_sec, sign, zone / 60, zone % 60);
    t->len = n < LOG_TIME_MAX ? (size_t)n : LOG_TIME_MAX - 1;
}

/* --- Pieces ------------------------------------------------------------------- */

static char *put(char *p, const char *text, size_t len)
{
    memcpy(p, text, len);
    return p + len;
}

#define PUT(p, literal) put(p, literal, sizeof(literal) - 1)

static char *put_number(char *p, uint64_t value)
{
    char digits[20];
    char *at = digits + sizeof(digits);

    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    return put(p, at, (size_t)(digits + sizeof(digits) - at));
}

static bool is_plain(char c)
{
    return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* `prefix` and two hexadecimal digits, as nginx ("\x") and JSON ("\u00") write a byte. */
static char *put_escaped(char *p, gust_span s, const char *prefix)
{
    size_t prefix_len = strlen(prefix);

    for (size_t i = 0, n = cut(s.len); i < n; i++) {
        if (is_plain(s.data[i])) {
            *p++ = s.data[i];
        } else {
            p = put(p, prefix, prefix_len);
            p = hex_put(p, (uint8_t)s.data[i]);
        }
    }
    return p;
}

/* --- Common and combined ------------------------------------------------------- */

static char *put_quoted(char *p, gust_span s)
{
    *p++ = '"';
    p = s.data ? put_escaped(p, s, "\\x") : PUT(p, "-");
    *p++ = '"';
    return p;
}

/* Stands between spaces, so it must not have any. */
static char *put_user(char *p, gust_span user)
{
    if (user.len == 0)
        return PUT(p, "-");
    for (size_t i = 0, n = cut(user.len); i < n; i++)
        p = user.data[i] == ' ' ? PUT(p, "\\x20")
                                : put_escaped(p, (gust_span){user.data + i, 1}, "\\x");
    return p;
}

static char *put_common(char *p, const struct log_time *t, const struct log_record *r)
{
    p = put(p, r->addr.data, cut(r->addr.len));
    p = PUT(p, " - ");
    p = put_user(p, r->user);
    *p++ = ' ';
    p = put(p, t->text, t->len);
    *p++ = ' ';
    p = put_quoted(p, r->request);
    *p++ = ' ';
    p = put_number(p, (uint64_t)r->status);
    *p++ = ' ';
    return put_number(p, r->bytes);
}

static char *put_combined(char *p, const struct log_time *t, const struct log_record *r)
{
    p = put_common(p, t, r);
    *p++ = ' ';
    p = put_quoted(p, r->referer);
    *p++ = ' ';
    return put_quoted(p, r->agent);
}

static char *put_own(char *p, const struct log_field *f)
{
    for (; f; f = f->next) {
        *p++ = ' ';
        p = put(p, f->name.data, f->name.len);
        *p++ = '=';
        p = put_quoted(p, f->value);
    }
    return p;
}

/* --- JSON ------------------------------------------------------------------------ */

/* `name` comes with all that is around it: ,"name": */
static char *put_member(char *p, const char *name, gust_span value)
{
    p = put(p, name, strlen(name));
    if (!value.data)
        return PUT(p, "null");
    *p++ = '"';
    p = put_escaped(p, value, "\\u00");
    *p++ = '"';
    return p;
}

/* Six digits behind the point. */
static char *put_seconds(char *p, int64_t ns)
{
    uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;

    p = put_number(p, us / 1000000);
    *p++ = '.';
    for (uint64_t unit = 100000, rest = us % 1000000; unit > 0; unit /= 10)
        *p++ = (char)('0' + rest / unit % 10);
    return p;
}

static char *put_own_json(char *p, const struct log_field *f)
{
    for (; f; f = f->next) {
        p = PUT(p, ",\"");
        p = put(p, f->name.data, f->name.len);
        p = PUT(p, "\":");
        p = put_member(p, "", f->value);
    }
    return p;
}

static gust_span span_or_none(const char *text)
{
    return text ? gust_span_of(text) : (gust_span){NULL, 0};
}

static char *put_json(char *p, const struct log_time *t, const struct log_record *r)
{
    p = put_member(p, "{\"time\":", (gust_span){t->text, t->len});
    p = put_member(p, ",\"addr\":", r->addr);
    p = put_member(p, ",\"user\":", r->user);
    p = put_member(p, ",\"host\":", r->host);
    p = put_member(p, ",\"request\":", r->request);
    p = put_member(p, ",\"protocol\":", span_or_none(r->protocol));
    p = put_member(p, ",\"tls\":", span_or_none(r->tls));
    p = put_member(p, ",\"pattern\":", span_or_none(r->pattern));
    p = PUT(p, ",\"status\":");
    p = put_number(p, (uint64_t)r->status);
    p = PUT(p, ",\"bytes\":");
    p = put_number(p, r->bytes);
    p = PUT(p, ",\"seconds\":");
    p = put_seconds(p, r->duration_ns);
    p = put_member(p, ",\"referer\":", r->referer);
    p = put_member(p, ",\"agent\":", r->agent);
    p = put_own_json(p, r->fields);
    *p++ = '}';
    return p;
}

size_t gust__http_log_line(gust_http_log_format format, const struct log_time *t,
                           const struct log_record *record, char *line)
{
    char *p = line;

    switch (format) {
    case GUST_HTTP_LOG_COMBINED: p = put_own(put_combined(p, t, record), record->fields); break;
    case GUST_HTTP_LOG_COMMON: p = put_own(put_common(p, t, record), record->fields); break;
    case GUST_HTTP_LOG_JSON: p = put_json(p, t, record); break;
    }
    *p++ = '\n';
    return (size_t)(p - line);
}
