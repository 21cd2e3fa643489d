/* Names: what is looked up and what is not, the bound on lookups, and callers that go
 * before the system has answered. */
#include "core/proc.h"
#include "tests/net/names.h"

/* --- Addresses that are not looked up ------------------------------------------------- */

NameTest(resolve, an_address_is_not_looked_up)
{
    static const char *const hosts[][2] = {
        {"127.0.0.1", "127.0.0.1:80"}, {"::1", "[::1]:80"}, {"fe80::1%lo", "[fe80::1%lo]:80"}};
    for (int i = 0; i < 3; i++) {
        gust_addrs *addrs = NULL;
        CHECK_EQ(gust_resolve(hosts[i][0], "80", NULL, GUST_NOW, &addrs), 0);
        CHECK_EQ(addrs->count, 1);
        check_addr(&addrs->list[0], hosts[i][1]);
        gust_addrs_free(addrs);
    }
    gust_addrs_free(NULL);
    CHECK_EQ(fake_value(&fake.calls), 0);
}

NameTest(resolve, an_address_of_the_other_family_is_none)
{
    gust_addrs *addrs = NULL;
    gust_resolve_options v6 = {.family = AF_INET6}, v4 = {.family = AF_INET};
    CHECK_EQ(gust_resolve("127.0.0.1", "80", &v6, SOON, &addrs), GUST_RESOLVE_NO_ADDRESS);
    CHECK_EQ(gust_resolve("::1", "80", &v4, SOON, &addrs), GUST_RESOLVE_NO_ADDRESS);
    CHECK(!addrs);
    CHECK_EQ(fake_value(&fake.calls), 0);
}

NameTest(resolve, options_that_make_no_sense_are_refused)
{
    gust_addrs *addrs = NULL;
    gust_resolve_options family = {.family = AF_UNIX}, type = {.socktype = SOCK_RAW},
                         flags = {.flags = AI_CANONNAME};
    static char long_name[GUST_RESOLVE_HOST_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    CHECK_EQ(gust_resolve("h", "80", &family, SOON, &addrs), -EAFNOSUPPORT);
    CHECK_EQ(gust_resolve("h", "80", &type, SOON, &addrs), -EINVAL);
    CHECK_EQ(gust_resolve("h", "80", &flags, SOON, &addrs), -EINVAL);
    CHECK_EQ(gust_resolve(long_name, "80", NULL, SOON, &addrs), -ENAMETOOLONG);
    CHECK_EQ(gust_resolve("h", long_name, NULL, SOON, &addrs), -ENAMETOOLONG);
    CHECK_EQ(gust_resolve_text("h", NULL, SOON, &addrs), -EINVAL);
    CHECK_EQ(gust_resolve_text("[h]:80", NULL, SOON, &addrs), -EINVAL);
    CHECK_EQ(fake_value(&fake.calls), 0);
    long_name[GUST_RESOLVE_HOST_MAX] = '\0'; /* and this is just not too long */
    CHECK_EQ(gust_resolve(long_name, "80", NULL, SOON, &addrs), 0);
    gust_addrs_free(addrs);
}

/* --- Answers ------------------------------------------------------------------------------ */

NameTest(resolve, answers_keep_their_order_and_come_once)
{
    gust_addrs *addrs = NULL;
    FAKE_ANSWER("::1", "10.0.0.1", "10.0.0.2", "10.0.0.1", "::2", "::1");
    CHECK_EQ(gust_resolve_text("example.org:8080", NULL, SOON, &addrs), 0);
    CHECK_EQ(addrs->count, 4);
    check_addr(&addrs->list[0], "[::1]:8080");
    check_addr(&addrs->list[1], "10.0.0.1:8080");
    check_addr(&addrs->list[2], "10.0.0.2:8080");
    check_addr(&addrs->list[3], "[::2]:8080");
    gust_addrs_free(addrs);
}

NameTest(resolve, a_family_may_be_asked_for)
{
    gust_addrs *addrs = NULL;
    gust_resolve_options v6 = {.family = AF_INET6};
    FAKE_ANSWER("10.0.0.1", "::1");
    CHECK_EQ(gust_resolve("h", "1", &v6, SOON, &addrs), 0);
    CHECK_EQ(addrs->count, 1);
    check_addr(&addrs->list[0], "[::1]:1");
    gust_addrs_free(addrs);
    FAKE_ANSWER("10.0.0.1");
    CHECK_EQ(gust_resolve("h", "1", &v6, SOON, &addrs), GUST_RESOLVE_NO_ADDRESS);
}

static const struct {
    int eai, system_error, error;
} errors[] = {
    {EAI_NONAME, 0, GUST_RESOLVE_NO_NAME},
    {EAI_NODATA, 0, GUST_RESOLVE_NO_ADDRESS},
    {EAI_ADDRFAMILY, 0, GUST_RESOLVE_NO_ADDRESS},
    {EAI_SERVICE, 0, GUST_RESOLVE_NO_SERVICE},
    {EAI_AGAIN, 0, GUST_RESOLVE_AGAIN},
    {EAI_FAIL, 0, GUST_RESOLVE_FAILED},
    {EAI_MEMORY, 0, -ENOMEM},
    {EAI_FAMILY, 0, -EAFNOSUPPORT},
    {EAI_SOCKTYPE, 0, -EINVAL},
    {EAI_BADFLAGS, 0, -EINVAL},
    {EAI_OVERFLOW, 0, -EOVERFLOW},
    {EAI_SYSTEM, EMFILE, -EMFILE},
    {EAI_SYSTEM, 0, GUST_RESOLVE_FAILED},
    {-12345, 0, GUST_RESOLVE_FAILED},
};

NameTest(resolve, errors_of_the_system_are_told_apart)
{
    gust_addrs *addrs = NULL;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        fake_answer_error(errors[i].eai, errors[i].system_error);
        CHECK_EQ(gust_resolve("h", "1", NULL, SOON, &addrs), errors[i].error);
    }
    CHECK(!addrs);
}

