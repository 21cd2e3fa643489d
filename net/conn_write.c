/* Writing to a connection.
 *
 * Small writes are copied into the filling block and go out in the background,
 * so the writer need not wait for the kernel:
 *
 *   append --> filling --gust__conn_send_locked--> sending --send_done--> given back
 *
 * At most one send is under way (`busy`): that keeps the order.  What is flushed
 * meanwhile is `wanted`: send_done starts it.  A write larger than a block waits
 * until nothing is under way (conn_large.c).
 *
 * A send that fails leaves its error in wr_error for good: nobody knows how much
 * the peer has got. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/blocks.h"
#include "core/inject.h"
#include "net/conn.h"

_Static_assert(GUST_CONN_WBUF == GUST__BLOCK_SIZE, "a write buffer is a block");

/* --- What a writer needs --------------------------------------------------- */

int gust__conn_writer_locked(gust_conn *c)
{
    if (c->wr)
        return 0;
    gust__conn_writer *wr = gust__malloc(sizeof *wr);
    if (!wr)
        return -ENOMEM;
    *wr = (gust__conn_writer){.conn = c};
    gust__deadline_init(&wr->deadline);
    c->wr = wr;
    return 0;
}

void gust__conn_writer_free(gust__conn_writer *wr)
{
    if (!wr)
        return;
    gust__deadline_fini(&wr->deadline);
    gust__block_put(wr->filling);
    free(wr);
}

gust__conn_writer *gust__conn_writer_rest_locked(gust_conn *c)
{
    gust__conn_writer *wr = c->wr;
    if (!wr || c->park_use != PARK_WAIT || c->inside[SIDE_WRITE] || wr->busy || wr->filling ||
        wr->lent)
        return NULL;
    c->wr = NULL;
    return wr;
}

/* --- Sends in the background --------------------------------------------- */

static void send_done(gust__op *op);
static void send_next_locked(gust_conn *c, int res);

/* Nobody is told of a send that is done at once: if somebody waits, it takes the long
 * way. */
static void send_rest_locked(gust_conn *c)
{
    gust__conn_writer *wr = c->wr;
    wr->send = (gust__op){
        .code = GUST__OP_SEND,
        .fd = &c->fd,
        .buf = wr->sending + wr->sent_len,
        .len = wr->sending_len - wr->sent_len,
        .done = send_done,
    };
    if (c->waiters.head)
        gust__op_start(&wr->send);
    else if (gust__op_start_or_do(&wr->send))
        send_next_locked(c, wr->send.res);
}

void gust__conn_send_locked(gust_conn *c)
{
    gust__conn_writer *wr = c->wr;
    if (!wr)
        return;
    wr->wanted = wr->busy || wr->lent;
    if (wr->wanted || wr->filling_len == 0)
        return;
    wr->sending = wr->filling;
    wr->sending_len = wr->filling_len;
    wr->sent_len = 0;
    wr->filling = NULL;
    wr->filling_len = 0;
    wr->busy = true;
    send_rest_locked(c);
}

void gust__conn_drop_filling_locked(gust_conn *c)
{
    gust__conn_writer *wr = c->wr;
    if (!wr || wr->lent)
        return; /* gust__conn_give_back sees to it */
    gust__block_put(wr->filling);
    wr->filling = NULL;
    wr->filling_len = 0;
    wr->wanted = false;
}

void gust__conn_fail_locked(gust_conn *c, int error)
{
    if (!c->wr_error)
        c->wr_error = error;
    gust__conn_drop_filling_locked(c);
}

/* What comes after a send that reported res. */
static void send_next_locked(gust_conn *c, int res)
{
    gust__conn_writer *wr = c->wr;
    if (res > 0)
        wr->sent_len += (uint32_t)res;
    bool complete = wr->sent_len == wr->sending_len;
    if (res > 0 && !complete && !c->discard) {
        send_rest_locked(c); /* the next one meets the error that stopped this one */
        return;
    }
    gust__block_put(wr->sending);
    wr->sending = NULL;
    wr->busy = false;
    if (!complete) /* ETIMEDOUT: the peer is gone; it has no deadline that could have come */
        gust__conn_fail_locked(c, res == -ETIMEDOUT ? -ECONNRESET : res < 0 ? res : -ECANCELED);
    else if (wr->wanted)
        gust__conn_send_locked(c);
}

/* On g0.  While `busy` is set the conn cannot be freed under us; once it is
 * clear and the lock dropped, it can. */
static void send_done(gust__op *op)
{
    gust_conn *c = ((gust__conn_writer *)((char *)op - offsetof(gust__conn_writer, send)))->conn;
    gust__lock_take(&c->lock, RANK_CONN);
    send_next_locked(c, op->res);
    gust__waiter *waiters = gust__conn_waiters_locked(c, WAIT_SENT, OUTCOME_DONE);
    gust__conn_writer *at_rest = gust__conn_writer_rest_locked(c);
    bool last = c->abandoned && !conn_is_sending(c);
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
    gust__conn_writer_free(at_rest);
    if (last)
        gust__conn_free(c);
}

void gust__conn_discard_locked(gust_conn *c)
{
    c->discard = true;
    gust__conn_drop_filling_locked(c);
    if (conn_is_sending(c))
        gust__op_cancel(&c->wr->send);
}

/* --- Waiting ------------------------------------------------------------- */

int gust__conn_wait_sent_locked(gust_conn *c, gust_time deadline, bool steadfast)
{
    const uint32_t moves = c->moves[SIDE_WRITE];
    if (!steadfast && gust__conn_limit_passed_locked(c, SIDE_WRITE))
        return -ETIMEDOUT;
    if (!steadfast && c->limit[SIDE_WRITE] < deadline)
        deadline = c->limit[SIDE_WRITE];
    int error = gust__conn_wait_locked(c, WAIT_SENT, deadline, steadfast);
    if (error != -ETIMEDOUT || steadfast)
        return error;
    if (c->moves[SIDE_WRITE] != moves)
        return 0; /* the caller waits again, with the new one */
    gust__conn_limit_ended_locked(c, SIDE_WRITE, deadline);
    return error;
}

