/* Receiving answers: HTTP, and echoes. */
#include "bench/load/worker.h"

#include <gust/resolve.h>

/* A head that does not fit is refused by reply_feed. */
#define VIEW_MAX ANSWER_HEAD_MAX

/* What a receive that brought nothing says. */
static enum outcome explain(struct worker *w, ssize_t n, const char *at_end)
{
    enum outcome o = n == -ETIMEDOUT ? OUTCOME_TIMEOUT : OUTCOME_CLOSED;
    if (n == -ECANCELED)
        return OUTCOME_CANCELED;
    worker_note(w, o, "%s", n == 0 ? at_end : gust_resolve_strerror((int)n));
    return o;
}

/* Returns what gust_conn_fill does. */
static ssize_t fill(struct worker *w, gust_time deadline)
{
    ssize_t n = gust_conn_fill(w->conn, VIEW_MAX, deadline);
    w->now = gust_now();
    return n;
}

/* --- HTTP ---------------------------------------------------------------------------------- */

static enum outcome malformed(struct worker *w)
{
    worker_note(w, OUTCOME_MALFORMED, "%s", w->reply.wrong);
    return OUTCOME_MALFORMED;
}

static enum outcome check(struct worker *w, unsigned i)
{
    const struct plan *p = w->crowd->plan;
    unsigned status = reply_status(&w->reply);

    w->must_close |= !reply_keeps_alive(&w->reply);
    w->received = w->reply.bytes;
    if (pace_counts(&w->crowd->pace, w->starts[i]))
        tally_add(&w->tally->statuses[status], 1);
    if (!p->good[status]) {
        worker_note(w, OUTCOME_STATUS, "%u", status);
        return OUTCOME_STATUS;
    }
    if (p->expect_length >= 0 && w->reply.body_len != (uint64_t)p->expect_length) {
        worker_note(w, OUTCOME_LENGTH, "%llu bytes", (unsigned long long)w->reply.body_len);
        return OUTCOME_LENGTH;
    }
    return OUTCOME_GOOD;
}

static enum outcome ended(struct worker *w, unsigned i, ssize_t n)
{
    if (n == 0 && reply_end(&w->reply) == REPLY_DONE)
        return check(w, i);
    return explain(w, n,
                   w->reply.bytes > 0 ? "the connection ended within an answer"
                                      : "the connection ended before an answer");
}

enum outcome receive_reply(struct worker *w, unsigned i, gust_time deadline)
{
    reply_begin(&w->reply, w->crowd->plan->is_head);
    for (;;) {
        gust_span view = gust_conn_view(w->conn);
        size_t used;
        enum reply_step step = reply_feed(&w->reply, view.data, view.len, &used);
        if (used > 0)
            gust_conn_consume(w->conn, used);
        if (step == REPLY_BAD)
            return malformed(w);
        if (step == REPLY_DONE)
            return check(w, i);
        ssize_t n = fill(w, deadline);
        if (n <= 0)
            return ended(w, i, n);
    }
}

/* --- Echoes -------------------------------------------------------------------------------- */

enum outcome receive_echo(struct worker *w, unsigned i, gust_time deadline)
{
    const gust_span sent = w->pieces[i];
    size_t at = 0;
    while (at < sent.len) {
        gust_span view = gust_conn_view(w->conn);
        size_t n = view.len < sent.len - at ? view.len : sent.len - at;
        if (memcmp(view.data, sent.data + at, n) != 0) {
            worker_note(w, OUTCOME_ECHO, "these are not the bytes that were sent");
            return OUTCOME_ECHO;
        }
        gust_conn_consume(w->conn, n);
        at += n;
        ssize_t more = n > 0 ? 1 : fill(w, deadline);
        if (more <= 0)
            return explain(w, more, "the connection ended within a message");
    }
    w->received = at;
    return OUTCOME_GOOD;
}