Test(resolve, every_error_has_a_phrase)
{
    for (int error = GUST_RESOLVE_FAILED; error <= GUST_RESOLVE_NO_NAME; error++) {
        cr_assert(strcmp(gust_resolve_strerror(error), "unknown error") != 0);
        for (int other = error + 1; other <= GUST_RESOLVE_NO_NAME; other++)
            cr_assert(strcmp(gust_resolve_strerror(error), gust_resolve_strerror(other)) != 0);
    }
    cr_assert(strcmp(gust_resolve_strerror(-ENOMEM), strerrordesc_np(ENOMEM)) == 0);
    cr_assert(strcmp(gust_resolve_strerror(-4000), "unknown error") == 0);
    cr_assert(strcmp(gust_resolve_strerror(5), "unknown error") == 0);
}

/* --- The system itself ---------------------------------------------------------------------- */

static bool is_loopback(const gust_addr *addr)
{
    return addr->any.sa_family == AF_INET ? ntohl(addr->v4.sin_addr.s_addr) >> 24 == 127
                                          : IN6_IS_ADDR_LOOPBACK(&addr->v6.sin6_addr);
}

NetTest(resolve, this_machine_has_addresses)
{
    gust_addrs *addrs = NULL;
    gust_resolve_options passive = {.flags = AI_PASSIVE, .family = AF_INET};
    CHECK_EQ(gust_resolve(NULL, "80", NULL, SOON, &addrs), 0);
    for (size_t i = 0; i < addrs->count; i++)
        CHECK(is_loopback(&addrs->list[i]) && gust_addr_port(&addrs->list[i]) == 80);
    gust_addrs_free(addrs);
    CHECK_EQ(gust_resolve("", "81", &passive, SOON, &addrs), 0);
    check_addr(&addrs->list[0], "0.0.0.0:81");
    gust_addrs_free(addrs);
    CHECK_EQ(gust_resolve("127.0.0.1", "no-such-service", NULL, SOON, &addrs),
             GUST_RESOLVE_NO_SERVICE);
}

