/* Answers kept for a fixed time: a list by age, which is also the order in which they
 * become too old, and a hash of chains. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/inject.h"
#include "net/resolve.h"

struct gust__answer {
    STAILQ_ENTRY(gust__answer) age;
    LIST_ENTRY(gust__answer) chain;
    gust__question question;
    gust_addrs *addrs;
    gust_time until;
    char texts[];
};

/* --- Questions ------------------------------------------------------------------ */

bool gust__question_same(const gust__question *a, const gust__question *b)
{
    return a->family == b->family && a->socktype == b->socktype && a->flags == b->flags &&
           strcasecmp(a->host, b->host) == 0 && strcmp(a->service, b->service) == 0;
}

size_t gust__question_room(const gust__question *q)
{
    return strlen(q->host) + strlen(q->service) + 2;
}

gust__question gust__question_copy(const gust__question *q, char *room)
{
    gust__question copy = *q;
    copy.host = strcpy(room, q->host);
    copy.service = strcpy(room + strlen(q->host) + 1, q->service);
    return copy;
}

/* FNV-1a of the host, whose case does not matter. */
static uint32_t hash(const gust__question *q)
{
    uint32_t h = UINT32_C(2166136261);
    for (const char *c = q->host; *c; c++)
        h = (h ^ ((unsigned char)*c | 0x20)) * UINT32_C(16777619);
    return h;
}

/* --- The cache -------------------------------------------------------------------- */

static void drop_oldest(gust__cache *c)
{
    gust__answer *a = STAILQ_FIRST(&c->by_age);
    STAILQ_REMOVE_HEAD(&c->by_age, age);
    LIST_REMOVE(a, chain);
    c->count--;
    free(a->addrs);
    free(a);
}

static void drop_old(gust__cache *c, gust_time now)
{
    while (c->count > 0 && STAILQ_FIRST(&c->by_age)->until <= now)
        drop_oldest(c);
}

void gust__cache_setup(gust__cache *c, int64_t keep_ns, uint32_t max)
{
    while (c->count > 0)
        drop_oldest(c);
    STAILQ_INIT(&c->by_age);
    c->keep_ns = keep_ns;
    c->max = max;
}

static gust__answer *find(gust__cache *c, const gust__question *q)
{
    gust__answer *a;
    LIST_FOREACH(a, &c->buckets[hash(q) % GUST__CACHE_BUCKETS], chain)
    if (gust__question_same(&a->question, q))
        return a;
    return NULL;
}

const gust_addrs *gust__cache_get(gust__cache *c, const gust__question *q, gust_time now)
{
    drop_old(c, now);
    const gust__answer *a = find(c, q);
    return a ? a->addrs : NULL;
}

static gust__answer *answer_new(const gust__question *q, const gust_addrs *addrs)
{
    gust__answer *a = gust__malloc(sizeof *a + gust__question_room(q));
    gust_addrs *copy = gust__addrs_copy(addrs);
    if (!a || !copy) {
        free(a);
        free(copy);
        return NULL;
    }
    a->question = gust__question_copy(q, a->texts);
    a->addrs = copy;
    return a;
}

void gust__cache_put(gust__cache *c, const gust__question *q, const gust_addrs *addrs,
                     gust_time now)
{
    if (c->keep_ns == 0 || gust__cache_get(c, q, now))
        return;
    gust__answer *a = answer_new(q, addrs);
    if (!a)
        return;
    if (c->count >= c->max)
        drop_oldest(c);
    a->until = now < GUST_FOREVER - c->keep_ns ? now + c->keep_ns : GUST_FOREVER;
    STAILQ_INSERT_TAIL(&c->by_age, a, age);
    LIST_INSERT_HEAD(&c->buckets[hash(q) % GUST__CACHE_BUCKETS], a, chain);
    c->count++;
}
