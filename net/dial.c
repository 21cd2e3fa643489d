/* Connecting. */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "net/conn.h"

static int socket_open(int family)
{
    const int on = 1;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Refused only where TCP_NODELAY has no meaning; slower, not wrong. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

int gust_tcp_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn)
{
    GUST__CALL();
    gust_conn *c;
    int fd = socket_open(addr->any.sa_family);
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
