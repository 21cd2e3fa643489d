/* Whatever the system refuses, and whenever: Unix sockets and packets say so by a
 * documented error; no descriptor, no file and no memory is left. */
#include <gust/inherit.h>

#include "tests/core/failures.h"
#include "tests/net/unix_test.h"

#ifndef GUST_DEBUG

Test(unix_inject, it_needs_a_debug_build)
{
    cr_skip_test("failures are ordered in builds with GUST_DEBUG only");
}

#else

static char dir[32];

/* --- Streams, and a descriptor -------------------------------------------------------- */

static bool pass(gust_conn *a, gust_conn *b)
{
    char byte;
    int fd = 0, got[1];
    gust_fds fds = {.fds = got, .max = 1};
    if (!moved(gust_conn_send_fds(a, "x", 1, &fd, 1, SOON)))
        return false;
    if (!moved(gust_conn_recv_fds(b, &byte, 1, &fds, SOON)))
        return false;
    CHECK_EQ(fds.count, 1);
    close(got[0]);
    return true;
}

static void streams(void)
{
    gust_addr addr = addr_in(dir, "socket");
    gust_listener *l = NULL;
    gust_conn *a = NULL, *b = NULL;
    if (served(gust_unix_listen(&addr, NULL, &l))) {
        CHECK(exists(&addr));
        if (served(gust_unix_dial(&addr, SOON, &a)) && served(gust_listener_accept(l, SOON, &b)))
            pass(a, b);
        gust_conn_close(a, GUST_NOW);
        gust_conn_close(b, GUST_NOW);
        gust_listener_close(l);
    }
    CHECK(!exists(&addr));
}

/* --- Packets ---------------------------------------------------------------------------- */

static bool talk(gust_packet *from, gust_packet *to)
{
    char in[3][8], out[] = "abc";
    gust_message sent[3], got[3];
    for (int i = 0; i < 3; i++) {
        sent[i] = message(out, 3);
        got[i] = message(in[i], sizeof in[i]);
    }
    if (!served((int)gust_packet_send(from, sent, SOON)) ||
        !served(gust_packet_send_batch(from, sent, 3, SOON)))
        return false;
    if (!served((int)gust_packet_recv(to, got, SOON)))
        return false;
    for (int n = 0, left = 3; left > 0; left -= n)
        if (!served(n = gust_packet_recv_batch(to, got, (size_t)left, SOON)))
            return false;
    return true;
}

static void datagrams(void)
{
    gust_addr addr = addr_in(dir, "gram"), udp = addr_of("127.0.0.1:0");
    gust_packet *a = NULL, *b = NULL;
    if (served(gust_unixgram_bind(&addr, NULL, &a)) &&
        served(gust_unixgram_dial(&addr, NULL, NULL, &b)))
        talk(b, a);
    gust_packet_close(a);
    gust_packet_close(b);
    CHECK(!exists(&addr));
    a = b = NULL;
    if (served(gust_udp_bind(&udp, NULL, &a))) {
        udp = local_of(a);
        if (served(gust_udp_dial(&udp, NULL, NULL, &b)))
            talk(b, a);
    }
    gust_packet_close(a);
    gust_packet_close(b);
}

static void sequenced(void)
{
    gust_addr addr = addr_of("unix:@");
    gust_listener *l = NULL;
    gust_packet *a = NULL, *b = NULL;
    if (!served(gust_seqpacket_listen(&addr, NULL, &l)))
        return;
    gust_listener_addr(l, &addr);
    if (served(gust_seqpacket_dial(&addr, SOON, &a)) &&
        served(gust_listener_accept_packet(l, SOON, &b)))
        talk(a, b);
    gust_packet_close(a);
    gust_packet_close(b);
    gust_listener_close(l);
}

/* --- Adopting ------------------------------------------------------------------------------ */

static void adopted(void)
{
    gust_activation *none = NULL;
    gust_conn *c = NULL;
    gust_packet *p = NULL;
    gust_listener *l = NULL;
    int fds[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    served(gust_conn_adopt(fds[0], &c));
    gust_conn_close(c, GUST_NOW);
    close(fds[1]);
    served(gust_packet_adopt(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), &p));
    gust_packet_close(p);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(listen(fd, 1), 0);
    served(gust_listener_adopt(fd, &l));
    gust_listener_close(l);
    if (served(gust_activation_take(&none)))
        gust_activation_free(none);
}

/* --- All of it ------------------------------------------------------------------------------- */

static int all_main(void *arg)
{
    size_t fds = fd_count();
    (void)arg;
    streams();
    datagrams();
    sequenced();
    adopted();
    AWAIT_SOON(fd_count() == fds);
    return 0;
}

static void fail_all(gust__inject_kind kind, uint64_t times)
{
    dir_make(dir);
    fail_each(kind, times, all_main);
    dir_remove(dir);
}

Test(unix_inject, memory_may_be_refused_anywhere)
{
    fail_all(INJECT_MALLOC, 1);
    fail_all(INJECT_MALLOC, 4);
}

Test(unix_inject, descriptors_may_be_refused_by_epoll)
{
    fail_all(INJECT_EPOLL_ADD, 1);
    fail_all(INJECT_EPOLL_ADD, 4);
}

Test(unix_inject, entering_the_ring_may_be_refused)
{
    fail_all(INJECT_URING_ENTER, 1);
    fail_all(INJECT_URING_ENTER, 4);
}

#endif
