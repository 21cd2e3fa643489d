/* The smallest HTTP server: hello [ADDR:PORT]. */
#include <gust/http.h>
#include <gust/runtime.h>
#include <stdio.h>

static void hello(gust_http_request *req, gust_http_response *res, void *arg)
{
    gust_http_reply(res, 200, "text/plain", "Hello, World!\n", 14);
}

static int serve(void *arg)
{
    const char *where = arg ? arg : "127.0.0.1:8080";
    char text[GUST_ADDR_TEXT_MAX];
    gust_addr addr;
    gust_listener *listener;
    gust_http_server *server;
    if (gust_addr_parse(where, &addr) < 0 || gust_listen(&addr, &listener) < 0 ||
        gust_http_server_new(&(gust_http_server_options){.handler = hello}, &server) < 0)
        return fprintf(stderr, "hello [ADDR:PORT]: cannot listen on %s\n", where);
    gust_listener_addr(listener, &addr);
    dprintf(1, "hello: http://%s\n", gust_addr_format(&addr, text));
    return gust_http_server_serve(server, listener);
}

int main(int argc, char **argv)
{
    return gust_run(serve, argv[1]) != 0;
}
