/* Listening and connecting on Unix sockets. */
#include <gust/unix.h>

#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/waitq.h"
#include "net/conn.h"
#include "net/listener.h"
#include "net/pause.h"
#include "net/unix_dial.h"

/* --- Listening --------------------------------------------------------------- */

static int bind_and_listen(int fd, int type, const gust_addr *addr,
                           const gust_unix_options *options, gust_listener **ret_listener)
{
    gust__unix_path *path;
    int error = gust__unix_bind(fd, addr, options, &path);
    if (error)
        return error;
    if (listen(fd, options->backlog > 0 ? options->backlog : SOMAXCONN) < 0)
        error = -errno;
    if (!error)
        error = gust__listener_new(fd, type, path, ret_listener);
    if (error)
        gust__unix_unbind(path);
    return error;
}

int gust__unix_listen(int type, const gust_addr *addr, const gust_unix_options *options,
                      gust_listener **ret_listener)
{
    static const gust_unix_options defaults;
    if (addr->any.sa_family != AF_UNIX)
        return -EAFNOSUPPORT;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int error = bind_and_listen(fd, type, addr, options ? options : &defaults, ret_listener);
    if (error)
        close(fd);
    return error;
}

int gust_unix_listen(const gust_addr *addr, const gust_unix_options *options,
                     gust_listener **ret_listener)
{
    GUST__CALL();
    return gust__unix_listen(SOCK_STREAM, addr, options, ret_listener);
}

int gust_listen(const gust_addr *addr, gust_listener **ret_listener)
{
    switch (addr->any.sa_family) {
    case AF_INET:
    case AF_INET6: return gust_tcp_listen(addr, NULL, ret_listener);
    case AF_UNIX: return gust_unix_listen(addr, NULL, ret_listener);
    }
    return -EAFNOSUPPORT;
}

/* --- Connecting -------------------------------------------------------------- */

/* The socket does not block, and connect(2) of a Unix socket is over when it returns:
 * EAGAIN means that it has not begun. */
static int connect_until(int fd, const gust_addr *addr, gust_time deadline)
{
    int64_t pause = PAUSE_MIN;
    while (connect(fd, &addr->any, addr->len) < 0) {
        if (errno != EAGAIN)
            return -errno;
        int error = wait_refused(gust_context_current(), deadline);
        if (!error)
            error = gust_sleep_until(pause_end(&pause, deadline));
        if (error)
            return error;
    }
    return 0;
}

int gust__unix_connect(int type, const gust_addr *addr, gust_time deadline)
{
    const int off = 0;
    gust_context *context = deadline == GUST_NOW ? NULL : gust_context_current();
    if (context && gust__context_canceled(context))
        return -ECANCELED;
    if (addr->any.sa_family != AF_UNIX)
        return -EAFNOSUPPORT;
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int error = connect_until(fd, addr, deadline);
    /* io_uring wants it to block; epoll says otherwise by itself. */
    if (!error && ioctl(fd, FIONBIO, &off) < 0)
        error = -errno;
    if (!error)
        return fd;
    close(fd);
    return error;
}

int gust_unix_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn)
{
    GUST__CALL();
    int fd = gust__unix_connect(SOCK_STREAM, addr, deadline);
    return fd < 0 ? fd : gust__conn_adopt_family(fd, AF_UNIX, ret_conn);
}
