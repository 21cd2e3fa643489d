/* Writing to a connection.
 *
 * Small writes are copied into the filling block and go out in the background,
 * so the writer need not wait for the kernel:
 *
 *   append --> filling --start_locked--> sending --send_done--> given back
 *
 * At most one send is under way (`busy`): that keeps the order.  What is flushed
 * meanwhile is `wanted`: send_done starts it.  A write larger than a block waits
 * until nothing is under way and sends from the caller's memory, with the
 * filling block as its first piece (a response's head and its body are one
 * system call).
 *
 * A send that fails leaves its error in wr.error for good: nobody knows how much
 * the peer has got. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core/blocks.h"
#include "net/conn.h"

_Static_assert(GUST_CONN_WBUF == GUST__BLOCK_SIZE, "a write buffer is a block");

#define DIRECT_PIECES_MAX 64               /* iovecs per system call */
#define DIRECT_BYTES_MAX ((size_t)1 << 30) /* an operation's result is an int32_t */

/* --- Sends in the background --------------------------------------------- */

static void send_done(gust__op *op);

static void send_rest_locked(gust_conn *c)
{
    gust__conn_writer *wr = &c->wr;
    wr->send = (gust__op){
        .code = GUST__OP_SEND,
        .fd = &c->fd,
        .buf = wr->sending + wr->sent_len,
        .len = wr->sending_len - wr->sent_len,
        .done = send_done,
    };
    gust__op_start(&wr->send);
}

