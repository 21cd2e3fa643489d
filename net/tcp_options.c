/* TCP's options: on sockets that are being made, and on connections. */
#include "net/tcp_options.h"

#include <errno.h>
#include <limits.h>
#include <netinet/tcp.h>

#include "net/conn.h"
#include "net/socket.h"

#define KEEPALIVE_DEFAULT (15 * GUST_SEC)
#define FAST_OPEN_QUEUE 256 /* connections that have sent data and are not yet complete */
#define DSCP_MAX 63
#define DSCP_SHIFT 2 /* below it are the bits of congestion notification */

static const gust_tcp_options defaults;

/* Rounded up, since 0 would mean something else. */
static int in_units(int64_t ns, int64_t unit)
{
    int64_t n = ns / unit + (ns % unit > 0);
    return n > INT_MAX ? INT_MAX : (int)n;
}

/* --- On a descriptor ----------------------------------------------------- */

static int set_keepalive(int fd, const gust_tcp_keepalive *k)
{
    if (k->idle_ns < 0 || k->interval_ns < 0 || k->count < 0)
        return -EINVAL;
    int64_t idle = k->idle_ns ? k->idle_ns : KEEPALIVE_DEFAULT;
    int64_t interval = k->interval_ns ? k->interval_ns : KEEPALIVE_DEFAULT;
    int error = socket_set(fd, IPPROTO_TCP, TCP_KEEPIDLE, in_units(idle, GUST_SEC));
    if (!error)
        error = socket_set(fd, IPPROTO_TCP, TCP_KEEPINTVL, in_units(interval, GUST_SEC));
    if (!error && k->count)
        error = socket_set(fd, IPPROTO_TCP, TCP_KEEPCNT, k->count);
    return error ? error : socket_set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

static int set_user_timeout(int fd, int64_t ns)
{
    if (ns < 0)
        return -EINVAL;
    return socket_set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, in_units(ns, GUST_MS));
}

static int set_buffers(int fd, int receive, int send)
{
    if (receive < 0 || send < 0)
        return -EINVAL;
    int error = receive ? socket_set(fd, SOL_SOCKET, SO_RCVBUF, receive) : 0;
    return error || !send ? error : socket_set(fd, SOL_SOCKET, SO_SNDBUF, send);
}

/* An IPv6 socket may carry IPv4, whose packets have the other option. */
static int set_dscp(int fd, int dscp)
{
    int family = 0;
    socklen_t len = sizeof family;
    if (dscp < 0 || dscp > DSCP_MAX)
        return -EINVAL;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len) < 0)
        return -errno;
    int error =
        family == AF_INET6 ? socket_set(fd, IPPROTO_IPV6, IPV6_TCLASS, dscp << DSCP_SHIFT) : 0;
    return error ? error : socket_set(fd, IPPROTO_IP, IP_TOS, dscp << DSCP_SHIFT);
}

int gust__tcp_setup(int fd, const gust_tcp_options *options)
{
    const gust_tcp_options *o = options ? options : &defaults;
    int error = o->delay ? 0 : socket_set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (!error && !o->no_keepalive)
        error = set_keepalive(fd, &o->keepalive);
    if (!error && o->user_timeout_ns)
        error = set_user_timeout(fd, o->user_timeout_ns);
    if (!error)
        error = set_buffers(fd, o->receive_buffer, o->send_buffer);
    return error || !o->dscp ? error : set_dscp(fd, o->dscp);
}

void gust__tcp_setup_listener(int fd, const gust_tcp_options *options, int64_t defer_accept_ns)
{
    if (options && options->fast_open)
        (void)socket_set(fd, IPPROTO_TCP, TCP_FASTOPEN, FAST_OPEN_QUEUE);
    if (defer_accept_ns > 0)
        (void)socket_set(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, in_units(defer_accept_ns, GUST_SEC));
}

void gust__tcp_setup_dial(int fd, const gust_tcp_options *options)
{
    if (options && options->fast_open)
        (void)socket_set(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1);
}

/* --- On a connection ----------------------------------------------------- */

/* Under the conn's lock until the end of the enclosing function, for the descriptor
 * may not be closed meanwhile; so `call` must not wait. */
#define ON_CONN(c, call)                            \
    do {                                            \
        GUST__CALL();                               \
        gust__lock_take(&(c)->lock, RANK_CONN);     \
        int error = (c)->closing ? -EBADF : (call); \
        gust__lock_drop(&(c)->lock);                \
        return error;                               \
    } while (0)

int gust_conn_set_nodelay(gust_conn *c, bool on)
{
    ON_CONN(c, socket_set(c->fd.fd, IPPROTO_TCP, TCP_NODELAY, on));
}

int gust_conn_set_keepalive(gust_conn *c, const gust_tcp_keepalive *keepalive)
{
    ON_CONN(c, keepalive ? set_keepalive(c->fd.fd, keepalive)
                         : socket_set(c->fd.fd, SOL_SOCKET, SO_KEEPALIVE, 0));
}

static int set_linger_locked(gust_conn *c, int seconds)
{
    const struct linger linger = {.l_onoff = seconds >= 0, .l_linger = seconds >= 0 ? seconds : 0};
    if (setsockopt(c->fd.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger) < 0)
        return -errno;
    c->lingers = seconds > 0;
    return 0;
}

int gust_conn_set_linger(gust_conn *c, int seconds)
{
    ON_CONN(c, set_linger_locked(c, seconds));
}

int gust_conn_set_user_timeout(gust_conn *c, int64_t ns)
{
    ON_CONN(c, set_user_timeout(c->fd.fd, ns));
}

int gust_conn_set_quickack(gust_conn *c, bool on)
{
    ON_CONN(c, socket_set(c->fd.fd, IPPROTO_TCP, TCP_QUICKACK, on));
}

int gust_conn_set_buffers(gust_conn *c, int receive, int send)
{
    ON_CONN(c, set_buffers(c->fd.fd, receive, send));
}

int gust_conn_set_dscp(gust_conn *c, int dscp)
{
    ON_CONN(c, set_dscp(c->fd.fd, dscp));
}
