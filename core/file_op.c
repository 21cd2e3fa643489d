/* Requests about files, by the ring or by a system call; the rules are in
 * core/file_op.h. */
#include "core/file_op.h"

#include <errno.h>
#include <gust/runtime.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/netpoll.h"
#include "core/waitq.h"

static _Atomic uint32_t refused; /* 1 << GUST__FILE_* */

void gust__file_refuse(uint32_t whats)
{
    atomic_store_explicit(&refused, whats, memory_order_relaxed);
}

uint32_t gust__file_refused(void)
{
    return atomic_load_explicit(&refused, memory_order_relaxed);
}

/* --- By a system call ------------------------------------------------------ */

/* Offset -1 is "where the descriptor stands", for us as for the kernel.  It does no
 * more than fits an int32_t. */
static ssize_t call_once(const gust__file_req *req)
{
    switch (req->what) {
    case GUST__FILE_OPEN: return openat(req->fd, req->path, req->flags, req->mode);
    case GUST__FILE_READ: return preadv2(req->fd, req->iov, req->iov_count, req->offset, 0);
    case GUST__FILE_WRITE: return pwritev2(req->fd, req->iov, req->iov_count, req->offset, 0);
    case GUST__FILE_SYNC:
        return req->flags & GUST__FILE_DATA_ONLY ? fdatasync(req->fd) : fsync(req->fd);
    case GUST__FILE_STAT:
        return statx(req->fd, req->path, req->flags, STATX_BASIC_STATS, req->stat);
    case GUST__FILE_TRUNCATE: return ftruncate(req->fd, req->offset);
    case GUST__FILE_CLOSE: return close(req->fd);
    }
    errno = EINVAL;
    return -1;
}

int gust__file_call(const gust__file_req *req)
{
    ssize_t n;
    do
        n = call_once(req);
    while (n < 0 && errno == EINTR && req->what != GUST__FILE_CLOSE);
    /* After an interrupted close the descriptor is gone all the same. */
    if (n < 0 && errno == EINTR)
        return 0;
    return n < 0 ? -errno : (int)n;
}

static int in_blocking_section(const gust__file_req *req)
{
    gust_blocking_begin();
    int res = gust__file_call(req);
    gust_blocking_end();
    return res;
}

/* --- Through the ring ------------------------------------------------------ */

static int in_ring(const gust__file_req *req, gust_time deadline)
{
    GUST__CALL();
    gust__fd fd = {.fd = req->fd};
    gust__op op = {.code = GUST__OP_FILE, .fd = &fd, .file = req};
    return gust__inject(INJECT_URING_FILE) ? -errno : gust__op_wait(&op, NULL, deadline);
}

static bool is_refused(gust__file_what what)
{
    return gust__file_refused() & 1U << what;
}

/* The ring's front takes a deadline for past only once the P has looked at the clock,
 * which is good enough for what can be taken back. */
int gust__file_do(const gust__file_req *req, gust_time deadline)
{
    int res = wait_refused(gust_context_current(), deadline);
    if (res)
        return res;
    if (!gust__netpoll_does_files() || is_refused(req->what))
        return in_blocking_section(req);
    do
        res = in_ring(req, deadline);
    while (res == -EINTR && req->what != GUST__FILE_CLOSE);
    if (res == -EINTR) /* the descriptor is gone all the same */
        return 0;
    if (res != -EINVAL && res != -EOPNOTSUPP)
        return res;
    res = in_blocking_section(req);
    if (res >= 0)
        atomic_fetch_or_explicit(&refused, 1U << req->what, memory_order_relaxed);
    return res;
}
