/* Options, files, reload; which certificate and which protocol are chosen. */
#include <sys/stat.h>

#include "tests/net/tls_test.h"

static char said[256]; /* the last line of the log */

static void remember(const char *line)
{
    snprintf(said, sizeof said, "%s", line);
}

#define ConfigTest(name)              \
    static void name##_quietly(void); \
    TlsTest(tls_config, name)         \
    {                                 \
        gust_set_log(remember);       \
        name##_quietly();             \
        gust_set_log(NULL);           \
    }                                 \
    static void name##_quietly(void)

static void is_refused(const gust_tls_options *o, int error, const char *because)
{
    gust_tls_config *config = NULL;
    said[0] = '\0';
    CHECK_EQ(gust_tls_config_new(o, &config), error);
    CHECK(config == NULL);
    CHECK(strstr(said, because) != NULL);
}

/* --- Options ------------------------------------------------------------------- */

ConfigTest(options_are_checked)
{
    struct setup s;
    make_files();
    const char *const empty_name[] = {"h2", "", NULL};
    char too_long[GUST_TLS_ALPN_MAX + 2] = {0};
    memset(too_long, 'x', sizeof too_long - 1);
    const char *const long_name[] = {too_long, NULL};
    const gust_tls_options good = server_options(&s);
    gust_tls_identity half = {s.cert.text, NULL};
    gust_tls_options bad[12];
    for (size_t i = 0; i < 12; i++)
        bad[i] = good;
    bad[0].min_version = (gust_tls_version)0x0302;
    bad[1].max_version = (gust_tls_version)0x0305;
    bad[2].min_version = GUST_TLS_1_3, bad[2].max_version = GUST_TLS_1_2;
    bad[3].client_auth = GUST_TLS_CLIENT_REQUIRE; /* trusts nobody */
    bad[4].handshake_timeout_ns = -1;
    bad[5].ticket_rotation_ns = -1;
    bad[6].ticket_keys_kept = GUST_TLS_TICKET_KEYS_MAX + 1;
    bad[7].identities = &half;
    bad[8].ciphers = "NO-SUCH-CIPHER";
    bad[9].groups = "no-such-group";
    bad[10].alpn = empty_name;
    bad[11].alpn = long_name;
    for (size_t i = 0; i < 12; i++)
        is_refused(&bad[i], -EINVAL, i < 10 ? "tls: " : "");
    bad[0] = good;
    bad[0].ciphersuites = "NO_SUCH_SUITE";
    is_refused(&bad[0], -EINVAL, "NO_SUCH_SUITE");
}

/* --- Files --------------------------------------------------------------------- */

static void file_is_refused(const char *cert, const char *key, int error, const char *because)
{
    struct path c = in_dir(cert), k = in_dir(key);
    gust_tls_identity identity = {c.text, k.text};
    gust_tls_options o = {.identities = &identity, .identity_count = 1};
    is_refused(&o, error, because);
}

ConfigTest(bad_files_are_named)
{
    make_files();
    struct issuer ca = authority("other.pem");
    leaf(&ca, "other", "DNS:other.test");
    issuer_free(&ca);
    write_text("empty", "");
    write_text("text", "no PEM at all\n");
    write_text("broken", "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n"
                         "-----END CERTIFICATE-----\n");
    file_is_refused("missing", "server.key", -ENOENT, "missing: No such file");
    file_is_refused("server.crt", "missing", -ENOENT, "missing: No such file");
    file_is_refused("", "server.key", -EISDIR, "directory");
    file_is_refused("empty", "server.key", -EBADMSG, "empty");
    file_is_refused("text", "server.key", -EBADMSG, "text");
    file_is_refused("broken", "server.key", -EBADMSG, "broken");
    file_is_refused("server.crt", "server.crt", -EBADMSG, "server.crt");
    file_is_refused("server.key", "server.key", -EBADMSG, "server.key");
    file_is_refused("server.crt", "other.key", -EKEYREJECTED, "server.crt");
}

