/* Connections: reuse, limits, the line, the sweep, and sending a request again. */
#include "tests/http_client/origin.h"

#include <gust/context.h>

static gust_http_origin_stats stats_of(const struct origin *o)
{
    gust_http_origin_stats stats;

    gust_http_origin_stats_read(o->origin, &stats);
    return stats;
}

static gust_http_call_info info_of(const gust_http_call *call)
{
    gust_http_call_info info;

    gust_http_call_info_read(call, &info);
    return info;
}

/* An origin of the same server, with options of its own. */
static gust_http_origin *another_origin(struct origin *o, gust_http_origin_options options)
{
    gust_http_origin *origin;

    options.authority = "x";
    options.addr = &o->addr;
    CHECK_EQ(gust_http_origin_new(o->client, &options, &origin), 0);
    return origin;
}

static void use_origin(struct origin *o, gust_http_origin_options options)
{
    gust_http_origin *origin = another_origin(o, options);

    gust_http_origin_unref(o->origin);
    o->origin = origin;
}

/* --- Reuse ---------------------------------------------------------------------------- */

static int reuse_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("1", "a"), STAY},
        {GET("/2"), OK_BODY("1", "b"), LEAVE}, /* something is left unread */
        {GET("/3"), "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nc", LEAVE},
        {GET("/4"), OK_BODY("1", "dx"), LEAVE}, /* more than was said */
        {GET("/5"), OK_BODY("5", "abcd"), LEAVE},
        {GET("/6"), OK_BODY("4", "abcd"), STAY}, /* unread, but it is all there */
        {GET("/7"), "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", LEAVE},
        {"GET /8 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", OK_BODY("1", "a"), LEAVE},
    };
    struct origin o;
    char byte;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "a");
    gust_http_call *call = ask_for(&o, "GET", "/2");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK(info_of(call).reused);
    CHECK_EQ(info_of(call).connect_ns, 0);
    expect_body(call, "b");
    CHECK_EQ(info_of(call).phase, GUST_HTTP_PHASE_DONE);
    gust_http_call_abort(call);
    gust_http_call_free(call);
    expect_get(&o, "/3", 200, "c");
    expect_get(&o, "/4", 200, "d");
    call = ask_for(&o, "GET", "/5");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK(!info_of(call).reused);
    CHECK(info_of(call).connect_ns > 0);
    CHECK_EQ(info_of(call).phase, GUST_HTTP_PHASE_BODY);
    CHECK_EQ(gust_http_call_read(call, &byte, 1), 1);
    gust_http_call_free(call);
    call = ask_for(&o, "GET", "/6");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_read(call, &byte, 1), 1);
    gust_http_call_free(call);
    expect_get(&o, "/7", 204, "");
    call = new_call(&o, "GET", "/8");
    CHECK_EQ(gust_http_call_header(call, "Connection", "close"), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "a");
    gust_http_call_free(call);
    CHECK_EQ(stats_of(&o).opened, 6);
    CHECK_EQ(stats_of(&o).idle, 0);
    origin_stop(&o);
    return 0;
}

Test(pool, connections_are_kept_only_in_good_order)
{
    cr_assert_eq(gust_run(reuse_main, NULL), 0);
}

