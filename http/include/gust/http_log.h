/* The access log: a line for every request, written off the hot path.
 *
 *     gust_http_log_new(&(gust_http_log_options){.path = "/var/log/site.log"}, &log);
 *     options.log = log;
 *     ...
 *     gust_http_log_close(log, gust_after(GUST_SEC));
 *
 * A request's goroutine puts the line into a buffer and never waits for the disk; one
 * goroutine writes what has gathered, when a buffer is half full or the first line in it
 * is a second old.  If the disk cannot keep up, lines are dropped and counted.
 *
 * Every server request has a line, also those that no handler saw (400, 408, 431 ...) and
 * those whose response was cut off.  Lines that were logged at about the same time by
 * different CPUs may be in any order.
 *
 * Whatever a client sends is escaped, so that a line stays a line and a field a field. */
#ifndef GUST_HTTP_LOG_H
#define GUST_HTTP_LOG_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_http_log gust_http_log;

/* A request that got no response, because its handler ended the goroutine or hijacked the
 * connection, has status 0; an upgrade has 101.  The duration is from the
 * end of the header to the end of the handler. */
typedef enum gust_http_log_format {
    /* ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT", as nginx and Apache
     * write it; "-" for what is not there.  In quotes, and in USER, the quote, the
     * backslash, and bytes that are no visible ASCII become \xHH. */
    GUST_HTTP_LOG_COMBINED,
    GUST_HTTP_LOG_COMMON, /* the same without REFERER and AGENT */
    /* An object per line, of ASCII alone, with "time", "addr", "user", "host", "request",
     * "protocol", "tls", "pattern" (of the router), "status", "bytes", "seconds",
     * "referer" and "agent"; null for what is not there.  A byte above ASCII is written
     * as the character of Latin-1. */
    GUST_HTTP_LOG_JSON,
} gust_http_log_format;

/* What a zero in the options means. */
#define GUST_HTTP_LOG_BUFFER_BYTES 262144
#define GUST_HTTP_LOG_FLUSH_NS GUST_SEC

#define GUST_HTTP_LOG_BUFFER_BYTES_MIN 131072
#define GUST_HTTP_LOG_BUFFER_BYTES_MAX (1 << 30)

/* Of a longer field only so many bytes are logged. */
#define GUST_HTTP_LOG_FIELD_MAX 2048

typedef struct gust_http_log_options {
    gust_http_log_format format;

    /* A file to append to, made if it is not there (mode 0640); "/dev/stdout" is fine. */
    const char *path;

    /* Or a function that gets the lines, some at a time, in the place of a file.  Called
     * by one goroutine at a time, and may block.  Returns 0 or an error: the lines
     * are lost then, and counted. */
    int (*write)(const char *lines, size_t len, void *arg);
    void *arg;

    /* Of each of the two buffers, of which there is a pair for every P (at most 16). */
    size_t buffer_bytes;
    int64_t flush_ns; /* how old a line in a buffer gets */

    /* A request waits for room in the buffer; no line is dropped. */
    bool block_when_full;
} gust_http_log_options;

/* Opens the file and starts the goroutine that writes.  Options are copied.
 * Errors: -EINVAL unless there is one of path and write, or for a buffer size out of
 * bounds, a negative flush_ns; those of gust_file_open; -ENOMEM.  Only from a goroutine. */
int gust_http_log_new(const gust_http_log_options *options, gust_http_log **ret_log);

/* What all fields of one request may have: names and values together. */
#define GUST_HTTP_LOG_FIELDS_MAX 16
#define GUST_HTTP_LOG_FIELDS_BYTES_MAX 2048

/* Adds a field of the program's own to the line of this request: a member of the object in
 * JSON, name="value" at the end of the line in the other formats.  Copied.  Does nothing, and
 * costs next to nothing, if the server has no log.  The name is letters, digits and '_'; one
 * that the line has anyway is there twice.
 * Errors: -EINVAL for another name; -ENOBUFS beyond the limits; -ENOMEM. */
int gust_http_log_field(gust_http_request *req, const char *name, const char *value);

/* Writes what has gathered, and waits for that.  Errors: -ETIMEDOUT, -ECANCELED if
 * somebody else is writing so long; that of the write. */
int gust_http_log_flush(gust_http_log *log, gust_time deadline);

/* For log rotation, after the file was renamed: writes what has gathered to the old file,
 * and opens the path anew.  Errors: -EINVAL if there is no path; those of gust_file_open
 * and of gust_http_log_flush; the old file stays then. */
int gust_http_log_reopen(gust_http_log *log, gust_time deadline);

typedef struct gust_http_log_stats {
    uint64_t written; /* lines */
    uint64_t dropped; /* for want of room, because a write failed, or after the close */
    int error;        /* of the last write; 0 if it went well */
} gust_http_log_stats;

void gust_http_log_stats_read(gust_http_log *log, gust_http_log_stats *ret_stats);

/* Writes what has gathered, ends the goroutine, and drops the caller's reference.  A
 * server that has the log in its options holds one of its own; what it logs after this is
 * dropped.  NULL is accepted.  Errors: -ETIMEDOUT, -ECANCELED if the file takes that
 * long; the goroutine ends once it has; that of the last write. */
int gust_http_log_close(gust_http_log *log, gust_time deadline);

#ifdef __cplusplus
}
#endif
#endif
