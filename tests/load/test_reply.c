/* Where answers end, in pieces of any size. */
#include "bench/load/reply.h"
#include "tests/harness/test.h"

#include "bench/load/limits.h"

#include <stdio.h>
#include <stdlib.h>

#define OK "HTTP/1.1 200 OK\r\n"

static struct reply r;

/* Feeds a stream as it arrives, `piece` bytes more at a time, until an answer ends.  *at is how
 * much of it has been used; the bytes lie in memory of exactly their size. */
static enum reply_step feed(const char *stream, size_t len, size_t piece, size_t *at)
{
    enum reply_step step = REPLY_MORE;
    size_t arrived = *at;
    reply_begin(&r, false);
    while (step == REPLY_MORE && arrived < len) {
        arrived = len - arrived < piece ? len : arrived + piece;
        size_t n = arrived - *at, used;
        char *view = malloc(n ? n : 1);
        memcpy(view, stream + *at, n);
        step = reply_feed(&r, view, n, &used);
        free(view);
        cr_assert(used <= n);
        *at += used;
    }
    return step;
}

/* In one piece, and in pieces of every other size, twice: the second finds the head known. */
static void check(const char *answer, unsigned status, uint64_t body_len, bool keeps_alive)
{
    char *twice;
    int len = asprintf(&twice, "%s%s", answer, answer);
    for (size_t piece = 1; piece <= (size_t)len; piece++) {
        size_t at = 0;
        memset(&r, 0, sizeof r);
        for (int i = 1; i <= 2; i++) {
            cr_assert_eq(feed(twice, (size_t)len, piece, &at), REPLY_DONE, "%s: %s", answer,
                         r.wrong);
            cr_assert_eq(at, (size_t)i * strlen(answer), "%s, piece %zu", answer, piece);
            cr_assert_eq(reply_status(&r), status);
            cr_assert_eq(r.body_len, body_len);
            cr_assert_eq(r.bytes, strlen(answer));
            cr_assert_eq(reply_keeps_alive(&r), keeps_alive);
        }
    }
    free(twice);
}

