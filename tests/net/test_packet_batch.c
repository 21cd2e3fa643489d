/* Many messages by one call: what comes, in which order, at what cost, and what ends
 * it early. */
#include <sys/syscall.h>

#include "tests/net/unix_test.h"

enum { ROOM = 16, MANY = 2 * GUST_PACKET_BATCH + 8 };

/* --- System calls are counted ------------------------------------------------------- */

static _Atomic int recvs, sends;
static _Atomic int recv_error; /* of the next recvmmsg */

/* What an operation does with epoll. */
ssize_t recvmsg(int fd, struct msghdr *msg, int flags)
{
    atomic_fetch_add(&recvs, 1);
    return syscall(SYS_recvmsg, fd, msg, flags);
}

int recvmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags, struct timespec *timeout)
{
    int error = atomic_exchange(&recv_error, 0);
    atomic_fetch_add(&recvs, 1);
    if (error)
        return errno = error, -1;
    return (int)syscall(SYS_recvmmsg, fd, msgs, count, flags, timeout);
}

int sendmmsg(int fd, struct mmsghdr *msgs, unsigned count, int flags)
{
    atomic_fetch_add(&sends, 1);
    return (int)syscall(SYS_sendmmsg, fd, msgs, count, flags);
}

/* --- Batches of numbered messages --------------------------------------------------- */

struct batch {
    char data[MANY][ROOM];
    gust_message m[MANY];
};

static struct batch *batch_new(void)
{
    struct batch *b = calloc(1, sizeof *b);
    for (int i = 0; i < MANY; i++)
        b->m[i] = message(b->data[i], ROOM);
    return b;
}

/* Message number i says so, and has a length that depends on it. */
static struct batch *batch_numbered(int first)
{
    struct batch *b = batch_new();
    for (int i = 0; i < MANY; i++) {
        memset(b->data[i], 'a' + (first + i) % 26, ROOM);
        memcpy(b->data[i], &(int){first + i}, sizeof(int));
        b->m[i].len = sizeof(int) + (size_t)(first + i) % (ROOM - sizeof(int));
    }
    return b;
}

static void check_numbered(const struct batch *b, int at, int number)
{
    int got;
    memcpy(&got, b->data[at], sizeof got);
    CHECK_EQ(got, number);
    CHECK_EQ(b->m[at].size, sizeof(int) + (size_t)number % (ROOM - sizeof(int)));
    for (size_t i = sizeof(int); i < b->m[at].size; i++)
        CHECK_EQ(b->data[at][i], 'a' + number % 26);
}

struct ends {
    gust_packet *a, *b; /* b sends to a */
    gust_addr of_b;
};

static void ends_open(struct ends *e)
{
    e->a = udp_bind(own_loopback());
    e->b = udp_dial(e->a);
    e->of_b = local_of(e->b);
}

static void ends_close(struct ends *e)
{
    gust_packet_close(e->a);
    gust_packet_close(e->b);
}

/* --- Receiving ------------------------------------------------------------------------ */

NetTest(packet_batch, takes_what_is_there_by_one_call)
{
    struct ends e;
    struct batch *out = batch_numbered(0), *in = batch_new();
    ends_open(&e);
    CHECK_EQ(gust_packet_send_batch(e.b, out->m, MANY, SOON), MANY);
    CHECK_EQ(atomic_load(&sends), MANY / GUST_PACKET_BATCH + 1);
    for (int at = 0, expected = GUST_PACKET_BATCH; at < MANY; at += expected) {
        if (expected > MANY - at)
            expected = MANY - at;
        atomic_store(&recvs, 0);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m + at, MANY - (size_t)at, SOON), expected);
        /* The first waited for one message; from then on it is known that there are more. */
        CHECK(atomic_load(&recvs) == 1 || (at == 0 && atomic_load(&recvs) == 2));
        for (int i = at; i < at + expected; i++) {
            check_numbered(in, i, i);
            CHECK(same_addr(&in->m[i].addr, &e.of_b));
        }
    }
    CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 4, GUST_NOW), -EAGAIN);
    free(out);
    free(in);
    ends_close(&e);
}

