/* A server that is asked three times while something is refused, for tests that have each
 * call of a kind fail in turn. */
#ifndef GUST_TESTS_HTTP_SCENARIO_H
#define GUST_TESTS_HTTP_SCENARIO_H

#include "tests/core/failures.h"
#include "tests/http/site.h"

#ifdef GUST_DEBUG

#define SOON gust_after(SITE_WAIT_NS)

/* What is asked, of whom, and what may come back. */
struct scenario {
    gust_http_server_options options;
    const char *request;
    void (*check)(gust_span got);
};

static inline void ask(const gust_addr *addr, const struct scenario *s)
{
    gust_conn *c;
    ssize_t n = 1;
    if (!served(gust_tcp_dial(addr, SOON, &c)))
        return;
    if (moved(gust_conn_write(c, s->request, strlen(s->request), SOON))) {
        while (moved(n = gust_conn_fill(c, 1 << 20, SOON)))
            continue;
        if (n == 0)
            s->check(gust_conn_view(c));
    }
    gust_conn_close(c, GUST_NOW);
}

struct place {
    gust_http_server *server;
    gust_listener *listener;
    gust_waitgroup done;
};

static inline void serve(void *arg)
{
    struct place *p = arg;
    CHECK_EQ(gust_http_server_serve(p->server, p->listener), 0);
    gust_waitgroup_done(&p->done);
}

static inline void serve_and_ask(struct place *p, const struct scenario *s)
{
    gust_addr addr;
    gust_listener_addr(p->listener, &addr);
    gust_waitgroup_add(&p->done, 1);
    if (!served(gust_go(serve, p))) {
        gust_waitgroup_done(&p->done);
        return;
    }
    for (int i = 0; i < 3; i++)
        ask(&addr, s);
    CHECK_EQ(gust_http_server_shutdown(p->server, SOON), 0);
    CHECK_EQ(gust_waitgroup_wait(&p->done, SOON), 0);
}

static inline void play(const struct scenario *s)
{
    struct place p = {.server = NULL};
    gust_addr addr;
    CHECK_EQ(gust_addr_parse("127.0.0.1:0", &addr), 0);
    if (!served(gust_tcp_listen(&addr, NULL, &p.listener)))
        return;
    if (served(gust_http_server_new(&s->options, &p.server)))
        serve_and_ask(&p, s);
    gust_http_server_free(p.server);
    gust_listener_close(p.listener);
}

#endif
#endif