static int idle_max_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/"), OK_BODY("0", ""), LEAVE},
        {GET("/"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    use_origin(&o, (gust_http_origin_options){.idle_max = GUST_HTTP_CLIENT_NO_IDLE});
    for (int i = 0; i < 2; i++)
        expect_get(&o, "/", 200, "");
    CHECK_EQ(stats_of(&o).opened, 2);
    CHECK_EQ(stats_of(&o).reused, 0);
    origin_stop(&o);
    return 0;
}

Test(pool, none_is_kept_if_none_may_be_idle)
{
    cr_assert_eq(gust_run(idle_max_main, NULL), 0);
}

/* --- A server with any number of connections ---------------------------------------------- */

struct crowd {
    struct origin o;
    gust_http_server *server;
    gust_waitgroup serving;
    gust_semaphore gate; /* how many may be answered */
    _Atomic int inside;  /* handlers */
};

static void wait_at_gate(gust_http_request *req, gust_http_response *res, void *arg)
{
    struct crowd *c = arg;
    (void)req;
    c->inside++;
    CHECK_EQ(gust_semaphore_acquire(&c->gate, 1, SOON), 0);
    c->inside--;
    gust_http_reply(res, 200, NULL, "ok", 2);
}

static void serve_crowd(void *arg)
{
    struct crowd *c = arg;
    CHECK_EQ(gust_http_server_serve(c->server, c->o.listener), 0);
    gust_waitgroup_done(&c->serving);
}

#define GATE 1000

static void crowd_start(struct crowd *c, gust_http_origin_options options)
{
    const gust_http_server_options server = {.handler = wait_at_gate, .arg = c};

    memset(c, 0, sizeof(*c));
    gust_semaphore_init(&c->gate, GATE);
    CHECK_EQ(gust_semaphore_acquire(&c->gate, GATE, GUST_NOW), 0);
    origin_listen(&c->o);
    CHECK_EQ(gust_http_server_new(&server, &c->server), 0);
    CHECK_EQ(gust_http_client_new(NULL, &c->o.client), 0);
    c->o.origin = another_origin(&c->o, options);
    gust_waitgroup_add(&c->serving, 1);
    CHECK_EQ(gust_go(serve_crowd, c), 0);
}

static void crowd_stop(struct crowd *c)
{
    gust_http_origin_unref(c->o.origin);
    gust_http_client_free(c->o.client);
    CHECK_EQ(gust_http_server_shutdown(c->server, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&c->serving, SOON), 0);
    gust_http_server_free(c->server);
    gust_listener_close(c->o.listener);
}

struct asker {
    struct crowd *crowd;
    gust_waitgroup *done;
    gust_time deadline;
    int result;
};

static void ask(void *arg)
{
    struct asker *a = arg;
    gust_http_call *call = new_call(&a->crowd->o, "GET", "/");

    gust_http_call_deadline(call, a->deadline);
    a->result = gust_http_call_send(call, NULL, 0);
    if (a->result == 0)
        a->result = gust_http_call_wait(call);
    else
        CHECK_EQ(info_of(call).phase, GUST_HTTP_PHASE_WAIT);
    gust_http_call_free(call);
    gust_waitgroup_done(a->done);
}

static void start_asker(struct asker *a, struct crowd *c, gust_waitgroup *done, gust_time deadline)
{
    *a = (struct asker){c, done, deadline, 0};
    gust_waitgroup_add(done, 1);
    CHECK_EQ(gust_go(ask, a), 0);
}

static void await_stats(const struct crowd *c, unsigned in_use, unsigned waiting)
{
    gust_time until = SOON;

    while (stats_of(&c->o).in_use != in_use || stats_of(&c->o).waiting != waiting) {
        CHECK(gust_now() < until);
        gust_yield();
    }
}

static int line_main(void *arg)
{
    struct asker askers[6];
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    struct crowd c;
    (void)arg;
    crowd_start(&c, (gust_http_origin_options){.conns_max = 2});
    for (unsigned i = 0; i < 6; i++) {
        start_asker(&askers[i], &c, &done, SOON);
        await_stats(&c, i < 2 ? i + 1 : 2, i < 2 ? 0 : i - 1);
    }
    for (int i = 0; i < 6; i++) {
        CHECK(c.inside <= 2);
        gust_semaphore_release(&c.gate, 1);
    }
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    for (int i = 0; i < 6; i++)
        CHECK_EQ(askers[i].result, 200);
    CHECK_EQ(stats_of(&c.o).opened, 2);
    CHECK_EQ(stats_of(&c.o).reused, 4);
    CHECK_EQ(stats_of(&c.o).idle, 2);
    crowd_stop(&c);
    return 0;
}

Test(pool, calls_wait_in_line_for_one_of_so_many_connections)
{
    cr_assert_eq(gust_run(line_main, NULL), 0);
}

static int give_up_main(void *arg)
{
    struct asker first, second, third;
    gust_waitgroup done = GUST_WAITGROUP_INIT, late = GUST_WAITGROUP_INIT;
    struct crowd c;
    (void)arg;
    crowd_start(&c, (gust_http_origin_options){.conns_max = 1});
    start_asker(&first, &c, &done, SOON);
    await_stats(&c, 1, 0);
    start_asker(&second, &c, &late, gust_after(20 * GUST_MS));
    CHECK_EQ(gust_waitgroup_wait(&late, SOON), 0);
    CHECK_EQ(second.result, -ETIMEDOUT);
    start_asker(&second, &c, &late, GUST_NOW);
    CHECK_EQ(gust_waitgroup_wait(&late, SOON), 0);
    CHECK_EQ(second.result, -ETIMEDOUT);
    start_asker(&third, &c, &done, SOON);
    await_stats(&c, 1, 1);
    gust_semaphore_release(&c.gate, 2);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(first.result, 200);
    CHECK_EQ(third.result, 200);
    crowd_stop(&c);
    return 0;
}

Test(pool, who_gives_up_leaves_the_line)
{
    cr_assert_eq(gust_run(give_up_main, NULL), 0);
}

static int canceled_main(void *arg)
{
    struct asker first, second;
    gust_waitgroup done = GUST_WAITGROUP_INIT;
    gust_context *context;
    struct crowd c;
    (void)arg;
    crowd_start(&c, (gust_http_origin_options){.conns_max = 1});
    start_asker(&first, &c, &done, SOON);
    await_stats(&c, 1, 0);
    CHECK_EQ(gust_context_new(NULL, &context), 0);
    second = (struct asker){&c, &done, SOON, 0};
    gust_waitgroup_add(&done, 1);
    CHECK_EQ(gust_go_with(&(gust_go_options){.context = context}, ask, &second), 0);
    await_stats(&c, 1, 1);
    gust_context_cancel(context, 0);
    gust_context_unref(context);
    await_stats(&c, 1, 0);
    gust_semaphore_release(&c.gate, 1);
    CHECK_EQ(gust_waitgroup_wait(&done, SOON), 0);
    CHECK_EQ(first.result, 200);
    CHECK_EQ(second.result, -ECANCELED);
    crowd_stop(&c);
    return 0;
}

Test(pool, a_cancellation_ends_the_wait)
{
    cr_assert_eq(gust_run(canceled_main, NULL), 0);
}

/* With one connection at most, a call that wants a new one gets it at the idle one's cost. */
static int fresh_main(void *arg)
{
    struct crowd c;
    (void)arg;
    crowd_start(&c, (gust_http_origin_options){.conns_max = 1});
    gust_semaphore_release(&c.gate, 2);
    expect_get(&c.o, "/", 200, "ok");
    gust_http_call *call = new_call(&c.o, "GET", "/");
    gust_http_call_fresh(call);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK(!info_of(call).reused);
    gust_http_call_free(call);
    CHECK_EQ(stats_of(&c.o).opened, 2);
    CHECK_EQ(stats_of(&c.o).reused, 0);
    crowd_stop(&c);
    return 0;
}

Test(pool, a_fresh_call_takes_the_place_of_an_idle_connection)
{
    cr_assert_eq(gust_run(fresh_main, NULL), 0);
}

static int refused_main(void *arg)
{
    struct origin o = {.count = 0};
    (void)arg;
    origin_listen(&o);
    gust_listener_close(o.listener); /* nobody listens there now */
    CHECK_EQ(gust_http_client_new(NULL, &o.client), 0);
    o.origin = another_origin(&o, (gust_http_origin_options){.conns_max = 1});
    for (int i = 0; i < 2; i++) {
        gust_http_call *call = new_call(&o, "GET", "/");
        CHECK_EQ(gust_http_call_send(call, NULL, 0), -ECONNREFUSED);
        expect_failure(call, GUST_HTTP_PHASE_CONNECT, -ECONNREFUSED, "");
        CHECK_EQ(gust_http_call_wait(call), -ECONNREFUSED);
        CHECK(!info_of(call).sent);
        gust_http_call_free(call);
    }
    CHECK_EQ(stats_of(&o).failed, 2);
    CHECK_EQ(stats_of(&o).in_use, 0);
    gust_http_origin_unref(o.origin);
    gust_http_client_free(o.client);
    return 0;
}

Test(pool, a_connection_that_fails_leaves_its_place)
{
    cr_assert_eq(gust_run(refused_main, NULL), 0);
}

/* --- The sweep ------------------------------------------------------------------------------ */

/* Not before the server has ended the connection would the client see that it has. */
static void await_idle(const struct origin *o, unsigned idle)
{
    gust_time until = SOON;

    while (stats_of(o).idle != idle) {
        CHECK(gust_now() < until);
        CHECK_EQ(gust_sleep(GUST_MS), 0);
    }
}

static int swept_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("0", ""), CLOSE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    use_origin(&o, (gust_http_origin_options){.idle_timeout_ns = 3600 * GUST_SEC});
    expect_get(&o, "/", 200, "");
    await_idle(&o, 0);
    CHECK_EQ(stats_of(&o).stale, 1);
    origin_stop(&o);
    return 0;
}