/* --- Sharing, and the bound --------------------------------------------------------------------- */

enum { ASKERS = 6 };

static void start_askers(struct asking *askers, gust_waitgroup *done, bool same)
{
    static const char *const hosts[ASKERS] = {"a", "b", "c", "d", "e", "f"};
    gust_waitgroup_add(done, ASKERS);
    for (int i = 0; i < ASKERS; i++) {
        askers[i] =
            (struct asking){.host = hosts[same ? 0 : i], .deadline = GUST_FOREVER, .done = done};
        go(ask, &askers[i]);
    }
}

static void end_askers(struct asking *askers, gust_waitgroup *done)
{
    CHECK_EQ(gust_waitgroup_wait(done, SOON), 0);
    for (int i = 0; i < ASKERS; i++) {
        CHECK_EQ(askers[i].result, 0);
        check_addr(&askers[i].addrs->list[0], "127.0.0.1:80");
        gust_addrs_free(askers[i].addrs);
    }
}

NameTest(resolve, the_same_question_is_asked_once)
{
    struct asking askers[ASKERS];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    fake_hold(true);
    start_askers(askers, &done, true);
    AWAIT_SOON(gust__lookup_count().callers == ASKERS);
    CHECK_EQ(gust_resolver_in_flight(), 1);
    fake_hold(false);
    end_askers(askers, &done);
    CHECK_EQ(fake_value(&fake.calls), 1);
}

NameTest(resolve, no_more_lookups_than_allowed_are_under_way)
{
    struct asking askers[ASKERS];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_resolver_options two = {.in_flight_max = 2}, three = {.in_flight_max = 3};
    CHECK_EQ(gust_resolver_configure(&two), 0);
    fake_hold(true);
    start_askers(askers, &done, false);
    AWAIT_SOON(gust__lookup_count().callers == ASKERS && fake_value(&fake.active) == 2);
    CHECK_EQ(gust__lookup_count().running, 2);
    CHECK_EQ(gust__lookup_count().queued, ASKERS - 2);
    CHECK_EQ(gust_resolver_configure(&three), 0); /* lets one more in */
    CHECK_EQ(gust__lookup_count().running, 3);
    AWAIT_SOON(fake_value(&fake.active) == 3);
    CHECK_EQ(gust_resolver_configure(&two), 0);
    fake_hold(false);
    end_askers(askers, &done);
    CHECK_EQ(fake_value(&fake.calls), ASKERS);
    CHECK_EQ(fake_value(&fake.most), 3);
    CHECK_EQ(gust_resolver_configure(NULL), 0);
}

/* The single P is not kept by the lookups. */
NameTest(resolve, others_run_while_names_are_looked_up)
{
    struct asking askers[ASKERS];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    fake_hold(true);
    start_askers(askers, &done, false);
    AWAIT_SOON(fake_value(&fake.active) == ASKERS);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(gust_sleep(GUST_MS), 0);
    fake_hold(false);
    end_askers(askers, &done);
}

/* --- Callers that go ------------------------------------------------------------------------------ */

/* Leaves a lookup behind.  The time may be over before it has begun. */
static void leave_lookup(const char *host)
{
    gust_addrs *addrs = NULL;
    do
        CHECK_EQ(gust_resolve(host, "80", NULL, gust_after(2 * GUST_MS), &addrs), -ETIMEDOUT);
    while (gust_resolver_in_flight() == 0);
    CHECK(!addrs);
}

