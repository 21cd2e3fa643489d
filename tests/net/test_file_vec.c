/* Files read and written by pieces: on a disk, with requests through the ring and
 * without, and on FIFOs; more pieces than the kernel takes at once; short results. */
#include <sys/resource.h>

#include "net/file_pieces.h"
#include "tests/net/files.h"

enum { IOV_MANY = 3 * IOV_MAX + 7 };

/* Cuts buf into `count` pieces of 0, 1, 2, 3, 0, 1 ... bytes; returns their sum. */
static size_t cut(char *buf, struct iovec *iov, int count)
{
    size_t at = 0;
    for (int i = 0; i < count; i++) {
        iov[i] = (struct iovec){.iov_base = buf + at, .iov_len = (size_t)i % 4};
        at += iov[i].iov_len;
    }
    return at;
}

/* --- On a disk ------------------------------------------------------------------- */

FileTest(file_vec, pieces_are_read_and_written_as_one)
{
    char a[2], b[3], c[8] = "";
    const struct iovec out[] = {{NULL, 0}, {(void *)"hel", 3}, {NULL, 0}, {(void *)"lo, world", 9}};
    const struct iovec in[] = {{a, 2}, {NULL, 0}, {b, 3}, {c, sizeof c}};
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_writev(f, out, 4, SOON), 12);
    CHECK_EQ(gust_file_readv(f, in, 4, SOON), 0);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
    CHECK_EQ(gust_file_readv(f, in, 4, SOON), 12);
    CHECK(memcmp(a, "he", 2) == 0 && memcmp(b, "llo", 3) == 0 && memcmp(c, ", world", 7) == 0);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_CUR, SOON), 12);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "hello, world");
}

FileTest(file_vec, offsets_leave_the_position_alone)
{
    char a[1], b[8] = "";
    const struct iovec out[] = {{(void *)"X", 1}, {(void *)"Y", 1}};
    const struct iovec in[] = {{a, 1}, {b, sizeof b}};
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abcdef", 6, SOON), 6);
    CHECK_EQ(gust_file_pwritev(f, out, 2, 1, SOON), 2);
    CHECK_EQ(gust_file_preadv(f, in, 2, 1, SOON), 5);
    CHECK(a[0] == 'X' && memcmp(b, "Ydef", 4) == 0);
    CHECK_EQ(gust_file_preadv(f, in, 2, 6, SOON), 0);
    CHECK_EQ(gust_file_write(f, "g", 1, SOON), 1);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "aXYdefg");
}

FileTest(file_vec, append_goes_to_the_end)
{
    const struct iovec out[] = {{(void *)"d", 1}, {(void *)"e", 1}};
    make_file("f", "abc");
    gust_file *f = open_file("f", O_WRONLY | O_APPEND);
    CHECK_EQ(gust_file_writev(f, out, 2, SOON), 2);
    CHECK_EQ(gust_file_seek(f, 0, SEEK_SET, SOON), 0);
    CHECK_EQ(gust_file_writev(f, out, 2, SOON), 2);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "abcdede");
}

