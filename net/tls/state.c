/* A connection's TLS state: its making, the handshake, its end. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "core/inject.h"
#include "net/tls/tls.h"

/* --- Making ---------------------------------------------------------------- */

static int tls_start(gust_conn *c, gust_tls_config *config, bool client, char *host)
{
    gust__tls *tls = gust__calloc(1, sizeof *tls);
    if (!tls) {
        free(host);
        return -ENOMEM;
    }
    tls->layer.ops = &gust__tls_ops;
    tls->config = gust_tls_config_ref(config);
    tls->client = client;
    tls->host = host;
    tls->handshake_deadline = config->options.handshake_timeout_ns == GUST_FOREVER
                                  ? GUST_FOREVER
                                  : gust_after(config->options.handshake_timeout_ns);
    c->layer = &tls->layer;
    return 0;
}

int gust__tls_start_server(gust_conn *c, gust_tls_config *config)
{
    return config->options.identity_count == 0 ? -EINVAL : tls_start(c, config, false, NULL);
}

/* The name without a dot at its end and without the brackets of an IPv6 address. */
static int copy_host(const char *host, char **ret_host)
{
    size_t len = strlen(host);
    if (len > 1 && host[len - 1] == '.')
        len--;
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host++;
        len -= 2;
    }
    if (len > GUST__NAME_MAX)
        return -EINVAL;
    char *copy = gust__malloc(len + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, host, len);
    copy[len] = '\0';
    *ret_host = copy;
    return 0;
}

int gust__tls_start_client(gust_conn *c, gust_tls_config *config, const char *host)
{
    bool anonymous = !host || !*host;
    char *copy = NULL;
    if (anonymous && !config->options.insecure_skip_verify)
        return -EINVAL;
    int error = anonymous ? 0 : copy_host(host, &copy);
    return error ? error : tls_start(c, config, true, copy);
}

int gust_tls_dial(const gust_addr *addr, const char *host, gust_tls_config *config,
                  gust_time deadline, gust_conn **ret_conn)
{
    gust_conn *c;
    int error = gust_tcp_dial(addr, deadline, &c);
    if (error)
        return error;
    error = gust_tls_client(c, config, host);
    if (!error)
        error = gust_tls_handshake(c, deadline);
    if (error)
        gust_conn_close(c, GUST_NOW);
    else
        *ret_conn = c;
    return error;
}

static void tls_free(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    SSL_free(tls->ssl);
    gust__tls_context_unref(tls->context);
    gust_tls_config_unref(tls->config);
    tls_block_put(tls->pending);
    gust__tls_view_drop(&tls->view);
    free(tls->host);
    free(tls);
}

/* --- The SSL object --------------------------------------------------------- */

static bool is_ip_address(const char *host)
{
    struct in6_addr v6;
    struct in_addr v4;
    return inet_pton(AF_INET, host, &v4) == 1 || inet_pton(AF_INET6, host, &v6) == 1;
}

