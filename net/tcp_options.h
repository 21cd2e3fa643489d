/* TCP's options on a socket that nobody else knows yet. */
#ifndef GUST_NET_TCP_OPTIONS_H
#define GUST_NET_TCP_OPTIONS_H

#include <gust/tcp.h>

/* Sets what differs from the kernel's defaults; NULL: gust's defaults.  Accepted
 * sockets have their listener's options: the kernel hands them down, which spares
 * system calls for each connection.
 * Errors: -EINVAL, what setsockopt(2) answers. */
int gust__tcp_setup(int fd, const gust_tcp_options *options);

/* Both are left out silently where the system does not allow them. */
void gust__tcp_setup_listener(int fd, const gust_tcp_options *options, int64_t defer_accept_ns);
void gust__tcp_setup_dial(int fd, const gust_tcp_options *options);

#endif
