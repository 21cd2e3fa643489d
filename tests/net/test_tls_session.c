/* Sessions: tickets and their keys, resumption, what a client keeps. */
#include "tests/net/tls_test.h"

/* A connection on which both ends have said something; was it resumed? */
static bool resumes(gust_tls_config *server, gust_tls_config *client, const char *host)
{
    struct ends e;
    ends_open(&e, server, client, host);
    CHECK_EQ(e.client_error, 0);
    CHECK_EQ(e.server_error, 0);
    ends_talk(&e); /* the ticket comes before the answer */
    bool resumed = info_of_conn(e.client).resumed;
    CHECK_EQ(info_of_conn(e.server).resumed, resumed);
    ends_close(&e);
    return resumed;
}

struct both {
    gust_tls_config *server;
    gust_tls_config *client;
};

static struct both configs(gust_tls_version version)
{
    struct setup s;
    make_files();
    gust_tls_options o = server_options(&s);
    o.max_version = version;
    return (struct both){config_of(&o), client_config()};
}

static void configs_drop(struct both *b)
{
    gust_tls_config_unref(b->server);
    gust_tls_config_unref(b->client);
}

TlsTest(tls_session, sessions_of_1_3_are_resumed)
{
    struct both b = configs(GUST_TLS_1_3);
    CHECK(!resumes(b.server, b.client, "localhost"));
    for (int i = 0; i < 3; i++)
        CHECK(resumes(b.server, b.client, "localhost"));
    CHECK(!resumes(b.server, b.client, "127.0.0.1"));
    CHECK(resumes(b.server, b.client, "127.0.0.1"));
    configs_drop(&b);
}

TlsTest(tls_session, sessions_of_1_2_are_resumed)
{
    struct both b = configs(GUST_TLS_1_2);
    CHECK(!resumes(b.server, b.client, "localhost"));
    for (int i = 0; i < 3; i++)
        CHECK(resumes(b.server, b.client, "localhost"));
    configs_drop(&b);
}

TlsTest(tls_session, tickets_outlive_as_many_rotations_as_keys_are_kept)
{
    for (int version = 0; version < 2; version++) {
        struct both b = configs(version ? GUST_TLS_1_3 : GUST_TLS_1_2);
        CHECK(!resumes(b.server, b.client, "localhost"));
        for (int i = 1; i < GUST_TLS_TICKET_KEYS_KEPT; i++)
            CHECK_EQ(gust_tls_config_rotate_tickets(b.server), 0);
        CHECK(resumes(b.server, b.client, "localhost")); /* and got a new ticket */
        for (int i = 1; i < GUST_TLS_TICKET_KEYS_KEPT; i++)
            CHECK_EQ(gust_tls_config_rotate_tickets(b.server), 0);
        CHECK(resumes(b.server, b.client, "localhost"));
        for (int i = 0; i < GUST_TLS_TICKET_KEYS_KEPT; i++)
            CHECK_EQ(gust_tls_config_rotate_tickets(b.server), 0);
        CHECK(!resumes(b.server, b.client, "localhost"));
        configs_drop(&b);
    }
}

TlsTest(tls_session, tickets_survive_a_reload)
{
    struct both b = configs(GUST_TLS_1_3);
    CHECK(!resumes(b.server, b.client, "localhost"));
    CHECK_EQ(gust_tls_config_reload(b.server), 0);
    CHECK(resumes(b.server, b.client, "localhost"));
    CHECK_EQ(gust_tls_config_reload(b.client), 0);
    CHECK(!resumes(b.server, b.client, "localhost"));
    configs_drop(&b);
}

TlsTest(tls_session, servers_may_share_their_keys)
{
    gust_tls_ticket_key keys[GUST_TLS_TICKET_KEYS_MAX + 1];
    struct both b = configs(GUST_TLS_1_3);
    gust_tls_config *other = server_config();
    for (size_t i = 0; i < sizeof keys; i++)
        ((unsigned char *)keys)[i] = (unsigned char)stream_byte(i);
    CHECK_EQ(gust_tls_config_set_ticket_keys(b.server, keys, 0), -EINVAL);
    CHECK_EQ(gust_tls_config_set_ticket_keys(b.server, keys, GUST_TLS_TICKET_KEYS_MAX + 1),
             -EINVAL);
    CHECK_EQ(gust_tls_config_set_ticket_keys(b.server, keys, 2), 0);
    CHECK_EQ(gust_tls_config_set_ticket_keys(other, &keys[1], 1), 0);
    CHECK(!resumes(other, b.client, "localhost"));   /* sealed by keys[1] */
    CHECK(resumes(b.server, b.client, "localhost")); /* which opens here; keys[0] seals */
    CHECK(!resumes(other, b.client, "localhost"));
    gust_tls_config_unref(other);
    configs_drop(&b);
}

TlsTest(tls_session, without_tickets_nothing_is_resumed)
{
    for (int version = 0; version < 2; version++) {
        struct setup s;
        make_files();
        gust_tls_options o = server_options(&s);
        o.no_tickets = true;
        o.max_version = version ? GUST_TLS_1_3 : GUST_TLS_1_2;
        gust_tls_config *server = config_of(&o), *client = client_config();
        CHECK(!resumes(server, client, "localhost"));
        CHECK(!resumes(server, client, "localhost"));
        gust_tls_config_unref(server);
        gust_tls_config_unref(client);
    }
}