NameTest(resolve, a_caller_leaves_at_its_deadline)
{
    fake_hold(true);
    leave_lookup("h");
    CHECK_EQ(gust_resolver_in_flight(), 1);
    CHECK_EQ(gust_resolver_drain(GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_resolver_drain(gust_after(GUST_MS)), -ETIMEDOUT);
    fake_hold(false);
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    CHECK_EQ(gust_resolver_in_flight(), 0);
}

NameTest(resolve, who_asks_again_joins_the_lookup_that_was_left)
{
    struct asking a = {.host = "h", .deadline = GUST_FOREVER};
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    fake_hold(true);
    leave_lookup("h");
    a.done = &done;
    gust_waitgroup_add(&done, 1);
    go(ask, &a);
    AWAIT_SOON(gust__lookup_count().callers == 1);
    fake_hold(false);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(a.result, 0);
    CHECK_EQ(fake_value(&fake.calls), 1);
    gust_addrs_free(a.addrs);
}

NameTest(resolve, waiting_for_a_place_obeys_the_deadline)
{
    gust_addrs *addrs = NULL;
    gust_resolver_options one = {.in_flight_max = 1};
    CHECK_EQ(gust_resolver_configure(&one), 0);
    fake_hold(true);
    leave_lookup("a");
    CHECK_EQ(gust_resolve("b", "80", NULL, gust_after(GUST_MS), &addrs), -ETIMEDOUT);
    CHECK_EQ(gust__lookup_count().queued, 0); /* nobody wants to know any more */
    fake_hold(false);
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    CHECK_EQ(fake_value(&fake.calls), 1);
    CHECK_EQ(gust_resolve("b", "80", NULL, SOON, &addrs), 0);
    gust_addrs_free(addrs);
    CHECK_EQ(gust_resolver_configure(NULL), 0);
}

static void cancel_asker(const char *host)
{
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    struct asking a = {.host = host, .deadline = GUST_FOREVER, .done = &done};
    gust_context *context = context_make(NULL);
    gust_waitgroup_add(&done, 1);
    go_under(context, ask, &a);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(a.result, -ECANCELED);
    AWAIT_SOON(refs_of(context) == 1); /* the lookup has none */
    gust_context_unref(context);
}

NameTest(resolve, a_cancelled_caller_leaves_at_once)
{
    gust_resolver_options one = {.in_flight_max = 1};
    CHECK_EQ(gust_resolver_configure(&one), 0);
    fake_hold(true);
    cancel_asker("running");
    cancel_asker("queued");
    CHECK_EQ(gust__lookup_count().running, 1);
    CHECK_EQ(gust__lookup_count().queued, 0);
    fake_hold(false);
    CHECK_EQ(gust_resolver_configure(NULL), 0);
}

NameTest(resolve, nothing_is_looked_up_for_who_would_not_wait)
{
    gust_addrs *addrs = NULL;
    gust_context *context = context_make(NULL);
    CHECK_EQ(gust_resolve("h", "80", NULL, GUST_NOW, &addrs), -EAGAIN);
    CHECK_EQ(gust_resolve("h", "80", NULL, 1, &addrs), -ETIMEDOUT);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust_resolve("h", "80", NULL, SOON, &addrs), -ECANCELED);
    CHECK_EQ(gust_resolve("127.0.0.1", "80", NULL, SOON, &addrs), -ECANCELED);
    CHECK_EQ(gust_resolve("h", "80", NULL, GUST_NOW, &addrs), -EAGAIN);
    gust_context_swap(NULL);
    gust_context_unref(context);
    CHECK_EQ(fake_value(&fake.calls), 0);
}

/* --- The cache --------------------------------------------------------------------------------------- */

NameTest(resolve, nothing_is_kept_unless_asked_for)
{
    for (int i = 1; i <= 3; i++) {
        gust_addrs *addrs = NULL;
        CHECK_EQ(gust_resolve("h", "80", NULL, SOON, &addrs), 0);
        gust_addrs_free(addrs);
        CHECK_EQ(fake_value(&fake.calls), i);
    }
}

