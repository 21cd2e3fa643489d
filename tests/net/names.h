/* What the tests of names share: a system resolver that answers as it is told, and when;
 * and addresses that answer nobody. */
#ifndef GUST_TESTS_NET_NAMES_H
#define GUST_TESTS_NET_NAMES_H

#include <gust/resolve.h>
#include <pthread.h>

#include "net/lookup.h"
#include "net/resolve.h"
#include "tests/core/contexts.h"
#include "tests/net/net_test.h"

/* --- A system resolver ------------------------------------------------------------- */

#define FAKE_ADDRS 16

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t released;
    bool held;             /* calls do not return */
    int calls;             /* all there were */
    int active, most;      /* now, and at any time */
    int eai, system_error; /* what they answer; or */
    const char *addrs[FAKE_ADDRS];
} fake = {.mutex = PTHREAD_MUTEX_INITIALIZER, .released = PTHREAD_COND_INITIALIZER};

/* A chain of lists of one. */
static inline int fake_list(const char *service, const struct addrinfo *hints,
                            struct addrinfo **ret_list)
{
    struct addrinfo numeric = *hints;
    struct addrinfo **at = ret_list;
    numeric.ai_flags |= AI_NUMERICHOST;
    for (int i = 0; i < FAKE_ADDRS && fake.addrs[i]; i++) {
        if (getaddrinfo(fake.addrs[i], service, &numeric, at) != 0)
            continue; /* of another family */
        while (*at)
            at = &(*at)->ai_next;
    }
    return at == ret_list ? EAI_NODATA : 0;
}

static inline int fake_get(const char *host, const char *service, const struct addrinfo *hints,
                           struct addrinfo **ret_list)
{
    (void)host;
    pthread_mutex_lock(&fake.mutex);
    fake.calls++;
    fake.active++;
    if (fake.active > fake.most)
        fake.most = fake.active;
    while (fake.held)
        pthread_cond_wait(&fake.released, &fake.mutex);
    fake.active--;
    int eai = fake.eai;
    pthread_mutex_unlock(&fake.mutex);
    if (!eai)
        return fake_list(service, hints, ret_list);
    errno = fake.system_error;
    return eai;
}

static inline void fake_hold(bool held)
{
    pthread_mutex_lock(&fake.mutex);
    fake.held = held;
    pthread_cond_broadcast(&fake.released);
    pthread_mutex_unlock(&fake.mutex);
}

static inline int fake_value(const int *value)
{
    pthread_mutex_lock(&fake.mutex);
    int now = *value;
    pthread_mutex_unlock(&fake.mutex);
    return now;
}

/* No lookup that somebody has left may still see what was answered before, nor join it. */
static inline void fake_answer_error(int eai, int system_error)
{
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    fake.eai = eai;
    fake.system_error = system_error;
}

#define FAKE_ANSWER(...) fake_answer((const char *[FAKE_ADDRS]){__VA_ARGS__})

static inline void fake_answer(const char *const addrs[FAKE_ADDRS])
{
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    fake.eai = 0;
    memcpy(fake.addrs, addrs, sizeof fake.addrs);
}

static inline void fake_begin(void)
{
    gust__system_resolver_now = (gust__system_resolver){fake_get, freeaddrinfo};
    FAKE_ANSWER("127.0.0.1");
}

/* A NetTest that asks the fake, and leaves no lookup behind. */
#define NameTest(suite, name)                            \
    static void name##_asking(void);                     \
    NetTest(suite, name)                                 \
    {                                                    \
        fake_begin();                                    \
        name##_asking();                                 \
        CHECK_EQ(gust_resolver_drain(SOON), 0);          \
        gust__lookup_counts left = gust__lookup_count(); \
        CHECK_EQ(left.callers + left.queued, 0);         \
    }                                                    \
    static void name##_asking(void)

/* --- Who asks ------------------------------------------------------------------------ */

struct asking {
    const char *host;
    gust_time deadline;
    int result;
    gust_addrs *addrs;
    gust_waitgroup *done;
};

static inline void ask(void *arg)
{
    struct asking *a = arg;
    a->result = gust_resolve(a->host, "80", NULL, a->deadline, &a->addrs);
    gust_waitgroup_done(a->done);
}

static inline void check_addr(const gust_addr *addr, const char *expected)
{
    char text[GUST_ADDR_TEXT_MAX];
    CHECK(strcmp(gust_addr_format(addr, text), expected) == 0);
}

#endif
