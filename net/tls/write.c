/* Writing: through OpenSSL to the conn's filling block.
 *
 * Appends collect in `pending`, as plaintext, until a flush makes one record of them.
 * Always, under tls->mutex: what is pending fits the filling block when it is sealed,
 * since an append waits for that room first and what a reader has to say leaves it
 * free (engine.c).  So a flush needs no wait, and what a write has accepted is sent
 * without another call.
 *
 * Large writes go record by record from the caller's memory; each waits until the block
 * has room for it.  So OpenSSL is never left in the middle of a record. */
#include <errno.h>
#include <string.h>

#include "core/inject.h"
#include "net/tls/tls.h"

/* --- Records ----------------------------------------------------------------- */

/* small_records_first: records of one packet for the first RAMP_BYTES after a pause. */
enum { SMALL_RECORD = 1300, RAMP_BYTES = 65536 };
#define RAMP_PAUSE GUST_SEC

static size_t record_len(gust__tls *tls, size_t len)
{
    size_t max = RECORD_MAX;
    if (tls->config->options.small_records_first) {
        gust_time now = gust_now();
        if (now - tls->ramp_last > RAMP_PAUSE)
            tls->ramp_bytes = 0;
        tls->ramp_last = now;
        if (tls->ramp_bytes < RAMP_BYTES)
            max = SMALL_RECORD;
    }
    return len < max ? len : max;
}

/* One record, for which there is room; under tls->mutex. */
static int seal_locked(gust_conn *c, const void *buf, size_t len, gust__tls_how how)
{
    gust__tls *tls = tls_of(c);
    if (tls->end_sent)
        return -EPIPE;
    ssize_t n = gust__tls_enter(c, gust__tls_do_write, (void *)buf, len, how);
    tls->ramp_bytes += n > 0 ? len : 0;
    if (how & TLS_FLUSH && n > 0)
        tls->unflushed = false;
    /* We have never asked for a renegotiation, the only reason to read here. */
    if (n == TLS_WANT_READ)
        return gust__tls_fail(tls, -EPROTO, "a write that wants to read");
    if (n == TLS_WANT_WRITE)
        return gust__tls_fail(tls, -EPROTO, "a record that is larger than it may be");
    return n < 0 ? (int)n : 0;
}

/* Why nothing can be written any more; else how much room there is. */
static int write_error_locked(gust_conn *c, size_t *ret_room, bool *ret_idle)
{
    const gust__tls *tls = tls_of(c);
    int error = tls->error ? tls->error : tls->end_sent ? -EPIPE : 0;
    return error ? error : gust__conn_room(c, ret_room, ret_idle);
}

/* --- What is pending ---------------------------------------------------------- */

static void drop_pending_locked(gust__tls *tls)
{
    tls_block_put(tls->pending);
    tls->pending = NULL;
    tls->pending_len = 0;
}

/* The next record of `len` pending bytes.  Small ones take more room, and there may be
 * just enough for all that is left in one. */
static size_t pending_record_len(gust_conn *c, size_t len)
{
    size_t n = record_len(tls_of(c), len), room = 0;
    bool idle;
    (void)gust__conn_room(c, &room, &idle);
    return room >= n + RECORD_OVERHEAD + tls_sealed_max(len - n) ? n : len;
}

static int seal_pending_locked(gust_conn *c, gust__tls_how how)
{
    gust__tls *tls = tls_of(c);
    int error = 0;
    size_t done = 0;
    while (!error && done < tls->pending_len) {
        size_t len = pending_record_len(c, tls->pending_len - done);
        error = seal_locked(c, tls->pending + done, len, how);
        done += error ? 0 : len;
    }
    tls->pending_len -= done;
    if (tls->pending_len == 0)
        drop_pending_locked(tls);
    else if (done > 0)
        memmove(tls->pending, tls->pending + done, tls->pending_len);
    return error;
}

/* Seals what is pending, and sends it. */
static int push_pending(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    gust_mutex_lock(&tls->mutex);
    int error = tls->pending_len > 0 ? seal_pending_locked(c, TLS_FLUSH) : tls->error;
    gust_mutex_unlock(&tls->mutex);
    return error;
}

