/* Making Unix datagram and sequenced packet sockets. */
#include <errno.h>
#include <gust/packet.h>
#include <unistd.h>

#include "net/listener.h"
#include "net/packet.h"
#include "net/unix_dial.h"

/* --- Datagrams --------------------------------------------------------------- */

/* Binds and connects to what is not NULL. */
static int name_it(int fd, const gust_addr *local, const gust_addr *remote,
                   const gust_unix_options *options, gust__unix_path **ret_path)
{
    int error = local ? gust__unix_bind(fd, local, options, ret_path) : 0;
    if (!error && remote && connect(fd, &remote->any, remote->len) < 0)
        error = -errno;
    return error;
}

static int unixgram_open(const gust_addr *local, const gust_addr *remote,
                         const gust_unix_options *options, gust_packet **ret_packet)
{
    static const gust_unix_options defaults;
    gust__unix_path *path = NULL;
    if ((local && local->any.sa_family != AF_UNIX) || (remote && remote->any.sa_family != AF_UNIX))
        return -EAFNOSUPPORT;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = name_it(fd, local, remote, options ? options : &defaults, &path);
    if (!error)
        return gust__packet_adopt(fd, true, path, ret_packet);
    gust__unix_unbind(path);
    close(fd);
    return error;
}

int gust_unixgram_bind(const gust_addr *local, const gust_unix_options *options,
                       gust_packet **ret_packet)
{
    GUST__CALL();
    return unixgram_open(local, NULL, options, ret_packet);
}

int gust_unixgram_dial(const gust_addr *remote, const gust_addr *local,
                       const gust_unix_options *options, gust_packet **ret_packet)
{
    GUST__CALL();
    return unixgram_open(local, remote, options, ret_packet);
}

/* --- Sequenced packets ------------------------------------------------------- */

int gust_seqpacket_listen(const gust_addr *addr, const gust_unix_options *options,
                          gust_listener **ret_listener)
{
    GUST__CALL();
    return gust__unix_listen(SOCK_SEQPACKET, addr, options, ret_listener);
}

int gust_seqpacket_dial(const gust_addr *addr, gust_time deadline, gust_packet **ret_packet)
{
    GUST__CALL();
    int fd = gust__unix_connect(SOCK_SEQPACKET, addr, deadline);
    return fd < 0 ? fd : gust__packet_adopt(fd, false, NULL, ret_packet);
}

int gust_listener_accept_packet(gust_listener *l, gust_time deadline, gust_packet **ret_packet)
{
    GUST__CALL();
    int fd = -1;
    int error = gust__listener_accept_fd(l, SOCK_SEQPACKET, deadline, &fd);
    return error ? error : gust__packet_adopt(fd, false, NULL, ret_packet);
}
