/* TLS 1.2 and 1.3, by OpenSSL 3.
 *
 * A TLS connection is a gust_conn: everything in <gust/net.h> works on it and means
 * the same, with these additions:
 *   - the handshake is made by the first read or write, in the goroutine that calls
 *     it, or by gust_tls_handshake; never by accept.  Reads and writes may return its
 *     errors;
 *   - 0 from a read means that the peer has said it is done (close_notify).  A
 *     stream that ends without is cut off, perhaps by somebody else: -ECONNABORTED;
 *   - shutdown with SHUT_WR, and close, say the same to the peer.  A conn that is
 *     only unreferenced, or on which a write failed, says nothing;
 *   - small writes by gust_conn_append leave in one record with those that follow.
 *
 * Errors of TLS, beside those of the plain calls.  They stay: every later call
 * returns the same one, and gust_tls_error says more.
 *   -EKEYREJECTED  the peer's certificate is not acceptable, or there is none
 *   -EPROTO        anything else: no version or cipher in common, an alert from the
 *                  peer, bytes that are no TLS
 *   -ECONNABORTED  the connection ended within the handshake
 *   -ETIMEDOUT     the handshake took longer than its own timeout
 *   -ENOMEM
 *
 * Programs that include this header link gust_tls (pkg-config: gust-tls); programs
 * that do not use TLS need no OpenSSL.
 *
 * Always off: renegotiation, compression, early data (0-RTT, which can be replayed),
 * versions before 1.2.  TLS in the kernel is not used. */
#ifndef GUST_TLS_H
#define GUST_TLS_H

#include <gust/base.h>
#include <gust/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Configuration -------------------------------------------------------- */

/* What both ends need: certificates, whom to trust, tickets.  Counted, and used by
 * any number of connections and listeners. */
typedef struct gust_tls_config gust_tls_config;

typedef enum gust_tls_version {
    GUST_TLS_VERSION_DEFAULT = 0,
    GUST_TLS_1_2 = 0x0303,
    GUST_TLS_1_3 = 0x0304,
} gust_tls_version;

/* Whether a server asks its clients for a certificate. */
typedef enum gust_tls_client_auth {
    GUST_TLS_CLIENT_NONE,
    GUST_TLS_CLIENT_REQUEST, /* one that is sent must be good */
    GUST_TLS_CLIENT_REQUIRE,
} gust_tls_client_auth;

/* PEM files: the certificate followed by its intermediates, and its key, which may
 * not be encrypted by a pass phrase. */
typedef struct gust_tls_identity {
    const char *cert_file;
    const char *key_file;
} gust_tls_identity;

#define GUST_TLS_HANDSHAKE_TIMEOUT_NS (10 * GUST_SEC)
#define GUST_TLS_TICKET_ROTATION_NS (8 * 3600 * GUST_SEC)
#define GUST_TLS_TICKET_KEYS_KEPT 3
#define GUST_TLS_TICKET_KEYS_MAX 16
#define GUST_TLS_CLIENT_SESSIONS_MAX 64
#define GUST_TLS_ALPN_MAX 255 /* bytes of one protocol's name */

/* Zeroes are the defaults.  Strings and arrays are copied. */
typedef struct gust_tls_options {
    /* A server needs at least one.  It shows a client the one whose certificate has
     * the name the client asks for: the exact name before a wildcard, which stands
     * for one label.  The first is for everybody else.  Several for one name may
     * differ in the kind of key.  A client that is asked shows the first. */
    const gust_tls_identity *identities;
    size_t identity_count;

    /* Whom to trust: PEM certificates in a file, or a directory as openssl-rehash
     * makes it; both may be given.  Without them, the system's store. */
    const char *ca_file;
    const char *ca_dir;

    gust_tls_client_auth client_auth; /* needs ca_file or ca_dir */
    /* A client takes any certificate: for tests. */
    bool insecure_skip_verify;

    gust_tls_version min_version; /* 1.2 */
    gust_tls_version max_version; /* 1.3 */
    const char *ciphers;          /* of 1.2, in OpenSSL's words; NULL: OpenSSL's defaults */
    const char *ciphersuites;     /* of 1.3; NULL: OpenSSL's, AES-128 first as with Go */
    const char *groups;           /* "X25519:P-256" */

    /* Application protocols, the best first, ended by NULL: "h2", "http/1.1".  A
     * server refuses a client that offers some and none of these; one that offers
     * none is served. */
    const char *const *alpn;

    int64_t handshake_timeout_ns; /* from gust_tls_server or _client; GUST_FOREVER: none */

    /* Session tickets let a client resume its session.  New keys are made every so
     * often, and as many kept as tickets they sealed shall be good for. */
    bool no_tickets;
    int64_t ticket_rotation_ns;
    unsigned ticket_keys_kept; /* at most GUST_TLS_TICKET_KEYS_MAX */

    unsigned client_sessions_max; /* host names to keep a session for */
    bool no_client_sessions;

    /* Records of one network packet at the start and after a pause, then full ones:
     * a reader can use the first bytes earlier, at a few per cent more CPU. */
    bool small_records_first;

    /* Debugging: appends every connection's secrets to this file, for Wireshark. */
    const char *keylog_file;
    bool keylog_from_env; /* to the file that $SSLKEYLOGFILE names, if it is set */
} gust_tls_options;

