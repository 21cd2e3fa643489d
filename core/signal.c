/* Signals as channel values.
 *
 * The handler may do next to nothing, so it writes the signal's number into a
 * pipe; a goroutine of the runtime waits for the pipe by the netpoller and sends
 * the numbers on.  Pipe and goroutine are made by the first gust_signal_notify
 * of a run.  A full pipe drops signals, as a full channel does. */
#include <gust/signal.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "core/proc.h"

static struct {
    gust__lock lock; /* RANK_SIGNALS: everything here but pipe[1], which handlers read */
    bool open;
    gust__fd read_end;
    _Atomic int write_fd;
    gust_chan *chans[NSIG]; /* one reference each */
    struct sigaction previous[NSIG];
    bool caught[NSIG];
} signals = {.write_fd = -1};

static void on_signal(int signo)
{
    int saved = errno;
    unsigned char byte = (unsigned char)signo;
    int fd = atomic_load_explicit(&signals.write_fd, memory_order_relaxed);
    if (fd >= 0)
        (void)!write(fd, &byte, 1);
    errno = saved;
}

static void deliver(int signo)
{
    gust__lock_take(&signals.lock, RANK_SIGNALS);
    gust_chan *c = signals.chans[signo] ? gust_chan_ref(signals.chans[signo]) : NULL;
    gust__lock_drop(&signals.lock);
    if (c)
        (void)gust_chan_send(c, &signo, GUST_NOW);
    gust_chan_unref(c);
}

static void watch(void *arg)
{
    (void)arg;
    GUST__CALL(); /* to its end: nothing in it is user code */
    for (;;) {
        gust__op op = {.code = GUST__OP_POLL, .fd = &signals.read_end, .events = POLLIN};
        if (gust__op_wait(&op, NULL, GUST_FOREVER) < 0)
            return;
        unsigned char bytes[64];
        ssize_t n = read(signals.read_end.fd, bytes, sizeof bytes);
        for (ssize_t i = 0; i < n; i++)
            deliver(bytes[i]);
    }
}

static int open_pipe_locked(void)
{
    int fds[2];
    if (signals.open)
        return 0;
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    int err = gust__fd_init(&signals.read_end, fds[0]);
    if (err < 0)
        goto close_pipe;
    err = gust__go(&(gust__spawn){.fn = watch, .name = "signals", .system = true});
    if (err < 0)
        goto close_read_end;
    atomic_store_explicit(&signals.write_fd, fds[1], memory_order_relaxed);
    signals.open = true;
    return 0;
close_read_end:
    gust__fd_close(&signals.read_end);
    close(fds[1]);
    return err;
close_pipe:
    close(fds[0]);
    close(fds[1]);
    return err;
}

static bool catchable(int signo)
{
    return signo > 0 && signo < NSIG && signo != SIGKILL && signo != SIGSTOP && signo != SIGSEGV &&
           signo != SIGBUS && signo != SIGURG;
}

static int catch_locked(int signo, bool on)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
    if (signals.caught[signo] == on)
        return 0;
    if (on && sigaction(signo, &sa, &signals.previous[signo]) < 0)
        return -errno;
    if (!on)
        sigaction(signo, &signals.previous[signo], NULL);
    signals.caught[signo] = on;
    return 0;
}

int gust_signal_notify(gust_chan *c, int signo)
{
    GUST__CALL();
    if (!catchable(signo))
        return -EINVAL;
    gust__lock_take(&signals.lock, RANK_SIGNALS);
    gust_chan *old = NULL;
    int err = open_pipe_locked();
    if (err == 0)
        err = catch_locked(signo, c != NULL);
    if (err == 0) {
        old = signals.chans[signo];
        signals.chans[signo] = c ? gust_chan_ref(c) : NULL;
    }
    gust__lock_drop(&signals.lock);
    gust_chan_unref(old);
    return err;
}

void gust__signals_fini(void)
{
    gust_chan *dropped[NSIG] = {0};
    gust__lock_take(&signals.lock, RANK_SIGNALS);
    for (int signo = 1; signo < NSIG; signo++) {
        catch_locked(signo, false);
        dropped[signo] = signals.chans[signo];
        signals.chans[signo] = NULL;
    }
    gust__lock_drop(&signals.lock);
    for (int signo = 1; signo < NSIG; signo++)
        gust_chan_unref(dropped[signo]);
}

void gust__signals_close(void)
{
    /* Again: a goroutine may have asked for a signal while its thread stopped. */
    gust__signals_fini();
    if (!signals.open)
        return;
    close(atomic_exchange_explicit(&signals.write_fd, -1, memory_order_relaxed));
    gust__fd_close(&signals.read_end);
    signals.open = false;
}