FileTest(file_vec, nonsense_is_refused_and_nothing_is_nothing)
{
    char byte;
    const struct iovec none[] = {{NULL, 0}, {&byte, 0}}, wild[] = {{&byte, 1}, {&byte, SIZE_MAX}};
    const struct iovec large[] = {{&byte, SSIZE_MAX}, {&byte, 1}};
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    CHECK_EQ(gust_file_write(f, "abc", 3, SOON), 3);
    CHECK_EQ(gust_file_readv(f, none, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_writev(f, none, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_readv(f, wild, 2, SOON), -EINVAL);
    CHECK_EQ(gust_file_pwritev(f, large, 2, 0, SOON), -EINVAL);
    CHECK_EQ(gust_file_preadv(f, none, 2, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_pwritev(f, none, 2, -1, SOON), -EINVAL);
    CHECK_EQ(gust_file_preadv(f, none, 2, 0, SOON), 0);
    CHECK_EQ(gust_file_readv(f, none, 0, SOON), 0);
    CHECK_EQ(gust_file_writev(f, none, 2, SOON), 0);
    CHECK_EQ(gust_file_pwritev(f, none, 0, 0, SOON), 0);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "abc");
}

/* A write goes on until all is done; a read brings what the kernel takes at once, and
 * pieces of no bytes in front are not taken for the end of the file. */
FileTest(file_vec, more_pieces_than_the_kernel_takes)
{
    static struct iovec iov[IOV_MANY];
    static char sent[4 * IOV_MANY], got[4 * IOV_MANY];
    stream_fill(sent, sizeof sent, 0);
    const size_t total = cut(sent, iov, IOV_MANY), first = cut(sent, iov, IOV_MAX + 1);
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    cut(sent, iov, IOV_MANY);
    CHECK_EQ(gust_file_writev(f, iov, IOV_MANY, SOON), (ssize_t)total);
    CHECK_EQ(gust_file_pwritev(f, iov, IOV_MANY, (int64_t)total, SOON), (ssize_t)total);
    cut(got, iov, IOV_MANY);
    CHECK_EQ(gust_file_preadv(f, iov, IOV_MANY, 0, SOON), (ssize_t)first);
    CHECK(memcmp(sent, got, first) == 0);
    memset(iov, 0, sizeof iov);
    iov[IOV_MANY - 1] = (struct iovec){.iov_base = got, .iov_len = sizeof got};
    CHECK_EQ(gust_file_preadv(f, iov, IOV_MANY, (int64_t)total, SOON), (ssize_t)total);
    CHECK(memcmp(sent, got, total) == 0);
    CHECK_EQ(gust_file_close(f), 0);
}

/* A short result that ends inside a piece; behind its rest there are empty ones. */
Test(file_vec, what_is_left_never_begins_with_nothing)
{
    char buf[10];
    const struct iovec iov[] = {{buf, 5}, {buf, 0}, {buf, 0}, {buf, 3}, {buf, 0}};
    gust__pieces p;
    int count;
    cr_assert_eq(gust__pieces_init(&p, iov, 5), 0);
    gust__pieces_drop(&p, 2);
    cr_assert_eq(gust__pieces_next(&p, &count)->iov_len, 3);
    cr_assert_eq(count, 1);
    gust__pieces_drop(&p, 3);
    cr_assert_eq(gust__pieces_next(&p, &count), &iov[3]);
    cr_assert_eq(count, 2);
    gust__pieces_drop(&p, 3);
    cr_assert(gust__pieces_empty(&p));
}

/* The kernel writes up to the limit, which is inside the second piece, and then says
 * that it is one. */
FileTest(file_vec, a_write_that_fails_half_way_says_how_far_it_came)
{
    struct rlimit former, small;
    const struct iovec out[] = {{(void *)"abc", 3}, {(void *)"defg", 4}, {(void *)"hi", 2}};
    gust_file *f = open_file("f", O_RDWR | O_CREAT);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(getrlimit(RLIMIT_FSIZE, &former), 0);
    small = (struct rlimit){.rlim_cur = 5, .rlim_max = former.rlim_max};
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    CHECK_EQ(gust_file_writev(f, out, 3, SOON), 5);
    CHECK_EQ(gust_file_writev(f, out, 3, SOON), -EFBIG);
    CHECK_EQ(gust_file_pwritev(f, out, 3, 2, SOON), 3);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &former), 0);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "ababc");
}

