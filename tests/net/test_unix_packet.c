/* Unix datagrams and sequenced packets: names, descriptors, waiting for a receiver, and
 * the end of a connection. */
#include "tests/core/contexts.h"
#include "tests/net/unix_test.h"

static gust_packet *gram_bind(const gust_addr *addr)
{
    gust_packet *p = NULL;
    CHECK_EQ(gust_unixgram_bind(addr, NULL, &p), 0);
    return p;
}

static gust_packet *gram_any(void)
{
    gust_addr any = addr_of("unix:@");
    return gram_bind(&any);
}

static gust_packet *gram_dial(const gust_packet *to, bool named)
{
    gust_addr remote = local_of(to), any = addr_of("unix:@");
    gust_packet *p = NULL;
    CHECK_EQ(gust_unixgram_dial(&remote, named ? &any : NULL, NULL, &p), 0);
    return p;
}

static void seq_pair_open(gust_packet **ret_a, gust_packet **ret_b)
{
    gust_addr addr = addr_of("unix:@");
    gust_listener *l = NULL;
    CHECK_EQ(gust_seqpacket_listen(&addr, NULL, &l), 0);
    gust_listener_addr(l, &addr);
    CHECK_EQ(gust_seqpacket_dial(&addr, SOON, ret_a), 0);
    CHECK_EQ(gust_listener_accept_packet(l, SOON, ret_b), 0);
    gust_listener_close(l);
}

static void both_close(gust_packet *a, gust_packet *b)
{
    CHECK_EQ(gust_packet_close(a), 0);
    CHECK_EQ(gust_packet_close(b), 0);
}

/* --- Datagrams -------------------------------------------------------------------------- */

NetTest(unix_packet, datagrams_have_senders_that_can_be_answered)
{
    char dir[32];
    gust_addr path = addr_in(dir_make(dir), "socket"), from;
    gust_packet *server = gram_bind(&path), *c = gram_dial(server, true);
    gust_packet *nameless = gram_dial(server, false);
    gust_addr of_c = local_of(c), peer;
    gust_packet_remote_addr(c, &peer);
    CHECK(same_addr(&peer, &path));
    send_text(c, "question", NULL);
    expect_text(server, "question", &from);
    CHECK(same_addr(&from, &of_c));
    send_text(server, "answer", &from);
    expect_text(c, "answer", &from);
    CHECK(same_addr(&from, &path));
    send_text(nameless, "psst", NULL);
    expect_text(server, "psst", &from);
    CHECK_EQ(from.len, 0);
    both_close(server, c);
    CHECK(!exists(&path));
    gust_packet_close(nameless);
    dir_remove(dir);
}

NetTest(unix_packet, the_file_comes_and_goes_as_a_listeners)
{
    char dir[32];
    struct stat st;
    gust_packet *p = NULL;
    gust_addr path = addr_in(dir_make(dir), "socket");
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, &path.any, path.len), 0);
    CHECK_EQ(gust_unixgram_bind(&path, NULL, &p), -EADDRINUSE);
    close(fd);
    CHECK_EQ(gust_unixgram_bind(&path, &(gust_unix_options){.keep_stale = true}, &p), -EADDRINUSE);
    CHECK_EQ(gust_unixgram_bind(&path, &(gust_unix_options){.mode = 0640}, &p), 0);
    CHECK_EQ(stat(path.un.sun_path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0640);
    gust_packet_unref(p);
    CHECK(!exists(&path));
    dir_remove(dir);
}

NetTest(unix_packet, errors_of_dial)
{
    char dir[32];
    gust_addr path = addr_in(dir_make(dir), "socket"), local = addr_in(dir, "local");
    gust_addr tcp = addr_of("127.0.0.1:0");
    gust_packet *p = NULL;
    CHECK_EQ(gust_unixgram_dial(&path, NULL, NULL, &p), -ENOENT);
    CHECK_EQ(gust_unixgram_dial(&path, &local, NULL, &p), -ENOENT);
    CHECK(!exists(&local)); /* what was made is removed */
    CHECK_EQ(gust_unixgram_dial(&tcp, NULL, NULL, &p), -EAFNOSUPPORT);
    CHECK_EQ(gust_unixgram_bind(&tcp, NULL, &p), -EAFNOSUPPORT);
    CHECK_EQ(gust_seqpacket_dial(&path, SOON, &p), -ENOENT);
    gust_listener *l = unix_listen(&path);
    CHECK_EQ(gust_unixgram_dial(&path, NULL, NULL, &p), -EPROTOTYPE);
    CHECK_EQ(gust_seqpacket_dial(&path, SOON, &p), -EPROTOTYPE);
    gust_listener_close(l);
    CHECK(!p);
    dir_remove(dir);
}

