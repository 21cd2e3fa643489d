/* One lookup by the system: its answer as addresses, its errors as ours. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "net/resolve.h"

gust__system_resolver gust__system_resolver_now = {getaddrinfo, freeaddrinfo};

/* --- Addresses ------------------------------------------------------------------- */

gust_addrs *gust__addrs_copy(const gust_addrs *addrs)
{
    size_t size = sizeof *addrs + addrs->count * sizeof addrs->list[0];
    gust_addrs *copy = gust__malloc(size);
    return copy ? memcpy(copy, addrs, size) : NULL;
}

void gust_addrs_free(gust_addrs *addrs)
{
    free(addrs);
}

static bool is_known(const struct addrinfo *ai)
{
    return (ai->ai_family == AF_INET && ai->ai_addrlen == sizeof(struct sockaddr_in)) ||
           (ai->ai_family == AF_INET6 && ai->ai_addrlen == sizeof(struct sockaddr_in6));
}

static bool has(const gust_addrs *addrs, const struct addrinfo *ai)
{
    for (size_t i = 0; i < addrs->count; i++)
        if (addrs->list[i].len == ai->ai_addrlen &&
            memcmp(&addrs->list[i].any, ai->ai_addr, ai->ai_addrlen) == 0)
            return true;
    return false;
}

/* A host that stands twice in /etc/hosts must not be tried twice. */
static int convert(const struct addrinfo *list, gust_addrs **ret_addrs)
{
    size_t count = 0;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next)
        count++;
    gust_addrs *addrs = gust__calloc(1, sizeof *addrs + count * sizeof addrs->list[0]);
    if (!addrs)
        return -ENOMEM;
    for (const struct addrinfo *ai = list; ai; ai = ai->ai_next) {
        if (!is_known(ai) || has(addrs, ai))
            continue;
        gust_addr *addr = &addrs->list[addrs->count++];
        memcpy(&addr->any, ai->ai_addr, ai->ai_addrlen);
        addr->len = ai->ai_addrlen;
    }
    if (addrs->count == 0) {
        free(addrs);
        return GUST_RESOLVE_NO_ADDRESS;
    }
    *ret_addrs = addrs;
    return 0;
}

/* --- Errors ----------------------------------------------------------------------- */

static int error_of(int eai, int system_error)
{
    switch (eai) {
    case EAI_NONAME:
    case EAI_IDN_ENCODE: return GUST_RESOLVE_NO_NAME;
    case EAI_NODATA:
    case EAI_ADDRFAMILY: return GUST_RESOLVE_NO_ADDRESS;
    case EAI_SERVICE: return GUST_RESOLVE_NO_SERVICE;
    case EAI_AGAIN: return GUST_RESOLVE_AGAIN;
    case EAI_MEMORY: return -ENOMEM;
    case EAI_OVERFLOW: return -EOVERFLOW;
    case EAI_FAMILY: return -EAFNOSUPPORT;
    case EAI_BADFLAGS:
    case EAI_SOCKTYPE: return -EINVAL;
    case EAI_SYSTEM: return system_error ? -system_error : GUST_RESOLVE_FAILED;
    }
    return GUST_RESOLVE_FAILED;
}

const char *gust_resolve_strerror(int error)
{
    const char *text;
    switch (error) {
    case GUST_RESOLVE_NO_NAME: return "no such host";
    case GUST_RESOLVE_NO_ADDRESS: return "the host has no address of this family";
    case GUST_RESOLVE_NO_SERVICE: return "no such port or service";
    case GUST_RESOLVE_AGAIN: return "no name server has answered; it may do so later";
    case GUST_RESOLVE_FAILED: return "a name server could not answer";
    }
    text = error <= 0 ? strerrordesc_np(-error) : NULL;
    return text ? text : "unknown error";
}

/* ------------------------------------------------------------------------------------ */

int gust__system_resolve(const gust__question *q, gust_addrs **ret_addrs)
{
    const gust__system_resolver *system = &gust__system_resolver_now;
    const struct addrinfo hints = {
        .ai_family = q->family, .ai_socktype = q->socktype, .ai_flags = q->flags};
    struct addrinfo *list = NULL;
    errno = 0;
    int eai = system->get(*q->host ? q->host : NULL, q->service, &hints, &list);
    if (eai)
        return error_of(eai, errno);
    int error = convert(list, ret_addrs);
    system->free(list);
    return error;
}
