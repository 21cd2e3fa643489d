/* One attempt to connect. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/conn.h"
#include "net/dial_name.h"

/* How often it is tried again after an accident of ports. */
#define ACCIDENTS_MAX 2

static int set_option(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof on) < 0 ? -errno : 0;
}

static int bind_local(int fd, const gust_addr *local)
{
    int error = 0;
    if (gust_addr_port(local)) /* it may be in use towards others */
        error = set_option(fd, SOL_SOCKET, SO_REUSEADDR);
    else /* one that need not be picked before it is known to whom it leads; or now */
        (void)set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
    if (error)
        return error;
    return bind(fd, &local->any, local->len) < 0 ? -errno : 0;
}

static int socket_open(int family, const gust_addr *local)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    /* Refused only where TCP_NODELAY has no meaning; slower, not wrong. */
    (void)set_option(fd, IPPROTO_TCP, TCP_NODELAY);
    int error = local ? bind_local(fd, local) : 0;
    if (error) {
        close(fd);
        return error;
    }
    return fd;
}

static int connect_once(const gust_addr *addr, const gust_addr *local, gust_time deadline,
                        gust_conn **ret_conn)
{
    GUST__CALL();
    gust_conn *c;
    int fd = socket_open(addr->any.sa_family, local);
    if (fd < 0)
        return fd;
    int error = gust__conn_adopt(fd, &c);
    if (error)
        return error;
    gust__op op = {
        .code = GUST__OP_CONNECT, .fd = &c->fd, .addr = &addr->any, .addr_len = addr->len};
    error = gust__op_wait(&op, NULL, deadline);
    if (error)
        gust_conn_unref(c);
    else
        *ret_conn = c;
    return error;
}

bool gust__dial_met_itself(const gust_conn *c)
{
    gust_addr ends[2];
    gust_conn_local_addr(c, &ends[0]);
    gust_conn_remote_addr(c, &ends[1]);
    if (ends[0].len != ends[1].len || ends[0].any.sa_family != ends[1].any.sa_family)
        return false;
    if (gust_addr_port(&ends[0]) != gust_addr_port(&ends[1]))
        return false;
    return ends[0].any.sa_family == AF_INET
               ? ends[0].v4.sin_addr.s_addr == ends[1].v4.sin_addr.s_addr
               : IN6_ARE_ADDR_EQUAL(&ends[0].v6.sin6_addr, &ends[1].v6.sin6_addr);
}

/* If nobody listens at a port of this machine, the kernel may pick that very port for
 * our end, and two SYNs that cross make a connection; or it may find no port at all in
 * spite of there being some.  Neither says anything about the peer. */
int gust__dial_attempt(const gust_addr *addr, const gust_addr *local, gust_time deadline,
                       gust_conn **ret_conn)
{
    const bool any_port = !local || gust_addr_port(local) == 0;
    for (int accidents = 0;; accidents++) {
        gust_conn *c = NULL;
        int error = connect_once(addr, local, deadline, &c);
        bool accident = error ? error == -EADDRNOTAVAIL : gust__dial_met_itself(c);
        if (!accident || !any_port || accidents == ACCIDENTS_MAX) {
            if (!error)
                *ret_conn = c;
            return error;
        }
        gust_conn_unref(c);
    }
}
