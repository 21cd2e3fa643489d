/* Requests about files as io_uring wants them. */
#include "core/file_op.h"
#include "core/netpoll_uring.h"

/* Newer than liburing 2.3: Linux 6.9. */
#define OP_FTRUNCATE 55

#define LEN_MAX ((size_t)1 << 30) /* a result is an int32_t */

/* One piece is the usual case, for which the kernel need not copy an array. */
static void fill_read_write(struct io_uring_sqe *sqe, const gust__file_req *req)
{
    const bool reads = req->what == GUST__FILE_READ, one = req->iov_count == 1;
    const uint64_t offset = (uint64_t)req->offset;
    if (one) {
        size_t len = req->iov->iov_len < LEN_MAX ? req->iov->iov_len : LEN_MAX;
        io_uring_prep_rw(reads ? IORING_OP_READ : IORING_OP_WRITE, sqe, req->fd, req->iov->iov_base,
                         (uint32_t)len, offset);
    } else {
        io_uring_prep_rw(reads ? IORING_OP_READV : IORING_OP_WRITEV, sqe, req->fd, req->iov,
                         (uint32_t)req->iov_count, offset);
    }
}

/* Offset -1 is "where the descriptor stands", for us as for the kernel. */
void gust__uring_fill_file(struct io_uring_sqe *sqe, const gust__file_req *req)
{
    const uint64_t offset = (uint64_t)req->offset;
    switch (req->what) {
    case GUST__FILE_OPEN:
        io_uring_prep_openat(sqe, req->fd, req->path, req->flags, req->mode);
        break;
    case GUST__FILE_READ:
    case GUST__FILE_WRITE: fill_read_write(sqe, req); break;
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
