/* What was negotiated, and with whom. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <string.h>

#include "net/tls/tls.h"

static void copy_alpn(const SSL *ssl, gust_tls_info *info)
{
    const unsigned char *name;
    unsigned len;
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len > 0)
        memcpy(info->alpn, name, len);
    info->alpn[len] = '\0';
}

static void copy_server_name(const SSL *ssl, gust_tls_info *info)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t len = name ? strlen(name) : 0;
    if (len >= sizeof info->server_name)
        len = sizeof info->server_name - 1;
    if (len > 0)
        memcpy(info->server_name, name, len);
    info->server_name[len] = '\0';
}

static int copy_subject(X509 *cert, gust_tls_info *info)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;
    if (!bio || X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0, XN_FLAG_RFC2253) < 0) {
        BIO_free(bio);
        return -ENOMEM;
    }
    size_t len = (size_t)BIO_get_mem_data(bio, &text);
    if (len >= sizeof info->peer_subject)
        len = sizeof info->peer_subject - 1;
    if (len > 0)
        memcpy(info->peer_subject, text, len);
    info->peer_subject[len] = '\0';
    BIO_free(bio);
    return 0;
}

static int copy_peer(const SSL *ssl, gust_tls_info *info)
{
    X509 *cert = SSL_get0_peer_certificate(ssl);
    unsigned len = sizeof info->peer_sha256;
    if (!cert)
        return 0;
    info->has_peer_certificate = true;
    info->peer_verified =
        SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE && SSL_get_verify_result(ssl) == X509_V_OK;
    return X509_digest(cert, EVP_sha256(), info->peer_sha256, &len) == 1 ? copy_subject(cert, info)
                                                                         : -ENOMEM;
}

static int info_of(const SSL *ssl, gust_tls_info *info)
{
    *info = (gust_tls_info){
        .version = (gust_tls_version)SSL_version(ssl),
        .cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(ssl)),
        .resumed = SSL_session_reused(ssl) == 1,
    };
    copy_alpn(ssl, info);
    copy_server_name(ssl, info);
    int error = copy_peer(ssl, info);
    ERR_clear_error();
    return error;
}

int gust__tls_info(gust_conn *c, gust_tls_info *ret_info)
{
    gust__tls *tls = tls_of(c);
    if (!tls_is_open(tls))
        return -ENOTCONN;
    gust_tls_info info;
    gust_mutex_lock(&tls->mutex);
    int error = info_of(tls->ssl, &info);
    gust_mutex_unlock(&tls->mutex);
    if (!error)
        *ret_info = info;
    return error;
}

const char *gust__tls_why(const gust_conn *c)
{
    return tls_of(c)->why;
}
