/* Dialling by name: the order of addresses, attempts beside each other, and that those
 * which lose leave nothing behind. */
#include <netinet/tcp.h>

#include "net/dial_name.h"
#include "tests/net/names.h"

/* --- The order, and the shares of the time ------------------------------------------------ */

static void check_order(const char *before, const char *after)
{
    gust_addr list[8] = {0};
    size_t count = strlen(before);
    char got[9] = "";
    for (size_t i = 0; i < count; i++) {
        list[i].any.sa_family = before[i] < 'a' ? AF_INET6 : AF_INET;
        list[i].len = (socklen_t)before[i];
    }
    gust__dial_interleave(list, count);
    for (size_t i = 0; i < count; i++)
        got[i] = (char)list[i].len;
    cr_assert(strcmp(got, after) == 0, "%s became %s", before, got);
}

/* Capitals are of the one family, small letters of the other. */
Test(dial_name, families_take_turns)
{
    check_order("", "");
    check_order("A", "A");
    check_order("ab", "ab");
    check_order("Ab", "Ab");
    check_order("ABcd", "AcBd");
    check_order("abCD", "aCbD");
    check_order("ABCd", "AdBC");
    check_order("AbcdE", "AbEcd");
    check_order("aBcD", "aBcD");
    check_order("ABCDefgh", "AeBfCgDh");
}

Test(dial_name, the_time_is_shared_out)
{
    const gust_time now = 1000;
    cr_assert_eq(gust__dial_share(now, GUST_FOREVER, 3), GUST_FOREVER);
    cr_assert_eq(gust__dial_share(now, now + 30 * GUST_SEC, 3), now + 10 * GUST_SEC);
    cr_assert_eq(gust__dial_share(now, now + 30 * GUST_SEC, 1), now + 30 * GUST_SEC);
    cr_assert_eq(gust__dial_share(now, now + 4 * GUST_SEC, 2), now + 2 * GUST_SEC);
    cr_assert_eq(gust__dial_share(now, now + 4 * GUST_SEC, 4), now + 2 * GUST_SEC);
    cr_assert_eq(gust__dial_share(now, now + GUST_SEC, 4), now + GUST_SEC);
    cr_assert_eq(gust__dial_share(now, now, 4), now);
    cr_assert_eq(gust__dial_share(now, 5, 4), 5);
}

/* --- Peers of three kinds at one port --------------------------------------------------------- */

/* 127.0.0.1 refuses, 127.0.0.2 does not answer, 127.0.0.3 and 127.0.0.4 accept. */
struct peers {
    int refuses, silent;
    int clients[8]; /* of the silent one, whose backlog they fill */
    gust_listener *accept[2];
    uint16_t port;
};

static int bind_at(const char *host, uint16_t port)
{
    gust_addr addr = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(gust__addr_parse_literal((gust_span){host, strlen(host)}, &addr));
    gust__addr_set_port(&addr, port);
    if (bind(fd, &addr.any, addr.len) == 0)
        return fd;
    CHECK_EQ(errno, EADDRINUSE);
    close(fd);
    return -1;
}

static void fill_backlog(struct peers *p)
{
    gust_addr addr = {.len = sizeof addr.v4};
    CHECK_EQ(listen(p->silent, 0), 0);
    CHECK_EQ(getsockname(p->silent, &addr.any, &addr.len), 0);
    for (int i = 0; i < 8; i++) {
        p->clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(p->clients[i], &addr.any, addr.len);
    }
}