/* Reads the files and makes a configuration.  The reason of a failure is logged.
 * Errors: -EINVAL for options that contradict each other or that OpenSSL does not
 * know; what open(2) and read(2) answer; -EBADMSG for a file that is not what it
 * should be; -EKEYREJECTED if key and certificate do not belong together, or are too
 * weak; -ENOMEM.  Blocks for the files.  Only from a goroutine. */
int gust_tls_config_new(const gust_tls_options *options, gust_tls_config **ret_config);

/* Reads all files again.  Connections that have not begun their handshake use what is
 * in them now; others keep what they have.  Ticket keys stay, so that clients can
 * resume their sessions, unless whom to trust has changed.  After an error, as of
 * gust_tls_config_new, everything is as it was. */
int gust_tls_config_reload(gust_tls_config *config);

gust_tls_config *gust_tls_config_ref(gust_tls_config *config);
void gust_tls_config_unref(gust_tls_config *config); /* NULL is accepted */

/* --- Session tickets ------------------------------------------------------- */

/* Secret bytes.  All servers that clients may come back to need the same. */
typedef struct gust_tls_ticket_key {
    uint8_t bytes[80];
} gust_tls_ticket_key;

/* Replaces the ticket keys; from then on they change by this call only.  The first
 * seals new tickets, all open old ones.  Errors: -EINVAL for none or too many. */
int gust_tls_config_set_ticket_keys(gust_tls_config *config, const gust_tls_ticket_key *keys,
                                    size_t count);

/* Makes a new key to seal with, and forgets the oldest if enough are kept.
 * Errors: -EIO if OpenSSL has no random bytes. */
int gust_tls_config_rotate_tickets(gust_tls_config *config);

/* --- Connections ----------------------------------------------------------- */

/* Makes `c` a TLS connection, of which we are the server.  Before any other goroutine
 * uses it; what its view holds is taken for TLS.  Does not block.
 * Errors: -EINVAL if the configuration has no certificate; -EALREADY if it is one
 * already; -ENOMEM. */
int gust_tls_server(gust_conn *c, gust_tls_config *config);

/* The same for the client's end.  `host` is whom the server's certificate must be for:
 * a name, which is also sent so that the server can choose its certificate (SNI), or
 * the text of an IP address.  NULL or "" only with insecure_skip_verify.
 * Errors: -EINVAL, -EALREADY, -ENOMEM. */
int gust_tls_client(gust_conn *c, gust_tls_config *config, const char *host);

/* Connects, and makes the handshake.  Errors: as gust_tcp_dial, gust_tls_client and
 * gust_tls_handshake. */
int gust_tls_dial(const gust_addr *addr, const char *host, gust_tls_config *config,
                  gust_time deadline, gust_conn **ret_conn);

/* Makes the handshake now, unless it is done.  After -ETIMEDOUT, -EAGAIN or -ECANCELED
 * that come from `deadline` or the context it may be called again.
 * Errors: as above; -EINVAL if `c` is not a TLS connection. */
int gust_tls_handshake(gust_conn *c, gust_time deadline);

/* Every connection that `l` accepts from now on is made one by gust_tls_server.  NULL:
 * plain ones.  Before any goroutine accepts. */
void gust_listener_use_tls(gust_listener *l, gust_tls_config *config);

/* --- What was negotiated --------------------------------------------------- */

typedef struct gust_tls_info {
    gust_tls_version version;
    const char *cipher;               /* the IETF's name; valid for ever */
    char alpn[GUST_TLS_ALPN_MAX + 1]; /* "" if none was */
    char server_name[256];            /* that the client asked for; "" if none */
    bool resumed;
    /* The certificate of the other end, if it has shown one: a server is not shown
     * one again in a resumed session, but has it from the first. */
    bool has_peer_certificate;
    bool peer_verified;     /* it is trusted; for a client also: of the host */
    char peer_subject[256]; /* as RFC 2253 writes it, cut to fit */
    uint8_t peer_sha256[32];
} gust_tls_info;

/* Errors: -EINVAL if `c` is not a TLS connection, -ENOTCONN before the handshake is
 * done; -ENOMEM. */
int gust_tls_info_read(gust_conn *c, gust_tls_info *ret_info);

/* What the last TLS error of the connection was about, in words; "" if there was
 * none.  Valid as long as the conn. */
const char *gust_tls_error(const gust_conn *c);

#ifdef __cplusplus
}
#endif
#endif