/* --- Descriptors ------------------------------------------------------------------------- */

static void send_with_fd(gust_packet *p, const char *text, int fd)
{
    gust_fds fds = {.fds = &fd, .count = 1};
    gust_message m = message((void *)(uintptr_t)text, strlen(text));
    m.fds = &fds;
    CHECK_EQ(gust_packet_send(p, &m, SOON), (ssize_t)m.len);
}

static void check_fds(gust_packet *a, gust_packet *b)
{
    char buf[8];
    int pipe_fds[2], got[1];
    CHECK_EQ(pipe2(pipe_fds, O_CLOEXEC), 0);
    size_t before = fd_count();
    for (size_t max = 0; max < 2; max++) {
        gust_fds fds = {.fds = got, .max = max, .count = 7};
        gust_message m = message(buf, sizeof buf);
        m.fds = &fds;
        send_with_fd(a, "with", pipe_fds[1]);
        CHECK_EQ(gust_packet_recv(b, &m, SOON), 4);
        CHECK_EQ(fds.count, max);
        CHECK_EQ(fds.truncated, max == 0);
        AWAIT_SOON(fd_count() == before + max);
    }
    CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
    CHECK_EQ(write(got[0], "p", 1), 1);
    CHECK_EQ(read(pipe_fds[0], buf, 8), 1);
    close(got[0]);
    send_with_fd(a, "drop", pipe_fds[1]);
    expect_text(b, "drop", NULL); /* nobody has asked for it */
    AWAIT_SOON(fd_count() == before);
    gust_fds fds = {.fds = got, .max = 1, .count = 7, .truncated = true};
    gust_message m = message(buf, sizeof buf);
    m.fds = &fds;
    CHECK_EQ(gust_packet_recv(b, &m, GUST_NOW), -EAGAIN);
    CHECK(fds.count == 0 && !fds.truncated);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

NetTest(unix_packet, messages_pass_descriptors)
{
    gust_packet *a = gram_any(), *b = gram_dial(a, false);
    check_fds(b, a);
    both_close(a, b);
    seq_pair_open(&a, &b);
    check_fds(a, b);
    check_fds(b, a);
    both_close(a, b);
}

/* --- A receiver without room ---------------------------------------------------------------- */

static size_t fill_receiver(gust_packet *p, const gust_addr *to)
{
    char byte = 'f';
    gust_message m = message(&byte, 1);
    size_t count = 0;
    if (to)
        m.addr = *to;
    while (gust_packet_send(p, &m, GUST_NOW) == 1)
        count++;
    CHECK_EQ(gust_packet_send(p, &m, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_packet_send(p, &m, 1), -ETIMEDOUT);
    CHECK_EQ(gust_packet_send(p, &m, gust_after(3 * GUST_MS)), -ETIMEDOUT);
    return count;
}

struct sender {
    gust_packet *packet;
    const gust_addr *to;
    ssize_t result;
    gust_waitgroup done;
};

static void send_late(void *arg)
{
    struct sender *s = arg;
    char byte = 'l';
    gust_message m = message(&byte, 1);
    if (s->to)
        m.addr = *s->to;
    s->result = gust_packet_send(s->packet, &m, GUST_FOREVER);
    gust_waitgroup_done(&s->done);
}

static void sender_start(struct sender *s, gust_context *context)
{
    gust_waitgroup_add(&s->done, 1);
    if (context)
        go_under(context, send_late, s);
    else
        go(send_late, s);
    AWAIT_SOON(is_sending(s->packet));
}

static ssize_t sender_end(struct sender *s)
{
    CHECK_EQ(gust_waitgroup_wait(&s->done, SOON), 0);
    return s->result;
}

static void check_waiting(gust_packet *from, const gust_addr *to, gust_packet *receiver)
{
    for (int i = 0; i < 10; i++) {
        size_t count = fill_receiver(from, to);
        struct sender s = {.packet = from, .to = to};
        sender_start(&s, NULL);
        while (count-- > 0)
            expect_text(receiver, "f", NULL);
        expect_text(receiver, "l", NULL);
        CHECK_EQ(sender_end(&s), 1);
    }
}

/* Connected, not connected, and connected to another. */
NetTest(unix_packet, a_sender_waits_for_room_at_the_receivers)
{
    gust_packet *a = gram_any(), *connected = gram_dial(a, false), *free_one = gram_any();
    gust_packet *elsewhere = gram_dial(free_one, false);
    gust_addr of_a = local_of(a);
    check_waiting(connected, NULL, a);
    check_waiting(free_one, &of_a, a);
    check_waiting(elsewhere, &of_a, a);
    both_close(a, connected);
    both_close(free_one, elsewhere);
    seq_pair_open(&a, &connected);
    check_waiting(a, NULL, connected);
    both_close(a, connected);
}

static void check_woken(gust_packet *from, const gust_addr *to)
{
    struct sender s = {.packet = gust_packet_ref(from), .to = to};
    gust_context *context = context_make(NULL);
    fill_receiver(from, to);
    sender_start(&s, context);
    gust_context_cancel(context, 0);
    CHECK_EQ(sender_end(&s), -ECANCELED);
    gust_context_unref(context);
    sender_start(&s, NULL);
    CHECK_EQ(gust_packet_close(from), 0);
    CHECK_EQ(sender_end(&s), -EBADF);
    gust_packet_unref(from);
}

NetTest(unix_packet, close_and_cancellation_wake_a_sender)
{
    gust_packet *a = gram_any();
    gust_addr of_a = local_of(a);
    check_woken(gram_dial(a, false), NULL);
    gust_packet_close(a);
    a = gram_any();
    of_a = local_of(a);
    check_woken(gram_any(), &of_a);
    gust_packet_close(a);
}

/* --- Sequenced packets ------------------------------------------------------------------------ */

NetTest(unix_packet, sequenced_packets_keep_their_bounds_and_end)
{
    gust_packet *a, *b;
    char buf[4];
    seq_pair_open(&a, &b);
    for (int i = 0; i < 20; i++) {
        send_text(a, "one", NULL);
        send_text(a, "twotwo", NULL);
        send_text(b, "back", NULL);
        expect_text(b, "one", NULL);
        gust_message m = message(buf, sizeof buf);
        CHECK_EQ(gust_packet_recv(b, &m, SOON), 4); /* the rest is cut off */
        CHECK_EQ(m.size, 6);
        expect_text(a, "back", NULL);
    }
    send_text(a, "last", NULL);
    CHECK_EQ(gust_packet_shutdown(a, SHUT_WR), 0);
    expect_text(b, "last", NULL);
    expect_text(b, "", NULL);
    send_text(b, "still", NULL);
    expect_text(a, "still", NULL);
    gust_packet_close(b);
    expect_text(a, "", NULL);
    gust_message m = message(buf, 1);
    CHECK_EQ(gust_packet_send(a, &m, SOON), -EPIPE);
    gust_packet_close(a);
}

NetTest(unix_packet, listeners_are_of_one_type)
{
    gust_addr addr = addr_of("unix:@");
    gust_listener *stream = unix_listen(&addr), *seq = NULL;
    gust_conn *c = NULL;
    gust_packet *p = NULL;
    CHECK_EQ(gust_seqpacket_listen(&addr, NULL, &seq), 0);
    CHECK_EQ(gust_listener_accept(seq, GUST_NOW, &c), -EPROTOTYPE);
    CHECK_EQ(gust_listener_accept_packet(stream, GUST_NOW, &p), -EPROTOTYPE);
    CHECK_EQ(gust_listener_accept(stream, GUST_NOW, &c), -EAGAIN);
    CHECK_EQ(gust_listener_accept_packet(seq, GUST_NOW, &p), -EAGAIN);
    gust_listener_close(seq);
    gust_listener_close(stream);
}

NetTest(unix_packet, peers_have_credentials)
{
    gust_packet *a, *b;
    gust_peer_cred cred = {0};
    seq_pair_open(&a, &b);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(gust_packet_peer_cred(i ? a : b, &cred), 0);
        CHECK_EQ(cred.pid, getpid());
        CHECK_EQ(cred.uid, getuid());
        CHECK_EQ(cred.gid, getgid());
    }
    both_close(a, b);
    a = udp_bind(own_loopback());
    CHECK_EQ(gust_packet_peer_cred(a, &cred), -EOPNOTSUPP);
    CHECK_EQ(gust_packet_shutdown(a, SHUT_WR), -ENOTCONN);
    gust_packet_close(a);
}
