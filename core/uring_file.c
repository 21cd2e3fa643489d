/* Requests about files as io_uring wants them. */
#include "core/file_op.h"
#include "core/netpoll_uring.h"

/* Newer than liburing 2.3: Linux 6.9. */
#define OP_FTRUNCATE 55

static uint32_t length(const gust__file_req *req)
{
    return (uint32_t)(req->len < GUST__FILE_LEN_MAX ? req->len : GUST__FILE_LEN_MAX);
}

/* Offset -1 is "where the descriptor stands", for us as for the kernel. */
void gust__uring_fill_file(struct io_uring_sqe *sqe, const gust__file_req *req)
{
    const uint64_t offset = (uint64_t)req->offset;
    switch (req->what) {
    case GUST__FILE_OPEN:
        io_uring_prep_openat(sqe, req->fd, req->path, req->flags, req->mode);
        break;
    case GUST__FILE_READ: io_uring_prep_read(sqe, req->fd, req->buf, length(req), offset); break;
    case GUST__FILE_WRITE: io_uring_prep_write(sqe, req->fd, req->buf, length(req), offset); break;
    case GUST__FILE_SYNC:
        io_uring_prep_fsync(sqe, req->fd,
                            req->flags & GUST__FILE_DATA_ONLY ? IORING_FSYNC_DATASYNC : 0);
        break;
    case GUST__FILE_STAT:
        io_uring_prep_statx(sqe, req->fd, req->path, req->flags, STATX_BASIC_STATS, req->stat);
        break;
    case GUST__FILE_TRUNCATE: io_uring_prep_rw(OP_FTRUNCATE, sqe, req->fd, NULL, 0, offset); break;
    case GUST__FILE_CLOSE:
        io_uring_prep_close(sqe, req->fd);
        sqe->flags |= IOSQE_ASYNC; /* the last close of a file may have much to free */
        break;
    }
}
