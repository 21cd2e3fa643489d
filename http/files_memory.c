/* Files in memory. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/inject.h"
#include "http/files.h"

/* FNV-1a, 64 bits.  The content is the program's own: nobody looks for collisions. */
static uint64_t hash(const unsigned char *p, size_t n)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const struct files_asset *)a)->asset.path,
                  ((const struct files_asset *)b)->asset.path);
}

static bool asset_valid(const gust_http_asset *a)
{
    return a->path && a->path[0] && a->path[0] != '/' && (a->data || a->len == 0);
}

int gust__files_add_assets(gust_http_files *files)
{
    const gust_http_files_options *o = &files->options;
    struct files_asset *assets = gust__calloc(o->asset_count, sizeof(*assets));

    if (!assets)
        return -ENOMEM;
    files->assets = assets;
    for (size_t i = 0; i < o->asset_count; i++) {
        const gust_http_asset *a = &o->assets[i];
        if (!asset_valid(a))
            return -EINVAL;
        assets[i].asset = *a;
        snprintf(assets[i].etag, sizeof(assets[i].etag), "\"%016" PRIx64 "-%zx\"",
                 hash(a->data, a->len), a->len);
    }
    qsort(assets, o->asset_count, sizeof(*assets), compare);
    for (size_t i = 1; i < o->asset_count; i++)
        if (compare(&assets[i - 1], &assets[i]) == 0)
            return -EINVAL;
    return 0;
}

/* The first asset whose path does not come before the name. */
static size_t lower_bound(const gust_http_files *files, const char *name)
{
    size_t low = 0, high = files->options.asset_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(files->assets[middle].asset.path, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* A name with a slash behind it is a directory's if there is any path below it; one
 * without is if there would be with a slash, which sorts behind some other characters. */
static bool is_directory(const gust_http_files *files, const char *name, size_t at)
{
    size_t len = strlen(name);

    if (len == 0)
        return true;
    for (; at < files->options.asset_count; at++) {
        const char *path = files->assets[at].asset.path;
        if (strncmp(path, name, len) != 0)
            return false;
        if (name[len - 1] == '/' || path[len] == '/')
            return true;
    }
    return false;
}

int gust__files_find_asset(const gust_http_files *files, const char *name,
                           struct files_found *ret_found)
{
    size_t at = lower_bound(files, name);
    const struct files_asset *a = &files->assets[at];

    if (at == files->options.asset_count || strcmp(a->asset.path, name) != 0)
        return is_directory(files, name, at) ? -EISDIR : -ENOENT;
    *ret_found = (struct files_found){
        .fd = -1,
        .data = a->asset.data,
        .size = a->asset.len,
        .type = a->asset.type,
        .coding = CODING_IDENTITY,
    };
    memcpy(ret_found->etag, a->etag, sizeof(a->etag));
    return 0;
}
