/* Reading a request head: from bytes to what the request says about itself.
 *
 * Two readers look at every head and both must accept it.  The scan in head.c
 * finds the end of the head, line by line as it arrives, and checks it against
 * RFC 9112 to the letter.  llhttp then reads the complete head once, and what it
 * made of it must agree.  The scan exists because llhttp 8.1 lets pass, in its
 * strict mode too: folded lines, several spaces in the request line, fragments,
 * any Transfer-Encoding it does not know, white space it skips, and more than
 * one Host or none (tests/http/test_head.c has the list).
 *
 * All offsets count from the start of the view, which may move while a head is
 * arriving. */
#ifndef GUST_HTTP_HEAD_H
#define GUST_HTTP_HEAD_H

#include "http/syntax.h"

struct head_limits {
    size_t line_max;
    size_t bytes_max;
    unsigned fields_max;
};

/* A piece of the head. */
struct head_part {
    uint32_t at;
    uint32_t len;
};

struct http_head {
    /* How far the scan has come. */
    struct http_lines lines;
    bool line_seen; /* the request line is complete */
    bool blank_seen;
    unsigned fields;

    /* Of a complete head. */
    struct head_part method;
    struct head_part target;
    struct head_part path;
    struct head_part query; /* at == 0: none */
    struct head_part host;  /* at == 0: none */
    uint32_t start;         /* where the request line is: 2 after an empty line */
    uint32_t fields_at;
    uint32_t len; /* with the empty line */
    uint64_t content_length;
    uint8_t method_code; /* gust_http_method */
    uint8_t minor;
    bool target_names_host;
    bool has_host;
    bool has_length;
    bool has_coding;
    bool chunked;
    bool expects_continue;
    bool expects_other;
    bool keep_alive;
};

/* The scan's answer is one of these or the status to refuse the request with. */
enum { HEAD_MORE = 0, HEAD_DONE = 1 };

void gust__http_head_init(struct http_head *h);

/* Goes on with p[0..n), which holds the same bytes as in the last call and new
 * ones behind them.  HEAD_MORE: no end of the head among them yet. */
int gust__http_head_scan(struct http_head *h, const struct head_limits *limits, const char *p,
                         size_t n);

/* Sets path, query and perhaps host from the target.  False if its form is not
 * one of RFC 9112, 3.2, or not one for this method. */
bool gust__http_target_split(struct http_head *h, const char *p);

#endif
