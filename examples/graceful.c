/* A server that can be replaced under load: health checks, an access log, and an end that
 * loses no request.
 *
 *     graceful [--listen ADDR:PORT] [--log FILE] [--lame-duck SECONDS]
 *              [--tls-cert FILE --tls-key FILE]
 *
 *     GET /               says hello
 *     GET /slow?seconds   the same, later
 *     GET /healthz        200 as long as the server answers
 *     GET /readyz         200 until it is told to stop, then 503: "send no more"
 *
 * SIGTERM: for so many seconds only /readyz says so; then requests in flight get ten
 * seconds to finish.  SIGUSR1 opens the log anew, after it was renamed. */
#include <gust/http_log.h>
#include <gust/http_operations.h>
#include <gust/http_router.h>
#include <gust/timer.h>
#include <stdlib.h>

#include "examples/serve.h"

static gust_http_log *access_log;

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    (void)req;
    (void)arg;
    gust_http_reply(res, 200, "text/plain", "hello\n", 6);
}

static void slow(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span query = gust_http_request_query(req);
    int seconds = query.len == 1 ? query.data[0] - '0' : 2;
    gust_sleep(seconds * GUST_SEC);
    hello(req, res, arg);
}

static bool obey(int signo)
{
    if (signo == SIGUSR1)
        gust_http_log_reopen(access_log, gust_after(10 * GUST_SEC));
    return signo != SIGUSR1;
}

static void say_error(const gust_http_error_info *error, void *arg)
{
    char addr[GUST_ADDR_TEXT_MAX];
    (void)arg;
    fprintf(stderr, "graceful: %s: %s %s\n", gust_addr_format(&error->remote, addr),
            gust_http_error_name(error->kind), error->text);
}

static int add_routes(gust_http_router *router)
{
    int r = gust_http_router_handle(router, "GET /{$}", hello, NULL);
    if (r == 0)
        r = gust_http_router_handle(router, "GET /slow", slow, NULL);
    if (r == 0)
        r = gust_http_router_handle(router, "GET /healthz", gust_http_health_live, NULL);
    if (r == 0)
        r = gust_http_router_handle(router, "GET /readyz", gust_http_health_ready, NULL);
    return r;
}

static int serve(void *arg)
{
    char **argv = arg;
    const gust_http_log_options log = {.path = option(argv, "--log", "/dev/stdout")};
    gust_http_server_options options = {
        .handler = gust_http_router_serve,
        .on_error = say_error,
        .lame_duck_ns = atoi(option(argv, "--lame-duck", "0")) * GUST_SEC,
    };
    struct stopper stopper = {.on_signal = obey,
                              .timeout_ns = options.lame_duck_ns + 10 * GUST_SEC};
    gust_http_router *router = NULL;
    int r = gust_http_log_new(&log, &access_log);
    options.log = access_log;
    if (r == 0)
        r = gust_http_router_new(&router);
    options.arg = router;
    if (r == 0 && (r = add_routes(router)) == 0)
        r = gust_http_server_new(&options, &stopper.server);
    if (r == 0)
        r = serve_until_signal(argv, &stopper, SIGUSR1);
    else
        fprintf(stderr, "graceful: %s\n", strerror(-r));
    gust_http_log_close(access_log, gust_after(10 * GUST_SEC));
    gust_http_router_free(router);
    return r < 0;
}

int main(int argc, char **argv)
{
    return tls_take_args(&argc, argv) && gust_run(serve, argv) == 0 ? 0 : 1;
}
