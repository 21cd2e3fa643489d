/* Upstreams that speak TLS, or do not. */
#include "tests/proxy/front.h"

#include <gust/tls.h>

#define GET "GET / HTTP/1.1\r\nHost: site\r\nConnection: close\r\n\r\n"

/* Takes connections, and says nothing about TLS. */
static void say_nothing(gust_conn *conn, struct backend *b)
{
    (void)b;
    while (gust_conn_fill(conn, CLIENT_VIEW_MAX, SOON) > 0)
        continue;
}

static int shake_no_hand(void *arg)
{
    gust_tls_config *tls;
    struct backend b;
    struct front f;
    char url[80];

    (void)arg;
    CHECK_EQ(gust_tls_config_new(&(gust_tls_options){0}, &tls), 0);
    backend_start(&b, say_nothing);
    snprintf(url, sizeof(url), "https%s", b.url + strlen("http"));
    front_start(&f, url,
                (gust_http_proxy_options){QUIET, .tls = tls, .connect_timeout_ns = 20 * GUST_MS});
    expect_reply_start(site_ask(&f.site, GET), "the client", "HTTP/1.1 504 Gateway Timeout\r\n");
    gust_http_upstream_stats stats;
    front_stats(&f, &stats);
    CHECK_EQ(stats.failures, 1 + GUST_HTTP_PROXY_RETRIES); /* nothing of it was sent */
    front_stop(&f);
    backend_stop(&b);
    gust_tls_config_unref(tls);
    return 0;
}

Test(proxy_tls, connect_timeout_is_for_the_handshake_too)
{
    test_run_without_leaks(shake_no_hand, NULL);
}
