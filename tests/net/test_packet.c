/* UDP sockets: one message at a time, their addresses, errors, options, and the end. */
#include <net/if.h>

#include "tests/core/contexts.h"
#include "tests/net/unix_test.h"

/* --- Messages ------------------------------------------------------------------------ */

NetTest(packet, messages_arrive_with_their_senders)
{
    gust_packet *a = udp_bind(own_loopback()), *b = udp_bind(own_loopback()), *c = udp_dial(a);
    gust_addr to_a = local_of(a), from, of_b = local_of(b), of_c = local_of(c);
    for (int i = 0; i < 50; i++) {
        send_text(b, "from b", &to_a);
        expect_text(a, "from b", &from);
        CHECK(same_addr(&from, &of_b));
        send_text(c, "from c", NULL);
        expect_text(a, "from c", &from);
        CHECK(same_addr(&from, &of_c));
        send_text(a, "answer", &from);
        expect_text(c, "answer", &from);
        CHECK(same_addr(&from, &to_a));
    }
    gust_packet_close(a);
    gust_packet_close(b);
    gust_packet_close(c);
}

NetTest(packet, a_connected_socket_hears_only_its_peer)
{
    gust_packet *a = udp_bind(own_loopback()), *stranger = udp_bind(own_loopback()),
                *c = udp_dial(a);
    gust_addr of_c = local_of(c), of_a = local_of(a), peer;
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    gust_packet_remote_addr(c, &peer);
    CHECK(same_addr(&peer, &of_a));
    gust_packet_remote_addr(a, &peer);
    CHECK_EQ(peer.len, 0);
    send_text(stranger, "psst", &of_c);
    CHECK_EQ(gust_packet_recv(c, &m, GUST_NOW), -EAGAIN);
    send_text(a, "a", &of_c);
    expect_text(c, "a", NULL);
    gust_packet_close(a);
    gust_packet_close(stranger);
    gust_packet_close(c);
}

NetTest(packet, dial_uses_the_local_address_it_is_given)
{
    gust_packet *a = udp_bind(own_loopback()), *c = NULL;
    gust_addr remote = local_of(a), local = addr_of("127.83.21.5:0"), got;
    CHECK_EQ(gust_udp_dial(&remote, &local, NULL, &c), 0);
    got = local_of(c);
    CHECK_EQ(got.v4.sin_addr.s_addr, local.v4.sin_addr.s_addr);
    send_text(c, "x", NULL);
    expect_text(a, "x", &remote);
    CHECK(same_addr(&remote, &got));
    gust_packet_close(a);
    gust_packet_close(c);
}

NetTest(packet, a_message_that_is_cut_tells_its_length)
{
    gust_packet *a = udp_bind(own_loopback()), *b = udp_dial(a);
    char buf[4];
    static const size_t rooms[] = {4, 1, 0};
    for (size_t i = 0; i < 3; i++) {
        gust_message m = message(buf, rooms[i]);
        send_text(b, "abcdef", NULL);
        CHECK_EQ(gust_packet_recv(a, &m, SOON), (ssize_t)rooms[i]);
        CHECK_EQ(m.size, 6);
        CHECK(memcmp(buf, "abcd", rooms[i]) == 0);
    }
    /* The rest is gone; an empty message is one, too. */
    send_text(b, "", NULL);
    send_text(b, "next", NULL);
    expect_text(a, "", NULL);
    expect_text(a, "next", NULL);
    gust_packet_close(a);
    gust_packet_close(b);
}

NetTest(packet, ipv6_and_the_wildcard_work_where_there_is_any)
{
    gust_addr addr = addr_of("[::1]:0"), from;
    gust_packet *a = NULL, *b;
    if (gust_udp_bind(&addr, NULL, &a) == 0) {
        b = udp_dial(a);
        send_text(b, "six", NULL);
        expect_text(a, "six", &from);
        CHECK_EQ(from.any.sa_family, AF_INET6);
        gust_packet_close(a);
        gust_packet_close(b);
    }
    a = udp_bind(":0");
    addr = addr_of("127.0.0.1:0");
    gust_addr bound = local_of(a);
    addr.v4.sin_port = htons(gust_addr_port(&bound));
    CHECK_EQ(gust_udp_dial(&addr, NULL, NULL, &b), 0);
    send_text(b, "four", NULL);
    expect_text(a, "four", NULL);
    gust_packet_close(a);
    gust_packet_close(b);
}

/* --- Errors --------------------------------------------------------------------------- */

