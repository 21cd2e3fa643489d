/* An SSL_CTX from the options and what their files hold now. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <sys/uio.h>

#include "core/inject.h"
#include "core/sched.h"
#include "net/tls/tls.h"

/* --- Life ------------------------------------------------------------------ */

gust__tls_context *gust__tls_context_ref(gust__tls_context *context)
{
    /* Relaxed: whoever adds a reference has one. */
    atomic_fetch_add_explicit(&context->refs, 1, memory_order_relaxed);
    return context;
}

static void identity_free(gust__identity *identity)
{
    X509_free(identity->cert);
    EVP_PKEY_free(identity->key);
    sk_X509_pop_free(identity->chain, X509_free);
}

static void context_free(gust__tls_context *context)
{
    for (size_t i = 0; i < context->identity_count; i++)
        identity_free(&context->identities[i]);
    free(context->identities);
    gust__names_free(&context->names);
    SSL_CTX_free(context->ctx);
    free(context);
}

void gust__tls_context_unref(gust__tls_context *context)
{
    /* Release and acquire: what every owner did comes before the free.  Pairs with
     * itself. */
    if (context && atomic_fetch_sub_explicit(&context->refs, 1, memory_order_acq_rel) == 1)
        context_free(context);
}

/* What OpenSSL's last error amounts to. */
static int openssl_error(int otherwise)
{
    return ERR_GET_REASON(ERR_peek_last_error()) == ERR_R_MALLOC_FAILURE ? -ENOMEM : otherwise;
}

static int complain(const char *what, const char *of, int otherwise)
{
    int error = openssl_error(otherwise);
    gust__log("tls: %s%s%s: %s", what, of ? " " : "", of ? of : "",
              ERR_peek_last_error() ? gust__tls_reason() : strerrordesc_np(-error));
    ERR_clear_error();
    return error;
}

/* --- Identities ------------------------------------------------------------ */

static int read_chain(const gust_tls_identity *files, gust__identity *identity)
{
    char *data;
    size_t len;
    int error = gust__pem_read_file(files->cert_file, &data, &len);
    if (error)
        return error;
    error = gust__pem_certs(files->cert_file, data, len, &identity->chain);
    free(data);
    if (!error)
        identity->cert = sk_X509_shift(identity->chain);
    return error;
}

static int read_key(const gust_tls_identity *files, gust__identity *identity)
{
    char *data;
    size_t len;
    int error = gust__pem_read_file(files->key_file, &data, &len);
    if (error)
        return error;
    error = gust__pem_key(files->key_file, data, len, &identity->key);
    OPENSSL_cleanse(data, len);
    free(data);
    return error;
}

static int add_name(gust__names *names, const ASN1_STRING *text, size_t identity)
{
    return gust__names_add(names, (const char *)ASN1_STRING_get0_data(text),
                           (size_t)ASN1_STRING_length(text), identity);
}

static int add_alternative_names(gust__names *names, X509 *cert, size_t identity, bool *ret_any)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    int error = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(list) && !error; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type != GEN_DNS)
            continue;
        *ret_any = true;
        error = add_name(names, name->d.dNSName, identity);
    }
    GENERAL_NAMES_free(list);
    return error;
}

/* Certificates without alternative names, which old tools make, have it in the
 * subject. */
static int add_names(gust__names *names, X509 *cert, size_t identity)
{
    bool any = false;
    int error = add_alternative_names(names, cert, identity, &any);
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = any ? -1 : X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (error || at < 0)
        return error;
    return add_name(names, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)), identity);
}

/* Has OpenSSL look whether key and certificate fit, and are strong enough. */
static int use_identity(SSL_CTX *ctx, const gust__identity *identity, const char *file)
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(ctx, identity->cert, identity->key, identity->chain, 1) == 1 &&
        SSL_CTX_check_private_key(ctx) == 1)
        return 0;
    return complain("cannot use certificate and key of", file, -EKEYREJECTED);
}

static int check_identity(const gust__identity *identity, const char *file)
{
    SSL_CTX *scratch = SSL_CTX_new(TLS_method());
    int error = scratch ? use_identity(scratch, identity, file) : -ENOMEM;
    SSL_CTX_free(scratch);
    return error;
}

