/* What a connection does for its layer (layer.h). */
#include <errno.h>
#include <string.h>

#include "net/conn.h"

static int lend_locked(gust_conn *c, gust__loan *ret_loan)
{
    int error = gust__conn_filling_locked(c);
    if (error)
        return error;
    gust__conn_writer *wr = c->wr;
    wr->lent = true;
    *ret_loan = (gust__loan){wr->filling + wr->filling_len, GUST_CONN_WBUF - wr->filling_len};
    return 0;
}

int gust__conn_lend(gust_conn *c, bool closer, gust__loan *ret_loan)
{
    GUST__CALL();
    int error = 0;
    *ret_loan = (gust__loan){0};
    gust__lock_take(&c->lock, RANK_CONN);
    if (c->closing && !closer)
        error = -EBADF;
    else if (!c->wr_error && !c->discard)
        error = lend_locked(c, ret_loan);
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_give_back(gust_conn *c, size_t added, bool flush)
{
    GUST__CALL();
    gust__waiter *waiters = NULL;
    gust__lock_take(&c->lock, RANK_CONN);
    gust__conn_writer *wr = c->wr, *at_rest;
    if (wr && wr->lent) {
        const bool over = c->wr_error || c->discard;
        wr->lent = false;
        wr->filling_len += (uint32_t)added;
        if (over)
            waiters = gust__conn_waiters_locked(c, WAIT_SENT, OUTCOME_DONE);
        if (over || wr->filling_len == 0)
            gust__conn_drop_filling_locked(c);
        else if (flush || wr->wanted)
            gust__conn_send_locked(c);
    }
    at_rest = gust__conn_writer_rest_locked(c);
    gust__lock_drop(&c->lock);
    gust__conn_writer_free(at_rest);
    gust__waiters_ready(waiters);
}

int gust__conn_room(gust_conn *c, size_t *ret_room, bool *ret_idle)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = gust__conn_write_check_locked(c);
    if (!error && gust__conn_limit_passed_locked(c, SIDE_WRITE))
        error = -ETIMEDOUT;
    *ret_room = GUST_CONN_WBUF - conn_filled(c);
    *ret_idle = !conn_is_sending(c);
    gust__lock_drop(&c->lock);
    return error;
}

int gust__conn_wait_room(gust_conn *c, size_t len, gust_time deadline)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = gust__conn_wait_room_locked(c, len, deadline);
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_spoil(gust_conn *c, int error)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    gust__conn_fail_locked(c, error == -EBADF ? -ECANCELED : error);
    gust__waiter *waiters = gust__conn_waiters_locked(c, WAIT_SENT, OUTCOME_DONE);
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
}

void gust__conn_raw_flush(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    gust__conn_send_locked(c);
    gust__lock_drop(&c->lock);
}

/* What the kernel takes of the filling block at once. */
static void send_now_locked(gust_conn *c, bool dispensable)
{
    gust__conn_writer *wr = c->wr;
    ssize_t n = send(c->fd.fd, wr->filling, wr->filling_len, MSG_DONTWAIT | MSG_NOSIGNAL);
    bool failed = n < 0 && errno != EAGAIN && errno != EINTR;
    if (n > 0) {
        wr->filling_len -= (uint32_t)n;
        memmove(wr->filling, wr->filling + n, wr->filling_len);
    }
    if (wr->filling_len == 0 || (failed && dispensable))
        gust__conn_drop_filling_locked(c);
}

void gust__conn_send_now(gust_conn *c, bool dispensable)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    if (conn_filled(c) > 0 && !c->wr->busy && !c->wr->lent)
        send_now_locked(c, dispensable);
    gust__lock_drop(&c->lock);
}
