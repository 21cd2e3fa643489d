/* recvmsg and sendmsg with what goes beside the bytes: addresses, flags, and
 * descriptors, of which none is lost, doubled or left open. */
#include <fcntl.h>
#include <sys/uio.h>

#include "core/rights.h"
#include "tests/core/fds.h"
#include "tests/core/sockets.h"

#define BIG (4 << 20)

/* --- Messages ---------------------------------------------------------------- */

/* A message in one piece, with room for descriptors. */
struct message {
    struct msghdr hdr;
    struct iovec iov;
    struct sockaddr_in from;
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(8 * sizeof(int))];
    } control;
};

static void message_init(struct message *m, void *buf, size_t len, int flags)
{
    memset(m, 0, sizeof *m);
    m->iov = (struct iovec){buf, len};
    m->hdr = (struct msghdr){
        .msg_name = &m->from,
        .msg_namelen = sizeof m->from,
        .msg_iov = &m->iov,
        .msg_iovlen = 1,
        .msg_control = m->control.bytes,
        .msg_controllen = sizeof m->control.bytes,
        .msg_flags = flags,
    };
}

static gust__op op_recvmsg(gust__fd *f, struct message *m)
{
    return (gust__op){.code = GUST__OP_RECVMSG, .fd = f, .msg = &m->hdr};
}

static int do_recvmsg(gust__fd *f, struct message *m, gust_time deadline)
{
    gust__op op = op_recvmsg(f, m);
    return gust__op_wait(&op, NULL, deadline);
}

/* Makes m carry a descriptor. */
static void carry(struct message *m, int fd)
{
    m->hdr.msg_name = NULL;
    m->hdr.msg_namelen = 0;
    m->hdr.msg_controllen = CMSG_SPACE(sizeof fd);
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&m->hdr);
    *cmsg = (struct cmsghdr){CMSG_LEN(sizeof fd), SOL_SOCKET, SCM_RIGHTS};
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
}

static void put_fd(int sock, int fd)
{
    struct message m;
    char byte = 'f';
    message_init(&m, &byte, 1, 0);
    carry(&m, fd);
    CHECK_EQ(sendmsg(sock, &m.hdr, MSG_NOSIGNAL), 1);
}

static size_t take_and_close(struct message *m)
{
    int fds[8];
    size_t n = gust__rights_take(&m->hdr, fds, 8);
    for (size_t i = 0; i < n; i++) {
        CHECK_EQ(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
        close(fds[i]);
    }
    return n;
}

/* --- Datagrams --------------------------------------------------------------- */

static void udp_pair_open(pair *p)
{
    struct sockaddr_in addr[2];
    int fds[2];
    for (int i = 0; i < 2; i++) {
        socklen_t len = sizeof addr[i];
        addr[i] = tcp_loopback();
        fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        CHECK_EQ(bind(fds[i], (struct sockaddr *)&addr[i], len), 0);
        CHECK_EQ(getsockname(fds[i], (struct sockaddr *)&addr[i], &len), 0);
    }
    CHECK_EQ(connect(fds[1], (struct sockaddr *)&addr[0], sizeof addr[0]), 0);
    pair_init(p, fds);
}

static in_port_t port_of(gust__fd *f)
{
    struct sockaddr_in addr;
    socklen_t len = sizeof addr;
    CHECK_EQ(getsockname(f->fd, (struct sockaddr *)&addr, &len), 0);
    return addr.sin_port;
}

static int datagram_main(void *arg)
{
    pair p;
    char buf[4];
    struct message m;
    (void)arg;
    udp_pair_open(&p);
    const gust_time deadlines[] = {GUST_FOREVER, SOON, GUST_NOW, 1};
    for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
        CHECK_EQ(send(p.b.fd, "abcdef", i == 0 ? 0 : 6, 0), i == 0 ? 0 : 6);
        message_init(&m, buf, sizeof buf, MSG_TRUNC);
        CHECK_EQ(do_recvmsg(&p.a, &m, deadlines[i]), i == 0 ? 0 : 6);
        CHECK_EQ(m.hdr.msg_namelen, sizeof m.from);
        CHECK_EQ(m.from.sin_port, port_of(&p.b));
        CHECK_EQ(!!(m.hdr.msg_flags & MSG_TRUNC), i != 0);
        CHECK(i == 0 || memcmp(buf, "abcd", 4) == 0);
    }
    /* Without the flag: what fits, and that it was cut. */
    CHECK_EQ(send(p.b.fd, "abcdef", 6, 0), 6);
    message_init(&m, buf, sizeof buf, 0);
    CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 4);
    CHECK(m.hdr.msg_flags & MSG_TRUNC);
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, recvmsg_tells_sender_length_and_flags)
{
    test_run(datagram_main, NULL);
}

