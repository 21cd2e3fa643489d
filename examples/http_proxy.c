/* A reverse proxy for HTTP: build/release/examples/http_proxy --upstream http://10.0.0.1:8080
 *
 * Upstreams by --upstream, or everything by a file (--config, see proxy.yaml).  SIGHUP reads
 * the file, and certificates, again, and opens the log anew; SIGTERM and SIGINT end it once
 * the requests in flight are answered.  docs/proxy.md is the guide. */
#include "examples/tls.h"

#include <gust/http_log.h>
#include <gust/http_proxy_yaml.h>
#include <gust/proxy.h>

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define UPSTREAMS_MAX 64

/* How long requests in flight have after a SIGTERM. */
#define DRAIN_NS (30 * GUST_SEC)

static const char usage[] =
    "usage: http_proxy --listen ADDR:PORT --upstream URL [--upstream URL ...]\n"
    "       http_proxy --config FILE [--listen ADDR:PORT]\n"
    "  --connect-timeout S   --upstream-timeout S   (seconds; the second is for each wait)\n"
    "  --balance round_robin | least_connections | two_choices | consistent_hash\n"
    "  --check PATH          ask each upstream for PATH now and then\n"
    "  --stats PATH          statistics: a page there, JSON at PATH.json\n"
    "  --access-log FILE     --forwarding replace | append | none\n"
    "  --accept-proxy        connections begin with a PROXY header\n"
    "  " TLS_USAGE "\n";

struct program {
    const char *config_path;
    const char *listen;
    const char *stats;
    const char *log_path;
    bool accept_proxy;
    gust_http_upstream upstreams[UPSTREAMS_MAX];
    gust_http_proxy_options options; /* of the command line */
    gust_http_proxy_yaml *file;      /* NULL: there is none */
    gust_tls_config *upstream_tls;
    gust_tls_config *tls; /* NULL: plain HTTP */

    gust_http_proxy *proxy;
    gust_http_log *log;
    gust_http_server *server;
    gust_chan *signals;
};

/* --- Options ------------------------------------------------------------------------- */

static int say(const char *what, int error)
{
    fprintf(stderr, "http_proxy: %s: %s\n", what, strerror(-error));
    return error;
}

static bool read_seconds(const char *text, int64_t *ret_ns)
{
    char *end;
    double s = strtod(text, &end);
    bool valid = *end == '\0' && end > text && s > 0 && s < 1e9;
    *ret_ns = valid ? (int64_t)(s * (double)GUST_SEC) : 0;
    return valid && *ret_ns > 0;
}

