/* PROXY headers: bytes in, addresses and spans out, and the way back.  Pure.
 *
 *   v1  PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 CR LF      (at most 107 bytes)
 *       PROXY UNKNOWN anything CR LF
 *   v2  signature (12), version and command (1), family and transport (1), length
 *       of what follows (2), addresses and ports (12, 36 or 216), TLVs
 *
 * Strict: the text form has single spaces, and numbers as the protocol writes them;
 * what the binary form leaves undefined is refused, as it demands. */
#include <gust/proxy.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "net/proxy_crc.h"

#define V2_FIXED 16
#define V2_VERSION 0x20
#define V2_UNIX_LEN 216
#define TLV_FIXED 3
#define CRC_LEN 4

static const char v1_start[] = "PROXY ";
static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

#define V1_START_LEN (sizeof v1_start - 1)
#define V2_SIGNATURE_LEN (sizeof v2_signature - 1)

/* Version 2's second nibbles. */
enum { COMMAND_LOCAL, COMMAND_PROXY };
enum { FAMILY_UNSPEC, FAMILY_INET, FAMILY_INET6, FAMILY_UNIX };
enum { TRANSPORT_UNSPEC, TRANSPORT_STREAM, TRANSPORT_DGRAM };

static size_t be16(const char *p)
{
    return (size_t)(unsigned char)p[0] << 8 | (unsigned char)p[1];
}

static void put_be16(char *p, size_t value)
{
    p[0] = (char)(value >> 8);
    p[1] = (char)value;
}

/* --- Version 1 ----------------------------------------------------------- */

/* Takes a word off *line: up to a space, which goes too, or to the end. */
static bool take_word(gust_span *line, char *word, size_t size)
{
    const char *space = memchr(line->data, ' ', line->len);
    size_t len = space ? (size_t)(space - line->data) : line->len;
    if (len == 0 || len >= size)
        return false;
    memcpy(word, line->data, len);
    word[len] = '\0';
    line->data += space ? len + 1 : len;
    line->len -= space ? len + 1 : len;
    return strlen(word) == len;
}

static bool take_host(gust_span *line, int family, gust_addr *addr)
{
    char word[INET6_ADDRSTRLEN];
    if (!take_word(line, word, sizeof word))
        return false;
    addr->any.sa_family = (sa_family_t)family;
    addr->len = family == AF_INET ? sizeof addr->v4 : sizeof addr->v6;
    void *host = family == AF_INET ? (void *)&addr->v4.sin_addr : (void *)&addr->v6.sin6_addr;
    return inet_pton(family, word, host) == 1;
}

/* 0 to 65535, without leading zeroes. */
static bool take_port(gust_span *line, gust_addr *addr)
{
    char word[sizeof "65535"];
    unsigned port = 0;
    if (!take_word(line, word, sizeof word) || (word[0] == '0' && word[1] != '\0'))
        return false;
    for (const char *p = word; *p; p++) {
        if (*p < '0' || *p > '9')
            return false;
        port = port * 10 + (unsigned)(*p - '0');
    }
    addr->v4.sin_port = htons((uint16_t)port); /* at the same place in v6 */
    return port <= UINT16_MAX;
}

/* What stands between "PROXY " and CR LF. */
static bool parse_v1_line(gust_span line, gust_proxy_header *header)
{
    char protocol[sizeof "UNKNOWN"];
    bool spaced = line.len == 0 || line.data[line.len - 1] != ' ';
    if (!take_word(&line, protocol, sizeof protocol))
        return false;
    if (strcmp(protocol, "UNKNOWN") == 0)
        return true;
    int family = strcmp(protocol, "TCP4") == 0   ? AF_INET
                 : strcmp(protocol, "TCP6") == 0 ? AF_INET6
                                                 : AF_UNSPEC;
    return spaced && family != AF_UNSPEC && take_host(&line, family, &header->source) &&
           take_host(&line, family, &header->destination) && take_port(&line, &header->source) &&
           take_port(&line, &header->destination) && line.len == 0;
}

