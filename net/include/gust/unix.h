/* Unix sockets: streams, which are connections as those of TCP (gust/net.h),
 * passing descriptors, and who the peer is.  Unix datagrams and sequenced packets
 * keep the bounds of messages: gust/packet.h.
 *
 * Addresses are made by gust_addr_parse: "unix:/path", "unix:@abstract". */
#ifndef GUST_UNIX_H
#define GUST_UNIX_H

#include <gust/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zeroes are the defaults.  All but the backlog concern the socket's file. */
typedef struct gust_unix_options {
    int backlog;     /* 0: SOMAXCONN (the kernel caps it at net.core.somaxconn) */
    mode_t mode;     /* the file's permissions, whatever the umask is (0: 0777 less the
                        umask).  At no moment does it have others than these. */
    bool keep_stale; /* a file that a dead server has left is -EADDRINUSE */
    bool keep_file;  /* closing does not remove the file */
} gust_unix_options;

/* Binds and listens.  The file of a server that is gone is replaced: a socket, and no
 * process has a socket bound to it, which is found out by connecting (of another
 * type, so that a live server notices nothing).  No other file is ever removed.
 * Meanwhile the directory is locked by flock(2), so of several gust servers that
 * start at once one wins, and none removes the file of another; if the directory
 * cannot be opened for reading, it goes without the lock.
 * Closing removes the file if it is still the one that was made (device and inode).
 *
 * `options` may be NULL.  May wait for the directory's lock, for a second or so.
 * Errors: what socket(2), bind(2), listen(2) answer (-EADDRINUSE, -EACCES, -ENOENT
 * ...); -EINVAL: mode has more than permission bits; -EBUSY: the directory stayed
 * locked; -EAFNOSUPPORT: not a Unix address; -ENOMEM. */
int gust_unix_listen(const gust_addr *addr, const gust_unix_options *options,
                     gust_listener **ret_listener);

/* Connects.  While the listener's backlog is full it tries again, at intervals of 1
 * to 20 ms: the kernel offers nothing to wait for.
 * Errors: as gust_tcp_dial; -ENOENT, -EACCES; -EPROTOTYPE: it is bound to another
 * type of socket; -EAFNOSUPPORT. */
int gust_unix_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn);

/* --- Passing descriptors --------------------------------------------------- */

/* The kernel passes no more with one message. */
#define GUST_FDS_MAX 253

/* Descriptors that came with bytes.  Each is close-on-exec, and the receiver's to
 * close. */
typedef struct gust_fds {
    int *fds; /* room for `max`, the caller's */
    size_t max;
    size_t count;   /* how many are there */
    bool truncated; /* more came than there was room for, or than this process may
                       have open: those are closed */
} gust_fds;

/* Writes all `len` bytes (at least one if there are descriptors) and passes `count`
 * descriptors with the first of them.  They stay the caller's, who may close them
 * on return.  What was written before is sent first.
 * Returns len.  Errors: as gust_conn_write, but after -EAGAIN, -ETIMEDOUT and
 * -ECANCELED the stream is whole if the call's first byte was not sent: then nothing
 * of it was, and the call can be made again, else gust_conn_write gives the error
 * too; -EINVAL: no bytes, or too many descriptors; -EBADF also if one of them is not
 * open; -ETOOMANYREFS: too many descriptors are on their way; -EOPNOTSUPP: the conn has
 * TLS, as for recv_fds. */
ssize_t gust_conn_send_fds(gust_conn *c, const void *buf, size_t len, const int *fds, size_t count,
                           gust_time deadline);

/* gust_conn_read, which also takes the descriptors that come with the bytes; they
 * come with the read that returns the first byte they were sent with, and that read
 * returns no byte sent after those of the same message.  Other reads drop them
 * (the kernel closes them), also a fill that the bytes came with, and the wait of
 * gust_conn_park and gust_conn_on_input.
 * fds->count and fds->truncated are set in every case. */
ssize_t gust_conn_recv_fds(gust_conn *c, void *buf, size_t len, gust_fds *fds, gust_time deadline);

/* --- Who the peer is ------------------------------------------------------- */

typedef struct gust_peer_cred {
    pid_t pid; /* 0 if it is not visible in our namespace */
    uid_t uid;
    gid_t gid;
} gust_peer_cred;

/* The peer's credentials when it connected, or began to listen.
 * Errors: -EBADF: closed; -EOPNOTSUPP: not a Unix socket. */
int gust_conn_peer_cred(const gust_conn *c, gust_peer_cred *ret_cred);

#ifdef __cplusplus
}
#endif
#endif