NetTest(packet_batch, never_takes_more_than_there_is_room_for)
{
    struct ends e;
    struct batch *out = batch_numbered(0), *in = batch_new();
    static const size_t rooms[] = {1, 2, 3, 1, 5};
    int at = 0;
    ends_open(&e);
    CHECK_EQ(gust_packet_send_batch(e.b, out->m, 13, SOON), 13);
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        int n = gust_packet_recv_batch(e.a, in->m, rooms[i], i % 2 ? SOON : GUST_NOW);
        CHECK_EQ(n, rooms[i]);
        for (int k = 0; k < n; k++)
            check_numbered(in, k, at + k);
        at += n;
    }
    CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 50, SOON), 1);
    check_numbered(in, 0, 12);
    free(out);
    free(in);
    ends_close(&e);
}

/* After a full batch that was all, and after one that was not full. */
NetTest(packet_batch, waits_for_the_first_message)
{
    struct ends e;
    struct batch *out = batch_numbered(0), *in = batch_new();
    ends_open(&e);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2, GUST_NOW), -EAGAIN);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2, 1), -ETIMEDOUT);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2, gust_after(2 * GUST_MS)), -ETIMEDOUT);
        CHECK_EQ(gust_packet_send_batch(e.b, out->m, 2, SOON), 2);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2 + (size_t)i % 2, SOON), 2);
    }
    free(out);
    free(in);
    ends_close(&e);
}

struct receiver {
    gust_packet *packet;
    int total;
    gust_waitgroup done;
};

static void receive_numbered(void *arg)
{
    struct receiver *r = arg;
    struct batch *in = batch_new();
    for (int at = 0; at < r->total;) {
        size_t room = 1 + (size_t)at % GUST_PACKET_BATCH;
        int n = gust_packet_recv_batch(r->packet, in->m, room, SOON);
        CHECK(n > 0);
        for (int i = 0; i < n; i++)
            check_numbered(in, i, at + i);
        at += n;
    }
    free(in);
    gust_waitgroup_done(&r->done);
}

/* A Unix socket loses nothing and has little room: both sides wait again and again. */
static void stream_numbered(bool connected)
{
    enum { ROUNDS = 20 };
    gust_packet *a = NULL, *b = NULL;
    gust_addr addr = addr_of("unix:@");
    CHECK_EQ(gust_unixgram_bind(&addr, NULL, &a), 0);
    gust_addr of_a = local_of(a);
    CHECK_EQ(connected ? gust_unixgram_dial(&of_a, NULL, NULL, &b)
                       : gust_unixgram_bind(&addr, NULL, &b),
             0);
    struct receiver r = {.packet = a, .total = ROUNDS * MANY};
    gust_waitgroup_add(&r.done, 1);
    go(receive_numbered, &r);
    for (int round = 0; round < ROUNDS; round++) {
        struct batch *out = batch_numbered(round * MANY);
        for (int i = 0; i < MANY && !connected; i++)
            out->m[i].addr = of_a;
        CHECK_EQ(gust_packet_send_batch(b, out->m, MANY, SOON), MANY);
        free(out);
    }
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    gust_packet_close(a);
    gust_packet_close(b);
}

NetTest(packet_batch, both_sides_wait_and_nothing_is_lost)
{
    stream_numbered(true);
    stream_numbered(false);
}

NetTest(packet_batch, messages_that_are_cut_tell_their_length)
{
    struct ends e;
    struct batch *in = batch_new();
    ends_open(&e);
    for (int i = 0; i < 3; i++)
        send_text(e.b, "abcdef", NULL);
    in->m[0].len = 6;
    in->m[1].len = 3;
    in->m[2].len = 0;
    AWAIT_SOON(gust_packet_recv_batch(e.a, in->m, 3, SOON) == 3);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(in->m[i].size, 6);
    CHECK(memcmp(in->data[1], "abc", 4) == 0);
    CHECK_EQ(in->data[2][0], '\0');
    free(in);
    ends_close(&e);
}

