/* Making a connection: look-up, TCP or Unix, a PROXY header, TLS. */
#include "http/client/client.h"

#include "core/inject.h"

#include <gust/resolve.h>
#include <gust/unix.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int fail(gust_http_call *call, gust_http_phase phase, int error)
{
    return gust__call_fail(&call->failure, phase, error, "");
}

/* --- Dialling ----------------------------------------------------------------------- */

static int dial_host(gust_http_call *call, const char *host, const char *service,
                     gust_time deadline, gust_conn **ret_conn)
{
    const gust_dial_options *dial = &call->client->options.dial;
    const gust_resolve_options how = {
        .family = dial->local ? dial->local->any.sa_family : dial->family,
        .socktype = SOCK_STREAM,
    };
    gust_addrs *addrs;

    int r = gust_resolve(host, service, &how, deadline, &addrs);
    if (r < 0)
        return fail(call, GUST_HTTP_PHASE_RESOLVE, r);
    r = gust_dial_addrs(addrs, dial, deadline, ret_conn);
    gust_addrs_free(addrs);
    return r < 0 ? fail(call, GUST_HTTP_PHASE_CONNECT, r) : 0;
}

static int dial_name(gust_http_call *call, gust_time deadline, gust_conn **ret_conn)
{
    const gust_http_origin *o = call->origin;
    char service[8];

    if (!o->proxy)
        return dial_host(call, o->host, o->service, deadline, ret_conn);
    snprintf(service, sizeof(service), "%u", o->proxy->port);
    return dial_host(call, o->proxy->host, service, deadline, ret_conn);
}

static int dial_addr(gust_http_call *call, gust_time deadline, gust_conn **ret_conn)
{
    struct {
        gust_addrs addrs;
        gust_addr room;
    } one = {.addrs.count = 1};
    const gust_addr *addr = &call->origin->addr;
    int r;

    one.addrs.list[0] = *addr;
    if (addr->any.sa_family == AF_UNIX)
        r = gust_unix_dial(addr, deadline, ret_conn);
    else
        r = gust_dial_addrs(&one.addrs, &call->client->options.dial, deadline, ret_conn);
    return r < 0 ? fail(call, GUST_HTTP_PHASE_CONNECT, r) : 0;
}

/* --- What comes first on the connection ------------------------------------------------ */

static int send_proxy_header(gust_http_call *call, gust_conn *conn, gust_time deadline)
{
    const struct http_text *header = &call->proxy_header;

    if (header->len == 0)
        return 0;
    ssize_t n = gust_conn_append(conn, header->data, header->len, deadline);
    return n < 0 ? fail(call, GUST_HTTP_PHASE_CONNECT, (int)n) : 0;
}

static int fail_tls(gust_http_call *call, const gust_conn *conn, int error)
{
    snprintf(call->reason, sizeof(call->reason), "%s", gust_tls_error(conn));
    return gust__call_fail(&call->failure, GUST_HTTP_PHASE_TLS, error, call->reason);
}

/* A server that agreed to another protocol would not understand us. */
static int check_protocol(gust_http_call *call, gust_conn *conn)
{
    gust_tls_info info;

    int r = gust_tls_info_read(conn, &info);
    if (r < 0)
        return fail(call, GUST_HTTP_PHASE_TLS, r);
    if (info.alpn[0] && strcmp(info.alpn, "http/1.1") != 0)
        return gust__call_fail(&call->failure, GUST_HTTP_PHASE_TLS, -EPROTO,
                               "the server has chosen another protocol than http/1.1");
    return 0;
}

static int start_tls(gust_http_call *call, gust_conn *conn)
{
    const gust_http_origin *o = call->origin;

    int r = gust_tls_client(conn, o->tls, o->tls_name);
    if (r == 0)
        r = gust_tls_handshake(conn, call_deadline(call, call->timeouts.tls_ns));
    return r < 0 ? fail_tls(call, conn, r) : check_protocol(call, conn);
}

static int open_conn(gust_http_call *call, gust_time deadline, gust_conn **ret_conn)
{
    gust_conn *conn = NULL;

    int r = call->origin->addr.len ? dial_addr(call, deadline, &conn)
                                   : dial_name(call, deadline, &conn);
    if (r < 0)
        return r;
    r = send_proxy_header(call, conn, deadline);
    if (r == 0 && call->origin->proxy)
        r = gust__tunnel(call, conn, deadline);
    if (r == 0 && call->origin->tls)
        r = start_tls(call, conn);
    if (r < 0)
        gust_conn_close(conn, GUST_NOW);
    else
        *ret_conn = conn;
    return r;
}

int gust__connect(gust_http_call *call, struct client_conn **ret_cc)
{
    struct client_conn *cc = gust__malloc(sizeof(*cc));
    int r = -ENOMEM;

    if (cc) {
        gust_time deadline = call_deadline(call, call->timeouts.connect_ns);
        gust_time start = gust_now();
        *cc = (struct client_conn){.origin = call->origin,
                                   .generation = gust__pool_generation(call->origin)};
        r = open_conn(call, deadline, &cc->conn);
        cc->connect_ns = gust_now() - start;
    } else {
        fail(call, GUST_HTTP_PHASE_CONNECT, r);
    }
    gust__pool_opened(call->origin, r == 0);
    if (r < 0)
        free(cc);
    else
        *ret_cc = cc;
    return r;
}