/* Sends the filling block as soon as possible. */
static void start_locked(gust_conn *c)
{
    gust__conn_writer *wr = &c->wr;
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

static void drop_filling_locked(gust__conn_writer *wr)
{
    if (wr->lent)
        return; /* gust__conn_give_back sees to it */
    gust__block_put(wr->filling);
    wr->filling = NULL;
    wr->filling_len = 0;
    wr->wanted = false;
}

static void fail_locked(gust__conn_writer *wr, int error)
{
    if (!wr->error)
        wr->error = error;
    drop_filling_locked(wr);
}

/* What comes after a send that reported res. */
static void send_next_locked(gust_conn *c, int res)
{
    gust__conn_writer *wr = &c->wr;
    if (res > 0)
        wr->sent_len += (uint32_t)res;
    bool complete = wr->sent_len == wr->sending_len;
    if (res > 0 && !complete && !wr->discard) {
        send_rest_locked(c); /* the next one meets the error that stopped this one */
        return;
    }
    gust__block_put(wr->sending);
    wr->sending = NULL;
    wr->busy = false;
    if (!complete) /* ETIMEDOUT: the peer is gone; it has no deadline that could have come */
        fail_locked(wr, res == -ETIMEDOUT ? -ECONNRESET : res < 0 ? res : -ECANCELED);
    else if (wr->wanted)
        start_locked(c);
}

/* On g0.  While `busy` is set the conn cannot be freed under us; once it is
 * clear and the lock dropped, it can. */
static void send_done(gust__op *op)
{
    gust_conn *c = (gust_conn *)((char *)op - offsetof(gust_conn, wr.send));
    gust__lock_take(&c->lock, RANK_CONN);
    send_next_locked(c, op->res);
    gust__waiter *waiters = gust__waitlist_take_all(&c->wr.waiters, OUTCOME_DONE);
    bool last = c->abandoned && !c->wr.busy;
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
    if (last)
        gust__conn_free(c);
}

void gust__conn_discard_locked(gust_conn *c)
{
    c->wr.discard = true;
    drop_filling_locked(&c->wr);
    if (c->wr.busy)
        gust__op_cancel(&c->wr.send);
}

/* --- Waiting ------------------------------------------------------------- */

/* Waits for the send under way, with the lock dropped; may return 0 for no reason.
 * steadfast: for a closer, who must do his work even if his context is cancelled or
 * the lasting deadline has passed. */
static int wait_locked(gust_conn *c, gust_time deadline, bool steadfast)
{
    gust__conn_limit *limit = &c->wr.limit;
    gust__waiter w = {.steadfast = steadfast};
    const uint32_t moves = limit->moves;
    if (!steadfast && gust__conn_limit_passed_locked(limit))
        return -ETIMEDOUT;
    if (!steadfast && limit->when < deadline)
        deadline = limit->when;
    waitlist_push(&c->wr.waiters, &w);
    int error = gust__wait_linked(&c->wr.waiters, &c->lock, RANK_CONN, &w, deadline, WAIT_IO);
    gust__lock_take(&c->lock, RANK_CONN);
    if (error != -ETIMEDOUT || steadfast)
        return error;
    if (limit->moves != moves)
        return 0; /* the caller waits again, with the new one */
    gust__conn_limit_ended_locked(limit, deadline);
    return error;
}

void gust__conn_settle_locked(gust_conn *c)
{
    while (c->wr.busy)
        (void)wait_locked(c, GUST_FOREVER, true);
}

static int check_locked(const gust_conn *c)
{
    return c->closing ? -EBADF : c->wr.error;
}

/* Waits until `len` bytes (at most a block) fit into the filling block. */
static int wait_room_locked(gust_conn *c, size_t len, gust_time deadline)
{
    int error;
    while (!(error = check_locked(c)) && GUST_CONN_WBUF - c->wr.filling_len < len) {
        start_locked(c);
        if (c->wr.filling_len > 0 && (error = wait_locked(c, deadline, false)))
            break;
    }
    return error;
}

/* Waits until nothing is under way; the filling block may have something in it. */
static int wait_idle_locked(gust_conn *c, gust_time deadline)
{
    int error;
    while (!(error = check_locked(c)) && c->wr.busy)
        if ((error = wait_locked(c, deadline, false)))
            break;
    return error;
}

int gust__conn_drain_locked(gust_conn *c, gust_time deadline, bool closer)
{
    while (!c->wr.error && (c->wr.busy || c->wr.filling_len > 0)) {
        if (c->closing && !closer)
            return -EBADF;
        start_locked(c);
        int error = wait_locked(c, deadline, closer);
        if (error)
            return error;
    }
    return c->wr.error;
}

/* --- Large writes -------------------------------------------------------- */

/* What a large write still has to send. */
struct rest {
    const char *head; /* the filling block */
    size_t head_len;
    const struct iovec *iov;
    int count;
    size_t off; /* how much of iov[0] is out */
};

/* Lists as much of it as one operation takes; returns the number of pieces. */
static size_t rest_gather(const struct rest *r, struct iovec pieces[DIRECT_PIECES_MAX],
                          size_t bytes_max, size_t *ret_bytes)
{
    size_t n = 0, bytes = r->head_len, off = r->off;
    if (r->head_len > 0)
        pieces[n++] = (struct iovec){.iov_base = (void *)r->head, .iov_len = r->head_len};
    for (int i = 0; i < r->count && n < DIRECT_PIECES_MAX && bytes < bytes_max; i++) {
        size_t len = r->iov[i].iov_len - off;
        if (len > bytes_max - bytes)
            len = bytes_max - bytes;
        if (len > 0)
            pieces[n++] =
                (struct iovec){.iov_base = (char *)r->iov[i].iov_base + off, .iov_len = len};
        bytes += len;
        off = 0;
    }
    *ret_bytes = bytes;
    return n;
}

static void rest_drop(struct rest *r, size_t n)
{
    size_t from_head = n < r->head_len ? n : r->head_len;
    r->head += from_head;
    r->head_len -= from_head;
    r->off += n - from_head;
    while (r->count > 0 && r->off >= r->iov->iov_len) {
        r->off -= r->iov->iov_len;
        r->iov++;
        r->count--;
    }
}

/* Sends all of it; with no lock held, but `busy` set. */
static int rest_send(gust_conn *c, struct rest *r, gust_time deadline)
{
    struct iovec pieces[DIRECT_PIECES_MAX];
    while (r->head_len > 0 || r->count > 0) {
        size_t bytes;
        size_t bytes_max = gust__conn_zerocopy_limit(c, DIRECT_BYTES_MAX);
        struct msghdr msg = {.msg_iov = pieces,
                             .msg_iovlen = rest_gather(r, pieces, bytes_max, &bytes)};
        uint8_t flag = gust__conn_zerocopy_flag(c, bytes);
        gust__op op = {.code = GUST__OP_SENDMSG, .flags = flag, .fd = &c->fd, .msg = &msg};
        int n = gust__conn_op_wait(c, &c->wr.direct, &op, &c->wr.deadline, deadline);
        gust__conn_zerocopy_done(c, flag, &op);
        if (n < 0)
            return n;
        rest_drop(r, (size_t)n);
        /* Cut short by an error is met again by the next round; by the
         * deadline, not: a past deadline still tries. */
        int refused = (size_t)n < bytes ? wait_refused(gust_context_current(), deadline) : 0;
        if (refused)
            return refused;
    }
    return 0;
}

static int write_direct_locked(gust_conn *c, const struct iovec *iov, int count, gust_time deadline)
{
    gust__conn_writer *wr = &c->wr;
    struct rest r = {.head = wr->filling, .head_len = wr->filling_len, .iov = iov, .count = count};
    rest_drop(&r, 0); /* leading pieces of no bytes */
    wr->busy = true;
    gust__lock_drop(&c->lock);
    int error = rest_send(c, &r, deadline);
    gust__lock_take(&c->lock, RANK_CONN);
    wr->busy = false;
    drop_filling_locked(wr);
    if (error) /* -EBADF is for this writer; the closer learns that bytes are missing */
        fail_locked(wr, error == -EBADF ? -ECANCELED : error);
    return error;
}

/* --- The calls ----------------------------------------------------------- */

static int append_locked(gust_conn *c, const struct iovec *iov, int count)
{
    gust__conn_writer *wr = &c->wr;
    if (!wr->filling && !(wr->filling = gust__block_get()))
        return -ENOMEM;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0)
            memcpy(wr->filling + wr->filling_len, iov[i].iov_base, iov[i].iov_len);
        wr->filling_len += (uint32_t)iov[i].iov_len;
    }
    return 0;
}

