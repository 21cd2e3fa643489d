/* TCP's options: for one connection, and for all that a listener accepts or that a
 * program dials.
 *
 * Defaults, as Go's: no delay of small segments (TCP_NODELAY), and keepalive probes
 * after 15 s of silence.  What the kernel refuses is an error; where an option only
 * makes things faster and is not to be had, it is left out silently, and its comment
 * says so. */
#ifndef GUST_TCP_H
#define GUST_TCP_H

#include <gust/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* When the kernel asks a silent peer whether it is still there.  Times are rounded
 * up to seconds; zeroes are the defaults. */
typedef struct gust_tcp_keepalive {
    int64_t idle_ns;     /* silence before the first probe; 15 s */
    int64_t interval_ns; /* between probes; 15 s */
    int count;           /* probes without an answer that end the connection; the system's, 9 */
} gust_tcp_keepalive;

/* Zeroes are the defaults. */
typedef struct gust_tcp_options {
    gust_tcp_keepalive keepalive;
    bool no_keepalive;
    bool delay;              /* Nagle's algorithm: small segments wait for the last one's
                                acknowledgement */
    bool fast_open;          /* listener: takes data with a SYN; dial: sends it so, once the
                                server has given a cookie.  Then a dial succeeds at once and
                                the connection begins with the first write, which reports what
                                the dial would have: so the first call must be a write.  Data
                                in a SYN may be delivered twice: for requests that may be.
                                Without it if the system (net.ipv4.tcp_fastopen) does not
                                allow it */
    int64_t user_timeout_ns; /* data unacknowledged for so long ends the connection; 0: the
                                system's, some 15 minutes */
    int receive_buffer;      /* bytes, within the system's limits (net.core.rmem_max), doubled by */
    int send_buffer;         /* the kernel for its own needs; 0: the kernel adapts them */
    int dscp;                /* 0 to 63: the class of service in each packet's header */
} gust_tcp_options;

/* gust_tcp_dial with options.  Errors: also -EINVAL if they make no sense. */
int gust_tcp_dial_with(const gust_addr *addr, const gust_tcp_options *options, gust_time deadline,
                       gust_conn **ret_conn);

/* --- On a connection ------------------------------------------------------
 *
 * From any goroutine that has a reference.  None blocks.  Errors: -EBADF once the
 * conn is closed; -EINVAL; what setsockopt(2) answers (-EOPNOTSUPP if it is not
 * TCP). */

int gust_conn_set_nodelay(gust_conn *c, bool on);

/* NULL: no probes. */
int gust_conn_set_keepalive(gust_conn *c, const gust_tcp_keepalive *keepalive);

/* What close does about bytes the peer has not acknowledged.  < 0, the default: the
 * kernel goes on sending them.  0: drops them and resets the connection.  > 0:
 * gust_conn_close waits for the acknowledgement that many seconds at most, in a
 * blocking section (this goroutine's thread is kept, not its P), whatever its
 * deadline; then as with 0.  The last unref waits for nothing. */
int gust_conn_set_linger(gust_conn *c, int seconds);

/* As gust_tcp_options.user_timeout_ns. */
int gust_conn_set_user_timeout(gust_conn *c, int64_t ns);

/* Acknowledges what arrives at once, or as the kernel sees fit; it may leave this
 * mode by itself later. */
int gust_conn_set_quickack(gust_conn *c, bool on);

/* Bytes, as in gust_tcp_options; 0 leaves that one alone. */
int gust_conn_set_buffers(gust_conn *c, int receive, int send);

/* 0 to 63. */
int gust_conn_set_dscp(gust_conn *c, int dscp);

#ifdef __cplusplus
}
#endif
#endif