static int gather_locked(gust__tls *tls, const struct iovec *iov, int count)
{
    if (!tls->pending && !(tls->pending = tls_block_get()))
        return -ENOMEM;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > 0)
            memcpy(tls->pending + tls->pending_len, iov[i].iov_base, iov[i].iov_len);
        tls->pending_len += iov[i].iov_len;
    }
    return 0;
}

/* Adds `total` bytes, at most a record, to what is pending. */
static int append_pending(gust_conn *c, const struct iovec *iov, int count, size_t total,
                          gust_time deadline)
{
    gust__tls *tls = tls_of(c);
    for (;;) {
        size_t room = 0;
        bool idle;
        gust_mutex_lock(&tls->mutex);
        int error = write_error_locked(c, &room, &idle);
        bool full = tls->pending_len + total > RECORD_MAX;
        size_t need = tls_sealed_max(tls->pending_len + total);
        bool fits = !full && room >= need;
        if (!error && fits)
            error = gather_locked(tls, iov, count);
        gust_mutex_unlock(&tls->mutex);
        if (error || fits)
            return error;
        error = full ? push_pending(c) : gust__conn_wait_room(c, need, deadline);
        if (error)
            return error;
    }
}

/* --- Large writes -------------------------------------------------------------- */

/* One record of at most `len` bytes, after a wait for its room.  Returns how many. */
static ssize_t write_record(gust_conn *c, const char *buf, size_t len, gust_time deadline)
{
    gust__tls *tls = tls_of(c);
    for (;;) {
        size_t room = 0;
        bool idle;
        gust_mutex_lock(&tls->mutex);
        size_t n = record_len(tls, len);
        int error = write_error_locked(c, &room, &idle);
        bool fits = room >= tls_sealed_max(n);
        if (!error && fits)
            error = seal_locked(c, buf, n, TLS_FLUSH);
        gust_mutex_unlock(&tls->mutex);
        if (!error && fits)
            return (ssize_t)n;
        if (!error)
            error = gust__conn_wait_room(c, tls_sealed_max(n), deadline);
        if (error)
            return error;
    }
}

/* Adds what it has written to *done. */
static int write_piece(gust_conn *c, const struct iovec *piece, gust_time deadline, size_t *done)
{
    for (size_t at = 0; at < piece->iov_len;) {
        ssize_t n = write_record(c, (char *)piece->iov_base + at, piece->iov_len - at, deadline);
        if (n < 0)
            return (int)n;
        at += (size_t)n;
        *done += (size_t)n;
    }
    return 0;
}

/* From the caller's memory.  If this fails after it began, nobody knows where what
 * went out ends. */
static int write_direct(gust_conn *c, const struct iovec *iov, int count, gust_time deadline)
{
    size_t done = 0;
    int error = push_pending(c);
    for (int i = 0; i < count && !error; i++)
        error = write_piece(c, &iov[i], deadline, &done);
    if (error && done > 0)
        gust__conn_spoil(c, error);
    return error;
}

/* --- Without waiting ------------------------------------------------------------ */

/* Two records for what is a little too long for one: the first goes out, which makes
 * room for the second.  Nobody else gets the block in between. */
static int write_two_now(gust_conn *c, const char *buf, size_t len)
{
    gust__tls *tls = tls_of(c);
    size_t room = 0;
    bool idle = false;
    gust_mutex_lock(&tls->mutex);
    int error = write_error_locked(c, &room, &idle);
    if (!error && (room < GUST_CONN_WBUF || !idle || tls->pending_len > 0))
        error = -EAGAIN;
    if (!error)
        error = seal_locked(c, buf, RECORD_MAX, TLS_FLUSH);
    bool begun = !error;
    if (begun)
        error = seal_locked(c, buf + RECORD_MAX, len - RECORD_MAX, TLS_FLUSH);
    gust_mutex_unlock(&tls->mutex);
    if (error && begun)
        gust__conn_spoil(c, error);
    return error;
}

