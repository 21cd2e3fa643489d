/* Every fuzz target once over its seeds and over what has failed before. */
#include "tests/fuzz/targets.h"
#include "tests/harness/test.h"

#include <dirent.h>
#include <limits.h>

/* Up to its last byte there is nothing behind it: ASan sees who looks further. */
static void run_file(fuzz_target *target, const char *path)
{
    FILE *f = fopen(path, "rb");
    char buf[65536];

    cr_assert(f != NULL, "%s", path);
    size_t n = fread(buf, 1, sizeof(buf), f);
    cr_assert(n < sizeof(buf) && !ferror(f), "%s", path);
    fclose(f);
    char *exact = malloc(n ? n : 1);
    cr_assert(exact != NULL);
    memcpy(exact, buf, n);
    target((gust_span){exact, n});
    free(exact);
}

/* Returns how many there are. */
static unsigned run_folder(fuzz_target *target, const char *folder, const char *name)
{
    char path[PATH_MAX];
    const struct dirent *entry;
    unsigned count = 0;

    snprintf(path, sizeof(path), "%s/%s/%s", GUST_FUZZ_DIR, folder, name);
    DIR *dir = opendir(path);
    if (!dir)
        return 0;
    size_t len = strlen(path);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path + len, sizeof(path) - len, "/%s", entry->d_name);
        run_file(target, path);
        count++;
    }
    closedir(dir);
    return count;
}

static void run(fuzz_target *target, const char *name)
{
    cr_assert_gt(run_folder(target, "corpus", name), 0, "%s has no seeds", name);
    run_folder(target, "regressions", name);
}

#define CORPUS_TEST(name)        \
    Test(fuzz, name##_corpus)    \
    {                            \
        run(fuzz_##name, #name); \
    }

CORPUS_TEST(accept_encoding)
CORPUS_TEST(auth)
CORPUS_TEST(chunked)
CORPUS_TEST(conditions)
CORPUS_TEST(cookie)
CORPUS_TEST(head)
CORPUS_TEST(multipart)
CORPUS_TEST(range)
CORPUS_TEST(response_head)
CORPUS_TEST(url)
