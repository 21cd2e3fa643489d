/* Taking a connection out of the server's hands: for WebSocket and other protocols that
 * begin as a request.
 *
 *     static void serve_socket(gust_http_request *req, gust_http_response *res, void *arg)
 *     {
 *         gust_conn *conn;
 *         gust_http_header(res, "Sec-WebSocket-Accept", accept_key(req));
 *         if (gust_http_upgrade(req, res, "websocket", &conn) < 0) {
 *             gust_http_error(res, 426, "WebSocket only");
 *             return;
 *         }
 *         talk(conn);
 *         gust_conn_close(conn, gust_after(5 * GUST_SEC));
 *     }
 *
 * From then on the server does nothing with the connection: no timeout and no limit of
 * its is on it, a shutdown neither waits for it nor closes it.  Writing the response and
 * reading the body return -EBADF; what could be asked of the request still can, until the
 * handler returns, but spans from before are not valid any more: ask again.  The handler's
 * context is cancelled when the handler returns and not before; who wants to know that the
 * peer is gone reads, or asks gust_conn_watch. */
#ifndef GUST_HTTP_HIJACK_H
#define GUST_HTTP_HIJACK_H

#include <gust/http.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Takes the connection.  *ret_conn is a reference of the caller's, who closes it when it
 * pleases, also after the handler has returned.  Its deadlines are cleared; what the
 * client has sent beyond what was read of the request is in its view (gust_conn_view)
 * and is what the next read returns.
 * Errors: -EALREADY if the body of the response has begun, or the connection is taken;
 * -EBADF if it is closed (a shutdown has reached its deadline); -ENOMEM. */
int gust_http_hijack(gust_http_request *req, gust_http_response *res, gust_conn **ret_conn);

/* Answers "101 Switching Protocols" to a request that asks to go on with `protocol`, with
 * the fields that were set by gust_http_header, and takes the connection.  The name is
 * compared without regard to case.
 * Errors: -EPROTO if the request does not ask for that (HTTP/1.1, "Connection: Upgrade",
 * the protocol in Upgrade): the handler still answers; -EBUSY if the request's body has not
 * been read to its end; -EINVAL if `protocol` is no token ("/version" may follow it);
 * as gust_http_hijack and gust_http_write. */
int gust_http_upgrade(gust_http_request *req, gust_http_response *res, const char *protocol,
                      gust_conn **ret_conn);

#ifdef __cplusplus
}
#endif
#endif
