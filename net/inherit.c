/* Adopting sockets. */
#include "net/inherit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/listener.h"
#include "net/packet.h"
#include "net/socket.h"

static int socket_option(int fd, int name, int *ret_value)
{
    socklen_t len = sizeof *ret_value;
    return getsockopt(fd, SOL_SOCKET, name, ret_value, &len) < 0 ? -errno : 0;
}

int gust__socket_type(int fd, bool *ret_listens)
{
    int type = 0, listens = 0;
    int error = socket_option(fd, SO_TYPE, &type);
    if (!error)
        error = socket_option(fd, SO_ACCEPTCONN, &listens);
    *ret_listens = listens;
    return error ? error : type;
}

/* The same for what is wanted: its type, or an error. */
static int check(int fd, int type, int other_type, bool listening)
{
    bool listens;
    int found = gust__socket_type(fd, &listens);
    if (found < 0)
        return found;
    if (found != type && found != other_type)
        return -EPROTOTYPE;
    if (listens != listening)
        return -EINVAL;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -errno : found;
}

/* --- Listeners --------------------------------------------------------------- */

int gust__listener_inherit(int fd, int type, gust_listener **ret_listener)
{
    /* Refused where it has no meaning. */
    (void)socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return gust__listener_new(fd, type, NULL, ret_listener);
}

int gust_listener_adopt(int fd, gust_listener **ret_listener)
{
    GUST__CALL();
    int type = check(fd, SOCK_STREAM, SOCK_SEQPACKET, true);
    int error = type < 0 ? type : gust__listener_inherit(fd, type, ret_listener);
    if (error && error != -EBADF)
        close(fd);
    return error;
}

/* --- Connections and packets --------------------------------------------------- */

/* io_uring wants sockets that block; epoll says otherwise by itself. */
static int make_blocking(int fd)
{
    const int off = 0;
    return ioctl(fd, FIONBIO, &off) < 0 ? -errno : 0;
}

/* Its type; else an error, and it is closed. */
static int check_or_close(int fd, int type, int other_type)
{
    int found = check(fd, type, other_type, false);
    int error = found < 0 ? found : make_blocking(fd);
    if (error && error != -EBADF)
        close(fd);
    return error ? error : found;
}

int gust_conn_adopt(int fd, gust_conn **ret_conn)
{
    GUST__CALL();
    int type = check_or_close(fd, SOCK_STREAM, SOCK_STREAM), family = AF_UNSPEC;
    if (type < 0)
        return type;
    (void)socket_option(fd, SO_DOMAIN, &family);
    return gust__conn_adopt_family(fd, (sa_family_t)family, ret_conn);
}

int gust_packet_adopt(int fd, gust_packet **ret_packet)
{
    GUST__CALL();
    int type = check_or_close(fd, SOCK_DGRAM, SOCK_SEQPACKET), family = AF_UNSPEC;
    if (type < 0)
        return type;
    (void)socket_option(fd, SO_DOMAIN, &family);
    return gust__packet_adopt(fd, type == SOCK_DGRAM && family == AF_UNIX, NULL, ret_packet);
}
