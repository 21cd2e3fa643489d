/* Paths as names of files. */
#include "http/files.h"
#include "tests/http/guard.h"

#include <errno.h>

static const struct {
    const char *path;
    const char *name;   /* NULL: none */
    const char *hidden; /* the same where hidden names are served */
} cases[] = {
    {"", "", ""},
    {"a", "a", "a"},
    {"a/b.txt", "a/b.txt", "a/b.txt"},
    {"a/", "a/", "a/"},
    {"a%20b", "a b", "a b"},
    {"%41", "A", "A"},
    {"%ff\\", "\xff\\", "\xff\\"},
    {"...", NULL, "..."},
    {"a.", "a.", "a."},
    {"a..b", "a..b", "a..b"},

    {".a", NULL, ".a"},
    {"a/.b", NULL, "a/.b"},
    {".a/b", NULL, ".a/b"},
    {"%2ea", NULL, ".a"},

    {".", NULL, NULL},
    {"..", NULL, NULL},
    {"../a", NULL, NULL},
    {"a/..", NULL, NULL},
    {"a/../b", NULL, NULL},
    {"./a", NULL, NULL},
    {"%2e%2e/a", NULL, NULL},
    {"%2E.", NULL, NULL},
    {"a%2fb", NULL, NULL},
    {"..%2fb", NULL, NULL},
    {"a%2F", NULL, NULL},
    {"a%00", NULL, NULL},
    {"%00", NULL, NULL},
};

static void check(struct guard *g, const char *path, bool hidden, const char *name)
{
    size_t len = strlen(path);
    char got[64];
    ssize_t n = gust__files_name((gust_span){guard_put(g, path, len), len}, hidden, got);

    if (!name)
        cr_assert_eq(n, -ENOENT, "%s", path);
    else
        cr_assert(n == (ssize_t)strlen(name) && strcmp(got, name) == 0, "%s", path);
}

Test(files_path, no_name_leads_upwards_or_hides_a_slash)
{
    struct guard g = guard_new(64);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check(&g, cases[i].path, false, cases[i].name);
        check(&g, cases[i].path, true, cases[i].hidden);
    }
    guard_free(&g);
}
