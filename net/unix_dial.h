/* Listening and connecting for both kinds of Unix sockets with connections. */
#ifndef GUST_NET_UNIX_DIAL_H
#define GUST_NET_UNIX_DIAL_H

#include <gust/unix.h>

/* gust_unix_listen and gust_unix_dial for `type`; calls are under way. */
int gust__unix_listen(int type, const gust_addr *addr, const gust_unix_options *options,
                      gust_listener **ret_listener);
int gust__unix_connect(int type, const gust_addr *addr, gust_time deadline); /* a descriptor */

#endif
