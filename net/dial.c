/* Connecting. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/dial_name.h"
#include "net/socket.h"
#include "net/tcp_options.h"

static int bind_local(int fd, const gust_addr *local)
{
    int error = 0;
    if (gust_addr_port(local)) /* it may be in use towards others */
        error = socket_set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    else /* one that need not be picked before it is known to whom it leads; or now */
        (void)socket_set(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (error)
        return error;
    return bind(fd, &local->any, local->len) < 0 ? -errno : 0;
}

static int socket_open(int family, const gust__dial_how *how)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = gust__tcp_setup(fd, how->tcp);
    if (!error && how->local)
        error = bind_local(fd, how->local);
    if (error) {
        close(fd);
        return error;
    }
    gust__tcp_setup_dial(fd, how->tcp);
    return fd;
}

int gust__tcp_connect(const gust_addr *addr, const gust__dial_how *how, gust_time deadline,
                      gust_conn **ret_conn)
{
    GUST__CALL();
    gust_conn *c;
    int fd = socket_open(addr->any.sa_family, how);
    if (fd < 0)
        return fd;
    int error = gust__conn_adopt(fd, &c);
    if (error)
        return error;
    gust__op op = {
        .code = GUST__OP_CONNECT, .fd = &c->fd, .addr = &addr->any, .addr_len = addr->len};
    error = gust__op_wait(&op, NULL, deadline);
    if (error) {
        gust_conn_unref(c);
        return error;
    }
    *ret_conn = c;
    return 0;
}

int gust_tcp_dial_with(const gust_addr *addr, const gust_tcp_options *options, gust_time deadline,
                       gust_conn **ret_conn)
{
    return gust__tcp_connect(addr, &(gust__dial_how){.tcp = options}, deadline, ret_conn);
}

int gust_tcp_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn)
{
    return gust_tcp_dial_with(addr, NULL, deadline, ret_conn);
}