static ssize_t parse_v1(gust_span bytes, gust_proxy_header *header)
{
    size_t len = bytes.len < GUST_PROXY_V1_MAX ? bytes.len : GUST_PROXY_V1_MAX;
    const char *cr = memchr(bytes.data, '\r', len);
    const char *end = bytes.data + len;
    if (!cr || cr + 1 == end)
        return len == GUST_PROXY_V1_MAX ? -EPROTO : 0;
    gust_span line = {.data = bytes.data + V1_START_LEN};
    line.len = (size_t)(cr - line.data);
    header->version = 1;
    if (cr[1] != '\n' || memchr(line.data, '\n', line.len) || !parse_v1_line(line, header))
        return -EPROTO;
    return cr + 2 - bytes.data;
}

/* --- Version 2 ----------------------------------------------------------- */

static void take_v4(const char *p, gust_proxy_header *header)
{
    gust_addr *source = &header->source, *destination = &header->destination;
    source->v4.sin_family = destination->v4.sin_family = AF_INET;
    source->len = destination->len = sizeof source->v4;
    memcpy(&source->v4.sin_addr, p, 4);
    memcpy(&destination->v4.sin_addr, p + 4, 4);
    memcpy(&source->v4.sin_port, p + 8, 2);
    memcpy(&destination->v4.sin_port, p + 10, 2);
}

static void take_v6(const char *p, gust_proxy_header *header)
{
    gust_addr *source = &header->source, *destination = &header->destination;
    source->v6.sin6_family = destination->v6.sin6_family = AF_INET6;
    source->len = destination->len = sizeof source->v6;
    memcpy(&source->v6.sin6_addr, p, 16);
    memcpy(&destination->v6.sin6_addr, p + 16, 16);
    memcpy(&source->v6.sin6_port, p + 32, 2);
    memcpy(&destination->v6.sin6_port, p + 34, 2);
}

/* How long the addresses of a family are; -1: there is no such family. */
static int family_len(unsigned family)
{
    switch (family) {
    case FAMILY_UNSPEC: return 0;
    case FAMILY_INET: return 12;
    case FAMILY_INET6: return 36;
    case FAMILY_UNIX: return V2_UNIX_LEN;
    }
    return -1;
}

bool gust_proxy_tlv_next(gust_span *tlvs, gust_proxy_tlv *ret_tlv)
{
    if (tlvs->len < TLV_FIXED)
        return false;
    size_t len = be16(tlvs->data + 1);
    if (len > tlvs->len - TLV_FIXED)
        return false;
    *ret_tlv = (gust_proxy_tlv){
        .type = (uint8_t)tlvs->data[0],
        .value = {.data = tlvs->data + TLV_FIXED, .len = len},
    };
    tlvs->data += TLV_FIXED + len;
    tlvs->len -= TLV_FIXED + len;
    return true;
}

/* Are the fields whole?  *ret_crc: the value of the checksum, if there is one. */
static bool tlvs_valid(gust_span tlvs, const char **ret_crc)
{
    gust_proxy_tlv tlv;
    *ret_crc = NULL;
    while (gust_proxy_tlv_next(&tlvs, &tlv)) {
        if (tlv.type != GUST_PROXY_TLV_CRC32C)
            continue;
        if (tlv.value.len != CRC_LEN || *ret_crc)
            return false;
        *ret_crc = tlv.value.data;
    }
    return tlvs.len == 0;
}

/* Of the whole header, with zeroes in the place of the checksum itself. */
static uint32_t header_crc(const char *data, size_t len, const char *crc)
{
    static const char zeroes[CRC_LEN];
    uint32_t state = gust__crc32c_begin();
    state = gust__crc32c_add(state, data, (size_t)(crc - data));
    state = gust__crc32c_add(state, zeroes, CRC_LEN);
    state = gust__crc32c_add(state, crc + CRC_LEN, len - (size_t)(crc + CRC_LEN - data));
    return gust__crc32c_end(state);
}

