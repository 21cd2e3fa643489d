/* Writes above a block: from the caller's memory, once nothing else is under way, with
 * what the filling block holds as the first piece (a response's head and its body are
 * one system call). */
#include <errno.h>

#include "net/conn.h"

#define DIRECT_PIECES_MAX 64               /* iovecs per system call */
#define DIRECT_BYTES_MAX ((size_t)1 << 30) /* an operation's result is an int32_t */

/* What a large write still has to send. */
struct rest {
    const char *head; /* the filling block */
    size_t head_len;
    const struct iovec *iov;
    int count;
    size_t off;  /* how much of iov[0] is out */
    size_t left; /* bytes, of all of it */
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
    r->left -= n;
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
        size_t bytes_max = gust__conn_zerocopy_limit(c, r->left, DIRECT_BYTES_MAX);
        struct msghdr msg = {.msg_iov = pieces,
                             .msg_iovlen = rest_gather(r, pieces, bytes_max, &bytes)};
        uint8_t flag = gust__conn_zerocopy_flag(c, bytes);
        gust__op op = {.code = GUST__OP_SENDMSG, .flags = flag, .fd = &c->fd, .msg = &msg};
        int n = gust__conn_op_wait(c, &c->wr->direct, &op, &c->wr->deadline, deadline);
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

/* Waits until nothing is under way; the filling block may have something in it. */
static int wait_idle_locked(gust_conn *c, gust_time deadline)
{
    int error;
    while (!(error = gust__conn_write_check_locked(c)) && conn_is_sending(c))
        if ((error = gust__conn_wait_sent_locked(c, deadline, false)))
            break;
    return error;
}

int gust__conn_write_large_locked(gust_conn *c, const struct iovec *iov, int count, size_t total,
                                  gust_time deadline)
{
    /* Without waiting it cannot be known that all of it will go. */
    int error = wait_refused(gust_context_current(), deadline);
    if (!error)
        error = wait_idle_locked(c, deadline);
    if (!error)
        error = gust__conn_writer_locked(c);
    if (error)
        return error;
    gust__conn_writer *wr = c->wr;
    struct rest r = {.head = wr->filling,
                     .head_len = wr->filling_len,
                     .iov = iov,
                     .count = count,
                     .left = wr->filling_len + total};
    rest_drop(&r, 0); /* leading pieces of no bytes */
    wr->busy = true;
    gust__lock_drop(&c->lock);
    error = rest_send(c, &r, deadline);
    gust__lock_take(&c->lock, RANK_CONN);
    wr->busy = false;
    gust__conn_drop_filling_locked(c);
    if (error) /* -EBADF is for this writer; the closer learns that bytes are missing */
        gust__conn_fail_locked(c, error == -EBADF ? -ECANCELED : error);
    return error;
}
