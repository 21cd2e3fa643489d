/* What listener.c does for other kinds of listeners than TCP's, and for the PROXY gate. */
#ifndef GUST_NET_LISTENER_H
#define GUST_NET_LISTENER_H

#include <gust/net.h>

#include "net/unix_path.h"

/* Makes a listener of a listening socket of `type`, with the file that goes with it
 * (or NULL).  Owns both on success.  Errors: -ENOMEM; what fcntl(2) answers. */
int gust__listener_new(int fd, int type, gust__unix_path *path, gust_listener **ret_listener);

/* The next connection as the kernel gives it, for the PROXY gate. */
int gust__listener_take(gust_listener *l, gust_time deadline, gust_conn **ret_conn);

/* gust_listener_accept's work, up to the socket; a call is under way. */
int gust__listener_accept_fd(gust_listener *l, int type, gust_time deadline, int *ret_fd);

#endif
