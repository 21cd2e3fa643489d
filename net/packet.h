/* A packet socket inside: what packet.c (life), packet_recv.c and packet_send.c
 * share.
 *
 * As with a conn, each side has a mutex that its goroutine holds for the whole call,
 * and the lock is for bookkeeping.  Closing: `closing` is set under the lock; what is
 * published is cancelled and woken; the closer takes both mutexes and closes the
 * descriptor.  So whoever holds one of them may use the descriptor in system calls
 * that do not wait. */
#ifndef GUST_NET_PACKET_H
#define GUST_NET_PACKET_H

#include <gust/packet.h>
#include <gust/sync.h>
#include <stdatomic.h>

#include "core/lock.h"
#include "core/netpoll.h"
#include "core/waitq.h"
#include "net/unix_path.h"

typedef struct gust__packet_side {
    gust_mutex mutex;
    gust__deadline deadline; /* of the mutex's holder */
    gust__op *op;            /* in flight, or NULL; under the socket's lock */
} gust__packet_side;

struct gust_packet {
    _Atomic uint32_t refs;
    gust__lock lock; /* RANK_CONN */
    bool closing;    /* under lock */
    bool unixgram;   /* Unix datagrams */
    gust__fd fd;     /* .fd is -1 once closed */
    gust__packet_side rd, wr;
    bool more;              /* the last batch was full: others are probably there.  rd.mutex */
    int error;              /* met behind a batch, the next receive's result.  rd.mutex */
    gust__waitlist waiters; /* the sender that pauses; under lock */
    gust__unix_path *path;  /* the file that goes with it, or NULL */
};

/* Makes a packet socket of a descriptor, and the file that goes with it.  Owns both in
 * every case.  Errors: -ENOMEM; what fcntl(2) answers. */
int gust__packet_adopt(int fd, bool unixgram, gust__unix_path *path, gust_packet **ret_packet);

/* gust__op_wait, with op published in side->op so that a close can end it.  -EBADF if
 * the socket is being closed. */
int gust__packet_op_wait(gust_packet *p, gust__packet_side *side, gust__op *op, gust_time deadline);

bool gust__packet_closing(gust_packet *p);

#endif
