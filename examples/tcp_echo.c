/* Echoes what it is sent, until SIGTERM or SIGINT:
 * tcp_echo [--listen ADDR:PORT|unix:/PATH] [--tls-cert FILE --tls-key FILE] */
#include "examples/tls.h"

/* Each call blocks this goroutine, never the thread.  What has arrived is sent from
 * where it lies; a connection that waits holds no buffer. */
static void echo(void *conn)
{
    ssize_t n;
    gust_time deadline = gust_after(60 * GUST_SEC);
    while ((n = gust_conn_fill(conn, 65536, deadline)) > 0) {
        deadline = gust_after(60 * GUST_SEC);
        if (gust_conn_write(conn, gust_conn_view(conn).data, n, deadline) < 0)
            break;
        gust_conn_consume(conn, n);
    }
    gust_conn_close(conn, gust_after(10 * GUST_SEC));
}

static void accept_all(void *listener)
{
    gust_conn *conn;
    int r;
    while ((r = gust_listener_accept(listener, GUST_FOREVER, &conn)) != -EBADF)
        if (r == 0 && gust_go(echo, conn) < 0)
            gust_conn_unref(conn);
    gust_listener_unref(listener);
}

static int serve(void *addr)
{
    char text[GUST_ADDR_TEXT_MAX];
    gust_listener *listener = tls_listen(addr);
    gust_chan *signals = NULL;
    int r, signo;
    if (!listener)
        return 1; /* it has been said why */
    if ((r = gust_chan_new(sizeof signo, 1, &signals)) ||
        (r = gust_signal_notify(signals, SIGTERM)) || (r = gust_signal_notify(signals, SIGINT)) ||
        (r = gust_go(accept_all, gust_listener_ref(listener))))
        return failed("cannot serve", r);
    gust_listener_addr(listener, addr);
    dprintf(1, "tcp_echo: listening on %s (%s, %d Ps)\n", gust_addr_format(addr, text),
            gust_netpoll_name(), gust_maxprocs());
    gust_chan_recv(signals, &signo, GUST_FOREVER);
    gust_listener_close(listener);
    gust_chan_unref(signals);
    return 0;
}

int main(int argc, char **argv)
{
    static gust_addr addr;
    static const option options[] = {
        {"--listen", "ADDR:PORT",
         "where (127.0.0.1:7777); or unix:/PATH, unix:@NAME; LISTEN_FDS goes before it",
         option_addr, &addr},
        TLS_OPTIONS,
        {0}};
    gust_addr_parse("127.0.0.1:7777", &addr);
    options_parse(argv, options);
    tls_check_options(options);
    return gust_run(serve, &addr) != 0;
}
