/* Addresses, listeners and stream connections; TCP.  Unix sockets: gust/unix.h.
 *
 * Every call may block its goroutine (never the thread) and takes a deadline.
 * Instead of waiting it returns -ECANCELED if the goroutine's context (see
 * gust/context.h) is cancelled, before the call or during the wait; what was said
 * of -ETIMEDOUT is true of -ECANCELED as well.
 * ECONNRESET, EPIPE and an early end of stream are ordinary results, not
 * failures of the library.  SIGPIPE is never raised. */
#ifndef GUST_NET_H
#define GUST_NET_H

#include <gust/base.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Addresses ----------------------------------------------------------- */

typedef struct gust_addr {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un un;
    };
    socklen_t len; /* as the kernel counts; 0: no address */
} gust_addr;

/* Room for every text gust_addr_format writes, with its NUL. */
#define GUST_ADDR_TEXT_MAX 128

/* Reads "127.0.0.1:80", "[::1]:80", "[fe80::1%eth0]:80" or ":80" (every
 * address of the machine, IPv6 and IPv4).  Numbers only, no names.  Port 0 lets
 * the kernel pick one.  Also "unix:/path" (of at most 107 bytes) and
 * "unix:@abstract"; "unix:@" lets the kernel pick an abstract name.
 * Errors: -EINVAL; *ret_addr is untouched then. */
int gust_addr_parse(const char *text, gust_addr *ret_addr);

/* Writes the same form; returns `text`.  "unix:@" stands for a socket without a
 * name; NULs in an abstract name become '@', other control characters '?'. */
char *gust_addr_format(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX]);

/* Writes the address alone, as logs and X-Forwarded-For have it: no port, no brackets, no
 * zone; an IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2) is IPv4.  "unix:" for a Unix
 * socket, "-" without an address.  Returns `text`. */
char *gust_addr_format_host(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX]);

/* The port in host order; 0 if it has none. */
uint16_t gust_addr_port(const gust_addr *addr);

/* --- Listeners ----------------------------------------------------------- */

typedef struct gust_listener gust_listener;
typedef struct gust_conn gust_conn;

struct gust_context;     /* gust/context.h */
struct gust_tcp_options; /* gust/tcp.h */

/* Zeroes are the defaults. */
typedef struct gust_listen_options {
    int backlog;     /* 0: SOMAXCONN (the kernel caps it at net.core.somaxconn) */
    bool reuse_port; /* SO_REUSEPORT: several listeners share the port */
    bool v6only;     /* an IPv6 wildcard does not accept IPv4 */
    const struct gust_tcp_options *tcp; /* of the connections; NULL: the defaults */
    int64_t defer_accept_ns;            /* > 0: a connection is accepted once it has sent something,
                                or after about so long; where the system cannot, at once */
    const struct gust_proxy_options *proxy; /* NULL: connections bring no PROXY header */
} gust_listen_options;

/* Binds and listens; SO_REUSEADDR is set.  `options` may be NULL.
 * Errors: what socket(2), bind(2) and listen(2) answer (-EADDRINUSE, -EACCES,
 * -EADDRNOTAVAIL ...), -ENOMEM.  Does not block. */
int gust_tcp_listen(const gust_addr *addr, const gust_listen_options *options,
                    gust_listener **ret_listener);

/* Listens on a TCP or a Unix address, with the defaults of gust_tcp_listen or
 * gust_unix_listen.  Errors: as those; -EAFNOSUPPORT. */
int gust_listen(const gust_addr *addr, gust_listener **ret_listener);

/* Waits for the next connection, which has the listener's TCP options.  While the process
 * is out of file descriptors (EMFILE, ENFILE) or memory, accept backs off for
 * 5 ms doubling to 1 s and tries again, as Go's net/http does; it says so once.
 * GUST_NOW takes a connection that has been accepted in the background, which
 * begins with the first call.
 * Errors: -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW);
 * -ECANCELED; -EBADF once the listener is closed; -ENOMEM, the connection is closed
 * then; -EPROTOTYPE: this is a listener for gust_listener_accept_packet. */
int gust_listener_accept(gust_listener *l, gust_time deadline, gust_conn **ret_conn);

/* The address it is bound to, with the port the kernel picked. */
void gust_listener_addr(const gust_listener *l, gust_addr *ret_addr);

