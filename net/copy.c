/* From one connection to the other.
 *
 * By way of src's view, as a program would do it by hand, until two pieces in a row
 * came large: then the kernel moves the bytes through a pipe, until one comes small.
 * Always: between two rounds the pipe is empty.  What it holds when a round fails goes
 * back to src, as its view; the memory for that is there before the first splice.
 *
 * Where that is refused it goes on by way of the view. */
#include "net/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <gust/runtime.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/waitq.h"
#include "net/conn.h"
#include "net/min_size.h"

#define PIECE_MAX ((size_t)64 << 10)
#define SPLICE_MAX ((size_t)1 << 20)
#define LARGE_PIPES_MAX 32 /* half of what a user may have (pipe-user-pages-soft) */
#define SMALL_PIPE ((size_t)256 << 10)
#define LARGE_IN_A_ROW 2

size_t gust__splice_min = (size_t)16 << 10;

/* --- Pipes --------------------------------------------------------------- */

static _Atomic int pipes_open;

int gust__pipe_open(gust__pipe *pipe)
{
    int fds[2];
    const int others = atomic_fetch_add_explicit(&pipes_open, 1, memory_order_relaxed);
    if (others >= GUST__PIPES_MAX) {
        atomic_fetch_sub_explicit(&pipes_open, 1, memory_order_relaxed);
        return -ENOBUFS;
    }
    if (gust__inject(INJECT_PIPE) || pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
        int error = -errno;
        atomic_fetch_sub_explicit(&pipes_open, 1, memory_order_relaxed);
        return error;
    }
    *pipe = (gust__pipe){.out = fds[0], .in = fds[1]};
    /* Less is slower, not wrong: users may have only so much. */
    (void)fcntl(pipe->in, F_SETPIPE_SZ, (int)(others < LARGE_PIPES_MAX ? SPLICE_MAX : SMALL_PIPE));
    return 0;
}

void gust__pipe_close(gust__pipe *pipe)
{
    if (pipe->out < 0)
        return;
    close(pipe->out);
    close(pipe->in);
    pipe->out = pipe->in = -1;
    atomic_fetch_sub_explicit(&pipes_open, 1, memory_order_relaxed);
}

/* --- Sending a piece ------------------------------------------------------- */

/* With `busy` set and no lock held. */
static int send_all(gust_conn *dst, const gust__piece *piece, gust_time deadline, size_t *sent)
{
    if (piece->pipe)
        return gust__conn_push(dst, piece->pipe, piece->len, deadline, sent);
    if (piece->pages)
        return gust__conn_push_pages(dst, piece->pages, piece->len, deadline, sent);
    while (*sent < piece->len) {
        gust__op op = {.code = GUST__OP_SEND,
                       .fd = &dst->fd,
                       .buf = (void *)(piece->data + *sent),
                       .len = piece->len - *sent};
        int n = gust__conn_op_wait(dst, &dst->wr->direct, &op, &dst->wr->deadline, deadline);
        if (n < 0)
            return n;
        *sent += (size_t)n;
        /* As in a large write: a past deadline still tries. */
        int refused = *sent < piece->len ? wait_refused(gust_context_current(), deadline) : 0;
        if (refused)
            return refused;
    }
    return 0;
}

/* Errors after which it is known what the peer gets, and the conn goes on. */
static bool is_harmless(int error)
{
    return error == -ETIMEDOUT || error == -EAGAIN || error == -ECANCELED ||
           error == GUST__SPLICE_REFUSED;
}

/* By the writer. */
static int send_locked(gust_conn *dst, const gust__piece *piece, gust_time deadline, size_t *sent)
{
    if (piece->pages)
        gust__conn_push_filling_locked(dst);
    int error = dst->closing ? -EBADF : gust__conn_drain_locked(dst, deadline, false);
    if (!error && gust__conn_limit_passed_locked(dst, SIDE_WRITE))
        error = -ETIMEDOUT;
    if (!error)
        error = gust__conn_writer_locked(dst);
    if (error)
        return error;
    dst->wr->busy = true;
    gust__lock_drop(&dst->lock);
    error = send_all(dst, piece, deadline, sent);
    gust__lock_take(&dst->lock, RANK_CONN);
    dst->wr->busy = false;
    dst->wr->wanted = false; /* nothing was appended meanwhile: only the writer does */
    if (error && !is_harmless(error) && !dst->wr_error)
        dst->wr_error = error == -EBADF ? -ECANCELED : error;
    return error;
}

/* Of what a layer has taken over nothing can be taken back: so it gets pieces that it
 * takes whole or not at all. */
static int send_through_layer(gust_conn *dst, const gust__piece *piece, gust_time deadline,
                              size_t *sent)
{
    while (*sent < piece->len) {
        size_t len = min_size(piece->len - *sent, GUST_CONN_WBUF);
        ssize_t n = gust_conn_write(dst, piece->data + *sent, len, deadline);
        if (n < 0)
            return (int)n;
        *sent += len;
    }
    return 0;
}

int gust__conn_send_piece(gust_conn *dst, const gust__piece *piece, gust_time deadline,
                          size_t *ret_sent)
{
    *ret_sent = 0;
    if (conn_layer(dst))
        return send_through_layer(dst, piece, deadline, ret_sent);
    GUST__CALL();
    int error = gust__conn_enter(dst, SIDE_WRITE, deadline);
    if (error)
        return error;
    gust__lock_take(&dst->lock, RANK_CONN);
    error = send_locked(dst, piece, deadline, ret_sent);
    gust__lock_drop(&dst->lock);
    gust__conn_leave(dst, SIDE_WRITE);
    return error;
}