static int write_locked(gust_conn *c, const struct iovec *iov, int count, size_t total,
                        gust_time deadline)
{
    int error;
    if (gust__conn_limit_passed_locked(&c->wr.limit))
        return check_locked(c) ? check_locked(c) : -ETIMEDOUT;
    if (total > GUST_CONN_WBUF) {
        /* Without waiting it cannot be known that all of it will go. */
        error = wait_refused(gust_context_current(), deadline);
        if (!error)
            error = wait_idle_locked(c, deadline);
        return error ? error : write_direct_locked(c, iov, count, deadline);
    }
    error = wait_room_locked(c, total, deadline);
    return error ? error : append_locked(c, iov, count);
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
    int error = sum_lengths(iov, count, &total);
    if (error || total == 0)
        return error;
    if (conn_layer(c))
        return c->layer->write(c, iov, count, total, deadline, flush);
    GUST__CALL();
    error = gust_mutex_lock_until(&c->wr.mutex, deadline);
    if (error)
        return error;
    gust__lock_take(&c->lock, RANK_CONN);
    error = write_locked(c, iov, count, total, deadline);
    if (!error && flush)
        start_locked(c);
    gust__lock_drop(&c->lock);
    gust_mutex_unlock(&c->wr.mutex);
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
    int refused = conn_layer(c) ? c->layer->flush(c, GUST_NOW) : 0;
    if (refused)
        return refused;
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = check_locked(c);
    if (!error)
        start_locked(c);
    gust__lock_drop(&c->lock);
    return error;
}

