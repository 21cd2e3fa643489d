/* Reading from a connection.
 *
 * The rule: a connection that waits for its next request holds no buffer.  So
 * with nothing in the view, a fill lets the poller pick a buffer when the bytes
 * are there.  What a parser leaves of it moves to a buffer of our own, where the
 * next fills add to it.  Both go back once they are consumed.
 *
 * Large messages: a picked buffer that comes full is usually the head of something
 * longer, so what has arrived with it is added at once, and is handed out as one
 * piece.  The next fill then waits for readiness alone, and receives into a large
 * buffer of our own, until less comes than a poller's holds.  After a receive that
 * filled its buffer it tries that without waiting. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "core/inject.h"
#include "net/conn.h"
#include "net/min_size.h"

#define OWN_BUF_MIN ((size_t)16 << 10)
#define LARGE_BUF ((size_t)96 << 10) /* malloc maps what is larger than 128 KiB */
#define RECV_MAX ((size_t)1 << 30)   /* an operation's result is an int32_t */
#define VIEW_MAX ((size_t)1 << 31)   /* the reader's sizes are uint32_t */

/* --- The view ------------------------------------------------------------ */

static char *view_data(const gust__conn_reader *rd)
{
    return (rd->cap ? rd->heap : rd->picked->data) + rd->off;
}

static void put_buffer(gust__conn_reader *rd)
{
    if (rd->cap)
        free(rd->heap);
    else if (rd->picked)
        gust__buf_put(rd->picked);
}

void gust__conn_drop_view(gust_conn *c)
{
    put_buffer(&c->rd);
    c->rd.heap = NULL;
    c->rd.cap = c->rd.off = c->rd.len = 0;
}

gust_span gust__conn_raw_view(const gust_conn *c)
{
    if (c->rd.len == 0)
        return (gust_span){.data = "", .len = 0};
    return (gust_span){.data = view_data(&c->rd), .len = c->rd.len};
}

gust_span gust_conn_view(const gust_conn *c)
{
    return conn_layer(c) ? c->layer->ops->view(c) : gust__conn_raw_view(c);
}

void gust_conn_consume(gust_conn *c, size_t n)
{
    if (conn_layer(c))
        c->layer->ops->consume(c, n);
    else
        gust__conn_raw_consume(c, n);
}

void gust__conn_raw_consume(gust_conn *c, size_t n)
{
    GUST__CALL();
    if (n > c->rd.len)
        gust_panic("gust_conn_consume: %zu bytes of a view of %u", n, c->rd.len);
    c->rd.off += (uint32_t)n;
    c->rd.len -= (uint32_t)n;
    if (c->rd.len == 0)
        gust__conn_drop_view(c);
}

/* --- Receiving ----------------------------------------------------------- */

/* Where `room` bytes would have fitted, n came. */
static void note_receive(gust_conn *c, size_t n, size_t room)
{
    c->filled = n == room;
    c->drained = !c->filled && !c->is_unix;
}

int gust__conn_take_error(gust_conn *c)
{
    int error = c->rd.error;
    c->rd.error = 0;
    return error;
}

/* Performs a receive that has room for `room` bytes. */
static ssize_t receive(gust_conn *c, gust__op *op, size_t room, gust_time deadline)
{
    int error = gust__conn_take_error(c);
    if (error)
        return error;
    op->code = GUST__OP_RECV;
    op->fd = &c->fd;
    if (c->drained)
        op->flags |= GUST__OP_DRAINED;
    int n = gust__conn_op_wait(c, &c->rd.op, op, &c->rd_deadline, deadline);
    if (n > 0)
        note_receive(c, (size_t)n, room);
    return n;
}

void gust__conn_picked(gust_conn *c, gust__buf *buf, ssize_t n)
{
    note_receive(c, (size_t)n, GUST__BUF_SIZE);
    c->rd.picked = buf;
    c->rd.len = (uint32_t)n;
}

static ssize_t receive_into(gust_conn *c, void *buf, size_t len, gust_time deadline)
{
    len = min_size(len, RECV_MAX);
    gust__op op = {.buf = buf, .len = len};
    return receive(c, &op, len, deadline);
}

size_t gust__conn_take_view(gust_conn *c, void *buf, size_t len)
{
    size_t n = min_size(len, c->rd.len);
    memcpy(buf, view_data(&c->rd), n);
    gust__conn_raw_consume(c, n);
    return n;
}

ssize_t gust_conn_read(gust_conn *c, void *buf, size_t len, gust_time deadline)
{
    if (conn_layer(c))
        return c->layer->ops->read(c, buf, len, deadline);
    GUST__CALL();
    if (len == 0)
        return 0;
    int error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    ssize_t n = c->rd.len > 0 ? (ssize_t)gust__conn_take_view(c, buf, len)
                              : receive_into(c, buf, len, deadline);
    gust__conn_leave(c, SIDE_READ);
    return n;
}

/* --- Filling ------------------------------------------------------------- */

/* Moves the view to the front of a heap buffer of `cap` bytes. */
static int move_to_heap(gust__conn_reader *rd, size_t cap)
{
    char *heap = gust__malloc(cap);
    if (!heap)
        return -ENOMEM;
    if (rd->len > 0)
        memcpy(heap, view_data(rd), rd->len);
    put_buffer(rd);
    rd->heap = heap;
    rd->cap = (uint32_t)cap;
    rd->off = 0;
    return 0;
}

/* Sees to it that there is room behind the view, which is neither empty nor
 * max_view long.  Growing by doubling and moving only what has become small
 * against the buffer keep the copying linear in what is received. */