/* The place of `text` among the words, or -1. */
static int word(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static bool take_balance(gust_http_proxy_options *o, const char *text)
{
    static const char *const words[] = {"round_robin", "least_connections", "two_choices",
                                        "consistent_hash", NULL};
    int i = word(text, words);
    o->balance = i < 0 ? GUST_HTTP_ROUND_ROBIN : (gust_http_balance)i;
    return i >= 0;
}

static bool take_forwarding(gust_http_proxy_options *o, const char *text)
{
    static const char *const words[] = {"replace", "append", "none", NULL};
    int i = word(text, words);
    o->forwarding = i < 0 ? GUST_HTTP_FORWARDING_REPLACE : (gust_http_forwarding)i;
    return i >= 0;
}

static bool take_upstream(struct program *p, const char *url)
{
    if (p->options.upstream_count == UPSTREAMS_MAX)
        return false;
    p->upstreams[p->options.upstream_count++].url = url;
    return true;
}

static bool take_option(struct program *p, int option)
{
    gust_http_proxy_options *o = &p->options;
    switch (option) {
    case 'l': p->listen = optarg; return true;
    case 'u': return take_upstream(p, optarg);
    case 'c': return read_seconds(optarg, &o->connect_timeout_ns);
    case 't':
        return read_seconds(optarg, &o->first_byte_timeout_ns) &&
               read_seconds(optarg, &o->idle_timeout_ns);
    case 'b': return take_balance(o, optarg);
    case 'h': o->check_path = optarg; return true;
    case 's': p->stats = optarg; return true;
    case 'a': p->log_path = optarg; return true;
    case 'f': return take_forwarding(o, optarg);
    case 'p': p->accept_proxy = true; return true;
    case 'g': p->config_path = optarg; return true;
    default: return false;
    }
}

static bool take_options(struct program *p, int argc, char **argv)
{
    static const struct option options[] = {
        {"listen", required_argument, NULL, 'l'},
        {"upstream", required_argument, NULL, 'u'},
        {"connect-timeout", required_argument, NULL, 'c'},
        {"upstream-timeout", required_argument, NULL, 't'},
        {"balance", required_argument, NULL, 'b'},
        {"check", required_argument, NULL, 'h'},
        {"stats", required_argument, NULL, 's'},
        {"access-log", required_argument, NULL, 'a'},
        {"forwarding", required_argument, NULL, 'f'},
        {"accept-proxy", no_argument, NULL, 'p'},
        {"config", required_argument, NULL, 'g'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!take_option(p, option)) {
            if (option != '?')
                fprintf(stderr, "http_proxy: \"%s\" is no valid value\n", optarg);
            return false;
        }
    return optind == argc && !p->config_path == (p->options.upstream_count > 0);
}

/* --- The proxy ------------------------------------------------------------------------- */

/* Verifies upstreams by the system's store. */
static int set_tls(struct program *p, gust_http_proxy_options *o)
{
    int r = p->upstream_tls ? 0 : gust_tls_config_new(&(gust_tls_options){0}, &p->upstream_tls);
    o->tls = p->upstream_tls;
    return r;
}

/* Makes the proxy, or gives it new options. */
static int apply(struct program *p, gust_http_proxy_options o)
{
    int r = set_tls(p, &o);
    if (r == 0)
        r = p->proxy ? gust_http_proxy_reload(p->proxy, &o) : gust_http_proxy_new(&o, &p->proxy);
    return r < 0 ? say(p->config_path ? p->config_path : "upstreams", r) : 0;
}

static int configure(struct program *p)
{
    char error[GUST_HTTP_PROXY_YAML_ERROR_MAX];
    gust_http_proxy_yaml *file;
    p->options.upstreams = p->upstreams;
    if (!p->config_path)
        return p->proxy ? 0 : apply(p, p->options);
    int r = gust_http_proxy_yaml_load(p->config_path, error, &file);
    if (r < 0) {
        fprintf(stderr, "http_proxy: %s\n", error);
        return r;
    }
    if ((r = apply(p, file->proxy)) < 0 || p->file) {
        gust_http_proxy_yaml_free(file); /* what is not the proxy's stays as at the start */
        return r;
    }
    p->file = file;
    p->listen = p->listen ? p->listen : file->listen;
    p->stats = p->stats ? p->stats : file->stats;
    p->log_path = p->log_path ? p->log_path : file->access_log;
    return 0;
}

static void handle(gust_http_request *req, gust_http_response *res, void *arg)
{
    const struct program *p = arg;
    gust_span path = gust_http_request_path(req);
    size_t len = strlen(p->stats);
    bool begins = path.len >= len && memcmp(path.data, p->stats, len) == 0;
    if (begins && path.len == len)
        gust_http_proxy_stats_page(req, res, p->proxy);
    else if (begins && path.len == len + 5 && memcmp(path.data + len, ".json", 5) == 0)
        gust_http_proxy_stats_json(req, res, p->proxy);
    else
        gust_http_proxy_serve(req, res, p->proxy);
}

/* --- Signals ------------------------------------------------------------------------------ */

static void reload(struct program *p)
{
    int r = configure(p);
    if (p->tls && gust_tls_config_reload(p->tls) < 0) /* it has said why not */
        r = -EINVAL;
    if (r == 0)
        fprintf(stderr, "http_proxy: reloaded\n");
    if (p->log)
        gust_http_log_reopen(p->log, gust_after(10 * GUST_SEC));
}

static void obey_signals(void *arg)
{
    struct program *p = arg;
    int signo;
    while (gust_chan_recv(p->signals, &signo, GUST_FOREVER) == 1 && signo == SIGHUP)
        reload(p);
    gust_signal_notify(NULL, SIGTERM); /* a second one ends it at once */
    gust_signal_notify(NULL, SIGINT);
    gust_http_server_shutdown(p->server, gust_after(DRAIN_NS));
}

static int catch_signals(struct program *p)
{
    int r = gust_chan_new(sizeof(int), 4, &p->signals);
    if (r == 0)
        r = gust_signal_notify(p->signals, SIGTERM);
    if (r == 0)
        r = gust_signal_notify(p->signals, SIGINT);
    if (r == 0)
        r = gust_signal_notify(p->signals, SIGHUP);
    return r ? r : gust_go(obey_signals, p);
}

/* --- The server --------------------------------------------------------------------------- */

static int make_server(struct program *p)
{
    const gust_http_log_options log = {.path = p->log_path, .format = GUST_HTTP_LOG_JSON};
    gust_http_server_options o = {.handler = gust_http_proxy_serve, .arg = p->proxy};
    int r = p->log_path ? gust_http_log_new(&log, &p->log) : 0;
    if (r < 0)
        return say(p->log_path, r);
    o.log = p->log;
    if (p->stats) {
        o.handler = handle;
        o.arg = p;
    }
    return gust_http_server_new(&o, &p->server);
}

static int open_listener(const struct program *p, const char *listen, gust_listener **ret_listener)
{
    const gust_proxy_options proxy = {.mode = GUST_PROXY_REQUIRED};
    const gust_listen_options options = {.proxy = p->accept_proxy ? &proxy : NULL};
    gust_addr addr;
    int r = gust_addr_parse(listen, &addr);
    if (r == 0)
        r = addr.any.sa_family == AF_UNIX ? gust_listen(&addr, ret_listener)
                                          : gust_tcp_listen(&addr, &options, ret_listener);
    return r;
}

/* Not by tls_listen, which would take the SIGHUP. */
static int use_tls(struct program *p, gust_listener *listener)
{
    const gust_tls_options options = {.identities = &tls_identity, .identity_count = 1};
    if (!tls_identity.cert_file)
        return 0;
    int r = gust_tls_config_new(&options, &p->tls); /* it has said why not */
    if (r == 0)
        gust_listener_use_tls(listener, p->tls);
    return r;
}

static int serve(struct program *p)
{
    const char *listen = p->listen ? p->listen : "127.0.0.1:8080";
    char text[GUST_ADDR_TEXT_MAX];
    gust_listener *listener = NULL;
    gust_addr addr;
    int r;
    if ((r = open_listener(p, listen, &listener)) == 0 && (r = use_tls(p, listener)) == 0 &&
        (r = catch_signals(p)) == 0) {
        gust_listener_addr(listener, &addr);
        dprintf(1, "listening on http%s://%s\n", tls_identity.cert_file ? "s" : "",
                gust_addr_format(&addr, text));
        r = gust_http_server_serve(p->server, listener);
    }
    if (r < 0)
        say(listen, r);
    gust_listener_close(listener);
    return r;
}

static int run(void *arg)
{
    struct program *p = arg;
    int r = configure(p);
    if (r == 0)
        r = make_server(p);
    if (r == 0)
        r = serve(p);
    gust_http_server_free(p->server);
    gust_http_proxy_free(p->proxy);
    gust_http_log_close(p->log, gust_after(5 * GUST_SEC));
    gust_http_proxy_yaml_free(p->file);
    gust_tls_config_unref(p->upstream_tls);
    gust_tls_config_unref(p->tls);
    gust_chan_unref(p->signals);
    return r ? 1 : 0;
}

int main(int argc, char **argv)
{
    static struct program program;
    if (!tls_take_args(&argc, argv) || !take_options(&program, argc, argv)) {
        fputs(usage, stderr);
        return 2;
    }
    return gust_run(run, &program);
}