int gust_conn_drain(gust_conn *c, gust_time deadline)
{
    int refused = conn_layer(c) ? c->layer->flush(c, deadline) : 0;
    if (refused)
        return refused;
    GUST__CALL();
    int error = gust_mutex_lock_until(&c->wr.mutex, deadline);
    if (error)
        return error;
    gust__lock_take(&c->lock, RANK_CONN);
    error = c->closing ? -EBADF : gust__conn_drain_locked(c, deadline, false);
    gust__lock_drop(&c->lock);
    gust_mutex_unlock(&c->wr.mutex);
    return error;
}

/* --- For layers (layer.h) -------------------------------------------------- */

int gust__conn_lend(gust_conn *c, bool closer, gust__loan *ret_loan)
{
    GUST__CALL();
    gust__conn_writer *wr = &c->wr;
    int error = 0;
    gust__lock_take(&c->lock, RANK_CONN);
    if (c->closing && !closer) {
        error = -EBADF;
    } else if (wr->error || wr->discard) {
        *ret_loan = (gust__loan){0};
    } else if (!wr->filling && !(wr->filling = gust__block_get())) {
        error = -ENOMEM;
    } else {
        wr->lent = true;
        *ret_loan = (gust__loan){wr->filling + wr->filling_len, GUST_CONN_WBUF - wr->filling_len};
    }
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_give_back(gust_conn *c, size_t added, bool flush)
{
    GUST__CALL();
    gust__conn_writer *wr = &c->wr;
    gust__waiter *waiters = NULL;
    gust__lock_take(&c->lock, RANK_CONN);
    if (wr->lent) {
        wr->lent = false;
        wr->filling_len += (uint32_t)added;
        if (wr->error || wr->discard)
            waiters = gust__waitlist_take_all(&wr->waiters, OUTCOME_DONE);
        if (wr->error || wr->discard || wr->filling_len == 0)
            drop_filling_locked(wr);
        else if (flush || wr->wanted)
            start_locked(c);
    }
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
}

int gust__conn_room(gust_conn *c, size_t *ret_room, bool *ret_idle)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = check_locked(c);
    if (!error && gust__conn_limit_passed_locked(&c->wr.limit))
        error = -ETIMEDOUT;
    *ret_room = GUST_CONN_WBUF - c->wr.filling_len;
    *ret_idle = !c->wr.busy;
    gust__lock_drop(&c->lock);
    return error;
}

int gust__conn_wait_room(gust_conn *c, size_t len, gust_time deadline)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    int error = wait_room_locked(c, len, deadline);
    gust__lock_drop(&c->lock);
    return error;
}

void gust__conn_spoil(gust_conn *c, int error)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    fail_locked(&c->wr, error == -EBADF ? -ECANCELED : error);
    gust__waiter *waiters = gust__waitlist_take_all(&c->wr.waiters, OUTCOME_DONE);
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
}

void gust__conn_raw_flush(gust_conn *c)
{
    GUST__CALL();
    gust__lock_take(&c->lock, RANK_CONN);
    start_locked(c);
    gust__lock_drop(&c->lock);
}

void gust__conn_send_now(gust_conn *c, bool dispensable)
{
    GUST__CALL();
    gust__conn_writer *wr = &c->wr;
    gust__lock_take(&c->lock, RANK_CONN);
    if (!wr->busy && !wr->lent && wr->filling_len > 0) {
        ssize_t n = send(c->fd.fd, wr->filling, wr->filling_len, MSG_DONTWAIT | MSG_NOSIGNAL);
        bool failed = n < 0 && errno != EAGAIN && errno != EINTR;
        if (n > 0) {
            wr->filling_len -= (uint32_t)n;
            memmove(wr->filling, wr->filling + n, wr->filling_len);
        }
        if (wr->filling_len == 0 || (failed && dispensable))
            drop_filling_locked(wr);
    }
    gust__lock_drop(&c->lock);
}
