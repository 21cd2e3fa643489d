/* The TLS layer inside: a configuration, what was loaded from its files, and the
 * state of one connection.
 *
 *     config.c     options, their copy, reload
 *     context.c    an SSL_CTX from the options and the files
 *     pem.c        files to certificates and keys
 *     names.[ch]   which certificate for which name
 *     tickets.[ch] keys of session tickets
 *     sessions.[ch] sessions a client can resume
 *     engine.c     calls into OpenSSL: what goes in, what comes out, what went wrong
 *     state.c      making and freeing a connection's state, the handshake
 *     read.c, write.c  the layer's calls
 *     info.c       what was negotiated
 *
 * OpenSSL keeps its error queue per thread, and its locks are pthread locks.  So no
 * goroutine parks inside a call of it, and errors are read before anything of gust
 * is called.  A call gets its input and the room for its output beforehand
 * (engine.c); if that was not enough it says WANT_READ or WANT_WRITE, and the
 * goroutine waits outside.
 *
 * An SSL object must not be used by two at a time.  Whoever is inside holds
 * tls->mutex, for the time of a call and never across a wait: so a reader that waits
 * for bytes does not keep a writer out.
 *
 * Locks of a conn, in this order: the writer's side, the reader's, tls->mutex.  Before any of them
 * comes tls->shaking, which whoever needs a handshake takes until it is done; the one
 * that makes it is the reader as well. */
#ifndef GUST_NET_TLS_TLS_H
#define GUST_NET_TLS_TLS_H

#include <gust/sync.h>
#include <gust/tls.h>
#include <openssl/ssl.h>

#include "core/blocks.h"
#include "core/call.h"
#include "net/conn.h"
#include "net/secure.h"
#include "net/tls/names.h"
#include "net/tls/sessions.h"
#include "net/tls/tickets.h"

/* --- Configuration --------------------------------------------------------- */

typedef struct gust__identity {
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain;
} gust__identity;

/* What was made of the files at one time; never changes, so it needs no lock. */
typedef struct gust__tls_context {
    _Atomic uint32_t refs;
    SSL_CTX *ctx;
    gust__identity *identities;
    size_t identity_count;
    gust__names names;
} gust__tls_context;

struct gust_tls_config {
    gust__tls_base base;
    gust_tls_options options; /* owns all it points to; defaults are filled in */
    unsigned char *alpn;      /* as it goes over the wire */
    size_t alpn_len;
    int keylog_fd;    /* -1: none */
    gust_mutex mutex; /* the next; held by a reload while it swaps */
    gust__tls_context *context;
    gust__tickets tickets;
    gust__sessions sessions;
};

/* config.c: the current context, with a reference for the caller. */
gust__tls_context *gust__tls_config_context(gust_tls_config *config);

/* context.c.  Errors: as gust_tls_config_new; logged. */
int gust__tls_context_load(gust_tls_config *config, gust__tls_context **ret_context);
gust__tls_context *gust__tls_context_ref(gust__tls_context *context);
void gust__tls_context_unref(gust__tls_context *context);

/* pem.c.  Each logs what is wrong with the file. */
int gust__pem_read_file(const char *path, char **ret_data, size_t *ret_len);
int gust__pem_certs(const char *path, const char *data, size_t len, STACK_OF(X509) * *ret_certs);
int gust__pem_key(const char *path, const char *data, size_t len, EVP_PKEY **ret_key);

/* The reason of OpenSSL's last error on this thread, in words. */
const char *gust__tls_reason(void);

/* --- One connection -------------------------------------------------------- */

/* A full record: with its overhead (at most RECORD_OVERHEAD bytes, for CBC suites) and
 * SLACK for what OpenSSL may have to say besides (a key update, an alert), it fits
 * a write block. */
enum {
    RECORD_OVERHEAD = 96,
    RECORD_SLACK = 416,
    RECORD_MAX = GUST_CONN_WBUF - RECORD_OVERHEAD - RECORD_SLACK,
};

/* What a record of `len` bytes may take up in a block. */
static inline size_t tls_sealed_max(size_t len)
{
    return len + RECORD_OVERHEAD + RECORD_SLACK;
}

/* The plaintext that was received and not consumed.  Always: len == 0 means that
 * there is no buffer.  The reading goroutine's. */
typedef struct gust__tls_view {
    char *data; /* a block if cap is GUST_CONN_WBUF, else from malloc */
    size_t cap;
    size_t off;
    size_t len;
} gust__tls_view;

/* FRESH: no SSL object yet.  OPEN: the handshake is done; written under shaking and
 * tls->mutex, read by anyone. */
typedef enum gust__tls_phase { TLS_FRESH, TLS_HANDSHAKE, TLS_OPEN } gust__tls_phase;

