/* Static files: from a directory, or from memory; and bodies out of files.
 *
 *     gust_http_files *files;
 *     gust_http_files_new(&(gust_http_files_options){.root = "/srv/www"}, &files);
 *     gust_http_router_handle(router, "/static/{path...}", gust_http_files_serve, files);
 *
 * What of the request's path names the file: behind a pattern that ends in a wildcard for
 * the rest ({path...}, or a slash), what stands in its place; otherwise the whole path.
 *
 * Nothing outside of the root is reached, whatever the path and whatever symbolic links
 * say: the kernel resolves names beneath the root's descriptor (openat2).  Where that
 * call is refused, as in some containers, names are resolved one by one, and symbolic
 * links are not followed.
 *
 * Answered are GET and HEAD, with entity tags and dates, conditions (RFC 9110, 13), and
 * one or several ranges (14). */
#ifndef GUST_HTTP_FILES_H
#define GUST_HTTP_FILES_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- A body out of a file --------------------------------------------------- */

/* Writes `len` bytes of a regular file from `offset` on, as a part of the body.  The
 * descriptor stays the caller's; its own offset neither matters nor moves.  If it is the
 * first part of a body whose length has not been declared, these bytes are the body:
 * Content-Length is set.  Waits for the disk without holding up other goroutines, and for
 * the client as long as it goes on taking bytes within the write timeout.  For HEAD they
 * are counted only.
 * Returns 0.  Errors: as gust_http_write; -EINVAL if fd is no regular file; -ENODATA if
 * the file ends before (somebody has cut it), -EIO and what pread(2) answers.  Unless the
 * body had not begun, the response is cut off then; else it is as it was. */
int gust_http_send_file(gust_http_response *res, int fd, uint64_t offset, uint64_t len);

/* --- Types ------------------------------------------------------------------ */

/* The media type that goes with a name's extension, of a table of some hundred, with a
 * charset for text; NULL if it is not there.  In any case. */
const char *gust_http_file_type(const char *name);

typedef struct gust_http_type {
    const char *extension; /* without the dot, in lower case */
    const char *type;
} gust_http_type;

/* --- The handler ------------------------------------------------------------ */

/* A file in memory. */
typedef struct gust_http_asset {
    const char *path; /* "css/site.css" */
    const void *data;
    size_t len;
    const char *type; /* NULL: by the path's extension */
} gust_http_asset;

/* How many ranges a request may ask for.  One that wants more, that has more than two
 * overlaps, or that would be answered with more bytes than the file has, gets it whole. */
#define GUST_HTTP_FILES_RANGES_MAX 16

/* A listing of more than so many names is refused with 503. */
#define GUST_HTTP_FILES_LISTING_MAX 10000

/* Zeroes are the defaults.  Strings and data are the caller's, and stay as they are as
 * long as the handler lives. */
typedef struct gust_http_files_options {
    const char *root;              /* a directory; opened once */
    const gust_http_asset *assets; /* or these: one of the two */
    size_t asset_count;

    const char *index;           /* what stands for a directory; NULL: "index.html"; "": nothing */
    const char *cache_control;   /* the field's value; NULL: none */
    const char *default_type;    /* NULL: "application/octet-stream" */
    const gust_http_type *types; /* before those of gust_http_file_type */
    size_t type_count;

    bool precompressed; /* "name.br" and "name.gz" are sent for "name" to who takes them */
    bool listing;       /* of directories without an index, as HTML; of a root only */
    bool hidden;        /* names that begin with a dot, too */
    bool no_symlinks;   /* do not follow even those that stay beneath the root */
} gust_http_files_options;

typedef struct gust_http_files gust_http_files;

/* Makes a handler.  Entity tags of assets are hashes of their content, made here; those of
 * files are of their time, size and inode.
 * Errors: -EINVAL without, or with both of, root and assets, if two assets have the same
 * path, for a type that is not a field's value, or an extension not in lower case; what
 * open(2) answers; -ENOMEM.  May wait for the disk. */
int gust_http_files_new(const gust_http_files_options *options, gust_http_files **ret_files);

/* Frees a handler that serves no request.  NULL is accepted. */
void gust_http_files_free(gust_http_files *files);

/* A gust_http_handler: `files` is a gust_http_files.
 *
 *     200, 206, 304, 412, 416    as conditions and ranges want it
 *     301 to the path with a slash behind it, for a directory
 *     400 for a path that is malformed
 *     403 if the file may not be read, or a directory has no index
 *     404 if it is not there, is hidden, no regular file, or leads out of the root
 *     405, with Allow, for other methods
 *     503 without descriptors or memory */
void gust_http_files_serve(gust_http_request *req, gust_http_response *res, void *files);

#ifdef __cplusplus
}
#endif
#endif
