/* Using a descriptor that somebody may close; net/closable.h has the rule. */
#include "net/closable.h"

#include <errno.h>

#include "core/waitq.h"

static bool publish(gust__lock *lock, const bool *closing, gust__op **slot, gust__op *op)
{
    gust__lock_take(lock, RANK_CONN);
    const bool usable = !*closing;
    if (usable)
        *slot = op;
    gust__lock_drop(lock);
    return usable;
}

int gust__closable_wait(gust__lock *lock, const bool *closing, gust__op **slot, gust__op *op,
                        gust__deadline *d, gust_time deadline)
{
    if (!publish(lock, closing, slot, op))
        return -EBADF;
    int res = gust__op_wait(op, d, deadline);
    gust__lock_take(lock, RANK_CONN);
    *slot = NULL;
    const bool closed = *closing;
    gust__lock_drop(lock);
    /* If not by a closer it was cancelled by the goroutine's context. */
    return res == -ECANCELED && closed ? -EBADF : res;
}

void gust__closable_addr(gust__lock *lock, const bool *closing, const gust__fd *fd,
                         gust__name_fn *name, gust_addr *ret_addr)
{
    gust_addr addr = {.len = sizeof addr.un};
    gust__lock_take(lock, RANK_CONN);
    if (*closing || name(fd->fd, &addr.any, &addr.len) < 0)
        addr = (gust_addr){.len = 0};
    gust__lock_drop(lock);
    *ret_addr = addr;
}
