/* Addresses as text.  Pure but for interface names (zones). */
#include "net/resolve.h"
#include "net/unix_addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* A decimal number of digits only, at most `max`. */
static bool parse_number(const char *text, size_t len, uint32_t max, uint32_t *ret_number)
{
    uint64_t number = 0;
    if (len == 0 || len > 10)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        number = number * 10 + (uint64_t)(text[i] - '0');
    }
    *ret_number = (uint32_t)number;
    return number <= max;
}

/* "eth0" or "2": an interface by name or number. */
static bool parse_zone(const char *zone, size_t len, uint32_t *ret_scope)
{
    char name[IF_NAMESIZE];
    if (parse_number(zone, len, UINT32_MAX, ret_scope))
        return *ret_scope > 0;
    if (len == 0 || len >= sizeof name)
        return false;
    memcpy(name, zone, len);
    name[len] = '\0';
    return (*ret_scope = if_nametoindex(name)) > 0;
}

static bool parse_v4(const char *host, size_t len, gust_addr *addr)
{
    char text[INET_ADDRSTRLEN];
    if (len >= sizeof text)
        return false;
    memcpy(text, host, len);
    text[len] = '\0';
    addr->v4.sin_family = AF_INET;
    addr->len = sizeof addr->v4;
    return inet_pton(AF_INET, text, &addr->v4.sin_addr) == 1;
}

/* What stands between the brackets. */
static bool parse_v6(const char *host, size_t len, gust_addr *addr)
{
    char text[INET6_ADDRSTRLEN];
    const char *percent = memchr(host, '%', len);
    size_t digits = percent ? (size_t)(percent - host) : len;
    if (digits >= sizeof text)
        return false;
    memcpy(text, host, digits);
    text[digits] = '\0';
    addr->v6.sin6_family = AF_INET6;
    addr->len = sizeof addr->v6;
    if (percent && !parse_zone(percent + 1, len - digits - 1, &addr->v6.sin6_scope_id))
        return false;
    return inet_pton(AF_INET6, text, &addr->v6.sin6_addr) == 1;
}

bool gust__addr_parse_literal(gust_span host, gust_addr *ret_addr)
{
    gust_addr addr;
    memset(&addr, 0, sizeof addr);
    bool good = memchr(host.data, ':', host.len) ? parse_v6(host.data, host.len, &addr)
                                                 : parse_v4(host.data, host.len, &addr);
    if (good)
        *ret_addr = addr;
    return good;
}

bool gust__port_parse(gust_span text, uint16_t *ret_port)
{
    uint32_t port;
    if (text.len > 5 || !parse_number(text.data, text.len, UINT16_MAX, &port))
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

/* sin_port and sin6_port lie at the same place. */
void gust__addr_set_port(gust_addr *addr, uint16_t port)
{
    addr->v4.sin_port = htons(port);
}

int gust_addr_parse(const char *text, gust_addr *ret_addr)
{
    gust_addr addr;
    gust_span host, port_text;
    uint16_t port;
    if (strncmp(text, GUST__UNIX_PREFIX, strlen(GUST__UNIX_PREFIX)) == 0)
        return gust__unix_addr_parse(text + strlen(GUST__UNIX_PREFIX), ret_addr);
    if (gust_host_port_split(text, &host, &port_text) < 0 || !gust__port_parse(port_text, &port))
        return -EINVAL;
    if (host.len == 0) /* ":80": the IPv6 wildcard takes IPv4 too */
        host = (gust_span){.data = "::", .len = 2};
    if (!gust__addr_parse_literal(host, &addr))
        return -EINVAL;
    gust__addr_set_port(&addr, port);
    *ret_addr = addr;
    return 0;
}

static void format_v6(const struct sockaddr_in6 *v6, char *text)
{
    char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE], zone[IF_NAMESIZE + 1] = "";
    inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
    if (v6->sin6_scope_id && if_indextoname(v6->sin6_scope_id, name))
        snprintf(zone, sizeof zone, "%%%s", name);
    else if (v6->sin6_scope_id)
        snprintf(zone, sizeof zone, "%%%u", v6->sin6_scope_id);
    snprintf(text, GUST_ADDR_TEXT_MAX, "[%s%s]:%u", host, zone, ntohs(v6->sin6_port));
}

char *gust_addr_format(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX])
{
    char host[INET_ADDRSTRLEN];
    if (addr->len == 0) {
        strcpy(text, "(none)");
    } else if (addr->any.sa_family == AF_UNIX) {
        gust__unix_addr_format(addr, text);
    } else if (addr->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &addr->v4.sin_addr, host, sizeof host);
        snprintf(text, GUST_ADDR_TEXT_MAX, "%s:%u", host, ntohs(addr->v4.sin_port));
    } else {
        format_v6(&addr->v6, text);
    }
    return text;
}

static char *put_octet(char *p, unsigned n)
{
    if (n >= 100)
        *p++ = (char)('0' + n / 100);
    if (n >= 10)
        *p++ = (char)('0' + n / 10 % 10);
    *p++ = (char)('0' + n % 10);
    return p;
}

/* A tenth of what inet_ntop(3) takes, which prints by sprintf(3). */
static void format_octets(const uint8_t octets[4], char *p)
{
    for (int i = 0; i < 4; i++) {
        p = put_octet(p, octets[i]);
        *p++ = i < 3 ? '.' : '\0';
    }
}

char *gust_addr_format_host(const gust_addr *addr, char text[GUST_ADDR_TEXT_MAX])
{
    const struct in6_addr *v6 = &addr->v6.sin6_addr;
    if (addr->len == 0)
        strcpy(text, "-");
    else if (addr->any.sa_family == AF_UNIX)
        strcpy(text, "unix:");
    else if (addr->any.sa_family == AF_INET)
        format_octets((const uint8_t *)&addr->v4.sin_addr, text);
    else if (IN6_IS_ADDR_V4MAPPED(v6))
        format_octets(v6->s6_addr + 12, text);
    else
        inet_ntop(AF_INET6, v6, text, GUST_ADDR_TEXT_MAX);
    return text;
}

uint16_t gust_addr_port(const gust_addr *addr)
{
    bool has_one = addr->any.sa_family == AF_INET || addr->any.sa_family == AF_INET6;
    return has_one ? ntohs(addr->v4.sin_port) : 0;
}