static int load_identity(gust__tls_context *context, const gust_tls_identity *files, size_t i)
{
    gust__identity *identity = &context->identities[i];
    int error = read_chain(files, identity);
    if (!error)
        error = read_key(files, identity);
    if (!error)
        error = add_names(&context->names, identity->cert, i);
    if (error)
        return error;
    return i == 0 ? use_identity(context->ctx, identity, files->cert_file)
                  : check_identity(identity, files->cert_file);
}

static int load_identities(gust__tls_context *context, const gust_tls_options *o)
{
    if (o->identity_count == 0)
        return 0;
    context->identities = gust__calloc(o->identity_count, sizeof *context->identities);
    if (!context->identities)
        return -ENOMEM;
    context->identity_count = o->identity_count;
    for (size_t i = 0; i < o->identity_count; i++) {
        int error = load_identity(context, &o->identities[i], i);
        if (error)
            return error;
    }
    gust__names_sort(&context->names);
    return 0;
}

/* --- Callbacks of a handshake: no goroutine may park in these --------------- */

static int choose_certificate(SSL *ssl, void *arg)
{
    const gust__tls_context *context = arg;
    const char *host =
        SSL_is_server(ssl) ? SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) : NULL;
    size_t count = 0;
    const gust__name *found = host ? gust__names_find(&context->names, host, &count) : NULL;
    if (!found || (count == 1 && found->identity == 0))
        return 1; /* the first is there already */
    SSL_certs_clear(ssl);
    for (size_t i = 0; i < count; i++) {
        const gust__identity *identity = &context->identities[found[i].identity];
        if (SSL_use_cert_and_key(ssl, identity->cert, identity->key, identity->chain, 1) != 1)
            return 0;
    }
    return 1;
}

/* Says that the name was heeded: then a session is resumed for the same name only. */
static int accept_server_name(SSL *ssl, int *alert, void *arg)
{
    (void)ssl, (void)alert, (void)arg;
    return SSL_TLSEXT_ERR_OK;
}

static int choose_protocol(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    const gust_tls_config *config = arg;
    unsigned char *name;
    (void)ssl;
    if (SSL_select_next_proto(&name, ret_len, config->alpn, (unsigned)config->alpn_len, offered,
                              offered_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

static void log_keys(const SSL *ssl, const char *line)
{
    const gust__tls *tls = SSL_get_app_data(ssl);
    struct iovec iov[] = {{(void *)line, strlen(line)}, {(void *)"\n", 1}};
    /* One call: lines of several connections do not mix. */
    ssize_t n = writev(tls->config->keylog_fd, iov, 2);
    (void)n; /* for debugging only */
}

/* --- Trust ----------------------------------------------------------------- */

static int trust_certs(SSL_CTX *ctx, STACK_OF(X509) * certs)
{
    for (int i = 0; i < sk_X509_num(certs); i++) {
        X509 *cert = sk_X509_value(certs, i);
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert) != 1 ||
            SSL_CTX_add_client_CA(ctx, cert) != 1)
            return -ENOMEM;
    }
    return 0;
}

/* A session says that its client was verified, which must not outlast the trust. */
static void mark_sessions(SSL_CTX *ctx, const gust_tls_options *o, const char *ca, size_t ca_len)
{
    unsigned char mark[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)ca, ca_len, mark);
    mark[0] ^= (unsigned char)o->client_auth;
    SSL_CTX_set_session_id_context(ctx, mark, sizeof mark);
}

static int trust_file(SSL_CTX *ctx, const gust_tls_options *o)
{
    char *data;
    size_t len;
    STACK_OF(X509) *certs = NULL;
    int error = gust__pem_read_file(o->ca_file, &data, &len);
    if (error)
        return error;
    error = gust__pem_certs(o->ca_file, data, len, &certs);
    if (!error)
        error = trust_certs(ctx, certs);
    if (!error)
        mark_sessions(ctx, o, data, len);
    sk_X509_pop_free(certs, X509_free);
    free(data);
    return error;
}

