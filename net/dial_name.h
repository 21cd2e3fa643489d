/* Dialling inside: what dial_name.c (order, options), dial_race.c (attempts beside each
 * other), dial_attempt.c (one) and dial.c (connecting a socket) share. */
#ifndef GUST_NET_DIAL_NAME_H
#define GUST_NET_DIAL_NAME_H

#include <gust/dial.h>
#include <gust/tcp.h>

/* Puts the families in turn, beginning with the first's; the order within each stays. */
void gust__dial_interleave(gust_addr *list, size_t count);

/* Until when an attempt may take, of `left` that are still to be made. */
gust_time gust__dial_share(gust_time now, gust_time deadline, size_t left);

typedef struct gust__dial_how {
    const gust_addr *local;      /* NULL: any */
    const gust_tcp_options *tcp; /* NULL: the defaults */
} gust__dial_how;

/* As gust_tcp_dial_with, from how->local. */
int gust__tcp_connect(const gust_addr *addr, const gust__dial_how *how, gust_time deadline,
                      gust_conn **ret_conn);

/* One attempt: the same, but for accidents with ports of our own. */
int gust__dial_attempt(const gust_addr *addr, const gust__dial_how *how, gust_time deadline,
                       gust_conn **ret_conn);

/* Do both ends have the same address? */
bool gust__dial_met_itself(const gust_conn *c);

/* Tries `count` addresses (at least one), each begun `delay_ns` after the one before, or
 * when one has failed; delay_ns < 0: only then. */
int gust__dial_race(const gust_addr *list, size_t count, const gust__dial_how *how,
                    int64_t delay_ns, gust_time deadline, gust_conn **ret_conn);

#endif
