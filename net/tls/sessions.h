/* Sessions a client can resume, one for each host; the one that was used longest ago
 * makes room.  Under a pthread mutex, for the reason that tickets.h gives. */
#ifndef GUST_NET_TLS_SESSIONS_H
#define GUST_NET_TLS_SESSIONS_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdint.h>

typedef struct gust__session_slot {
    char *host; /* NULL: free */
    SSL_SESSION *session;
    uint64_t used;
} gust__session_slot;

typedef struct gust__sessions {
    pthread_mutex_t lock;
    gust__session_slot *slots;
    size_t max; /* 0: nothing is kept */
    uint64_t clock;
} gust__sessions;

/* Errors: -ENOMEM. */
int gust__sessions_init(gust__sessions *s, size_t max);
void gust__sessions_fini(gust__sessions *s);

/* Keeps a session, whose reference it takes; without memory, drops it. */
void gust__sessions_put(gust__sessions *s, const char *host, SSL_SESSION *session);

/* A session to resume, with a reference for the caller, or NULL.  One of TLS 1.3 is
 * handed out once: used twice it would let a watcher link the two connections. */
SSL_SESSION *gust__sessions_take(gust__sessions *s, const char *host);

void gust__sessions_clear(gust__sessions *s);

/* OpenSSL's callback for a new session; the SSL's app data is a gust__tls. */
int gust__sessions_callback(SSL *ssl, SSL_SESSION *session);

#endif