NetTest(packet, errors_of_making_and_sending)
{
    static char large[70000];
    gust_packet *a = udp_bind(own_loopback()), *b = udp_dial(a), *p = NULL;
    gust_addr addr = local_of(a), foreign = addr_of("192.0.2.1:0"), none = {.len = 0};
    gust_addr path = addr_of("unix:/tmp/x");
    CHECK_EQ(gust_udp_bind(&addr, NULL, &p), -EADDRINUSE);
    CHECK_EQ(gust_udp_bind(&foreign, NULL, &p), -EADDRNOTAVAIL);
    CHECK_EQ(gust_udp_bind(&path, NULL, &p), -EAFNOSUPPORT);
    CHECK_EQ(gust_udp_bind(&none, NULL, &p), -EAFNOSUPPORT);
    CHECK_EQ(gust_udp_dial(&path, NULL, NULL, &p), -EAFNOSUPPORT);
    CHECK(!p);
    gust_message m = message(large, sizeof large);
    CHECK_EQ(gust_packet_send(b, &m, SOON), -EMSGSIZE);
    m.len = 1;
    CHECK_EQ(gust_packet_send(a, &m, SOON), -EDESTADDRREQ);
    m.fds = &(gust_fds){.count = GUST_FDS_MAX + 1};
    CHECK_EQ(gust_packet_send(b, &m, SOON), -EINVAL);
    gust_packet_close(a);
    gust_packet_close(b);
}

NetTest(packet, a_closed_port_is_econnrefused)
{
    gust_packet *a = udp_bind(own_loopback()), *b = udp_dial(a);
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    gust_packet_close(a);
    for (int i = 0; i < 3; i++) {
        send_text(b, "anyone?", NULL);
        CHECK_EQ(gust_packet_recv(b, &m, SOON), -ECONNREFUSED);
        CHECK_EQ(gust_packet_recv(b, &m, GUST_NOW), -EAGAIN); /* said once */
    }
    send_text(b, "anyone?", NULL);
    ssize_t n;
    AWAIT_SOON((n = gust_packet_send(b, &(gust_message){.data = buf, .len = 1}, SOON)) != 1);
    CHECK_EQ(n, -ECONNREFUSED);
    gust_packet_close(b);
}

/* --- Deadlines and cancellation --------------------------------------------------------- */