static int make_room(gust__conn_reader *rd, size_t max_view)
{
    const size_t doubled = (size_t)rd->len * 2;
    if (rd->cap == 0)
        return move_to_heap(rd, min_size(doubled > OWN_BUF_MIN ? doubled : OWN_BUF_MIN, max_view));
    if (rd->cap - rd->off - rd->len > rd->cap / 8)
        return 0;
    if (rd->off <= rd->cap / 4 && rd->cap < max_view)
        return move_to_heap(rd, min_size((size_t)rd->cap * 2, max_view));
    memmove(rd->heap, rd->heap + rd->off, rd->len);
    rd->off = 0;
    return 0;
}

static ssize_t fill_tail(gust_conn *c, size_t max_view, gust_time deadline)
{
    gust__conn_reader *rd = &c->rd;
    size_t end = (size_t)rd->off + rd->len;
    size_t room = min_size(rd->cap - end, max_view - rd->len);
    ssize_t n = receive_into(c, rd->heap + end, room, deadline);
    if (n > 0)
        rd->len += (uint32_t)n;
    return n;
}

static ssize_t fill_heap(gust_conn *c, size_t cap, gust_time deadline)
{
    int error = move_to_heap(&c->rd, cap);
    if (error)
        return error;
    ssize_t n = fill_tail(c, cap, deadline);
    if (n <= 0)
        gust__conn_drop_view(c);
    return n;
}

/* Adds to a view that fills its picked buffer what has arrived besides.  Asks first
 * how much that is: a receive that finds an error would take it from the next fill,
 * which is to report it.  Returns how much was added. */
static size_t take_rest(gust_conn *c, size_t max_view)
{
    gust__conn_reader *rd = &c->rd;
    int there = 0;
    if (ioctl(c->fd.fd, FIONREAD, &there) < 0 || there <= 0)
        return 0;
    size_t cap = min_size(rd->len + (size_t)there, min_size(LARGE_BUF, max_view));
    if (move_to_heap(rd, cap) < 0)
        return 0; /* what was picked is enough */
    ssize_t n = fill_tail(c, cap, GUST_NOW);
    return n > 0 ? (size_t)n : 0;
}

static ssize_t fill_picked(gust_conn *c, size_t max_view, gust_time deadline)
{
    gust__op op = {.flags = GUST__OP_PICK};
    ssize_t n = receive(c, &op, GUST__BUF_SIZE, deadline);
    if (n > 0)
        gust__conn_picked(c, op.picked, n);
    if (n == GUST__BUF_SIZE && max_view > GUST__BUF_SIZE) {
        n += (ssize_t)take_rest(c, max_view);
        c->large = n > GUST__BUF_SIZE;
    }
    return n;
}

/* Waits until there is something to receive; returns the events. */
static int wait_readable(gust_conn *c, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_POLL, .fd = &c->fd, .events = POLLIN};
    if (c->rd.error)
        return POLLERR;
    if (c->drained)
        op.flags |= GUST__OP_DRAINED;
    return gust__conn_op_wait(c, &c->rd.op, &op, &c->rd_deadline, deadline);
}

/* An error that is no byte and no end may have nothing to do with receiving: then the
 * receive is what waits. */
static ssize_t fill_large(gust_conn *c, size_t max_view, gust_time deadline)
{
    const size_t cap = min_size(LARGE_BUF, max_view);
    int events = wait_readable(c, deadline);
    if (events < 0)
        return events;
    ssize_t n = events & POLLIN ? fill_heap(c, cap, GUST_NOW) : -EAGAIN;
    if (n == -EAGAIN)
        n = fill_heap(c, cap, deadline);
    c->large = n > GUST__BUF_SIZE;
    return n == -ENOMEM ? fill_picked(c, max_view, deadline) : n;
}

static ssize_t fill_empty(gust_conn *c, size_t max_view, gust_time deadline)
{
    if (max_view < GUST__BUF_SIZE)
        return fill_heap(c, max_view, deadline);
    if (c->filled) {
        ssize_t n = fill_heap(c, min_size(LARGE_BUF, max_view), GUST_NOW);
        if (n != -EAGAIN)
            return n;
        c->filled = false;
        c->drained = true;
    }
    if (c->large)
        return fill_large(c, max_view, deadline);
    ssize_t n = fill_picked(c, max_view, deadline);
    if (n != -ENOBUFS)
        return n;
    /* The poller has no buffer left: with one of our own, for something that is there. */
    c->drained = false;
    return fill_heap(c, min_size(OWN_BUF_MIN, max_view), deadline);
}

void gust__conn_fill_now(gust_conn *c)
{
    ssize_t n = fill_heap(c, GUST__BUF_SIZE, GUST_NOW);
    const bool is_sockets =
        n < 0 && n != -EAGAIN && n != -ETIMEDOUT && n != -ENOMEM && n != -EBADF && n != -ECANCELED;
    if (is_sockets)
        c->rd.error = (int)n;
}

static ssize_t fill_more(gust_conn *c, size_t max_view, gust_time deadline)
{
    int error = make_room(&c->rd, max_view);
    return error ? error : fill_tail(c, max_view, deadline);
}

ssize_t gust__conn_raw_fill(gust_conn *c, gust_time deadline)
{
    GUST__CALL();
    return fill_empty(c, LARGE_BUF, deadline);
}

ssize_t gust_conn_fill(gust_conn *c, size_t max_view, gust_time deadline)
{
    max_view = min_size(max_view, VIEW_MAX);
    if (conn_layer(c))
        return c->layer->ops->fill(c, max_view, deadline);
    GUST__CALL();
    int error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    ssize_t n;
    if (c->rd.len >= max_view)
        n = -ENOBUFS;
    else if (c->rd.len == 0)
        n = fill_empty(c, max_view, deadline);
    else
        n = fill_more(c, max_view, deadline);
    gust__conn_leave(c, SIDE_READ);
    return n;
}