FileTest(file_vec, the_wrong_direction_and_a_closed_file_are_refused)
{
    char byte = 'x';
    const struct iovec iov[] = {{&byte, 1}, {&byte, 1}};
    make_file("f", "abc");
    gust_file *r = open_file("f", O_RDONLY), *w = open_file("f", O_WRONLY);
    CHECK_EQ(gust_file_writev(r, iov, 2, SOON), -EBADF);
    CHECK_EQ(gust_file_readv(w, iov, 2, SOON), -EBADF);
    CHECK_EQ(gust_file_close(w), 0);
    gust_file_ref(r);
    CHECK_EQ(gust_file_close(r), 0);
    CHECK_EQ(gust_file_readv(r, iov, 2, SOON), -EBADF);
    CHECK_EQ(gust_file_preadv(r, iov, 2, 0, SOON), -EBADF);
    CHECK_EQ(gust_file_writev(r, iov, 2, SOON), -EBADF);
    CHECK_EQ(gust_file_pwritev(r, iov, 2, 0, SOON), -EBADF);
    gust_file_unref(r);
}

FileTest(file_vec, a_deadline_in_the_past_still_reads_the_cache)
{
    char a[2], b[2];
    const struct iovec iov[] = {{a, 2}, {b, 2}};
    make_file("f", "abc");
    gust_file *f = open_file("f", O_RDWR);
    for (int i = 0; i < 2; i++) {
        ssize_t n = gust_file_preadv(f, iov, 2, 0, i == 0 ? GUST_NOW : 1);
        CHECK(n == 3 || n == (i == 0 ? -EAGAIN : -ETIMEDOUT));
        CHECK(n < 0 || (memcmp(a, "ab", 2) == 0 && b[0] == 'c'));
    }
    CHECK_EQ(gust_file_close(f), 0);
}

FileTest(file_vec, nothing_is_begun_under_a_cancelled_context)
{
    char a = 'x', b = 'y';
    const struct iovec iov[] = {{&a, 1}, {&b, 1}};
    gust_context *context = context_make(NULL);
    make_file("f", "abc");
    gust_file *f = open_file("f", O_RDWR);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    CHECK_EQ(gust_file_readv(f, iov, 2, SOON), -ECANCELED);
    CHECK_EQ(gust_file_preadv(f, iov, 2, 0, SOON), -ECANCELED);
    CHECK_EQ(gust_file_writev(f, iov, 2, SOON), -ECANCELED);
    CHECK_EQ(gust_file_pwritev(f, iov, 2, 0, SOON), -ECANCELED);
    gust_context_swap(NULL);
    gust_context_unref(context);
    CHECK_EQ(gust_file_close(f), 0);
    check_content("f", "abc");
}

/* --- Streams ------------------------------------------------------------------------ */

/* One descriptor is both ends. */
static gust_file *fifo(void)
{
    CHECK_EQ(mkfifo(in_dir("fifo"), 0600), 0);
    return open_file("fifo", O_RDWR);
}

