/* Names: from "host:port" to addresses.
 *
 * The system answers (getaddrinfo(3): DNS, /etc/hosts, whatever the machine is
 * configured for).  It knows neither deadlines nor cancellation, so each lookup has a
 * goroutine of its own, without a P while it waits for an answer; who asked leaves when
 * his time is up, and the lookup goes on in the background until the system has
 * answered.  The same question asked meanwhile is not asked twice: both get the
 * answer.  At most so many lookups are under way at a time; others stand in a queue,
 * and leave it when nobody waits for them any more.
 *
 * At the end of gust_run whatever lookups have left is freed.  A lookup still under way
 * then is given a second, as every call into foreign code, and if it has not come back
 * its thread is left behind (see gust_run): a program that wants to avoid that calls
 * gust_resolver_drain first. */
#ifndef GUST_RESOLVE_H
#define GUST_RESOLVE_H

#include <gust/net.h>
#include <netdb.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Text ---------------------------------------------------------------- */

/* Splits "example.org:http", "127.0.0.1:80", "[fe80::1%eth0]:80" or ":80" into what
 * stands before and after the colon, without the brackets.  Brackets are for IPv6 and
 * IPv6 needs them; the host may be empty, the port may not.  The spans point into
 * `text`.  Says nothing about whether host and port mean anything.
 * Errors: -EINVAL; nothing is written then. */
int gust_host_port_split(const char *text, gust_span *ret_host, gust_span *ret_port);

/* --- Errors -------------------------------------------------------------- */

/* What errno has no word for.  None of these is the negative of an errno value. */
enum {
    GUST_RESOLVE_NO_NAME = -4097,    /* there is no such host (EAI_NONAME) */
    GUST_RESOLVE_NO_ADDRESS = -4098, /* it has no address of the family (EAI_NODATA,
                                        EAI_ADDRFAMILY) */
    GUST_RESOLVE_NO_SERVICE = -4099, /* there is no such port or service (EAI_SERVICE) */
    GUST_RESOLVE_AGAIN = -4100,      /* no server has answered: later perhaps (EAI_AGAIN) */
    GUST_RESOLVE_FAILED = -4101,     /* a server said that it cannot (EAI_FAIL, others) */
};

/* A phrase for one of these, or for a negative errno value.  Never NULL; not to be
 * freed.  Any thread. */
const char *gust_resolve_strerror(int error);

/* --- Asking -------------------------------------------------------------- */

typedef struct gust_addrs {
    size_t count; /* at least 1 */
    gust_addr list[];
} gust_addrs;

/* NULL is accepted.  Any thread. */
void gust_addrs_free(gust_addrs *addrs);

/* Zeroes are the defaults. */
typedef struct gust_resolve_options {
    int family;   /* AF_INET, AF_INET6; 0: both */
    int socktype; /* SOCK_STREAM, SOCK_DGRAM: what the service's port is for; 0: the first */
    int flags;    /* of getaddrinfo(3): AI_PASSIVE, AI_NUMERICHOST, AI_NUMERICSERV,
                     AI_ADDRCONFIG, AI_V4MAPPED, AI_ALL */
} gust_resolve_options;

/* The longest host and service; longer ones are -ENAMETOOLONG. */
#define GUST_RESOLVE_HOST_MAX 1024
#define GUST_RESOLVE_SERVICE_MAX 64

/* Looks `host` up, or parses it if it is an address ("::1", "fe80::1%eth0", without
 * brackets; that never blocks if the service is a number).  NULL or "" is this machine:
 * its loopback addresses, or with AI_PASSIVE the wildcards.  `service` is a number or a
 * name of /etc/services.  `options` may be NULL.
 * On success *ret_addrs is the caller's, to be freed by gust_addrs_free: addresses with
 * ports, in the order in which they should be tried (RFC 6724, as the system has sorted
 * them), each once.
 * Errors: -ETIMEDOUT (-EAGAIN in its place if the deadline was GUST_NOW, with which
 * nothing is looked up that is not in the cache), -ECANCELED; GUST_RESOLVE_*; -EINVAL
 * and -EAFNOSUPPORT for options that make no sense; -ENAMETOOLONG; -ENOMEM; what the
 * system met (-EMFILE ...). */
int gust_resolve(const char *host, const char *service, const gust_resolve_options *options,
                 gust_time deadline, gust_addrs **ret_addrs);

/* The same for "host:port".  Errors: also -EINVAL if it cannot be split. */
int gust_resolve_text(const char *text, const gust_resolve_options *options, gust_time deadline,
                      gust_addrs **ret_addrs);

/* --- The resolver -------------------------------------------------------- */

#define GUST_RESOLVER_IN_FLIGHT 64
#define GUST_RESOLVER_CACHE_MAX 1024

/* Zeroes are the defaults. */
typedef struct gust_resolver_options {
    uint32_t in_flight_max; /* lookups at a time; 0: GUST_RESOLVER_IN_FLIGHT */
    uint32_t cache_max;     /* answers kept; 0: GUST_RESOLVER_CACHE_MAX.  The oldest goes */
    int64_t cache_ns;       /* how long an answer is kept; 0: there is no cache.  The system
                               does not say how long it is good for */
} gust_resolver_options;

/* Sets how all lookups of this process are done, until the next call, and empties the
 * cache.  Answers that are no addresses are never kept.  NULL: the defaults.
 * Errors: -EINVAL if cache_ns is negative.  Only from a goroutine, as the next two. */
int gust_resolver_configure(const gust_resolver_options *options);

/* How many lookups the system is answering now, whether or not anybody still waits for
 * them. */
size_t gust_resolver_in_flight(void);

/* Waits until there are none.  Errors: -ETIMEDOUT, -EAGAIN, -ECANCELED. */
int gust_resolver_drain(gust_time deadline);

#ifdef __cplusplus
}
#endif
#endif
