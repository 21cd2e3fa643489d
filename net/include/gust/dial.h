/* Connecting by name: Happy Eyeballs (RFC 8305). */
#ifndef GUST_DIAL_H
#define GUST_DIAL_H

#include <gust/net.h>
#include <gust/resolve.h>
#include <gust/tcp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUST_DIAL_ATTEMPT_DELAY (250 * GUST_MS)
#define GUST_DIAL_ATTEMPTS 16

/* Zeroes are the defaults. */
typedef struct gust_dial_options {
    int family;                  /* AF_INET, AF_INET6; 0: both */
    int64_t attempt_delay_ns;    /* how long an attempt is alone before the next begins beside
                                 it; 0: GUST_DIAL_ATTEMPT_DELAY; less than 0: until it has
                                 failed */
    uint32_t attempts_max;       /* addresses that are tried; 0: GUST_DIAL_ATTEMPTS */
    const gust_addr *local;      /* bound to before connecting, and only addresses of its
                                 family are tried.  Port 0: any; else the port may be
                                 shared with connections to other peers (SO_REUSEADDR) */
    const gust_tcp_options *tcp; /* NULL: the defaults, as for gust_tcp_dial.  With fast_open
                                    the first attempt always succeeds */
} gust_dial_options;

/* Connects to "example.org:http", "[::1]:80", ":80" (this machine): resolves the name as
 * gust_resolve does and tries its addresses, the families in turn, beginning with the
 * one that the system puts first.  An attempt that fails, or has not succeeded after
 * attempt_delay_ns, lets the next begin; the first that succeeds is the connection, and
 * the others are taken back and closed before this returns.  `options` may be NULL.
 *
 * What is left of the time until the deadline is shared out, as by Go's net.Dialer: an
 * attempt may take its equal part for each address that has not been tried yet, or two
 * seconds if that is less.
 *
 * A connection by which a port of this machine would talk to itself is not taken for
 * one.
 *
 * Errors: that of the first attempt (see gust_tcp_dial); those of gust_resolve_text;
 * -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW, with which only the
 * first address is tried); -ECANCELED; -EINVAL if the options contradict each other;
 * -ENOMEM. */
int gust_dial(const char *name, const gust_dial_options *options, gust_time deadline,
              gust_conn **ret_conn);

/* The same with addresses that were looked up before, for who wants to know which of the two
 * has failed.  Puts them into the order in which they are tried.  Their family must be one
 * that options->local can be used with. */
int gust_dial_addrs(gust_addrs *addrs, const gust_dial_options *options, gust_time deadline,
                    gust_conn **ret_conn);

#ifdef __cplusplus
}
#endif
#endif