TlsTest(tls_session, a_client_may_keep_none_or_few)
{
    struct setup s;
    struct both b = configs(GUST_TLS_1_3);
    gust_tls_options o = client_options(&s);
    o.no_client_sessions = true;
    gust_tls_config *none = config_of(&o);
    o.no_client_sessions = false;
    o.client_sessions_max = 1;
    gust_tls_config *one = config_of(&o);
    CHECK(!resumes(b.server, none, "localhost"));
    CHECK(!resumes(b.server, none, "localhost"));
    CHECK(!resumes(b.server, one, "localhost"));
    CHECK(!resumes(b.server, one, "127.0.0.1")); /* takes the place */
    CHECK(!resumes(b.server, one, "localhost"));
    CHECK(resumes(b.server, one, "localhost"));
    gust_tls_config_unref(none);
    gust_tls_config_unref(one);
    configs_drop(&b);
}

/* A client that was verified is not asked again; but only while the server trusts the
 * same authorities. */
TlsTest(tls_session, a_verified_client_is_known_when_it_resumes)
{
    struct setup s, c;
    struct ends e;
    struct issuer ca = authority("ca.pem"), other = authority("other.pem");
    leaf(&ca, "server", "DNS:localhost");
    leaf(&ca, "client", NULL);
    gust_tls_options server = server_options(&s), client = client_options(&c);
    s.ca = in_dir("clients.pem");
    write_cert("clients.pem", ca.cert);
    server.ca_file = s.ca.text;
    server.client_auth = GUST_TLS_CLIENT_REQUIRE;
    c.cert = in_dir("client.crt");
    c.key = in_dir("client.key");
    c.identity = (gust_tls_identity){c.cert.text, c.key.text};
    client.identities = &c.identity;
    client.identity_count = 1;
    gust_tls_config *a = config_of(&server), *b = config_of(&client);
    CHECK(!resumes(a, b, "localhost"));
    ends_open(&e, a, b, "localhost");
    gust_tls_info info = info_of_conn(e.server);
    CHECK(info.resumed && info.has_peer_certificate && info.peer_verified);
    CHECK_EQ(strcmp(info.peer_subject, "CN=client"), 0);
    ends_talk(&e);
    ends_close(&e);
    write_cert("clients.pem", other.cert);
    CHECK_EQ(gust_tls_config_reload(a), 0);
    ends_open(&e, a, b, "localhost");
    CHECK_EQ(e.server_error, -EKEYREJECTED);
    ends_drop(&e);
    gust_tls_config_unref(a);
    gust_tls_config_unref(b);
    issuer_free(&ca);
    issuer_free(&other);
}

/* --- The table of keys -------------------------------------------------------------- */

static bool opens(gust__tickets *t, const gust_tls_ticket_key *key, bool *ret_newest)
{
    gust_tls_ticket_key found;
    return gust__tickets_open(t, key->bytes, &found, ret_newest) &&
           memcmp(&found, key, sizeof found) == 0;
}

Test(tls_session, keys_change_when_their_time_has_come)
{
    gust__tickets t;
    gust_tls_ticket_key first, second, third;
    bool newest;
    gust__tickets_init(&t, 1000, 2);
    cr_assert_eq(gust__tickets_rotate(&t), 0);
    gust__tickets_seal(&t, 0, &first);
    gust__tickets_seal(&t, t.next - 1, &second);
    cr_assert_eq(memcmp(&first, &second, sizeof first), 0);
    gust__tickets_seal(&t, t.next, &second);
    cr_assert_neq(memcmp(&first, &second, sizeof first), 0);
    cr_assert(opens(&t, &first, &newest) && !newest);
    cr_assert(opens(&t, &second, &newest) && newest);
    gust__tickets_seal(&t, t.next, &third);
    cr_assert(!opens(&t, &first, &newest));
    cr_assert(opens(&t, &second, &newest) && !newest);
    cr_assert(opens(&t, &third, &newest) && newest);
    gust__tickets_fini(&t);
}

Test(tls_session, keys_that_were_given_stay)
{
    gust__tickets t;
    gust_tls_ticket_key keys[2] = {{{1}}, {{2}}}, key;
    bool newest;
    gust__tickets_init(&t, 1, 3);
    cr_assert_eq(gust__tickets_set(&t, keys, 2), 0);
    gust__tickets_seal(&t, INT64_MAX - 1, &key);
    cr_assert_eq(key.bytes[0], 1);
    cr_assert(opens(&t, &keys[1], &newest) && !newest);
    /* By hand they still change. */
    cr_assert_eq(gust__tickets_rotate(&t), 0);
    cr_assert(opens(&t, &keys[0], &newest) && !newest);
    gust__tickets_seal(&t, INT64_MAX - 1, &key);
    cr_assert_neq(key.bytes[0] + key.bytes[1] * 256 + key.bytes[2] * 65536, 1);
    gust__tickets_fini(&t);
}