static int waits_main(void *arg)
{
    pair p;
    char buf[8];
    struct message m;
    (void)arg;
    udp_pair_open(&p);
    message_init(&m, buf, sizeof buf, 0);
    CHECK_EQ(do_recvmsg(&p.a, &m, GUST_NOW), -EAGAIN);
    CHECK_EQ(do_recvmsg(&p.a, &m, 1), -ETIMEDOUT);
    CHECK_EQ(do_recvmsg(&p.a, &m, BRIEFLY), -ETIMEDOUT);
    CHECK_EQ(m.hdr.msg_namelen, sizeof m.from);
    for (int i = 0; i < 100; i++) {
        waiting w = {.result = -1};
        message_init(&m, buf, sizeof buf, 0);
        waiting_start(&w, op_recvmsg(&p.a, &m), i % 2 ? GUST_FOREVER : SOON);
        put_byte(&p.b, (char)i);
        CHECK_EQ(waiting_end(&w), 1);
        CHECK_EQ(buf[0], (char)i);
        CHECK_EQ(m.from.sin_port, port_of(&p.b));
    }
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, recvmsg_waits_until_its_deadline)
{
    test_run(waits_main, NULL);
}

static int refused_main(void *arg)
{
    pair p;
    char buf[8];
    struct message m;
    (void)arg;
    udp_pair_open(&p);
    gust__fd_close(&p.a);
    waiting w = {.result = 1};
    message_init(&m, buf, sizeof buf, 0);
    waiting_start(&w, op_recvmsg(&p.b, &m), SOON);
    put_byte(&p.b, 'x'); /* to nobody */
    CHECK_EQ(waiting_end(&w), -ECONNREFUSED);
    gust__fd_close(&p.b);
    return 0;
}

Test(netpoll_msg, an_icmp_error_ends_a_recvmsg)
{
    test_run(refused_main, NULL);
}

static int empty_main(void *arg)
{
    pair p;
    char byte;
    struct message m;
    (void)arg;
    udp_pair_open(&p);
    struct msghdr none = {0};
    gust__op op = {.code = GUST__OP_SENDMSG, .fd = &p.b, .msg = &none};
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 0);
    message_init(&m, &byte, 1, 0);
    CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 0);
    CHECK_EQ(m.from.sin_port, port_of(&p.b));
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, an_empty_datagram_is_sent_and_received)
{
    test_run(empty_main, NULL);
}

/* --- Descriptors ------------------------------------------------------------- */

/* The descriptor and the cancellation race; whoever wins, it comes once. */
static int cancel_race_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    size_t before = fd_count();
    for (int i = 0; i < 300; i++) {
        char byte = 0;
        struct message m;
        waiting w = {.result = -1};
        message_init(&m, &byte, 1, 0);
        waiting_start(&w, op_recvmsg(&p.a, &m), SOON);
        put_fd(p.b.fd, p.b.fd);
        gust__op_cancel(&w.op);
        int n = waiting_end(&w);
        CHECK(n == 1 || n == -ECANCELED);
        if (n < 0) {
            message_init(&m, &byte, 1, 0);
            CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 1);
        }
        CHECK_EQ(take_and_close(&m), 1);
    }
    AWAIT(fd_count() == before);
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, a_cancellation_loses_no_descriptor)
{
    test_run(cancel_race_main, NULL);
}

struct reader {
    gust__fd *f;
    size_t bytes, fds;
    gust_waitgroup done;
};

