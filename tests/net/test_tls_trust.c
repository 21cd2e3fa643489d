/* Who is believed: servers by their clients, clients by their servers. */
#include "tests/net/tls_test.h"

/* What a client that trusts ca.pem says to the server of NAME.crt, as `host`. */
static void client_says(const char *name, const char *host, int error)
{
    struct ends e;
    struct setup s;
    char file[64];
    gust_tls_options o = server_options(&s);
    snprintf(file, sizeof file, "%s.crt", name);
    s.cert = in_dir(file);
    snprintf(file, sizeof file, "%s.key", name);
    s.key = in_dir(file);
    gust_tls_config *server = config_of(&o), *client = client_config();
    ends_open(&e, server, client, host);
    CHECK_EQ(e.client_error, error);
    if (error == 0) {
        ends_talk(&e);
        gust_tls_info info = info_of_conn(e.client);
        CHECK(info.has_peer_certificate && info.peer_verified);
    } else {
        CHECK(*gust_tls_error(e.client) != '\0');
        CHECK(e.server_error < 0 || info_of_conn(e.server).version == GUST_TLS_1_3);
    }
    ends_drop(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls_trust, the_host_must_be_in_the_certificate)
{
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "name", "DNS:a.test,DNS:*.b.test");
    leaf(&ca, "address", "IP:127.0.0.1,IP:::1");
    leaf(&ca, "subject.test", NULL);
    client_says("name", "a.test", 0);
    client_says("name", "A.TEST.", 0);
    client_says("name", "x.b.test", 0);
    client_says("name", "y.x.b.test", -EKEYREJECTED);
    client_says("name", "b.test", -EKEYREJECTED);
    client_says("name", "c.test", -EKEYREJECTED);
    client_says("name", "127.0.0.1", -EKEYREJECTED);
    client_says("address", "127.0.0.1", 0);
    client_says("address", "::1", 0);
    client_says("address", "[::1]", 0);
    client_says("address", "127.0.0.2", -EKEYREJECTED);
    client_says("address", "a.test", -EKEYREJECTED);
    issuer_free(&ca);
}

TlsTest(tls_trust, the_issuer_must_be_known)
{
    struct issuer ca = authority("ca.pem"), other = authority("other.pem");
    leaf(&other, "stranger", "DNS:localhost");
    client_says("stranger", "localhost", -EKEYREJECTED);
    issuer_free(&ca);
    issuer_free(&other);
}