static gust_listener *listen_at(const char *host, uint16_t port)
{
    char text[32];
    gust_listener *l = NULL;
    snprintf(text, sizeof text, "%s:%u", host, port);
    gust_addr addr = addr_of(text);
    int error = gust_tcp_listen(&addr, NULL, &l);
    CHECK(!error || error == -EADDRINUSE);
    return l;
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* False: somebody has the port at one of the others. */
static bool peers_try(struct peers *p)
{
    gust_addr addr;
    p->accept[0] = listen_at("127.0.0.3", 0);
    gust_listener_addr(p->accept[0], &addr);
    p->port = gust_addr_port(&addr);
    p->accept[1] = listen_at("127.0.0.4", p->port);
    p->refuses = bind_at("127.0.0.1", p->port);
    p->silent = bind_at("127.0.0.2", p->port);
    if (p->accept[1] && p->refuses >= 0 && p->silent >= 0)
        return true;
    gust_listener_close(p->accept[0]);
    gust_listener_close(p->accept[1]);
    close_if_open(p->refuses);
    close_if_open(p->silent);
    return false;
}

static void peers_open(struct peers *p)
{
    while (!peers_try(p))
        ;
    fill_backlog(p);
}

static void peers_close(struct peers *p)
{
    gust_listener_close(p->accept[0]);
    gust_listener_close(p->accept[1]);
    close(p->refuses);
    close(p->silent);
    for (int i = 0; i < 8; i++)
        close(p->clients[i]);
}

static int dial(const struct peers *p, const gust_dial_options *options, gust_time deadline,
                gust_conn **ret_conn)
{
    char name[32];
    snprintf(name, sizeof name, "peers:%u", p->port);
    return gust_dial(name, options, deadline, ret_conn);
}

/* The dialled one speaks to the one that a listener has. */
static void check_pair(gust_conn *c, gust_listener *l)
{
    char byte = 0;
    gust_conn *server = accept_from(l);
    CHECK_EQ(gust_conn_write(c, "x", 1, SOON), 1);
    CHECK_EQ(gust_conn_read(server, &byte, 1, SOON), 1);
    CHECK_EQ(byte, 'x');
    pair_close(c, server);
}

#define PeersTest(suite, name)                        \
    static void name##_dialling(struct peers *peers); \
    NameTest(suite, name)                             \
    {                                                 \
        struct peers peers;                           \
        peers_open(&peers);                           \
        name##_dialling(&peers);                      \
        peers_close(&peers);                          \
    }                                                 \
    static void name##_dialling(struct peers *peers)

static const gust_dial_options one_by_one = {.attempt_delay_ns = -1};

/* --- Success ---------------------------------------------------------------------------------- */

PeersTest(dial_name, the_first_address_is_tried_first)
{
    gust_conn *c = NULL;
    int on = 0;
    socklen_t len = sizeof on;
    FAKE_ANSWER("127.0.0.4", "127.0.0.3");
    CHECK_EQ(dial(peers, &one_by_one, SOON, &c), 0);
    CHECK_EQ(getsockopt(c->fd.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    CHECK(on);
    check_pair(c, peers->accept[1]);
}

/* No attempt fails here, so only the delay lets the next begin. */
static bool is_set(gust_conn *c, int level, int option)
{
    int value = 0;
    socklen_t len = sizeof value;
    CHECK_EQ(getsockopt(c->fd.fd, level, option, &value, &len), 0);
    return value;
}

PeersTest(dial_name, connections_have_the_tcp_options_asked_for)
{
    const gust_tcp_options tcp = {.no_keepalive = true, .delay = true};
    gust_dial_options options = {0};
    for (int i = 0; i < 2; i++) {
        gust_conn *c = NULL;
        FAKE_ANSWER("127.0.0.4", "127.0.0.3");
        CHECK_EQ(dial(peers, &options, SOON, &c), 0);
        CHECK_EQ(is_set(c, SOL_SOCKET, SO_KEEPALIVE), i == 0);
        CHECK_EQ(is_set(c, IPPROTO_TCP, TCP_NODELAY), i == 0);
        gust_conn_close(c, GUST_NOW);
        options.tcp = &tcp;
    }
}

PeersTest(dial_name, a_silent_address_is_overtaken_after_the_delay)
{
    gust_conn *c = NULL;
    gust_dial_options options = {.attempt_delay_ns = 20 * GUST_MS};
    FAKE_ANSWER("127.0.0.2", "127.0.0.3");
    gust_time start = gust_now();
    CHECK_EQ(dial(peers, &options, GUST_FOREVER, &c), 0);
    CHECK(gust_now() >= start + 20 * GUST_MS);
    check_pair(c, peers->accept[0]);
}

PeersTest(dial_name, the_usual_delay_is_a_quarter_of_a_second)
{
    gust_conn *c = NULL;
    FAKE_ANSWER("127.0.0.2", "127.0.0.3");
    gust_time start = gust_now();
    CHECK_EQ(dial(peers, NULL, SOON, &c), 0);
    CHECK(gust_now() >= start + 250 * GUST_MS);
    check_pair(c, peers->accept[0]);
}

/* Nothing but the failures can let the third begin: the delay is as good as for ever. */
PeersTest(dial_name, a_refusal_lets_the_next_begin_at_once)
{
    gust_conn *c = NULL;
    gust_dial_options late = {.attempt_delay_ns = 3600 * GUST_SEC};
    FAKE_ANSWER("127.0.0.1", "255.255.255.255", "127.0.0.3");
    CHECK_EQ(dial(peers, &late, SOON, &c), 0);
    check_pair(c, peers->accept[0]);
    CHECK_EQ(dial(peers, &one_by_one, SOON, &c), 0);
    check_pair(c, peers->accept[0]);
}

/* Half of the time for the first, and then it is the second's turn. */
PeersTest(dial_name, a_silent_address_leaves_time_for_the_next)
{
    gust_conn *c = NULL;
    FAKE_ANSWER("127.0.0.2", "127.0.0.3");
    gust_time start = gust_now();
    CHECK_EQ(dial(peers, &one_by_one, start + 8 * GUST_SEC, &c), 0);
    CHECK(gust_now() >= start + 2 * GUST_SEC);
    check_pair(c, peers->accept[0]);
}

/* Several may succeed at once; one is kept. */
PeersTest(dial_name, who_is_too_late_is_closed)
{
    char byte;
    gust_dial_options at_once = {.attempt_delay_ns = 1};
    FAKE_ANSWER("127.0.0.3", "127.0.0.4", "127.0.0.1", "127.0.0.2");
    for (int i = 0; i < 30; i++) {
        gust_conn *c = NULL, *server;
        CHECK_EQ(dial(peers, &at_once, SOON, &c), 0);
        CHECK_EQ(gust_conn_close(c, SOON), 0);
        for (int j = 0; j < 2; j++) {
            while (gust_listener_accept(peers->accept[j], GUST_NOW, &server) == 0) {
                CHECK(gust_conn_read(server, &byte, 1, SOON) <= 0);
                gust_conn_unref(server);
            }
        }
    }
}

NameTest(dial_name, an_address_is_a_name_too)
{
    gust_addr addr;
    char text[GUST_ADDR_TEXT_MAX];
    gust_conn *c = NULL;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    CHECK_EQ(gust_dial(gust_addr_format(&addr, text), NULL, SOON, &c), 0);
    check_pair(c, l);
    CHECK_EQ(fake_value(&fake.calls), 0);
    snprintf(text, sizeof text, ":%u", gust_addr_port(&addr)); /* this machine */
    FAKE_ANSWER("127.0.0.1");
    CHECK_EQ(gust_dial(text, NULL, SOON, &c), 0);
    check_pair(c, l);
    gust_listener_close(l);
}

NameTest(dial_name, addresses_can_be_looked_up_beforehand)
{
    gust_addr addr;
    char text[GUST_ADDR_TEXT_MAX];
    gust_conn *c = NULL;
    gust_addrs *addrs;
    gust_listener *l = listen_on("127.0.0.1:0", &addr);
    CHECK_EQ(gust_resolve_text(gust_addr_format(&addr, text), NULL, SOON, &addrs), 0);
    CHECK_EQ(gust_dial_addrs(addrs, NULL, SOON, &c), 0);
    check_pair(c, l);
    gust_addrs_free(addrs);
    gust_listener_close(l);
}

/* --- Failure ------------------------------------------------------------------------------------- */

PeersTest(dial_name, the_error_is_that_of_the_first_attempt)
{
    gust_conn *c = NULL;
    gust_addr nowhere = addr_of("255.255.255.255:1");
    int other = gust_tcp_dial(&nowhere, SOON, &c);
    CHECK(other < 0 && other != -ECONNREFUSED);
    FAKE_ANSWER("127.0.0.1", "255.255.255.255");
    CHECK_EQ(dial(peers, NULL, SOON, &c), -ECONNREFUSED);
    FAKE_ANSWER("255.255.255.255", "127.0.0.1");
    CHECK_EQ(dial(peers, NULL, SOON, &c), other);
    FAKE_ANSWER("127.0.0.1", "127.0.0.2"); /* of which one never ends by itself */
    int error = -ETIMEDOUT;                /* while there is no time for the name */
    for (int64_t ns = 50 * GUST_MS; error == -ETIMEDOUT && ns < 60 * GUST_SEC; ns *= 2)
        error = dial(peers, NULL, gust_after(ns), &c);
    CHECK_EQ(error, -ECONNREFUSED);
    CHECK(!c);
}

PeersTest(dial_name, no_more_attempts_than_allowed_are_made)
{
    gust_conn *c = NULL;
    gust_dial_options options = {0};
    FAKE_ANSWER("127.0.0.1", "127.0.0.1", "255.255.255.255", "127.0.0.3");
    for (options.attempts_max = 1; options.attempts_max <= 2; options.attempts_max++)
        CHECK_EQ(dial(peers, &options, SOON, &c), -ECONNREFUSED);
    options.attempts_max = 3; /* an address that came twice counts once */
    CHECK_EQ(dial(peers, &options, SOON, &c), 0);
    check_pair(c, peers->accept[0]);
}

PeersTest(dial_name, the_deadline_ends_all_attempts)
{
    gust_conn *c = NULL;
    gust_dial_options at_once = {.attempt_delay_ns = 1};
    FAKE_ANSWER("127.0.0.2", "127.0.0.2");
    gust_time start = gust_now();
    CHECK_EQ(dial(peers, NULL, start + 30 * GUST_MS, &c), -ETIMEDOUT);
    CHECK(gust_now() >= start + 30 * GUST_MS);
    FAKE_ANSWER("127.0.0.2", "127.0.0.1");
    start = gust_now();
    CHECK_EQ(dial(peers, &at_once, start + 30 * GUST_MS, &c), -ETIMEDOUT);
    CHECK(gust_now() >= start + 30 * GUST_MS);
    CHECK_EQ(gust_dial("127.0.0.2:nothing", NULL, 1, &c), -ETIMEDOUT);
    CHECK(!c);
}

PeersTest(dial_name, now_tries_one_address)
{
    gust_conn *c = NULL;
    char name[32];
    snprintf(name, sizeof name, "127.0.0.2:%u", peers->port);
    CHECK_EQ(gust_dial(name, NULL, GUST_NOW, &c), -EAGAIN);
    CHECK_EQ(dial(peers, NULL, GUST_NOW, &c), -EAGAIN); /* nor is the name looked up */
    CHECK(!c);
}

NameTest(dial_name, names_that_have_no_address_are_told_apart)
{
    gust_conn *c = NULL;
    CHECK_EQ(gust_dial("no port", NULL, SOON, &c), -EINVAL);
    fake_answer_error(EAI_NONAME, 0);
    CHECK_EQ(gust_dial("h:80", NULL, SOON, &c), GUST_RESOLVE_NO_NAME);
    CHECK(!c);
}

/* --- Cancellation ------------------------------------------------------------------------------------ */

struct dialling {
    const struct peers *peers;
    gust_conn *conn;
    int result;
    gust_waitgroup done;
};

static void dial_one(void *arg)
{
    struct dialling *d = arg;
    d->result = dial(d->peers, NULL, GUST_FOREVER, &d->conn);
    gust_waitgroup_done(&d->done);
}

PeersTest(dial_name, a_cancellation_ends_all_attempts)
{
    struct dialling d = {.peers = peers};
    FAKE_ANSWER("127.0.0.2", "127.0.0.3");
    gust_listener_close(gust_listener_ref(peers->accept[0])); /* that one refuses now */
    size_t fds = fd_count();
    for (int i = 0; i < 3; i++) {
        gust_context *context = context_make(NULL);
        gust_waitgroup_add(&d.done, 1);
        go_under(context, dial_one, &d);
        AWAIT_SOON(children_of(context) == 1 && fd_count() > fds);
        gust_context_cancel(context, 0);
        CHECK_EQ(gust_waitgroup_wait(&d.done, SOON), 0);
        CHECK_EQ(d.result, -ECANCELED);
        CHECK(!d.conn);
        AWAIT_SOON(refs_of(context) == 1);
        gust_context_unref(context);
        AWAIT_SOON(fd_count() == fds);
    }
}

/* --- The local end ------------------------------------------------------------------------------------- */

/* A port of 127.0.0.9 that stays ours while the socket is open, and which others may
 * share if they say so too. */
static int keep_port(gust_addr *ret_addr)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *ret_addr = addr_of("127.0.0.9:0");
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(fd, &ret_addr->any, ret_addr->len), 0);
    CHECK_EQ(getsockname(fd, &ret_addr->any, &ret_addr->len), 0);
    return fd;
}

static gust_conn *dial_from(struct peers *peers, const gust_addr *local)
{
    gust_conn *c = NULL;
    gust_addr got;
    gust_dial_options options = {.local = local};
    CHECK_EQ(dial(peers, &options, SOON, &c), 0);
    gust_conn_local_addr(c, &got);
    CHECK_EQ(got.v4.sin_addr.s_addr, local->v4.sin_addr.s_addr);
    CHECK(gust_addr_port(local) == 0 || gust_addr_port(&got) == gust_addr_port(local));
    return c;
}

PeersTest(dial_name, the_local_end_may_be_chosen)
{
    gust_addr local = addr_of("127.0.0.9:0");
    FAKE_ANSWER("127.0.0.1", "127.0.0.3");
    check_pair(dial_from(peers, &local), peers->accept[0]);
    int kept = keep_port(&local);
    gust_conn *a = dial_from(peers, &local);
    FAKE_ANSWER("127.0.0.4");
    gust_conn *b = dial_from(peers, &local); /* the same port, towards another */
    check_pair(a, peers->accept[0]);
    check_pair(b, peers->accept[1]);
    close(kept);
}

PeersTest(dial_name, the_local_end_decides_the_family)
{
    gust_conn *c = NULL;
    gust_addr local = addr_of("[::1]:0");
    gust_dial_options options = {.local = &local, .family = AF_INET};
    FAKE_ANSWER("127.0.0.3");
    CHECK_EQ(dial(peers, &options, SOON, &c), -EINVAL);
    options.family = 0;
    CHECK_EQ(dial(peers, &options, SOON, &c), GUST_RESOLVE_NO_ADDRESS);
    options.local = NULL;
    options.family = AF_INET6;
    CHECK_EQ(dial(peers, &options, SOON, &c), GUST_RESOLVE_NO_ADDRESS);
    gust_addr foreign = addr_of("192.0.2.1:0"); /* not of this machine */
    options = (gust_dial_options){.local = &foreign};
    CHECK_EQ(dial(peers, &options, SOON, &c), -EADDRNOTAVAIL);
    CHECK(!c);
}

/* A port that is kept, but at which nobody listens, and our own end at the same. */
NetTest(dial_name, a_connection_to_oneself_is_recognised)
{
    const int on = 1;
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_conn *c = NULL, *a, *b;
    int kept = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(setsockopt(kept, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(kept, &addr.any, addr.len), 0);
    CHECK_EQ(getsockname(kept, &addr.any, &addr.len), 0);
    CHECK_EQ(gust__dial_attempt(&addr, &(gust__dial_how){.local = &addr}, SOON, &c), 0);
    CHECK(gust__dial_met_itself(c));
    gust_conn_unref(c);
    close(kept);
    pair_open(&a, &b);
    CHECK(!gust__dial_met_itself(a));
    CHECK(!gust__dial_met_itself(b));
    pair_close(a, b);
}
