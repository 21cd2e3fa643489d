/* The file of a Unix socket: its permissions, whose it is, and when it goes. */
#include <sys/file.h>
#include <sys/syscall.h>

#include "tests/core/contexts.h"
#include "tests/net/unix_test.h"

/* A file as a server leaves it that was killed. */
static void leave_stale(const gust_addr *addr, int type)
{
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(fd, &addr->any, addr->len), 0);
    close(fd);
}

static ino_t inode_of(const gust_addr *addr)
{
    struct stat st;
    CHECK_EQ(lstat(addr->un.sun_path, &st), 0);
    return st.st_ino;
}

static void remove_file(const gust_addr *addr)
{
    CHECK_EQ(unlink(addr->un.sun_path), 0);
}

/* --- Closing --------------------------------------------------------------------- */

NetTest(unix_path, closing_removes_the_file)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_listener *l = unix_listen(&addr);
    CHECK(exists(&addr));
    gust_listener_close(l);
    CHECK(!exists(&addr));
    l = unix_listen(&addr);
    gust_listener_unref(l);
    CHECK(!exists(&addr));
    dir_remove(dir);
}

NetTest(unix_path, closing_keeps_the_file_if_told_so)
{
    char dir[32];
    gust_listener *l = NULL;
    gust_addr addr = addr_in(dir_make(dir), "socket");
    CHECK_EQ(gust_unix_listen(&addr, &(gust_unix_options){.keep_file = true}, &l), 0);
    gust_listener_close(l);
    remove_file(&addr);
    dir_remove(dir);
}

NetTest(unix_path, closing_leaves_the_file_of_another)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_addr aside = addr_in(dir, "aside");
    gust_listener *first = unix_listen(&addr);
    /* Aside, so that its inode is not used again. */
    CHECK_EQ(rename(addr.un.sun_path, aside.un.sun_path), 0);
    gust_listener *second = unix_listen(&addr);
    gust_listener_close(first);
    CHECK(exists(&addr));
    gust_conn *c = unix_dial(&addr);
    gust_conn_unref(c);
    gust_listener_close(second);
    CHECK(!exists(&addr));
    remove_file(&aside);
    dir_remove(dir);
}

NetTest(unix_path, closing_minds_no_missing_file)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_listener *l = unix_listen(&addr);
    remove_file(&addr);
    gust_listener_close(l);
    dir_remove(dir);
}

NetTest(unix_path, closing_removes_the_file_under_a_cancelled_context)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_listener *l = unix_listen(&addr);
    gust_context *context = context_make(NULL);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    gust_listener_close(l);
    gust_context_swap(NULL);
    gust_context_unref(context);
    CHECK(!exists(&addr));
    dir_remove(dir);
}

/* --- Permissions ------------------------------------------------------------------- */

static mode_t mode_at_birth;

/* Sees what others could see in the moment the file is there. */
int bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    struct stat st;
    int result = (int)syscall(SYS_bind, fd, addr, len);
    if (result == 0 && lstat(((const struct sockaddr_un *)addr)->sun_path, &st) == 0)
        mode_at_birth = st.st_mode & 07777;
    return result;
}

static mode_t mode_of(const gust_addr *addr)
{
    struct stat st;
    CHECK_EQ(lstat(addr->un.sun_path, &st), 0);
    return st.st_mode & 07777;
}

NetTest(unix_path, has_the_mode_that_was_asked_for)
{
    static const mode_t modes[] = {0600, 0660, 0666, 0777, 0};
    char dir[32];
    mode_t umask_before = umask(027);
    gust_addr addr = addr_in(dir_make(dir), "socket");
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        gust_listener *l = NULL;
        CHECK_EQ(gust_unix_listen(&addr, &(gust_unix_options){.mode = modes[i]}, &l), 0);
        CHECK_EQ(mode_of(&addr), modes[i] ? modes[i] : 0750);
        gust_listener_close(l);
    }
    umask(0);
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        gust_listener *l = NULL;
        CHECK_EQ(gust_unix_listen(&addr, &(gust_unix_options){.mode = modes[i]}, &l), 0);
        CHECK_EQ(mode_at_birth, modes[i] ? modes[i] : 0777);
        gust_listener_close(l);
    }
    umask(umask_before);
    dir_remove(dir);
}

/* --- Replacing --------------------------------------------------------------------- */

NetTest(unix_path, a_dead_servers_file_is_replaced)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        gust_listener *l = NULL;
        leave_stale(&addr, types[i]);
        CHECK_EQ(gust_unix_listen(&addr, &(gust_unix_options){.keep_stale = true}, &l),
                 -EADDRINUSE);
        CHECK(exists(&addr));
        l = unix_listen(&addr);
        gust_conn_unref(unix_dial(&addr));
        gust_listener_close(l);
        CHECK(!exists(&addr));
    }
    dir_remove(dir);
}

