/* Which large writes are sent without a copy (core/uring_zerocopy.c says how).
 *
 * Decided once per connection, at its first large write: not to a peer on this
 * machine, where the receiver's side would have to copy what the sender did not.  An
 * address of our own that looks like another's is found out by the first send: the
 * kernel says that it has copied.
 *
 * Decided anew for each: the writer waits until all of it is acknowledged, and sends
 * nothing meanwhile.  That is a round trip at the end, which must be little beside the
 * time that the write takes; else many writes of moderate size over a long way would
 * be slow, where copies let the next one begin. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>

#include "net/conn.h"

/* Memory of a send counts as locked until the peer has got it: a bound, so that an
 * ordinary user's few MiB are not used up by one write. */
#define PIECE_MAX ((size_t)2 << 20)

/* So many round trips must a write take, at the rate that the connection has. */
#define ROUND_TRIPS_MIN 8

bool gust__zerocopy_everywhere;

typedef union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_storage room;
} address;

/* The address as IPv6 has it; false for other families. */
static bool host_of(const address *a, struct in6_addr *ret_host)
{
    if (a->any.sa_family == AF_INET6) {
        *ret_host = a->v6.sin6_addr;
        return true;
    }
    if (a->any.sa_family != AF_INET)
        return false;
    *ret_host = (struct in6_addr){.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&ret_host->s6_addr[12], &a->v4.sin_addr, 4);
    return true;
}

static bool is_loopback(const struct in6_addr *host)
{
    return IN6_IS_ADDR_LOOPBACK(host) ||
           (IN6_IS_ADDR_V4MAPPED(host) && host->s6_addr[12] == IN_LOOPBACKNET);
}

static bool is_elsewhere(int fd)
{
    address here = {0}, there = {0};
    socklen_t here_len = sizeof here, there_len = sizeof there;
    struct in6_addr from, to;
    if (getsockname(fd, &here.any, &here_len) < 0 || getpeername(fd, &there.any, &there_len) < 0 ||
        !host_of(&here, &from) || !host_of(&there, &to))
        return false;
    return gust__zerocopy_everywhere || (!is_loopback(&to) && !IN6_ARE_ADDR_EQUAL(&from, &to));
}

size_t gust__conn_zerocopy_limit(gust_conn *c, size_t left, size_t max)
{
    if (left < gust__netpoll_zerocopy_min())
        return max;
    if (c->zerocopy == ZEROCOPY_UNKNOWN)
        c->zerocopy = is_elsewhere(c->fd.fd) ? ZEROCOPY_YES : ZEROCOPY_NO;
    return c->zerocopy == ZEROCOPY_YES ? PIECE_MAX : max;
}

/* The congestion window is what one round trip carries. */
static bool takes_long(int fd, size_t bytes)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return false;
    return bytes / ROUND_TRIPS_MIN >= (size_t)info.tcpi_snd_cwnd * info.tcpi_snd_mss;
}

uint8_t gust__conn_zerocopy_flag(const gust_conn *c, size_t bytes)
{
    bool wanted = c->zerocopy == ZEROCOPY_YES && bytes >= gust__netpoll_zerocopy_min() &&
                  (gust__zerocopy_everywhere || takes_long(c->fd.fd, bytes));
    return wanted ? GUST__OP_ZEROCOPY : 0;
}

void gust__conn_zerocopy_done(gust_conn *c, uint8_t flag, const gust__op *op)
{
    if (flag && !(op->flags & GUST__OP_ZEROCOPY))
        c->zerocopy = ZEROCOPY_NO;
}
