/* Pieces, lines, fixed lengths and numbers: limits at N, N + 1 and 0, and that
 * nothing is lost by an error. */
#include <gust/text.h>

#include "tests/net/net_test.h"

static void put(gust_conn *c, const char *text)
{
    CHECK_EQ(gust_conn_write(c, text, strlen(text), SOON), (ssize_t)strlen(text));
}

static bool is(gust_span span, const char *text)
{
    return span.len == strlen(text) && memcmp(span.data, text, span.len) == 0;
}

static void expect_line(gust_conn *c, size_t max, const char *text, ssize_t count)
{
    gust_span line;
    CHECK_EQ(gust_conn_read_line(c, max, SOON, &line), count);
    CHECK(is(line, text));
    gust_conn_consume(c, (size_t)count);
}

/* --- Peek ------------------------------------------------------------------------ */

NetTest(conn_text, peek_waits_for_all_and_consumes_nothing)
{
    gust_conn *a, *b;
    gust_span bytes = {.data = NULL};
    pair_open(&a, &b);
    put(a, "ab");
    CHECK_EQ(gust_conn_peek(b, 3, gust_after(5 * GUST_MS), &bytes), -ETIMEDOUT);
    CHECK(!bytes.data);
    put(a, "cd");
    CHECK_EQ(gust_conn_peek(b, 3, SOON, &bytes), 3);
    CHECK(is(bytes, "abc"));
    CHECK(bytes.data == gust_conn_view(b).data); /* no copy */
    CHECK_EQ(gust_conn_peek(b, 4, SOON, &bytes), 4);
    CHECK(is(bytes, "abcd"));
    CHECK_EQ(gust_conn_peek(b, 0, SOON, &bytes), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_peek(b, 5, SOON, &bytes), -ENODATA);
    CHECK_EQ(gust_conn_view(b).len, 4);
    gust_conn_consume(b, 4);
    CHECK_EQ(gust_conn_peek(b, 1, SOON, &bytes), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn_text, peek_sees_as_much_as_it_is_asked_for)
{
    gust_conn *a, *b;
    gust_span bytes;
    static char sent[100000];
    pair_open(&a, &b);
    stream_fill(sent, sizeof sent, 0);
    struct writer w = {.conn = a, .buf = sent, .len = sizeof sent};
    go(write_all, &w);
    CHECK_EQ(gust_conn_peek(b, sizeof sent, SOON, &bytes), sizeof sent);
    stream_check(bytes.data, bytes.len, 0);
    gust_conn_consume(b, sizeof sent);
    AWAIT_SOON(atomic_load(&w.finished));
    pair_close(a, b);
}

/* --- Full reads -------------------------------------------------------------------- */

NetTest(conn_text, read_full_goes_on_after_an_error)
{
    gust_conn *a, *b;
    char buf[8];
    size_t got = 0;
    pair_open(&a, &b);
    put(a, "abc");
    CHECK_EQ(gust_conn_fill(b, 2, SOON), 2); /* the rest comes from the socket */
    CHECK_EQ(gust_conn_read_full(b, buf, 8, &got, gust_after(20 * GUST_MS)), -ETIMEDOUT);
    AWAIT_SOON(got == 3 || gust_conn_read_full(b, buf, 8, &got, GUST_NOW) == -EAGAIN);
    put(a, "defghij");
    CHECK_EQ(gust_conn_read_full(b, buf, 8, &got, SOON), 8);
    CHECK_EQ(got, 8);
    CHECK(memcmp(buf, "abcdefgh", 8) == 0);
    CHECK_EQ(gust_conn_read_full(b, buf, 0, NULL, SOON), 0);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    got = 0;
    CHECK_EQ(gust_conn_read_full(b, buf, 3, &got, SOON), -ENODATA);
    CHECK_EQ(got, 2);
    CHECK_EQ(gust_conn_read_full(b, buf, 3, NULL, SOON), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

/* --- Lines ------------------------------------------------------------------------- */

NetTest(conn_text, lines_lose_their_ends_of_either_kind)
{
    gust_conn *a, *b;
    gust_span line;
    pair_open(&a, &b);
    put(a, "one\r\ntwo\n\n\r\n\rx\r\r\nlast");
    expect_line(b, 100, "one", 5);
    expect_line(b, 100, "two", 4);
    expect_line(b, 100, "", 1);
    expect_line(b, 100, "", 2);
    expect_line(b, 100, "\rx\r", 5);
    CHECK_EQ(gust_conn_read_line(b, 100, gust_after(5 * GUST_MS), &line), -ETIMEDOUT);
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read_line(b, 100, SOON, &line), -ENODATA);
    CHECK(is(gust_conn_view(b), "last"));
    gust_conn_consume(b, 4);
    CHECK_EQ(gust_conn_read_line(b, 100, SOON, &line), 0);
    CHECK(holds_no_buffer(b));
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

NetTest(conn_text, a_piece_longer_than_the_limit_is_refused_and_kept)
{
    gust_conn *a, *b;
    gust_span piece;
    pair_open(&a, &b);
    put(a, "12345;");
    CHECK_EQ(gust_conn_read_until(b, ';', 0, SOON, &piece), -EMSGSIZE);
    CHECK_EQ(gust_conn_peek(b, 6, SOON, &piece), 6);
    CHECK_EQ(gust_conn_read_until(b, ';', 5, SOON, &piece), -EMSGSIZE);
    CHECK_EQ(gust_conn_read_until(b, ';', 0, SOON, &piece), -EMSGSIZE);
    CHECK_EQ(gust_conn_view(b).len, 6);
    CHECK_EQ(gust_conn_read_until(b, ';', 6, SOON, &piece), 6);
    CHECK(is(piece, "12345;"));
    gust_conn_consume(b, 6);
    pair_close(a, b);
}

static void put_bytewise(void *arg)
{
    struct writer *w = arg;
    for (size_t i = 0; i < w->len; i++) {
        CHECK_EQ(gust_conn_write(w->conn, w->buf + i, 1, SOON), 1);
        gust_yield();
    }
    atomic_store(&w->finished, 1);
}

NetTest(conn_text, a_line_may_come_byte_by_byte)
{
    gust_conn *a, *b;
    char text[] = "hello, world\r\nand another\n";
    pair_open(&a, &b);
    struct writer w = {.conn = a, .buf = text, .len = strlen(text)};
    go(put_bytewise, &w);
    expect_line(b, 64, "hello, world", 14);
    expect_line(b, 64, "and another", 12);
    AWAIT_SOON(atomic_load(&w.finished));
    pair_close(a, b);
}

/* Longer than a picked buffer, and than our own of the first size. */
NetTest(conn_text, a_line_may_be_long)
{
    gust_conn *a, *b;
    gust_span line;
    static char sent[70000];
    pair_open(&a, &b);
    memset(sent, 'x', sizeof sent);
    sent[sizeof sent - 1] = '\n';
    struct writer w = {.conn = a, .buf = sent, .len = sizeof sent};
    go(write_all, &w);
    CHECK_EQ(gust_conn_read_line(b, sizeof sent, SOON, &line), sizeof sent);
    CHECK_EQ(line.len, sizeof sent - 1);
    gust_conn_consume(b, sizeof sent);
    AWAIT_SOON(atomic_load(&w.finished));
    pair_close(a, b);
}

/* --- Numbers and text ---------------------------------------------------------------- */

NetTest(conn_text, numbers_travel_most_significant_byte_first)
{
    gust_conn *a, *b;
    uint64_t value = 0;
    gust_span bytes;
    pair_open(&a, &b);
    for (size_t size = 1; size <= 8; size++) {
        uint64_t sent = UINT64_C(0xf1e2d3c4b5a69788) >> (64 - 8 * size);
        CHECK_EQ(gust_conn_append_be(a, sent, size, SOON), (ssize_t)size);
        CHECK_EQ(gust_conn_flush(a), 0);
        CHECK_EQ(gust_conn_peek(b, size, SOON, &bytes), (ssize_t)size);
        CHECK_EQ((unsigned char)bytes.data[0], 0xf1);
        CHECK_EQ(gust_conn_read_be(b, size, SOON, &value), (ssize_t)size);
        CHECK(value == sent);
    }
    CHECK_EQ(gust_conn_append_be(a, 256, 1, SOON), -EINVAL);
    CHECK_EQ(gust_conn_append_be(a, 0, 0, SOON), -EINVAL);
    CHECK_EQ(gust_conn_append_be(a, 0, 9, SOON), -EINVAL);
    CHECK_EQ(gust_conn_read_be(b, 0, SOON, &value), -EINVAL);
    CHECK_EQ(gust_conn_read_be(b, 9, SOON, &value), -EINVAL);
    put(a, "x");
    CHECK_EQ(gust_conn_close(a, SOON), 0);
    CHECK_EQ(gust_conn_read_be(b, 2, SOON, &value), -ENODATA);
    gust_conn_consume(b, 1);
    CHECK_EQ(gust_conn_read_be(b, 2, SOON, &value), 0);
    CHECK_EQ(gust_conn_close(b, SOON), 0);
}

static ssize_t print_by_list(gust_conn *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    ssize_t n = gust_conn_vprintf(c, SOON, format, args);
    va_end(args);
    return n;
}

/* Short ones are formatted once, long ones a second time: from the same arguments. */
NetTest(conn_text, vprintf_takes_a_list_of_arguments)
{
    gust_conn *a, *b;
    gust_span line;
    pair_open(&a, &b);
    for (int width = 5; width <= 2000; width += 1995) {
        CHECK_EQ(print_by_list(a, "%s %*d\n", "n", width, 7), width + 3);
        CHECK_EQ(gust_conn_flush(a), 0);
        CHECK_EQ(gust_conn_read_line(b, 4096, SOON, &line), width + 3);
        CHECK_EQ(line.data[0], 'n');
        CHECK_EQ(line.data[line.len - 1], '7');
        gust_conn_consume(b, (size_t)width + 3);
    }
    pair_close(a, b);
}

NetTest(conn_text, printf_goes_through_the_write_buffer)
{
    gust_conn *a, *b;
    gust_span bytes;
    static char longest[GUST_CONN_WBUF];
    pair_open(&a, &b);
    CHECK_EQ(gust_conn_printf(a, SOON, "%s=%d\r\n", "answer", 42), 11);
    CHECK_EQ(gust_conn_printf(a, SOON, "%s", ""), 0);
    CHECK_EQ(gust_conn_read(b, longest, 1, GUST_NOW), -EAGAIN); /* nothing is sent yet */
    CHECK_EQ(gust_conn_flush(a), 0);
    expect_line(b, 64, "answer=42", 11);
    for (size_t len = 510; len <= 514; len++) {
        CHECK_EQ(gust_conn_printf(a, SOON, "%*d", (int)len, 7), (ssize_t)len);
        CHECK_EQ(gust_conn_flush(a), 0);
        CHECK_EQ(gust_conn_peek(b, len, SOON, &bytes), (ssize_t)len);
        CHECK_EQ(bytes.data[len - 1], '7');
        gust_conn_consume(b, len);
    }
    memset(longest, 'z', sizeof longest - 1);
    CHECK_EQ(gust_conn_printf(a, SOON, "%s", longest), GUST_CONN_WBUF - 1);
    CHECK_EQ(gust_conn_printf(a, SOON, "%s+", longest), -EMSGSIZE);
    CHECK_EQ(gust_conn_flush(a), 0);
    CHECK_EQ(gust_conn_peek(b, sizeof longest - 1, SOON, &bytes), sizeof longest - 1);
    CHECK(memcmp(bytes.data, longest, bytes.len) == 0);
    gust_conn_consume(b, bytes.len);
    pair_close(a, b);
}