Test(pool, the_sweep_closes_what_the_server_has_closed)
{
    cr_assert_eq(gust_run(swept_main, NULL), 0);
}

static int old_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("0", ""), LEAVE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    use_origin(&o, (gust_http_origin_options){.idle_timeout_ns = 5 * GUST_MS});
    expect_get(&o, "/", 200, "");
    await_idle(&o, 0);
    CHECK_EQ(stats_of(&o).stale, 0);
    origin_stop(&o);
    return 0;
}

Test(pool, the_sweep_closes_what_has_been_idle_for_long)
{
    cr_assert_eq(gust_run(old_main, NULL), 0);
}

static int close_idle_main(void *arg)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("0", ""), LEAVE},
                                             {GET("/"), OK_BODY("0", ""), LEAVE}};
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/", 200, "");
    CHECK_EQ(stats_of(&o).idle, 1);
    gust_http_origin_close_idle(o.origin);
    CHECK_EQ(stats_of(&o).idle, 0);
    expect_get(&o, "/", 200, "");
    CHECK_EQ(stats_of(&o).opened, 2);
    origin_stop(&o);
    return 0;
}

Test(pool, idle_connections_can_be_closed)
{
    cr_assert_eq(gust_run(close_idle_main, NULL), 0);
}

/* --- Sending again --------------------------------------------------------------------------- */

