/* Takes uploads from a browser's form and streams them to files, whatever their length.
 *
 *     upload [--listen ADDR:PORT] [--dir DIRECTORY] [--tls-cert FILE --tls-key FILE]
 *
 *     GET  /         the form
 *     POST /upload   its files, to DIRECTORY/upload-PID-N
 *
 * Limits: 1 GiB in all, 10 files, 10 uploads a minute from one client. */
#include <gust/http_form.h>
#include <gust/http_rate.h>
#include <stdatomic.h>
#include <unistd.h>

#include "examples/serve.h"

static const char form[] = "<!doctype html><title>Upload</title>"
                           "<form action=/upload method=post enctype=multipart/form-data>"
                           "<input type=file name=files multiple><button>Upload</button></form>";
static const char *dir = ".";
static const gust_http_multipart_options limits = {.parts_max = 10, .body_bytes_max = 1 << 30};

static void show_form(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_reply(res, 200, "text/html", form, sizeof form - 1);
}

/* The client's file name is not used: it could name anything. */
static int64_t save(gust_http_multipart *mp)
{
    static atomic_uint next;
    char path[256];
    snprintf(path, sizeof path, "%s/upload-%d-%u", dir, getpid(), atomic_fetch_add(&next, 1));
    return gust_http_part_save(mp, path, 0600, limits.body_bytes_max, GUST_FOREVER);
}

/* Returns how many files there were, or an error. */
static int save_all(gust_http_multipart *mp, int64_t *bytes)
{
    gust_http_part part;
    int r, files = 0;
    while ((r = gust_http_multipart_next(mp, &part)) > 0) {
        int64_t n = part.filename.data ? save(mp) : 0;
        if (n < 0)
            return (int)n;
        *bytes += n;
        files += part.filename.data != NULL;
    }
    return r < 0 ? r : files;
}

static int status_for(int r)
{
    switch (r) {
    case -ENOTSUP: return 415;
    case -EMSGSIZE: return 413;
    case -EBADMSG: return 400;
    default: return r < 0 ? 500 : 201;
    }
}

static void upload(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_multipart *mp = NULL;
    int64_t bytes = 0;
    char text[80];
    int r = gust_http_multipart_new(req, &limits, &mp);
    if (r == 0)
        r = save_all(mp, &bytes);
    gust_http_multipart_free(mp);
    if (r < 0)
        snprintf(text, sizeof text, "%s\n", strerror(-r));
    else
        snprintf(text, sizeof text, "%d files, %lld bytes\n", r, (long long)bytes);
    gust_http_reply(res, status_for(r), "text/plain", text, strlen(text));
}

static int serve(void *arg)
{
    gust_http_rate *rate;
    if (access(dir, W_OK | X_OK) < 0)
        return failed(dir, -errno);
    if (gust_http_rate_new(&(gust_http_rate_options){.requests = 10, .per_ns = 60 * GUST_SEC},
                           &rate) < 0)
        return failed("rate", -ENOMEM);
    const gust_http_layer layer = {gust_http_rate_layer, rate};
    gust_http_chain uploads = {&layer, 1, upload};
    const app_route routes[] = {
        {"GET /{$}", show_form}, {"POST /upload", gust_http_chain_serve, &uploads}, {0}};
    int status = app_serve(&(app){.routes = routes});
    gust_http_rate_free(rate);
    return status;
}

int main(int argc, char **argv)
{
    static const option options[] = {
        {"--dir", "DIRECTORY", "where uploads go (.)", option_text, &dir}, APP_OPTIONS, {0}};
    return app_main(argv, options, serve);
}
