/* Paths: what is clean, and what cleaning, decoding and escaping make of them. */
#include "http/path.h"
#include "tests/http/guard.h"

#include <stdlib.h>

static const struct {
    const char *path;
    const char *clean; /* NULL: malformed; the same: it is clean */
} paths[] = {
    {"/", "/"},
    {"/a", "/a"},
    {"/a/", "/a/"},
    {"/a/b.c/..d/e../...", "/a/b.c/..d/e../..."},
    {"/.a/%2ea/a%2e", "/.a/%2ea/a%2e"},
    {"//", "/"},
    {"///", "/"},
    {"//a", "/a"},
    {"/a//b", "/a/b"},
    {"/a/b//", "/a/b/"},
    {"/.", "/"},
    {"/./", "/"},
    {"/a/.", "/a"},
    {"/a/./b", "/a/b"},
    {"/a/./", "/a/"},
    {"/..", "/"},
    {"/../../a", "/a"},
    {"/a/..", "/"},
    {"/a/../", "/"},
    {"/a/b/..", "/a"},
    {"/a/b/../", "/a/"},
    {"/a/b/../../../c", "/c"},
    {"/a/%2e/b", "/a/b"},
    {"/a/%2E%2e/b", "/b"},
    {"/a/.%2e", "/"},
    {"/a/%2e.", "/"},
    {"/a/%2e%2e%2e", "/a/%2e%2e%2e"},
    {"/a%2Fb/%2f", "/a%2Fb/%2f"},
    {"/a%2F..", "/a%2F.."},
    {"/a%2F../..", "/"},
    {"/\\evil/.", "/\\evil"},
    {"/%", NULL},
    {"/%2", NULL},
    {"/%2/", NULL},
    {"/a/%zz", NULL},
    {"/%2g", NULL},
    {"//a/%", NULL},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum path_form expected_form(const char *path, const char *clean)
{
    if (!clean)
        return PATH_MALFORMED;
    return strcmp(path, clean) == 0 ? PATH_CLEAN : PATH_UNCLEAN;
}

Test(path, is_cleaned_as_go_cleans_it_with_encoded_dots_being_dots)
{
    struct guard in = guard_new(64), out = guard_new(64);

    for (size_t i = 0; i < COUNT(paths); i++) {
        size_t len = strlen(paths[i].path);
        gust_span path = {guard_put(&in, paths[i].path, len), len};
        cr_assert_eq(gust__http_path_form(path), expected_form(paths[i].path, paths[i].clean), "%s",
                     paths[i].path);
        if (!paths[i].clean)
            continue;
        char *clean = out.base + out.room - len;
        size_t n = gust__http_path_clean(path, clean);
        cr_assert_eq(n, strlen(paths[i].clean), "%s", paths[i].path);
        cr_assert_eq(memcmp(clean, paths[i].clean, n), 0, "%s", paths[i].path);
        cr_assert_eq(gust__http_path_form((gust_span){clean, n}), PATH_CLEAN);
    }
    guard_free(&in);
    guard_free(&out);
}

Test(path, is_decoded_byte_by_byte)
{
    static const char coded[] = "a%2Fb%00%e2%82%ACc+d";
    static const char plain[] = "a/b\0\xe2\x82\xac"
                                "c+d";
    char bytes[sizeof(coded)];
    size_t n = gust__http_percent_decode((gust_span){coded, sizeof(coded) - 1}, bytes);

    cr_assert_eq(n, sizeof(plain) - 1);
    cr_assert_eq(memcmp(bytes, plain, n), 0);
}

/* Whatever is in the path, a browser stays on the host. */
Test(path, is_escaped_for_a_location)
{
    static const char raw[] = "/\\evil.com/a%2Fb/\"<>^`{|}/-._~!$&'()*+,;=:@\x80";
    static const char escaped[] =
        "/%5Cevil.com/a%2Fb/%22%3C%3E%5E%60%7B%7C%7D/-._~!$&'()*+,;=:@%80";
    char text[3 * sizeof(raw)];
    size_t n = gust__http_path_escape((gust_span){raw, sizeof(raw) - 1}, text);

    cr_assert_eq(n, sizeof(escaped) - 1);
    cr_assert_eq(memcmp(text, escaped, n), 0);
}
