/* What everybody needs who makes sockets. */
#ifndef GUST_NET_SOCKET_H
#define GUST_NET_SOCKET_H

#include <errno.h>
#include <gust/net.h>
#include <stdbool.h>

/* 0, or what setsockopt(2) answers. */
static inline int socket_set(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) < 0 ? -errno : 0;
}

/* Where the kernel has no IPv6, "every address" is every IPv4 address.  False: `addr` is
 * not "every address" of IPv6. */
static inline bool addr_v4_anywhere(const gust_addr *addr, gust_addr *ret_v4)
{
    if (addr->any.sa_family != AF_INET6 || !IN6_IS_ADDR_UNSPECIFIED(&addr->v6.sin6_addr))
        return false;
    *ret_v4 = (gust_addr){.v4 = {.sin_family = AF_INET, .sin_port = addr->v6.sin6_port},
                          .len = sizeof ret_v4->v4};
    return true;
}

#endif
