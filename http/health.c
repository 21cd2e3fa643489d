/* Handlers that say how the server is. */
#include "http/exchange.h"

#include <gust/http_operations.h>

#include <string.h>

/* No cache may answer for the server. */
static void say(gust_http_response *res, int status, const char *text)
{
    gust_http_header(res, "Cache-Control", "no-store");
    gust_http_reply(res, status, "text/plain", text, strlen(text));
}

void gust_http_health_live(gust_http_request *req, gust_http_response *res, void *unused)
{
    (void)req;
    (void)unused;
    say(res, 200, "ok\n");
}

void gust_http_health_ready(gust_http_request *req, gust_http_response *res, void *check)
{
    const gust_http_health_check *c = check;
    const char *why = c ? c->check(c->arg) : NULL;

    if (gust__http_lame(req->hc))
        say(res, 503, "shutting down\n");
    else if (why)
        say(res, 503, why);
    else
        say(res, 200, "ok\n");
}
