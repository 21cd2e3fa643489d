/* Binding to a file.
 *
 * Always: a file is removed only under its directory's lock, if that can be had, and
 * only after a look at its device and inode: a dead server's, or our own.
 *
 * Whether the server is dead is asked by connecting with a datagram socket.  The
 * kernel answers ECONNREFUSED if and only if no socket is bound to the file, whatever
 * its type: a stream socket would be refused also by one that does not listen yet,
 * and would put a connection that nobody wants into the backlog of one that does.
 *
 * A lock file would have to stay for ever, or its removal would be a race of its own;
 * the directory is there anyway, and closing its descriptor unlocks it. */
#include "net/unix_path.h"

#include <errno.h>
#include <fcntl.h>
#include <gust/context.h>
#include <gust/timer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/inject.h"
#include "net/unix_addr.h"

/* Of 1, 2, 4, 8 and then 16 ms: a second.  Counted, so that a machine on which nothing
 * runs does not make it shorter. */
#define LOCK_PAUSES 66
#define LOCK_PAUSE_MIN GUST_MS
#define LOCK_PAUSE_MAX (16 * GUST_MS)
#define MODE_MASK 0777
/* Files that appear as fast as they are removed are not ours to fight. */
#define BIND_TRIES 8

struct gust__unix_path {
    char name[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
    dev_t dev;
    ino_t ino;
};

/* --- The directory's lock -------------------------------------------------- */

static int dir_open(const char *name)
{
    char dir[sizeof(((gust__unix_path *)0)->name)];
    const char *slash = strrchr(name, '/');
    size_t len = slash ? (size_t)(slash - name) + 1 : 0;
    memcpy(dir, name, len);
    strcpy(dir + len, len > 0 ? "" : ".");
    return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* A cancelled context does not keep a socket's file from being cleaned up. */
static void pause_steadfast(int64_t ns)
{
    gust_context *context = gust_context_swap(NULL);
    gust_sleep(ns);
    gust_context_swap(context);
}

/* Returns what dir_unlock takes: a descriptor, or -1 where nothing can be locked.
 * -EBUSY: somebody has it for too long. */
static int dir_lock(const char *name)
{
    int64_t pause = LOCK_PAUSE_MIN;
    int fd = dir_open(name), error = 0;
    if (fd < 0)
        return -1;
    for (int i = 0; i < LOCK_PAUSES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return fd;
        error = errno;
        if (error != EWOULDBLOCK && error != EINTR)
            break;
        pause_steadfast(pause);
        pause = pause * 2 < LOCK_PAUSE_MAX ? pause * 2 : LOCK_PAUSE_MAX;
    }
    close(fd);
    return error == EWOULDBLOCK ? -EBUSY : -1;
}

/* By name, since a forked child may have the same file open. */
static void dir_unlock(int fd)
{
    if (fd < 0)
        return;
    flock(fd, LOCK_UN);
    close(fd);
}

/* --- Dead servers ------------------------------------------------------------ */

static bool is_bound(const gust_addr *addr)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return true; /* who cannot ask leaves it alone */
    bool bound = connect(fd, &addr->any, addr->len) == 0 || errno != ECONNREFUSED;
    close(fd);
    return bound;
}

static bool is_same(const struct stat *a, dev_t dev, ino_t ino)
{
    return S_ISSOCK(a->st_mode) && a->st_dev == dev && a->st_ino == ino;
}

/* True if there is no file any more. */
static bool remove_stale(const char *name, const gust_addr *addr)
{
    struct stat before, now;
    if (lstat(name, &before) < 0)
        return errno == ENOENT;
    if (!S_ISSOCK(before.st_mode) || is_bound(addr))
        return false;
    return lstat(name, &now) == 0 && is_same(&now, before.st_dev, before.st_ino) &&
           unlink(name) == 0;
}

/* --- Binding ----------------------------------------------------------------- */

static int bind_plain(int fd, const gust_addr *addr)
{
    return bind(fd, &addr->any, addr->len) < 0 ? -errno : 0;
}

static int bind_name(int fd, const char *name, const gust_addr *addr, bool keep_stale)
{
    int error = bind_plain(fd, addr);
    for (int i = 1; error == -EADDRINUSE && !keep_stale && i < BIND_TRIES; i++) {
        if (!remove_stale(name, addr))
            break;
        error = bind_plain(fd, addr);
    }
    return error;
}

/* The umask has taken bits that were asked for.  By way of a descriptor: a name could
 * have become a link meanwhile. */
static int add_mode(const gust__unix_path *path, mode_t mode)
{
    struct stat now;
    char proc[32];
    int fd = open(path->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    int error = fstat(fd, &now) < 0 ? -errno : 0;
    if (!error && is_same(&now, path->dev, path->ino) && chmod(proc, mode) < 0)
        error = -errno;
    close(fd);
    return error;
}

/* Notes which file it is. */
static int identify(gust__unix_path *path, mode_t mode)
{
    struct stat st;
    if (lstat(path->name, &st) < 0)
        return -errno;
    path->dev = st.st_dev;
    path->ino = st.st_ino;
    return mode && (st.st_mode & MODE_MASK) != mode ? add_mode(path, mode) : 0;
}

static void remove_own(const gust__unix_path *path)
{
    struct stat now;
    if (lstat(path->name, &now) == 0 && is_same(&now, path->dev, path->ino))
        unlink(path->name);
}

/* With the lock, or without one where there is none. */
static int bind_locked(int fd, gust__unix_path *path, const gust_addr *addr,
                       const gust_unix_options *options)
{
    /* Linux makes the file with the socket's mode, less the umask. */
    if (options->mode && fchmod(fd, options->mode) < 0)
        return -errno;
    int error = bind_name(fd, path->name, addr, options->keep_stale);
    if (error)
        return error;
    error = identify(path, options->mode);
    if (error)
        remove_own(path);
    return error;
}

static int bind_path(int fd, gust__unix_path *path, const gust_addr *addr,
                     const gust_unix_options *options)
{
    size_t len = addr->len - offsetof(struct sockaddr_un, sun_path);
    memcpy(path->name, addr->un.sun_path, strnlen(addr->un.sun_path, len));
    int dir = dir_lock(path->name);
    if (dir == -EBUSY)
        return dir;
    int error = bind_locked(fd, path, addr, options);
    dir_unlock(dir);
    return error;
}

int gust__unix_bind(int fd, const gust_addr *addr, const gust_unix_options *options,
                    gust__unix_path **ret_path)
{
    *ret_path = NULL;
    if (options->mode & ~(mode_t)MODE_MASK)
        return -EINVAL;
    if (!gust__unix_addr_is_path(addr))
        return bind_plain(fd, addr);
    gust__unix_path *path = gust__calloc(1, sizeof *path);
    if (!path)
        return -ENOMEM;
    int error = bind_path(fd, path, addr, options);
    if (error || options->keep_file)
        free(path);
    else
        *ret_path = path;
    return error;
}

void gust__unix_unbind(gust__unix_path *path)
{
    if (!path)
        return;
    int dir = dir_lock(path->name);
    remove_own(path);
    dir_unlock(dir);
    free(path);
}
