/* Making connections: by name, to a Unix socket, with a PROXY header; and what goes wrong. */
#include "tests/net/names.h"

#include "tests/http_client/origin.h"

#include <gust/unix.h>

static gust_http_call *call_of(gust_http_origin *origin)
{
    gust_http_call *call;

    CHECK_EQ(gust_http_origin_call(origin, text_span("GET"), text_span("/"), &call), 0);
    return call;
}

static gust_http_origin *named_origin(struct origin *o, const char *host)
{
    gust_http_origin *origin;
    char authority[64];

    snprintf(authority, sizeof(authority), "%s:%u", host,
             o->addr.len ? gust_addr_port(&o->addr) : 1);
    CHECK_EQ(gust_http_origin_new(o->client, &(gust_http_origin_options){.authority = authority},
                                  &origin),
             0);
    return origin;
}

NameTest(client_connect, names_are_looked_up)
{
    char expected[128];
    struct exchange script[] = {{expected, OK_BODY("0", ""), LEAVE}};
    struct origin o;
    ORIGIN_START(&o, script, NULL);
    snprintf(expected, sizeof(expected), "GET / HTTP/1.1\r\nHost: example.test:%u\r\n\r\n",
             gust_addr_port(&o.addr));
    FAKE_ANSWER("127.0.0.1");
    gust_http_origin *origin = named_origin(&o, "example.test");
    gust_http_call *call = call_of(origin);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_info info;
    gust_http_call_info_read(call, &info);
    CHECK_EQ(gust_addr_port(&info.peer), gust_addr_port(&o.addr));
    gust_http_call_free(call);
    gust_http_origin_unref(origin);
    origin_stop(&o);
}

NameTest(client_connect, an_ipv6_address_has_brackets_in_host_only)
{
    struct origin o = {.count = 0};
    CHECK_EQ(gust_http_client_new(NULL, &o.client), 0);
    fake_answer_error(EAI_NONAME, 0);
    gust_http_origin *origin = named_origin(&o, "[::1]");
    gust_http_call *call = call_of(origin);
    /* It is an address, and so was not looked up: something else has failed. */
    CHECK(gust_http_call_send(call, NULL, 0) < 0);
    gust_http_call_info info;
    gust_http_call_info_read(call, &info);
    CHECK(info.error != GUST_RESOLVE_NO_NAME);
    gust_http_call_free(call);
    gust_http_origin_unref(origin);
    gust_http_client_free(o.client);
}

NameTest(client_connect, a_name_that_does_not_exist_fails_in_the_look_up)
{
    struct origin o = {.count = 0};
    CHECK_EQ(gust_http_client_new(NULL, &o.client), 0);
    gust_http_origin *origin = named_origin(&o, "nowhere.test");
    fake_answer_error(EAI_NONAME, 0);
    gust_http_call *call = call_of(origin);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), GUST_RESOLVE_NO_NAME);
    expect_failure(call, GUST_HTTP_PHASE_RESOLVE, GUST_RESOLVE_NO_NAME, "");
    gust_http_call_free(call);
    fake_hold(true);
    call = call_of(origin);
    CHECK_EQ(gust_http_call_timeouts(call, &(gust_http_timeouts){.connect_ns = 5 * GUST_MS}), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), -ETIMEDOUT);
    expect_failure(call, GUST_HTTP_PHASE_RESOLVE, -ETIMEDOUT, "");
    gust_http_call_free(call);
    fake_hold(false);
    gust_http_origin_unref(origin);
    gust_http_client_free(o.client);
}

/* --- Unix sockets -------------------------------------------------------------------------- */

NetTest(client_connect, a_unix_socket_serves_as_well)
{
    static const struct exchange script[] = {{GET("/"), OK_BODY("2", "ok"), STAY},
                                             {GET("/"), OK_BODY("2", "ok"), LEAVE}};
    struct origin o;
    gust_addr addr = addr_of("unix:@");
    memset(&o, 0, sizeof(o));
    o.script = script;
    o.count = 2;
    CHECK_EQ(gust_unix_listen(&addr, NULL, &o.listener), 0);
    gust_listener_addr(o.listener, &o.addr);
    CHECK_EQ(gust_http_client_new(NULL, &o.client), 0);
    CHECK_EQ(gust_http_origin_new(o.client,
                                  &(gust_http_origin_options){.authority = "x", .addr = &o.addr},
                                  &o.origin),
             0);
    gust_waitgroup_add(&o.playing, 1);
    CHECK_EQ(gust_go(play_script, &o), 0);
    expect_get(&o, "/", 200, "ok");
    expect_get(&o, "/", 200, "ok");
    origin_stop(&o);
}

/* --- PROXY headers ---------------------------------------------------------------------------- */

NetTest(client_connect, a_proxy_header_has_a_connection_of_its_own)
{
    static const struct exchange script[] = {
        {GET("/"), OK_BODY("0", ""), LEAVE},
        {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\n" GET("/"), OK_BODY("0", ""), LEAVE},
    };
    struct origin o;
    gust_proxy_header header = {
        .version = 1, .source = addr_of("1.2.3.4:1000"), .destination = addr_of("5.6.7.8:80")};
    ORIGIN_START(&o, script, &(gust_http_client_options){.idle_max = 1});
    gust_http_call *first = ask_for(&o, "GET", "/");
    CHECK_EQ(gust_http_call_wait(first), 200);
    gust_http_call_free(first); /* idle: the next one must not take it */
    gust_http_origin_close_idle(o.origin);
    gust_http_call *call = new_call(&o, "GET", "/");
    header.version = 3;
    CHECK_EQ(gust_http_call_proxy_header(call, &header), -EINVAL);
    header.version = 1;
    CHECK_EQ(gust_http_call_proxy_header(call, &header), 0);
    CHECK_EQ(gust_http_call_send(call, NULL, 0), 0);
    CHECK_EQ(gust_http_call_proxy_header(call, &header), -EALREADY);
    CHECK_EQ(gust_http_call_wait(call), 200);
    gust_http_call_free(call);
    gust_http_origin_stats stats;
    gust_http_origin_stats_read(o.origin, &stats);
    CHECK_EQ(stats.idle, 0);
    CHECK_EQ(stats.opened, 2);
    origin_stop(&o);
}
