/* Packet sockets: UDP, Unix datagrams and sequenced packets.  A message arrives whole
 * or not at all, unless the room for it is too small.
 *
 * One goroutine may receive while another sends; further ones queue up.  A packet
 * socket is counted like a conn.  Deadlines and cancellation: as in gust/net.h; a
 * message that has come all the same is received, or still there. */
#ifndef GUST_PACKET_H
#define GUST_PACKET_H

#include <gust/unix.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct gust_packet gust_packet;

/* A message that is sent or received. */
typedef struct gust_message {
    void *data;     /* the bytes, or room for them */
    size_t len;     /* how many */
    size_t size;    /* received: how long the message was.  More than len: it was cut */
    gust_addr addr; /* received: who sent it; to send: to whom, len 0: to the peer of
                       a connected socket */
    gust_fds *fds;  /* Unix: the descriptors that go with it (fds and count to send, as
                      in gust_conn_recv_fds to receive), or NULL: none, and those that
                      come are dropped */
} gust_message;

/* --- UDP ------------------------------------------------------------------- */

/* Zeroes are the defaults. */
typedef struct gust_udp_options {
    int recv_buffer;              /* bytes (the kernel doubles them, and caps them at
                                     net.core.rmem_max); 0: the system's default */
    int send_buffer;              /* the same with wmem_max */
    bool reuse_addr;              /* SO_REUSEADDR: several sockets get each multicast */
    bool reuse_port;              /* SO_REUSEPORT: several sockets share the port */
    bool broadcast;               /* may send to broadcast addresses */
    bool v6only;                  /* an IPv6 wildcard does not take IPv4 */
    bool multicast_no_loop;       /* what is sent does not come back to this machine */
    int multicast_hops;           /* how far multicasts go; 0: the kernel's default, 1 */
    unsigned multicast_interface; /* by which they go (if_nametoindex); 0: the kernel's
                                     choice */
} gust_udp_options;

/* A socket that receives on `local` from anyone.  `options` may be NULL.  Does not
 * block.  Errors: what socket(2), setsockopt(2) and bind(2) answer; -EAFNOSUPPORT: not
 * an IP address; -ENOMEM. */
int gust_udp_bind(const gust_addr *local, const gust_udp_options *options,
                  gust_packet **ret_packet);

/* A socket that sends to `remote` and receives only from there.  An ICMP error that
 * came for what was sent is the result of a later call, once: -ECONNREFUSED,
 * -EHOSTUNREACH ...  `local` may be NULL: the kernel chooses.  Otherwise the same. */
int gust_udp_dial(const gust_addr *remote, const gust_addr *local, const gust_udp_options *options,
                  gust_packet **ret_packet);

/* Begins or ends receiving what is sent to a group, on an interface (if_nametoindex; 0:
 * the kernel's choice).  Errors: what setsockopt(2) answers (-EADDRINUSE: is a member,
 * -EADDRNOTAVAIL: is not, -ENODEV, -EINVAL: not a group); -EBADF. */
int gust_packet_join(gust_packet *p, const gust_addr *group, unsigned interface);
int gust_packet_leave(gust_packet *p, const gust_addr *group, unsigned interface);

/* --- Unix datagrams -------------------------------------------------------- */

/* Like gust_udp_bind; the file is treated as gust_unix_listen treats its own.
 * Errors: as there. */
int gust_unixgram_bind(const gust_addr *local, const gust_unix_options *options,
                       gust_packet **ret_packet);

/* Like gust_udp_dial.  Who wants answers needs a name: `local` may be "unix:@".
 * Errors: also -ENOENT, -ECONNREFUSED, -EPROTOTYPE; -EPERM: it talks to another only. */
int gust_unixgram_dial(const gust_addr *remote, const gust_addr *local,
                       const gust_unix_options *options, gust_packet **ret_packet);

/* --- Unix sequenced packets ------------------------------------------------
 * As streams they have listeners and connections, an end, and nothing is lost. */

