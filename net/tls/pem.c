/* Files to certificates and keys.  The files are read here and not by OpenSSL, which
 * would lose the system's error. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <gust/runtime.h>

#include "core/inject.h"
#include "core/sched.h"
#include "net/tls/tls.h"

#define FILE_MAX ((off_t)16 << 20)

const char *gust__tls_reason(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_SYSTEM_ERROR(error))
        return strerrordesc_np(ERR_GET_REASON(error));
    const char *reason = error ? ERR_reason_error_string(error) : NULL;
    return reason ? reason : "unknown error";
}

/* --- Reading --------------------------------------------------------------- */

static int read_whole(int fd, size_t size, char *data)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, data + done, size - done);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return -EBADMSG; /* it shrank under us */
        done += n > 0 ? (size_t)n : 0;
    }
    return 0;
}

static int read_fd(int fd, char **ret_data, size_t *ret_len)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
    if (st.st_size > FILE_MAX)
        return -EFBIG;
    size_t len = (size_t)st.st_size;
    char *data = gust__malloc(len + 1);
    if (!data)
        return -ENOMEM;
    int error = read_whole(fd, len, data);
    if (error) {
        free(data);
        return error;
    }
    *ret_data = data;
    *ret_len = len;
    return 0;
}

static int read_path(const char *path, char **ret_data, size_t *ret_len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    int error = read_fd(fd, ret_data, ret_len);
    close(fd);
    return error;
}

int gust__pem_read_file(const char *path, char **ret_data, size_t *ret_len)
{
    gust_blocking_begin();
    int error = read_path(path, ret_data, ret_len);
    gust_blocking_end();
    if (error)
        gust__log("tls: %s: %s", path, strerrordesc_np(-error));
    return error;
}

/* --- Parsing --------------------------------------------------------------- */

/* Without it OpenSSL asks on the terminal. */
static int no_pass_phrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

/* After a PEM function found nothing more: 0 if that was the end of the file. */
static int parse_error(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE)
        return 0;
    return ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE ? -ENOMEM : -EBADMSG;
}

static int parse_certs(BIO *bio, STACK_OF(X509) * certs)
{
    for (X509 *cert; (cert = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL));) {
        if (sk_X509_push(certs, cert) <= 0) {
            X509_free(cert);
            return -ENOMEM;
        }
    }
    int error = parse_error();
    return !error && sk_X509_num(certs) == 0 ? -EBADMSG : error;
}

int gust__pem_certs(const char *path, const char *data, size_t len, STACK_OF(X509) * *ret_certs)
{
    ERR_clear_error();
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    int error = certs && bio ? parse_certs(bio, certs) : -ENOMEM;
    const char *reason = gust__tls_reason();
    BIO_free(bio);
    if (error) {
        sk_X509_pop_free(certs, X509_free);
        gust__log("tls: %s: no certificates: %s", path, reason);
        return error;
    }
    *ret_certs = certs;
    return 0;
}

int gust__pem_key(const char *path, const char *data, size_t len, EVP_PKEY **ret_key)
{
    ERR_clear_error();
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL) : NULL;
    int error = key ? 0 : bio ? parse_error() : -ENOMEM;
    const char *reason = gust__tls_reason();
    BIO_free(bio);
    if (!key) {
        gust__log("tls: %s: no key that can be used without a pass phrase: %s", path, reason);
        return error ? error : -EBADMSG;
    }
    *ret_key = key;
    return 0;
}