TlsTest(tls_trust, the_system_does_not_know_our_authority)
{
    struct ends e;
    gust_tls_options none = {0};
    make_files();
    gust_tls_config *server = server_config(), *client = config_of(&none);
    ends_open(&e, server, client, "localhost");
    CHECK_EQ(e.client_error, -EKEYREJECTED);
    ends_drop(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

TlsTest(tls_trust, verification_can_be_turned_off)
{
    struct ends e;
    gust_tls_options o = {.insecure_skip_verify = true};
    make_files();
    gust_tls_config *server = server_config(), *client = config_of(&o);
    for (int i = 0; i < 3; i++) {
        const char *hosts[] = {NULL, "", "any.test"};
        ends_open(&e, server, client, hosts[i]);
        CHECK_EQ(e.client_error, 0);
        gust_tls_info info = info_of_conn(e.client);
        CHECK(info.has_peer_certificate && !info.peer_verified);
        ends_talk(&e);
        ends_close(&e);
    }
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

/* A directory, in which OpenSSL looks for the hash of the issuer's name. */
TlsTest(tls_trust, authorities_may_lie_in_a_directory)
{
    struct ends e;
    char name[32];
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "server", "DNS:localhost");
    snprintf(name, sizeof name, "%08lx.0",
             X509_NAME_hash_ex(X509_get_subject_name(ca.cert), NULL, NULL, NULL));
    write_cert(name, ca.cert);
    gust_tls_options o = {.ca_dir = dir};
    gust_tls_config *server = server_config(), *client = config_of(&o);
    ends_open(&e, server, client, "localhost");
    CHECK_EQ(e.client_error, 0);
    ends_talk(&e);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
    issuer_free(&ca);
}

/* --- Clients ----------------------------------------------------------------------- */

/* A server that asks; a client with the certificate of that name, or NULL. */
static void server_says(gust_tls_client_auth auth, gust_tls_version version, const char *name,
                        int error)
{
    struct ends e;
    struct setup s, c;
    char file[64], buf[4];
    gust_tls_options server = server_options(&s), client = client_options(&c);
    s.ca = in_dir("ca.pem");
    server.ca_file = s.ca.text;
    server.client_auth = auth;
    server.max_version = version;
    if (name) {
        snprintf(file, sizeof file, "%s.crt", name);
        c.cert = in_dir(file);
        snprintf(file, sizeof file, "%s.key", name);
        c.key = in_dir(file);
        c.identity = (gust_tls_identity){c.cert.text, c.key.text};
        client.identities = &c.identity;
        client.identity_count = 1;
    }
    gust_tls_config *ours = config_of(&server), *theirs = config_of(&client);
    ends_open(&e, ours, theirs, "localhost");
    CHECK_EQ(e.server_error, error);
    if (error == 0) {
        gust_tls_info info = info_of_conn(e.server);
        CHECK_EQ(info.has_peer_certificate, name && auth != GUST_TLS_CLIENT_NONE);
        CHECK_EQ(info.peer_verified, info.has_peer_certificate);
        if (info.has_peer_certificate)
            CHECK_EQ(strcmp(info.peer_subject, "CN=client"), 0);
        ends_talk(&e);
    } else {
        CHECK(e.client_error < 0 || gust_conn_read(e.client, buf, sizeof buf, SOON) < 0);
    }
    ends_drop(&e);
    gust_tls_config_unref(ours);
    gust_tls_config_unref(theirs);
}

static void servers_ask(gust_tls_version version)
{
    struct issuer ca = authority("ca.pem"), other = authority("other.pem");
    leaf(&ca, "server", "DNS:localhost");
    leaf(&ca, "client", NULL);
    leaf(&other, "stranger", NULL);
    server_says(GUST_TLS_CLIENT_NONE, version, "client", 0);
    server_says(GUST_TLS_CLIENT_NONE, version, NULL, 0);
    server_says(GUST_TLS_CLIENT_REQUEST, version, "client", 0);
    server_says(GUST_TLS_CLIENT_REQUEST, version, NULL, 0);
    server_says(GUST_TLS_CLIENT_REQUEST, version, "stranger", -EKEYREJECTED);
    server_says(GUST_TLS_CLIENT_REQUIRE, version, "client", 0);
    server_says(GUST_TLS_CLIENT_REQUIRE, version, NULL, -EKEYREJECTED);
    server_says(GUST_TLS_CLIENT_REQUIRE, version, "stranger", -EKEYREJECTED);
    issuer_free(&ca);
    issuer_free(&other);
}

TlsTest(tls_trust, servers_ask_clients_of_1_2)
{
    servers_ask(GUST_TLS_1_2);
}

TlsTest(tls_trust, servers_ask_clients_of_1_3)
{
    servers_ask(GUST_TLS_1_3);
}

TlsTest(tls_trust, the_fingerprint_is_that_of_the_certificate)
{
    struct ends e;
    uint8_t digest[32];
    unsigned len = sizeof digest;
    ends_usual(&e);
    FILE *f = fopen(in_dir("server.crt").text, "r");
    X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
    fclose(f);
    CHECK_EQ(X509_digest(cert, EVP_sha256(), digest, &len), 1);
    X509_free(cert);
    gust_tls_info info = info_of_conn(e.client);
    CHECK_EQ(memcmp(info.peer_sha256, digest, sizeof digest), 0);
    CHECK_EQ(strcmp(info.peer_subject, "CN=server"), 0);
    info = info_of_conn(e.server);
    CHECK(!info.has_peer_certificate && !info.peer_verified);
    CHECK_EQ(strcmp(info.server_name, "localhost"), 0);
    ends_close(&e);
}
