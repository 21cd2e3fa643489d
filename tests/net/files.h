/* What the tests of files share: a directory to work in, and each test twice, with
 * requests through the ring (where there is one) and by system calls. */
#ifndef GUST_TESTS_NET_FILES_H
#define GUST_TESTS_NET_FILES_H

#include <ftw.h>
#include <gust/file.h>
#include <limits.h>

#include "net/file.h"
#include "tests/core/contexts.h"
#include "tests/net/net_test.h"

#define ALL_WHATS ((1U << GUST__FILE_WHATS) - 1)

static char test_dir[64];

/* A path in the test's directory; valid until the next but three. */
static inline const char *in_dir(const char *name)
{
    static char paths[4][PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, PATH_MAX, "%s/%s", test_dir, name);
    return path;
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void dir_make(void)
{
    strcpy(test_dir, "/tmp/gust_file_XXXXXX");
    CHECK(mkdtemp(test_dir) != NULL);
}

static inline void dir_remove(void)
{
    CHECK_EQ(nftw(test_dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void twice(void (*body)(void))
{
    size_t fds = fd_count();
    for (int i = 0; i < 2; i++) {
        dir_make();
        gust__file_refuse(i == 0 ? 0 : ALL_WHATS);
        body();
        if (i == 0) /* whatever a test asked for, the ring has understood */
            CHECK_EQ(gust__file_refused(), 0);
        dir_remove();
        AWAIT_SOON(fd_count() == fds);
    }
}

#define FileTest(suite, name)         \
    static void name##_body(void);    \
    static int name##_main(void *arg) \
    {                                 \
        (void)arg;                    \
        twice(name##_body);           \
        return 0;                     \
    }                                 \
    Test(suite, name)                 \
    {                                 \
        test_run(name##_main, NULL);  \
    }                                 \
    static void name##_body(void)

static inline gust_file *open_file(const char *name, int flags)
{
    gust_file *f = NULL;
    CHECK_EQ(gust_file_open(in_dir(name), flags, 0600, SOON, &f), 0);
    return f;
}

static inline void make_file(const char *name, const char *text)
{
    gust_file *f = open_file(name, O_WRONLY | O_CREAT | O_TRUNC);
    CHECK_EQ(gust_file_write(f, text, strlen(text), SOON), (ssize_t)strlen(text));
    CHECK_EQ(gust_file_close(f), 0);
}

static inline void check_content(const char *name, const char *text)
{
    char *data = NULL;
    size_t len = 0;
    CHECK_EQ(gust_file_read_all(in_dir(name), 1 << 20, SOON, &data, &len), 0);
    CHECK_EQ(len, strlen(text));
    CHECK(strcmp(data, text) == 0);
    free(data);
}

#endif
