/* Files of options, and what is said about those that are wrong. */
#include "tests/harness/test.h"

#include <gust/http_proxy_yaml.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int load(const char *text, char *error, gust_http_proxy_yaml **ret_file)
{
    char path[] = "/tmp/gust-yaml-XXXXXX";
    int fd = mkstemp(path);

    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int r = gust_http_proxy_yaml_load(path, error, ret_file);
    unlink(path);
    return r;
}

/* `expected` follows the name of the file. */
static void expect_error(const char *text, const char *expected)
{
    char error[GUST_HTTP_PROXY_YAML_ERROR_MAX];
    gust_http_proxy_yaml *file;

    cr_assert_eq(load(text, error, &file), -EINVAL, "%s", text);
    char *at = strchr(error, ':');
    cr_assert(at && strncmp(at, expected, strlen(expected)) == 0, "%s: got \"%s\"", text, error);
}

Test(proxy_yaml, says_everything_that_options_can)
{
    char error[GUST_HTTP_PROXY_YAML_ERROR_MAX];
    gust_http_proxy_yaml *file;

    cr_assert_eq(load("listen: 127.0.0.1:80\nbalance: consistent_hash\nhash_key: header\n"
                      "hash_header: X-User\nidle_timeout: 1.25\ntotal_timeout: never\nretries: 0\n"
                      "keep_alive_max: 0\nretry_unavailable: true\nbody_bytes_max: 5000000000\n"
                      "forwarding: append\nvia: ''\nproxy_protocol: 2\nupstreams:\n"
                      "  - url: http://a\n  - {url: http://b, weight: 3, drain: true}\n",
                      error, &file),
                 0, "%s", error);
    cr_assert_str_eq(file->listen, "127.0.0.1:80");
    cr_assert_eq(file->proxy.balance, GUST_HTTP_CONSISTENT_HASH);
    cr_assert_eq(file->proxy.hash_key, GUST_HTTP_HASH_HEADER);
    cr_assert_str_eq(file->proxy.hash_header, "X-User");
    cr_assert_eq(file->proxy.idle_timeout_ns, 1250 * GUST_MS);
    cr_assert_eq(file->proxy.total_timeout_ns, GUST_FOREVER);
    cr_assert_eq(file->proxy.retries, GUST_HTTP_PROXY_NONE);
    cr_assert(file->proxy.retry_unavailable);
    cr_assert_eq(file->proxy.body_bytes_max, UINT64_C(5000000000));
    cr_assert_eq(file->proxy.forwarding, GUST_HTTP_FORWARDING_APPEND);
    cr_assert_str_eq(file->proxy.via, "");
    cr_assert_eq(file->proxy.proxy_protocol, 2);
    cr_assert_eq(file->proxy.upstream_count, 2);
    cr_assert_str_eq(file->proxy.upstreams[0].url, "http://a");
    cr_assert_eq(file->proxy.upstreams[1].weight, 3);
    cr_assert(file->proxy.upstreams[1].drain);
    gust_http_proxy_yaml_free(file);
    gust_http_proxy_yaml_free(NULL);
}

Test(proxy_yaml, an_error_has_its_line)
{
    expect_error("", ":1: expected \"upstreams:\"");
    expect_error("- a\n", ":1: expected keys with values");
    expect_error("listen: x\n", ":1: expected \"upstreams:\" with a list");
    expect_error("\nlisten: x\nlisten: y\n", ":3: \"listen\" is there twice");
    expect_error("listen: x\nport: 80\n", ":2: unknown key \"port\"");
    expect_error("listen: [a]\n", ":1: listen: expected a single value");
    expect_error("a: b\n c: d\n", ":");
    expect_error("balance: best\n", ":1: balance: expected one of round_robin, least_connections, "
                                    "two_choices, consistent_hash, found \"best\"");
    expect_error("idle_timeout: 1s\n", ":1: idle_timeout: expected a number of seconds above 0");
    expect_error("idle_timeout: 0\n", ":1: idle_timeout: expected a number of seconds above 0");
    expect_error("idle_timeout: 1.\n", ":1: idle_timeout: ");
    expect_error("idle_timeout: -1\n", ":1: idle_timeout: ");
    expect_error("retries: -1\n", ":1: retries: expected a whole number, found \"-1\"");
    expect_error("retries: 1000000001\n", ":1: retries: expected a whole number");
    expect_error("forwarded: yes\n", ":1: forwarded: expected true or false, found \"yes\"");
    expect_error("upstreams: x\n", ":1: upstreams: expected a list");
    expect_error("upstreams: []\n", ":1: upstreams: expected 1 to 256, found 0");
    expect_error("upstreams:\n - weight: 1\n", ":2: expected a url in each upstream");
    expect_error("upstreams:\n - url: x\n   size: 1\n", ":3: unknown key \"size\"");
}

Test(proxy_yaml, a_file_that_is_not_there_is_said)
{
    char error[GUST_HTTP_PROXY_YAML_ERROR_MAX];
    gust_http_proxy_yaml *file;

    cr_assert_eq(gust_http_proxy_yaml_load("/nowhere/x.yaml", error, &file), -ENOENT);
    cr_assert_str_eq(error, "/nowhere/x.yaml: No such file or directory");
}
