/* Requests about files: to open, read, write, sync, stat, truncate, close.
 *
 * A disk is not waited for as a socket is: nothing says that it will be ready, and
 * a system call that needs it stops its thread.  So such a request goes through the
 * ring, where the kernel has threads of its own for what it cannot do at once; and
 * where there is no ring, or the kernel does not know the request, it is a system
 * call in a blocking section, which costs a thread but not the P.
 *
 * What the ring knows is found out by trying: it answers -EINVAL to a request that
 * it does not know, and so do files to one that makes no sense.  The system call
 * that follows either way tells the two apart, and what was not known is not tried
 * again.
 *
 * Only for requests that end by themselves: to wait for another process (a FIFO, a
 * terminal) would take one of the few threads that the kernel has for these, and in
 * a blocking section nothing could end it. */
#ifndef GUST_CORE_FILE_OP_H
#define GUST_CORE_FILE_OP_H

#include <fcntl.h>
#include <gust/base.h>
#include <sys/stat.h>
#include <sys/uio.h>

typedef enum gust__file_what {
    GUST__FILE_OPEN,     /* path, flags, mode: the result is a descriptor */
    GUST__FILE_READ,     /* iov, iov_count, offset (-1: where the descriptor stands) */
    GUST__FILE_WRITE,    /* the same */
    GUST__FILE_SYNC,     /* flags: 0, or GUST__FILE_DATA_ONLY */
    GUST__FILE_STAT,     /* path ("": the descriptor's), flags (AT_*), stat */
    GUST__FILE_TRUNCATE, /* offset: the new length */
    GUST__FILE_CLOSE,
} gust__file_what;

/* How many there are. */
#define GUST__FILE_WHATS (GUST__FILE_CLOSE + 1)

enum { GUST__FILE_DATA_ONLY = 1 };

typedef struct gust__file_req {
    gust__file_what what;
    int fd; /* AT_FDCWD where a path is meant */
    int flags;
    mode_t mode;
    const char *path;
    const struct iovec *iov; /* it may be changed only after the request */
    int iov_count;           /* at most IOV_MAX */
    off_t offset;
    struct statx *stat;
} gust__file_req;

/* Does the request and returns its result.  Once `deadline` has passed, or under a
 * cancelled context, it is not begun: -ETIMEDOUT (-EAGAIN for GUST_NOW) or
 * -ECANCELED.  What is under way is taken back if the kernel has not begun with it,
 * or can be interrupted; else it is waited for, since it uses the caller's memory.
 * From a goroutine that is not in a call of gust (core/call.h). */
int gust__file_do(const gust__file_req *req, gust_time deadline);

/* The same by a system call, on this thread. */
int gust__file_call(const gust__file_req *req);

/* For tests: what the ring is taken not to know, 1 << GUST__FILE_* each. */
void gust__file_refuse(uint32_t whats);
uint32_t gust__file_refused(void);

#endif
