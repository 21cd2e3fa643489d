/* Where the answers in a stream end: heads, and bodies by length, chunked, or up to the end.
 *
 * Most answers of a run have the same head, byte for byte, as the one before them on the
 * connection.  Such a head frames its body in the same way, and is not parsed again; that is
 * what keeps a request as cheap as it is.  Others go through the parser of gust's client.
 * Pure. */
#ifndef GUST_LOAD_REPLY_H
#define GUST_LOAD_REPLY_H

#include "http/chunked.h"
#include "http/response_head.h"

/* Longer heads are parsed each time. */
#define REPLY_KNOWN_MAX 512

enum reply_step {
    REPLY_MORE, /* what was used is done with; the rest comes again, with more behind it */
    REPLY_DONE,
    REPLY_BAD, /* `wrong` says why */
};

/*            final head                 the length is used up
 *  REPLY_HEAD ----------> REPLY_LENGTH ------------------------> REPLY_COMPLETE
 *    |  ^ interim   \---> REPLY_CHUNKED ----> REPLY_TRAILERS ----------^
 *    \--/            \--> REPLY_TO_END, which the end of the stream completes  */
enum reply_state {
    REPLY_HEAD,
    REPLY_LENGTH,
    REPLY_CHUNKED,
    REPLY_TRAILERS,
    REPLY_TO_END,
    REPLY_COMPLETE,
};

struct reply {
    enum reply_state state;
    bool has_no_body;  /* it answers HEAD */
    uint64_t body_len; /* of the body, so far */
    uint64_t bytes;    /* of all that was used */
    uint64_t left;     /* REPLY_LENGTH */
    const char *wrong; /* REPLY_BAD */
    struct chunked chunked;
    struct http_lines lines;   /* of the trailers */
    struct response_head head; /* of this answer, once it is complete */
    size_t known_len;          /* the head that `head` is of; 0: none */
    char known[REPLY_KNOWN_MAX];
};

/* Once for each answer, on the same memory, which is all zeroes at first. */
void reply_begin(struct reply *r, bool has_no_body);

/* Goes on with p[0..n): the bytes that were not used, and new ones behind them.  *ret_used is
 * set in every case. */
enum reply_step reply_feed(struct reply *r, const char *p, size_t n, size_t *ret_used);

/* The stream has ended.  REPLY_MORE: within the answer. */
enum reply_step reply_end(const struct reply *r);

static inline unsigned reply_status(const struct reply *r)
{
    return r->head.status;
}

/* Of a complete answer: the connection can be used again. */
static inline bool reply_keeps_alive(const struct reply *r)
{
    return r->head.keep_alive && r->state != REPLY_TO_END;
}

#endif
