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
#include <gust/http_router.h>
#include <stdatomic.h>
#include <unistd.h>

#include "examples/serve.h"

static const char form[] = "<!doctype html><title>Upload</title>"
                           "<form action=/upload method=post enctype=multipart/form-data>"
                           "<input type=file name=files multiple><button>Upload</button></form>";

static const gust_http_multipart_options limits = {.parts_max = 10, .body_bytes_max = 1 << 30};

static void show_form(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req, (void)arg;
    gust_http_reply(res, 200, "text/html", form, sizeof form - 1);
}

/* The client's file name is not used: it could name anything. */
static int64_t save(gust_http_multipart *mp, const char *dir)
{
    static atomic_uint next;
    char path[256];
    snprintf(path, sizeof path, "%s/upload-%d-%u", dir, getpid(), atomic_fetch_add(&next, 1));
    return gust_http_part_save(mp, path, 0600, limits.body_bytes_max, GUST_FOREVER);
}

/* Returns how many files there were, or an error. */
static int save_all(gust_http_multipart *mp, const char *dir, int64_t *bytes)
{
    gust_http_part part;
    int r, files = 0;
    while ((r = gust_http_multipart_next(mp, &part)) > 0) {
        int64_t n = part.filename.data ? save(mp, dir) : 0;
        if (n < 0)
            return (int)n;
        *bytes += n;
        files += part.filename.data != NULL;
    }
    return r < 0 ? r : files;
}

static void upload(gust_http_request *req, gust_http_response *res, void *dir)
{
    gust_http_multipart *mp = NULL;
    int64_t bytes = 0;
    char text[80];
    int r = gust_http_multipart_new(req, &limits, &mp);
    if (r == 0)
        r = save_all(mp, dir, &bytes);
    gust_http_multipart_free(mp);
    if (r < 0)
        snprintf(text, sizeof text, "%s\n", strerror(-r));
    else
        snprintf(text, sizeof text, "%d files, %lld bytes\n", r, (long long)bytes);
    gust_http_reply(res,
                    r == -EMSGSIZE ? 413
                    : r < 0        ? 400
                                   : 201,
                    "text/plain", text, strlen(text));
}

static int serve(void *arg)
{
    char **argv = arg;
    const gust_http_rate_options uploads = {.requests = 10, .per_ns = 60 * GUST_SEC};
    gust_http_layer layer = {gust_http_rate_layer, NULL};
    gust_http_chain chain = {&layer, 1, upload, (void *)option(argv, "--dir", ".")};
    struct stopper stopper = {.timeout_ns = 10 * GUST_SEC};
    gust_http_server_options options = {.handler = gust_http_router_serve};
    gust_http_rate *rate = NULL;
    gust_http_router *router = NULL;
    int r = gust_http_rate_new(&uploads, &rate);
    layer.arg = rate;
    if (r == 0 && (r = gust_http_router_new(&router)) == 0 &&
        (r = gust_http_router_handle(router, "GET /{$}", show_form, NULL)) == 0)
        r = gust_http_router_handle(router, "POST /upload", gust_http_chain_serve, &chain);
    options.arg = router;
    if (r == 0 && (r = gust_http_server_new(&options, &stopper.server)) == 0)
        r = serve_until_signal(argv, &stopper, 0);
    gust_http_router_free(router);
    gust_http_rate_free(rate);
    return r < 0;
}

int main(int argc, char **argv)
{
    return tls_take_args(&argc, argv) && gust_run(serve, argv) == 0 ? 0 : 1;
}
