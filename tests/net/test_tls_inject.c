/* Whatever memory is refused, to gust or to OpenSSL, and whenever: a call answers
 * with an error, nothing hangs, and nothing leaks. */
#include "tests/core/failures.h"
#include "tests/net/tls_test.h"

#ifndef GUST_DEBUG

Test(tls_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

/* --- OpenSSL's allocator --------------------------------------------------------- */

/* Has one allocation of this thread's process fail; 0: none. */
static _Atomic long fail_at, allocations;
/* What OpenSSL holds: what a scenario leaves behind. */
static _Atomic long held;

static bool refused(void)
{
    return atomic_fetch_add(&allocations, 1) + 1 == atomic_load(&fail_at);
}

static void *ssl_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    void *memory = refused() ? NULL : malloc(size);
    atomic_fetch_add(&held, memory != NULL);
    return memory;
}

static void ssl_free(void *memory, const char *file, int line)
{
    (void)file, (void)line;
    atomic_fetch_sub(&held, memory != NULL);
    free(memory);
}

static void *ssl_realloc(void *memory, size_t size, const char *file, int line)
{
    if (!memory)
        return ssl_malloc(size, file, line);
    if (size == 0) {
        ssl_free(memory, file, line);
        return NULL;
    }
    return refused() ? NULL : realloc(memory, size);
}

/* Before OpenSSL's first allocation, after which it is too late. */
__attribute__((constructor)) static void take_over(void)
{
    CHECK_EQ(CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free), 1);
}

/* --- The scenario ------------------------------------------------------------------ */

static gust_tls_config *server, *client;

/* What a connection may answer to a lack of memory at one of its ends. */
static bool is_trouble(ssize_t n)
{
    return n == -ENOMEM || n == -EPROTO || n == -EKEYREJECTED || n == -ECONNABORTED ||
           n == -ECONNRESET || n == -EPIPE || n == -EBADF || n == 0;
}

static bool fine(ssize_t n)
{
    CHECK(n > 0 || is_trouble(n));
    return n > 0;
}

static void echo_once(void *arg)
{
    struct ends *e = arg;
    char buf[64];
    ssize_t n = gust_conn_read(e->server, buf, sizeof buf, SOON);
    if (fine(n) && fine(gust_conn_write(e->server, buf, (size_t)n, SOON)))
        (void)fine(gust_conn_read(e->server, buf, sizeof buf, SOON));
    gust_conn_close(e->server, SOON);
    gust_waitgroup_done(&e->done);
}

static void ask_once(gust_conn *c)
{
    char buf[64];
    if (!fine(gust_conn_append(c, "ping", 4, SOON)))
        return;
    int error = gust_conn_flush(c);
    CHECK(error == 0 || is_trouble(error));
    if (error == 0)
        (void)fine(gust_conn_fill(c, sizeof buf, SOON));
}

/* A connection from its first byte to its last. */
static bool converse(void)
{
    struct ends e = {0};
    pair_open(&e.client, &e.server);
    gust_waitgroup_add(&e.done, 1);
    bool ok = gust_tls_server(e.server, server) == 0 &&
              gust_tls_client(e.client, client, "localhost") == 0;
    if (ok && gust_go(echo_once, &e) == 0)
        ask_once(e.client);
    else
        gust_conn_close(e.server, SOON), gust_waitgroup_done(&e.done);
    ok = gust_conn_view(e.client).len == 4;
    gust_conn_close(e.client, SOON);
    CHECK_EQ(gust_waitgroup_wait(&e.done, SOON), 0);
    return ok;
}