int gust_seqpacket_listen(const gust_addr *addr, const gust_unix_options *options,
                          gust_listener **ret_listener);
int gust_seqpacket_dial(const gust_addr *addr, gust_time deadline, gust_packet **ret_packet);

/* gust_listener_accept for such a listener.  -EPROTOTYPE: it is one of streams. */
int gust_listener_accept_packet(gust_listener *l, gust_time deadline, gust_packet **ret_packet);

/* Ends one or both directions (SHUT_RD, SHUT_WR, SHUT_RDWR).  The peer of a sequenced
 * packet connection receives what was sent, then 0.  Errors: -ENOTCONN, -EBADF. */
int gust_packet_shutdown(gust_packet *p, int how);

/* --- Receiving and sending ------------------------------------------------- */

/* Waits for a message.  Returns how many bytes of it are in m->data, and sets
 * m->size, m->addr and *m->fds.  0: an empty message, or the end of a sequenced
 * packet connection, which look the same.
 * Errors: -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW), -ECANCELED,
 * -EBADF if the socket is closed meanwhile; of connected sockets also -ECONNREFUSED
 * and its like, -ECONNRESET. */
ssize_t gust_packet_recv(gust_packet *p, gust_message *m, gust_time deadline);

/* Sends one message, waiting until the kernel has room for it.  A Unix datagram also
 * waits for room at the receiver's; if the socket is not connected, by trying again
 * at intervals of 1 to 20 ms.  Returns m->len.
 * Errors: as gust_packet_recv; -EMSGSIZE: too long; -EDESTADDRREQ, -ENOTCONN: to whom?;
 * -EPIPE; -EACCES: broadcast; -EINVAL: too many descriptors; what sendmsg(2) answers.
 * After an error nothing was sent. */
ssize_t gust_packet_send(gust_packet *p, const gust_message *m, gust_time deadline);

/* Messages that one call moves at most. */
#define GUST_PACKET_BATCH 64

/* Waits for one message and takes what others are there by one system call.  Returns
 * how many came, 1 to `count` and GUST_PACKET_BATCH; each tells its length in size.  No
 * descriptors: -EINVAL if any m->fds is set, or count is 0.  Other errors as
 * gust_packet_recv; what is met after the first message is the next call's result. */
int gust_packet_recv_batch(gust_packet *p, gust_message *m, size_t count, gust_time deadline);

/* Sends messages in their order, by one system call for each GUST_PACKET_BATCH as long
 * as the kernel has room.  Returns how many were sent: fewer than `count` if the
 * deadline, a cancellation or an error ended it, which is the next call's result if it
 * lasts.  Otherwise like gust_packet_send and recv_batch. */
int gust_packet_send_batch(gust_packet *p, const gust_message *m, size_t count, gust_time deadline);

/* --- The socket ------------------------------------------------------------ */

/* Closes it for everyone and drops the caller's reference.  Goroutines blocked on it
 * get -EBADF.  What the kernel has taken is sent.  Returns 0; -EBADF if somebody else
 * has closed it.  NULL is accepted. */
int gust_packet_close(gust_packet *p);
gust_packet *gust_packet_ref(gust_packet *p);
void gust_packet_unref(gust_packet *p); /* the last one closes */

/* The addresses of the two ends; all zeroes if there is none, or it is closed. */
void gust_packet_local_addr(const gust_packet *p, gust_addr *ret_addr);
void gust_packet_remote_addr(const gust_packet *p, gust_addr *ret_addr);

/* The sizes of the kernel's buffers, with its own overhead.  Errors: -EBADF. */
int gust_packet_buffers(const gust_packet *p, int *ret_recv, int *ret_send);

/* Of a sequenced packet connection or a socketpair: as gust_conn_peer_cred. */
int gust_packet_peer_cred(const gust_packet *p, gust_peer_cred *ret_cred);

#ifdef __cplusplus
}
#endif
#endif