typedef struct gust__tls {
    gust__layer layer;
    gust_tls_config *config;
    gust__tls_context *context; /* of the time the handshake began */
    SSL *ssl;
    char *host; /* whom a client wants to talk to; NULL: a server, or a client that does
                   not care */
    bool client;
    _Atomic int phase;
    gust_time handshake_deadline;

    gust_mutex shaking; /* held during the handshake */
    gust_mutex mutex;   /* everything below but the view */

    /* For the time of one call of OpenSSL; engine.c. */
    gust_span in;
    char *out; /* NULL: output is dropped */
    size_t out_room;
    size_t out_len;

    int error;      /* of TLS, for good */
    bool end_sent;  /* our close_notify */
    bool unflushed; /* tickets, which may leave with the first answer */
    char *pending;  /* plaintext of appends: a block, or NULL */
    size_t pending_len;
    size_t ramp_bytes; /* written since the last pause; small_records_first */
    gust_time ramp_last;
    char why[160];

    _Atomic bool read_shut; /* by gust_conn_shutdown */
    gust__tls_view view;
} gust__tls;

static inline gust__tls *tls_of(const gust_conn *c)
{
    return (gust__tls *)c->layer;
}

static inline bool tls_is_open(const gust__tls *tls)
{
    /* Acquire: what the handshake wrote.  Pairs with its end in state.c. */
    return atomic_load_explicit(&tls->phase, memory_order_acquire) == TLS_OPEN;
}

/* The spare blocks are the P's, which could be taken from us in the middle: this code
 * is no call of gust (layer.h). */
static inline char *tls_block_get(void)
{
    GUST__CALL();
    return gust__block_get();
}

static inline void tls_block_put(char *block)
{
    GUST__CALL();
    gust__block_put(block);
}

extern const gust__layer_ops gust__tls_ops;

/* --- engine.c -------------------------------------------------------------- */

/* What a call wants, in place of an errno value: none is that large. */
enum { TLS_WANT_READ = -10000, TLS_WANT_WRITE = -10001 };

static inline bool tls_wants(ssize_t n)
{
    return n == TLS_WANT_READ || n == TLS_WANT_WRITE;
}

typedef int gust__tls_call(SSL *ssl, void *buf, size_t len, size_t *ret_done);

typedef enum gust__tls_how {
    TLS_HOLD = 0,    /* output stays in the filling block */
    TLS_FLUSH = 1,   /* and is sent */
    TLS_READING = 2, /* the caller is the reader: the call may take input */
    TLS_CLOSING = 4, /* the caller is the closer */
} gust__tls_how;

/* Calls OpenSSL; under tls->mutex.  Returns the call's count (0 at the end of the
 * stream), TLS_WANT_*, or an error. */
ssize_t gust__tls_enter(gust_conn *c, gust__tls_call *call, void *buf, size_t len,
                        gust__tls_how how);

/* The calls there are. */
gust__tls_call gust__tls_do_handshake, gust__tls_do_read, gust__tls_do_write, gust__tls_do_end;

/* Gives ssl its input and output.  False: out of memory. */
bool gust__tls_attach(SSL *ssl, gust__tls *tls);

/* Sets the connection's error for good; `why` NULL: OpenSSL's reason. */
int gust__tls_fail(gust__tls *tls, int error, const char *why);

/* --- state.c --------------------------------------------------------------- */

int gust__tls_start_server(gust_conn *c, gust_tls_config *config);
int gust__tls_start_client(gust_conn *c, gust_tls_config *config, const char *host);

/* The handshake, unless it is done.  The caller holds no mutex. */
int gust__tls_open(gust_conn *c, gust_time deadline);

/* --- read.c, write.c, info.c ----------------------------------------------- */

/* The layer's parts of gust_tls_info_read and gust_tls_error. */
int gust__tls_info(gust_conn *c, gust_tls_info *ret_info);
const char *gust__tls_why(const gust_conn *c);

ssize_t gust__tls_read(gust_conn *c, void *buf, size_t len, gust_time deadline);
ssize_t gust__tls_fill(gust_conn *c, size_t max_view, gust_time deadline);
gust_span gust__tls_view_get(const gust_conn *c);
void gust__tls_consume(gust_conn *c, size_t n);
bool gust__tls_has_input(gust_conn *c);
void gust__tls_view_drop(gust__tls_view *v);

ssize_t gust__tls_write(gust_conn *c, const struct iovec *iov, int count, size_t total,
                        gust_time deadline, bool flush);
int gust__tls_flush(gust_conn *c, gust_time deadline);
int gust__tls_shutdown(gust_conn *c, int how, gust_time deadline);
void gust__tls_closing(gust_conn *c);

#endif