static bool crc_valid(const char *data, size_t len, const char *crc)
{
    uint32_t sent;
    memcpy(&sent, crc, sizeof sent);
    return ntohl(sent) == header_crc(data, len, crc);
}

/* A LOCAL header may have whatever follows, which is skipped; but a checksum can
 * only be found in what is well formed. */
static bool parse_v2_rest(gust_span all, unsigned family, gust_proxy_header *header)
{
    const int addrs = family_len(family);
    const char *crc;
    if (addrs < 0 || all.len - V2_FIXED < (size_t)addrs)
        return header->local;
    gust_span tlvs = {.data = all.data + V2_FIXED + addrs,
                      .len = all.len - V2_FIXED - (size_t)addrs};
    if (!tlvs_valid(tlvs, &crc))
        return header->local;
    if (crc && !crc_valid(all.data, all.len, crc))
        return false;
    header->tlvs = tlvs;
    if (!header->local && family == FAMILY_INET)
        take_v4(all.data + V2_FIXED, header);
    else if (!header->local && family == FAMILY_INET6)
        take_v6(all.data + V2_FIXED, header);
    return true;
}

static ssize_t parse_v2(gust_span bytes, gust_proxy_header *header)
{
    if (bytes.len > V2_SIGNATURE_LEN && ((bytes.data[V2_SIGNATURE_LEN] & 0xf0) != V2_VERSION ||
                                         (bytes.data[V2_SIGNATURE_LEN] & 0x0f) > COMMAND_PROXY))
        return -EPROTO;
    if (bytes.len < V2_FIXED)
        return 0;
    size_t len = V2_FIXED + be16(bytes.data + 14);
    if (len > GUST_PROXY_HEADER_MAX)
        return -EPROTO;
    const unsigned family = (unsigned char)bytes.data[13] >> 4;
    const unsigned transport = (unsigned char)bytes.data[13] & 0x0f;
    header->version = 2;
    header->local = (bytes.data[12] & 0x0f) == COMMAND_LOCAL;
    header->datagram = transport == TRANSPORT_DGRAM;
    if (!header->local && (transport > TRANSPORT_DGRAM || family_len(family) < 0))
        return -EPROTO;
    if (bytes.len < len)
        return 0;
    gust_span all = {.data = bytes.data, .len = len};
    return parse_v2_rest(all, family, header) ? (ssize_t)len : -EPROTO;
}

/* --- Either -------------------------------------------------------------- */

/* Does it begin like this, as far as it goes? */
static bool begins(gust_span bytes, const char *with, size_t len)
{
    return memcmp(bytes.data, with, bytes.len < len ? bytes.len : len) == 0;
}

ssize_t gust_proxy_header_parse(gust_span bytes, gust_proxy_header *ret_header)
{
    gust_proxy_header header;
    ssize_t n;
    memset(&header, 0, sizeof header);
    header.tlvs.data = "";
    if (bytes.len == 0)
        return 0;
    if (begins(bytes, v1_start, V1_START_LEN))
        n = bytes.len < V1_START_LEN ? 0 : parse_v1(bytes, &header);
    else if (begins(bytes, v2_signature, V2_SIGNATURE_LEN))
        n = parse_v2(bytes, &header);
    else
        n = -ENOENT;
    if (n > 0)
        *ret_header = header;
    return n;
}

/* --- Writing ------------------------------------------------------------- */

static ssize_t format_v1(const gust_proxy_header *h, char *buf, size_t size)
{
    char source[INET6_ADDRSTRLEN], destination[INET6_ADDRSTRLEN], text[GUST_PROXY_V1_MAX + 1];
    const int family = h->source.any.sa_family;
    int n;
    if (h->local || h->datagram || h->tlvs.len > 0)
        return -EINVAL;
    if (h->source.len == 0) {
        n = snprintf(text, sizeof text, "PROXY UNKNOWN\r\n");
    } else {
        bool v4 = family == AF_INET;
        inet_ntop(family, v4 ? (const void *)&h->source.v4.sin_addr : &h->source.v6.sin6_addr,
                  source, sizeof source);
        inet_ntop(family,
                  v4 ? (const void *)&h->destination.v4.sin_addr : &h->destination.v6.sin6_addr,
                  destination, sizeof destination);
        n = snprintf(text, sizeof text, "PROXY %s %s %s %u %u\r\n", v4 ? "TCP4" : "TCP6", source,
                     destination, gust_addr_port(&h->source), gust_addr_port(&h->destination));
    }
    if ((size_t)n > size)
        return -ENOBUFS;
    memcpy(buf, text, (size_t)n);
    return n;
}