/* The server closes the connection once a second request has come, unanswered. */
static int again_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), STAY},
        {GET("/2"), "", CLOSE},
        {GET("/2"), OK_BODY("1", "b"), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    gust_http_call *call = ask_for(&o, "GET", "/2");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(info_of(call).attempts, 2);
    CHECK(!info_of(call).reused);
    expect_body(call, "b");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(pool, a_request_is_sent_again_if_an_idle_connection_was_closed)
{
    cr_assert_eq(gust_run(again_main, NULL), 0);
}

/* Once: a server that closes new connections is not asked for ever. */
static int once_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), STAY},
        {GET("/2"), "", CLOSE},
        {GET("/2"), "", CLOSE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    gust_http_call *call = ask_for(&o, "GET", "/2");
    CHECK_EQ(gust_http_call_wait(call), -ECONNRESET);
    CHECK_EQ(info_of(call).attempts, 2);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(pool, a_request_is_sent_again_once)
{
    cr_assert_eq(gust_run(once_main, NULL), 0);
}

struct retry {
    struct exchange script[3];
    const char *method;
    const char *body;
    const char *key;
    bool no_retry, by_parts;
    int result;
};

#define POST_2 "POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n"

static const struct retry retries[] = {
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {POST_2 "\r\na", "", CLOSE},
      {GET("/end"), OK_BODY("0", ""), LEAVE}},
     .method = "POST",
     .body = "a",
     .result = -ECONNRESET},
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {POST_2 "Idempotency-Key: k\r\n\r\na", "", CLOSE},
      {POST_2 "Idempotency-Key: k\r\n\r\na", OK_BODY("0", ""), LEAVE}},
     .method = "POST",
     .body = "a",
     .key = "k",
     .result = 200},
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", "", CLOSE},
      {"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", OK_BODY("0", ""), LEAVE}},
     .method = "PUT",
     .body = "a",
     .result = 200},
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {"PUT /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\na", "", CLOSE},
      {GET("/end"), OK_BODY("0", ""), LEAVE}},
     .method = "PUT",
     .body = "a",
     .by_parts = true,
     .result = -ECONNRESET},
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {GET("/2"), "", CLOSE},
      {GET("/end"), OK_BODY("0", ""), LEAVE}},
     .method = "GET",
     .body = "",
     .no_retry = true,
     .result = -ECONNRESET},
    {{{GET("/1"), OK_BODY("0", ""), STAY},
      {GET("/2"), "HTTP/1.1", CLOSE}, /* something has come */
      {GET("/end"), OK_BODY("0", ""), LEAVE}},
     .method = "GET",
     .body = "",
     .result = -ECONNRESET},
};

