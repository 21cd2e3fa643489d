/* The life of a connection: references, shutdown, close.  conn.h says in which
 * order a close goes about it. */
#include "net/conn.h"

#include <errno.h>
#include <gust/proxy.h>
#include <gust/runtime.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/inject.h"
#include "net/closable.h"

/* --- Making and freeing -------------------------------------------------- */

int gust__conn_adopt(int fd, gust_conn **ret_conn)
{
    gust_conn *c = gust__calloc(1, sizeof *c);
    int error = c ? gust__fd_init(&c->fd, fd) : -ENOMEM;
    if (error) {
        free(c);
        close(fd);
        return error;
    }
    atomic_init(&c->refs, 1);
    gust__deadline_init(&c->rd_deadline);
    c->limit[SIDE_READ] = c->limit[SIDE_WRITE] = GUST_FOREVER;
    *ret_conn = c;
    return 0;
}

int gust__conn_adopt_family(int fd, sa_family_t family, gust_conn **ret_conn)
{
    int error = gust__conn_adopt(fd, ret_conn);
    if (!error)
        (*ret_conn)->is_unix = family == AF_UNIX;
    return error;
}

/* Whoever calls this must not wait, for it may be on g0. */
static void linger_stop(gust_conn *c)
{
    const struct linger off = {.l_onoff = 0};
    (void)setsockopt(c->fd.fd, SOL_SOCKET, SO_LINGER, &off, sizeof off);
}

void gust__conn_free(gust_conn *c)
{
    if (c->fd.fd >= 0 && c->lingers)
        linger_stop(c);
    if (c->fd.fd >= 0)
        gust__fd_close(&c->fd);
    gust__deadline_fini(&c->rd_deadline);
    gust__conn_drop_view(c);
    gust__conn_writer_free(c->wr);
    free(c->proxy);
    if (c->layer)
        c->layer->ops->free(c);
    free(c);
}

gust_conn *gust_conn_ref(gust_conn *c)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

/* No goroutine is inside then, since it would hold a reference; only a send in
 * the background can be.  If so, its completion frees the conn. */
static void abandon(gust_conn *c)
{
    gust__lock_take(&c->lock, RANK_CONN);
    c->closing = true;
    c->abandoned = true;
    bool sending = conn_is_sending(c);
    if (sending)
        gust__conn_discard_locked(c);
    gust__lock_drop(&c->lock);
    if (!sending)
        gust__conn_free(c);
}

void gust_conn_unref(gust_conn *c)
{
    GUST__CALL();
    /* Release: what this owner did comes before the free; acquire: the free
     * comes after what the other owners did.  Pairs with itself. */
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1)
        abandon(c);
}

/* --- Shutdown and close -------------------------------------------------- */

int gust_conn_shutdown(gust_conn *c, int how, gust_time deadline)
{
    int refused = conn_layer(c) ? c->layer->ops->shutdown(c, how, deadline) : 0;
    if (!refused && how != SHUT_RD)
        refused = gust_conn_drain(c, deadline);
    if (refused)
        return refused;
    GUST__CALL();
    /* Under the lock, for the descriptor may not be closed meanwhile. */
    gust__lock_take(&c->lock, RANK_CONN);
    int error = c->closing ? -EBADF : shutdown(c->fd.fd, how) < 0 ? -errno : 0;
    gust__lock_drop(&c->lock);
    return error;
}

/* Steps 1 and 2.  False: somebody else is closing already. */
static bool close_begin(gust_conn *c)
{
    gust__lock_take(&c->lock, RANK_CONN);
    bool first = !c->closing;
    gust__waiter *waiters = NULL;
    if (first) {
        c->closing = true;
        if (c->rd.op)
            gust__op_cancel(c->rd.op);
        if (c->wr && c->wr->direct)
            gust__op_cancel(c->wr->direct);
        gust__conn_watch_cancel_locked(c);
        waiters = gust__conn_waiters_locked(c, WAIT_SENT, OUTCOME_CLOSED);
    }
    gust__lock_drop(&c->lock);
    gust__waiters_ready(waiters);
    return first;
}

static int close_drain(gust_conn *c, gust_time deadline)
{
    gust__lock_take(&c->lock, RANK_CONN);
    int error = gust__conn_drain_locked(c, deadline, true);
    if (error) {
        gust__conn_discard_locked(c);
        gust__conn_settle_locked(c);
    }
    gust__lock_drop(&c->lock);
    return error;
}

/* Step 3.  Returns the descriptor if to close it is to wait, else -1. */
static int close_end(gust_conn *c, gust_time deadline, int *ret_error)
{
    /* Whoever is inside has been told to leave, and nobody who comes later stays. */
    gust__conn_enter_surely(c, SIDE_WRITE);
    if (c->layer)
        c->layer->ops->closing(c);
    *ret_error = close_drain(c, deadline);
    gust__conn_enter_surely(c, SIDE_READ);
    gust__conn_watch_settle(c);
    int lingering = -1;
    if (c->lingers)
        lingering = gust__fd_take(&c->fd);
    else
        gust__fd_close(&c->fd);
    gust__conn_leave(c, SIDE_READ);
    gust__conn_leave(c, SIDE_WRITE);
    return lingering;
}

static int conn_close(gust_conn *c, gust_time deadline, int *ret_lingering)
{
    GUST__CALL();
    int error = -EBADF;
    if (close_begin(c))
        *ret_lingering = close_end(c, deadline, &error);
    gust_conn_unref(c);
    return error;
}

int gust_conn_close(gust_conn *c, gust_time deadline)
{
    int lingering = -1;
    if (!c)
        return 0;
    int error = conn_close(c, deadline, &lingering);
    if (lingering >= 0) {
        gust_blocking_begin();
        close(lingering);
        gust_blocking_end();
    }
    return error;
}

/* --- Addresses ----------------------------------------------------------- */

static void read_addr(const gust_conn *const_conn, gust__name_fn *name, gust_addr *ret_addr)
{
    gust_conn *c = (gust_conn *)const_conn;
    gust__closable_addr(&c->lock, &c->closing, &c->fd, name, ret_addr);
}

/* What a PROXY header says takes the place of what the socket says. */
static void read_addr_of(const gust_conn *c, gust__name_fn *name, const gust_addr *proxied,
                         gust_addr *ret_addr)
{
    read_addr(c, name, ret_addr);
    if (ret_addr->len > 0 && proxied && proxied->len > 0)
        *ret_addr = *proxied;
}

void gust_conn_local_addr(const gust_conn *c, gust_addr *ret_addr)
{
    GUST__CALL();
    read_addr_of(c, getsockname, c->proxy ? &c->proxy->destination : NULL, ret_addr);
}

void gust_conn_remote_addr(const gust_conn *c, gust_addr *ret_addr)
{
    GUST__CALL();
    read_addr_of(c, getpeername, c->proxy ? &c->proxy->source : NULL, ret_addr);
}

void gust_conn_peer_addr(const gust_conn *c, gust_addr *ret_addr)
{
    GUST__CALL();
    read_addr(c, getpeername, ret_addr);
}

const gust_proxy_header *gust_conn_proxy_header(const gust_conn *c)
{
    return c->proxy;
}
