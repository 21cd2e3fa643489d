/* The proxies that the environment names. */
#include "http/client/proxies.h"

#include "core/inject.h"
#include "http/client/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>

/* --- Reading ---------------------------------------------------------------------- */

static const char *getenv_any(const char *upper, const char *lower)
{
    const char *value = getenv(upper);

    return value && *value ? value : getenv(lower);
}

static const char *http_proxy(void)
{
    return getenv("REQUEST_METHOD") ? getenv("http_proxy") : getenv_any("HTTP_PROXY", "http_proxy");
}

/* "http://user:password@host:port/", or without the scheme. */
static int split(gust_span text, struct http_text *with_scheme, struct client_url *url)
{
    int r = gust__url_split(text, url);

    if (r == 0 && url->tls)
        return -EINVAL;
    if (r == 0 || memmem(text.data, text.len, "://", 3))
        return r < 0 ? -EINVAL : 0;
    r = gust__http_text_add(with_scheme, gust_span_of("http://"), SIZE_MAX);
    if (r == 0)
        r = gust__http_text_add(with_scheme, text, SIZE_MAX);
    if (r < 0)
        return r;
    return gust__url_split((gust_span){with_scheme->data, with_scheme->len}, url) < 0 ? -EINVAL : 0;
}

static int keep(struct client_proxy *proxy, const struct client_url *url)
{
    gust_span host = gust__without_brackets(url->host);

    proxy->authority = gust__malloc(url->authority.len + host.len + 2);
    if (!proxy->authority)
        return -ENOMEM;
    memcpy(proxy->authority, url->authority.data, url->authority.len);
    proxy->authority[url->authority.len] = '\0';
    proxy->host = proxy->authority + url->authority.len + 1;
    memcpy(proxy->host, host.data, host.len);
    proxy->host[host.len] = '\0';
    proxy->port = url->port;
    return url->userinfo.data ? gust__basic_write(url->userinfo, &proxy->basic) : 0;
}

static int read_proxy(struct client_proxy *proxy, const char *text)
{
    struct http_text with_scheme = {NULL, 0, 0, NULL};
    struct client_url url;

    if (!text || !*text)
        return 0;
    int r = split(gust_span_of(text), &with_scheme, &url);
    if (r == 0)
        r = keep(proxy, &url);
    free(with_scheme.heap);
    return r;
}

int gust__proxies_read(struct client_proxies *p)
{
    const char *none = getenv_any("NO_PROXY", "no_proxy");

    int r = read_proxy(&p->http, http_proxy());
    if (r == 0)
        r = read_proxy(&p->https, getenv_any("HTTPS_PROXY", "https_proxy"));
    if (r < 0 || !none)
        return r;
    p->none = gust__malloc(strlen(none) + 1);
    if (!p->none)
        return -ENOMEM;
    strcpy(p->none, none);
    return 0;
}

void gust__proxies_fini(struct client_proxies *p)
{
    free(p->http.authority);
    free(p->http.basic.heap);
    free(p->https.authority);
    free(p->https.basic.heap);
    free(p->none);
}

/* --- Who is excluded ------------------------------------------------------------------ */

/* An IPv4 address has four bytes, an IPv6 one sixteen. */
struct ip {
    size_t len;
    uint8_t bytes[16];
};

static bool read_ip(gust_span s, struct ip *ret_ip)
{
    char text[INET6_ADDRSTRLEN];

    s = gust__without_brackets(s);
    if (s.len >= sizeof(text))
        return false;
    memcpy(text, s.data, s.len);
    text[s.len] = '\0';
    ret_ip->len = memchr(s.data, ':', s.len) ? 16 : 4;
    return inet_pton(ret_ip->len == 16 ? AF_INET6 : AF_INET, text, ret_ip->bytes) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, size_t bits)
{
    size_t whole = bits / 8;
    uint8_t mask = (uint8_t)(0xff00 >> bits % 8);

    return memcmp(a, b, whole) == 0 && (bits % 8 == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool in_network(gust_span entry, size_t slash, const struct ip *ip)
{
    struct ip network;
    uint64_t bits;

    return read_ip((gust_span){entry.data, slash}, &network) && network.len == ip->len &&
           gust__http_number((gust_span){entry.data + slash + 1, entry.len - slash - 1}, &bits) &&
           bits <= network.len * 8 && same_bits(network.bytes, ip->bytes, (size_t)bits);
}

static bool is_ip(gust_span entry, const struct ip *ip)
{
    struct ip other;

    return read_ip(entry, &other) && other.len == ip->len &&
           memcmp(other.bytes, ip->bytes, ip->len) == 0;
}

/* The entry is a name: the host's own, or one above it. */
static bool is_domain(gust_span entry, gust_span host)
{
    if (entry.len > 2 && memcmp(entry.data, "*.", 2) == 0)
        entry = (gust_span){entry.data + 1, entry.len - 1};
    if (gust__http_same_name(host, entry.data, entry.len))
        return entry.data[0] != '.';
    size_t dot = entry.data[0] == '.' ? 0 : 1;
    if (host.len < entry.len + dot)
        return false;
    gust_span end = {host.data + host.len - entry.len, entry.len};
    return gust__http_same_name(end, entry.data, entry.len) && (dot == 0 || end.data[-1] == '.');
}

/* Takes ":port" off the end; false if it is for another port. */
static bool take_port(gust_span *entry, uint16_t port)
{
    const char *colon = memrchr(entry->data, ':', entry->len);
    struct ip ip;
    uint64_t number;

    if (!colon || (read_ip(*entry, &ip) && entry->data[0] != '['))
        return true;
    gust_span digits = {colon + 1, (size_t)(entry->data + entry->len - colon - 1)};
    if (!gust__http_number(digits, &number))
        return true;
    entry->len = (size_t)(colon - entry->data);
    return number == port;
}

static bool entry_matches(gust_span entry, gust_span host, uint16_t port)
{
    const char *slash = memchr(entry.data, '/', entry.len);
    struct ip ip;
    bool host_is_ip = read_ip(host, &ip);

    if (entry.len == 1 && entry.data[0] == '*')
        return true;
    if (slash)
        return host_is_ip && in_network(entry, (size_t)(slash - entry.data), &ip);
    if (!take_port(&entry, port) || entry.len == 0)
        return false;
    return host_is_ip ? is_ip(entry, &ip) : is_domain(entry, host);
}

bool gust__proxy_excluded(const char *list, gust_span host, uint16_t port)
{
    while (*list) {
        size_t len = strcspn(list, ",");
        gust_span entry = gust__http_trim(list, len);
        if (entry.len > 0 && entry_matches(entry, host, port))
            return true;
        list += len + (list[len] == ',');
    }
    return false;
}

static bool is_this_machine(gust_span host)
{
    struct ip ip;

    if (!read_ip(host, &ip))
        return gust__http_equals(host, "localhost");
    return ip.len == 4 ? ip.bytes[0] == 127
                       : memcmp(ip.bytes, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}

const struct client_proxy *gust__proxy_for(const struct client_proxies *p,
                                           const struct client_url *url)
{
    const struct client_proxy *proxy = url->tls ? &p->https : &p->http;

    if (!proxy->authority || is_this_machine(url->host))
        return NULL;
    return p->none && gust__proxy_excluded(p->none, url->host, url->port) ? NULL : proxy;
}
