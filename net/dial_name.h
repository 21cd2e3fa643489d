/* Dialling by name inside: what dial_name.c (order, options), dial_race.c (attempts beside
 * each other) and dial_attempt.c (one) share. */
#ifndef GUST_NET_DIAL_NAME_H
#define GUST_NET_DIAL_NAME_H

#include <gust/dial.h>

/* Puts the families in turn, beginning with the first's; the order within each stays. */
void gust__dial_interleave(gust_addr *list, size_t count);

/* Until when an attempt may take, of `left` that are still to be made. */
gust_time gust__dial_share(gust_time now, gust_time deadline, size_t left);

/* One attempt.  `local` may be NULL. */
int gust__dial_attempt(const gust_addr *addr, const gust_addr *local, gust_time deadline,
                       gust_conn **ret_conn);

/* Do both ends have the same address? */
bool gust__dial_met_itself(const gust_conn *c);

/* Tries `count` addresses (at least one), each begun `delay_ns` after the one before, or
 * when one has failed; delay_ns < 0: only then. */
int gust__dial_race(const gust_addr *list, size_t count, const gust_addr *local, int64_t delay_ns,
                    gust_time deadline, gust_conn **ret_conn);

#endif
