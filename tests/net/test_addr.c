/* Addresses as text: what is accepted, and that all else is refused. */
#include <arpa/inet.h>
#include <errno.h>
#include <gust/net.h>

#include "tests/harness/test.h"

static const char *const round_trips[] = {
    "127.0.0.1:80",
    "0.0.0.0:0",
    "255.255.255.255:65535",
    "[::]:0",
    "[::1]:8080",
    "[2001:db8::5]:1",
    "[::ffff:192.0.2.1]:443",
    "[fe80::1%lo]:22",
    "[ff02::1:ff00:0]:5353",
    "unix:/run/server.sock",
    "unix:relative",
    "unix:/with:colon:80",
    "unix:@abstract name",
    "unix:@",
};

Test(addr, text_survives_parse_and_format)
{
    for (size_t i = 0; i < sizeof round_trips / sizeof *round_trips; i++) {
        char text[GUST_ADDR_TEXT_MAX];
        gust_addr addr;
        cr_assert_eq(gust_addr_parse(round_trips[i], &addr), 0, "%s", round_trips[i]);
        cr_assert_eq(strcmp(gust_addr_format(&addr, text), round_trips[i]), 0, "%s became %s",
                     round_trips[i], text);
    }
}

Test(addr, colon_and_port_is_the_ipv6_wildcard)
{
    gust_addr addr;
    cr_assert_eq(gust_addr_parse(":80", &addr), 0);
    cr_assert_eq(addr.v6.sin6_family, AF_INET6);
    cr_assert(IN6_IS_ADDR_UNSPECIFIED(&addr.v6.sin6_addr));
    cr_assert_eq(gust_addr_port(&addr), 80);
    cr_assert_eq(addr.len, sizeof addr.v6);
}

Test(addr, numeric_zone_is_accepted)
{
    gust_addr addr;
    cr_assert_eq(gust_addr_parse("[fe80::1%1]:22", &addr), 0);
    cr_assert_eq(addr.v6.sin6_scope_id, 1);
}

static const char *const refused[] = {
    "",
    ":",
    "80",
    "127.0.0.1",
    "127.0.0.1:",
    "127.0.0.1:65536",
    "127.0.0.1:99999",
    "127.0.0.1:000080",
    "127.0.0.1:-1",
    "127.0.0.1:+1",
    "127.0.0.1: 80",
    "127.0.0.1:80 ",
    " 127.0.0.1:80",
    "127.0.0.1:8a",
    "127.0.0.1:0x50",
    "127.0.0.1:http",
    "127.0.0:80",
    "127.0.0.1.1:80",
    "127.0.0.256:80",
    "127.1:80",
    "0x7f000001:80",
    "localhost:80",
    "*:80",
    "::1:80",
    "::1",
    "[::1]",
    "[::1]80",
    "[::1]:",
    "[::1:80",
    "::1]:80",
    "[]:80",
    "[:80",
    "[127.0.0.1]:80",
    "[::1]x:80",
    "[[::1]]:80",
    "[::1%]:80",
    "[::1%0]:80",
    "[::1%4294967296]:80",
    "[::1%no_such_interface_0]:80",
    "[1:2:3:4:5:6:7:8:9]:80",
    "[::g]:80",
    "[0000000000000000000000000000000000000000000000000001::]:80",
    "1111111111111111111111111111.0.0.1:80",
    "unix:",
    "unix",
    "Unix:/run/server.sock",
};

Test(addr, garbage_is_refused_and_the_result_untouched)
{
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        gust_addr addr, before;
        memset(&addr, 0x5a, sizeof addr);
        before = addr;
        cr_assert_eq(gust_addr_parse(refused[i], &addr), -EINVAL, "'%s'", refused[i]);
        cr_assert_eq(memcmp(&addr, &before, sizeof addr), 0, "'%s'", refused[i]);
    }
}

Test(addr, host_alone)
{
    static const char *const cases[][2] = {
        {"127.0.0.1:80", "127.0.0.1"},
        {"0.9.10.99:1", "0.9.10.99"},
        {"100.199.200.255:65535", "100.199.200.255"},
        {"[::ffff:192.0.2.10]:80", "192.0.2.10"},
        {"[2001:db8::1]:80", "2001:db8::1"},
        {"[fe80::1%1]:80", "fe80::1"},
        {"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
        {"unix:/run/socket", "unix:"},
    };
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert_eq(gust_addr_parse(cases[i][0], &addr), 0);
        cr_assert_str_eq(gust_addr_format_host(&addr, text), cases[i][1]);
    }
    addr.len = 0;
    cr_assert_str_eq(gust_addr_format_host(&addr, text), "-");
}

Test(addr, longest_text_fits)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr = {.len = sizeof addr.v6};
    addr.v6.sin6_family = AF_INET6;
    memset(&addr.v6.sin6_addr, 0xff, sizeof addr.v6.sin6_addr);
    addr.v6.sin6_scope_id = UINT32_MAX; /* no such interface: the number is shown */
    addr.v6.sin6_port = htons(65535);
    cr_assert_eq(strcmp(gust_addr_format(&addr, text),
                        "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535"),
                 0, "%s", text);
}

/* The longest name and one byte more, of a path and of an abstract name. */
Test(addr, unix_names_are_bounded)
{
    for (int abstract = 0; abstract < 2; abstract++) {
        char name[128], text[GUST_ADDR_TEXT_MAX];
        gust_addr addr;
        strcpy(name, "unix:");
        memset(name + 5, 'x', 108);
        name[5] = abstract ? '@' : '/';
        name[5 + 108] = '\0';
        cr_assert_eq(gust_addr_parse(name, &addr), -EINVAL);
        name[5 + 107] = '\0';
        cr_assert_eq(gust_addr_parse(name, &addr), 0);
        cr_assert_eq(addr.un.sun_family, AF_UNIX);
        cr_assert_eq(addr.len, offsetof(struct sockaddr_un, sun_path) + 107 + !abstract);
        cr_assert_eq(addr.un.sun_path[0], abstract ? '\0' : '/');
        cr_assert_eq(strcmp(gust_addr_format(&addr, text), name), 0);
        cr_assert_eq(gust_addr_port(&addr), 0);
    }
}

/* What the kernel may hand out: a path that fills its place, NULs within a name, none. */
Test(addr, every_unix_name_has_a_text)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr = {.len = sizeof addr.un};
    addr.un.sun_family = AF_UNIX;
    memset(addr.un.sun_path, 'x', sizeof addr.un.sun_path);
    cr_assert_eq(strlen(gust_addr_format(&addr, text)), 5 + sizeof addr.un.sun_path);
    memset(addr.un.sun_path, 0, sizeof addr.un.sun_path);
    cr_assert_eq(strlen(gust_addr_format(&addr, text)), 5 + sizeof addr.un.sun_path);
    memcpy(addr.un.sun_path, "\0a\0b\n", 5);
    addr.len = offsetof(struct sockaddr_un, sun_path) + 5;
    cr_assert_eq(strcmp(gust_addr_format(&addr, text), "unix:@a@b?"), 0, "%s", text);
    addr.len = sizeof(sa_family_t);
    cr_assert_eq(strcmp(gust_addr_format(&addr, text), "unix:@"), 0, "%s", text);
}

Test(addr, no_address_has_a_text_too)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr = {.len = 0};
    cr_assert_eq(strcmp(gust_addr_format(&addr, text), "(none)"), 0);
}
