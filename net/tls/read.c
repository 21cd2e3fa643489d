/* Reading: from the wire through OpenSSL to the caller, or to the view.
 *
 * The conn's own view holds what came over the wire until OpenSSL has taken it; when
 * OpenSSL wants more, all of it is taken.  So a connection that waits has no buffer
 * here either. */
#include <errno.h>
#include <string.h>

#include "core/inject.h"
#include "net/min_size.h"
#include "net/tls/tls.h"

/* --- From the wire ----------------------------------------------------------- */

/* What can be had without waiting.  Returns the count, 0 at the end, TLS_WANT_*, or an
 * error. */
static ssize_t read_now(gust_conn *c, void *buf, size_t len)
{
    gust__tls *tls = tls_of(c);
    ssize_t n = TLS_WANT_READ;
    gust_mutex_lock(&tls->mutex);
    if (tls->error)
        n = tls->error;
    else if (gust__conn_raw_view(c).len > 0 || SSL_has_pending(tls->ssl))
        n = gust__tls_enter(c, gust__tls_do_read, buf, len, TLS_READING | TLS_FLUSH);
    else if (SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN)
        n = 0;
    gust_mutex_unlock(&tls->mutex);
    return n;
}

/* The tickets have waited for an answer they could leave with; but now we wait. */
static void flush_tickets(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    gust_mutex_lock(&tls->mutex);
    bool flush = tls->unflushed;
    tls->unflushed = false;
    gust_mutex_unlock(&tls->mutex);
    if (flush)
        gust__conn_raw_flush(c);
}

/* 0: there may be something to read now. */
static int wait_for_more(gust_conn *c, ssize_t want, gust_time deadline)
{
    if (want == TLS_WANT_WRITE) {
        int error = gust__tls_flush(c, deadline); /* what is pending holds room */
        return error ? error : gust__conn_wait_room(c, RECORD_SLACK, deadline);
    }
    flush_tickets(c);
    ssize_t n = gust__conn_raw_fill(c, deadline);
    return n == 0 ? -ECONNABORTED : n < 0 ? (int)n : 0;
}

/* At least one byte.  By the reader. */
static ssize_t read_some(gust_conn *c, void *buf, size_t len, gust_time deadline)
{
    int error = 0;
    while (!error) {
        ssize_t n = read_now(c, buf, len);
        if (!tls_wants(n))
            return n;
        error = wait_for_more(c, n, deadline);
    }
    /* The end of what we have ended ourselves is no attack. */
    return error == -ECONNABORTED && atomic_load(&tls_of(c)->read_shut) ? 0 : error;
}

/* --- The view ---------------------------------------------------------------- */

void gust__tls_view_drop(gust__tls_view *v)
{
    if (v->cap == GUST_CONN_WBUF)
        tls_block_put(v->data);
    else
        free(v->data);
    *v = (gust__tls_view){0};
}

gust_span gust__tls_view_get(const gust_conn *c)
{
    const gust__tls_view *v = &tls_of(c)->view;
    return v->len ? (gust_span){v->data + v->off, v->len} : (gust_span){"", 0};
}

void gust__tls_consume(gust_conn *c, size_t n)
{
    gust__tls_view *v = &tls_of(c)->view;
    if (n > v->len)
        gust_panic("gust_conn_consume: %zu bytes of a view of %zu", n, v->len);
    v->off += n;
    v->len -= n;
    if (v->len == 0)
        gust__tls_view_drop(v);
}

/* A buffer of `cap` bytes, at the front of which the view lies then. */
static int view_move(gust__tls_view *v, size_t cap)
{
    char *data = cap == GUST_CONN_WBUF ? tls_block_get() : gust__malloc(cap);
    size_t len = v->len;
    if (!data)
        return -ENOMEM;
    if (v->data) /* and so something in it */
        memcpy(data, v->data + v->off, len);
    gust__tls_view_drop(v);
    *v = (gust__tls_view){.data = data, .cap = cap, .len = len};
    return 0;
}

/* Room behind the view, which is shorter than max_view.  Doubling, and moving only what
 * has become small against the buffer, keep the copying linear in what is read. */
static int view_make_room(gust__tls_view *v, size_t max_view)
{
    if (!v->data)
        return view_move(v, min_size(GUST_CONN_WBUF, max_view));
    if (v->cap - v->off - v->len > v->cap / 8)
        return 0;
    if (v->off <= v->cap / 4 && v->cap < max_view)
        return view_move(v, min_size(v->cap * 2, max_view));
    memmove(v->data, v->data + v->off, v->len);
    v->off = 0;
    return 0;
}

/* Fills the room with what can be had without waiting.  Returns how much came, or what
 * read_now returned if nothing did. */
static ssize_t fill_now(gust_conn *c, size_t max_view)
{
    gust__tls_view *v = &tls_of(c)->view;
    ssize_t n, total = 0;
    int error = view_make_room(v, max_view);
    if (error)
        return error;
    do {
        size_t end = v->off + v->len;
        n = read_now(c, v->data + end, min_size(v->cap - end, max_view - v->len));
        if (n > 0) {
            v->len += (size_t)n;
            total += n;
        }
    } while (n > 0 && v->len < max_view && v->off + v->len < v->cap);
    if (v->len == 0)
        gust__tls_view_drop(v);
    return total > 0 ? total : n;
}

/* Whether it is worth a buffer to look. */
static bool may_have_input(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    gust_mutex_lock(&tls->mutex);
    bool may = tls->error || gust__conn_raw_view(c).len > 0 || SSL_has_pending(tls->ssl) ||
               SSL_get_shutdown(tls->ssl) & SSL_RECEIVED_SHUTDOWN;
    gust_mutex_unlock(&tls->mutex);
    return may;
}

static ssize_t fill_some(gust_conn *c, size_t max_view, gust_time deadline)
{
    int error = 0;
    while (!error) {
        ssize_t n = may_have_input(c) ? fill_now(c, max_view) : TLS_WANT_READ;
        if (!tls_wants(n))
            return n;
        error = wait_for_more(c, n, deadline);
    }
    return error == -ECONNABORTED && atomic_load(&tls_of(c)->read_shut) ? 0 : error;
}

/* Before the handshake, which the first fill makes, there is no SSL object. */
bool gust__tls_has_input(gust_conn *c)
{
    const gust__tls *tls = tls_of(c);
    return tls->view.len > 0 || (tls->ssl ? may_have_input(c) : gust__conn_raw_view(c).len > 0);
}

/* --- The calls --------------------------------------------------------------- */

static size_t copy_from_view(gust_conn *c, void *buf, size_t len)
{
    gust_span view = gust__tls_view_get(c);
    size_t n = min_size(len, view.len);
    memcpy(buf, view.data, n);
    gust__tls_consume(c, n);
    return n;
}

ssize_t gust__tls_read(gust_conn *c, void *buf, size_t len, gust_time deadline)
{
    if (len == 0)
        return 0;
    int error = gust__tls_open(c, deadline);
    if (!error)
        error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    ssize_t n = tls_of(c)->view.len > 0 ? (ssize_t)copy_from_view(c, buf, len)
                                        : read_some(c, buf, len, deadline);
    gust__conn_leave(c, SIDE_READ);
    return n;
}

ssize_t gust__tls_fill(gust_conn *c, size_t max_view, gust_time deadline)
{
    int error = gust__tls_open(c, deadline);
    if (!error)
        error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    ssize_t n = tls_of(c)->view.len >= max_view ? -ENOBUFS : fill_some(c, max_view, deadline);
    gust__conn_leave(c, SIDE_READ);
    return n;
}
