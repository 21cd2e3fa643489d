/* Which addresses a prefix has, and which prefixes are none. */
#include "tests/net/net_test.h"
#include <gust/proxy.h>

static gust_proxy_prefix prefix_of(const char *text, int bits)
{
    return (gust_proxy_prefix){.addr = addr_of(text), .bits = bits};
}

static bool has(const char *prefix, int bits, const char *text)
{
    const gust_proxy_prefix p = prefix_of(prefix, bits);
    const gust_addr addr = addr_of(text);
    return gust_proxy_prefix_has(&p, &addr);
}

static bool valid(const char *text, int bits)
{
    const gust_proxy_prefix p = prefix_of(text, bits);
    return gust_proxy_prefix_valid(&p);
}

Test(proxy_prefix, compares_the_first_bits_and_no_more)
{
    cr_assert(has("10.1.2.3:0", 32, "10.1.2.3:80"));
    cr_assert_not(has("10.1.2.3:0", 32, "10.1.2.2:80"));
    cr_assert(has("10.1.2.3:0", 31, "10.1.2.2:80"));
    cr_assert(has("10.128.0.0:0", 9, "10.255.0.1:0"));
    cr_assert_not(has("10.128.0.0:0", 9, "10.127.0.1:0"));
    cr_assert(has("10.128.0.0:0", 8, "10.127.0.1:0"));
    cr_assert_not(has("10.0.0.0:0", 8, "11.0.0.0:0"));
    cr_assert(has("10.0.0.0:0", 0, "255.1.2.3:0"));
    cr_assert(has("[2001:db8::1]:0", 128, "[2001:db8::1]:443"));
    cr_assert_not(has("[2001:db8::1]:0", 128, "[2001:db8::]:443"));
    cr_assert(has("[2001:db8::1]:0", 127, "[2001:db8::]:443"));
    cr_assert(has("[fe80::]:0", 10, "[febf::1]:1"));
    cr_assert_not(has("[fe80::]:0", 10, "[fec0::1]:1"));
}

Test(proxy_prefix, families_are_apart_but_for_mapped_addresses)
{
    const gust_addr none = {.len = 0};
    const gust_proxy_prefix all = prefix_of("1.2.3.4:0", 0), by_unix = prefix_of("unix:/a", 0);

    cr_assert(has("1.2.3.0:0", 24, "[::ffff:1.2.3.4]:0"));
    cr_assert(has("[::ffff:1.2.3.0]:0", 24, "1.2.3.4:0"));
    cr_assert_not(has("1.2.3.4:0", 0, "[::1]:0"));
    cr_assert_not(has("[::]:0", 0, "1.2.3.4:0"));
    cr_assert_not(has("[::]:0", 0, "[::ffff:1.2.3.4]:0"));
    cr_assert(has("unix:/a", 0, "unix:/b"));
    cr_assert_not(has("unix:/a", 0, "1.2.3.4:0"));
    cr_assert_not(has("1.2.3.4:0", 0, "unix:/a"));
    cr_assert_not(gust_proxy_prefix_has(&all, &none));
    cr_assert_not(gust_proxy_prefix_has(&by_unix, &none));
}

Test(proxy_prefix, has_no_more_bits_than_its_address)
{
    const gust_proxy_prefix none = {.addr = {.len = 0}};

    cr_assert(valid("1.2.3.4:0", 0) && valid("1.2.3.4:0", 32));
    cr_assert_not(valid("1.2.3.4:0", -1) || valid("1.2.3.4:0", 33));
    cr_assert(valid("[::1]:0", 0) && valid("[::1]:0", 128));
    cr_assert_not(valid("[::1]:0", -1) || valid("[::1]:0", 129));
    cr_assert_not(valid("[::ffff:1.2.3.4]:0", 33));
    cr_assert(valid("unix:/a", 0));
    cr_assert_not(gust_proxy_prefix_valid(&none));
}