/* Whatever type it is, also before it listens, and it notices nothing. */
NetTest(unix_path, a_live_servers_file_is_left_alone)
{
    static const int types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET};
    char dir[32];
    gust_listener *l = NULL;
    gust_packet *p = NULL;
    gust_addr addr = addr_in(dir_make(dir), "socket");
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        int fd = socket(AF_UNIX, types[i] | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK_EQ(bind(fd, &addr.any, addr.len), 0);
        for (int listens = 0; listens < 2; listens++) {
            ino_t inode = inode_of(&addr);
            if (listens && types[i] != SOCK_DGRAM)
                CHECK_EQ(listen(fd, 4), 0);
            CHECK_EQ(gust_unix_listen(&addr, NULL, &l), -EADDRINUSE);
            CHECK_EQ(gust_seqpacket_listen(&addr, NULL, &l), -EADDRINUSE);
            CHECK_EQ(gust_unixgram_bind(&addr, NULL, &p), -EADDRINUSE);
            CHECK_EQ(inode_of(&addr), inode);
        }
        CHECK_EQ(accept4(fd, NULL, NULL, SOCK_CLOEXEC), -1);
        CHECK_EQ(errno, types[i] == SOCK_DGRAM ? EOPNOTSUPP : EAGAIN);
        close(fd);
        remove_file(&addr);
    }
    CHECK(!l && !p);
    dir_remove(dir);
}

NetTest(unix_path, what_is_no_socket_is_never_removed)
{
    char dir[32];
    gust_listener *l = NULL;
    gust_addr addr = addr_in(dir_make(dir), "socket"), other = addr_in(dir, "other");
    int fd = open(addr.un.sun_path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(gust_unix_listen(&addr, NULL, &l), -EADDRINUSE);
    CHECK(exists(&addr));
    remove_file(&addr);
    CHECK_EQ(mkdir(addr.un.sun_path, 0700), 0);
    CHECK_EQ(gust_unix_listen(&addr, NULL, &l), -EADDRINUSE);
    CHECK_EQ(rmdir(addr.un.sun_path), 0);
    /* A link to a dead socket is no socket. */
    leave_stale(&other, SOCK_STREAM);
    CHECK_EQ(symlink("other", addr.un.sun_path), 0);
    CHECK_EQ(gust_unix_listen(&addr, NULL, &l), -EADDRINUSE);
    CHECK(exists(&addr) && exists(&other));
    remove_file(&addr);
    remove_file(&other);
    dir_remove(dir);
}

/* --- The lock ---------------------------------------------------------------------- */

struct contest {
    gust_addr addr;
    gust_listener *winner;
    _Atomic int won, lost;
    gust_waitgroup done;
};

static void compete(void *arg)
{
    struct contest *c = arg;
    gust_listener *l = NULL;
    int error = gust_unix_listen(&c->addr, NULL, &l);
    CHECK(error == 0 || error == -EADDRINUSE);
    atomic_fetch_add(error ? &c->lost : &c->won, 1);
    if (!error)
        c->winner = l;
    gust_waitgroup_done(&c->done);
}

NetTest(unix_path, one_of_several_replaces_a_dead_servers_file)
{
    enum { CONTESTANTS = 8, ROUNDS = 50 };
    char dir[32];
    dir_make(dir);
    for (int round = 0; round < ROUNDS; round++) {
        struct contest c = {.addr = addr_in(dir, "socket")};
        leave_stale(&c.addr, SOCK_STREAM);
        gust_waitgroup_add(&c.done, CONTESTANTS);
        for (int i = 0; i < CONTESTANTS; i++)
            go(compete, &c);
        CHECK_EQ(gust_waitgroup_wait(&c.done, SOON), 0);
        CHECK_EQ(atomic_load(&c.won), 1);
        CHECK_EQ(atomic_load(&c.lost), CONTESTANTS - 1);
        gust_conn_unref(unix_dial(&c.addr));
        gust_listener_close(c.winner);
        CHECK(!exists(&c.addr));
    }
    dir_remove(dir);
}

static int lock_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0);
    CHECK_EQ(flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
}

NetTest(unix_path, a_lock_that_is_kept_is_ebusy)
{
    char dir[32];
    gust_listener *l = NULL;
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_listener *open_before = unix_listen(&addr);
    int lock = lock_dir(dir);
    gust_addr other = addr_in(dir, "other");
    CHECK_EQ(gust_unix_listen(&other, NULL, &l), -EBUSY);
    CHECK(!exists(&other) && !l);
    /* A file is removed all the same: nobody can want it to stay. */
    gust_listener_close(open_before);
    CHECK(!exists(&addr));
    close(lock);
    l = unix_listen(&other);
    gust_listener_close(l);
    dir_remove(dir);
}

static void unlock(void *arg)
{
    close(*(int *)arg);
}

/* Whatever the context says: the lock is soon free, and a file that stays is a nuisance. */
NetTest(unix_path, a_lock_is_waited_for)
{
    char dir[32];
    gust_addr addr = addr_in(dir_make(dir), "socket");
    gust_context *context = context_make(NULL);
    gust_context_cancel(context, 0);
    for (int i = 0; i < 20; i++) {
        int lock = lock_dir(dir);
        go(unlock, &lock);
        gust_context_swap(i % 2 ? context : NULL);
        gust_listener *l = unix_listen(&addr);
        gust_context_swap(NULL);
        gust_listener_close(l);
        AWAIT_SOON(gust_num_goroutines() == 1);
    }
    gust_context_unref(context);
    dir_remove(dir);
}

NetTest(unix_path, relative_paths_work)
{
    char dir[32], before[4096];
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK_EQ(chdir(dir_make(dir)), 0);
    gust_addr addr = addr_of("unix:socket");
    leave_stale(&addr, SOCK_STREAM);
    gust_listener *l = unix_listen(&addr);
    gust_conn_unref(unix_dial(&addr));
    gust_listener_close(l);
    CHECK(!exists(&addr));
    CHECK_EQ(chdir(before), 0);
    dir_remove(dir);
}
