/* The handler for static files: what the request's path names, and what is answered. */
#include "http/files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>

#include "core/inject.h"
#include "http/media_type.h"
#include "http/path.h"
#include "http/response.h"
#include "http/router.h"
#include "http/syntax.h"

/* --- Making one ------------------------------------------------------------------ */

static bool value_valid(const char *text)
{
    return !text || gust__http_value_valid((gust_span){text, strlen(text)});
}

static bool types_valid(const gust_http_files_options *o)
{
    for (size_t i = 0; i < o->type_count; i++) {
        const gust_http_type *t = &o->types[i];
        if (!t->type || !value_valid(t->type) || !t->extension || !t->extension[0])
            return false;
        for (const char *p = t->extension; *p; p++)
            if ((*p >= 'A' && *p <= 'Z') || *p == '.' || *p == '/')
                return false;
    }
    for (size_t i = 0; i < o->asset_count; i++)
        if (!value_valid(o->assets[i].type))
            return false;
    return true;
}

static bool options_valid(const gust_http_files_options *o)
{
    bool one = o && !o->root != !o->assets;

    return one && !(o->index && strchr(o->index, '/')) && value_valid(o->cache_control) &&
           value_valid(o->default_type) && types_valid(o);
}

static int compare_types(const void *a, const void *b)
{
    return strcmp(((const gust_http_type *)a)->extension, ((const gust_http_type *)b)->extension);
}

static int add_types(gust_http_files *files)
{
    size_t count = files->options.type_count;

    if (count == 0)
        return 0;
    files->types = gust__calloc(count, sizeof(*files->types));
    if (!files->types)
        return -ENOMEM;
    memcpy(files->types, files->options.types, count * sizeof(*files->types));
    qsort(files->types, count, sizeof(*files->types), compare_types);
    return 0;
}

int gust_http_files_new(const gust_http_files_options *options, gust_http_files **ret_files)
{
    if (!options_valid(options))
        return -EINVAL;
    gust_http_files *files = gust__calloc(1, sizeof(*files));
    if (!files)
        return -ENOMEM;
    files->options = *options;
    files->root = -1;
    if (!options->index)
        files->options.index = "index.html";
    if (!options->default_type)
        files->options.default_type = "application/octet-stream";
    int r = add_types(files);
    if (r == 0)
        r = options->root ? gust__files_open_root(files) : gust__files_add_assets(files);
    if (r < 0)
        gust_http_files_free(files);
    else
        *ret_files = files;
    return r;
}

void gust_http_files_free(gust_http_files *files)
{
    if (!files)
        return;
    if (files->root >= 0)
        close(files->root);
    free(files->assets);
    free(files->types);
    free(files);
}

/* --- What the path names ------------------------------------------------------------ */

struct serving {
    const gust_http_files *files;
    gust_http_request *req;
    gust_http_response *res;
    gust_span path; /* the request's, clean */
    char *name;     /* with room for the index and a suffix */
    size_t len;
};

/* A router has cleaned it. */
static int read_path(struct serving *s)
{
    s->path = gust_http_request_path(s->req);
    if (s->path.data[0] != '/')
        return -ENOENT;
    switch (gust__http_path_form(s->path)) {
    case PATH_CLEAN: return 0;
    case PATH_MALFORMED: return -EBADMSG;
    case PATH_UNCLEAN: break;
    }
    char *clean = gust_http_alloc(s->req, s->path.len);
    if (!clean)
        return -ENOMEM;
    s->path = (gust_span){clean, gust__http_path_clean(s->path, clean)};
    return 0;
}

static int read_name(struct serving *s)
{
    gust_span rest = gust__http_route_rest(s->req);
    int r = read_path(s);

    if (r < 0)
        return r;
    if (!rest.data)
        rest = (gust_span){s->path.data + 1, s->path.len - 1};
    s->name =
        gust_http_alloc(s->req, rest.len + strlen(s->files->options.index) + FILES_SUFFIX_MAX);
    if (!s->name)
        return -ENOMEM;
    ssize_t len = gust__files_name(rest, s->files->options.hidden, s->name);
    if (len < 0)
        return (int)len;
    s->len = (size_t)len;
    return 0;
}

/* --- Finding it --------------------------------------------------------------------- */

static int find_plain(const gust_http_files *files, const char *name, struct files_found *found)
{
    return files->root < 0 ? gust__files_find_asset(files, name, found)
                           : gust__files_open_regular(files, name, found);
}