/* --- Errors ----------------------------------------------------------------------------- */

NetTest(packet_batch, an_error_behind_a_message_is_the_next_result_once)
{
    struct ends e;
    struct batch *in = batch_new();
    ends_open(&e);
    for (int batch = 0; batch < 2; batch++) {
        for (int i = 0; i < 3; i++)
            send_text(e.b, "x", NULL);
        atomic_store(&recv_error, EHOSTUNREACH);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 3, SOON), 1);
        CHECK_EQ(batch ? gust_packet_recv_batch(e.a, in->m, 3, SOON)
                       : gust_packet_recv(e.a, in->m, SOON),
                 -EHOSTUNREACH);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2, SOON), 2);
        CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 2, GUST_NOW), -EAGAIN);
    }
    free(in);
    ends_close(&e);
}

NetTest(packet_batch, a_closed_port_is_econnrefused)
{
    struct ends e;
    char buf[8];
    gust_message m = message(buf, sizeof buf);
    ends_open(&e);
    gust_packet_close(e.a);
    for (int more = 0; more < 2; more++) {
        send_text(e.b, "anyone?", NULL);
        e.b->more = more;
        CHECK_EQ(gust_packet_recv_batch(e.b, &m, 1, SOON), -ECONNREFUSED);
    }
    gust_packet_close(e.b);
}

NetTest(packet_batch, a_bad_message_ends_the_batch_and_is_told_next)
{
    static char large[70000];
    struct ends e;
    struct batch *out = batch_numbered(0), *in = batch_new();
    ends_open(&e);
    out->m[3] = message(large, sizeof large);
    CHECK_EQ(gust_packet_send_batch(e.b, out->m, 6, SOON), 3);
    CHECK_EQ(gust_packet_send_batch(e.b, out->m + 3, 3, SOON), -EMSGSIZE);
    CHECK_EQ(gust_packet_recv_batch(e.a, in->m, 10, SOON), 3);
    free(out);
    free(in);
    ends_close(&e);
}

NetTest(packet_batch, descriptors_and_empty_batches_are_refused)
{
    struct ends e;
    char buf[8];
    gust_fds fds = {.max = 0};
    gust_message m[2] = {message(buf, 8), message(buf, 8)};
    ends_open(&e);
    CHECK_EQ(gust_packet_recv_batch(e.a, m, 0, GUST_NOW), -EINVAL);
    CHECK_EQ(gust_packet_send_batch(e.b, m, 0, GUST_NOW), -EINVAL);
    m[1].fds = &fds;
    CHECK_EQ(gust_packet_recv_batch(e.a, m, 2, GUST_NOW), -EINVAL);
    CHECK_EQ(gust_packet_send_batch(e.b, m, 2, GUST_NOW), -EINVAL);
    CHECK_EQ(gust_packet_send_batch(e.b, m, 1, GUST_NOW), 1);
    CHECK_EQ(gust_packet_recv_batch(e.a, m, 1, SOON), 1);
    ends_close(&e);
}

NetTest(packet_batch, a_deadline_ends_it_with_what_was_sent)
{
    const gust_time deadlines[] = {GUST_NOW, 1, gust_after(5 * GUST_MS)};
    const int errors[] = {-EAGAIN, -ETIMEDOUT, -ETIMEDOUT};
    for (int i = 0; i < 3; i++) {
        gust_packet *a = NULL, *b = NULL;
        gust_addr addr = addr_of("unix:@");
        struct batch *out = batch_numbered(0);
        CHECK_EQ(gust_unixgram_bind(&addr, NULL, &a), 0);
        addr = local_of(a);
        CHECK_EQ(gust_unixgram_dial(&addr, NULL, NULL, &b), 0);
        int n, sent = 0;
        /* The receiver takes as many as net.unix.max_dgram_qlen says. */
        while ((n = gust_packet_send_batch(b, out->m, MANY, deadlines[i])) > 0)
            sent += n;
        CHECK(sent > 0);
        CHECK_EQ(n, errors[i]);
        free(out);
        gust_packet_close(a);
        gust_packet_close(b);
    }
}
