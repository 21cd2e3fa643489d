/* Reading JSON bodies, as they arrive. */
#include "http/params.h"
#include "http/syntax.h"

#include <gust/http_json.h>
#include <gust/http_reply.h>

#include <errno.h>
#include <string.h>

struct input {
    gust_http_request *req;
    int error; /* why it was not read to its end */
    /* Jansson recurses: how deep is found out before it sees the bytes. */
    unsigned depth;
    bool in_string;
    bool escaped; /* in a string, behind a '\' */
};

/* False if it gets too deep.  That the brackets match is for Jansson to find out. */
static bool note_depth(struct input *in, char c)
{
    if (in->escaped)
        in->escaped = false;
    else if (in->in_string && c == '\\')
        in->escaped = true;
    else if (c == '"')
        in->in_string = !in->in_string;
    else if (!in->in_string && (c == '[' || c == '{'))
        return ++in->depth <= GUST_HTTP_JSON_DEPTH_MAX;
    else if (!in->in_string && (c == ']' || c == '}') && in->depth > 0)
        in->depth--;
    return true;
}

/* Jansson takes 0 for the end; it is told so of an error, too, and then asks no more. */
static size_t read_some(void *buf, size_t size, void *arg)
{
    struct input *in = arg;
    ssize_t n = in->error ? 0 : gust_http_body_read(in->req, buf, size);

    if (n < 0)
        in->error = (int)n;
    for (ssize_t i = 0; i < n && in->error == 0; i++)
        if (!note_depth(in, ((const char *)buf)[i]))
            in->error = -E2BIG;
    return in->error ? 0 : (size_t)n;
}

static bool is_json(gust_span type)
{
    size_t cursor;
    gust_span main = gust__http_params_main(type, &cursor);

    return gust__http_equals(main, "application/json") ||
           (main.len > 5 && gust__http_equals((gust_span){main.data + main.len - 5, 5}, "+json"));
}

static int refuse_type(gust_http_response *res)
{
    gust_http_header(res, "Accept", "application/json");
    gust_http_json_error(res, 415, "the body has to be application/json");
    return -ENOTSUP;
}

/* The text quotes what it was near, which may have been cut within a character. */
static int refuse_syntax(gust_http_response *res, const json_error_t *error)
{
    if (json_error_code(error) == json_error_out_of_memory) {
        gust_http_json_error(res, 503, "out of memory");
        return -ENOMEM;
    }
    if (gust_http_json_error(res, 400, "line %d, column %d: %s", error->line, error->column,
                             error->text) == -EINVAL)
        gust_http_json_error(res, 400, "line %d, column %d", error->line, error->column);
    return -EBADMSG;
}

/* Other errors of reading are the server's to answer, where that is possible. */
static int refuse_input(gust_http_response *res, int error, uint64_t limit)
{
    if (error == -EMSGSIZE)
        gust_http_json_error(res, 413, "the body is longer than %llu bytes",
                             (unsigned long long)limit);
    else if (error == -E2BIG)
        gust_http_json_error(res, 400, "deeper than %d levels", GUST_HTTP_JSON_DEPTH_MAX);
    return error;
}

int gust_http_json_read(gust_http_request *req, gust_http_response *res, uint64_t limit,
                        json_t **ret_json)
{
    struct input in = {.req = req};
    json_error_t error;

    if (!is_json(gust_http_request_header(req, "Content-Type")))
        return refuse_type(res);
    gust_http_body_limit(req, limit);
    json_t *json =
        json_load_callback(read_some, &in, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (in.error) {
        json_decref(json);
        return refuse_input(res, in.error, limit);
    }
    if (!json)
        return refuse_syntax(res, &error);
    *ret_json = json;
    return 0;
}
