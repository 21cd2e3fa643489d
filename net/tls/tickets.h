/* The keys that session tickets are sealed with.
 *
 * keys[0] seals, all open.  Always: count >= 1 once initialised.  Under the lock, a
 * pthread mutex since OpenSSL asks for keys in the middle of a handshake, where no
 * goroutine may park; it is held for as long as it takes to copy a key. */
#ifndef GUST_NET_TLS_TICKETS_H
#define GUST_NET_TLS_TICKETS_H

#include <gust/tls.h>
#include <openssl/ssl.h>
#include <pthread.h>

typedef struct gust__tickets {
    pthread_mutex_t lock;
    gust_tls_ticket_key keys[GUST_TLS_TICKET_KEYS_MAX];
    size_t count;
    size_t kept;
    int64_t rotation_ns;
    gust_time next; /* when keys[0] has served its time; GUST_FOREVER: never by itself */
} gust__tickets;

/* Without a key yet: gust__tickets_rotate makes the first. */
void gust__tickets_init(gust__tickets *t, int64_t rotation_ns, size_t kept);
void gust__tickets_fini(gust__tickets *t);

int gust__tickets_set(gust__tickets *t, const gust_tls_ticket_key *keys, size_t count);

/* Errors: -EIO: there are no random bytes; nothing has changed. */
int gust__tickets_rotate(gust__tickets *t);

/* The key to seal with at `now`, after a rotation if one is due. */
void gust__tickets_seal(gust__tickets *t, gust_time now, gust_tls_ticket_key *ret_key);

/* The key of that name (16 bytes).  False: there is none (any more).  *ret_newest: it
 * is also the one to seal with. */
bool gust__tickets_open(gust__tickets *t, const unsigned char name[16],
                        gust_tls_ticket_key *ret_key, bool *ret_newest);

/* OpenSSL's ticket callback; the SSL's app data is a gust__tls. */
int gust__tickets_callback(SSL *ssl, unsigned char name[16], unsigned char *iv,
                           EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal);

#endif
