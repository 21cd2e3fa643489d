/* Sockets made elsewhere: what is adopted works, and what is not is refused and closed. */
#include <gust/inherit.h>
#include <netinet/tcp.h>

#include "tests/net/unix_test.h"

static int raw_socket(int family, int type)
{
    int fd = socket(family, type, 0);
    CHECK(fd >= 0);
    return fd;
}

static int raw_listener(int type, const gust_addr *addr)
{
    int fd = raw_socket(addr->any.sa_family, type);
    CHECK_EQ(bind(fd, &addr->any, addr->len), 0);
    CHECK_EQ(listen(fd, 16), 0);
    return fd;
}

static void raw_pair(int type, int fds[2])
{
    CHECK_EQ(socketpair(AF_UNIX, type, 0, fds), 0);
}

static void check_close_on_exec(int fd)
{
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

/* Also one that does not block, as service managers make them. */
NetTest(inherit, listeners_accept)
{
    static const char *const addrs[] = {"127.0.0.1:0", "unix:@", "127.0.0.1:0", "unix:@"};
    for (size_t i = 0; i < 4; i++) {
        gust_addr addr = addr_of(addrs[i]);
        gust_listener *l = NULL;
        int fd = raw_listener(SOCK_STREAM, &addr);
        if (i > 1)
            CHECK_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
        CHECK_EQ(gust_listener_adopt(fd, &l), 0);
        check_close_on_exec(fd);
        gust_listener_addr(l, &addr);
        gust_conn *a = i % 2 ? unix_dial(&addr) : dial_to(&addr), *b = accept_from(l);
        char byte;
        int nodelay = 0;
        socklen_t len = sizeof nodelay;
        if (i % 2 == 0) {
            CHECK_EQ(getsockopt(b->fd.fd, IPPROTO_TCP, TCP_NODELAY, &nodelay, &len), 0);
            CHECK(nodelay);
        }
        CHECK_EQ(gust_conn_write(a, "x", 1, SOON), 1);
        CHECK_EQ(gust_conn_read(b, &byte, 1, SOON), 1);
        pair_close(a, b);
        gust_listener_close(l);
    }
}

NetTest(inherit, a_seqpacket_listener_accepts_packets)
{
    gust_addr addr = addr_of("unix:@");
    gust_listener *l = NULL;
    gust_packet *a = NULL, *b = NULL;
    CHECK_EQ(gust_listener_adopt(raw_listener(SOCK_SEQPACKET, &addr), &l), 0);
    gust_listener_addr(l, &addr);
    CHECK_EQ(gust_seqpacket_dial(&addr, SOON, &a), 0);
    CHECK_EQ(gust_listener_accept_packet(l, SOON, &b), 0);
    send_text(a, "hello", NULL);
    expect_text(b, "hello", NULL);
    gust_packet_close(a);
    gust_packet_close(b);
    gust_listener_close(l);
}

NetTest(inherit, conns_read_and_write)
{
    for (int nonblocking = 0; nonblocking < 2; nonblocking++) {
        gust_conn *c = NULL;
        int fds[2];
        char buf[8];
        raw_pair(SOCK_STREAM | (nonblocking ? SOCK_NONBLOCK : 0), fds);
        CHECK_EQ(gust_conn_adopt(fds[0], &c), 0);
        check_close_on_exec(fds[0]);
        CHECK_EQ(gust_conn_read(c, buf, 8, GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_conn_read(c, buf, 8, gust_after(2 * GUST_MS)), -ETIMEDOUT);
        CHECK_EQ(write(fds[1], "abc", 3), 3);
        CHECK_EQ(gust_conn_read(c, buf, 8, SOON), 3);
        CHECK_EQ(gust_conn_write(c, "defg", 4, SOON), 4);
        CHECK_EQ(gust_conn_close(c, SOON), 0);
        CHECK_EQ(read(fds[1], buf, 8), 4);
        close(fds[1]);
    }
}

NetTest(inherit, packets_come_in_every_kind)
{
    static const int types[] = {SOCK_DGRAM, SOCK_SEQPACKET, SOCK_DGRAM | SOCK_NONBLOCK};
    for (size_t i = 0; i < 3; i++) {
        gust_packet *a = NULL, *b = NULL;
        int fds[2];
        raw_pair(types[i], fds);
        CHECK_EQ(gust_packet_adopt(fds[0], &a), 0);
        CHECK_EQ(gust_packet_adopt(fds[1], &b), 0);
        check_close_on_exec(fds[0]);
        CHECK_EQ(a->unixgram, types[i] != SOCK_SEQPACKET);
        send_text(a, "hello", NULL);
        expect_text(b, "hello", NULL);
        gust_packet_close(a);
        gust_packet_close(b);
    }
    gust_packet *udp = NULL;
    CHECK_EQ(gust_packet_adopt(raw_socket(AF_INET, SOCK_DGRAM), &udp), 0);
    CHECK(!udp->unixgram);
    gust_packet_close(udp);
}

/* NetTest sees that they are closed. */
NetTest(inherit, what_does_not_fit_is_refused_and_closed)
{
    gust_listener *l = NULL;
    gust_conn *c = NULL;
    gust_packet *p = NULL;
    gust_addr addr = addr_of("127.0.0.1:0"), name = addr_of("unix:@");
    CHECK_EQ(gust_listener_adopt(open("/dev/null", O_RDONLY), &l), -ENOTSOCK);
    CHECK_EQ(gust_listener_adopt(raw_socket(AF_INET, SOCK_STREAM), &l), -EINVAL);
    CHECK_EQ(gust_listener_adopt(raw_socket(AF_INET, SOCK_DGRAM), &l), -EPROTOTYPE);
    CHECK_EQ(gust_listener_adopt(-1, &l), -EBADF);
    CHECK_EQ(gust_conn_adopt(open("/dev/null", O_RDONLY), &c), -ENOTSOCK);
    CHECK_EQ(gust_conn_adopt(raw_listener(SOCK_STREAM, &addr), &c), -EINVAL);
    CHECK_EQ(gust_conn_adopt(raw_socket(AF_UNIX, SOCK_SEQPACKET), &c), -EPROTOTYPE);
    CHECK_EQ(gust_conn_adopt(-1, &c), -EBADF);
    CHECK_EQ(gust_packet_adopt(open("/dev/null", O_RDONLY), &p), -ENOTSOCK);
    CHECK_EQ(gust_packet_adopt(raw_socket(AF_UNIX, SOCK_STREAM), &p), -EPROTOTYPE);
    CHECK_EQ(gust_packet_adopt(raw_listener(SOCK_SEQPACKET, &name), &p), -EINVAL);
    CHECK_EQ(gust_packet_adopt(-1, &p), -EBADF);
    CHECK(!l && !c && !p);
}
