/* Sockets that were made elsewhere: descriptors that were passed or inherited, and
 * socket activation, where the service manager listens and starts the server with the
 * sockets when somebody comes (systemd's LISTEN_FDS; systemd-socket-activate tries it
 * out). */
#ifndef GUST_INHERIT_H
#define GUST_INHERIT_H

#include <gust/packet.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Adopting --------------------------------------------------------------
 *
 * Each takes the descriptor over in every case: on failure it is closed.  It becomes
 * close-on-exec.  A Unix socket's file stays when it is closed.  None blocks.
 * Errors: -ENOTSOCK, -EBADF; -EPROTOTYPE: another type of socket; -EINVAL: one that
 * listens and should not, or does not and should; -ENOMEM. */

int gust_listener_adopt(int fd, gust_listener **ret_listener); /* streams, or seqpacket */
int gust_conn_adopt(int fd, gust_conn **ret_conn);             /* streams */
int gust_packet_adopt(int fd, gust_packet **ret_packet);       /* datagrams, or seqpacket */

/* --- Activation ------------------------------------------------------------ */

/* The sockets that this process was started with, by number and by name. */
typedef struct gust_activation gust_activation;

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES and takes them out of the environment,
 * so that no child thinks they are for it; the descriptors become close-on-exec.
 * If there are none, or they are for another process, *ret_activation is empty.
 * Changes the environment, and so must be called while no other thread reads it.  Any
 * thread; also before gust_run.
 * Errors: -EINVAL: the variables make no sense (not numbers, or not as many names as
 * sockets); -EBADF: a descriptor is not open; -ENOMEM: nothing was changed then. */
int gust_activation_take(gust_activation **ret_activation);

/* How many there were. */
size_t gust_activation_count(const gust_activation *a);

/* The name of one (FileDescriptorName= in systemd), "unknown" if it has none; valid
 * until the free.  NULL: index is not below the count. */
const char *gust_activation_name(const gust_activation *a, size_t index);

/* The first at or behind `from` that has this name.  Errors: -ENOENT. */
ssize_t gust_activation_find(const gust_activation *a, const char *name, size_t from);

/* Makes a listener of one, which must be a listening stream socket.  TCP_NODELAY is set
 * on it, if it is TCP.  A Unix socket's file stays when it is closed.
 * Errors: -ENOENT: index is not below the count, or it was taken before; -ENOTSOCK;
 * -EPROTOTYPE: not a stream; -EINVAL: does not listen; -ENOMEM.  It can still be taken
 * after an error. */
int gust_activation_listener(gust_activation *a, size_t index, gust_listener **ret_listener);

/* Takes the descriptor itself, for whatever else it may be (gust_packet_adopt, a pipe).
 * Errors: -ENOENT. */
int gust_activation_fd(gust_activation *a, size_t index);

/* Closes those that nobody took.  NULL is accepted. */
void gust_activation_free(gust_activation *a);

/* For a server with one listener: the socket it was started with, or if there was none
 * gust_listen on `addr`.  Errors: as those; -EINVAL also if there was more than one. */
int gust_listen_activated(const gust_addr *addr, gust_listener **ret_listener);

#ifdef __cplusplus
}
#endif
#endif
