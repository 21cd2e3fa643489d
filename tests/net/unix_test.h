/* What the tests of Unix and packet sockets share. */
#ifndef GUST_TESTS_NET_UNIX_TEST_H
#define GUST_TESTS_NET_UNIX_TEST_H

#include <gust/packet.h>
#include <gust/unix.h>
#include <sys/stat.h>

#include "net/packet.h"
#include "tests/net/net_test.h"

/* A folder of one's own, which dir_remove wants empty. */
static inline char *dir_make(char path[32])
{
    strcpy(path, "/tmp/gust_XXXXXX");
    CHECK(mkdtemp(path) != NULL);
    return path;
}

static inline void dir_remove(const char *path)
{
    CHECK_EQ(rmdir(path), 0);
}

static inline gust_addr addr_in(const char *dir, const char *name)
{
    char text[128];
    snprintf(text, sizeof text, "unix:%s/%s", dir, name);
    return addr_of(text);
}

static inline bool exists(const gust_addr *addr)
{
    struct stat st;
    return lstat(addr->un.sun_path, &st) == 0;
}

static inline gust_listener *unix_listen(const gust_addr *addr)
{
    gust_listener *l = NULL;
    CHECK_EQ(gust_unix_listen(addr, NULL, &l), 0);
    return l;
}

static inline gust_conn *unix_dial(const gust_addr *addr)
{
    gust_conn *c = NULL;
    CHECK_EQ(gust_unix_dial(addr, SOON, &c), 0);
    return c;
}

/* Two ends of one Unix stream. */
static inline void unix_pair_open(gust_conn **ret_a, gust_conn **ret_b)
{
    gust_addr addr = addr_of("unix:@");
    gust_listener *l = unix_listen(&addr);
    gust_listener_addr(l, &addr);
    *ret_a = unix_dial(&addr);
    *ret_b = accept_from(l);
    gust_listener_close(l);
}

/* --- Packets --------------------------------------------------------------- */

static inline gust_message message(void *data, size_t len)
{
    return (gust_message){.data = data, .len = len};
}

static inline void send_text(gust_packet *p, const char *text, const gust_addr *to)
{
    gust_message m = message((void *)(uintptr_t)text, strlen(text));
    if (to)
        m.addr = *to;
    CHECK_EQ(gust_packet_send(p, &m, SOON), (ssize_t)strlen(text));
}

/* Receives one, which must be `text`; ret_from may be NULL. */
static inline void expect_text(gust_packet *p, const char *text, gust_addr *ret_from)
{
    char buf[64];
    gust_message m = message(buf, sizeof buf);
    CHECK_EQ(gust_packet_recv(p, &m, SOON), (ssize_t)strlen(text));
    CHECK_EQ(m.size, strlen(text));
    CHECK(memcmp(buf, text, strlen(text)) == 0);
    if (ret_from)
        *ret_from = m.addr;
}

/* A loopback address of this process's own: nobody else gets a port that it leaves. */
static inline const char *own_loopback(void)
{
    static char text[32];
    unsigned pid = (unsigned)getpid();
    snprintf(text, sizeof text, "127.%u.%u.%u:0", 64 + (pid >> 16 & 63), pid >> 8 & 255, pid & 255);
    return text;
}

static inline bool same_addr(const gust_addr *a, const gust_addr *b)
{
    char texts[2][GUST_ADDR_TEXT_MAX];
    return strcmp(gust_addr_format(a, texts[0]), gust_addr_format(b, texts[1])) == 0;
}

static inline gust_addr local_of(const gust_packet *p)
{
    gust_addr addr;
    gust_packet_local_addr(p, &addr);
    return addr;
}

static inline gust_packet *udp_bind(const char *text)
{
    gust_addr addr = addr_of(text);
    gust_packet *p = NULL;
    CHECK_EQ(gust_udp_bind(&addr, NULL, &p), 0);
    return p;
}

static inline gust_packet *udp_dial(const gust_packet *to)
{
    gust_addr addr = local_of(to);
    gust_packet *p = NULL;
    CHECK_EQ(gust_udp_dial(&addr, NULL, NULL, &p), 0);
    return p;
}

static inline bool op_is_waiting(gust_packet *p, gust__packet_side *side)
{
    GUST__CALL();
    gust__lock_take(&p->lock, RANK_CONN);
    bool waiting = side->op && atomic_load(&side->op->state) == GUST__OP_INFLIGHT;
    gust__lock_drop(&p->lock);
    return waiting;
}

static inline bool is_receiving(gust_packet *p)
{
    return op_is_waiting(p, &p->rd);
}

/* Waits for room, or pauses. */
static inline bool is_sending(gust_packet *p)
{
    return op_is_waiting(p, &p->wr) || waiters_count(&p->waiters, &p->lock, RANK_CONN) > 0;
}

#endif
