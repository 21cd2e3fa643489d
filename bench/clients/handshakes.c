/* The handshakes of `bench tls`: connects, makes one request, and starts again.
 *
 *     handshakes PORT full|resumed 1.2|1.3 MS
 *
 * BATCH connections at a time, on one thread: each is connected, then each makes its
 * handshake and sends its request, then each reads its answer to the end.  With
 * `resumed` all but the first use the newest session.  How many there were in MS
 * milliseconds is printed as a line of JSON; one that is not of the kind asked for ends
 * the program with status 1. */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <unistd.h>

#include "bench/lib/client.h"

#define BATCH 16

static const char request[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
static const char status[] = "HTTP/1.1 200 ";

static SSL_CTX *context;
static SSL_SESSION *newest;
static bool resume;
static int port;

static void die_of_tls(const char *what)
{
    const char *why = ERR_reason_error_string(ERR_peek_error());
    die(what, why ? why : strerror(errno));
}

static SSL *tls_new(int fd)
{
    SSL *ssl = SSL_new(context);
    if (!ssl || !SSL_set_fd(ssl, fd) || (newest && !SSL_set_session(ssl, newest)))
        die_of_tls("start");
    return ssl;
}

static void ask(SSL *ssl)
{
    const bool expected = newest;
    if (SSL_connect(ssl) != 1)
        die_of_tls("handshake");
    if (SSL_session_reused(ssl) != expected)
        die("handshake", expected ? "the session was not resumed" : "a session was resumed");
    if (SSL_write(ssl, request, sizeof request - 1) <= 0)
        die_of_tls("request");
}

static void read_answer(SSL *ssl)
{
    char answer[4096];
    size_t len = 0, n;
    while (len < sizeof answer && SSL_read_ex(ssl, answer + len, sizeof answer - len, &n))
        len += n;
    if (len < sizeof status || memcmp(answer, status, sizeof status - 1) != 0)
        die("answer", "it is not a 200");
}

/* In TLS 1.3 tickets come with the answer. */
static void keep_session(SSL *ssl)
{
    SSL_SESSION *session = SSL_get1_session(ssl);
    if (!session || !SSL_SESSION_is_resumable(session))
        die("session", "the server does not let it be resumed");
    SSL_SESSION_free(newest);
    newest = session;
}

/* Closed by a reset, so that no port is kept for TIME_WAIT. */
static void disconnect(SSL *ssl, int fd)
{
    const struct linger reset = {.l_onoff = 1};
    SSL_shutdown(ssl);
    SSL_free(ssl);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
}

static void run_batch(int count)
{
    int fds[BATCH];
    SSL *ssls[BATCH];
    for (int i = 0; i < count; i++)
        fds[i] = connect_to(port);
    for (int i = 0; i < count; i++) {
        ssls[i] = tls_new(fds[i]);
        ask(ssls[i]);
    }
    for (int i = 0; i < count; i++)
        read_answer(ssls[i]);
    if (resume)
        keep_session(ssls[count - 1]);
    for (int i = 0; i < count; i++)
        disconnect(ssls[i], fds[i]);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fprintf(stderr, "usage: handshakes PORT full|resumed 1.2|1.3 MS\n");
        return 2;
    }
    port = atoi(argv[1]);
    resume = strcmp(argv[2], "resumed") == 0;
    const int version = strcmp(argv[3], "1.2") == 0 ? TLS1_2_VERSION : TLS1_3_VERSION;
    context = SSL_CTX_new(TLS_client_method());
    if (!context || !SSL_CTX_set_min_proto_version(context, version) ||
        !SSL_CTX_set_max_proto_version(context, version))
        die_of_tls("start");
    run_batch(1); /* which brings a session */
    int64_t began_us = now_ns() / 1000, end_us = began_us + atol(argv[4]) * 1000, count = 0;
    for (; now_ns() / 1000 < end_us; count += BATCH)
        run_batch(BATCH);
    printf("{\"handshakes\": %lld, \"duration_us\": %lld}\n", (long long)count,
           (long long)(now_ns() / 1000 - began_us));
    return 0;
}
