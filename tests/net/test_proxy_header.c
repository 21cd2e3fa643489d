/* PROXY headers as bytes.  Every input lies against an unreadable page, whole and cut
 * short at each place. */
#include <arpa/inet.h>

#include "net/proxy_crc.h"
#include "tests/http/guard.h"
#include "tests/net/net_test.h"
#include <gust/proxy.h>

static struct guard guard;

static ssize_t parse(const char *bytes, size_t len, gust_proxy_header *header)
{
    if (!guard.base)
        guard = guard_new(2 * GUST_PROXY_HEADER_MAX);
    return gust_proxy_header_parse((gust_span){guard_put(&guard, bytes, len), len}, header);
}

/* A valid header: each cut asks for more, and what follows does not matter. */
static void expect_header(const char *bytes, size_t len, gust_proxy_header *header)
{
    char more[2 * GUST_PROXY_HEADER_MAX];
    for (size_t n = 0; n < len; n++)
        CHECK_EQ(parse(bytes, n, header), 0);
    memcpy(more, bytes, len);
    memcpy(more + len, "\r\nx", 3);
    CHECK_EQ(parse(more, len + 3, header), (ssize_t)len);
    CHECK_EQ(parse(bytes, len, header), (ssize_t)len);
}

/* A bad one: no cut is taken for a header, and it is refused in the end. */
static void expect_error(const char *bytes, size_t len, ssize_t error)
{
    gust_proxy_header header;
    for (size_t n = 0; n < len; n++) {
        ssize_t result = parse(bytes, n, &header);
        CHECK(result == 0 || result == error);
    }
    CHECK_EQ(parse(bytes, len, &header), error);
}

static bool addr_is(const gust_addr *addr, const char *text)
{
    char buf[GUST_ADDR_TEXT_MAX];
    return strcmp(gust_addr_format(addr, buf), text) == 0;
}

/* --- Version 1 ------------------------------------------------------------------- */

static void expect_v1(const char *line, const char *source, const char *destination)
{
    gust_proxy_header header;
    expect_header(line, strlen(line), &header);
    CHECK_EQ(header.version, 1);
    CHECK(!header.local);
    CHECK_EQ(header.tlvs.len, 0);
    CHECK(addr_is(&header.source, source));
    CHECK(addr_is(&header.destination, destination));
}

