/* Prefixes of addresses.  Pure. */
#include <gust/proxy.h>
#include <string.h>

static bool is_unix(const gust_addr *addr)
{
    return addr->len > 0 && addr->any.sa_family == AF_UNIX;
}

/* The bytes of an address without its port; IPv4 in IPv6's clothes is IPv4.  NULL if it
 * is neither. */
static const unsigned char *host_of(const gust_addr *addr, int *ret_bits)
{
    if (addr->len == 0 || (addr->any.sa_family != AF_INET && addr->any.sa_family != AF_INET6))
        return NULL;
    if (addr->any.sa_family == AF_INET) {
        *ret_bits = 32;
        return (const unsigned char *)&addr->v4.sin_addr;
    }
    const unsigned char *host = addr->v6.sin6_addr.s6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr);
    *ret_bits = mapped ? 32 : 128;
    return mapped ? host + 12 : host;
}

bool gust_proxy_prefix_valid(const gust_proxy_prefix *prefix)
{
    int bits;
    if (!host_of(&prefix->addr, &bits))
        return is_unix(&prefix->addr);
    return prefix->bits >= 0 && prefix->bits <= bits;
}

bool gust_proxy_prefix_has(const gust_proxy_prefix *prefix, const gust_addr *addr)
{
    int bits, prefix_bits;
    const unsigned char *host = host_of(addr, &bits);
    const unsigned char *with = host_of(&prefix->addr, &prefix_bits);
    if (!host || !with)
        return is_unix(addr) && is_unix(&prefix->addr);
    const int whole = prefix->bits / 8, rest = prefix->bits % 8;
    if (bits != prefix_bits || memcmp(host, with, (size_t)whole) != 0)
        return false;
    return rest == 0 || (host[whole] ^ with[whole]) >> (8 - rest) == 0;
}
