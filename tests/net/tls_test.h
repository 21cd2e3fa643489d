/* What the tests of TLS share: certificates, made when a test runs and gone when it
 * ends, and connected pairs. */
#ifndef GUST_TESTS_NET_TLS_TEST_H
#define GUST_TESTS_NET_TLS_TEST_H

#include <gust/tls.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include <gust/context.h>

#include "net/tls/tls.h"
#include "tests/net/net_test.h"

/* A test with a directory for its files: `dir`. */
static char dir[64];

static inline void dir_remove(void)
{
    DIR *list = opendir(dir);
    CHECK(list != NULL);
    for (struct dirent *entry; (entry = readdir(list));)
        (void)unlinkat(dirfd(list), entry->d_name, 0);
    closedir(list);
    CHECK_EQ(rmdir(dir), 0);
}

static inline void dir_make(void)
{
    snprintf(dir, sizeof dir, "/tmp/gust-tls-XXXXXX");
    CHECK(mkdtemp(dir) != NULL);
}

static inline void no_log(const char *line)
{
    (void)line;
}

#define TlsTest(suite, name)        \
    static void name##_inner(void); \
    NetTest(suite, name)            \
    {                               \
        dir_make();                 \
        name##_inner();             \
        dir_remove();               \
    }                               \
    static void name##_inner(void)

struct path {
    char text[128];
};

static inline struct path in_dir(const char *name)
{
    struct path p;
    snprintf(p.text, sizeof p.text, "%s/%s", dir, name);
    return p;
}

/* --- Certificates ------------------------------------------------------------ */

struct issuer {
    X509 *cert;
    EVP_PKEY *key;
};

static inline void issuer_free(struct issuer *i)
{
    X509_free(i->cert);
    EVP_PKEY_free(i->key);
    *i = (struct issuer){0};
}

static inline void add_extension(X509 *cert, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    CHECK(e != NULL);
    CHECK_EQ(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* An unsigned certificate of `key` for `subject`, valid for a day. */
static inline X509 *cert_begin(const char *subject, EVP_PKEY *key)
{
    static long serial = 1;
    X509 *cert = X509_new();
    CHECK(cert != NULL);
    X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)getpid() * 1000 + serial++);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 86400);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)subject, -1, -1, 0);
    X509_set_pubkey(cert, key);
    return cert;
}

static inline void write_cert(const char *name, X509 *cert)
{
    FILE *f = fopen(in_dir(name).text, "w");
    CHECK(f && PEM_write_X509(f, cert) == 1);
    fclose(f);
}

static inline void write_key(const char *name, EVP_PKEY *key)
{
    FILE *f = fopen(in_dir(name).text, "w");
    CHECK(f && PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1);
    fclose(f);
}

static inline void write_text(const char *name, const char *text)
{
    FILE *f = fopen(in_dir(name).text, "w");
    CHECK(f && fputs(text, f) >= 0);
    fclose(f);
}