Test(proxy_header, v1_names_two_addresses)
{
    expect_v1("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n", "192.0.2.1:56324",
              "198.51.100.7:443");
    expect_v1("PROXY TCP4 255.255.255.255 0.0.0.0 65535 0\r\n", "255.255.255.255:65535",
              "0.0.0.0:0");
    expect_v1("PROXY TCP6 2001:db8::1 ::1 1 80\r\n", "[2001:db8::1]:1", "[::1]:80");
    expect_v1("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
              "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
              "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
              "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
    expect_v1("PROXY UNKNOWN\r\n", "(none)", "(none)");
    expect_v1("PROXY UNKNOWN ffff::1 whatever 1 2\r\n", "(none)", "(none)");
}

Test(proxy_header, v1_is_strict)
{
    static const char *const bad[] = {
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 \r\n",
        "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 -1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1x 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\rx",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n\r\n",
        "PROXY UNKNOWN a\nb\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(bad[i], strlen(bad[i]), -EPROTO);
    expect_error("PROXY TCP4 192.0.2.1\0 192.0.2.2 1 2\r\n", 38, -EPROTO);
}

Test(proxy_header, v1_ends_within_107_bytes)
{
    char line[200] = "PROXY UNKNOWN ";
    gust_proxy_header header;
    memset(line + 14, 'x', sizeof line - 14);
    memcpy(line + 105, "\r\n", 2);
    expect_header(line, 107, &header);
    memset(line + 14, 'x', sizeof line - 14);
    memcpy(line + 106, "\r\n", 2);
    expect_error(line, 108, -EPROTO);
    CHECK_EQ(parse(line, 106, &header), 0);
    CHECK_EQ(parse(line, 107, &header), -EPROTO);
}

Test(proxy_header, other_bytes_are_no_header)
{
    static const char *const others[] = {"GET / HTTP/1.1\r\n", "\r\nGET /", "PROXZ", "P R", "x",
                                         "\r\n\r\nx",          "PROXY\r\n"};
    gust_proxy_header header;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        expect_error(others[i], strlen(others[i]), -ENOENT);
    CHECK_EQ(parse("", 0, &header), 0);
    CHECK_EQ(parse("\r\n\r\n\0\r\nQUIX", 11, &header), -ENOENT);
}

/* --- Version 2 ------------------------------------------------------------------- */

struct v2 {
    char bytes[2 * GUST_PROXY_HEADER_MAX];
    size_t len;
};

static void v2_add(struct v2 *h, const void *bytes, size_t len)
{
    memcpy(h->bytes + h->len, bytes, len);
    h->len += len;
    size_t rest = h->len - 16;
    h->bytes[14] = (char)(rest >> 8);
    h->bytes[15] = (char)rest;
}

static void v2_begin(struct v2 *h, int command, int family)
{
    memcpy(h->bytes, "\r\n\r\n\0\r\nQUIT\n", 12);
    h->bytes[12] = (char)command;
    h->bytes[13] = (char)family;
    h->len = 16;
    v2_add(h, "", 0);
}

#define V4_ADDRS "\xc0\x00\x02\x01\xc6\x33\x64\x07\xdc\x04\x01\xbb"

static void v2_v4(struct v2 *h)
{
    v2_begin(h, 0x21, 0x11);
    v2_add(h, V4_ADDRS, 12);
}

static void v2_tlv(struct v2 *h, int type, const char *value, size_t len)
{
    const char head[3] = {(char)type, (char)(len >> 8), (char)len};
    v2_add(h, head, 3);
    v2_add(h, value, len);
}

Test(proxy_header, v2_has_ipv4_and_ipv6)
{
    static const char v6[36] = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                               "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x01\x00\x50";
    gust_proxy_header header;
    struct v2 h;
    v2_v4(&h);
    expect_header(h.bytes, h.len, &header);
    CHECK_EQ(header.version, 2);
    CHECK(!header.local && !header.datagram);
    CHECK(addr_is(&header.source, "192.0.2.1:56324"));
    CHECK(addr_is(&header.destination, "198.51.100.7:443"));
    CHECK_EQ(header.tlvs.len, 0);
    v2_begin(&h, 0x21, 0x22);
    v2_add(&h, v6, 36);
    expect_header(h.bytes, h.len, &header);
    CHECK(header.datagram);
    CHECK(addr_is(&header.source, "[2001:db8::1]:1"));
    CHECK(addr_is(&header.destination, "[::1]:80"));
}

Test(proxy_header, v2_may_name_no_addresses)
{
    static const char unix_addrs[216];
    gust_proxy_header header;
    struct v2 h;
    v2_begin(&h, 0x21, 0x00);
    expect_header(h.bytes, h.len, &header);
    CHECK_EQ(header.source.len, 0);
    v2_begin(&h, 0x21, 0x31);
    v2_add(&h, unix_addrs, sizeof unix_addrs);
    v2_tlv(&h, GUST_PROXY_TLV_NOOP, "", 0);
    expect_header(h.bytes, h.len, &header);
    CHECK_EQ(header.source.len, 0);
    CHECK_EQ(header.tlvs.len, 3);
    /* What a LOCAL one has is skipped, whatever it is. */
    v2_begin(&h, 0x20, 0x00);
    expect_header(h.bytes, h.len, &header);
    CHECK(header.local);
    v2_add(&h, "anything", 8);
    expect_header(h.bytes, h.len, &header);
    CHECK_EQ(header.tlvs.len, 0);
    v2_begin(&h, 0x20, 0x11);
    v2_add(&h, V4_ADDRS, 12);
    expect_header(h.bytes, h.len, &header);
    CHECK_EQ(header.source.len, 0);
    v2_begin(&h, 0x20, 0xff);
    expect_header(h.bytes, h.len, &header);
}

Test(proxy_header, v2_refuses_what_is_undefined)
{
    static const struct {
        int command, family;
        size_t addrs;
    } bad[] = {
        {0x11, 0x11, 12},  {0x31, 0x11, 12}, {0x22, 0x11, 12}, {0x2f, 0x11, 12}, {0x21, 0x13, 12},
        {0x21, 0x41, 36},  {0x21, 0xf1, 36}, {0x21, 0x11, 11}, {0x21, 0x11, 0},  {0x21, 0x21, 35},
        {0x21, 0x31, 215}, {0x21, 0x11, 13}, {0x21, 0x11, 14}, {0x21, 0x21, 38},
    };
    static const char zeroes[256];
    struct v2 h;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v2_begin(&h, bad[i].command, bad[i].family);
        v2_add(&h, zeroes, bad[i].addrs);
        expect_error(h.bytes, h.len, -EPROTO);
    }
}

Test(proxy_header, v2_has_a_greatest_length)
{
    static const char zeroes[GUST_PROXY_HEADER_MAX];
    gust_proxy_header header;
    struct v2 h;
    v2_v4(&h);
    v2_tlv(&h, 0xe0, zeroes, GUST_PROXY_HEADER_MAX - 16 - 12 - 3);
    CHECK_EQ(h.len, GUST_PROXY_HEADER_MAX);
    expect_header(h.bytes, h.len, &header);
    v2_add(&h, "", 1);
    CHECK_EQ(parse(h.bytes, 15, &header), 0);
    CHECK_EQ(parse(h.bytes, 16, &header), -EPROTO);
    memcpy(h.bytes + 14, "\xff\xff", 2);
    CHECK_EQ(parse(h.bytes, 16, &header), -EPROTO);
}

Test(proxy_header, tlvs_are_handed_out_one_by_one)
{
    gust_proxy_header header;
    gust_proxy_tlv tlv;
    struct v2 h;
    v2_v4(&h);
    v2_tlv(&h, GUST_PROXY_TLV_ALPN, "h2", 2);
    v2_tlv(&h, GUST_PROXY_TLV_NOOP, "", 0);
    v2_tlv(&h, GUST_PROXY_TLV_AUTHORITY, "example.org", 11);
    expect_header(h.bytes, h.len, &header);
    gust_span tlvs = header.tlvs;
    CHECK(gust_proxy_tlv_next(&tlvs, &tlv));
    CHECK_EQ(tlv.type, GUST_PROXY_TLV_ALPN);
    CHECK(tlv.value.len == 2 && memcmp(tlv.value.data, "h2", 2) == 0);
    CHECK(gust_proxy_tlv_next(&tlvs, &tlv));
    CHECK_EQ(tlv.type, GUST_PROXY_TLV_NOOP);
    CHECK_EQ(tlv.value.len, 0);
    CHECK(gust_proxy_tlv_next(&tlvs, &tlv));
    CHECK_EQ(tlv.type, GUST_PROXY_TLV_AUTHORITY);
    CHECK(tlv.value.len == 11 && memcmp(tlv.value.data, "example.org", 11) == 0);
    CHECK(!gust_proxy_tlv_next(&tlvs, &tlv));
    /* One that is longer than what there is. */
    for (size_t cut = 1; cut <= 13; cut++) {
        struct v2 bad = h;
        bad.len -= cut;
        v2_add(&bad, "", 0);
        expect_error(bad.bytes, bad.len, -EPROTO);
    }
}

/* --- The checksum ------------------------------------------------------------------ */

static uint32_t crc_of(const char *data, size_t len)
{
    return gust__crc32c_end(gust__crc32c_add(gust__crc32c_begin(), data, len));
}

Test(proxy_header, crc32c_is_castagnolis)
{
    static const char zeroes[32]; /* RFC 3720, B.4 */
    cr_assert_eq(crc_of("123456789", 9), 0xe3069283);
    cr_assert_eq(crc_of(zeroes, 32), 0x8a9136aa);
    cr_assert_eq(crc_of("", 0), 0);
}

Test(proxy_header, a_checksum_is_verified)
{
    gust_proxy_header header;
    struct v2 h;
    for (int local = 0; local < 2; local++) {
        v2_v4(&h);
        h.bytes[12] = local ? 0x20 : 0x21;
        v2_tlv(&h, GUST_PROXY_TLV_ALPN, "h2", 2);
        v2_tlv(&h, GUST_PROXY_TLV_CRC32C, "\0\0\0\0", 4);
        size_t at = h.len - 4;
        v2_tlv(&h, GUST_PROXY_TLV_AUTHORITY, "a", 1);
        uint32_t crc = htonl(crc_of(h.bytes, h.len));
        memcpy(h.bytes + at, &crc, 4);
        expect_header(h.bytes, h.len, &header);
        for (size_t i = 16; i < h.len; i++) {
            struct v2 bad = h;
            bad.bytes[i] ^= 1;
            /* A LOCAL header whose fields are not whole has none to check. */
            ssize_t n = parse(bad.bytes, bad.len, &header);
            CHECK(n == -EPROTO || (local && n == (ssize_t)bad.len && header.tlvs.len == 0) ||
                  (n > 0 && i == at - 3)); /* that made it another field */
        }
    }
    v2_v4(&h);
    v2_tlv(&h, GUST_PROXY_TLV_CRC32C, "\0\0\0", 3);
    expect_error(h.bytes, h.len, -EPROTO);
}

/* --- Writing ----------------------------------------------------------------------- */

static void expect_same(const gust_proxy_header *header, bool checksum)
{
    char buf[GUST_PROXY_HEADER_MAX];
    gust_proxy_header back;
    ssize_t n = gust_proxy_header_format(header, checksum, buf, sizeof buf);
    CHECK(n > 0);
    for (ssize_t size = 0; size < n; size++)
        CHECK_EQ(gust_proxy_header_format(header, checksum, buf, (size_t)size), -ENOBUFS);
    CHECK_EQ(gust_proxy_header_format(header, checksum, buf, (size_t)n), n);
    expect_header(buf, (size_t)n, &back);
    CHECK_EQ(back.version, header->version);
    CHECK_EQ(back.local, header->local);
    CHECK_EQ(back.datagram, header->datagram);
    CHECK_EQ(back.source.len, header->source.len);
    CHECK(memcmp(&back.source.any, &header->source.any, header->source.len) == 0);
    CHECK(memcmp(&back.destination.any, &header->destination.any, header->destination.len) == 0);
    CHECK_EQ(back.tlvs.len, header->tlvs.len + (checksum ? 7 : 0));
    CHECK(memcmp(back.tlvs.data, header->tlvs.data, header->tlvs.len) == 0);
}

static gust_proxy_header header_of(int version, const char *source, const char *destination)
{
    gust_proxy_header header = {.version = version, .tlvs.data = ""};
    if (source)
        header.source = addr_of(source);
    if (destination)
        header.destination = addr_of(destination);
    return header;
}

Test(proxy_header, what_is_written_is_read_back)
{
    for (int version = 1; version <= 2; version++) {
        for (int checksum = 0; checksum < version; checksum++) {
            gust_proxy_header h = header_of(version, "192.0.2.1:1", "192.0.2.2:65535");
            expect_same(&h, checksum);
            h = header_of(version, "[2001:db8::1]:443", "[::]:0");
            expect_same(&h, checksum);
            h = header_of(version, NULL, NULL);
            expect_same(&h, checksum);
        }
    }
    gust_proxy_header h = header_of(2, "192.0.2.1:1", "192.0.2.2:65535");
    h.datagram = true;
    h.tlvs = (gust_span){.data = "\x01\x00\x02h2\x04\x00\x00", .len = 8};
    expect_same(&h, true);
    h = header_of(2, NULL, NULL);
    h.local = true;
    expect_same(&h, false);
}

Test(proxy_header, what_does_not_exist_is_not_written)
{
    char buf[2 * GUST_PROXY_HEADER_MAX];
    static char tlvs[GUST_PROXY_HEADER_MAX];
    gust_proxy_header h = header_of(1, "192.0.2.1:1", "[::1]:1");
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    h = header_of(2, "192.0.2.1:1", NULL);
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    h = header_of(3, "192.0.2.1:1", "192.0.2.1:1");
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    h = header_of(1, "192.0.2.1:1", "192.0.2.1:1");
    CHECK_EQ(gust_proxy_header_format(&h, true, buf, sizeof buf), -EINVAL);
    h.tlvs = (gust_span){.data = "\x04\x00\x00", .len = 3};
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    h.tlvs.len = 0;
    h.local = true;
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    h = header_of(2, "192.0.2.1:1", "192.0.2.1:1");
    h.tlvs = (gust_span){.data = "\x04\x00\x01", .len = 3};
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), -EINVAL);
    tlvs[0] = (char)0xe0;
    h.tlvs = (gust_span){.data = tlvs, .len = GUST_PROXY_HEADER_MAX - 28};
    tlvs[1] = (char)((h.tlvs.len - 3) >> 8);
    tlvs[2] = (char)(h.tlvs.len - 3);
    CHECK_EQ(gust_proxy_header_format(&h, false, buf, sizeof buf), GUST_PROXY_HEADER_MAX);
    CHECK_EQ(gust_proxy_header_format(&h, true, buf, sizeof buf), -ENOBUFS);
}
