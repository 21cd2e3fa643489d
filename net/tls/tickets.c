#include "net/tls/tickets.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "net/tls/tls.h"

/* Where in the 80 bytes: as in the key files of nginx and others. */
enum { NAME_BYTES = 16, MAC_KEY_AT = 16, CIPHER_KEY_AT = 48, KEY_BYTES = 32, IV_BYTES = 16 };

static void rotate_locked(gust__tickets *t, const gust_tls_ticket_key *fresh)
{
    size_t keep = t->count < t->kept ? t->count : t->kept - 1;
    memmove(&t->keys[1], &t->keys[0], keep * sizeof t->keys[0]);
    t->keys[0] = *fresh;
    t->count = keep + 1;
    if (t->next != GUST_FOREVER)
        t->next = gust_after(t->rotation_ns);
}

static bool make_key(gust_tls_ticket_key *ret_key)
{
    return RAND_priv_bytes(ret_key->bytes, sizeof ret_key->bytes) == 1;
}

int gust__tickets_rotate(gust__tickets *t)
{
    gust_tls_ticket_key fresh;
    if (!make_key(&fresh))
        return -EIO;
    pthread_mutex_lock(&t->lock);
    rotate_locked(t, &fresh);
    pthread_mutex_unlock(&t->lock);
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return 0;
}

void gust__tickets_init(gust__tickets *t, int64_t rotation_ns, size_t kept)
{
    pthread_mutex_init(&t->lock, NULL);
    t->count = 0;
    t->kept = kept;
    t->rotation_ns = rotation_ns;
    t->next = gust_after(rotation_ns);
}

void gust__tickets_fini(gust__tickets *t)
{
    OPENSSL_cleanse(t->keys, sizeof t->keys);
    pthread_mutex_destroy(&t->lock);
}

int gust__tickets_set(gust__tickets *t, const gust_tls_ticket_key *keys, size_t count)
{
    if (count == 0 || count > GUST_TLS_TICKET_KEYS_MAX)
        return -EINVAL;
    pthread_mutex_lock(&t->lock);
    memcpy(t->keys, keys, count * sizeof *keys);
    t->count = count;
    t->next = GUST_FOREVER;
    pthread_mutex_unlock(&t->lock);
    return 0;
}

void gust__tickets_seal(gust__tickets *t, gust_time now, gust_tls_ticket_key *ret_key)
{
    pthread_mutex_lock(&t->lock);
    gust_tls_ticket_key fresh;
    /* Without random bytes the old key serves on; the next ticket tries again. */
    if (now >= t->next && make_key(&fresh))
        rotate_locked(t, &fresh);
    *ret_key = t->keys[0];
    pthread_mutex_unlock(&t->lock);
}

bool gust__tickets_open(gust__tickets *t, const unsigned char name[16],
                        gust_tls_ticket_key *ret_key, bool *ret_newest)
{
    bool found = false;
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count && !found; i++) {
        /* The name is no secret. */
        if (memcmp(t->keys[i].bytes, name, NAME_BYTES) != 0)
            continue;
        *ret_key = t->keys[i];
        *ret_newest = i == 0;
        found = true;
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

static bool use_key(const gust_tls_ticket_key *key, const unsigned char *iv, EVP_CIPHER_CTX *cipher,
                    EVP_MAC_CTX *mac, int seal)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)&key->bytes[MAC_KEY_AT],
                                          KEY_BYTES),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, &key->bytes[CIPHER_KEY_AT], iv,
                             seal) == 1;
}

/* Returns, as OpenSSL wants it: 1 fine, 2 fine but make a new ticket, 0 no ticket,
 * -1 an error. */
int gust__tickets_callback(SSL *ssl, unsigned char name[16], unsigned char *iv,
                           EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    gust__tickets *t = &((gust__tls *)SSL_get_app_data(ssl))->config->tickets;
    gust_tls_ticket_key key;
    bool newest = true;
    if (seal) {
        if (RAND_bytes(iv, IV_BYTES) != 1)
            return -1;
        gust__tickets_seal(t, gust_now(), &key);
        memcpy(name, key.bytes, NAME_BYTES);
    } else if (!gust__tickets_open(t, name, &key, &newest)) {
        return 0;
    }
    bool ok = use_key(&key, iv, cipher, mac, seal);
    OPENSSL_cleanse(&key, sizeof key);
    /* A ticket of 1.3 is good for one connection: this one gets another. */
    bool renew = !newest || SSL_version(ssl) >= TLS1_3_VERSION;
    return !ok ? -1 : seal || !renew ? 1 : 2;
}
