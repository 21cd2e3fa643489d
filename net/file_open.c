/* Opening files.
 *
 * open(2) of a FIFO waits for the other side, and nothing but a signal ends that: in
 * the ring it would take one of the few threads that the kernel has for files (eight
 * FIFOs, and the ninth file cannot be opened before one of their partners comes), and
 * in a blocking section it could not be called off at all.  So everything is opened
 * without waiting, and for a FIFO's other side we look again and again. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "core/inject.h"
#include "core/waitq.h"
#include "net/file.h"
#include "net/pause.h"

/* Not in the headers of every libc: linux/magic.h. */
#define PIPE_FS 0x50495045

/* --- Without waiting --------------------------------------------------------- */

/* What an open that failed has to say: 0 if it may be done later, because it is of a
 * FIFO that nobody reads, or of a file of which somebody is giving up a lease. */
static int open_error(const char *path, int error, gust_time deadline)
{
    gust_file_info info;
    if (error != -ENXIO)
        return error == -EAGAIN ? 0 : error;
    int stat_error = gust_path_stat(path, deadline, &info);
    if (stat_error)
        return stat_error;
    return S_ISFIFO(info.mode) ? 0 : error;
}

static int open_fd(const char *path, int flags, mode_t mode, gust_time deadline)
{
    const gust__file_req req = {.what = GUST__FILE_OPEN,
                                .fd = AT_FDCWD,
                                .path = path,
                                .flags = flags | O_CLOEXEC | O_NONBLOCK,
                                .mode = mode};
    const bool wait = !(flags & O_NONBLOCK) && deadline != GUST_NOW;
    int64_t pause_ns = PAUSE_MIN;
    for (;;) {
        int fd = gust__file_do(&req, deadline);
        if (fd >= 0 || !wait)
            return fd;
        int error = open_error(path, fd, deadline);
        if (!error)
            error = gust_sleep_until(pause_end(&pause_ns, deadline));
        if (error)
            return error;
    }
}

/* --- What it is -------------------------------------------------------------- */

/* Asks nobody over a network: the type does not change. */
static mode_t type_of(int fd)
{
    struct statx st = {0};
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &st) < 0)
        return S_IFREG;
    return st.stx_mode & S_IFMT;
}

/* The ring takes O_NONBLOCK to mean that it must not even wait for the disk.  Refused
 * where it has no meaning. */
static void clear_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0)
        (void)fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

static int stream_init(gust_file *f, int fd)
{
    GUST__CALL();
    return gust__fd_init(&f->fd, fd);
}

/* Owns fd and f in every case. */
static int adopt(gust_file *f, int fd, int flags)
{
    mode_t type = type_of(fd);
    atomic_init(&f->refs, 1);
    f->stream = (type == S_IFIFO || type == S_IFCHR) && !(flags & O_PATH);
    f->device = type == S_IFCHR;
    f->fd.fd = fd;
    int error = f->stream ? stream_init(f, fd) : 0;
    if (error) {
        gust__file_close_fd(fd);
        free(f);
        return error;
    }
    if (!f->stream)
        clear_nonblocking(fd);
    f->positioned = !f->stream && !(flags & O_APPEND) && lseek(fd, 0, SEEK_CUR) == 0;
    return 0;
}

/* --- A FIFO's writer ----------------------------------------------------------- */

/* As with open(2), a pipe of this or another process that is opened anew (/dev/stdin)
 * is not waited for. */
static bool waits_for_writer(const gust_file *f, int flags)
{
    struct statfs fs;
    return f->stream && !f->device && (flags & O_ACCMODE) == O_RDONLY && !(flags & O_NONBLOCK) &&
           fstatfs(f->fd.fd, &fs) == 0 && fs.f_type != PIPE_FS;
}

/* Copying what an empty pipe holds says whether there could be more: -EAGAIN if it has
 * a writer, 0 if it has not.  Nothing is taken out of it. */
static bool has_writer(const gust_file *f, int spare_pipe)
{
    return tee(f->fd.fd, spare_pipe, 1, SPLICE_F_NONBLOCK) != 0;
}

static int look_for_writer(gust_file *f, int spare_pipe, gust_time deadline)
{
    int64_t pause_ns = PAUSE_MIN;
    while (!has_writer(f, spare_pipe)) {
        gust_time when = pause_end(&pause_ns, deadline);
        int error = gust__stream_wait(f, FILE_READ, when);
        if (error != -ETIMEDOUT) /* readable: it was here, and may have gone again */
            return error;
        if (when >= deadline)
            return -ETIMEDOUT;
    }
    return 0;
}

static int await_writer(gust_file *f, gust_time deadline)
{
    int spare[2];
    if (gust__inject(INJECT_PIPE) || pipe2(spare, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    int error = look_for_writer(f, spare[1], deadline);
    close(spare[0]);
    close(spare[1]);
    return error;
}

int gust_file_open(const char *path, int flags, mode_t mode, gust_time deadline,
                   gust_file **ret_file)
{
    /* First, where for want of memory a file would be created or emptied; else last, so
     * that who waits in vain, for a FIFO's other end, holds nothing. */
    bool first = flags & (O_CREAT | O_TRUNC);
    gust_file *f = first ? gust__calloc(1, sizeof *f) : NULL;
    if (first && !f)
        return -ENOMEM;
    int fd = open_fd(path, flags, mode, deadline);
    if (fd < 0) {
        free(f);
        return fd;
    }
    if (!f && !(f = gust__calloc(1, sizeof *f))) {
        close(fd);
        return -ENOMEM;
    }
    int error = adopt(f, fd, flags);
    if (error)
        return error;
    if (waits_for_writer(f, flags))
        error = await_writer(f, deadline);
    if (error)
        gust_file_unref(f);
    else
        *ret_file = f;
    return error;
}
