#include "bench/load/reply.h"

#include "bench/load/limits.h"

void reply_begin(struct reply *r, bool has_no_body)
{
    r->state = REPLY_HEAD;
    r->has_no_body = has_no_body;
    r->body_len = r->bytes = 0;
    if (r->known_len == 0)
        response_head_init(&r->head);
}

static enum reply_step refuse(struct reply *r, const char *why)
{
    r->wrong = why;
    return REPLY_BAD;
}

/* --- Heads ------------------------------------------------------------------------------- */

/* The bytes are those of the known head, as far as they go; all of it, if n is at least known_len. */
static bool looks_known(const struct reply *r, const char *p, size_t n)
{
    return r->known_len > 0 && memcmp(p, r->known, n < r->known_len ? n : r->known_len) == 0;
}

static void keep_known(struct reply *r, const char *p)
{
    size_t len = r->head.len;
    r->known_len = len <= sizeof r->known ? len : 0;
    memcpy(r->known, p, r->known_len);
}

/* RFC 9112, 6.3. */
static void choose_framing(struct reply *r)
{
    const struct response_head *h = &r->head;
    if (r->has_no_body || h->status == 204 || h->status == 304) {
        r->state = REPLY_LENGTH;
        r->left = 0;
    } else if (h->chunked) {
        r->state = REPLY_CHUNKED;
        r->chunked = (struct chunked){0};
    } else if (h->has_length) {
        r->state = REPLY_LENGTH;
        r->left = h->content_length;
    } else {
        r->state = REPLY_TO_END;
    }
}

/* Interim answers are passed over: the next head is still to come. */
static enum reply_step take_head(struct reply *r, const char *p)
{
    if (r->head.status == 101)
        return refuse(r, "the server switches to another protocol");
    if (r->head.status < 200) {
        response_head_init(&r->head);
        return REPLY_DONE;
    }
    keep_known(r, p);
    choose_framing(r);
    return REPLY_DONE;
}

/* REPLY_DONE: the head is. */
static enum reply_step feed_head(struct reply *r, const char *p, size_t n, size_t *used)
{
    static const struct response_limits limits = {ANSWER_HEAD_MAX, ANSWER_FIELDS_MAX};

    if (looks_known(r, p, n)) {
        if (n < r->known_len)
            return REPLY_MORE;
        *used = r->known_len;
        choose_framing(r);
        return REPLY_DONE;
    }
    if (r->known_len > 0) {
        r->known_len = 0;
        response_head_init(&r->head);
    }
    switch (gust__http_response_scan(&r->head, &limits, p, n)) {
    case RESPONSE_MORE: return REPLY_MORE;
    case RESPONSE_COMPLETE: break;
    case RESPONSE_MALFORMED:
    case RESPONSE_TOO_LARGE: return refuse(r, r->head.wrong);
    }
    *used = r->head.len;
    return take_head(r, p);
}

/* --- Bodies ------------------------------------------------------------------------------ */

static size_t take_body(struct reply *r, uint64_t *left, size_t n)
{
    size_t taken = n < *left ? n : (size_t)*left;
    *left -= taken;
    r->body_len += taken;
    return taken;
}

/* The trailers are an empty line, nearly always. */
static enum reply_step feed_trailers(struct reply *r, const char *p, size_t n, size_t *used)
{
    gust_span line;
    enum http_line found;

    while ((found = gust__http_line_next(&r->lines, p, n, &line)) == LINE_OK) {
        if (line.len > 0)
            continue;
        *used = r->lines.at;
        r->state = REPLY_COMPLETE;
        return REPLY_DONE;
    }
    if (found == LINE_BAD || n > ANSWER_HEAD_MAX)
        return refuse(r, "malformed trailers");
    return REPLY_MORE;
}

static enum reply_step feed_chunked(struct reply *r, const char *p, size_t n, size_t *used)
{
    for (;;) {
        size_t skip;
        enum chunk_next next = gust__chunked_next(&r->chunked, p + *used, n - *used, &skip);
        *used += skip;
        switch (next) {
        case CHUNK_NEXT_MORE: return REPLY_MORE;
        case CHUNK_NEXT_BAD: return refuse(r, "malformed chunk");
        case CHUNK_NEXT_DATA: *used += take_body(r, &r->chunked.left, n - *used); break;
        case CHUNK_NEXT_TRAILERS:
            r->state = REPLY_TRAILERS;
            r->lines = (struct http_lines){0};
            return REPLY_DONE;
        }
    }
}

static enum reply_step feed_length(struct reply *r, size_t n, size_t *used)
{
    *used = take_body(r, &r->left, n);
    if (r->left > 0)
        return REPLY_MORE;
    r->state = REPLY_COMPLETE;
    return REPLY_DONE;
}

/* REPLY_DONE: this step is done, and the state says what is next. */
static enum reply_step feed_step(struct reply *r, const char *p, size_t n, size_t *used)
{
    switch (r->state) {
    case REPLY_HEAD: return feed_head(r, p, n, used);
    case REPLY_LENGTH: return feed_length(r, n, used);
    case REPLY_CHUNKED: return feed_chunked(r, p, n, used);
    case REPLY_TRAILERS: return feed_trailers(r, p, n, used);
    case REPLY_TO_END:
        *used = n;
        r->body_len += n;
        return REPLY_MORE;
    case REPLY_COMPLETE: break;
    }
    return REPLY_DONE;
}

enum reply_step reply_feed(struct reply *r, const char *p, size_t n, size_t *ret_used)
{
    enum reply_step step = REPLY_DONE;

    *ret_used = 0;
    while (step == REPLY_DONE && r->state != REPLY_COMPLETE) {
        size_t used = 0;
        step = feed_step(r, p + *ret_used, n - *ret_used, &used);
        *ret_used += used;
    }
    r->bytes += *ret_used;
    return step;
}

enum reply_step reply_end(const struct reply *r)
{
    return r->state == REPLY_TO_END ? REPLY_DONE : REPLY_MORE;
}
