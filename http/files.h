/* Static files, inside.
 *
 *     files.c          the handler: what a path names, and what is answered without a file
 *     files_path.c     a path as the name of a file
 *     files_open.c     a name to an open file, beneath the root
 *     files_memory.c   the same for assets
 *     files_serve.c    an open file to a response: conditions, ranges, fields
 *     files_ranges.c   which ranges are obeyed, and several of them
 *     files_listing.c  a directory as HTML */
#ifndef GUST_HTTP_FILES_INTERNAL_H
#define GUST_HTTP_FILES_INTERNAL_H

#include <gust/http_conditions.h>
#include <gust/http_files.h>

#include "http/accept_encoding.h"

/* "mtime-size-inode" in hexadecimal, with the quotes. */
#define FILES_ETAG_MAX 56

struct files_asset {
    gust_http_asset asset;
    char etag[FILES_ETAG_MAX];
};

struct gust_http_files {
    gust_http_files_options options; /* filled in */
    int root;                        /* -1: assets */
    bool by_steps;                   /* openat2 is refused here */
    struct files_asset *assets;      /* in the order of their paths */
    gust_http_type *types;           /* in the order of their extensions */
};

/* What a name stands for: bytes with a version. */
struct files_found {
    int fd;           /* -1: in memory */
    const char *data; /* if it is in memory */
    uint64_t size;
    const char *type; /* an asset's own, or NULL */
    enum http_coding coding;
    bool varies; /* by what codings the client takes */
    bool has_modified;
    int64_t modified_s;
    char etag[FILES_ETAG_MAX];
};

/* --- files_path.c --- */

/* Room behind a name for whatever is appended to it but the index. */
#define FILES_SUFFIX_MAX 4

/* Writes what `path` (without a slash in front) names, decoded, with a NUL, and returns its
 * length: at most path.len.
 * Errors: -ENOENT if no file can have this name, or it is hidden and those are not served. */
ssize_t gust__files_name(gust_span path, bool hidden, char *ret_name);

/* --- files_open.c and files_memory.c --- */

/* Opens the root.  Errors: what open(2) answers. */
int gust__files_open_root(gust_http_files *files);

/* Opens `name`, which gust__files_name has made, beneath the root, with the flags of
 * open(2).  Returns a descriptor.  Errors: what open(2) answers; -EXDEV, -ELOOP. */
int gust__files_open(const gust_http_files *files, const char *name, int flags);
void gust__files_close(int fd);

/* Opens a regular file.  Errors: -EISDIR for a directory, -ENOENT for any other file. */
int gust__files_open_regular(const gust_http_files *files, const char *name,
                             struct files_found *ret_found);

/* Sorts and hashes.  Errors: -EINVAL, -ENOMEM. */
int gust__files_add_assets(gust_http_files *files);

/* -EISDIR if the name is a directory's of some asset's path. */
int gust__files_find_asset(const gust_http_files *files, const char *name,
                           struct files_found *ret_found);

/* --- files_serve.c --- */

/* Answers with what was found, which stays the caller's; `name` says its type, if it has
 * none of its own. */
void gust__files_answer(const gust_http_files *files, gust_http_request *req,
                        gust_http_response *res, const char *name, const struct files_found *found);

/* The type that goes with the name. */
const char *gust__files_type(const gust_http_files *files, const char *name);

/* Writes a part of the body. */
int gust__files_write(gust_http_response *res, const struct files_found *found, uint64_t at,
                      uint64_t len);

/* --- files_ranges.c --- */

struct files_ranges {
    gust_http_range ranges[GUST_HTTP_FILES_RANGES_MAX];
    int count; /* 0: the whole; -ERANGE: none of it is there */
};

/* What a Range field means for a content of `size` bytes of that type. */
void gust__files_ranges_read(gust_span field, uint64_t size, const char *type,
                             struct files_ranges *ret_ranges);

/* Answers 206 or 416, by their count; the other fields have been set. */
int gust__files_ranges_answer(gust_http_response *res, const struct files_found *found,
                              const char *type, const struct files_ranges *ranges);

/* --- files_listing.c --- */

/* Answers with the names in the directory, whose descriptor it takes. */
void gust__files_list(const gust_http_files *files, gust_http_response *res, const char *name,
                      int fd);

/* --- files.c --- */

/* The status that says an error to a client. */
int gust__files_status(int error);

#endif
