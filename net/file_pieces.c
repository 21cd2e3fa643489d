/* What a call reads or writes, piece by piece.  A request that came short has mostly
 * ended inside a piece: the rest of that one goes alone, and then whole pieces again.
 * So the caller's array is used as it is, and never copied or changed. */
#include "net/file_pieces.h"

#include <errno.h>
#include <limits.h>

int gust__pieces_init(gust__pieces *p, const struct iovec *iov, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        if (__builtin_add_overflow(total, iov[i].iov_len, &total) || total > SSIZE_MAX)
            return -EINVAL;
    *p = (gust__pieces){.iov = iov, .count = count};
    gust__pieces_drop(p, 0); /* leading pieces of no bytes */
    return count < 0 ? -EINVAL : 0;
}

gust__pieces gust__pieces_one(const void *buf, size_t len)
{
    const size_t most = len < SSIZE_MAX ? len : SSIZE_MAX;
    return (gust__pieces){.rest = {.iov_base = (void *)buf, .iov_len = most}};
}

bool gust__pieces_empty(const gust__pieces *p)
{
    return p->rest.iov_len == 0 && p->count <= 0;
}

const struct iovec *gust__pieces_next(const gust__pieces *p, int *ret_count)
{
    if (p->rest.iov_len > 0) {
        *ret_count = 1;
        return &p->rest;
    }
    *ret_count = p->count < IOV_MAX ? p->count : IOV_MAX;
    return p->iov;
}

static void drop_from_rest(struct iovec *rest, size_t n)
{
    rest->iov_base = (char *)rest->iov_base + n;
    rest->iov_len -= n;
}

void gust__pieces_drop(gust__pieces *p, size_t n)
{
    if (p->rest.iov_len > 0) {
        drop_from_rest(&p->rest, n);
        if (p->rest.iov_len > 0)
            return;
        n = 0; /* what follows may begin with pieces of no bytes */
    }
    while (p->count > 0 && n >= p->iov->iov_len) {
        n -= p->iov->iov_len;
        p->iov++;
        p->count--;
    }
    if (n > 0) {
        p->rest = *p->iov++;
        p->count--;
        drop_from_rest(&p->rest, n);
    }
}