void gust__conn_settle_locked(gust_conn *c)
{
    while (conn_is_sending(c))
        (void)gust__conn_wait_sent_locked(c, GUST_FOREVER, true);
}

int gust__conn_write_check_locked(const gust_conn *c)
{
    return c->closing ? -EBADF : c->wr_error;
}

int gust__conn_wait_room_locked(gust_conn *c, size_t len, gust_time deadline)
{
    int error;
    while (!(error = gust__conn_write_check_locked(c)) && GUST_CONN_WBUF - conn_filled(c) < len) {
        gust__conn_send_locked(c);
        if (conn_filled(c) > 0 && (error = gust__conn_wait_sent_locked(c, deadline, false)))
            break;
    }
    return error;
}

int gust__conn_drain_locked(gust_conn *c, gust_time deadline, bool closer)
{
    while (!c->wr_error && (conn_is_sending(c) || conn_filled(c) > 0)) {
        if (c->closing && !closer)
            return -EBADF;
        if (!closer && gust__conn_limit_passed_locked(c, SIDE_WRITE))
            return -ETIMEDOUT;
        gust__conn_send_locked(c);
        int error = 0;
        if (conn_is_sending(c) || conn_filled(c) > 0)
            error = gust__conn_wait_sent_locked(c, deadline, closer);
        if (error)
            return error;
    }
    return c->wr_error;
}

/* --- The calls ----------------------------------------------------------- */

int gust__conn_filling_locked(gust_conn *c)
{
    int error = gust__conn_writer_locked(c);
    if (error)
        return error;
    gust__conn_writer *wr = c->wr;
    return wr->filling || (wr->filling = gust__block_get()) ? 0 : -ENOMEM;
}

static int append_locked(gust_conn *c, const struct iovec *iov, int count)
{
    int error = gust__conn_filling_locked(c);
    if (error)
        return error;
    gust__conn_writer *wr = c->wr;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0)
            memcpy(wr->filling + wr->filling_len, iov[i].iov_base, iov[i].iov_len);
        wr->filling_len += (uint32_t)iov[i].iov_len;
    }
    return 0;
}

/* By the writer. */
static int write_locked(gust_conn *c, const struct iovec *iov, int count, size_t total,
                        gust_time deadline, bool flush)
{
    int error = gust__conn_write_check_locked(c);
    if (!error && gust__conn_limit_passed_locked(c, SIDE_WRITE))
        error = -ETIMEDOUT;
    if (error)
        return error;
    if (total > GUST_CONN_WBUF)
        return gust__conn_write_large_locked(c, iov, count, total, deadline);
    error = gust__conn_wait_room_locked(c, total, deadline);
    if (!error)
        error = append_locked(c, iov, count);
    if (!error && flush)
        gust__conn_send_locked(c);
    return error;
}

static int sum_lengths(const struct iovec *iov, int count, size_t *ret_total)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > SSIZE_MAX)
            return -EINVAL;
    *ret_total = total;
    return 0;
}

static ssize_t write_pieces(gust_conn *c, const struct iovec *iov, int count, gust_time deadline,
                            bool flush)
{
    size_t total;
    G *next = NULL;
    gust__conn_writer *at_rest = NULL;
    int error = sum_lengths(iov, count, &total);
    if (error || total == 0)
        return error;
    if (conn_layer(c))
        return c->layer->ops->write(c, iov, count, total, deadline, flush);
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    error = gust__conn_enter_locked(c, SIDE_WRITE, deadline, false);
    if (!error) {
        error = write_locked(c, iov, count, total, deadline, flush);
        next = gust__conn_leave_locked(c, SIDE_WRITE);
        at_rest = gust__conn_writer_rest_locked(c);
    }
    gust__lock_drop(&c->lock);
    gust__conn_writer_free(at_rest);
    if (next)
        gust__ready(next);
    return error ? error : (ssize_t)total;
}

ssize_t gust_conn_write(gust_conn *c, const void *buf, size_t len, gust_time deadline)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
    return write_pieces(c, &iov, 1, deadline, true);
}

ssize_t gust_conn_writev(gust_conn *c, const struct iovec *iov, int count, gust_time deadline)
{
    return write_pieces(c, iov, count, deadline, true);
}

ssize_t gust_conn_append(gust_conn *c, const void *buf, size_t len, gust_time deadline)
{
    struct iovec iov = {.iov_base = (void *)buf, .iov_len = len};
    return write_pieces(c, &iov, 1, deadline, false);
}

int gust_conn_flush(gust_conn *c)
{
    int refused = conn_layer(c) ? c->layer->ops->flush(c, GUST_NOW) : 0;
    if (refused)
        return refused;
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = gust__conn_write_check_locked(c);
    if (!error)
        gust__conn_send_locked(c);
    gust__lock_drop(&c->lock);
    return error;
}

int gust_conn_drain(gust_conn *c, gust_time deadline)
{
    int refused = conn_layer(c) ? c->layer->ops->flush(c, deadline) : 0;
    if (refused)
        return refused;
    GUST__CALL();
    int error = gust__conn_enter(c, SIDE_WRITE, deadline);
    if (error)
        return error;
    gust__lock_take(&c->lock, RANK_CONN);
    error = c->closing ? -EBADF : gust__conn_drain_locked(c, deadline, false);
    gust__lock_drop(&c->lock);
    gust__conn_leave(c, SIDE_WRITE);
    return error;
}