static bool ask_for(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (is_ip_address(host)) /* RFC 6066: no SNI */
        return X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

static bool be_client(SSL *ssl, const gust__tls *tls)
{
    SSL_set_verify(
        ssl, tls->config->options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
    SSL_set_connect_state(ssl);
    if (!tls->host)
        return true;
    SSL_SESSION *session = gust__sessions_take(&tls->config->sessions, tls->host);
    bool ok = ask_for(ssl, tls->host) && (!session || SSL_set_session(ssl, session) == 1);
    SSL_SESSION_free(session);
    return ok;
}

static bool be_server(SSL *ssl, const gust__tls *tls)
{
    static const int modes[] = {
        [GUST_TLS_CLIENT_NONE] = SSL_VERIFY_NONE,
        [GUST_TLS_CLIENT_REQUEST] = SSL_VERIFY_PEER,
        [GUST_TLS_CLIENT_REQUIRE] = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    };
    SSL_set_verify(ssl, modes[tls->config->options.client_auth], NULL);
    SSL_set_accept_state(ssl);
    return true;
}

/* Uses what the files of the configuration hold now. */
static int ssl_open(gust__tls *tls)
{
    gust__tls_context *context = gust__tls_config_context(tls->config);
    ERR_clear_error();
    SSL *ssl = SSL_new(context->ctx);
    if (!ssl || !gust__tls_attach(ssl, tls) || !SSL_set_app_data(ssl, tls) ||
        !(tls->client ? be_client(ssl, tls) : be_server(ssl, tls))) {
        ERR_clear_error();
        SSL_free(ssl);
        gust__tls_context_unref(context);
        return gust__tls_fail(tls, -ENOMEM, "out of memory");
    }
    tls->ssl = ssl;
    tls->context = context;
    atomic_store_explicit(&tls->phase, TLS_HANDSHAKE, memory_order_relaxed);
    return 0;
}

/* --- The handshake ----------------------------------------------------------- */

/* A server of 1.3 ends by making a ticket: it may leave with the first answer, and
 * does so without a send of its own. */
static bool may_hold_last_flight(const gust__tls *tls)
{
    return !tls->client && SSL_version(tls->ssl) >= TLS1_3_VERSION;
}

/* OpenSSL reports no session that was resumed with 1.2, though its ticket may be a new
 * one. */
static void keep_renewed_session(const gust__tls *tls)
{
    if (tls->client && tls->host && SSL_session_reused(tls->ssl) &&
        SSL_version(tls->ssl) < TLS1_3_VERSION)
        gust__sessions_put(&tls->config->sessions, tls->host, SSL_get1_session(tls->ssl));
}

static ssize_t step(gust_conn *c)
{
    gust__tls *tls = tls_of(c);
    gust_mutex_lock(&tls->mutex);
    ssize_t n = tls->error;
    if (!n && !tls->ssl)
        n = ssl_open(tls);
    if (!n)
        n = gust__tls_enter(c, gust__tls_do_handshake, NULL, 0, TLS_READING);
    if (n == 0)
        n = gust__tls_fail(tls, -ECONNABORTED, "the connection ended within the handshake");
    if (n > 0) {
        tls->unflushed = may_hold_last_flight(tls);
        keep_renewed_session(tls);
        /* Release: pairs with tls_is_open. */
        atomic_store_explicit(&tls->phase, TLS_OPEN, memory_order_release);
    }
    bool flush = !tls->unflushed;
    gust_mutex_unlock(&tls->mutex);
    if (flush)
        gust__conn_raw_flush(c);
    return n;
}

static int fail(gust__tls *tls, int error, const char *why)
{
    gust_mutex_lock(&tls->mutex);
    error = gust__tls_fail(tls, error, why);
    gust_mutex_unlock(&tls->mutex);
    return error;
}

/* A wait within the handshake has ended with `error`: whose deadline was it? */
static int wait_failed(gust__tls *tls, int error)
{
    if (error == -ETIMEDOUT && gust_now() >= tls->handshake_deadline)
        return fail(tls, -ETIMEDOUT, "the handshake took too long");
    return error;
}

static int wait_for_step(gust_conn *c, ssize_t want, gust_time deadline)
{
    gust__tls *tls = tls_of(c);
    gust_time end = deadline < tls->handshake_deadline ? deadline : tls->handshake_deadline;
    ssize_t n = want == TLS_WANT_READ ? gust__conn_raw_fill(c, end)
                                      : gust__conn_wait_room(c, GUST_CONN_WBUF, end);
    if (want == TLS_WANT_READ && n == 0)
        return fail(tls, -ECONNABORTED, "the connection ended within the handshake");
    return n < 0 ? wait_failed(tls, (int)n) : 0;
}

/* Under tls->shaking, by the reader. */
static int shake_locked(gust_conn *c, gust_time deadline)
{
    while (!tls_is_open(tls_of(c))) {
        ssize_t n = step(c);
        if (tls_wants(n))
            n = wait_for_step(c, n, deadline);
        if (n < 0)
            return (int)n;
    }
    return 0;
}

static int shake(gust_conn *c, gust_time deadline)
{
    int error = gust__conn_enter(c, SIDE_READ, deadline);
    if (error)
        return error;
    error = shake_locked(c, deadline);
    gust__conn_leave(c, SIDE_READ);
    return error;
}

/* Whoever waits here for another's handshake must go on when it is over, and not when
 * the other is done with what it wanted to read: hence it is not enough to be the reader. */
int gust__tls_open(gust_conn *c, gust_time deadline)
{
    gust__tls *tls = tls_of(c);
    if (tls_is_open(tls))
        return 0;
    int error = gust_mutex_lock_until(&tls->shaking, deadline);
    if (error)
        return error;
    error = tls_is_open(tls) ? 0 : shake(c, deadline);
    gust_mutex_unlock(&tls->shaking);
    return error;
}

const gust__layer_ops gust__tls_ops = {
    .read = gust__tls_read,
    .fill = gust__tls_fill,
    .view = gust__tls_view_get,
    .consume = gust__tls_consume,
    .has_input = gust__tls_has_input,
    .write = gust__tls_write,
    .flush = gust__tls_flush,
    .shutdown = gust__tls_shutdown,
    .closing = gust__tls_closing,
    .free = tls_free,
    .handshake = gust__tls_open,
    .info = gust__tls_info,
    .why = gust__tls_why,
};
