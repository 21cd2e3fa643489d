/* Asking for addresses: what needs no lookup is answered here. */
#include <errno.h>
#include <gust/context.h>
#include <string.h>

#include "net/resolve.h"

#define KNOWN_FLAGS \
    (AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV | AI_ADDRCONFIG | AI_V4MAPPED | AI_ALL)

static int check_options(const gust_resolve_options *o)
{
    if (o->family != 0 && o->family != AF_INET && o->family != AF_INET6)
        return -EAFNOSUPPORT;
    if (o->socktype != 0 && o->socktype != SOCK_STREAM && o->socktype != SOCK_DGRAM)
        return -EINVAL;
    return o->flags & ~KNOWN_FLAGS ? -EINVAL : 0;
}

static int one_addr(const gust_addr *addr, gust_addrs **ret_addrs)
{
    _Alignas(gust_addrs) char room[sizeof(gust_addrs) + sizeof(gust_addr)] = {0};
    gust_addrs *one = (gust_addrs *)room;
    one->count = 1;
    one->list[0] = *addr;
    gust_addrs *copy = gust__addrs_copy(one);
    if (!copy)
        return -ENOMEM;
    *ret_addrs = copy;
    return 0;
}

/* True if the question is its own answer: an address and the number of a port.  How one
 * family is written in the other is the system's business. */
static bool answer_literal(const gust__question *q, gust_addrs **ret_addrs, int *ret_error)
{
    gust_addr addr;
    uint16_t port;
    if (q->flags & (AI_V4MAPPED | AI_ALL) || !gust__port_parse(gust_span_of(q->service), &port) ||
        !gust__addr_parse_literal(gust_span_of(q->host), &addr))
        return false;
    gust__addr_set_port(&addr, port);
    if (q->family && q->family != addr.any.sa_family)
        *ret_error = GUST_RESOLVE_NO_ADDRESS;
    else
        *ret_error = one_addr(&addr, ret_addrs);
    return true;
}

int gust_resolve(const char *host, const char *service, const gust_resolve_options *options,
                 gust_time deadline, gust_addrs **ret_addrs)
{
    static const gust_resolve_options defaults;
    if (!options)
        options = &defaults;
    int error = check_options(options);
    if (error)
        return error;
    const gust__question q = {
        .host = host ? host : "",
        .service = service,
        .family = options->family,
        .socktype = options->socktype ? options->socktype : SOCK_STREAM,
        .flags = options->flags,
    };
    if (strlen(q.host) > GUST_RESOLVE_HOST_MAX || strlen(service) > GUST_RESOLVE_SERVICE_MAX)
        return -ENAMETOOLONG;
    if (deadline != GUST_NOW && gust_context_err(gust_context_current()))
        return -ECANCELED;
    if (answer_literal(&q, ret_addrs, &error))
        return error;
    return gust__lookup(&q, deadline, ret_addrs);
}

static bool copy_span(gust_span from, char *to, size_t max)
{
    if (from.len > max)
        return false;
    memcpy(to, from.data, from.len);
    to[from.len] = '\0';
    return true;
}

int gust_resolve_text(const char *text, const gust_resolve_options *options, gust_time deadline,
                      gust_addrs **ret_addrs)
{
    gust_span host, port;
    char host_text[GUST_RESOLVE_HOST_MAX + 1], port_text[GUST_RESOLVE_SERVICE_MAX + 1];
    int error = gust_host_port_split(text, &host, &port);
    if (error)
        return error;
    if (!copy_span(host, host_text, GUST_RESOLVE_HOST_MAX) ||
        !copy_span(port, port_text, GUST_RESOLVE_SERVICE_MAX))
        return -ENAMETOOLONG;
    return gust_resolve(host_text, port_text, options, deadline, ret_addrs);
}
