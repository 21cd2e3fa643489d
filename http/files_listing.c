/* A directory as HTML.
 *
 * The names are read whole, in a section that gives up the P, and sorted.  They are
 * whatever somebody has called a file: escaped for HTML, and as references begin with
 * "./", so that none is taken for a scheme. */
#include <dirent.h>
#include <errno.h>
#include <gust/http_url.h>
#include <gust/runtime.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/inject.h"
#include "http/files.h"
#include "http/html.h"
#include "http/response.h"

struct names {
    char **names; /* those of directories end in a slash */
    size_t count;
    size_t capacity;
};

/* --- Reading ------------------------------------------------------------------------ */

static int add_name(struct names *n, const struct dirent *entry)
{
    size_t len = strlen(entry->d_name);

    if (n->count == GUST_HTTP_FILES_LISTING_MAX)
        return -ENOMEM;
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? n->capacity * 2 : 64;
        char **names = gust__realloc(n->names, capacity * sizeof(*names));
        if (!names)
            return -ENOMEM;
        n->names = names;
        n->capacity = capacity;
    }
    char *name = gust__malloc(len + 2);
    if (!name)
        return -ENOMEM;
    memcpy(name, entry->d_name, len);
    strcpy(name + len, entry->d_type == DT_DIR ? "/" : "");
    n->names[n->count++] = name;
    return 0;
}

static bool is_listed(const struct dirent *entry, bool hidden)
{
    const char *name = entry->d_name;

    return name[0] != '.' || (hidden && strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
}

static int read_entries(DIR *dir, bool hidden, struct names *n)
{
    for (;;) {
        errno = 0; /* only an error changes it */
        const struct dirent *entry = readdir(dir);
        if (!entry)
            return -errno;
        int r = is_listed(entry, hidden) ? add_name(n, entry) : 0;
        if (r < 0)
            return r;
    }
}

static int read_directory(int fd, bool hidden, struct names *n)
{
    DIR *dir = fdopendir(fd);

    if (!dir) {
        int r = -errno;
        close(fd);
        return r;
    }
    int r = read_entries(dir, hidden, n);
    closedir(dir);
    return r;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(int fd, bool hidden, struct names *n)
{
    gust_blocking_begin();
    int r = read_directory(fd, hidden, n);
    if (r == 0 && n->count > 0)
        qsort(n->names, n->count, sizeof(*n->names), compare);
    gust_blocking_end();
    return r;
}

static void free_names(struct names *n)
{
    for (size_t i = 0; i < n->count; i++)
        free(n->names[i]);
    free(n->names);
}

/* --- Writing ------------------------------------------------------------------------- */

static int put(gust_http_response *res, const char *text)
{
    ssize_t n = gust_http_write(res, text, strlen(text));

    return n < 0 ? (int)n : 0;
}

static int put_escaped(gust_http_response *res, const char *text)
{
    return gust__http_html_write(res, (gust_span){text, strlen(text)});
}

static int put_entry(gust_http_response *res, const char *name)
{
    char href[3 * (NAME_MAX + 1) + 1];
    int r = put(res, "<li><a href=\"./");

    if (r == 0 &&
        gust_http_escape(GUST_HTTP_PATH, (gust_span){name, strlen(name)}, href, sizeof(href)) >= 0)
        r = put_escaped(res, href);
    if (r == 0)
        r = put(res, "\">");
    if (r == 0)
        r = put_escaped(res, name);
    return r < 0 ? r : put(res, "</a></li>\n");
}

static int put_title(gust_http_response *res, const char *name)
{
    int r = put(res, "<!DOCTYPE html>\n<html><head><title>/");

    if (r == 0)
        r = put_escaped(res, name);
    if (r == 0)
        r = put(res, "</title></head>\n<body><h1>/");
    if (r == 0)
        r = put_escaped(res, name);
    return r < 0 ? r : put(res, "</h1>\n<ul>\n");
}

static void write_listing(gust_http_response *res, const char *name, const struct names *n)
{
    int r = put_title(res, name);

    if (r == 0 && name[0])
        r = put(res, "<li><a href=\"../\">../</a></li>\n");
    for (size_t i = 0; r == 0 && i < n->count; i++)
        r = put_entry(res, n->names[i]);
    if (r == 0)
        put(res, "</ul></body></html>\n");
}

void gust__files_list(const gust_http_files *files, gust_http_response *res, const char *name,
                      int fd)
{
    struct names n = {0};
    int r = read_names(fd, files->options.hidden, &n);

    if (r == 0)
        r = gust_http_header(res, "Content-Type", "text/html; charset=utf-8");
    if (r == 0)
        r = gust_http_header(res, "X-Content-Type-Options", "nosniff");
    if (r < 0)
        gust__http_answer(res, gust__files_status(r));
    else
        write_listing(res, name, &n);
    free_names(&n);
}
