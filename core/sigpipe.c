/* No SIGPIPE; core/sigpipe.h says for what. */
#include "core/sigpipe.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

static sigset_t only_sigpipe(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    return set;
}

void gust__sigpipe_block(gust__sigpipe *s)
{
    const sigset_t set = only_sigpipe();
    sigset_t pending;
    pthread_sigmask(SIG_BLOCK, &set, &s->former);
    s->pending = sigismember(&s->former, SIGPIPE); /* else it would have come */
    if (s->pending) {
        sigpending(&pending);
        s->pending = sigismember(&pending, SIGPIPE);
    }
}

void gust__sigpipe_unblock(const gust__sigpipe *s, bool broken)
{
    const sigset_t set = only_sigpipe();
    const struct timespec no_time = {0};
    if (broken && !s->pending)
        while (sigtimedwait(&set, NULL, &no_time) < 0 && errno == EINTR)
            ;
    pthread_sigmask(SIG_SETMASK, &s->former, NULL);
}