/* Stops accepting and drops the caller's reference.  Goroutines blocked in accept get
 * -EBADF; connections that nobody took are closed.  On return the port is free, or the
 * Unix socket's file is gone.  NULL is accepted.  A goroutine that may still call
 * accept must hold a reference. */
void gust_listener_close(gust_listener *l);
gust_listener *gust_listener_ref(gust_listener *l);
void gust_listener_unref(gust_listener *l); /* the last one closes */

/* --- Connections ---------------------------------------------------------
 *
 * One goroutine may read while another writes; further readers or writers queue
 * up.  A conn is counted: dial and accept give the caller one reference, and
 * every goroutine that uses it on its own account holds one.
 *
 * Reading has two styles, which may be mixed: gust_conn_read copies into the
 * caller's buffer; fill/view/consume lets a parser look at the bytes where they
 * arrived.  A conn with nothing buffered holds no buffer.
 *
 * Writing: bytes that fit the conn's write buffer (GUST_CONN_WBUF) are taken
 * over and sent while the caller goes on, so a write usually does not wait.  An
 * error met by such a send is reported by the next write, flush, or close.
 * There is never more than one send in flight, so the order holds. */

#define GUST_CONN_WBUF 16384

/* Connects, with the default options (gust/tcp.h has gust_tcp_dial_with).
 * Errors: -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW), -ECANCELED,
 * what socket(2) and connect(2) answer (-ECONNREFUSED, -ENETUNREACH, -EMFILE ...),
 * -ENOMEM. */
int gust_tcp_dial(const gust_addr *addr, gust_time deadline, gust_conn **ret_conn);

/* Reads at least one byte, at most `len`.  Returns the count, 0 at the end of
 * the stream (or if len is 0).  Errors: -ETIMEDOUT (-EAGAIN in its place if the
 * deadline was GUST_NOW), -ECANCELED (all leave the stream intact, no byte is lost),
 * -ECONNRESET, -EBADF if the conn is closed meanwhile. */
ssize_t gust_conn_read(gust_conn *c, void *buf, size_t len, gust_time deadline);

/* Waits until more bytes have arrived than the view holds, and adds them to it.
 * Returns how many bytes came, 0 at the end of the stream.  The view never
 * grows beyond `max_view` bytes (2 GiB at most): -ENOBUFS if it is that long already.
 * Other errors as gust_conn_read; -ENOMEM. */
ssize_t gust_conn_fill(gust_conn *c, size_t max_view, gust_time deadline);

/* The bytes received and not yet consumed, in one piece.  Valid until the next
 * fill, read, consume or close; the reading goroutine only. */
gust_span gust_conn_view(const gust_conn *c);

/* Drops the first n bytes of the view (n <= its length). */
void gust_conn_consume(gust_conn *c, size_t n);

/* Waits for input without a goroutine: the caller ends, and once bytes have arrived,
 * the peer has closed, or `deadline` has come, fn(arg) runs in a new goroutine.  An
 * idle connection so costs its record and neither a stack nor a buffer.
 *
 * What was appended is flushed first.  If the view is not empty, fn starts at once.
 * The bytes that ended the wait are in the view; whatever else ended it is what the
 * next read or fill says: 0, -ETIMEDOUT (if it is given the same deadline), -EBADF if
 * the conn was closed meanwhile, -ECANCELED if the context was cancelled, -ECONNRESET.
 * fn gets the caller's reference and runs under the caller's context, with its name
 * and stack size.  Meanwhile nobody may use the conn but to close it, or to write.
 *
 * Does not return on success: the goroutine ends as by gust_goexit.  Errors: -EBUSY
 * if another goroutine is reading or the peer is watched, -EBADF, -ECANCELED, -ENOMEM, that of an earlier
 * send; nothing has been started then, and the conn is as it was. */
int gust_conn_park(gust_conn *c, void (*fn)(void *arg), void *arg, gust_time deadline);

/* The same, but the caller goes on, and the reference is fn's from here on: it may be
 * running already.  Returns 0.  Errors: as gust_conn_park. */
int gust_conn_on_input(gust_conn *c, void (*fn)(void *arg), void *arg, gust_time deadline);

/* The deadline that the last of these two calls was given, which fn's first read wants
 * to have as well.  For fn and what it calls. */
gust_time gust_conn_input_deadline(const gust_conn *c);

