/* One attempt to connect. */
#include <errno.h>

#include "net/dial_name.h"

/* How often it is tried again after an accident of ports. */
#define ACCIDENTS_MAX 2

bool gust__dial_met_itself(const gust_conn *c)
{
    gust_addr ends[2];
    gust_conn_local_addr(c, &ends[0]);
    gust_conn_remote_addr(c, &ends[1]);
    if (ends[0].len != ends[1].len || ends[0].any.sa_family != ends[1].any.sa_family)
        return false;
    if (gust_addr_port(&ends[0]) != gust_addr_port(&ends[1]))
        return false;
    return ends[0].any.sa_family == AF_INET
               ? ends[0].v4.sin_addr.s_addr == ends[1].v4.sin_addr.s_addr
               : IN6_ARE_ADDR_EQUAL(&ends[0].v6.sin6_addr, &ends[1].v6.sin6_addr);
}

/* If nobody listens at a port of this machine, the kernel may pick that very port for
 * our end, and two SYNs that cross make a connection; or it may find no port at all in
 * spite of there being some.  Neither says anything about the peer. */
int gust__dial_attempt(const gust_addr *addr, const gust__dial_how *how, gust_time deadline,
                       gust_conn **ret_conn)
{
    const bool any_port = !how->local || gust_addr_port(how->local) == 0;
    for (int accidents = 0;; accidents++) {
        gust_conn *c = NULL;
        int error = gust__tcp_connect(addr, how, deadline, &c);
        bool accident = error ? error == -EADDRNOTAVAIL : gust__dial_met_itself(c);
        if (!accident || !any_port || accidents == ACCIDENTS_MAX) {
            if (!error)
                *ret_conn = c;
            return error;
        }
        gust_conn_unref(c);
    }
}
