/* What sort of socket is it? */
#ifndef GUST_NET_INHERIT_H
#define GUST_NET_INHERIT_H

#include <gust/inherit.h>

/* Its type (SOCK_STREAM ...), and whether it listens.
 * Errors: -ENOTSOCK, -EBADF. */
int gust__socket_type(int fd, bool *ret_listens);

/* gust_listener_adopt for a socket that listens, of this type; closes nothing. */
int gust__listener_inherit(int fd, int type, gust_listener **ret_listener);

#endif
