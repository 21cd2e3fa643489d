/* What a client knows already, and what part it wants: dates, entity tags, conditional
 * requests and byte ranges (RFC 9110, 5.6.7, 8.8, 13 and 14).  For handlers that serve
 * something with a version. */
#ifndef GUST_HTTP_CONDITIONS_H
#define GUST_HTTP_CONDITIONS_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Dates ---------------------------------------------------------------- */

/* "Sun, 06 Nov 1994 08:49:37 GMT" and a NUL. */
#define GUST_HTTP_DATE_SIZE 30

/* Writes a date in that form.  Errors: -EINVAL before 1970 and beyond the year 9999. */
int gust_http_date_format(int64_t seconds, char text[GUST_HTTP_DATE_SIZE]);

/* Reads a date in one of the three forms.  The year of the second one has two digits: it
 * is never more than 50 years ahead.  Day names are not checked against their date.
 * Errors: -EBADMSG. */
int gust_http_date_parse(gust_span text, int64_t *ret_seconds);

/* --- Entity tags ---------------------------------------------------------- */

/* True if it is one: "..." or W/"...", with the quotes. */
bool gust_http_etag_valid(gust_span etag);

/* Strong comparison: the same bytes, neither is weak.  Weak: W/ is not looked at. */
bool gust_http_etag_strong_equal(gust_span a, gust_span b);
bool gust_http_etag_weak_equal(gust_span a, gust_span b);

/* --- Conditions ----------------------------------------------------------- */

/* What the server has now. */
typedef struct gust_http_version {
    bool exists;    /* there is something: "*" matches */
    gust_span etag; /* data NULL: it has none */
    bool has_modified;
    int64_t modified_s; /* since 1970 */
} gust_http_version;

/* The request's fields; data is NULL for what it does not have. */
typedef struct gust_http_conditions {
    bool is_get; /* GET or HEAD */
    gust_span if_match;
    gust_span if_none_match;
    gust_span if_modified_since;
    gust_span if_unmodified_since;
    gust_span if_range;
    gust_span range;
} gust_http_conditions;

/* The fields of a request, the first of each name. */
void gust_http_conditions_read(const gust_http_request *req, gust_http_conditions *ret_conditions);

/* What the answer is, in the order of RFC 9110, 13.2.2: 412 if the request must not be
 * carried out, 304 if the client has this version, else 200.  Dates that are malformed
 * are as if they were not there; a malformed list of tags matches none behind the fault. */
int gust_http_conditions_eval(const gust_http_conditions *conditions,
                              const gust_http_version *version);

/* True if the Range field is to be obeyed (by a GET that was answered 200 above): there is
 * one, and If-Range, if there is one, names this very version.  A date does if it is the
 * same to the second, as with Go. */
bool gust_http_conditions_range(const gust_http_conditions *conditions,
                                const gust_http_version *version);

/* --- Ranges --------------------------------------------------------------- */

/* `len` bytes from `at`, at least one. */
typedef struct gust_http_range {
    uint64_t at;
    uint64_t len;
} gust_http_range;

/* Reads a Range field for a content of `length` bytes.  Returns how many of its ranges
 * there are in it, written to ret_ranges in their order: answer 206.  Returns 0 if the
 * field is to be ignored, which is always allowed: it is malformed, in another unit,
 * has more than `max` ranges, they are longer together than the content, or
 * that is empty.
 * Errors: -ERANGE if nothing of what it wants is there: answer 416. */
int gust_http_ranges(gust_span field, uint64_t length, gust_http_range *ret_ranges, unsigned max);

#ifdef __cplusplus
}
#endif
#endif
