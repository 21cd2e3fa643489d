/* From what was found to a response. */
#include <string.h>
#include <time.h>

#include "http/files.h"
#include "http/media_type.h"
#include "http/response.h"

/* --- Type ------------------------------------------------------------------------ */

const char *gust__files_type(const gust_http_files *files, const char *name)
{
    const char *type = gust__http_type_find(files->types, files->options.type_count, name);

    if (!type)
        type = gust_http_file_type(name);
    return type ? type : files->options.default_type;
}

/* --- Fields ------------------------------------------------------------------------ */

/* Adds a field unless an earlier one was refused, or this one is not to be there.  All
 * values are our own, or have been checked with the options. */
static inline void add(gust_http_response *res, int *r, const char *name, const char *value)
{
    if (*r == 0 && value)
        *r = gust__http_add_field(res, (gust_span){name, strlen(name)},
                                  (gust_span){value, strlen(value)});
}

/* Those of 200, 206 and 304 (RFC 9110, 15.4.5). */
static int add_version(const gust_http_files *files, gust_http_response *res,
                       const struct files_found *found)
{
    int r = 0;

    add(res, &r, "ETag", found->etag);
    add(res, &r, "Cache-Control", files->options.cache_control);
    add(res, &r, "Vary", found->varies ? "Accept-Encoding" : NULL);
    return r;
}

/* Nothing can have been modified after it is sent (RFC 9110, 8.8.2.1). */
static int add_modified(gust_http_response *res, const struct files_found *found)
{
    char date[GUST_HTTP_DATE_SIZE];

    if (!found->has_modified || found->modified_s > time(NULL) ||
        gust_http_date_format(found->modified_s, date) < 0)
        return 0;
    return gust__http_add_field(res, (gust_span){"Last-Modified", 13},
                                (gust_span){date, sizeof(date) - 1});
}

/* For a 206 of several ranges the type is another one. */
static int add_content(gust_http_response *res, const struct files_found *found, const char *type)
{
    int r = add_modified(res, found);

    add(res, &r, "Content-Type", type);
    add(res, &r, "Content-Encoding",
        found->coding == CODING_IDENTITY ? NULL : gust__http_coding_name(found->coding));
    add(res, &r, "X-Content-Type-Options", "nosniff");
    add(res, &r, "Accept-Ranges", "bytes");
    return r;
}

/* --- The answer ---------------------------------------------------------------------- */

int gust__files_write(gust_http_response *res, const struct files_found *found, uint64_t at,
                      uint64_t len)
{
    if (found->fd >= 0)
        return gust__http_send_file(res, found->fd, at, len);
    ssize_t n = gust_http_write(res, len > 0 ? found->data + at : "", len);
    return n < 0 ? (int)n : 0;
}

static int answer_content(gust_http_response *res, const char *type,
                          const struct files_found *found, const struct files_ranges *ranges)
{
    int r = add_content(res, found, ranges->count > 1 ? NULL : type);

    if (r < 0)
        return r;
    if (ranges->count > 0)
        return gust__files_ranges_answer(res, found, type, ranges);
    gust__http_declare(res, found->size);
    return gust__files_write(res, found, 0, found->size);
}

/* Only GET has ranges (RFC 9110, 14.2). */
static void read_ranges(const gust_http_request *req, const gust_http_conditions *conditions,
                        const gust_http_version *version, const char *type, uint64_t size,
                        struct files_ranges *ret_ranges)
{
    ret_ranges->count = 0;
    if (gust_http_request_method(req) == GUST_HTTP_GET &&
        gust_http_conditions_range(conditions, version))
        gust__files_ranges_read(conditions->range, size, type, ret_ranges);
}

static int refuse(gust_http_response *res, int status)
{
    gust__http_answer(res, status);
    return 0;
}

static int answer(const gust_http_files *files, gust_http_request *req, gust_http_response *res,
                  const char *type, const struct files_found *found)
{
    const gust_http_version version = {
        .exists = true,
        .etag = {found->etag, strlen(found->etag)},
        .has_modified = found->has_modified,
        .modified_s = found->modified_s,
    };
    struct files_ranges ranges;
    gust_http_conditions conditions;

    gust_http_conditions_read(req, &conditions);
    int status = gust_http_conditions_eval(&conditions, &version);
    if (status == 412)
        return refuse(res, status);
    read_ranges(req, &conditions, &version, type, found->size, &ranges);
    if (status == 200 && ranges.count < 0)
        return gust__files_ranges_answer(res, found, type, &ranges);
    int r = add_version(files, res, found);
    if (r < 0)
        return r;
    return status == 304 ? gust_http_status(res, 304) : answer_content(res, type, found, &ranges);
}

void gust__files_answer(const gust_http_files *files, gust_http_request *req,
                        gust_http_response *res, const char *name, const struct files_found *found)
{
    const char *type = found->type ? found->type : gust__files_type(files, name);
    size_t fields = res->text.len;
    int r = answer(files, req, res, type, found);

    if (r == 0 || res->committed || res->body_at > 0)
        return; /* if it has begun it has been cut off */
    res->text.len = fields;
    res->declared = false;
    gust__http_answer(res, gust__files_status(r));
}