FileTest(file_vec, a_fifo_takes_and_gives_pieces)
{
    char a[2], b[3];
    const struct iovec out[] = {{(void *)"a", 1}, {NULL, 0}, {(void *)"bcd", 3}};
    const struct iovec in[] = {{a, 2}, {b, 3}};
    gust_file *f = fifo();
    CHECK_EQ(gust_file_readv(f, in, 2, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_file_readv(f, in, 2, gust_after(GUST_MS)), -ETIMEDOUT);
    CHECK_EQ(gust_file_writev(f, out, 3, SOON), 4);
    CHECK_EQ(gust_file_readv(f, in, 2, SOON), 4);
    CHECK(memcmp(a, "ab", 2) == 0 && memcmp(b, "cd", 2) == 0);
    CHECK_EQ(gust_file_preadv(f, in, 2, 0, SOON), -ESPIPE);
    CHECK_EQ(gust_file_pwritev(f, out, 3, 0, SOON), -ESPIPE);
    CHECK_EQ(gust_file_close(f), 0);
}

enum { FLOW_PIECES = IOV_MAX + 100, FLOW_PIECE = 1000, FLOW = FLOW_PIECES * FLOW_PIECE };

struct flow {
    gust_file *file;
    struct iovec iov[FLOW_PIECES];
    char data[FLOW];
    gust_time deadline;
    ssize_t result;
    gust_waitgroup done;
};

static struct flow *flow_make(gust_file *f, gust_time deadline)
{
    struct flow *w = calloc(1, sizeof *w);
    w->file = f;
    w->deadline = deadline;
    stream_fill(w->data, FLOW, 0);
    for (int i = 0; i < FLOW_PIECES; i++)
        w->iov[i] = (struct iovec){w->data + (ptrdiff_t)i * FLOW_PIECE, FLOW_PIECE};
    return w;
}

static void flow_write(void *arg)
{
    struct flow *w = arg;
    w->result = gust_file_writev(w->file, w->iov, FLOW_PIECES, w->deadline);
    gust_waitgroup_done(&w->done);
}

/* Reads what a flow wrote, by pieces that are cut otherwise. */
static void flow_check(gust_file *f, size_t len)
{
    char buf[8192];
    const struct iovec iov[] = {{buf, 100}, {buf + 100, 3000}, {buf + 3100, sizeof buf - 3100}};
    for (size_t at = 0; at < len;) {
        ssize_t n = gust_file_readv(f, iov, 3, SOON);
        CHECK(n > 0);
        stream_check(buf, (size_t)n, at);
        at += (size_t)n;
    }
}

/* The pipe holds less, and room comes in odd amounts: most writes end inside a piece. */
FileTest(file_vec, a_write_waits_until_all_pieces_are_written)
{
    struct flow *w = flow_make(fifo(), SOON);
    gust_waitgroup_add(&w->done, 1);
    go(flow_write, w);
    flow_check(w->file, FLOW);
    CHECK_EQ(gust_waitgroup_wait(&w->done, SOON), 0);
    CHECK_EQ(w->result, FLOW);
    CHECK_EQ(gust_file_close(w->file), 0);
    for (int i = 0; i < FLOW_PIECES; i++)
        CHECK_EQ(w->iov[i].iov_len, FLOW_PIECE);
    free(w);
}

FileTest(file_vec, a_deadline_cuts_a_write_short_and_says_where)
{
    struct flow *w = flow_make(fifo(), gust_after(20 * GUST_MS));
    gust_waitgroup_add(&w->done, 1);
    flow_write(w);
    CHECK(w->result < FLOW);
    if (w->result < 0) /* it may have had no time at all */
        CHECK_EQ(w->result, -ETIMEDOUT);
    else
        flow_check(w->file, (size_t)w->result);
    CHECK_EQ(gust_file_readv(w->file, w->iov, 2, GUST_NOW), -EAGAIN);
    CHECK_EQ(gust_file_close(w->file), 0);
    free(w);
}

/* The pipe is full once somebody waits. */
FileTest(file_vec, a_cancellation_cuts_a_write_short_and_says_where)
{
    struct flow *w = flow_make(fifo(), GUST_FOREVER);
    gust_context *context = context_make(NULL);
    gust_waitgroup_add(&w->done, 1);
    go_under(context, flow_write, w);
    AWAIT_SOON(waits_under(context) == 1);
    gust_context_cancel(context, 0);
    CHECK_EQ(gust_waitgroup_wait(&w->done, SOON), 0);
    CHECK(w->result > 0 && w->result < FLOW);
    flow_check(w->file, (size_t)w->result);
    gust_context_unref(context);
    CHECK_EQ(gust_file_close(w->file), 0);
    free(w);
}

/* The default action would end the test. */
FileTest(file_vec, a_broken_pipe_is_an_error_and_no_signal)
{
    const struct iovec out[] = {{(void *)"a", 1}, {(void *)"b", 1}};
    gust_file *both = fifo(), *w = open_file("fifo", O_WRONLY);
    CHECK_EQ(gust_file_close(both), 0);
    CHECK_EQ(gust_file_writev(w, out, 2, SOON), -EPIPE);
    CHECK_EQ(gust_file_close(w), 0);
}