/* Returns the end of what was written. */
static char *put_addrs(char *p, const gust_addr *source, const gust_addr *destination)
{
    if (source->len == 0)
        return p;
    if (source->any.sa_family == AF_INET) {
        memcpy(p, &source->v4.sin_addr, 4);
        memcpy(p + 4, &destination->v4.sin_addr, 4);
        p += 8;
    } else {
        memcpy(p, &source->v6.sin6_addr, 16);
        memcpy(p + 16, &destination->v6.sin6_addr, 16);
        p += 32;
    }
    memcpy(p, &source->v4.sin_port, 2);
    memcpy(p + 2, &destination->v4.sin_port, 2);
    return p + 4;
}

static void put_crc(char *buf, size_t len)
{
    char *tlv = buf + len - TLV_FIXED - CRC_LEN;
    tlv[0] = GUST_PROXY_TLV_CRC32C;
    put_be16(tlv + 1, CRC_LEN);
    uint32_t crc = htonl(header_crc(buf, len, tlv + TLV_FIXED));
    memcpy(tlv + TLV_FIXED, &crc, sizeof crc);
}

static ssize_t format_v2(const gust_proxy_header *h, bool checksum, char *buf, size_t size)
{
    const char *crc;
    const unsigned family = h->source.len == 0                   ? FAMILY_UNSPEC
                            : h->source.any.sa_family == AF_INET ? FAMILY_INET
                                                                 : FAMILY_INET6;
    const unsigned transport = family == FAMILY_UNSPEC ? TRANSPORT_UNSPEC
                               : h->datagram           ? TRANSPORT_DGRAM
                                                       : TRANSPORT_STREAM;
    if (!tlvs_valid(h->tlvs, &crc) || (crc && checksum))
        return -EINVAL;
    size_t len = V2_FIXED + (size_t)family_len(family) + (checksum ? TLV_FIXED + CRC_LEN : 0);
    if (len > GUST_PROXY_HEADER_MAX || h->tlvs.len > GUST_PROXY_HEADER_MAX - len ||
        len + h->tlvs.len > size)
        return -ENOBUFS;
    len += h->tlvs.len;
    memcpy(buf, v2_signature, V2_SIGNATURE_LEN);
    buf[12] = (char)(V2_VERSION | (h->local ? COMMAND_LOCAL : COMMAND_PROXY));
    buf[13] = (char)(family << 4 | transport);
    put_be16(buf + 14, len - V2_FIXED);
    char *p = put_addrs(buf + V2_FIXED, &h->source, &h->destination);
    if (h->tlvs.len > 0)
        memcpy(p, h->tlvs.data, h->tlvs.len);
    if (checksum)
        put_crc(buf, len);
    return (ssize_t)len;
}

/* Both of one family that the protocol has, or none. */
static bool addrs_valid(const gust_addr *a, const gust_addr *b)
{
    if (a->len == 0 || b->len == 0)
        return a->len == b->len;
    return a->any.sa_family == b->any.sa_family &&
           (a->any.sa_family == AF_INET || a->any.sa_family == AF_INET6);
}

ssize_t gust_proxy_header_format(const gust_proxy_header *header, bool checksum, char *buf,
                                 size_t size)
{
    if (!addrs_valid(&header->source, &header->destination))
        return -EINVAL;
    switch (header->version) {
    case 1: return checksum ? -EINVAL : format_v1(header, buf, size);
    case 2: return format_v2(header, checksum, buf, size);
    }
    return -EINVAL;
}