static int each_allocation_main(void *arg)
{
    gust_tls_version version = *(gust_tls_version *)arg;
    struct setup s;
    dir_make();
    make_files();
    gust_tls_options o = server_options(&s);
    o.max_version = version;
    server = config_of(&o);
    client = client_config();
    for (int i = 0; i < 3; i++)
        CHECK(converse()); /* what is made once is made now */
    long step = 1, failures = 0;
#ifdef GUST__TSAN
    step = 13;
#endif
    for (long n = 1;; n += step) {
        atomic_store(&allocations, 0);
        atomic_store(&fail_at, n);
        bool ok = converse();
        atomic_store(&fail_at, 0);
        failures += !ok;
        if (atomic_load(&allocations) < n)
            break;
        /* It was of that connection only. */
        if (n % 16 == 1)
            CHECK(converse());
    }
    CHECK(failures > 10);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
    dir_remove();
    return 0;
}

static void refuse_openssl(gust_tls_version version)
{
    gust_set_log(quiet);
    cr_assert_eq(gust_run(each_allocation_main, &version), 0);
    gust_set_log(NULL);
}

Test(tls_inject, openssl_may_be_refused_memory_in_1_2, .timeout = TEST_TIMEOUT_S * 2)
{
    refuse_openssl(GUST_TLS_1_2);
}

Test(tls_inject, openssl_may_be_refused_memory_in_1_3, .timeout = TEST_TIMEOUT_S * 2)
{
    refuse_openssl(GUST_TLS_1_3);
}

/* --- What a connection leaves behind --------------------------------------------------- */

/* OpenSSL keeps a little for each thread, and we the last session of a host. */
static int leaves_nothing_main(void *arg)
{
    (void)arg;
    dir_make();
    make_files();
    server = server_config();
    struct setup s;
    gust_tls_options o = client_options(&s);
    o.no_client_sessions = true;
    client = config_of(&o);
    for (int i = 0; i < 5; i++)
        CHECK(converse());
    long before = atomic_load(&held);
    for (int i = 0; i < 100; i++)
        CHECK(converse());
    CHECK(atomic_load(&held) - before < 100);
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
    dir_remove();
    return 0;
}

Test(tls_inject, a_connection_leaves_nothing_in_openssl)
{
    cr_assert_eq(gust_run(leaves_nothing_main, NULL), 0);
}

/* --- Gust's own ------------------------------------------------------------------------ */

static int gust_is_refused_main(void *arg)
{
    struct setup s, c;
    struct ends e = {0};
    gust_addr addr = addr_of("127.0.0.1:0");
    gust_listener *l;
    (void)arg;
    gust_tls_options so = server_options(&s), co = client_options(&c);
    const char *const alpn[] = {"h2", NULL};
    so.alpn = co.alpn = alpn;
    server = client = NULL;
    if (!served(gust_tls_config_new(&so, &server)) || !served(gust_tls_config_new(&co, &client)))
        goto drop_configs;
    (void)served(gust_tls_config_reload(server));
    if (!served(gust_tcp_listen(&addr, NULL, &l)))
        goto drop_configs;
    gust_listener_addr(l, &addr);
    if (served(gust_tcp_dial(&addr, SOON, &e.client))) {
        if (served(gust_listener_accept(l, gust_after(10 * GUST_SEC), &e.server))) {
            bool ok = served(gust_tls_server(e.server, server)) &&
                      served(gust_tls_client(e.client, client, "localhost"));
            gust_waitgroup_add(&e.done, 1);
            if (ok && gust_go(echo_once, &e) == 0)
                ask_once(e.client);
            else
                gust_conn_close(e.server, SOON), gust_waitgroup_done(&e.done);
        }
        gust_conn_close(e.client, SOON);
        CHECK_EQ(gust_waitgroup_wait(&e.done, SOON), 0);
    }
    gust_listener_close(l);
drop_configs:
    gust_tls_config_unref(server);
    gust_tls_config_unref(client);
    return 0;
}

static int make_files_main(void *arg)
{
    (void)arg;
    dir_make();
    make_files();
    return 0;
}

Test(tls_inject, gust_may_be_refused_memory, .timeout = TEST_TIMEOUT_S * 2)
{
    cr_assert_eq(gust_run(make_files_main, NULL), 0);
    fail_each(INJECT_MALLOC, 1, gust_is_refused_main);
    dir_remove();
}

#endif
