/* Server-sent events: a response that goes on, of which a browser's EventSource makes
 * events (the HTML standard, 9.2).
 *
 *     static void follow(gust_http_request *req, gust_http_response *res, void *arg)
 *     {
 *         gust_chan *news = subscribe(arg, gust_http_sse_last_id(req));
 *         int r = gust_http_sse_start(res);
 *         while (r == 0) {
 *             int n = gust_chan_recv(news, &item, gust_after(15 * GUST_SEC));
 *             if (n == -ETIMEDOUT)
 *                 r = gust_http_sse_comment(res, NULL);
 *             else
 *                 r = n == 1 ? gust_http_sse_send(res, &(gust_http_sse_event){
 *                                  .id = item.id, .data = {item.text, item.len}}) : -EPIPE;
 *         }
 *         unsubscribe(arg, news);
 *     }
 *
 * Every call sends what it writes.  All but the first return an error once the client is
 * gone; a handler that waits for something else meanwhile gets -ECANCELED there, as its
 * context is cancelled.  Proxies and browsers give up a connection on which nothing comes
 * for long: a comment every 15 seconds or so keeps it.  Also for the errors of
 * gust_http_write. */
#ifndef GUST_HTTP_SSE_H
#define GUST_HTTP_SSE_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sends the header: text/event-stream, not to be stored, nor held back by nginx.  Other
 * fields may be set before.
 * Errors: -EALREADY if the body has begun; as gust_http_header and gust_http_flush. */
int gust_http_sse_start(gust_http_response *res);

/* Zeroes: what is not sent. */
typedef struct gust_http_sse_event {
    const char *id;   /* what a client that comes back will name as the last one; "" makes
                         it forget */
    const char *name; /* of the event; NULL: "message" */
    gust_span data;   /* text in UTF-8, of any number of lines, that end in LF, CR LF or CR;
                         the client gets them joined by LF.  data.data NULL: no event, only
                         the id is noted */
} gust_http_sse_event;

/* Sends an event.  Up to a kilobyte of it needs no memory.
 * Errors: -EINVAL for a line end in id or name, and nothing of it was sent; -ECANCELED if
 * the context is cancelled, the client being gone; -ENOMEM. */
int gust_http_sse_send(gust_http_response *res, const gust_http_sse_event *event);

/* Tells the client how long to wait before it connects again.
 * Errors: -EINVAL if ms < 0; -ECANCELED. */
int gust_http_sse_retry(gust_http_response *res, int64_t ms);

/* Sends what no client shows: a sign of life.  NULL: an empty one.
 * Errors: -EINVAL for a line end in it; -ECANCELED; -ENOMEM. */
int gust_http_sse_comment(gust_http_response *res, const char *text);

/* The id of the last event that the client has got before it lost its connection; data is
 * NULL if it names none.  It is the client's word. */
gust_span gust_http_sse_last_id(const gust_http_request *req);

#ifdef __cplusplus
}
#endif
#endif