/* Watches whether the peer is still there, beside those who read and write: once it has
 * ended its direction of the stream, or the connection is broken, `context` is cancelled,
 * with -ECONNRESET as the cause.  So a goroutine under it that waits for something else
 * hears of it.  No byte is read, and what has come before the end stays to be read; a
 * peer that has only ended its direction may still be waiting for an answer.  Costs a
 * request to the kernel, no goroutine.  Takes a reference to the context.
 * The caller has a reference until the watch has been ended, by gust_conn_unwatch or
 * gust_conn_close.
 * Errors: -EBUSY if it is watched already, or waits without a goroutine; -EBADF if the
 * conn is closed. */
int gust_conn_watch(gust_conn *c, struct gust_context *context);

/* Ends that, if it has not ended yet, whatever happens to the caller's context: once it
 * returns the context is not cancelled any more, or has been.  May wait for the kernel. */
void gust_conn_unwatch(gust_conn *c);

/* Writes all `len` bytes: takes over what fits the write buffer, waits for the
 * kernel to accept the rest.  `buf` is the caller's again on return.
 * Returns len.  Errors: -EAGAIN if the deadline was GUST_NOW and the write buffer
 * has no room: nothing was taken (more than GUST_CONN_WBUF bytes never fit);
 * -ETIMEDOUT, -ECANCELED, -EPIPE, -ECONNRESET, -EBADF, -ENOMEM: an unknown part of the bytes
 * may have been sent, only close is useful. */
ssize_t gust_conn_write(gust_conn *c, const void *buf, size_t len, gust_time deadline);

/* The same for `count` pieces, sent as if they were one. */
ssize_t gust_conn_writev(gust_conn *c, const struct iovec *iov, int count, gust_time deadline);

/* Adds to the write buffer without starting a send: for coalescing answers.
 * What does not fit goes out as by gust_conn_write.  Otherwise the same. */
ssize_t gust_conn_append(gust_conn *c, const void *buf, size_t len, gust_time deadline);

/* Starts sending what was appended; does not wait for the send to end.
 * Errors: that of an earlier send. */
int gust_conn_flush(gust_conn *c);

/* Waits until the kernel has accepted everything written so far.
 * Errors: as gust_conn_write. */
int gust_conn_drain(gust_conn *c, gust_time deadline);

/* Deadlines that last, as Go's SetDeadline: beside the deadline that each call is
 * given, the earlier counts.  A call that waits ends with -ETIMEDOUT once `when`
 * has come, and so does every later one that would need the socket, without a try
 * (bytes that are in the view are handed out all the same), until the deadline is
 * moved.  The one for writing bounds write, append and drain, not what is sent in
 * the background, nor close.  GUST_FOREVER, with which a conn begins, is none; a
 * time in the past ends what waits at once.  From any goroutine that has a
 * reference, also while another one waits; moving it costs no timer.
 * Errors: -EBADF if the conn is closed. */
int gust_conn_set_deadline(gust_conn *c, gust_time when); /* both */
int gust_conn_set_read_deadline(gust_conn *c, gust_time when);
int gust_conn_set_write_deadline(gust_conn *c, gust_time when);

/* Ends one or both directions (SHUT_RD, SHUT_WR, SHUT_RDWR); SHUT_WR first
 * drains, then sends FIN.  A goroutine blocked in a read gets 0.
 * Errors: as gust_conn_drain; -ENOTCONN. */
int gust_conn_shutdown(gust_conn *c, int how, gust_time deadline);

/* Drains until `deadline`, whatever happens to the caller's context, closes the
 * connection for everyone and drops the caller's reference.  Goroutines blocked on it
 * get -EBADF.  Returns 0 if the kernel accepted all that was written, else the error
 * (the conn is closed all the same; -ECANCELED: a blocked write was cut short); -EBADF
 * if somebody else has closed it.  With unread input the peer may see a reset, as with
 * close(2).
 * NULL is accepted. */
int gust_conn_close(gust_conn *c, gust_time deadline);

gust_conn *gust_conn_ref(gust_conn *c);

/* Drops a reference; the last one closes, waiting for nothing: unsent bytes are
 * discarded.  NULL is accepted. */
void gust_conn_unref(gust_conn *c);

/* The addresses of the two ends; all zeroes once the conn is closed. */
void gust_conn_local_addr(const gust_conn *c, gust_addr *ret_addr);
void gust_conn_remote_addr(const gust_conn *c, gust_addr *ret_addr);

#ifdef __cplusplus
}
#endif
#endif