/* --- A copy ---------------------------------------------------------------- */

struct copy {
    gust_conn *dst;
    gust_conn *src;
    uint64_t left; /* of the limit */
    gust_time deadline;
    uint64_t copied;
    int large; /* pieces in a row; LARGE_IN_A_ROW: it splices */
    bool ended;
    bool by_view; /* only: it must not be tried, or was refused */
    gust__pipe pipe;
    char *rescue; /* SPLICE_MAX bytes, for what is left in the pipe */
};

static void count(struct copy *k, size_t n)
{
    k->copied += n;
    k->left -= n;
}

/* Small pieces are taken over whole or not at all. */
static int send_view(struct copy *k)
{
    gust_span view = gust_conn_view(k->src);
    size_t len = min_size(view.len, k->left), sent = 0;
    ssize_t n = 0;
    int error = 0;
    if (len == 0)
        return 0;
    if (len <= GUST_CONN_WBUF) {
        n = gust_conn_write(k->dst, view.data, len, k->deadline);
        error = n < 0 ? (int)n : 0;
        sent = n < 0 ? 0 : len;
    } else {
        const gust__piece piece = {.data = view.data, .len = len};
        error = gust__conn_send_piece(k->dst, &piece, k->deadline, &sent);
    }
    gust_conn_consume(k->src, sent);
    count(k, sent);
    return error;
}

static int copy_by_view(struct copy *k)
{
    ssize_t n = gust_conn_fill(k->src, min_size(PIECE_MAX, k->left), k->deadline);
    if (n < 0)
        return (int)n;
    k->ended = n == 0;
    k->large = (size_t)n >= gust__splice_min ? k->large + 1 : 0;
    return 0;
}

/* --- By splice --------------------------------------------------------------- */

static bool splice_ready(struct copy *k)
{
    GUST__CALL();
    if (k->pipe.out >= 0)
        return true;
    if (!k->rescue)
        k->rescue = gust__malloc(SPLICE_MAX);
    return k->rescue && gust__pipe_open(&k->pipe) == 0;
}

/* From the socket into the pipe. */
static int pull(struct copy *k)
{
    GUST__CALL();
    gust_conn *src = k->src;
    int error = gust__conn_enter(src, SIDE_READ, k->deadline);
    if (error)
        return error;
    int n = gust__conn_pull(src, &k->pipe, min_size(SPLICE_MAX, k->left), k->deadline);
    src->filled = src->drained = false; /* not known any more */
    gust__conn_leave(src, SIDE_READ);
    return n;
}

/* Gives src back what is left in the pipe: it becomes the view, which is empty. */
static void give_back(struct copy *k, size_t len)
{
    GUST__CALL();
    gust__conn_reader *rd = &k->src->rd;
    gust__conn_enter_surely(k->src, SIDE_READ);
    if (rd->len > 0) {
        gust__conn_leave(k->src, SIDE_READ);
        gust_panic("gust_conn_copy: another goroutine has read the source");
    }
    for (size_t got = 0; got < len;) {
        ssize_t n = read(k->pipe.out, k->rescue + got, len - got);
        if (n <= 0)
            gust__fatal("a pipe has lost bytes: %zu of %zu", got, len);
        got += (size_t)n;
    }
    rd->heap = k->rescue;
    rd->cap = SPLICE_MAX;
    rd->off = 0;
    rd->len = (uint32_t)len;
    k->rescue = NULL;
    gust__conn_leave(k->src, SIDE_READ);
}

/* After a refusal: what has been given back is sent as the view that it is now. */
static int go_on_by_view(struct copy *k)
{
    k->by_view = true;
    return send_view(k);
}

static int copy_by_splice(struct copy *k)
{
    size_t sent;
    int n = pull(k);
    if (n < 0)
        return n == GUST__SPLICE_REFUSED ? go_on_by_view(k) : n;
    k->ended = n == 0;
    if (n == 0)
        return 0;
    if ((size_t)n < gust__splice_min)
        k->large = 0;
    const gust__piece piece = {.pipe = &k->pipe, .len = (size_t)n};
    int error = gust__conn_send_piece(k->dst, &piece, k->deadline, &sent);
    count(k, sent);
    if (error)
        give_back(k, (size_t)n - sent);
    return error == GUST__SPLICE_REFUSED ? go_on_by_view(k) : error;
}

/* --- The calls ----------------------------------------------------------------- */

static bool splices(struct copy *k)
{
    if (k->by_view || k->large < LARGE_IN_A_ROW || k->left < gust__splice_min)
        return false;
    if (!splice_ready(k))
        k->large = 0; /* tried again after as many pieces */
    return k->large > 0;
}

static int copy_on(struct copy *k)
{
    int error = send_view(k);
    while (!error && k->left > 0 && !k->ended) {
        if (splices(k)) {
            error = copy_by_splice(k);
        } else {
            error = copy_by_view(k);
            if (!error)
                error = send_view(k);
        }
    }
    return error;
}

int gust_conn_copy(gust_conn *dst, gust_conn *src, uint64_t limit, gust_time deadline,
                   uint64_t *ret_copied)
{
    struct copy k = {.dst = dst, .src = src, .left = limit, .deadline = deadline, .pipe = {-1, -1}};
    k.by_view = !gust__conn_splices(dst, src);
    int error = copy_on(&k);
    gust__pipe_close(&k.pipe);
    free(k.rescue);
    *ret_copied = k.copied;
    return error;
}