static int retry_main(void *arg)
{
    const struct retry *t = arg;
    size_t len = strlen(t->body);
    struct origin o;

    origin_start(&o, t->script, 3, NULL);
    expect_get(&o, "/1", 200, "");
    gust_http_call *call = new_call(&o, t->method, "/2");
    if (t->key)
        CHECK_EQ(gust_http_call_header(call, "Idempotency-Key", t->key), 0);
    if (t->no_retry)
        gust_http_call_no_retry(call);
    if (t->by_parts) {
        CHECK_EQ(gust_http_call_begin(call, (int64_t)len), 0);
        CHECK_EQ(gust_http_call_write(call, t->body, len), len);
        CHECK_EQ(gust_http_call_end(call), 0);
    } else {
        CHECK_EQ(gust_http_call_send(call, t->body, len), 0);
    }
    CHECK_EQ(gust_http_call_wait(call), t->result);
    CHECK_EQ(info_of(call).attempts, t->result == 200 ? 2 : 1);
    gust_http_call_free(call);
    if (t->result < 0)
        expect_get(&o, "/end", 200, "");
    origin_stop(&o);
    return 0;
}

Test(pool, only_what_is_safe_is_sent_again)
{
    for (size_t i = 0; i < sizeof(retries) / sizeof(retries[0]); i++)
        cr_assert_eq(gust_run(retry_main, (void *)&retries[i]), 0);
}

