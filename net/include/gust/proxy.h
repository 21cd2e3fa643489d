/* The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt): how a
 * proxy in front of a server says who the client is, in the first bytes of the
 * connection.
 *
 * A listener with gust_listen_options.proxy takes that header off each connection
 * before gust_listener_accept hands it out; gust_conn_remote_addr and _local_addr
 * then give the addresses that the header names.  Headers are waited for side by
 * side, so that a silent client keeps nobody from being accepted.
 *
 * Whoever may send a header may claim any address: allow the proxies, or keep others
 * from reaching the port. */
#ifndef GUST_PROXY_H
#define GUST_PROXY_H

#include <gust/net.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The longest header that is taken, TLVs included, and of version 1. */
#define GUST_PROXY_HEADER_MAX 4096
#define GUST_PROXY_V1_MAX 107

typedef struct gust_proxy_header {
    int version;           /* 1 or 2 */
    bool local;            /* version 2: sent by the proxy on its own account, e.g. to see
                              whether the server lives */
    bool datagram;         /* version 2: the client uses UDP or its like */
    gust_addr source;      /* the client; len is 0 if the header names none (UNKNOWN, local,
                              or a family other than IPv4 and IPv6) */
    gust_addr destination; /* where it connected to; the same */
    gust_span tlvs;        /* version 2: the further fields, for gust_proxy_tlv_next */
} gust_proxy_header;

/* --- On a listener --------------------------------------------------------- */

typedef enum gust_proxy_mode {
    GUST_PROXY_REQUIRED, /* a connection without a header is closed */
    GUST_PROXY_OPTIONAL, /* it is handed out as it is, also one that is silent for the time
                            allowed: for servers whose clients speak first */
} gust_proxy_mode;

/* Addresses that share the first `bits` with `addr`; its port does not matter.  IPv4
 * also stands for the same address in IPv6's clothes (::ffff:1.2.3.4).  A Unix address
 * stands for whoever comes by a Unix socket: a client there seldom has a name. */
typedef struct gust_proxy_prefix {
    gust_addr addr;
    int bits; /* 0 to 32 or 128; of a Unix address it does not count */
} gust_proxy_prefix;

/* False for bits that the address does not have, and for no address at all.  Pure. */
bool gust_proxy_prefix_valid(const gust_proxy_prefix *prefix);

/* Is the address one of them?  False for one of no known family, as when len is 0.  The
 * prefix must be valid.  Pure. */
bool gust_proxy_prefix_has(const gust_proxy_prefix *prefix, const gust_addr *addr);

/* Zeroes are the defaults. */
typedef struct gust_proxy_options {
    gust_proxy_mode mode;
    int64_t header_timeout_ns;      /* 0: 5 s */
    const gust_proxy_prefix *allow; /* who may send a header, by no Unix address; NULL:
                                       everybody.  From others nothing is read: optional
                                       hands their connections out as they are, required
                                       closes them.  Copied */
    size_t allow_count;
} gust_proxy_options;

/* What has become of the connections; all counts since the listener was made. */
typedef struct gust_proxy_stats {
    uint64_t with_header; /* handed out, or ready to be */
    uint64_t without;     /* the same; optional only */
    uint64_t malformed;   /* closed: no valid header, or a bad checksum */
    uint64_t timed_out;   /* closed: the header did not come in time */
    uint64_t refused;     /* closed: not from the allowed, or none where one is required */
    uint64_t failed;      /* closed: reset, or ended early, or no memory for it */
} gust_proxy_stats;

/* All zeroes if the listener does not take headers. */
void gust_listener_proxy_stats(gust_listener *l, gust_proxy_stats *ret_stats);

/* The header that came with c; NULL if none did.  It lives as long as c. */
const gust_proxy_header *gust_conn_proxy_header(const gust_conn *c);

/* The address of who really connected, whatever the header says; all zeroes once the
 * conn is closed. */
void gust_conn_peer_addr(const gust_conn *c, gust_addr *ret_addr);

/* --- Bytes ------------------------------------------------------------------ */

typedef enum gust_proxy_tlv_type {
    GUST_PROXY_TLV_ALPN = 0x01,
    GUST_PROXY_TLV_AUTHORITY = 0x02, /* the host name the client asked for */
    GUST_PROXY_TLV_CRC32C = 0x03,    /* has been checked */
    GUST_PROXY_TLV_NOOP = 0x04,
    GUST_PROXY_TLV_UNIQUE_ID = 0x05,
    GUST_PROXY_TLV_SSL = 0x20,
    GUST_PROXY_TLV_NETNS = 0x30,
} gust_proxy_tlv_type;

typedef struct gust_proxy_tlv {
    uint8_t type; /* gust_proxy_tlv_type, or another */
    gust_span value;
} gust_proxy_tlv;

/* Takes the first field off *tlvs, which begins as a header's; false if none is left. */
bool gust_proxy_tlv_next(gust_span *tlvs, gust_proxy_tlv *ret_tlv);

/* Reads a header at the start of `bytes`; ret_header->tlvs lies in them.  Pure.
 * Returns its length; 0 if more bytes are needed to tell.
 * Errors: -ENOENT if this is no PROXY header; -EPROTO if it is a malformed one. */
ssize_t gust_proxy_header_parse(gust_span bytes, gust_proxy_header *ret_header);

/* Writes a header, for clients that are proxies: `version`, `local`, `datagram`,
 * `tlvs` (as a whole, version 2), and the two addresses, which are of one family, or
 * both of len 0.  With `checksum`, version 2 gets a CRC32C.  Returns its length.
 * Errors: -ENOBUFS if it does not fit `size` or GUST_PROXY_HEADER_MAX; -EINVAL if such
 * a header does not exist, or the TLVs are malformed. */
ssize_t gust_proxy_header_format(const gust_proxy_header *header, bool checksum, char *buf,
                                 size_t size);

#ifdef __cplusplus
}
#endif
#endif
