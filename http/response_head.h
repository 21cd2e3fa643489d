/* Reading a response head: the same two readers as for requests (http/head.h), with the same
 * result for who reads both, a proxy above all.
 *
 * Refused is what could be framed in two ways: more than one Content-Length, any
 * Transfer-Encoding but a single "chunked", both of them, and a coding from an HTTP/1.0
 * server.  Not forgiven are folded lines, bare LF, and white space before a colon. */
#ifndef GUST_HTTP_RESPONSE_HEAD_H
#define GUST_HTTP_RESPONSE_HEAD_H

#include "http/head.h"

struct response_limits {
    size_t bytes_max;
    unsigned fields_max;
};

struct response_head {
    /* How far the scan has come. */
    struct http_lines lines;
    bool line_seen;
    unsigned fields;

    /* Of a complete head. */
    struct head_part reason;
    uint32_t fields_at;
    uint32_t len; /* with the empty line */
    uint64_t content_length;
    uint16_t status; /* 100 to 999 */
    uint8_t minor;
    bool has_length;
    bool chunked;
    bool keep_alive; /* by version and Connection; framing by the close is not in it */

    const char *wrong; /* why it was refused */
};

enum response_scan {
    RESPONSE_MORE,
    RESPONSE_COMPLETE,
    RESPONSE_MALFORMED,
    RESPONSE_TOO_LARGE,
};

static inline void response_head_init(struct response_head *h)
{
    *h = (struct response_head){.status = 0};
}

/* Goes on with p[0..n), which holds the same bytes as in the last call and new ones behind
 * them. */
enum response_scan gust__http_response_scan(struct response_head *h,
                                            const struct response_limits *limits, const char *p,
                                            size_t n);

#endif
