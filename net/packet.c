/* The life of a packet socket; packet.h says how a close goes about it. */
#include "net/packet.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/inject.h"
#include "net/closable.h"
#include "net/control.h"

/* --- Making and freeing ------------------------------------------------------ */

int gust__packet_adopt(int fd, bool unixgram, gust__unix_path *path, gust_packet **ret_packet)
{
    gust_packet *p = gust__calloc(1, sizeof *p);
    int error = p ? gust__fd_init(&p->fd, fd) : -ENOMEM;
    if (error) {
        free(p);
        gust__unix_unbind(path);
        close(fd);
        return error;
    }
    atomic_init(&p->refs, 1);
    p->unixgram = unixgram;
    p->path = path;
    gust__deadline_init(&p->rd.deadline);
    gust__deadline_init(&p->wr.deadline);
    *ret_packet = p;
    return 0;
}

static void shut(gust_packet *p)
{
    gust__unix_unbind(p->path);
    p->path = NULL;
    gust__fd_close(&p->fd);
}

gust_packet *gust_packet_ref(gust_packet *p)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    return p;
}

void gust_packet_unref(gust_packet *p)
{
    GUST__CALL();
    /* Release and acquire: what every owner did comes before the free.  Pairs with
     * itself. */
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (p->fd.fd >= 0)
        shut(p);
    gust__deadline_fini(&p->rd.deadline);
    gust__deadline_fini(&p->wr.deadline);
    free(p);
}

/* --- Closing ----------------------------------------------------------------- */

/* False: somebody else is closing already. */
static bool close_begin(gust_packet *p)
{
    gust__waiter *waiters = NULL;
    gust__lock_take(&p->lock, RANK_CONN);
    bool first = !p->closing;
    if (first) {
        p->closing = true;
        if (p->rd.op)
            gust__op_cancel(p->rd.op);
        if (p->wr.op)
            gust__op_cancel(p->wr.op);
        waiters = gust__waitlist_take_all(&p->waiters, OUTCOME_CLOSED);
    }
    gust__lock_drop(&p->lock);
    gust__waiters_ready(waiters);
    return first;
}

int gust_packet_close(gust_packet *p)
{
    GUST__CALL();
    int error = -EBADF;
    if (!p)
        return 0;
    if (close_begin(p)) {
        gust_mutex_lock(&p->wr.mutex);
        gust_mutex_lock(&p->rd.mutex);
        shut(p);
        gust_mutex_unlock(&p->rd.mutex);
        gust_mutex_unlock(&p->wr.mutex);
        error = 0;
    }
    gust_packet_unref(p);
    return error;
}

/* --- Operations -------------------------------------------------------------- */

bool gust__packet_closing(gust_packet *p)
{
    gust__lock_take(&p->lock, RANK_CONN);
    bool closing = p->closing;
    gust__lock_drop(&p->lock);
    return closing;
}

int gust__packet_op_wait(gust_packet *p, gust__packet_side *side, gust__op *op, gust_time deadline)
{
    return gust__closable_wait(&p->lock, &p->closing, &side->op, op, &side->deadline, deadline);
}

/* --- What is known of the socket --------------------------------------------- */

int gust_packet_shutdown(gust_packet *p, int how)
{
    GUST__CALL();
    gust__lock_take(&p->lock, RANK_CONN);
    int error = p->closing ? -EBADF : shutdown(p->fd.fd, how) < 0 ? -errno : 0;
    gust__lock_drop(&p->lock);
    return error;
}

static void read_addr(const gust_packet *const_packet, gust__name_fn *name, gust_addr *ret_addr)
{
    gust_packet *p = (gust_packet *)const_packet;
    gust__closable_addr(&p->lock, &p->closing, &p->fd, name, ret_addr);
}

void gust_packet_local_addr(const gust_packet *p, gust_addr *ret_addr)
{
    GUST__CALL();
    read_addr(p, getsockname, ret_addr);
}

void gust_packet_remote_addr(const gust_packet *p, gust_addr *ret_addr)
{
    GUST__CALL();
    read_addr(p, getpeername, ret_addr);
}

static int read_size(int fd, int option, int *ret_size)
{
    socklen_t len = sizeof *ret_size;
    return getsockopt(fd, SOL_SOCKET, option, ret_size, &len) < 0 ? -errno : 0;
}

int gust_packet_buffers(const gust_packet *const_packet, int *ret_recv, int *ret_send)
{
    GUST__CALL();
    gust_packet *p = (gust_packet *)const_packet;
    gust__lock_take(&p->lock, RANK_CONN);
    int error = p->closing ? -EBADF : read_size(p->fd.fd, SO_RCVBUF, ret_recv);
    if (!error)
        error = read_size(p->fd.fd, SO_SNDBUF, ret_send);
    gust__lock_drop(&p->lock);
    return error;
}

int gust_packet_peer_cred(const gust_packet *const_packet, gust_peer_cred *ret_cred)
{
    GUST__CALL();
    gust_packet *p = (gust_packet *)const_packet;
    gust__lock_take(&p->lock, RANK_CONN);
    int error = p->closing ? -EBADF : gust__peer_cred(p->fd.fd, ret_cred);
    gust__lock_drop(&p->lock);
    return error;
}