ConfigTest(bad_authorities_are_named)
{
    write_text("text", "no PEM at all\n");
    struct path text = in_dir("text"), missing = in_dir("missing");
    is_refused(&(gust_tls_options){.ca_file = text.text}, -EBADMSG, "text");
    is_refused(&(gust_tls_options){.ca_file = missing.text}, -ENOENT, "missing");
}

/* Nobody is asked for a pass phrase on the terminal. */
ConfigTest(an_encrypted_key_is_refused)
{
    make_files();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(in_dir("secret.key").text, "w");
    CHECK_EQ(
        PEM_write_PrivateKey(f, key, EVP_aes_128_cbc(), (unsigned char *)"pass", 4, NULL, NULL), 1);
    fclose(f);
    EVP_PKEY_free(key);
    file_is_refused("server.crt", "secret.key", -EBADMSG, "pass phrase");
}

/* The second of two is looked at as closely as the first. */
ConfigTest(every_identity_is_checked)
{
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "a", "DNS:a.test");
    leaf(&ca, "b", "DNS:b.test");
    struct path ac = in_dir("a.crt"), ak = in_dir("a.key"), bc = in_dir("b.crt");
    gust_tls_identity ids[] = {{ac.text, ak.text}, {bc.text, ak.text}};
    is_refused(&(gust_tls_options){.identities = ids, .identity_count = 2}, -EKEYREJECTED, "b.crt");
    issuer_free(&ca);
}

/* --- SNI ------------------------------------------------------------------------ */

struct three {
    struct path files[6];
    gust_tls_identity ids[3];
};

/* NAME.crt and NAME.key for each. */
static gust_tls_options several(struct three *t, const char *const names[3])
{
    char file[64];
    for (int i = 0; i < 3; i++) {
        snprintf(file, sizeof file, "%s.crt", names[i]);
        t->files[i * 2] = in_dir(file);
        snprintf(file, sizeof file, "%s.key", names[i]);
        t->files[i * 2 + 1] = in_dir(file);
        t->ids[i] = (gust_tls_identity){t->files[i * 2].text, t->files[i * 2 + 1].text};
    }
    return (gust_tls_options){.identities = t->ids, .identity_count = 3};
}

/* Who answers a client that asks for `host` and believes anybody. */
static void answers(gust_tls_config *server, gust_tls_config *anybody, const char *host,
                    const char *subject)
{
    struct ends e;
    ends_open(&e, server, anybody, host);
    CHECK_EQ(e.client_error, 0);
    CHECK_EQ(strcmp(info_of_conn(e.client).peer_subject, subject), 0);
    ends_talk(&e);
    ends_close(&e);
}

ConfigTest(the_name_asked_for_chooses_the_certificate)
{
    struct three t;
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "first", "DNS:first.test");
    leaf(&ca, "wild", "DNS:*.many.test");
    leaf(&ca, "exact", "DNS:one.many.test");
    issuer_free(&ca);
    gust_tls_options o = several(&t, (const char *const[]){"first", "wild", "exact"});
    for (int version = 0; version < 2; version++) {
        o.max_version = version ? GUST_TLS_1_3 : GUST_TLS_1_2;
        gust_tls_config *server = config_of(&o);
        gust_tls_config *anybody = config_of(
            &(gust_tls_options){.insecure_skip_verify = true, .no_client_sessions = true});
        answers(server, anybody, "first.test", "CN=first");
        answers(server, anybody, "one.many.test", "CN=exact");
        answers(server, anybody, "two.many.test", "CN=wild");
        answers(server, anybody, "stranger.test", "CN=first");
        answers(server, anybody, "127.0.0.1", "CN=first");
        answers(server, anybody, NULL, "CN=first");
        gust_tls_config_unref(server);
        gust_tls_config_unref(anybody);
    }
}

