/* Connecting. */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/tcp_options.h"

static int socket_open(int family, const gust_tcp_options *options)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = gust__tcp_setup(fd, options);
    if (error) {
        close(fd);
        return error;
    }
    gust__tcp_setup_dial(fd, options);
    return fd;
}

int gust_tcp_dial_with(const gust_addr *addr, const gust_tcp_options *options, gust_time deadline,
                       gust_conn **ret_conn)
{
    GUST__CALL();
    gust_conn *c;
    int fd = socket_open(addr->any.sa_family, options);
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

int gust_tcp_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn)
{
    return gust_tcp_dial_with(addr, NULL, deadline, ret_conn);
}