static int set_trust(SSL_CTX *ctx, const gust_tls_options *o)
{
    ERR_clear_error();
    mark_sessions(ctx, o, "", 0);
    if (!o->ca_file && !o->ca_dir)
        return SSL_CTX_set_default_verify_paths(ctx) == 1
                   ? 0
                   : complain("the system's certificates", NULL, -EIO);
    if (o->ca_dir && SSL_CTX_load_verify_dir(ctx, o->ca_dir) != 1)
        return complain("cannot use the directory", o->ca_dir, -EINVAL);
    return o->ca_file ? trust_file(ctx, o) : 0;
}

/* --- The rest -------------------------------------------------------------- */

static int set_versions(SSL_CTX *ctx, const gust_tls_options *o)
{
    return SSL_CTX_set_min_proto_version(ctx, (int)o->min_version) == 1 &&
                   SSL_CTX_set_max_proto_version(ctx, (int)o->max_version) == 1
               ? 0
               : complain("versions", NULL, -EINVAL);
}

/* Go's order.  OpenSSL's begins with a suite of SHA-384, with which the keys of a
 * handshake are dearer: some 5 % of the whole where the CPU computes SHA-256 itself. */
#define CIPHERSUITES "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

static int set_algorithms(SSL_CTX *ctx, const gust_tls_options *o)
{
    const char *ciphersuites = o->ciphersuites ? o->ciphersuites : CIPHERSUITES;
    if (o->ciphers && SSL_CTX_set_cipher_list(ctx, o->ciphers) != 1)
        return complain("ciphers", o->ciphers, -EINVAL);
    if (SSL_CTX_set_ciphersuites(ctx, ciphersuites) != 1)
        return complain("ciphersuites", ciphersuites, -EINVAL);
    if (o->groups && SSL_CTX_set1_groups_list(ctx, o->groups) != 1)
        return complain("groups", o->groups, -EINVAL);
    return 0;
}

static void set_behaviour(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    /* A connection that waits has no buffers. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_early_data(ctx, 0);
}

static void set_sessions(SSL_CTX *ctx, const gust_tls_config *config)
{
    const gust_tls_options *o = &config->options;
    /* Servers keep nothing: tickets do.  One is enough, each costs a send. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, gust__sessions_callback);
    if (o->no_tickets)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    SSL_CTX_set_num_tickets(ctx, o->no_tickets ? 0 : 1);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, gust__tickets_callback);
    /* A ticket is good for as long as its key can be there. */
    int64_t life_s = o->ticket_rotation_ns / GUST_SEC * o->ticket_keys_kept;
    const int64_t week_s = (int64_t)7 * 24 * 3600; /* RFC 8446's limit */
    SSL_CTX_set_timeout(ctx, (long)(life_s < 1 ? 1 : life_s > week_s ? week_s : life_s));
}

static int set_callbacks(SSL_CTX *ctx, gust__tls_context *context, gust_tls_config *config)
{
    SSL_CTX_set_cert_cb(ctx, choose_certificate, context);
    SSL_CTX_set_tlsext_servername_callback(ctx, accept_server_name);
    if (config->keylog_fd >= 0)
        SSL_CTX_set_keylog_callback(ctx, log_keys);
    if (config->alpn_len == 0)
        return 0;
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, config);
    return SSL_CTX_set_alpn_protos(ctx, config->alpn, (unsigned)config->alpn_len) ? -ENOMEM : 0;
}

static int context_fill(gust__tls_context *context, gust_tls_config *config)
{
    const gust_tls_options *o = &config->options;
    SSL_CTX *ctx = context->ctx = SSL_CTX_new(TLS_method());
    if (!ctx)
        return complain("cannot begin", NULL, -ENOMEM);
    set_behaviour(ctx);
    set_sessions(ctx, config);
    int error = set_callbacks(ctx, context, config);
    if (!error)
        error = set_versions(ctx, o);
    if (!error)
        error = set_algorithms(ctx, o);
    if (!error)
        error = load_identities(context, o);
    return error ? error : set_trust(ctx, o);
}

int gust__tls_context_load(gust_tls_config *config, gust__tls_context **ret_context)
{
    gust__tls_context *context = gust__calloc(1, sizeof *context);
    if (!context)
        return -ENOMEM;
    atomic_init(&context->refs, 1);
    int error = context_fill(context, config);
    ERR_clear_error();
    if (error) {
        gust__tls_context_unref(context);
        return error;
    }
    *ret_context = context;
    return 0;
}