NameTest(resolve, the_cache_keeps_addresses_and_no_errors)
{
    gust_addrs *addrs = NULL;
    gust_resolver_options keep = {.cache_ns = 3600 * GUST_SEC};
    gust_resolver_options never = {.cache_ns = -1};
    CHECK_EQ(gust_resolver_configure(&never), -EINVAL);
    CHECK_EQ(gust_resolver_configure(&keep), 0);
    fake_answer_error(EAI_NONAME, 0);
    for (int i = 1; i <= 2; i++) {
        CHECK_EQ(gust_resolve("h", "80", NULL, SOON, &addrs), GUST_RESOLVE_NO_NAME);
        CHECK_EQ(fake_value(&fake.calls), i);
    }
    FAKE_ANSWER("10.0.0.1");
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(gust_resolve("h", "80", NULL, i < 2 ? SOON : GUST_NOW, &addrs), 0);
        check_addr(&addrs->list[0], "10.0.0.1:80");
        gust_addrs_free(addrs);
    }
    CHECK_EQ(fake_value(&fake.calls), 3);
    CHECK_EQ(gust_resolver_configure(&keep), 0); /* empties it */
    CHECK_EQ(gust_resolve("h", "80", NULL, GUST_NOW, &addrs), -EAGAIN);
    CHECK_EQ(gust_resolver_configure(NULL), 0);
}

/* --- The end of a run ----------------------------------------------------------------------------------- */

/* Lets the lookups go once the run is over but for them. */
static void *release_at_the_end(void *arg)
{
    (void)arg;
    while (!atomic_load(&sched.stopping))
        sched_yield();
    fake_hold(false);
    return NULL;
}

static int leave_lookups(void *arg)
{
    static struct asking askers[ASKERS];
    static gust_waitgroup done;
    gust_resolver_options two = {.in_flight_max = 2, .cache_ns = GUST_FOREVER};
    done = (gust_waitgroup)GUST_WAITGROUP_INIT;
    fake_begin();
    CHECK_EQ(gust_resolver_configure(&two), 0);
    CHECK_EQ(gust_resolver_in_flight(), 0);
    CHECK_EQ(gust_resolve("kept", "80", NULL, SOON, &askers[0].addrs), 0);
    gust_addrs_free(askers[0].addrs);
    fake_hold(true);
    leave_lookup("left");
    start_askers(askers, &done, false);
    AWAIT_SOON(gust__lookup_count().callers == ASKERS && fake_value(&fake.active) == 2);
    CHECK_EQ(pthread_create(arg, NULL, release_at_the_end, NULL), 0);
    return 0;
}

/* Twice: what is left of a run does not get into the next. */
Test(resolve, the_end_of_a_run_frees_what_lookups_have_left)
{
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        test_run(leave_lookups, &thread);
        pthread_join(thread, NULL);
    }
}

/* --- Races ---------------------------------------------------------------------------------------------- */

struct hurried {
    uint64_t rand;
    gust_waitgroup *done;
};

static void ask_in_a_hurry(void *arg)
{
    struct hurried *h = arg;
    static const char *const hosts[] = {"a", "b", "c"};
    for (int i = 0; i < 60; i++) {
        gust_addrs *addrs = NULL;
        gust_time deadline = gust_after((int64_t)(test_rand(&h->rand) % (300 * GUST_US)));
        int error = gust_resolve(hosts[test_rand(&h->rand) % 3], "80", NULL, deadline, &addrs);
        CHECK(error == 0 || error == -ETIMEDOUT);
        CHECK(!error == !!addrs);
        gust_addrs_free(addrs);
    }
    gust_waitgroup_done(h->done);
}

NameTest(resolve, callers_may_leave_whenever_they_like)
{
    struct hurried hurried[8];
    uint64_t seed = test_seed();
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_resolver_options two = {.in_flight_max = 2};
    CHECK_EQ(gust_resolver_configure(&two), 0);
    gust_waitgroup_add(&done, 8);
    for (int i = 0; i < 8; i++) {
        hurried[i] = (struct hurried){.rand = seed + (uint64_t)i, .done = &done};
        go(ask_in_a_hurry, &hurried[i]);
    }
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(gust_resolver_drain(SOON), 0);
    CHECK(fake_value(&fake.most) <= 2);
    CHECK_EQ(gust_resolver_configure(NULL), 0);
}
