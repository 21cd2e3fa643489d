/* Bodies on their way elsewhere: into a connection, or a server's response.
 *
 * What is large and comes without a framing of its own is net's to copy, which moves it by
 * splice where that is cheaper. */
#include "http/client/client.h"

#include "http/filter.h"
#include "http/response.h"

#include <gust/copy.h>

#include <errno.h>

/* From here on it is worth net's preparations. */
#define COPIED_MIN ((uint64_t)64 << 10)

static bool is_plain(const gust_http_call *call)
{
    return call->coding < 0 &&
           ((call->framing == BODY_BY_LENGTH && call->left >= COPIED_MIN) ||
            (call->framing == BODY_BY_CLOSE && call->body_max == GUST_HTTP_UNLIMITED));
}

static int fail(gust_http_call *call, int error)
{
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_BODY, error, "");
}

/* What net says about a round; the bytes have been counted. */
static int judge(gust_http_call *call, int r, uint64_t copied, uint64_t limit)
{
    if (r == 0 && copied < limit) {
        if (call->framing == BODY_BY_LENGTH)
            return gust__call_fail(&call->failure, GUST_HTTP_PHASE_BODY, -ENODATA,
                                   "the connection ended before the body");
        call->body_ended = true;
    }
    if (r == -ETIMEDOUT && copied > 0 && gust_now() < call->deadline)
        return 0; /* it moves */
    /* With something in the view it was the other end's. */
    return r < 0 && gust_conn_view(call->conn).len == 0 ? fail(call, r) : r;
}

/* All that is left, the view first.  *copied grows. */
static int copy_plain(gust_http_call *call, gust_conn *dst, uint64_t *copied)
{
    int r = 0;

    while (r == 0 && !call->body_ended) {
        uint64_t limit = call->framing == BODY_BY_LENGTH ? call->left : GUST_COPY_ALL;
        uint64_t n;
        r = gust_conn_copy(dst, call->conn, limit, call_deadline(call, call->timeouts.body_ns), &n);
        gust__body_count(call, n);
        *copied += n;
        r = judge(call, r, n, limit);
    }
    return r;
}

int gust_http_call_copy(gust_http_call *call, gust_conn *dst, uint64_t *ret_copied)
{
    gust_span piece;
    ssize_t n;

    *ret_copied = 0;
    while ((n = gust__call_peek(call, &piece)) > 0) {
        if (is_plain(call))
            return copy_plain(call, dst, ret_copied);
        n = gust_conn_write(dst, piece.data, piece.len,
                            call_deadline(call, call->timeouts.body_ns));
        if (n < 0)
            return (int)n;
        gust__call_take(call, piece.len);
        *ret_copied += piece.len;
    }
    return (int)n;
}

/* --- Into a response ---------------------------------------------------------------------- */

static bool goes_plain(const gust_http_call *call, const gust_http_response *res)
{
    return is_plain(call) && res->committed && res->framing != FRAMING_CHUNKED &&
           !res->filter_state && gust__http_sends_body(res) && gust__http_admit(res, 1) == 0;
}

static int relay_piece(gust_http_call *call, gust_http_response *res, gust_span piece,
                       uint64_t *copied)
{
    ssize_t written = gust_http_write(res, piece.data, piece.len);

    if (written < 0)
        return (int)written;
    gust__call_take(call, piece.len);
    *copied += piece.len;
    return gust__call_has_more(call) ? 0 : gust_http_flush(res);
}

static int relay_plain(gust_http_call *call, gust_http_response *res, uint64_t *copied)
{
    uint64_t before = *copied;
    int r = copy_plain(call, res->hc->conn, copied);

    res->written += *copied - before;
    return r;
}

static int relay(gust_http_call *call, gust_http_response *res, uint64_t *copied)
{
    gust_span piece;
    ssize_t n;
    int r = 0;

    while (r == 0 && (n = gust__call_peek(call, &piece)) != 0) {
        if (n < 0)
            return (int)n;
        if (goes_plain(call, res))
            r = relay_plain(call, res, copied);
        else
            r = relay_piece(call, res, piece, copied);
    }
    return r;
}

int gust_http_call_relay(gust_http_call *call, gust_http_response *res, uint64_t *ret_copied)
{
    *ret_copied = 0;
    if (call->framing == BODY_BY_LENGTH && call->coding < 0)
        gust__http_declare(res, res->written + call->left);
    int r = relay(call, res, ret_copied);
    /* A chunked response that ended now would look complete. */
    if (r < 0 && (res->committed || res->body_at > 0) && res->error == 0)
        res->error = r;
    return r;
}
