/* A reverse proxy for HTTP: build/release/examples/http_proxy --upstream http://10.0.0.1:8080
 *
 * Upstreams by --upstream, or everything by a file (--config, see proxy.yaml).  SIGHUP reads
 * the file, and certificates, again, and opens the log anew; SIGTERM and SIGINT end it once
 * the requests in flight are answered.  docs/proxy.md is the guide. */
#include "examples/tls.h"

#include <gust/http_log.h>
#include <gust/http_proxy_yaml.h>
#include <gust/proxy.h>

#define UPSTREAMS_MAX 64

/* How long requests in flight have after a SIGTERM. */
#define DRAIN_NS (30 * GUST_SEC)

static struct program {
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
} program;

/* --- Options ------------------------------------------------------------------------- */

static int say(const char *what, int error)
{
    failed(what, error);
    return error;
}

/* The place of `text` among the words, or -1. */
static int word(const char *text, const char *const *words)
{
    for (int i = 0; words[i]; i++)
        if (strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static bool option_balance(const char *text, void *to)
{
    int i = word(text, gust_http_balance_names);
    if (i >= 0)
        *(gust_http_balance *)to = (gust_http_balance)i;
    return i >= 0;
}

static bool option_forwarding(const char *text, void *to)
{
    int i = word(text, gust_http_forwarding_names);
    if (i >= 0)
        *(gust_http_forwarding *)to = (gust_http_forwarding)i;
    return i >= 0;
}

static bool option_upstream(const char *url, void *to)
{
    struct program *p = to;
    if (p->options.upstream_count == UPSTREAMS_MAX)
        return false;
    p->upstreams[p->options.upstream_count++].url = url;
    return true;
}

static bool option_upstream_timeout(const char *text, void *to)
{
    gust_http_proxy_options *o = to;
    return option_seconds(text, &o->first_byte_timeout_ns) &&
           option_seconds(text, &o->idle_timeout_ns);
}

static const option options[] = {
    {"--listen", "ADDR:PORT", "default: 127.0.0.1:8080", option_text, &program.listen},
    {"--upstream", "URL", "who answers; may be given several times", option_upstream, &program},
    {"--config", "FILE", "instead: upstreams, and all else, in YAML", option_text,
     &program.config_path},
    {"--connect-timeout", "SECONDS", "to an upstream", option_seconds,
     &program.options.connect_timeout_ns},
    {"--upstream-timeout", "SECONDS", "for each wait for an upstream", option_upstream_timeout,
     &program.options},
    {"--balance", "HOW", "round_robin, least_connections, two_choices, consistent_hash",
     option_balance, &program.options.balance},
    {"--check", "PATH", "ask each upstream for it now and then", option_text,
     &program.options.check_path},
    {"--stats", "PATH", "statistics: a page there, JSON at PATH.json", option_text, &program.stats},
    {"--access-log", "FILE", "lines of JSON", option_text, &program.log_path},
    {"--forwarding", "HOW", "what becomes of X-Forwarded-*: replace, append, none",
     option_forwarding, &program.options.forwarding},
    {"--accept-proxy", NULL, "connections begin with a PROXY header", option_flag,
     &program.accept_proxy},
    TLS_OPTIONS,
    {NULL}};

static void check_options(const struct program *p)
{
    if (p->config_path && p->options.upstream_count > 0)
        options_refuse(options, "--config", "does not go together with", "--upstream");
    if (!p->config_path && p->options.upstream_count == 0)
        options_refuse(options, "--upstream", "or --config", "is missing");
    tls_check_options(options);
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
    gust_http_server_options o = {
        .handler = gust_http_proxy_serve, .arg = p->proxy, .keep_remote_hosts = true};
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
    const gust_listen_options listening = {.proxy = p->accept_proxy ? &proxy : NULL};
    gust_addr addr;
    int r = gust_addr_parse(listen, &addr);
    if (r == 0)
        r = addr.any.sa_family == AF_UNIX ? gust_listen(&addr, ret_listener)
                                          : gust_tcp_listen(&addr, &listening, ret_listener);
    return r;
}

/* Not by tls_listen, which would take the SIGHUP. */
static int use_tls(struct program *p, gust_listener *listener)
{
    const gust_tls_options tls = {.identities = &tls_identity, .identity_count = 1};
    if (!tls_identity.cert_file)
        return 0;
    int r = gust_tls_config_new(&tls, &p->tls); /* it has said why not */
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
        dprintf(1, "http_proxy: http%s://%s\n", tls_identity.cert_file ? "s" : "",
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
    options_parse(argv, options);
    check_options(&program);
    return gust_run(run, &program);
}