NetTest(packet, receive_waits_until_its_deadline)
{
    gust_packet *a = udp_bind(own_loopback());
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    CHECK_EQ(gust_packet_recv(a, &m, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_packet_recv(a, &m, 1), -ETIMEDOUT);
    CHECK_EQ(gust_packet_recv(a, &m, gust_after(3 * GUST_MS)), -ETIMEDOUT);
    gust_packet_close(a);
}

struct receiver {
    gust_packet *packet;
    ssize_t result;
    bool batch;
    gust_waitgroup done;
};

static void receive(void *arg)
{
    struct receiver *r = arg;
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    r->result = r->batch ? gust_packet_recv_batch(r->packet, &m, 1, GUST_FOREVER)
                         : gust_packet_recv(r->packet, &m, GUST_FOREVER);
    gust_waitgroup_done(&r->done);
}

NetTest(packet, a_waiting_receive_gets_what_comes)
{
    gust_packet *a = udp_bind(own_loopback()), *b = udp_dial(a);
    for (int i = 0; i < 100; i++) {
        struct receiver r = {.packet = a, .batch = i % 2};
        gust_waitgroup_add(&r.done, 1);
        go(receive, &r);
        AWAIT_SOON(is_receiving(a));
        send_text(b, "x", NULL);
        CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
        CHECK_EQ(r.result, 1);
    }
    gust_packet_close(a);
    gust_packet_close(b);
}

NetTest(packet, a_cancelled_receive_loses_nothing)
{
    gust_packet *a = udp_bind(own_loopback()), *b = udp_dial(a);
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    gust_context *context = context_make(NULL);
    struct receiver r = {.packet = a};
    gust_waitgroup_add(&r.done, 1);
    go_under(context, receive, &r);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    CHECK_EQ(r.result, -ECANCELED);
    send_text(b, "x", NULL);
    gust_context_swap(context);
    CHECK_EQ(gust_packet_recv(a, &m, SOON), -ECANCELED);
    CHECK_EQ(gust_packet_recv_batch(a, &m, 1, SOON), -ECANCELED);
    m = message(buf, 1);
    CHECK_EQ(gust_packet_send(b, &m, SOON), -ECANCELED);
    CHECK_EQ(gust_packet_send_batch(b, &m, 1, SOON), -ECANCELED);
    gust_context_swap(NULL);
    gust_context_unref(context);
    expect_text(a, "x", NULL);
    gust_packet_close(a);
    gust_packet_close(b);
}

/* --- Closing ----------------------------------------------------------------------------- */

static void receive_closed(void *arg)
{
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    CHECK_EQ(gust_packet_recv(arg, &m, SOON), -EBADF);
    gust_packet_unref(arg);
}

static void receive_batch_closed(void *arg)
{
    char buf[8];
    gust_message m[2] = {message(buf, 4), message(buf + 4, 4)};
    CHECK_EQ(gust_packet_recv_batch(arg, m, 2, SOON), -EBADF);
    gust_packet_unref(arg);
}

NetTest(packet, close_wakes_receivers)
{
    for (int i = 0; i < 40; i++) {
        gust_packet *a = udp_bind(own_loopback());
        go(i % 2 ? receive_closed : receive_batch_closed, gust_packet_ref(a));
        go(receive_closed, gust_packet_ref(a)); /* this one waits for the mutex */
        AWAIT_SOON(is_receiving(a));
        CHECK_EQ(gust_packet_close(a), 0);
        AWAIT_SOON(gust_num_goroutines() == 1);
    }
}

NetTest(packet, everything_after_close_is_ebadf)
{
    gust_packet *a = udp_bind(own_loopback());
    gust_addr addr = local_of(a), group = addr_of("239.1.2.3:0");
    char buf[8];
    int size;
    gust_peer_cred cred;
    gust_message m = message(buf, 1);
    gust_packet_ref(a);
    CHECK_EQ(gust_packet_close(a), 0);
    m.addr = addr;
    CHECK_EQ(gust_packet_send(a, &m, SOON), -EBADF);
    CHECK_EQ(gust_packet_send_batch(a, &m, 1, SOON), -EBADF);
    CHECK_EQ(gust_packet_recv(a, &m, SOON), -EBADF);
    CHECK_EQ(gust_packet_recv_batch(a, &m, 1, SOON), -EBADF);
    CHECK_EQ(gust_packet_shutdown(a, SHUT_RDWR), -EBADF);
    CHECK_EQ(gust_packet_join(a, &group, 0), -EBADF);
    CHECK_EQ(gust_packet_leave(a, &group, 0), -EBADF);
    CHECK_EQ(gust_packet_buffers(a, &size, &size), -EBADF);
    CHECK_EQ(gust_packet_peer_cred(a, &cred), -EBADF);
    gust_packet_local_addr(a, &addr);
    CHECK_EQ(addr.len, 0);
    gust_packet_remote_addr(a, &addr);
    CHECK_EQ(addr.len, 0);
    CHECK_EQ(gust_packet_close(a), -EBADF);
    CHECK_EQ(gust_packet_close(NULL), 0);
    gust_packet_unref(NULL);
}

NetTest(packet, the_last_reference_closes)
{
    gust_packet *a = udp_bind(own_loopback());
    gust_addr addr = local_of(a);
    gust_packet_ref(a);
    gust_packet_unref(a);
    gust_packet_unref(a);
    CHECK_EQ(gust_udp_bind(&addr, NULL, &a), 0); /* the port is free */
    gust_packet_unref(a);
}

static void close_too(void *arg)
{
    int error = gust_packet_close(arg);
    CHECK(error == 0 || error == -EBADF);
}

static void bounce(void *arg)
{
    char buf[8];
    ssize_t n;
    do {
        gust_message m = message(buf, sizeof buf);
        n = gust_packet_recv(arg, &m, SOON);
        m = message(buf, 1);
        if (n > 0)
            n = gust_packet_send(arg, &m, SOON);
    } while (n > 0);
    CHECK(n == -EBADF || n == -ECONNREFUSED);
    gust_packet_unref(arg);
}

NetTest(packet, several_close_while_messages_fly)
{
    for (int i = 0; i < 100; i++) {
        gust_packet *a = udp_bind(own_loopback()), *b = NULL, *c = NULL;
        gust_addr of_a = local_of(a), of_b;
        b = udp_dial(a);
        of_b = local_of(b);
        gust_packet_close(a);
        CHECK_EQ(gust_udp_dial(&of_b, &of_a, NULL, &c), 0);
        send_text(c, "x", NULL);
        go(bounce, gust_packet_ref(b));
        go(bounce, gust_packet_ref(c));
        for (int k = 0; k < 3; k++) {
            go(close_too, gust_packet_ref(b));
            go(close_too, gust_packet_ref(c));
        }
        gust_packet_unref(b);
        gust_packet_unref(c);
    }
    AWAIT_SOON(gust_num_goroutines() == 1);
}

/* --- Options ------------------------------------------------------------------------------ */

static int option_of(const gust_packet *p, int level, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    CHECK_EQ(getsockopt(p->fd.fd, level, name, &value, &len), 0);
    return value;
}

NetTest(packet, buffers_have_the_size_that_was_asked_for)
{
    gust_addr addr = addr_of(own_loopback());
    gust_packet *p;
    int recv_size = 0, send_size = 0;
    gust_udp_options options = {.recv_buffer = 20000, .send_buffer = 30000};
    CHECK_EQ(gust_udp_bind(&addr, &options, &p), 0);
    CHECK_EQ(gust_packet_buffers(p, &recv_size, &send_size), 0);
    CHECK_EQ(recv_size, 40000); /* the kernel doubles it */
    CHECK_EQ(send_size, 60000);
    gust_packet_close(p);
}

NetTest(packet, options_reach_the_kernel)
{
    unsigned lo = if_nametoindex("lo");
    gust_udp_options all = {.reuse_addr = true,
                            .reuse_port = true,
                            .broadcast = true,
                            .v6only = true,
                            .multicast_no_loop = true,
                            .multicast_hops = 7,
                            .multicast_interface = lo};
    for (int i = 0; i < 2; i++) {
        gust_addr addr = addr_of(own_loopback());
        gust_packet *p;
        CHECK_EQ(gust_udp_bind(&addr, i ? &all : NULL, &p), 0);
        CHECK_EQ(option_of(p, SOL_SOCKET, SO_REUSEADDR), i);
        CHECK_EQ(option_of(p, SOL_SOCKET, SO_REUSEPORT), i);
        CHECK_EQ(option_of(p, SOL_SOCKET, SO_BROADCAST), i);
        CHECK_EQ(option_of(p, IPPROTO_IP, IP_MULTICAST_LOOP), !i);
        CHECK_EQ(option_of(p, IPPROTO_IP, IP_MULTICAST_TTL), i ? 7 : 1);
        gust_packet_close(p);
        addr = addr_of(":0");
        CHECK_EQ(gust_udp_bind(&addr, i ? &all : NULL, &p), 0);
        addr = local_of(p);
        if (addr.any.sa_family == AF_INET6) {
            CHECK_EQ(option_of(p, IPPROTO_IPV6, IPV6_V6ONLY), i);
            CHECK_EQ(option_of(p, IPPROTO_IPV6, IPV6_MULTICAST_LOOP), !i);
            CHECK_EQ(option_of(p, IPPROTO_IPV6, IPV6_MULTICAST_HOPS), i ? 7 : 1);
            CHECK_EQ(option_of(p, IPPROTO_IPV6, IPV6_MULTICAST_IF), i ? (int)lo : 0);
        }
        gust_packet_close(p);
    }
}

NetTest(packet, reuse_port_shares_a_port)
{
    gust_addr addr = addr_of(own_loopback());
    gust_udp_options options = {.reuse_port = true};
    gust_packet *a, *b;
    CHECK_EQ(gust_udp_bind(&addr, &options, &a), 0);
    addr = local_of(a);
    CHECK_EQ(gust_udp_bind(&addr, &options, &b), 0);
    gust_packet_close(a);
    gust_packet_close(b);
}

NetTest(packet, broadcast_wants_permission)
{
    gust_addr addr = addr_of(own_loopback()), all = addr_of("127.255.255.255:9");
    gust_udp_options options = {.broadcast = true};
    gust_packet *p;
    char byte = 'x';
    gust_message m = message(&byte, 1);
    m.addr = all;
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(gust_udp_bind(&addr, i ? &options : NULL, &p), 0);
        CHECK_EQ(gust_packet_send(p, &m, SOON), i ? 1 : -EACCES);
        gust_packet_close(p);
    }
}

