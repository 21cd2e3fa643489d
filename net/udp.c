/* Making UDP sockets, and multicast groups. */
#include <errno.h>
#include <gust/packet.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "net/packet.h"
#include "net/socket.h"

/* Sets an option if it was asked for. */
static int set_if(bool wanted, int fd, int level, int name, int value)
{
    return wanted ? socket_set(fd, level, name, value) : 0;
}

static int set_general(int fd, const gust_udp_options *o)
{
    int error = set_if(o->recv_buffer > 0, fd, SOL_SOCKET, SO_RCVBUF, o->recv_buffer);
    if (!error)
        error = set_if(o->send_buffer > 0, fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer);
    if (!error)
        error = set_if(o->reuse_addr, fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!error)
        error = set_if(o->reuse_port, fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (!error)
        error = set_if(o->broadcast, fd, SOL_SOCKET, SO_BROADCAST, 1);
    return error;
}

static int set_v4(int fd, const gust_udp_options *o)
{
    struct ip_mreqn out = {.imr_ifindex = (int)o->multicast_interface};
    if (o->multicast_interface && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof out) < 0)
        return -errno;
    int error = set_if(o->multicast_hops > 0, fd, IPPROTO_IP, IP_MULTICAST_TTL, o->multicast_hops);
    if (!error)
        error = set_if(o->multicast_no_loop, fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0);
    return error;
}

static int set_v6(int fd, const gust_udp_options *o)
{
    int error = socket_set(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->v6only);
    if (!error)
        error = set_if(o->multicast_interface > 0, fd, IPPROTO_IPV6, IPV6_MULTICAST_IF,
                       (int)o->multicast_interface);
    if (!error)
        error =
            set_if(o->multicast_hops > 0, fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, o->multicast_hops);
    if (!error)
        error = set_if(o->multicast_no_loop, fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
    return error;
}

/* A socket with its options, bound and connected to what is not NULL. */
static int udp_socket(const gust_addr *local, const gust_addr *remote, const gust_udp_options *o)
{
    const int family = (remote ? remote : local)->any.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return -EAFNOSUPPORT;
    int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = set_general(fd, o);
    if (!error)
        error = family == AF_INET6 ? set_v6(fd, o) : set_v4(fd, o);
    if (!error && local && bind(fd, &local->any, local->len) < 0)
        error = -errno;
    if (!error && remote && connect(fd, &remote->any, remote->len) < 0)
        error = -errno;
    if (!error)
        return fd;
    close(fd);
    return error;
}

static const gust_udp_options defaults;

int gust_udp_bind(const gust_addr *local, const gust_udp_options *options, gust_packet **ret_packet)
{
    GUST__CALL();
    const gust_udp_options *o = options ? options : &defaults;
    int fd = udp_socket(local, NULL, o);
    gust_addr v4;
    if (fd == -EAFNOSUPPORT && !o->v6only && addr_v4_anywhere(local, &v4))
        fd = udp_socket(&v4, NULL, o);
    return fd < 0 ? fd : gust__packet_adopt(fd, false, NULL, ret_packet);
}

int gust_udp_dial(const gust_addr *remote, const gust_addr *local, const gust_udp_options *options,
                  gust_packet **ret_packet)
{
    GUST__CALL();
    int fd = udp_socket(local, remote, options ? options : &defaults);
    return fd < 0 ? fd : gust__packet_adopt(fd, false, NULL, ret_packet);
}

/* --- Groups ------------------------------------------------------------------ */

static int change_group(gust_packet *p, int name, const gust_addr *group, unsigned interface)
{
    int level = group->any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    struct group_req req = {.gr_interface = interface};
    if (group->len == 0 || group->len > sizeof req.gr_group)
        return -EINVAL;
    memcpy(&req.gr_group, &group->any, group->len);
    gust__lock_take(&p->lock, RANK_CONN);
    int error = p->closing                                                ? -EBADF
                : setsockopt(p->fd.fd, level, name, &req, sizeof req) < 0 ? -errno
                                                                          : 0;
    gust__lock_drop(&p->lock);
    return error;
}

int gust_packet_join(gust_packet *p, const gust_addr *group, unsigned interface)
{
    GUST__CALL();
    return change_group(p, MCAST_JOIN_GROUP, group, interface);
}

int gust_packet_leave(gust_packet *p, const gust_addr *group, unsigned interface)
{
    GUST__CALL();
    return change_group(p, MCAST_LEAVE_GROUP, group, interface);
}
