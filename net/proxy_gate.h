/* The gate of a listener that takes PROXY headers: accepted connections wait here
 * for theirs, each in a goroutine of its own. */
#ifndef GUST_NET_PROXY_GATE_H
#define GUST_NET_PROXY_GATE_H

#include <gust/proxy.h>

typedef struct gust__proxy_gate gust__proxy_gate;

/* Errors: -EINVAL if the options make no sense; -ENOMEM. */
int gust__proxy_gate_new(gust_listener *l, const gust_proxy_options *options,
                         gust__proxy_gate **ret_gate);

/* As gust_listener_accept. */
int gust__proxy_gate_accept(gust__proxy_gate *gate, gust_time deadline, gust_conn **ret_conn);

/* Once the listener accepts no more: closes what is in the gate, and sees to it that
 * nothing uses the listener any more.  Parks, whatever the caller's context. */
void gust__proxy_gate_shut(gust__proxy_gate *gate);

/* After shut, or if nobody has used it.  NULL is accepted. */
void gust__proxy_gate_free(gust__proxy_gate *gate);

/* Any goroutine that has a reference to the listener. */
void gust__proxy_gate_stats(const gust__proxy_gate *gate, gust_proxy_stats *ret_stats);

#endif
