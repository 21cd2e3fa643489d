/* FIFOs and terminals: to wait for another process stops neither the P nor the end of
 * the runtime, and a deadline, a cancellation or a close ends it. */
#include <pty.h>

#include "tests/net/files.h"

struct opening {
    const char *name;
    char path[128];
    int flags;
    gust_time deadline;
    int result;
    gust_file *file;
    gust_waitgroup done;
};

static void open_one(void *arg)
{
    struct opening *o = arg;
    snprintf(o->path, sizeof o->path, "%s/%s", test_dir, o->name);
    o->result = gust_file_open(o->path, o->flags, 0, o->deadline, &o->file);
    gust_waitgroup_done(&o->done);
}

static void opening_start(struct opening *o)
{
    gust_waitgroup_add(&o->done, 1);
    go(open_one, o);
}

static gust_file *opening_end(struct opening *o)
{
    CHECK_EQ(gust_waitgroup_wait(&o->done, SOON), 0);
    CHECK_EQ(o->result, 0);
    return o->file;
}

static void fifo_make(const char *name)
{
    CHECK_EQ(mkfifo(in_dir(name), 0600), 0);
}

/* Both ends, each opened by a call that waits for the other. */
static void fifo_open(gust_file **ret_reader, gust_file **ret_writer)
{
    struct opening r = {.name = "fifo", .flags = O_RDONLY, .deadline = GUST_FOREVER};
    fifo_make("fifo");
    opening_start(&r);
    *ret_writer = open_file("fifo", O_WRONLY);
    *ret_reader = opening_end(&r);
}

static bool is_waiting(gust_file *f, gust__file_dir dir)
{
    GUST__CALL();
    gust__lock_take(&f->lock, RANK_CONN);
    gust__op *op = f->side[dir].op;
    bool waiting = op && atomic_load(&op->state) == GUST__OP_INFLIGHT;
    gust__lock_drop(&f->lock);
    return waiting;
}

/* --- Opening ----------------------------------------------------------------------- */

/* With one P, nobody would run if the one that opens kept it. */
FileTest(file_stream, others_run_while_a_fifo_is_opened)
{
    struct opening r = {.name = "a", .flags = O_RDONLY, .deadline = GUST_FOREVER};
    struct opening w = {.name = "b", .flags = O_WRONLY, .deadline = GUST_FOREVER};
    fifo_make("a");
    fifo_make("b");
    opening_start(&r);
    opening_start(&w);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(gust_sleep(GUST_MS), 0);
    CHECK(!r.file && !w.file);
    gust_file *to_r = open_file("a", O_WRONLY), *from_w = open_file("b", O_RDONLY);
    CHECK_EQ(gust_file_close(opening_end(&r)), 0);
    CHECK_EQ(gust_file_close(opening_end(&w)), 0);
    CHECK_EQ(gust_file_close(to_r), 0);
    CHECK_EQ(gust_file_close(from_w), 0);
}

/* More than the kernel has threads for. */
FileTest(file_stream, many_may_be_opened_at_once)
{
    enum { MANY = 40 };
    static char names[MANY][16];
    static struct opening r[MANY];
    memset(r, 0, sizeof r);
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        fifo_make(names[i]);
        r[i] = (struct opening){.name = names[i], .deadline = GUST_FOREVER};
        r[i].flags = i % 2 ? O_RDONLY : O_WRONLY;
        opening_start(&r[i]);
    }
    make_file("file", "x");
    for (int i = MANY - 1; i >= 0; i--) {
        gust_file *f = open_file(names[i], i % 2 ? O_WRONLY : O_RDONLY);
        CHECK_EQ(gust_file_close(opening_end(&r[i])), 0);
        CHECK_EQ(gust_file_close(f), 0);
    }
}

FileTest(file_stream, a_deadline_ends_an_open)
{
    gust_file *f = NULL;
    fifo_make("fifo");
    for (int flags = O_RDONLY; flags <= O_WRONLY; flags++) {
        CHECK_EQ(gust_file_open(in_dir("fifo"), flags, 0, gust_after(10 * GUST_MS), &f),
                 -ETIMEDOUT);
        CHECK_EQ(gust_file_open(in_dir("fifo"), flags, 0, GUST_NOW, &f), -EAGAIN);
    }
    CHECK(!f);
}

