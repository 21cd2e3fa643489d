/* Calls into OpenSSL.
 *
 * OpenSSL does its I/O through a BIO of ours, which only copies between OpenSSL's
 * record buffers and memory set out beforehand: the input is the conn's view of what
 * came over the wire, the output goes behind what the conn's filling block holds.  So
 * the bytes are copied as often as with a socket BIO (whose copies are the kernel's),
 * nothing of gust is called from inside, and nothing can park there.
 *
 * TLS in the kernel (SSL_OP_ENABLE_KTLS) is not used: OpenSSL 3.0 sets it up for its
 * own socket BIO, and it would take over the socket, whose receives must then tell
 * records of data from others by control messages, which no operation of the
 * netpoller returns. */
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

#include "net/tls/tls.h"

/* --- The BIO --------------------------------------------------------------- */

static int bio_read(BIO *bio, char *buf, size_t len, size_t *ret_done)
{
    gust__tls *tls = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len > tls->in.len)
        len = tls->in.len;
    if (len == 0) {
        BIO_set_retry_read(bio);
        return 0;
    }
    memcpy(buf, tls->in.data, len);
    tls->in.data += len;
    tls->in.len -= len;
    *ret_done = len;
    return 1;
}

static int bio_write(BIO *bio, const char *buf, size_t len, size_t *ret_done)
{
    gust__tls *tls = BIO_get_data(bio);
    size_t room = tls->out_room - tls->out_len;
    BIO_clear_retry_flags(bio);
    *ret_done = len;
    if (!tls->out)
        return 1;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return 0;
    }
    if (len > room)
        *ret_done = len = room;
    memcpy(tls->out + tls->out_len, buf, len);
    tls->out_len += len;
    return 1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *pointer)
{
    (void)bio, (void)number, (void)pointer;
    return what == BIO_CTRL_FLUSH;
}

/* Made once, by whoever comes first, and kept. */
static BIO_METHOD *bio_method(void)
{
    static _Atomic(BIO_METHOD *) made;
    /* Acquire: what the maker wrote.  Pairs with the exchange below. */
    BIO_METHOD *method = atomic_load_explicit(&made, memory_order_acquire), *other = NULL;
    if (method)
        return method;
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "gust_conn");
    if (!method || !BIO_meth_set_read_ex(method, bio_read) ||
        !BIO_meth_set_write_ex(method, bio_write) || !BIO_meth_set_ctrl(method, bio_ctrl)) {
        BIO_meth_free(method);
        return NULL;
    }
    if (atomic_compare_exchange_strong_explicit(&made, &other, method, memory_order_acq_rel,
                                                memory_order_acquire))
        return method;
    BIO_meth_free(method);
    return other;
}

bool gust__tls_attach(SSL *ssl, gust__tls *tls)
{
    BIO_METHOD *method = bio_method();
    BIO *bio = method ? BIO_new(method) : NULL;
    if (!bio)
        return false;
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}

/* --- The calls ------------------------------------------------------------- */

int gust__tls_do_handshake(SSL *ssl, void *buf, size_t len, size_t *ret_done)
{
    (void)buf, (void)len;
    *ret_done = 1;
    return SSL_do_handshake(ssl);
}

int gust__tls_do_read(SSL *ssl, void *buf, size_t len, size_t *ret_done)
{
    return SSL_read_ex(ssl, buf, len, ret_done);
}

int gust__tls_do_write(SSL *ssl, void *buf, size_t len, size_t *ret_done)
{
    return SSL_write_ex(ssl, buf, len, ret_done);
}

/* Says that we are done.  Once: a second SSL_shutdown would wait for the peer's. */
int gust__tls_do_end(SSL *ssl, void *buf, size_t len, size_t *ret_done)
{
    (void)buf, (void)len;
    *ret_done = 1;
    int r = SSL_shutdown(ssl);
    return r == 0 ? 1 : r;
}

/* --- What went wrong ------------------------------------------------------- */

int gust__tls_fail(gust__tls *tls, int error, const char *why)
{
    if (!tls->error) {
        tls->error = error;
        snprintf(tls->why, sizeof tls->why, "%s", why ? why : gust__tls_reason());
    }
    return tls->error;
}

static int fail_verification(gust__tls *tls)
{
    long verdict = SSL_get_verify_result(tls->ssl);
    char why[sizeof tls->why];
    snprintf(why, sizeof why, "certificate: %s", X509_verify_cert_error_string(verdict));
    return gust__tls_fail(tls, -EKEYREJECTED, why);
}

/* The first error is the cause, what follows are its consequences. */
static int fail_by_queue(gust__tls *tls)
{
    unsigned long error = ERR_peek_error();
    switch (ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0) {
    case SSL_R_CERTIFICATE_VERIFY_FAILED: return fail_verification(tls);
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return gust__tls_fail(tls, -EKEYREJECTED, "the client has shown no certificate");
    }
    for (unsigned long e = error; e; e = ERR_get_error())
        if (ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE)
            return gust__tls_fail(tls, -ENOMEM, "out of memory");
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    return gust__tls_fail(tls, -EPROTO, reason ? reason : "unknown error");
}

static ssize_t outcome(gust__tls *tls, int r, size_t done)
{
    if (r > 0)
        return (ssize_t)done;
    switch (SSL_get_error(tls->ssl, r)) {
    case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
    case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
    case SSL_ERROR_ZERO_RETURN: return 0;
    }
    return fail_by_queue(tls);
}

/* --- A call ---------------------------------------------------------------- */

static ssize_t perform(gust__tls *tls, gust__tls_call *call, void *buf, size_t len)
{
    size_t done = 0;
    ERR_clear_error();
    int r = call(tls->ssl, buf, len, &done);
    ssize_t n = outcome(tls, r, done);
    ERR_clear_error();
    return n;
}

/* What a reader has to say must not take the room of what is pending (write.c). */
static size_t room_of(const gust__tls *tls, size_t room, gust__tls_how how)
{
    size_t kept = how & TLS_READING && tls->pending_len > 0 ? tls_sealed_max(tls->pending_len) : 0;
    return room > kept ? room - kept : 0;
}

ssize_t gust__tls_enter(gust_conn *c, gust__tls_call *call, void *buf, size_t len,
                        gust__tls_how how)
{
    gust__tls *tls = tls_of(c);
    gust__loan loan;
    if (tls->error)
        return tls->error;
    int error = gust__conn_lend(c, how & TLS_CLOSING, &loan);
    if (error)
        return error;
    gust_span view = how & TLS_READING ? gust__conn_raw_view(c) : (gust_span){.data = ""};
    tls->in = view;
    tls->out = loan.data;
    tls->out_room = room_of(tls, loan.room, how);
    tls->out_len = 0;

    ssize_t n = perform(tls, call, buf, len);

    /* What failed has left an alert. */
    gust__conn_give_back(c, tls->out_len, how & TLS_FLUSH || tls->error);
    if (how & TLS_READING && view.len > tls->in.len)
        gust__conn_raw_consume(c, view.len - tls->in.len);
    return n;
}
