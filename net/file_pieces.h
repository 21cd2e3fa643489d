/* Pieces of memory that a call on a file goes through from front to back. */
#ifndef GUST_NET_FILE_PIECES_H
#define GUST_NET_FILE_PIECES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* Always: what is still to be done is `rest`, then iov[0, count), whose first piece is
 * not empty. */
typedef struct gust__pieces {
    struct iovec rest; /* of a piece that was begun, or the only one */
    const struct iovec *iov;
    int count;
} gust__pieces;

/* Errors: -EINVAL if there are more than SSIZE_MAX bytes, or count is negative. */
int gust__pieces_init(gust__pieces *p, const struct iovec *iov, int count);
gust__pieces gust__pieces_one(const void *buf, size_t len);

bool gust__pieces_empty(const gust__pieces *p);

/* As many as one request takes; valid until the next drop. */
const struct iovec *gust__pieces_next(const gust__pieces *p, int *ret_count);

/* After a request that did n bytes of them. */
void gust__pieces_drop(gust__pieces *p, size_t n);

#endif
