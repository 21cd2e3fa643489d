#include "net/tls/sessions.h"

#include <errno.h>
#include <string.h>

#include "core/inject.h"
#include "net/tls/tls.h"

int gust__sessions_init(gust__sessions *s, size_t max)
{
    pthread_mutex_init(&s->lock, NULL);
    s->max = max;
    s->clock = 0;
    s->slots = max ? gust__calloc(max, sizeof *s->slots) : NULL;
    return max && !s->slots ? -ENOMEM : 0;
}

void gust__sessions_fini(gust__sessions *s)
{
    if (s->slots)
        gust__sessions_clear(s);
    free(s->slots);
    pthread_mutex_destroy(&s->lock);
}

static gust__session_slot *find_locked(gust__sessions *s, const char *host)
{
    for (size_t i = 0; i < s->max; i++)
        if (s->slots[i].host && strcmp(s->slots[i].host, host) == 0)
            return &s->slots[i];
    return NULL;
}

/* A free one, or the one to be given up. */
static gust__session_slot *oldest_locked(gust__sessions *s)
{
    gust__session_slot *oldest = &s->slots[0];
    for (size_t i = 0; i < s->max && oldest->host; i++)
        if (!s->slots[i].host || s->slots[i].used < oldest->used)
            oldest = &s->slots[i];
    return oldest;
}

/* Empties a slot; what was in it is released with the lock dropped. */
static gust__session_slot slot_take(gust__session_slot *slot)
{
    gust__session_slot was = *slot;
    *slot = (gust__session_slot){0};
    return was;
}

static void slot_free(gust__session_slot *was)
{
    free(was->host);
    SSL_SESSION_free(was->session);
}

void gust__sessions_put(gust__sessions *s, const char *host, SSL_SESSION *session)
{
    size_t size = strlen(host) + 1;
    char *name = s->max ? gust__malloc(size) : NULL;
    if (!name) {
        SSL_SESSION_free(session);
        return;
    }
    memcpy(name, host, size);
    pthread_mutex_lock(&s->lock);
    gust__session_slot *slot = find_locked(s, host);
    if (!slot)
        slot = oldest_locked(s);
    gust__session_slot was = slot_take(slot);
    *slot = (gust__session_slot){name, session, ++s->clock};
    pthread_mutex_unlock(&s->lock);
    slot_free(&was);
}

SSL_SESSION *gust__sessions_take(gust__sessions *s, const char *host)
{
    gust__session_slot was = {0};
    SSL_SESSION *session = NULL;
    pthread_mutex_lock(&s->lock);
    gust__session_slot *slot = find_locked(s, host);
    if (slot) {
        session = slot->session;
        slot->used = ++s->clock;
        SSL_SESSION_up_ref(session);
        if (SSL_SESSION_get_protocol_version(session) >= TLS1_3_VERSION)
            was = slot_take(slot);
    }
    pthread_mutex_unlock(&s->lock);
    slot_free(&was);
    return session;
}

void gust__sessions_clear(gust__sessions *s)
{
    for (size_t i = 0; i < s->max; i++) {
        pthread_mutex_lock(&s->lock);
        gust__session_slot was = slot_take(&s->slots[i]);
        pthread_mutex_unlock(&s->lock);
        slot_free(&was);
    }
}

/* Returns 1 if it took the reference. */
int gust__sessions_callback(SSL *ssl, SSL_SESSION *session)
{
    gust__tls *tls = SSL_get_app_data(ssl);
    if (!tls->client || !tls->host)
        return 0;
    gust__sessions_put(&tls->config->sessions, tls->host, session);
    return 1;
}