static int write_now(gust_conn *c, const struct iovec *iov, int count, size_t total)
{
    if (total <= RECORD_MAX)
        return append_pending(c, iov, count, total, GUST_NOW);
    if (total > GUST_CONN_WBUF)
        return -EAGAIN;
    char *whole = tls_block_get();
    if (!whole)
        return -ENOMEM;
    for (size_t i = 0, at = 0; i < (size_t)count; at += iov[i++].iov_len)
        if (iov[i].iov_len > 0)
            memcpy(whole + at, iov[i].iov_base, iov[i].iov_len);
    int error = write_two_now(c, whole, total);
    tls_block_put(whole);
    return error;
}

/* --- The calls ------------------------------------------------------------------- */

static bool has_pending(gust__tls *tls)
{
    gust_mutex_lock(&tls->mutex);
    bool has = tls->pending_len > 0;
    gust_mutex_unlock(&tls->mutex);
    return has;
}

static int write_locked(gust_conn *c, const struct iovec *iov, int count, size_t total,
                        gust_time deadline, bool flush)
{
    int error;
    if (deadline == GUST_NOW)
        error = write_now(c, iov, count, total);
    else if (total > RECORD_MAX || (flush && count == 1 && !has_pending(tls_of(c))))
        return write_direct(c, iov, count, deadline);
    else
        error = append_pending(c, iov, count, total, deadline);
    return error || !flush ? error : push_pending(c);
}

ssize_t gust__tls_write(gust_conn *c, const struct iovec *iov, int count, size_t total,
                        gust_time deadline, bool flush)
{
    int error = gust__tls_open(c, deadline);
    if (!error)
        error = gust__conn_enter(c, SIDE_WRITE, deadline);
    if (error)
        return error;
    error = write_locked(c, iov, count, total, deadline, flush);
    gust__conn_leave(c, SIDE_WRITE);
    return error ? error : (ssize_t)total;
}

/* There is nothing to wait for.  Before the handshake has ended nothing is pending, but it
 * may have failed. */
int gust__tls_flush(gust_conn *c, gust_time deadline)
{
    (void)deadline;
    return push_pending(c);
}

/* --- The end ---------------------------------------------------------------------- */

/* Under tls->mutex. */
static bool may_say_end(const gust__tls *tls)
{
    return tls->ssl && tls_is_open(tls) && !tls->error && !tls->end_sent;
}

static int say_end_locked(gust_conn *c, gust__tls_how how)
{
    gust__tls *tls = tls_of(c);
    if (!may_say_end(tls))
        return 0;
    tls->end_sent = true;
    ssize_t n = gust__tls_enter(c, gust__tls_do_end, NULL, 0, how);
    return tls_wants(n) || n > 0 ? 0 : (int)n;
}

int gust__tls_shutdown(gust_conn *c, int how, gust_time deadline)
{
    gust__tls *tls = tls_of(c);
    if (how != SHUT_WR)
        atomic_store(&tls->read_shut, true);
    if (how == SHUT_RD)
        return 0;
    int error = gust__conn_enter(c, SIDE_WRITE, deadline);
    if (error)
        return error;
    error = tls_is_open(tls) ? push_pending(c) : 0;
    if (!error) {
        gust_mutex_lock(&tls->mutex);
        error = say_end_locked(c, TLS_FLUSH);
        gust_mutex_unlock(&tls->mutex);
    }
    gust__conn_leave(c, SIDE_WRITE);
    return error;
}

/* Straight to the kernel, if nothing else is on its way: so a close that waits for
 * nothing says the end, too, and others need not wait for it. */
void gust__tls_closing(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    size_t room;
    bool idle;
    gust_mutex_lock(&tls->mutex);
    (void)gust__conn_room(c, &room, &idle);
    /* A peer that has gone, and so cannot be told, has missed nothing of the user's;
     * nor has it by a ticket. */
    bool only_end = tls->pending_len == 0 && (room == GUST_CONN_WBUF || tls->unflushed);
    if (tls->pending_len > 0)
        (void)seal_pending_locked(c, TLS_CLOSING);
    if (tls->pending_len == 0)
        (void)say_end_locked(c, TLS_CLOSING);
    gust_mutex_unlock(&tls->mutex);
    gust__conn_send_now(c, only_end);
}