FileTest(file_stream, a_cancellation_ends_an_open)
{
    fifo_make("fifo");
    for (int flags = O_RDONLY; flags <= O_WRONLY; flags++) {
        struct opening o = {.name = "fifo", .flags = flags, .deadline = GUST_FOREVER};
        gust_context *context = context_make(NULL);
        gust_waitgroup_add(&o.done, 1);
        go_under(context, open_one, &o);
        AWAIT_SOON(waits_under(context) == 1);
        gust_context_cancel(context, 0);
        CHECK_EQ(gust_waitgroup_wait(&o.done, SOON), 0);
        CHECK_EQ(o.result, -ECANCELED);
        CHECK(!o.file);
        gust_context_unref(context);
    }
}

/* A writer that came and went before anybody looked was there. */
FileTest(file_stream, a_writer_that_has_gone_was_one)
{
    char byte;
    struct opening r = {.name = "fifo", .flags = O_RDONLY, .deadline = SOON};
    fifo_make("fifo");
    opening_start(&r);
    int fd;
    AWAIT_SOON((fd = open(in_dir("fifo"), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) >= 0);
    close(fd);
    gust_file *f = opening_end(&r);
    CHECK_EQ(gust_file_read(f, &byte, 1, SOON), 0);
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file_stream, nonblock_waits_for_nobody)
{
    char byte;
    gust_file *f = NULL;
    fifo_make("fifo");
    CHECK_EQ(gust_file_open(in_dir("fifo"), O_WRONLY | O_NONBLOCK, 0, SOON, &f), -ENXIO);
    f = open_file("fifo", O_RDONLY | O_NONBLOCK);
    CHECK_EQ(gust_file_read(f, &byte, 1, SOON), 0);
    CHECK_EQ(gust_file_close(f), 0);
    f = open_file("fifo", O_RDWR); /* is both sides */
    CHECK_EQ(gust_file_close(f), 0);
}

/* As /dev/stdin: what is left in a pipe whose writer has gone can be read. */
FileTest(file_stream, a_pipe_opened_anew_is_not_waited_for)
{
    int fds[2];
    char path[64], *data = NULL;
    size_t len = 0;
    CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
    CHECK_EQ(write(fds[1], "rest", 4), 4);
    close(fds[1]);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    CHECK_EQ(gust_file_read_all(path, 100, SOON, &data, &len), 0);
    CHECK_EQ(len, 4);
    free(data);
    close(fds[0]);
}

FileTest(file_stream, a_socket_is_no_file)
{
    gust_file *f = NULL;
    struct sockaddr_un {
        sa_family_t family;
        char path[108];
    } addr = {.family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    strcpy(addr.path, in_dir("socket"));
    CHECK_EQ(bind(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    CHECK_EQ(gust_file_open(in_dir("socket"), O_RDWR, 0, SOON, &f), -ENXIO);
    close(fd);
}

/* --- Reading and writing ------------------------------------------------------------- */

FileTest(file_stream, a_fifo_has_no_positions)
{
    gust_file *r, *w;
    char byte;
    fifo_open(&r, &w);
    CHECK_EQ(gust_file_pread(r, &byte, 1, 0, SOON), -ESPIPE);
    CHECK_EQ(gust_file_pwrite(w, "x", 1, 0, SOON), -ESPIPE);
    CHECK_EQ(gust_file_seek(r, 0, SEEK_SET, SOON), -ESPIPE);
    CHECK_EQ(gust_file_sync(r, SOON), -EINVAL);
    CHECK_EQ(gust_file_close(r), 0);
    CHECK_EQ(gust_file_close(w), 0);
}

struct reading {
    gust_file *file;
    gust_time deadline;
    ssize_t result;
    char buf[64];
    gust_waitgroup done;
};

static void read_one(void *arg)
{
    struct reading *r = arg;
    r->result = gust_file_read(r->file, r->buf, sizeof r->buf, r->deadline);
    gust_waitgroup_done(&r->done);
}

FileTest(file_stream, a_read_waits_for_a_writer)
{
    gust_file *w;
    struct reading r = {.deadline = GUST_FOREVER};
    fifo_open(&r.file, &w);
    CHECK_EQ(gust_file_read(r.file, r.buf, 1, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_file_read(r.file, r.buf, 1, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_file_read(r.file, r.buf, 1, 1), -ETIMEDOUT);
    for (int i = 0; i < 3; i++) {
        gust_waitgroup_add(&r.done, 1);
        go(read_one, &r);
        AWAIT_SOON(is_waiting(r.file, FILE_READ));
        CHECK_EQ(gust_file_write(w, "abc", 3, SOON), 3);
        CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
        CHECK_EQ(r.result, 3);
        CHECK(memcmp(r.buf, "abc", 3) == 0);
    }
    CHECK_EQ(gust_file_close(w), 0);
    CHECK_EQ(gust_file_read(r.file, r.buf, 1, SOON), 0);
    CHECK_EQ(gust_file_close(r.file), 0);
}

FileTest(file_stream, a_cancellation_ends_a_read_and_loses_nothing)
{
    gust_file *w;
    struct reading r = {.deadline = GUST_FOREVER};
    fifo_open(&r.file, &w);
    for (int i = 0; i < 5; i++) {
        gust_context *context = context_make(NULL);
        gust_waitgroup_add(&r.done, 1);
        go_under(context, read_one, &r);
        AWAIT_SOON(is_waiting(r.file, FILE_READ));
        gust_context_cancel(context, 0);
        CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
        CHECK_EQ(r.result, -ECANCELED);
        gust_context_unref(context);
        CHECK_EQ(gust_file_write(w, "x", 1, SOON), 1);
        CHECK_EQ(gust_file_read(r.file, r.buf, 2, SOON), 1);
    }
    CHECK_EQ(gust_file_close(w), 0);
    CHECK_EQ(gust_file_close(r.file), 0);
}

FileTest(file_stream, a_close_ends_a_read)
{
    gust_file *w;
    struct reading r = {.deadline = GUST_FOREVER};
    fifo_open(&r.file, &w);
    gust_waitgroup_add(&r.done, 1);
    gust_file_ref(r.file);
    go(read_one, &r);
    AWAIT_SOON(is_waiting(r.file, FILE_READ));
    CHECK_EQ(gust_file_close(r.file), 0);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    CHECK_EQ(r.result, -EBADF);
    gust_file_unref(r.file);
    CHECK_EQ(gust_file_close(w), 0);
}

enum { FLOW = 1 << 20 };

struct writing {
    gust_file *file;
    char *buf;
    ssize_t result;
    gust_waitgroup done;
};

static void write_flow(void *arg)
{
    struct writing *w = arg;
    w->result = gust_file_write(w->file, w->buf, FLOW, SOON);
    gust_waitgroup_done(&w->done);
}

FileTest(file_stream, a_write_waits_until_all_is_written)
{
    gust_file *r;
    struct writing w = {.buf = malloc(FLOW)};
    static char got[8192];
    size_t at = 0;
    stream_fill(w.buf, FLOW, 0);
    fifo_open(&r, &w.file);
    gust_waitgroup_add(&w.done, 1);
    go(write_flow, &w);
    while (at < FLOW) {
        ssize_t n = gust_file_read(r, got, sizeof got, SOON);
        CHECK(n > 0);
        CHECK(memcmp(got, w.buf + at, (size_t)n) == 0);
        at += (size_t)n;
    }
    CHECK_EQ(gust_waitgroup_wait(&w.done, SOON), 0);
    CHECK_EQ(w.result, FLOW);
    CHECK_EQ(gust_file_close(r), 0);
    CHECK_EQ(gust_file_close(w.file), 0);
    free(w.buf);
}

FileTest(file_stream, a_deadline_cuts_a_write_short)
{
    gust_file *r, *w;
    char *buf = calloc(1, FLOW);
    fifo_open(&r, &w);
    ssize_t n = gust_file_write(w, buf, FLOW, gust_after(5 * GUST_MS));
    CHECK(n == -ETIMEDOUT || (n > 0 && n < FLOW)); /* it may have had no time at all */
    while ((n = gust_file_write(w, buf, FLOW, GUST_NOW)) > 0)
        ;
    CHECK_EQ(n, -EAGAIN);
    CHECK_EQ(gust_file_write(w, buf, 1, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_file_close(r), 0);
    CHECK_EQ(gust_file_close(w), 0);
    free(buf);
}

/* The default action would end the test. */
FileTest(file_stream, a_broken_pipe_is_an_error_and_no_signal)
{
    gust_file *r, *w;
    sigset_t pending;
    fifo_open(&r, &w);
    CHECK_EQ(gust_file_close(r), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(gust_file_write(w, "x", 1, i ? SOON : GUST_NOW), -EPIPE);
    CHECK_EQ(sigpending(&pending), 0);
    CHECK(!sigismember(&pending, SIGPIPE));
    CHECK_EQ(gust_file_close(w), 0);
}

/* --- Devices ------------------------------------------------------------------------- */

FileTest(file_stream, devices_read_and_write)
{
    char buf[16] = "x";
    gust_file *f = NULL;
    CHECK_EQ(gust_file_open("/dev/zero", O_RDWR, 0, SOON, &f), 0);
    CHECK_EQ(gust_file_read(f, buf, sizeof buf, SOON), sizeof buf);
    CHECK_EQ(buf[0], 0);
    CHECK_EQ(gust_file_write(f, buf, sizeof buf, SOON), sizeof buf);
    CHECK_EQ(gust_file_close(f), 0);
    CHECK_EQ(gust_file_open("/dev/full", O_WRONLY, 0, SOON, &f), 0);
    CHECK_EQ(gust_file_write(f, buf, 1, SOON), -ENOSPC);
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file_stream, a_terminal_is_read_while_it_is_written)
{
    int master, slave;
    char path[64], byte;
    struct reading r = {.deadline = GUST_FOREVER};
    if (openpty(&master, &slave, path, NULL, NULL) < 0)
        return; /* no terminals here */
    CHECK_EQ(gust_file_open(path, O_RDWR | O_NOCTTY, 0, SOON, &r.file), 0);
    gust_waitgroup_add(&r.done, 1);
    go(read_one, &r);
    AWAIT_SOON(is_waiting(r.file, FILE_READ));
    CHECK_EQ(gust_file_write(r.file, "y", 1, SOON), 1);
    CHECK_EQ(read(master, &byte, 1), 1);
    CHECK_EQ(byte, 'y');
    CHECK_EQ(write(master, "in\n", 3), 3);
    CHECK_EQ(gust_waitgroup_wait(&r.done, SOON), 0);
    CHECK_EQ(r.result, 3);
    CHECK_EQ(gust_file_read(r.file, &byte, 1, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_file_close(r.file), 0);
    close(master);
    close(slave);
}

/* --- The end of the runtime -------------------------------------------------------------- */

static struct reading left_reading;

static int leave_them_waiting(void *arg)
{
    gust_file *w;
    static struct opening o;
    struct reading *r = &left_reading;
    *r = (struct reading){.deadline = GUST_FOREVER};
    o = (struct opening){.name = "other", .flags = O_WRONLY, .deadline = GUST_FOREVER};
    (void)arg;
    fifo_open(&r->file, &w);
    fifo_make("other");
    gust_waitgroup_add(&r->done, 1);
    go(read_one, r);
    AWAIT_SOON(is_waiting(r->file, FILE_READ));
    opening_start(&o);
    gust_yield();
    CHECK_EQ(gust_file_close(w), 0);
    return 0;
}

/* Abandoned goroutines: the ring gives their operations back. */
Test(file_stream, who_waits_does_not_hold_up_the_end)
{
    for (int i = 0; i < 2; i++) {
        dir_make();
        test_run(leave_them_waiting, NULL);
        close(gust_file_fd(left_reading.file));
        free(left_reading.file); /* nobody is left who could use it */
        dir_remove();
    }
}
