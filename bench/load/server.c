#include "bench/load/server.h"

#include <gust/dial.h>
#include <gust/unix.h>
#include <stdlib.h>

static const gust_tcp_options tcp_options = {.no_keepalive = true};

/* --- TLS --------------------------------------------------------------------------------- */

static enum outcome explain(char why[WHY_MAX], int error)
{
    snprintf(why, WHY_MAX, "%s", gust_resolve_strerror(error));
    return error == -ECANCELED ? OUTCOME_CANCELED : OUTCOME_CONNECT;
}

static enum outcome explain_tls(char why[WHY_MAX], const gust_conn *conn, int error)
{
    const char *more = gust_tls_error(conn);
    snprintf(why, WHY_MAX, "%s", more[0] ? more : gust_resolve_strerror(error));
    return error == -ECANCELED ? OUTCOME_CANCELED : OUTCOME_TLS;
}

/* Takes the conn, and hands it out if all goes well. */
static enum outcome secure(const struct server *s, gust_conn *conn, gust_time deadline,
                           gust_conn **ret_conn, char why[WHY_MAX])
{
    int r = gust_tls_client(conn, s->tls, s->plan->host);
    if (r == 0)
        r = gust_tls_handshake(conn, deadline);
    if (r == 0) {
        *ret_conn = conn;
        return OUTCOME_GOOD;
    }
    enum outcome o = explain_tls(why, conn, r);
    gust_conn_close(conn, GUST_NOW);
    return o;
}

/* Of a failure gust's log has told more. */
static bool make_tls(const struct plan *p, struct server *s)
{
    static const char *const alpn[] = {"http/1.1", NULL};
    const gust_tls_options options = {.ca_file = p->ca_file,
                                      .insecure_skip_verify = p->insecure,
                                      .no_client_sessions = p->no_resumption,
                                      .handshake_timeout_ns = p->timeout_ns,
                                      .alpn = alpn};
    return !p->tls || gust_tls_config_new(&options, &s->tls) == 0;
}

/* --- Connecting -------------------------------------------------------------------------- */

static int dial(const struct server *s, gust_time deadline, gust_conn **ret_conn)
{
    if (s->addr.any.sa_family == AF_UNIX)
        return gust_unix_dial(&s->addr, deadline, ret_conn);
    return gust_tcp_dial_with(&s->addr, &tcp_options, deadline, ret_conn);
}

enum outcome server_connect(const struct server *s, gust_time deadline, gust_conn **ret_conn,
                            char why[WHY_MAX])
{
    gust_conn *conn;
    int r = dial(s, deadline, &conn);
    if (r < 0)
        return explain(why, r);
    if (s->tls)
        return secure(s, conn, deadline, ret_conn, why);
    *ret_conn = conn;
    return OUTCOME_GOOD;
}

/* --- Finding ----------------------------------------------------------------------------- */

/* Any of the name's addresses will do; all connections go to the one that answers first. */
static enum outcome find_by_name(const struct plan *p, gust_time deadline, struct server *s,
                                 char why[WHY_MAX])
{
    char service[8];
    gust_addrs *addrs;
    gust_conn *conn;
    snprintf(service, sizeof service, "%u", p->port);
    int r = gust_resolve(p->host, service, &(gust_resolve_options){.socktype = SOCK_STREAM},
                         deadline, &addrs);
    if (r < 0)
        return explain(why, r);
    r = gust_dial_addrs(addrs, &(gust_dial_options){.tcp = &tcp_options}, deadline, &conn);
    gust_addrs_free(addrs);
    if (r < 0)
        return explain(why, r);
    gust_conn_remote_addr(conn, &s->addr);
    gust_conn_close(conn, GUST_NOW);
    return OUTCOME_GOOD;
}

static enum outcome find_unix(const struct plan *p, struct server *s, char why[WHY_MAX])
{
    char *text;
    if (asprintf(&text, "unix:%s", p->unix_path) < 0)
        return explain(why, -ENOMEM);
    int r = gust_addr_parse(text, &s->addr);
    free(text);
    return r == 0 ? OUTCOME_GOOD : explain(why, -ENAMETOOLONG);
}

/* A server that cannot be used is told of here, once, rather than by every connection. */
static enum outcome try_once(const struct server *s, gust_time deadline, char why[WHY_MAX])
{
    gust_conn *conn;
    enum outcome o = server_connect(s, deadline, &conn, why);
    if (o == OUTCOME_GOOD)
        gust_conn_close(conn, GUST_NOW);
    return o;
}

static void complain_about(const struct plan *p, enum outcome o, const char *why)
{
    if (o == OUTCOME_TLS)
        complain("no TLS with %s port %u: %s", p->host, p->port, why);
    else if (p->unix_path)
        complain("cannot connect to %s: %s", p->unix_path, why);
    else
        complain("cannot connect to %s port %u: %s", p->host, p->port, why);
}

bool server_find(const struct plan *p, struct server *ret_server)
{
    gust_time deadline = gust_after(p->timeout_ns);
    char why[WHY_MAX] = "";
    struct server s = {.plan = p};
    if (!make_tls(p, &s))
        return false;
    enum outcome o = p->unix_path ? find_unix(p, &s, why) : find_by_name(p, deadline, &s, why);
    if (o == OUTCOME_GOOD && (p->tls || p->unix_path))
        o = try_once(&s, deadline, why);
    if (o != OUTCOME_GOOD) {
        complain_about(p, o, why);
        server_release(&s);
        return false;
    }
    *ret_server = s;
    return true;
}

void server_release(struct server *s)
{
    gust_tls_config_unref(s->tls);
}
