/* The access log.  log.c gathers lines and writes them, log_line.c makes them. */
#ifndef GUST_HTTP_LOG_INTERNAL_H
#define GUST_HTTP_LOG_INTERNAL_H

#include <gust/http_log.h>
#include <time.h>

/* A field of the program's own. */
struct log_field {
    struct log_field *next;
    gust_span name;
    gust_span value;
};

/* What is told of a request.  A span without data, and a NULL, are not there. */
struct log_record {
    gust_span addr;
    gust_span user;
    gust_span request; /* its line, as it came; none of a head that never was complete */
    gust_span host;
    gust_span referer;
    gust_span agent;
    const struct log_field *fields;
    const char *pattern;
    const char *protocol;
    const char *tls; /* "1.3" */
    int status;
    uint64_t bytes;
    int64_t duration_ns;
};

/* "[29/Nov/2026:01:50:06 +0000]", "2026-11-29T01:50:06+00:00": made once a second. */
#define LOG_TIME_MAX 32

struct log_time {
    time_t second; /* 0: none yet */
    char text[LOG_TIME_MAX];
    size_t len;
};

/* Brings it up to date, in the local time zone. */
void gust__http_log_time(struct log_time *t, gust_http_log_format format, time_t now);

/* Room that is enough for the line of this record. */
size_t gust__http_log_line_max(const struct log_record *record);

/* The most that this can be: no buffer is smaller. */
#define LOG_LINE_MAX 131072

/* Writes the line, with its line end; returns its length. */
size_t gust__http_log_line(gust_http_log_format format, const struct log_time *t,
                           const struct log_record *record, char *line);

gust_http_log *gust__http_log_ref(gust_http_log *log);
void gust__http_log_unref(gust_http_log *log);

/* True if the lines say which version of TLS it was, which costs something to ask. */
bool gust__http_log_wants_tls(const gust_http_log *log);

/* Logs a request: one lock, no system call.  Waits only if the log's options say so. */
void gust__http_log_put(gust_http_log *log, const struct log_record *record);

#endif