static void read_big(void *arg)
{
    struct reader *r = arg;
    static char buf[50000];
    while (r->bytes < BIG) {
        struct message m;
        message_init(&m, buf, sizeof buf, 0);
        int n = do_recvmsg(r->f, &m, SOON);
        CHECK(n > 0);
        size_t fds = take_and_close(&m);
        CHECK(fds == 0 || r->bytes == 0);
        r->bytes += (size_t)n;
        r->fds += fds;
    }
    gust_waitgroup_done(&r->done);
}

/* Far more than the socket holds: the operation goes on several times. */
static int send_once_main(void *arg)
{
    pair p;
    struct message m;
    char *big = calloc(1, BIG);
    (void)arg;
    pair_open(&p);
    struct reader r = {.f = &p.b};
    gust_waitgroup_add(&r.done, 1);
    go(read_big, &r);
    message_init(&m, big, BIG, 0);
    carry(&m, p.a.fd);
    gust__op op = {.code = GUST__OP_SENDMSG, .fd = &p.a, .msg = &m.hdr};
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), BIG);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    CHECK_EQ(r.bytes, BIG);
    CHECK_EQ(r.fds, 1);
    pair_close(&p);
    free(big);
    return 0;
}

Test(netpoll_msg, a_descriptor_is_sent_once_however_long_the_send_takes)
{
    test_run(send_once_main, NULL);
}

static int rights_main(void *arg)
{
    pair p;
    char byte;
    int fds[1];
    struct message m;
    (void)arg;
    pair_open(&p);
    size_t before = fd_count();
    for (size_t max = 0; max < 2; max++) {
        put_fd(p.b.fd, p.b.fd);
        message_init(&m, &byte, 1, 0);
        CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 1);
        CHECK_EQ(gust__rights_take(&m.hdr, fds, max), 1);
        AWAIT(fd_count() == before + max);
        if (max > 0)
            close(fds[0]);
    }
    put_fd(p.b.fd, p.b.fd);
    message_init(&m, &byte, 1, 0);
    CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 1);
    gust__rights_close(&m.hdr);
    AWAIT(fd_count() == before);
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, what_there_is_no_room_for_is_closed)
{
    test_run(rights_main, NULL);
}

/* Since Linux 6.5 a socket may ask for it: a descriptor that is nobody's then. */
#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

static int pidfd_main(void *arg)
{
    pair p;
    char byte;
    int fds[1];
    struct message m;
    const int on = 1;
    (void)arg;
    pair_open(&p);
    if (setsockopt(p.a.fd, SOL_SOCKET, SO_PASSPIDFD, &on, sizeof on) == 0) {
        size_t before = fd_count();
        put_fd(p.b.fd, p.b.fd);
        message_init(&m, &byte, 1, 0);
        CHECK_EQ(do_recvmsg(&p.a, &m, SOON), 1);
        CHECK_EQ(gust__rights_take(&m.hdr, fds, 1), 1);
        close(fds[0]);
        AWAIT(fd_count() == before);
    }
    pair_close(&p);
    return 0;
}

Test(netpoll_msg, a_pidfd_is_closed)
{
    test_run(pidfd_main, NULL);
}

/* --- The end of the runtime --------------------------------------------------- */

static pair left;
static struct message left_message;
static char left_byte;

static void wait_for_ever(void *arg)
{
    waiting *w = arg;
    gust__op_wait(&w->op, NULL, GUST_FOREVER);
}

/* The waiter is in the poller's hands; nothing runs between the descriptor's arrival
 * and the end. */
static int leave_main(void *arg)
{
    waiting *w = arg;
    pair_open(&left);
    message_init(&left_message, &left_byte, 1, 0);
    w->op = op_recvmsg(&left.a, &left_message);
    go(wait_for_ever, w);
    AWAIT(gust__op_state_now(&w->op) == GUST__OP_INFLIGHT);
    gust_sleep(GUST_MS); /* submits what is queued */
    put_fd(left.b.fd, left.b.fd);
    return 0;
}

Test(netpoll_msg, a_descriptor_that_comes_at_the_end_is_closed)
{
    no_chaos();
    setenv("GUST_MAXPROCS", "1", 1);
    for (int i = 0; i < 20; i++) {
        static waiting w;
        size_t before = fd_count();
        memset(&w, 0, sizeof w);
        test_run(leave_main, &w);
        close(left.a.fd);
        close(left.b.fd);
        cr_assert_eq(fd_count(), before);
    }
}