/* Two kinds of key for one name: the client's signature algorithms decide. */
ConfigTest(a_name_may_have_several_kinds_of_key)
{
    struct three t;
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "first", "DNS:first.test");
    leaf(&ca, "curve", "DNS:both.test");
    leaf_with_key(&ca, "rsa", "DNS:both.test", EVP_RSA_gen(2048));
    issuer_free(&ca);
    gust_tls_options o = several(&t, (const char *const[]){"first", "curve", "rsa"});
    gust_tls_options client = {.insecure_skip_verify = true,
                               .no_client_sessions = true,
                               .max_version = GUST_TLS_1_2,
                               .ciphers = "ECDHE-RSA-AES128-GCM-SHA256"};
    gust_tls_config *server = config_of(&o), *only_rsa = config_of(&client);
    client.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256";
    gust_tls_config *only_curve = config_of(&client);
    answers(server, only_rsa, "both.test", "CN=rsa");
    answers(server, only_curve, "both.test", "CN=curve");
    gust_tls_config_unref(server);
    gust_tls_config_unref(only_rsa);
    gust_tls_config_unref(only_curve);
}

/* --- ALPN ------------------------------------------------------------------------ */

/* `chosen` NULL: the handshake fails. */
static void protocol_is(const char *const *ours, const char *const *theirs, const char *chosen)
{
    struct ends e;
    struct setup s, c;
    gust_tls_options server = server_options(&s), client = client_options(&c);
    server.alpn = ours;
    client.alpn = theirs;
    gust_tls_config *a = config_of(&server), *b = config_of(&client);
    ends_open(&e, a, b, "localhost");
    if (chosen) {
        CHECK_EQ(e.client_error, 0);
        CHECK_EQ(strcmp(info_of_conn(e.client).alpn, chosen), 0);
        CHECK_EQ(strcmp(info_of_conn(e.server).alpn, chosen), 0);
    } else {
        CHECK_EQ(e.client_error, -EPROTO);
        CHECK_EQ(e.server_error, -EPROTO);
    }
    ends_drop(&e);
    gust_tls_config_unref(a);
    gust_tls_config_unref(b);
}

ConfigTest(the_servers_best_protocol_is_chosen)
{
    const char *const both[] = {"h2", "http/1.1", NULL}, *const h1[] = {"http/1.1", NULL},
                      *const other[] = {"spdy", NULL}, *const turned[] = {"http/1.1", "h2", NULL};
    make_files();
    protocol_is(both, turned, "h2");
    protocol_is(turned, both, "http/1.1");
    protocol_is(both, h1, "http/1.1");
    protocol_is(both, NULL, "");
    protocol_is(NULL, both, "");
    protocol_is(both, other, NULL);
}

/* --- Versions ---------------------------------------------------------------------- */

ConfigTest(no_version_in_common_is_an_error)
{
    struct ends e;
    struct setup s, c;
    make_files();
    gust_tls_options server = server_options(&s), client = client_options(&c);
    server.min_version = GUST_TLS_1_3;
    client.max_version = GUST_TLS_1_2;
    gust_tls_config *a = config_of(&server), *b = config_of(&client);
    ends_open(&e, a, b, "localhost");
    CHECK_EQ(e.client_error, -EPROTO);
    CHECK_EQ(e.server_error, -EPROTO);
    ends_drop(&e);
    gust_tls_config_unref(a);
    gust_tls_config_unref(b);
}

/* --- Reload ------------------------------------------------------------------------ */

static void copy_file(const char *from, const char *to)
{
    char buf[8192];
    FILE *f = fopen(in_dir(from).text, "r");
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = '\0';
    write_text(to, buf);
}