/* Over the loopback interface, where a group has members like anywhere; with IPv6 there
 * is usually no route to them. */
static void check_group(const char *any, const char *group_text, unsigned lo)
{
    gust_addr addr = addr_of(any), group = addr_of(group_text), bad = addr_of("127.0.0.1:0");
    gust_udp_options options = {.multicast_interface = lo};
    gust_packet *p = NULL;
    if (gust_udp_bind(&addr, &options, &p) < 0)
        return;
    addr = local_of(p);
    group.v4.sin_port = htons(gust_addr_port(&addr)); /* in both families at the same place */
    CHECK_EQ(gust_packet_leave(p, &group, lo), -EADDRNOTAVAIL);
    CHECK_EQ(gust_packet_join(p, &group, lo), 0);
    CHECK_EQ(gust_packet_join(p, &group, lo), -EADDRINUSE);
    if (group.any.sa_family == AF_INET) {
        send_text(p, "all", &group);
        expect_text(p, "all", NULL);
    }
    CHECK_EQ(gust_packet_leave(p, &group, lo), 0);
    CHECK_EQ(gust_packet_leave(p, &group, lo), -EADDRNOTAVAIL);
    CHECK_EQ(gust_packet_join(p, &bad, lo), -EINVAL);
    gust_addr none = {.len = 0};
    CHECK_EQ(gust_packet_join(p, &none, lo), -EINVAL);
    gust_packet_close(p);
}

NetTest(packet, groups_are_joined_and_left)
{
    unsigned lo = if_nametoindex("lo");
    check_group("0.0.0.0:0", "224.0.0.213:0", lo);
    check_group(":0", "[ff01::8321]:0", lo);
}
