/* The same as a page, and as JSON.  An upstream's URL has none of the characters that would
 * have to be escaped in JSON, nor '<'; an '&' is read by browsers as what it is. */
#include "proxy/proxy.h"

#include <gust/http_reply.h>

#include <inttypes.h>

struct page {
    gust_http_response *res;
    unsigned written; /* upstreams */
};

static double ms(int64_t ns)
{
    return (double)ns / (double)GUST_MS;
}

static void text(const struct page *p, const char *literal)
{
    gust_http_write(p->res, literal, strlen(literal));
}

/* --- JSON ---------------------------------------------------------------------------- */

static void json_upstream(const gust_http_upstream_stats *s, void *arg)
{
    struct page *p = arg;

    gust_http_printf(p->res,
                     "%s\n  {\"url\": \"%s\", \"state\": \"%s\", \"weight\": %u, "
                     "\"in_flight\": %" PRIu64 ", \"requests\": %" PRIu64
                     ", \"responses\": %" PRIu64 ", \"failures\": %" PRIu64 ", \"cut\": %" PRIu64
                     ", \"retries\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"ejections\": %" PRIu64
                     ", \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f}",
                     p->written++ ? "," : "", s->url, gust_http_upstream_state_name(s->state),
                     s->weight, s->in_flight, s->requests, s->responses, s->failures, s->cut,
                     s->retries, s->refused, s->ejections, ms(s->p50_ns), ms(s->p90_ns),
                     ms(s->p99_ns));
}

static void begin(gust_http_response *res, const char *content_type)
{
    gust_http_header(res, "Content-Type", content_type);
    gust_http_header(res, "Cache-Control", "no-store");
}

void gust_http_proxy_stats_json(gust_http_request *req, gust_http_response *res, void *proxy)
{
    struct page p = {res, 0};

    (void)req;
    begin(res, "application/json");
    text(&p, "{\"upstreams\": [");
    gust_http_proxy_stats_read(proxy, json_upstream, &p);
    text(&p, "\n]}\n");
}

/* --- The page --------------------------------------------------------------------------- */

static const char page_head[] =
    "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
    "<meta http-equiv=\"refresh\" content=\"5\"><title>Upstreams</title><style>"
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{padding:.3em .8em;border-bottom:1px solid #ccc;text-align:right}"
    "th:first-child,td:first-child{text-align:left}"
    ".up{background:#dfd}.draining{background:#eee}.ejected{background:#fed}.down{background:#fcc}"
    "</style></head><body><h1>Upstreams</h1><table><tr><th>URL</th><th>State</th><th>Weight</th>"
    "<th>In flight</th><th>Requests</th><th>Responses</th><th>Failures</th><th>Cut off</th>"
    "<th>Retries</th><th>Refused</th><th>Ejections</th><th>p50 ms</th><th>p90 ms</th>"
    "<th>p99 ms</th></tr>\n";

static void page_upstream(const gust_http_upstream_stats *s, void *arg)
{
    const char *state = gust_http_upstream_state_name(s->state);
    struct page *p = arg;

    gust_http_printf(p->res,
                     "<tr><td>%s</td><td class=\"%s\">%s</td><td>%u</td><td>%" PRIu64
                     "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                     "</td><td>%" PRIu64 "</td><td>%" PRIu64 "</td><td>%" PRIu64
                     "</td><td>%.3f</td><td>%.3f</td><td>%.3f</td></tr>\n",
                     s->url, state, state, s->weight, s->in_flight, s->requests, s->responses,
                     s->failures, s->cut, s->retries, s->refused, s->ejections, ms(s->p50_ns),
                     ms(s->p90_ns), ms(s->p99_ns));
}

void gust_http_proxy_stats_page(gust_http_request *req, gust_http_response *res, void *proxy)
{
    struct page p = {res, 0};

    (void)req;
    begin(res, "text/html; charset=utf-8");
    text(&p, page_head);
    gust_http_proxy_stats_read(proxy, page_upstream, &p);
    text(&p, "</table></body></html>\n");
}