/* A POST is not risked on a connection that is known to be closed. */
static int wary_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), CLOSE},
        {POST_2 "\r\na", OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    await_closed(&o, 1);
    gust_http_call *call = new_call(&o, "POST", "/2");
    CHECK_EQ(gust_http_call_send(call, "a", 1), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    CHECK_EQ(stats_of(&o).opened, 2);
    origin_stop(&o);
    return 0;
}

Test(pool, what_cannot_be_sent_again_is_sent_on_a_live_connection)
{
    cr_assert_eq(gust_run(wary_main, NULL), 0);
}

/* Idle connections are the origin's, and close with its last reference. */
static int reference_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), STAY},
        {GET("/2"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    CHECK(gust_http_origin_ref(o.origin) == o.origin);
    gust_http_origin_unref(o.origin);
    expect_get(&o, "/2", 200, ""); /* on the same connection */
    origin_stop(&o);
    return 0;
}

Test(pool, an_origin_lives_as_long_as_its_references)
{
    cr_assert_eq(gust_run(reference_main, NULL), 0);
}

/* Neither the idle connection nor the one in use serves another call. */
static int renew_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), LEAVE},
        {GET("/2"), OK_BODY("1", "2"), LEAVE},
        {GET("/3"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    gust_http_origin_renew(o.origin);
    gust_http_call *call = ask_for(&o, "GET", "/2");
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_origin_renew(o.origin);
    expect_body(call, "2");
    gust_http_call_free(call);
    expect_get(&o, "/3", 200, "");
    gust_http_origin_stats stats;
    gust_http_origin_stats_read(o.origin, &stats);
    CHECK_EQ(stats.opened, 3);
    CHECK_EQ(stats.in_use, 0);
    origin_stop(&o);
    return 0;
}

Test(pool, renewing_an_origin_spares_no_connection)
{
    cr_assert_eq(gust_run(renew_main, NULL), 0);
}

/* A response that nobody has asked for must not become the answer to somebody's request. */
static int stray_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), STAY},
        {"", OK_BODY("5", "stray"), LEAVE},
        {POST_2 "\r\na", OK_BODY("2", "ok"), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    expect_get(&o, "/1", 200, "");
    await_played(&o, 2);
    gust_http_call *call = new_call(&o, "POST", "/2");
    CHECK_EQ(gust_http_call_send(call, "a", 1), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    expect_body(call, "ok");
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(pool, what_comes_on_an_idle_connection_ends_it)
{
    cr_assert_eq(gust_run(stray_main, NULL), 0);
}

/* After a pause also for requests that could be sent again. */
static int paused_main(void *arg)
{
    static const struct exchange script[] = {
        {GET("/1"), OK_BODY("0", ""), CLOSE},
        {GET("/2"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    (void)arg;
    ORIGIN_START(&o, script, NULL);
    use_origin(&o, (gust_http_origin_options){.idle_timeout_ns = 3600 * GUST_SEC});
    expect_get(&o, "/1", 200, "");
    await_closed(&o, 1);
    CHECK_EQ(gust_sleep(10 * GUST_MS), 0); /* longer than what counts as at once */
    gust_http_call *call = ask_for(&o, "GET", "/2");
    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(info_of(call).attempts, 1);
    gust_http_call_free(call);
    origin_stop(&o);
    return 0;
}

Test(pool, after_a_pause_connections_are_looked_at)
{
    cr_assert_eq(gust_run(paused_main, NULL), 0);
}

/* --- What is left unread ---------------------------------------------------------------------- */

#define UNREAD ((size_t)GUST_HTTP_CLIENT_DISCARD_BYTES_MAX)

static void send_unread(gust_http_request *req, gust_http_response *res, void *arg)
{
    static const char zeroes[UNREAD + 2];
    (void)arg;
    gust_http_reply(res, 200, NULL, zeroes,
                    span_is(gust_http_request_path(req), "/more") ? UNREAD + 2 : UNREAD + 1);
}

/* Reads one byte, and leaves the rest. */
static void leave_unread(struct origin *o, const char *path)
{
    gust_http_call *call = ask_for(o, "GET", path);
    char byte;

    CHECK_EQ(gust_http_call_wait(call), 200);
    CHECK_EQ(gust_http_call_read(call, &byte, 1), 1);
    gust_http_call_free(call);
}

static int unread_main(void *arg)
{
    const gust_tcp_options tcp = {.receive_buffer = 4 << 20};
    gust_time until = SOON;
    struct origin o = {.count = 0};
    struct site site;
    (void)arg;
    site_start(&site, &(gust_http_server_options){.handler = send_unread});
    o.addr = site.addr;
    CHECK_EQ(gust_http_client_new(&(gust_http_client_options){.dial.tcp = &tcp}, &o.client), 0);
    o.origin = another_origin(&o, (gust_http_origin_options){0});
    do { /* it may not have come yet */
        CHECK(gust_now() < until);
        leave_unread(&o, "/");
    } while (stats_of(&o).idle == 0);
    for (int i = 0; i < 5; i++) {
        leave_unread(&o, "/more");
        CHECK_EQ(stats_of(&o).idle, 0);
    }
    gust_http_origin_unref(o.origin);
    gust_http_client_free(o.client);
    site_stop(&site);
    return 0;
}

Test(pool, so_much_may_be_left_unread)
{
    cr_assert_eq(gust_run(unread_main, NULL), 0);
}
