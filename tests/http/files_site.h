/* Static files in a directory of the test's own, served on a port of its own. */
#ifndef GUST_TESTS_HTTP_FILES_SITE_H
#define GUST_TESTS_HTTP_FILES_SITE_H

#include "tests/http/site.h"

#include <gust/http_files.h>
#include <gust/http_router.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* --- The directory ----------------------------------------------------------- */

static char tree[64];

static inline void tree_make(void)
{
    snprintf(tree, sizeof(tree), "/var/tmp/gust-files-XXXXXX");
    CHECK(mkdtemp(tree) != NULL);
}

static int tree_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void tree_remove(void)
{
    CHECK_EQ(nftw(tree, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

struct tree_path {
    char text[512];
};

static inline struct tree_path in_tree(const char *name)
{
    struct tree_path p;

    snprintf(p.text, sizeof(p.text), "%s/%s", tree, name);
    return p;
}

static inline void tree_write_bytes(const char *name, const void *bytes, size_t n)
{
    FILE *f = fopen(in_tree(name).text, "we");

    CHECK(f != NULL);
    CHECK_EQ(fwrite(bytes, 1, n, f), n);
    CHECK_EQ(fclose(f), 0);
}

static inline void tree_write(const char *name, const char *text)
{
    tree_write_bytes(name, text, strlen(text));
}

static inline void tree_mkdir(const char *name)
{
    CHECK_EQ(mkdir(in_tree(name).text, 0755), 0);
}

static inline void tree_link(const char *target, const char *name)
{
    CHECK_EQ(symlink(target, in_tree(name).text), 0);
}

/* Seconds since 1970. */
static inline void tree_touch(const char *name, time_t when)
{
    const struct timespec times[2] = {{.tv_sec = when}, {.tv_sec = when}};

    CHECK_EQ(utimensat(AT_FDCWD, in_tree(name).text, times, 0), 0);
}

/* A test whose goroutine runs with the directory there; it is gone after it. */
#define FilesTest(suite, name)                     \
    static void name##_inner(void);                \
    static int name##_main(void *arg)              \
    {                                              \
        (void)arg;                                 \
        tree_make();                               \
        name##_inner();                            \
        tree_remove();                             \
        return 0;                                  \
    }                                              \
    Test(suite, name, .timeout = TEST_TIMEOUT_S)   \
    {                                              \
        test_run_without_leaks(name##_main, NULL); \
    }                                              \
    static void name##_inner(void)

/* --- The server ---------------------------------------------------------------- */

struct files_site {
    struct site site;
    gust_http_files *files;
};

/* With `root`, or else assets, missing: the directory. */
static inline void files_start(struct files_site *s, const gust_http_files_options *options)
{
    gust_http_files_options o = *options;

    if (!o.root && !o.assets)
        o.root = tree;
    CHECK_EQ(gust_http_files_new(&o, &s->files), 0);
    site_start(&s->site,
               &(gust_http_server_options){.handler = gust_http_files_serve, .arg = s->files});
}

static inline void files_stop(struct files_site *s)
{
    site_stop(&s->site);
    gust_http_files_free(s->files);
}

/* --- Asking --------------------------------------------------------------------- */

/* `fields`: lines with their ends, or "". */
static inline struct reply site_request(const struct site *site, const char *method,
                                        const char *path, const char *fields)
{
    char *request;

    CHECK(asprintf(&request, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%s\r\n", method,
                   path, fields) > 0);
    struct reply r = site_ask(site, request);
    free(request);
    return r;
}

static inline struct reply files_get(const struct files_site *s, const char *path,
                                     const char *fields)
{
    return site_request(&s->site, "GET", path, fields);
}

static inline int reply_status(const struct reply *r)
{
    CHECK(r->len > 12 && memcmp(r->text, "HTTP/1.1 ", 9) == 0);
    return atoi(r->text + 9);
}

/* Where the body starts. */
static inline size_t reply_head(const struct reply *r)
{
    const char *end = memmem(r->text, r->len, "\r\n\r\n", 4);

    CHECK(end != NULL);
    return (size_t)(end - r->text) + 4;
}

static inline gust_span reply_body(const struct reply *r)
{
    size_t head = reply_head(r);

    return (gust_span){r->text + head, r->len - head};
}

/* The value of the first field of this name, spelt like that; empty if there is none. */
static inline gust_span reply_field(const struct reply *r, const char *name)
{
    char line[64];
    size_t n = (size_t)snprintf(line, sizeof(line), "\r\n%s: ", name);
    const char *at = memmem(r->text, reply_head(r), line, n);

    if (!at)
        return (gust_span){"", 0};
    at += n;
    const char *end = memchr(at, '\r', r->len - (size_t)(at - r->text));
    return (gust_span){at, (size_t)(end - at)};
}

static inline void expect_status(struct reply r, const char *what, int status)
{
    if (reply_status(&r) != status)
        gust_panic("%s: got\n%s\ninstead of %d", what, r.text, status);
    free(r.text);
}

static inline void expect_body(struct reply r, const char *what, int status, const char *body)
{
    if (reply_status(&r) != status || !span_is(reply_body(&r), body))
        gust_panic("%s: got\n%s\ninstead of %d and\n%s", what, r.text, status, body);
    free(r.text);
}

#endif