/* A certificate authority, written to `file`. */
static inline struct issuer authority(const char *file)
{
    struct issuer ca = {.key = EVP_EC_gen("P-256")};
    ca.cert = cert_begin(file, ca.key);
    X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert));
    add_extension(ca.cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(ca.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    CHECK(X509_sign(ca.cert, ca.key, EVP_sha256()) > 0);
    write_cert(file, ca.cert);
    return ca;
}

/* NAME.crt and NAME.key; `names` are alternative names ("DNS:a.test,IP:127.0.0.1") or
 * NULL. */
static inline void leaf_with_key(const struct issuer *ca, const char *name, const char *names,
                                 EVP_PKEY *key)
{
    char file[64];
    X509 *cert = cert_begin(name, key);
    X509_set_issuer_name(cert, X509_get_subject_name(ca->cert));
    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE");
    if (names)
        add_extension(cert, NID_subject_alt_name, names);
    CHECK(X509_sign(cert, ca->key, EVP_sha256()) > 0);
    snprintf(file, sizeof file, "%s.crt", name);
    write_cert(file, cert);
    snprintf(file, sizeof file, "%s.key", name);
    write_key(file, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

static inline void leaf(const struct issuer *ca, const char *name, const char *names)
{
    leaf_with_key(ca, name, names, EVP_EC_gen("P-256"));
}

/* ca.pem, and server.crt and server.key for the hosts of loopback. */
static inline void make_files(void)
{
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "server", "DNS:localhost,IP:127.0.0.1,IP:::1");
    issuer_free(&ca);
}

/* --- Configurations ------------------------------------------------------------ */

/* The options point into these. */
struct setup {
    struct path ca, cert, key;
    gust_tls_identity identity;
};

static inline gust_tls_options server_options(struct setup *s)
{
    s->cert = in_dir("server.crt");
    s->key = in_dir("server.key");
    s->identity = (gust_tls_identity){s->cert.text, s->key.text};
    return (gust_tls_options){.identities = &s->identity, .identity_count = 1};
}

static inline gust_tls_options client_options(struct setup *s)
{
    s->ca = in_dir("ca.pem");
    return (gust_tls_options){.ca_file = s->ca.text};
}

static inline gust_tls_config *config_of(const gust_tls_options *o)
{
    gust_tls_config *config = NULL;
    CHECK_EQ(gust_tls_config_new(o, &config), 0);
    return config;
}

static inline gust_tls_config *server_config(void)
{
    struct setup s;
    gust_tls_options o = server_options(&s);
    return config_of(&o);
}

static inline gust_tls_config *client_config(void)
{
    struct setup s;
    gust_tls_options o = client_options(&s);
    return config_of(&o);
}

/* --- Pairs --------------------------------------------------------------------- */

struct ends {
    gust_conn *client;
    gust_conn *server;
    int client_error; /* of the handshakes */
    int server_error;
    gust_waitgroup done;
};

static inline void server_handshake(void *arg)
{
    struct ends *e = arg;
    e->server_error = gust_tls_handshake(e->server, SOON);
    /* So that a client whose handshake is over earlier hears of it. */
    if (e->server_error)
        CHECK(gust_conn_close(gust_conn_ref(e->server), SOON) != -EBADF);
    gust_waitgroup_done(&e->done);
}

/* Two ends that have not begun. */
static inline void ends_connect(struct ends *e, gust_tls_config *server, gust_tls_config *client,
                                const char *host)
{
    *e = (struct ends){0};
    pair_open(&e->client, &e->server);
    CHECK_EQ(gust_tls_server(e->server, server), 0);
    CHECK_EQ(gust_tls_client(e->client, client, host), 0);
}

/* Makes the handshake on both ends. */
static inline void ends_shake(struct ends *e)
{
    gust_waitgroup_add(&e->done, 1);
    go(server_handshake, e);
    e->client_error = gust_tls_handshake(e->client, SOON);
    /* A server that waits for more would wait for ever. */
    if (e->client_error)
        CHECK(gust_conn_close(gust_conn_ref(e->client), SOON) != -EBADF);
    CHECK_EQ(gust_waitgroup_wait(&e->done, SOON), 0);
}

static inline void ends_open(struct ends *e, gust_tls_config *server, gust_tls_config *client,
                             const char *host)
{
    ends_connect(e, server, client, host);
    ends_shake(e);
}

/* Whatever state they are in. */
static inline void ends_drop(struct ends *e)
{
    gust_conn_unref(e->client);
    gust_conn_unref(e->server);
}

/* The usual pair, over which bytes may go. */
static inline void ends_usual(struct ends *e)
{
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    ends_open(e, server, client, "localhost");
    CHECK_EQ(e->client_error, 0);
    CHECK_EQ(e->server_error, 0);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

static inline void read_exactly(gust_conn *c, char *buf, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = gust_conn_read(c, buf + at, len - at, SOON);
        CHECK(n > 0);
        at += (size_t)n;
    }
}

static inline void say(gust_conn *c, const char *text)
{
    CHECK_EQ(gust_conn_write(c, text, strlen(text), SOON), strlen(text));
}

static inline void hear(gust_conn *c, const char *text)
{
    char buf[256];
    CHECK(strlen(text) < sizeof buf);
    read_exactly(c, buf, strlen(text));
    CHECK_EQ(memcmp(buf, text, strlen(text)), 0);
}

/* Bytes go both ways. */
static inline void ends_talk(struct ends *e)
{
    say(e->client, "ping");
    hear(e->server, "ping");
    say(e->server, "pong");
    hear(e->client, "pong");
}

/* The client first, which may not have read its ticket: then the server sees a reset. */
static inline void ends_close(struct ends *e)
{
    CHECK_EQ(gust_conn_close(e->client, SOON), 0);
    int error = gust_conn_close(e->server, SOON);
    CHECK(error == 0 || error == -ECONNRESET || error == -EPIPE);
}

static inline gust_tls_info info_of_conn(gust_conn *c)
{
    gust_tls_info info;
    CHECK_EQ(gust_tls_info_read(c, &info), 0);
    return info;
}

#endif