Test(load_reply, the_length_ends_a_body)
{
    check(OK "Content-Length: 5\r\n\r\nhello", 200, 5, true);
    check(OK "Content-Length: 0\r\n\r\n", 200, 0, true);
    check("HTTP/1.1 404 Not Found\r\ncontent-length: 1\r\nConnection: close\r\n\r\nx", 404, 1,
          false);
    check("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, 1, false);
}

Test(load_reply, the_last_chunk_ends_a_body)
{
    check(OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", 200,
          11, true);
    check(OK "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, 0, true);
    check(OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", 200, 1, true);
}

Test(load_reply, some_answers_have_no_body)
{
    check("HTTP/1.1 204 No Content\r\n\r\n", 204, 0, true);
    check("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, 0, true);
}

Test(load_reply, an_answer_to_head_has_none)
{
    static const char answer[] = OK "Content-Length: 5\r\n\r\n";
    size_t used;
    reply_begin(&r, true);
    cr_assert_eq(reply_feed(&r, answer, sizeof answer - 1, &used), REPLY_DONE);
    cr_assert_eq(used, sizeof answer - 1);
    cr_assert_eq(r.body_len, 0);
}

Test(load_reply, interim_answers_are_passed_over)
{
    check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK
          "Content-Length: 2\r\n\r\nok",
          200, 2, true);
}

Test(load_reply, without_a_length_the_stream_ends_it)
{
    static const char answer[] = OK "\r\nhello";
    size_t at = 0;
    cr_assert_eq(feed(answer, sizeof answer - 1, 3, &at), REPLY_MORE);
    cr_assert_eq(reply_end(&r), REPLY_DONE);
    cr_assert_eq(r.body_len, 5);
    cr_assert_not(reply_keeps_alive(&r));
}

Test(load_reply, an_early_end_is_none)
{
    static const char *const starts[] = {"", "HTTP/1.1 2", OK "Content-Length: 5\r\n\r\nhell",
                                         OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        size_t at = 0;
        memset(&r, 0, sizeof r);
        cr_assert_eq(feed(starts[i], strlen(starts[i]), 1000, &at), REPLY_MORE);
        cr_assert_eq(reply_end(&r), REPLY_MORE, "%s", starts[i]);
    }
}

Test(load_reply, a_head_like_the_one_before_frames_alike_and_another_one_does_not)
{
    static const char stream[] =
        OK "Content-Length: 3\r\n\r\nabc" OK "Content-Length: 3\r\n\r\nabc" OK
           "Content-Length: 2\r\n\r\nab"
           "HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nab" OK "Content-Length: 3\r\n\r\nabc";
    static const struct {
        unsigned status, len;
    } expected[] = {{200, 3}, {200, 3}, {200, 2}, {500, 2}, {200, 3}};
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        size_t at = 0;
        memset(&r, 0, sizeof r);
        for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
            cr_assert_eq(feed(stream, sizeof stream - 1, piece, &at), REPLY_DONE);
            cr_assert_eq(reply_status(&r), expected[i].status);
            cr_assert_eq(r.body_len, expected[i].len);
        }
        cr_assert_eq(at, sizeof stream - 1);
    }
}

Test(load_reply, a_head_that_comes_in_pieces_stays_known_as_long_as_it_is_alike)
{
    static const char answer[] = OK "Content-Length: 0\r\n\r\n";
    const size_t len = sizeof answer - 1;
    size_t at = 0, used;
    cr_assert_eq(feed(answer, len, len, &at), REPLY_DONE);
    for (size_t n = 0; n < len; n++) {
        reply_begin(&r, false);
        cr_assert_eq(reply_feed(&r, answer, n, &used), REPLY_MORE);
        cr_assert_eq(r.known_len, len);
    }
    cr_assert_eq(reply_feed(&r, "HTTP/1.0", 8, &used), REPLY_MORE);
    cr_assert_eq(r.known_len, 0);
}

Test(load_reply, what_is_no_answer_is_refused)
{
    static const char *const bad[] = {
        "SSH-2.0-x\r\n",
        "HTTP/2 200\r\n\r\n",
        OK "Content-Length: x\r\n\r\n",
        OK "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK "Transfer-Encoding: chunked\r\n\r\nx\r\n",
        OK "Transfer-Encoding: chunked\r\n\r\n0\r\nA: b\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t at = 0;
        memset(&r, 0, sizeof r);
        cr_assert_eq(feed(bad[i], strlen(bad[i]), 1, &at), REPLY_BAD, "%s", bad[i]);
        cr_assert(r.wrong && r.wrong[0]);
    }
}

/* A head of this length, complete or not. */
static char *head_of(size_t len, bool complete)
{
    char *head = malloc(len + 1);
    int n = sprintf(head, OK "Content-Length: 0\r\nX: ");
    memset(head + n, 'x', len - (size_t)n);
    if (complete)
        memcpy(head + len - 4, "\r\n\r\n", 4);
    head[len] = '\0';
    return head;
}

Test(load_reply, a_head_has_a_bound)
{
    size_t at = 0;
    char *largest = head_of(ANSWER_HEAD_MAX, true), *larger = head_of(ANSWER_HEAD_MAX, false);
    cr_assert_eq(feed(largest, ANSWER_HEAD_MAX, ANSWER_HEAD_MAX, &at), REPLY_DONE);
    memset(&r, 0, sizeof r);
    at = 0;
    cr_assert_eq(feed(larger, ANSWER_HEAD_MAX - 1, ANSWER_HEAD_MAX, &at), REPLY_MORE);
    at = 0;
    memset(&r, 0, sizeof r);
    cr_assert_eq(feed(larger, ANSWER_HEAD_MAX, ANSWER_HEAD_MAX, &at), REPLY_BAD);
    free(largest);
    free(larger);
}

Test(load_reply, heads_around_the_size_that_is_kept_are_framed)
{
    for (size_t len = REPLY_KNOWN_MAX - 1; len <= REPLY_KNOWN_MAX + 1; len++) {
        char *head = head_of(len, true);
        memset(&r, 0, sizeof r);
        for (int i = 0; i < 3; i++) {
            size_t at = 0;
            cr_assert_eq(feed(head, len, len, &at), REPLY_DONE);
            cr_assert_eq(at, len);
        }
        free(head);
    }
}
