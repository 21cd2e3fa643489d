/* Unix signals as values on a channel, as Go's os/signal. */
#ifndef GUST_SIGNAL_H
#define GUST_SIGNAL_H

#include <gust/base.h>
#include <gust/chan.h>
#include <signal.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Delivers every later `signo` of this process as an int on `c` instead of its
 * default action.  A signal that finds the channel full is dropped: give it a
 * buffer.  Takes a reference to `c`; at most one channel per signal, the last
 * call wins.  c == NULL restores the default action.
 * Errors: -EINVAL for a signal that cannot be caught or that the runtime uses
 * (SIGSEGV, SIGBUS, SIGURG), and what pipe2(2) answers.  Only from a
 * goroutine. */
int gust_signal_notify(gust_chan *c, int signo);

#ifdef __cplusplus
}
#endif
#endif
