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
#include <gust/timer.h>

#include "examples/serve.h"

static const char *log_path = "/dev/stdout";
static int64_t lame_duck_ns;
static gust_http_log *access_log;

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_reply(res, 200, "text/plain", "hello\n", 6);
}

static void slow(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_span query = gust_http_request_query(req);
    bool is_digit = query.len == 1 && query.data[0] >= '0' && query.data[0] <= '9';
    gust_sleep((is_digit ? query.data[0] - '0' : 2) * GUST_SEC);
    hello(req, res, arg);
}

static void reopen_log(void)
{
    int r = gust_http_log_reopen(access_log, gust_after(10 * GUST_SEC));
    if (r < 0)
        failed(log_path, r);
}

static void say_error(const gust_http_error_info *error, void *arg)
{
    char addr[GUST_ADDR_TEXT_MAX];
    fprintf(stderr, "graceful: %s: %s %s\n", gust_addr_format(&error->remote, addr),
            gust_http_error_name(error->kind), error->text);
}

static int serve(void *arg)
{
    static const app_route routes[] = {{"GET /{$}", hello},
                                       {"GET /slow", slow},
                                       {"GET /healthz", gust_http_health_live},
                                       {"GET /readyz", gust_http_health_ready},
                                       {0}};
    int r = gust_http_log_new(&(gust_http_log_options){.path = log_path}, &access_log);
    if (r < 0)
        return failed(log_path, r);
    const gust_http_server_options options = {
        .log = access_log, .on_error = say_error, .lame_duck_ns = lame_duck_ns};
    int status = app_serve(&(app){options, routes, .on_usr1 = reopen_log});
    gust_http_log_close(access_log, gust_after(10 * GUST_SEC));
    return status;
}

int main(int argc, char **argv)
{
    static const option options[] = {
        {"--log", "FILE", "the access log (/dev/stdout)", option_text, &log_path},
        {"--lame-duck", "SECONDS", "to go on after SIGTERM (0)", option_seconds, &lame_duck_ns},
        APP_OPTIONS,
        {0}};
    return app_main(argv, options, serve);
}
