/* A bounded table of clients, by address.
 *
 * Always, under the mutex: `count` entries are in the chains, at most `max`; all that
 * have no connection are in `idle` as well, the one that was used longest ago last.  Those
 * make room for others, which forgets what they have asked for: so the bound should be
 * well above the number of honest clients. */
#include "http/clients.h"

#include "core/inject.h"

#include <gust/runtime.h>
#include <gust/sync.h>

#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

struct http_client {
    uint64_t key;
    unsigned conns;
    gust_time due; /* when its bucket is full again: see gust__http_clients_admit */
    LIST_ENTRY(http_client) chain;
    TAILQ_ENTRY(http_client) idle; /* while conns is 0 */
};

LIST_HEAD(client_chain, http_client);

struct http_clients {
    gust_mutex mutex;
    uint64_t secret; /* so that nobody can choose addresses that share a chain */
    unsigned max, count;
    TAILQ_HEAD(client_idle, http_client) idle;
    size_t mask;
    struct client_chain *chains;
};

uint64_t gust__http_client_key(const gust_addr *addr)
{
    uint64_t key = 0;

    if (addr->len == 0)
        return 0;
    if (addr->any.sa_family == AF_INET)
        return UINT64_C(0xffff) << 32 | addr->v4.sin_addr.s_addr;
    if (addr->any.sa_family != AF_INET6)
        return 0;
    const uint8_t *bytes = addr->v6.sin6_addr.s6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&addr->v6.sin6_addr)) {
        uint32_t v4;
        memcpy(&v4, bytes + 12, 4);
        return UINT64_C(0xffff) << 32 | v4;
    }
    memcpy(&key, bytes, 8);
    return key;
}

int gust__http_clients_new(unsigned max, struct http_clients **ret_clients)
{
    size_t chains = 1;
    struct http_clients *c = gust__calloc(1, sizeof(*c));

    if (!c)
        return -ENOMEM;
    while (chains < max && chains < (size_t)1 << 20)
        chains *= 2;
    c->chains = gust__calloc(chains, sizeof(*c->chains));
    if (!c->chains) {
        free(c);
        return -ENOMEM;
    }
    c->mask = chains - 1;
    c->max = max;
    TAILQ_INIT(&c->idle);
    if (getrandom(&c->secret, sizeof(c->secret), GRND_NONBLOCK) < 0)
        c->secret = (uint64_t)gust_now() ^ (uintptr_t)c;
    *ret_clients = c;
    return 0;
}

void gust__http_clients_free(struct http_clients *c)
{
    struct http_client *client;

    if (!c)
        return;
    while ((client = TAILQ_FIRST(&c->idle))) {
        TAILQ_REMOVE(&c->idle, client, idle);
        free(client);
    }
    free(c->chains);
    free(c);
}

/* --- Looking up -------------------------------------------------------------- */

/* The finisher of splitmix64. */
static struct client_chain *chain_of(const struct http_clients *c, uint64_t key)
{
    uint64_t h = key ^ c->secret;

    h = (h ^ h >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ h >> 27) * UINT64_C(0x94d049bb133111eb);
    return &c->chains[(h ^ h >> 31) & c->mask];
}

/* The entry for a new client: a new one, or the oldest idle one.  NULL: none is to be
 * had, and *ret_error says why (0: the table is full). */
static struct http_client *make_room_locked(struct http_clients *c, int *ret_error)
{
    struct http_client *client = NULL;

    *ret_error = 0;
    if (c->count < c->max) {
        client = gust__calloc(1, sizeof(*client));
        *ret_error = client ? 0 : -ENOMEM;
        c->count += client != NULL;
    } else if ((client = TAILQ_LAST(&c->idle, client_idle))) {
        TAILQ_REMOVE(&c->idle, client, idle);
        LIST_REMOVE(client, chain);
        memset(client, 0, sizeof(*client));
    }
    return client;
}

/* Not in the idle list, upon return. */
static struct http_client *take_locked(struct http_clients *c, const gust_addr *addr,
                                       int *ret_error)
{
    uint64_t key = gust__http_client_key(addr);
    struct client_chain *chain = chain_of(c, key);
    struct http_client *client;

    LIST_FOREACH(client, chain, chain)
    {
        if (client->key != key)
            continue;
        if (client->conns == 0)
            TAILQ_REMOVE(&c->idle, client, idle);
        return client;
    }
    client = make_room_locked(c, ret_error);
    if (client) {
        client->key = key;
        LIST_INSERT_HEAD(chain, client, chain);
    }
    return client;
}

static void put_back_locked(struct http_clients *c, struct http_client *client)
{
    if (client->conns == 0)
        TAILQ_INSERT_HEAD(&c->idle, client, idle);
}

/* --- Connections ---------------------------------------------------------------- */

int gust__http_clients_enter(struct http_clients *c, const gust_addr *addr, unsigned limit,
                             struct http_client **ret_client)
{
    int r = 0;

    gust_mutex_lock(&c->mutex);
    struct http_client *client = take_locked(c, addr, &r);
    if (client && client->conns < limit) {
        client->conns++;
    } else if (client) {
        put_back_locked(c, client);
        r = -EUSERS;
    }
    gust_mutex_unlock(&c->mutex);
    if (r == 0)
        *ret_client = client;
    return r;
}

void gust__http_clients_leave(struct http_clients *c, struct http_client *client)
{
    if (!client)
        return;
    gust_mutex_lock(&c->mutex);
    client->conns--;
    put_back_locked(c, client);
    gust_mutex_unlock(&c->mutex);
}

/* --- Requests -------------------------------------------------------------------- */

/* A bucket of `burst` tokens that is filled by one per interval, as one number: the time
 * at which it will be full again (GCRA). */
int64_t gust__http_clients_admit(struct http_clients *c, const gust_addr *addr, gust_time now,
                                 int64_t interval_ns, unsigned burst)
{
    int64_t wait = 0;
    int r = 0;

    gust_mutex_lock(&c->mutex);
    struct http_client *client = take_locked(c, addr, &r);
    if (client) {
        gust_time from = client->due > now ? client->due : now;
        wait = from + interval_ns - now - interval_ns * (int64_t)burst;
        if (wait <= 0)
            client->due = from + interval_ns;
        put_back_locked(c, client);
    }
    gust_mutex_unlock(&c->mutex);
    return r < 0 ? r : wait > 0 ? wait : 0;
}
