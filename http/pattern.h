/* Patterns of a router, as <gust/http_router.h> describes them: what one says, and how
 * two of them relate.
 *
 * What a pattern matches is a product: a set of methods, times one set of choices for
 * each segment.  So two patterns are compared part by part, and what holds of the whole
 * follows: if the parts disagree on who is more general, the patterns overlap. */
#ifndef GUST_HTTP_PATTERN_H
#define GUST_HTTP_PATTERN_H

#include "http/method.h"

enum segment_kind {
    SEGMENT_LITERAL, /* text: decoded */
    SEGMENT_SLASH,   /* {$}: a slash and the end of the path */
    SEGMENT_SINGLE,  /* {name}: one segment, not empty */
    SEGMENT_MULTI,   /* {name...} or a slash at the end (no name): the rest */
};

struct pattern_segment {
    enum segment_kind kind;
    gust_span text; /* the literal, or the wildcard's name */
};

/* Always: only the last segment is SLASH or MULTI, and there is at least one. */
struct http_pattern {
    const char *text;                  /* as it was given */
    gust_span host;                    /* in lower case; empty: any */
    uint64_t methods;                  /* never empty */
    unsigned count;                    /* of segments */
    struct pattern_segment segments[]; /* and, behind them, the bytes they point to */
};

/* Reads a pattern into memory of its own, for free().
 * Errors: -EINVAL, with what is wrong in *ret_why; -ENOMEM. */
int gust__http_pattern_new(const char *text, struct http_pattern **ret_pattern,
                           const char **ret_why);

/* What a matches, seen from b.  Bits: they add up as the parts are compared. */
enum {
    PATTERN_EQUAL = 0,
    PATTERN_GENERAL = 1,  /* all that b does, and more */
    PATTERN_SPECIFIC = 2, /* part of what b does */
    PATTERN_OVERLAP = PATTERN_GENERAL | PATTERN_SPECIFIC,
    PATTERN_DISJOINT = 4, /* whatever the other bits say */
};

/* For patterns of the same host. */
unsigned gust__http_pattern_compare(const struct http_pattern *a, const struct http_pattern *b);

/* True if there is a request for which neither is the better one. */
bool gust__http_pattern_conflict(const struct http_pattern *a, const struct http_pattern *b);

#endif
