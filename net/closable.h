/* A descriptor that somebody may close while others use it: what packet sockets, conns
 * and files have in common.  `closing` is set under `lock` (RANK_CONN), by a closer who
 * then cancels every operation that is published, and waits until its owner has left. */
#ifndef GUST_NET_CLOSABLE_H
#define GUST_NET_CLOSABLE_H

#include <gust/net.h>

#include "core/lock.h"
#include "core/netpoll.h"

/* gust__op_wait, with op published in *slot.  -EBADF if it is being closed; -ECANCELED
 * if the goroutine's context is cancelled. */
int gust__closable_wait(gust__lock *lock, const bool *closing, gust__op **slot, gust__op *op,
                        gust__deadline *d, gust_time deadline);

/* getsockname(2) or getpeername(2). */
typedef int gust__name_fn(int fd, struct sockaddr *restrict addr, socklen_t *restrict len);

/* What that says; no address if it is being closed, or has none. */
void gust__closable_addr(gust__lock *lock, const bool *closing, const gust__fd *fd,
                         gust__name_fn *name, gust_addr *ret_addr);

#endif