ConfigTest(a_reload_is_for_new_connections)
{
    struct ends before;
    struct issuer ca = authority("ca.pem");
    leaf(&ca, "server", "DNS:localhost");
    leaf(&ca, "fresh", "DNS:localhost");
    issuer_free(&ca);
    gust_tls_config *server = server_config();
    gust_tls_config *client =
        config_of(&(gust_tls_options){.insecure_skip_verify = true, .no_client_sessions = true});
    ends_open(&before, server, client, "localhost");
    answers(server, client, "localhost", "CN=server");
    copy_file("fresh.crt", "server.crt");
    copy_file("fresh.key", "server.key");
    answers(server, client, "localhost", "CN=server");
    CHECK_EQ(gust_tls_config_reload(server), 0);
    answers(server, client, "localhost", "CN=fresh");
    ends_talk(&before);
    ends_close(&before);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

/* ASan sees what a reference too few, or too many, would do. */
ConfigTest(a_config_lives_as_long_as_its_references)
{
    struct ends e;
    make_files();
    gust_tls_config *server = server_config(), *client = client_config();
    CHECK_EQ(gust_tls_config_ref(server), server);
    gust_tls_config_unref(server);
    ends_open(&e, server, client, "localhost");
    gust_tls_config_unref(server);
    gust_tls_config_unref(client); /* the conns have theirs */
    CHECK_EQ(e.client_error, 0);
    ends_talk(&e);
    ends_close(&e);
}

ConfigTest(a_bad_reload_changes_nothing)
{
    make_files();
    gust_tls_config *server = server_config();
    gust_tls_config *client =
        config_of(&(gust_tls_options){.insecure_skip_verify = true, .no_client_sessions = true});
    copy_file("server.key", "kept");
    write_text("server.key", "no key\n");
    CHECK_EQ(gust_tls_config_reload(server), -EBADMSG);
    answers(server, client, "localhost", "CN=server");
    unlink(in_dir("server.key").text);
    CHECK_EQ(gust_tls_config_reload(server), -ENOENT);
    answers(server, client, "localhost", "CN=server");
    copy_file("kept", "server.key");
    CHECK_EQ(gust_tls_config_reload(server), 0);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

struct reloading {
    gust_tls_config *server;
    _Atomic int stop;
    gust_waitgroup done;
};

static void reload_all_the_time(void *arg)
{
    struct reloading *r = arg;
    while (!atomic_load(&r->stop)) {
        CHECK_EQ(gust_tls_config_reload(r->server), 0);
        gust_yield();
    }
    gust_waitgroup_done(&r->done);
}

ConfigTest(reloads_under_load_lose_no_connection)
{
    struct ends e[4];
    struct reloading r = {0};
    make_files();
    gust_tls_config *client = client_config();
    r.server = server_config();
    gust_waitgroup_add(&r.done, 1);
    go(reload_all_the_time, &r);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 4; i++) {
            ends_open(&e[i], r.server, client, "localhost");
            CHECK_EQ(e[i].client_error, 0);
            CHECK_EQ(e[i].server_error, 0);
        }
        for (int i = 0; i < 4; i++) {
            ends_talk(&e[i]);
            ends_close(&e[i]);
        }
    }
    atomic_store(&r.stop, 1);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    gust_tls_config_unref(r.server);
    gust_tls_config_unref(client);
}

/* --- The key log --------------------------------------------------------------------- */

static bool keys_were_logged(const char *file)
{
    char buf[4096] = "";
    FILE *f = fopen(in_dir(file).text, "r");
    if (!f)
        return false;
    size_t n = fread(buf, 1, sizeof buf - 1, f);
    fclose(f);
    buf[n] = '\0';
    return strstr(buf, "CLIENT_TRAFFIC_SECRET_0 ") != NULL;
}

static void talk_with(const gust_tls_options *o)
{
    struct ends e;
    gust_tls_config *server = config_of(o), *client = client_config();
    ends_open(&e, server, client, "localhost");
    CHECK_EQ(e.client_error, 0);
    ends_close(&e);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
}

ConfigTest(keys_are_logged_only_on_demand)
{
    struct setup s;
    struct path file = in_dir("keys"), env = in_dir("env");
    make_files();
    gust_tls_options o = server_options(&s);
    setenv("SSLKEYLOGFILE", env.text, 1);
    talk_with(&o);
    CHECK(!keys_were_logged("env"));
    o.keylog_from_env = true;
    talk_with(&o);
    CHECK(keys_were_logged("env"));
    CHECK(strstr(said, env.text) != NULL);
    o.keylog_from_env = false;
    o.keylog_file = file.text;
    talk_with(&o);
    CHECK(keys_were_logged("keys"));
    struct stat st;
    CHECK_EQ(stat(file.text, &st), 0);
    CHECK_EQ(st.st_mode & 077, 0);
    o.keylog_file = dir;
    gust_tls_config *config;
    CHECK_EQ(gust_tls_config_new(&o, &config), -EISDIR);
    o.keylog_file = NULL;
    o.keylog_from_env = true;
    unsetenv("SSLKEYLOGFILE");
    talk_with(&o);
}
