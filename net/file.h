/* A file inside: what file.c (life, requests to the disk), file_open.c, file_io.c and
 * file_stream.c share.
 *
 * There are two kinds.  A `stream` (FIFO, terminal, character device) is in
 * non-blocking mode and under the poller's care: who finds nothing there waits for its
 * readiness, as for a socket's.  Everything else is on a disk, and never waits for
 * anybody: each request is one of core/file_op.h.
 *
 * Closing, in this order:
 *   1. `closing` is set under the lock: nobody begins to use the file any more;
 *   2. waits for readiness are cancelled; the closer waits until `users` have left;
 *   3. the descriptor is closed.
 * So it is closed once, and never under a request. */
#ifndef GUST_NET_FILE_H
#define GUST_NET_FILE_H

#include <gust/file.h>
#include <gust/sync.h>
#include <stdatomic.h>

#include "core/file_op.h"
#include "core/lock.h"
#include "core/netpoll.h"
#include "net/file_pieces.h"

typedef enum gust__file_dir { FILE_READ, FILE_WRITE, FILE_DIRS } gust__file_dir;

/* One direction of a stream; on a disk there is one position, and so only the mutex
 * of the first is used. */
typedef struct gust__file_side {
    gust_mutex mutex; /* held for a whole call, parks included */
    gust__op *op;     /* the wait under way, or NULL; under the file's lock */
} gust__file_side;

struct gust_file {
    _Atomic uint32_t refs;
    gust__lock lock; /* RANK_CONN */
    bool closing;    /* under lock */
    bool stream;     /* const, as the next */
    bool device;     /* a stream whose driver may wait where it should not */
    bool positioned; /* `position` counts, not the descriptor's own: see file_io.c */
    gust__fd fd;
    gust__file_side side[FILE_DIRS];
    int64_t position;     /* under side[FILE_READ].mutex */
    gust_waitgroup users; /* calls under way; from none only under lock, unless closing */
};

/* gust_fd_pread of what is in the page cache; -EAGAIN if it is not, or another error where
 * the file cannot be read so (fd_pread.c). */
ssize_t gust__fd_pread_cached(int fd, void *buf, size_t len, int64_t offset);

/* Begins and ends a use; -EBADF if the file is being closed. */
int gust__file_enter(gust_file *f);
void gust__file_leave(gust_file *f);

/* The same, alone in one direction (on a disk: alone in moving the position). */
int gust__file_enter_alone(gust_file *f, gust__file_dir dir, gust_time deadline);
void gust__file_leave_alone(gust_file *f, gust__file_dir dir);

/* Waits until a stream is ready; by who is alone in that direction.  0, or -ETIMEDOUT,
 * -EAGAIN, -ECANCELED, -EBADF. */
int gust__stream_wait(gust_file *f, gust__file_dir dir, gust_time deadline);

/* One readv(2), or all of a write; by who is alone in that direction. */
ssize_t gust__stream_read(gust_file *f, const gust__pieces *pieces, gust_time deadline);
ssize_t gust__stream_write(gust_file *f, gust__pieces *pieces, gust_time deadline);

/* close(2) of what is on a disk, whatever the caller's context. */
int gust__file_close_fd(int fd);

#endif
