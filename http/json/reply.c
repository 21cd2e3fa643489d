/* Answering with JSON. */
#include "http/status.h"

#include <gust/http_json.h>
#include <gust/http_reply.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What is laid out at a time; Jansson hands out pieces of a few bytes. */
#define PIECE_MAX 4096

#define DUMP_FLAGS (JSON_COMPACT | JSON_ENCODE_ANY)

struct output {
    gust_http_response *res;
    char *piece;
    size_t len;
    int error;
};

static void send_piece(struct output *out)
{
    ssize_t n = gust_http_write(out->res, out->piece, out->len);

    out->error = n < 0 ? (int)n : 0;
    out->len = 0;
}

static int add(const char *text, size_t size, void *arg)
{
    struct output *out = arg;

    while (size > 0 && out->error == 0) {
        size_t n = size < PIECE_MAX - out->len ? size : PIECE_MAX - out->len;
        memcpy(out->piece + out->len, text, n);
        out->len += n;
        text += n;
        size -= n;
        if (out->len == PIECE_MAX)
            send_piece(out);
    }
    return out->error < 0 ? -1 : 0;
}

/* `piece` has room for PIECE_MAX bytes. */
static int stream(gust_http_response *res, const json_t *json, size_t len, char *piece)
{
    struct output out = {.res = res, .piece = piece};
    char length[24];

    snprintf(length, sizeof(length), "%zu", len);
    int r = gust_http_header(res, "Content-Length", length);
    if (r < 0)
        return r;
    int dumped = json_dump_callback(json, add, &out, DUMP_FLAGS);
    if (dumped == 0 && out.len > 0)
        send_piece(&out);
    return out.error ? out.error : dumped < 0 ? -ENOMEM : 0;
}

int gust_http_json_reply(gust_http_response *res, int status, const json_t *json)
{
    char piece[PIECE_MAX];
    /* Writes what fits and counts all: the length is known, and that it can be done. */
    size_t len = json ? json_dumpb(json, piece, sizeof(piece), DUMP_FLAGS) : 0;

    if (len == 0)
        return -EINVAL;
    bool typed = gust_http_response_header(res, "Content-Type").data;
    const char *type = typed ? NULL : "application/json";
    if (len <= sizeof(piece))
        return gust_http_reply(res, status, type, piece, len);
    int r = gust_http_status(res, status);
    if (r == 0 && type)
        r = gust_http_header(res, "Content-Type", type);
    return r < 0 ? r : stream(res, json, len, piece);
}

/* --- Errors --------------------------------------------------------------- */

static json_t *make_problem(int status, json_t *detail)
{
    gust_span title = gust__http_reason(status);

    return json_pack("{s:i, s:s%, s:o}", "status", status, "title", title.data, title.len, "detail",
                     detail);
}

/* Takes over `detail`. */
static int reply_problem(gust_http_response *res, int status, json_t *detail)
{
    json_t *problem = make_problem(status, detail);

    if (!problem)
        return -ENOMEM;
    gust_http_header_remove(res, "Content-Type");
    gust_http_header_remove(res, "Content-Length");
    gust_http_header_remove(res, "Content-Encoding");
    int r = gust_http_header(res, "Content-Type", "application/problem+json");
    if (r == 0)
        r = gust_http_json_reply(res, status, problem);
    json_decref(problem);
    return r;
}

int gust_http_json_error(gust_http_response *res, int status, const char *format, ...)
{
    va_list args;

    if (status < 400 || status > 999)
        return -EINVAL;
    int r = gust_http_status(res, gust_http_response_status(res));
    if (r < 0)
        return r; /* too late */
    va_start(args, format);
    json_t *detail = json_vsprintf(format, args);
    va_end(args);
    return detail ? reply_problem(res, status, detail) : -EINVAL;
}
