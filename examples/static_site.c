/* A directory as a web site, over HTTP or HTTPS, until SIGTERM or SIGINT:
 *
 *     static_site --root DIRECTORY [--listen ADDRESS] [--tls-cert FILE --tls-key FILE] */
#include <gust/http_files.h>

#include "examples/tls.h"

static const char *root;
static const char *listen_on = "127.0.0.1:8080";

struct site {
    gust_http_files *files;
    gust_http_server *server;
    gust_chan *signals;
};

/* Requests in flight may finish. */
static void stop_on_signal(void *arg)
{
    struct site *site = arg;
    int signo;

    gust_chan_recv(site->signals, &signo, GUST_FOREVER);
    gust_http_server_shutdown(site->server, gust_after(5 * GUST_SEC));
}

static int serve_on(struct site *site, gust_listener *listener)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    int r = tls_listen(listener);

    if (r == 0)
        r = gust_chan_new(sizeof(int), 1, &site->signals);
    if (r == 0)
        r = gust_signal_notify(site->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(site->signals, SIGINT);
    if (r == 0)
        r = gust_go(stop_on_signal, site);
    if (r < 0)
        return r;
    gust_listener_addr(listener, &addr);
    printf("static_site: http%s://%s\n", tls_identity.cert_file ? "s" : "",
           gust_addr_format(&addr, text));
    fflush(stdout);
    return gust_http_server_serve(site->server, listener);
}

static int serve(void *arg)
{
    const gust_http_files_options files = {.root = root, .precompressed = true};
    gust_http_server_options server = {.handler = gust_http_files_serve};
    struct site site = {0};
    gust_listener *listener = NULL;
    gust_addr addr;
    int r = gust_addr_parse(listen_on, &addr);

    (void)arg;
    if (r == 0)
        r = gust_http_files_new(&files, &site.files);
    server.arg = site.files;
    if (r == 0)
        r = gust_http_server_new(&server, &site.server);
    if (r == 0)
        r = gust_tcp_listen(&addr, NULL, &listener);
    if (r == 0)
        r = serve_on(&site, listener);
    if (r < 0)
        fprintf(stderr, "static_site: %s on %s: %s\n", root, listen_on, strerror(-r));
    gust_listener_close(listener);
    gust_http_server_free(site.server);
    gust_http_files_free(site.files);
    gust_chan_unref(site.signals);
    return r < 0;
}

int main(int argc, char **argv)
{
    bool known = tls_take_args(&argc, argv);

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 < argc && strcmp(argv[i], "--root") == 0)
            root = argv[i + 1];
        else if (i + 1 < argc && strcmp(argv[i], "--listen") == 0)
            listen_on = argv[i + 1];
        else
            known = false;
    }
    if (!known || !root) {
        fprintf(stderr, "usage: static_site --root DIRECTORY [--listen ADDRESS] " TLS_USAGE "\n");
        return 2;
    }
    return gust_run(serve, NULL) == 0 ? 0 : 1;
}