/* Of what the name stands for, whether or not it is there. */
static const char *type_of(const struct serving *s)
{
    struct files_found found;

    if (s->files->root < 0 && gust__files_find_asset(s->files, s->name, &found) == 0 && found.type)
        return found.type;
    return gust__files_type(s->files, s->name);
}

/* A sibling, whose type is that of what it encodes. */
static int find_encoded(struct serving *s, const char *type, enum http_coding coding,
                        struct files_found *found)
{
    size_t len = strlen(s->name);

    strcpy(s->name + len, coding == CODING_BR ? ".br" : ".gz");
    int r = find_plain(s->files, s->name, found);
    s->name[len] = '\0';
    if (r < 0)
        return r;
    found->coding = coding;
    found->type = type;
    return 0;
}

/* A client that takes nothing that is there gets it as it is (RFC 9110, 12.5.3). */
static int find_best(struct serving *s, const char *type, struct files_found *found)
{
    enum http_coding codings[CODINGS];
    struct http_accept accept;
    int r = -ENOENT;

    gust__http_accept_read(&accept, s->req);
    unsigned count = gust__http_accept_order(&accept, (1U << CODINGS) - 1, codings);
    for (unsigned i = 0; i < count && r < 0 && codings[i] != CODING_IDENTITY; i++)
        r = find_encoded(s, type, codings[i], found);
    if (r < 0)
        r = find_plain(s->files, s->name, found);
    if (r == 0)
        found->varies = true;
    return r;
}

/* A coding would not make a picture much smaller: there is no looking for one. */
static int find(struct serving *s, struct files_found *found)
{
    const char *type = s->files->options.precompressed ? type_of(s) : "";

    if (gust__http_type_compresses((gust_span){type, strlen(type)}))
        return find_best(s, type, found);
    return find_plain(s->files, s->name, found);
}

static int serve_file(struct serving *s)
{
    struct files_found found;
    int r = find(s, &found);

    if (r < 0)
        return r;
    gust__files_answer(s->files, s->req, s->res, s->name, &found);
    if (found.fd >= 0)
        gust__files_close(found.fd);
    return 0;
}

/* --- Directories ---------------------------------------------------------------------- */

static int redirect_to_slash(struct serving *s)
{
    char *path = gust_http_alloc(s->req, s->path.len + 1);

    if (!path)
        return -ENOMEM;
    memcpy(path, s->path.data, s->path.len);
    path[s->path.len] = '/';
    gust__http_redirect(s->req, s->res, (gust_span){path, s->path.len + 1});
    return 0;
}

/* There is no index. */
static int serve_listing(struct serving *s)
{
    if (s->files->root < 0) {
        struct files_found found;
        int r = gust__files_find_asset(s->files, s->name, &found);
        return r == -EISDIR ? -EACCES : r;
    }
    int fd = gust__files_open(s->files, s->name, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    if (s->files->options.listing) {
        gust__files_list(s->files, s->res, s->name, fd);
        return 0;
    }
    gust__files_close(fd);
    return -EACCES;
}

static int serve_directory(struct serving *s)
{
    int r = -ENOENT;

    if (s->files->options.index[0]) {
        strcpy(s->name + s->len, s->files->options.index);
        r = serve_file(s);
        if (r != 0)
            s->name[s->len] = '\0';
    }
    return r == -ENOENT || r == -EISDIR ? serve_listing(s) : r;
}

/* --- The handler ------------------------------------------------------------------------ */

int gust__files_status(int error)
{
    switch (-error) {
    case EBADMSG: return 400;
    case EACCES:
    case EPERM: return 403;
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
    case EXDEV: /* out of the root */
    case EINVAL:
    case ENXIO: /* a socket, a device without a driver */
    case ENODEV: return 404;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN: return 503;
    default: return 500;
    }
}

static void refuse_method(gust_http_response *res)
{
    int r = gust_http_header(res, "Allow", "GET, HEAD");

    gust__http_answer(res, r < 0 ? 503 : 405);
}

static int serve(struct serving *s)
{
    int r = read_name(s);

    if (r < 0)
        return r;
    if (s->len == 0 || s->name[s->len - 1] == '/')
        return serve_directory(s);
    r = serve_file(s);
    return r == -EISDIR ? redirect_to_slash(s) : r;
}

void gust_http_files_serve(gust_http_request *req, gust_http_response *res, void *files)
{
    gust_http_method method = gust_http_request_method(req);
    struct serving s = {.files = files, .req = req, .res = res};

    if (method != GUST_HTTP_GET && method != GUST_HTTP_HEAD) {
        refuse_method(res);
        return;
    }
    int r = serve(&s);
    if (r < 0)
        gust__http_answer(res, gust__files_status(r));
}
