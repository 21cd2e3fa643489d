/* Both ends of TLS by the command line, for tests/integration/tls.py:
 *
 *     tls_peer serve|dial PORT OPTION=VALUE...
 *
 * serve echoes on 127.0.0.1 (port 0: one that the kernel picks, which it prints);
 * dial sends what say= holds and prints what it gets until as much has come.  Each
 * connection's facts and its end are printed, a line each. */
#include <gust/net.h>
#include <gust/runtime.h>
#include <gust/tls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    gust_tls_identity ids[4];
    const char *alpn[4];
    gust_tls_options tls;
    const char *host;
    const char *say;
    bool serve;
    gust_addr addr;
} peer;

static void print_info(gust_conn *c)
{
    gust_tls_info info;
    if (gust_tls_info_read(c, &info) == 0)
        dprintf(1, "info version=%x cipher=%s alpn=%s name=%s resumed=%d verified=%d subject=%s\n",
                info.version, info.cipher, info.alpn, info.server_name, info.resumed,
                info.peer_verified, info.peer_subject);
}

static void echo(void *conn)
{
    char buf[4096];
    ssize_t n = gust_tls_handshake(conn, GUST_FOREVER);
    if (n == 0) {
        print_info(conn);
        while ((n = gust_conn_read(conn, buf, sizeof buf, gust_after(60 * GUST_SEC))) > 0)
            if ((n = gust_conn_write(conn, buf, (size_t)n, gust_after(60 * GUST_SEC))) < 0)
                break;
    }
    dprintf(1, "end %s %s\n", n ? strerrorname_np((int)-n) : "clean", gust_tls_error(conn));
    gust_conn_close(conn, gust_after(GUST_SEC));
}

static int serve(gust_tls_config *config)
{
    gust_listener *l;
    gust_conn *c;
    int r = gust_tcp_listen(&peer.addr, NULL, &l);
    if (r)
        return r;
    gust_listener_use_tls(l, config);
    gust_listener_addr(l, &peer.addr);
    dprintf(1, "port %d\n", gust_addr_port(&peer.addr));
    while ((r = gust_listener_accept(l, GUST_FOREVER, &c)) == 0)
        if (gust_go(echo, c) < 0)
            gust_conn_unref(c);
    return r;
}

static int dial(gust_tls_config *config)
{
    char buf[4096];
    gust_conn *c;
    size_t want = strlen(peer.say), got = 0;
    ssize_t n = gust_tls_dial(&peer.addr, peer.host, config, gust_after(60 * GUST_SEC), &c);
    if (n < 0) {
        dprintf(1, "end %s\n", strerrorname_np((int)-n));
        return 0;
    }
    n = gust_conn_write(c, peer.say, want, gust_after(60 * GUST_SEC));
    while (n > 0 && got < want) {
        n = gust_conn_read(c, buf, sizeof buf, gust_after(60 * GUST_SEC));
        dprintf(1, "got %.*s\n", n > 0 ? (int)n : 0, buf);
        got += n > 0 ? (size_t)n : 0;
    }
    print_info(c);
    dprintf(1, "end %s %s\n", n < 0 ? strerrorname_np((int)-n) : "clean", gust_tls_error(c));
    gust_conn_close(c, gust_after(GUST_SEC));
    return 0;
}

static int run(void *arg)
{
    gust_tls_config *config;
    (void)arg;
    int r = gust_tls_config_new(&peer.tls, &config);
    if (r)
        return 1;
    /* Twice, if the first is to be resumed. */
    r = peer.serve ? serve(config) : dial(config);
    if (r == 0 && !peer.serve && getenv("TLS_PEER_TWICE"))
        r = dial(config);
    gust_tls_config_unref(config);
    return r != 0;
}

static gust_tls_version version_of(const char *text)
{
    return strcmp(text, "1.2") == 0 ? GUST_TLS_1_2 : GUST_TLS_1_3;
}

static bool parse(const char *name, const char *value)
{
    gust_tls_options *o = &peer.tls;
    size_t alpn = 0;
    if (strcmp(name, "cert") == 0)
        peer.ids[o->identity_count].cert_file = value;
    else if (strcmp(name, "key") == 0)
        peer.ids[o->identity_count++].key_file = value;
    else if (strcmp(name, "ca") == 0)
        o->ca_file = value;
    else if (strcmp(name, "auth") == 0)
        o->client_auth =
            strcmp(value, "require") == 0 ? GUST_TLS_CLIENT_REQUIRE : GUST_TLS_CLIENT_REQUEST;
    else if (strcmp(name, "max") == 0)
        o->max_version = version_of(value);
    else if (strcmp(name, "timeout_ms") == 0)
        o->handshake_timeout_ns = atoi(value) * GUST_MS;
    else if (strcmp(name, "host") == 0)
        peer.host = value;
    else if (strcmp(name, "say") == 0)
        peer.say = value;
    else if (strcmp(name, "alpn") == 0) {
        while (peer.alpn[alpn])
            alpn++;
        peer.alpn[alpn] = value;
        o->alpn = peer.alpn;
    } else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    char addr[64];
    peer.tls.identities = peer.ids;
    peer.say = "hello";
    for (int i = 3; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (!equals)
            return 2;
        *equals = '\0';
        if (!parse(argv[i], equals + 1))
            return 2;
    }
    if (argc < 3)
        return 2;
    peer.serve = strcmp(argv[1], "serve") == 0;
    snprintf(addr, sizeof addr, "127.0.0.1:%s", argv[2]);
    return gust_addr_parse(addr, &peer.addr) ? 2 : gust_run(run, NULL);
}
