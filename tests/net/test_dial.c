/* Connecting: what it answers, and that failures leave nothing behind. */
#include "tests/net/net_test.h"

static void check_same(const gust_addr *a, const gust_addr *b)
{
    char a_text[GUST_ADDR_TEXT_MAX], b_text[GUST_ADDR_TEXT_MAX];
    CHECK(strcmp(gust_addr_format(a, a_text), gust_addr_format(b, b_text)) == 0);
}

NetTest(dial, both_ends_know_each_other)
{
    gust_conn *a, *b;
    gust_addr a_local, a_remote, b_local, b_remote;
    pair_open(&a, &b);
    gust_conn_local_addr(a, &a_local);
    gust_conn_remote_addr(a, &a_remote);
    gust_conn_local_addr(b, &b_local);
    gust_conn_remote_addr(b, &b_remote);
    check_same(&a_local, &b_remote);
    check_same(&b_local, &a_remote);
    pair_close(a, b);
}

NetTest(dial, nagle_is_off_at_both_ends)
{
    gust_conn *ends[2];
    pair_open(&ends[0], &ends[1]);
    for (int i = 0; i < 2; i++) {
        int on = 0;
        socklen_t len = sizeof on;
        CHECK_EQ(getsockopt(ends[i]->fd.fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, &len), 0);
        CHECK(on);
    }
    pair_close(ends[0], ends[1]);
}

NetTest(dial, closed_port_refuses)
{
    gust_addr addr;
    gust_conn *c = NULL;
    gust_listener_close(listen_on("127.0.0.1:0", &addr));
    CHECK_EQ(gust_tcp_dial(&addr, SOON, &c), -ECONNREFUSED);
    CHECK(c == NULL);
}

NetTest(dial, unknown_family_is_refused)
{
    gust_addr addr = {.any.sa_family = 255, .len = sizeof addr.v4};
    gust_conn *c = NULL;
    CHECK_EQ(gust_tcp_dial(&addr, SOON, &c), -EAFNOSUPPORT);
}

/* A listening socket whose backlog is full drops further SYNs, so that a
 * connect neither succeeds nor fails. */
struct full_backlog {
    gust_addr addr;
    int listener;
    int clients[16];
    int count;
};

static void backlog_fill(struct full_backlog *full)
{
    full->addr = addr_of("127.0.0.1:0");
    full->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(full->listener, &full->addr.any, full->addr.len), 0);
    CHECK_EQ(listen(full->listener, 0), 0);
    CHECK_EQ(getsockname(full->listener, &full->addr.any, &full->addr.len), 0);
    for (full->count = 0; full->count < 16; full->count++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fd, &full->addr.any, full->addr.len);
        full->clients[full->count] = fd;
    }
}

static void backlog_close(struct full_backlog *full)
{
    close(full->listener);
    for (int i = 0; i < full->count; i++)
        close(full->clients[i]);
}

NetTest(dial, deadline_ends_a_connect)
{
    struct full_backlog full;
    gust_conn *c = NULL;
    backlog_fill(&full);
    gust_time start = gust_now();
    CHECK_EQ(gust_tcp_dial(&full.addr, start + 30 * GUST_MS, &c), -ETIMEDOUT);
    CHECK(gust_now() >= start + 30 * GUST_MS);
    CHECK_EQ(gust_tcp_dial(&full.addr, GUST_NOW, &c), -EAGAIN);
    CHECK(c == NULL);
    backlog_close(&full);
}
