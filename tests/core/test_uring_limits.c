/* What an io_uring runs short of, each forced: places for completions and requests,
 * provided buffers and the ring they come in, features.  With both ways to submit;
 * without io_uring there is nothing to test. */
#include "core/inject.h"
#include "core/netpoll_uring.h"
#include "core/sched.h"
#include "tests/core/sockets.h"

static char log_text[2048];

static void remember(const char *line)
{
    size_t len = strlen(log_text);
    snprintf(log_text + len, sizeof log_text - len, "%s\n", line);
}

static const char *mode(void)
{
    const char *poller = getenv("GUST_NETPOLL");
    return poller && strcmp(poller, "sqpoll") == 0 ? "sqpoll" : "uring";
}

/* Skips where there is no io_uring; else it is what gust_run takes. */
#define NEED_RING()                                         \
    do {                                                    \
        gust_set_log(remember);                             \
        if (gust__netpoll_choose(mode()) < 0)               \
            cr_skip_test("no io_uring here: %s", log_text); \
        setenv("GUST_NETPOLL", mode(), 1);                  \
        log_text[0] = '\0';                                 \
    } while (0)

/* --- The completion queue ------------------------------------------------------ */

enum { CROWD = 100 };

static gust__op crowd[CROWD];
static pair pairs[CROWD];
static char bytes[CROWD];
static _Atomic int done_count;

static void count_done(gust__op *op)
{
    CHECK_EQ(op->res, 1);
    done_count++;
}

static bool has_overflown(void)
{
    const gust__ring *r = &gust__uring_of(gust__poller_current())->ring;
    return *(volatile uint32_t *)r->sq_kflags & IORING_SQ_CQ_OVERFLOW;
}

/* Bytes first: each receive completes as it is submitted, and nobody reaps while
 * this goroutine keeps the only P.  SQPOLL: the other thread needs its time. */
static void start_until_overflow(void)
{
    GUST__CALL(); /* the P stays here */
    gust_time end = SOON;
    for (int i = 0; i < CROWD; i++)
        gust__op_start(&crowd[i]);
    gust__poller_submit(gust__poller_current());
    while (!has_overflown()) {
        CHECK(gust_now() < end);
        gust__cpu_relax();
    }
}

static bool is_overflown_still(void)
{
    GUST__CALL();
    return has_overflown();
}

static int overflow_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < CROWD; i++) {
        pair_open(&pairs[i]);
        put_byte(&pairs[i].b, (char)i);
        crowd[i] = op_recv(&pairs[i].a, &bytes[i], 1);
        crowd[i].done = count_done;
    }
    start_until_overflow();
    AWAIT(done_count == CROWD);
    AWAIT(!is_overflown_still());
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQ(bytes[i], (char)i);
        pair_close(&pairs[i]);
    }
    CHECK_EQ(done_count, CROWD);
    return 0;
}

Test(uring_limits, completions_that_overflow_all_come_once)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "1", 1);
    gust__netpoll_limits_now.cq_entries = 8;
    gust__netpoll_limits_now.sq_entries = 8;
    test_run(overflow_main, NULL);
}

/* --- The submission queue ------------------------------------------------------ */

static int full_main(void *arg)
{
    (void)arg;
    for (int i = 0; i < CROWD; i++) {
        pair_open(&pairs[i]);
        crowd[i] = op_recv(&pairs[i].a, &bytes[i], 1);
        crowd[i].done = count_done;
        gust__op_start(&crowd[i]);
    }
    for (int i = CROWD; i-- > 0;)
        put_byte(&pairs[i].b, (char)i);
    AWAIT(done_count == CROWD);
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQ(bytes[i], (char)i);
        pair_close(&pairs[i]);
    }
    return 0;
}

Test(uring_limits, more_requests_than_places_are_submitted_on_the_way)
{
    NEED_RING();
    gust__netpoll_limits_now.sq_entries = 1;
    test_run(full_main, NULL);
}

/* --- Provided buffers ---------------------------------------------------------- */

/* Two receives have the buffers there are; the third is told so, and nothing of
 * what was sent is lost.  Then a buffer comes back. */
static int two_buffers_main(void *arg)
{
    gust__op held[2];
    pair p;
    (void)arg;
    pair_open(&p);
    for (int i = 0; i < 2; i++) {
        held[i] = op_recv_picked(&p.a);
        put_byte(&p.b, (char)i);
        CHECK_EQ(gust__op_wait(&held[i], NULL, SOON), 1);
        CHECK_EQ(held[i].picked->data[0], (char)i);
    }
    put_byte(&p.b, 'z');
    for (int i = 0; i < 3; i++) {
        gust__op op = op_recv_picked(&p.a);
        CHECK_EQ(gust__op_wait(&op, NULL, i == 2 ? GUST_NOW : SOON), -ENOBUFS);
        CHECK(!op.picked);
    }
    gust__buf_put(held[1].picked);
    gust__op op = op_recv_picked(&p.a);
    CHECK_EQ(gust__op_wait(&op, NULL, SOON), 1);
    CHECK_EQ(op.picked->data[0], 'z');
    CHECK(op.picked == held[1].picked);
    gust__buf_put(op.picked);
    gust__buf_put(held[0].picked);
    pair_close(&p);
    return 0;
}

Test(uring_limits, a_ring_of_two_buffers_says_enobufs)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "1", 1);
    gust__netpoll_limits_now.buf_count = 2;
    test_run(two_buffers_main, NULL);
}

/* --- Features ------------------------------------------------------------------ */

Test(uring_limits, a_kernel_that_drops_completions_is_refused)
{
    static const uint32_t needed[] = {IORING_FEAT_NODROP, IORING_FEAT_FAST_POLL,
                                      IORING_FEAT_EXT_ARG, IORING_FEAT_SUBMIT_STABLE};
    NEED_RING();
    for (size_t i = 0; i < sizeof needed / sizeof *needed; i++) {
        log_text[0] = '\0';
        gust__netpoll_limits_now.missing_features = needed[i];
        cr_assert_eq(gust__netpoll_choose(mode()), -EINVAL);
        cr_assert_eq(gust__netpoll_choose("auto"), 0);
        cr_assert_str_eq(gust__netpoll_name(), "epoll");
        cr_assert(strstr(log_text, "polling with epoll, not io_uring: io_uring_setup"), "%s",
                  log_text);
    }
}

/* --- Registration -------------------------------------------------------------- */

#ifdef GUST_DEBUG

static bool has_buf_ring(void)
{
    GUST__CALL();
    return gust__uring_of(gust__poller_current())->buf_ring;
}

static int picks_main(void *arg)
{
    pair p;
    (void)arg;
    CHECK(!has_buf_ring());
    pair_open(&p);
    for (int i = 0; i < 3 * GUST__BUF_COUNT; i++) {
        waiting w = {.result = -1};
        waiting_start(&w, op_recv_picked(&p.a), SOON);
        if (i % 3 == 0)
            gust__op_cancel(&w.op);
        else
            put_byte(&p.b, (char)i);
        CHECK_EQ(waiting_end(&w), i % 3 == 0 ? -ECANCELED : 1);
        CHECK_EQ(w.op.picked != NULL, i % 3 != 0);
        if (!w.op.picked)
            continue;
        CHECK_EQ(w.op.picked->data[0], (char)i);
        gust__buf_put(w.op.picked);
    }
    shutdown(p.b.fd, SHUT_WR);
    for (int i = 0; i < 2 * GUST__BUF_COUNT; i++) {
        gust__op op = op_recv_picked(&p.a);
        CHECK_EQ(gust__op_wait(&op, NULL, SOON), 0);
        CHECK(!op.picked);
    }
    pair_close(&p);
    return 0;
}

/* The probe's registration succeeds, those of the Ps are refused. */
Test(uring_limits, without_a_buffer_ring_buffers_are_handed_out_by_hand)
{
    NEED_RING();
    gust__inject_arm(INJECT_URING_REGISTER, 2, INJECT_FOR_EVER);
    test_run(picks_main, NULL);
    cr_assert_gt(gust__inject_disarm(), 0);
    cr_assert(strstr(log_text, "io_uring picks no buffers"), "%s", log_text);
}

Test(uring_limits, by_hand_too_two_buffers_are_two)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "1", 1);
    gust__netpoll_limits_now.buf_count = 2;
    gust__inject_arm(INJECT_URING_REGISTER, 2, INJECT_FOR_EVER);
    test_run(two_buffers_main, NULL);
}

/* More connections wait than there are buffers: they are told, and can be served
 * with memory of their own. */
static int crowd_by_hand_main(void *arg)
{
    waiting w[3];
    pair p[3];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        pair_open(&p[i]);
        w[i] = (waiting){.result = -1};
        waiting_start(&w[i], op_recv_picked(&p[i].a), SOON);
    }
    CHECK_EQ(waiting_end(&w[2]), -ENOBUFS);
    gust__op_cancel(&w[2].op); /* too late, and harmless */
    for (int i = 0; i < 3; i++) {
        put_byte(&p[i].b, (char)i);
        if (i == 2) {
            expect_byte(&p[i].a, (char)i);
        } else {
            CHECK_EQ(waiting_end(&w[i]), 1);
            gust__buf_put(w[i].op.picked);
        }
        pair_close(&p[i]);
    }
    return 0;
}

Test(uring_limits, by_hand_who_waits_has_a_buffer)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "1", 1);
    gust__netpoll_limits_now.buf_count = 2;
    gust__inject_arm(INJECT_URING_REGISTER, 2, INJECT_FOR_EVER);
    test_run(crowd_by_hand_main, NULL);
}

static int talk_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    put_byte(&p.b, 'x');
    expect_byte(&p.a, 'x');
    pair_close(&p);
    return 0;
}

/* The probe's succeeds; each P's is asked for twice, the second time a smaller one. */
Test(uring_limits, a_ring_too_large_is_made_smaller)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "1", 1);
    gust__inject_arm(INJECT_URING_SETUP, 2, 1);
    test_run(full_main, NULL);
    cr_assert_eq(gust__inject_disarm(), 1);
    cr_assert_str_eq(gust__netpoll_name(), strcmp(mode(), "uring") == 0 ? "io_uring" : mode());
    cr_assert_str_eq(log_text, "");
}

Test(uring_limits, auto_takes_epoll_when_there_are_rings_for_some_ps_only)
{
    NEED_RING();
    setenv("GUST_MAXPROCS", "4", 1);
    setenv("GUST_NETPOLL", "auto", 1);
    gust__inject_arm(INJECT_URING_SETUP, 4, INJECT_FOR_EVER);
    test_run(talk_main, NULL);
    cr_assert_gt(gust__inject_disarm(), 0);
    cr_assert_str_eq(gust__netpoll_name(), "epoll");
    cr_assert(strstr(log_text, "polling with epoll, not io_uring: a ring for each P"), "%s",
              log_text);
    setenv("GUST_NETPOLL", mode(), 1);
    gust__inject_arm(INJECT_URING_SETUP, 4, INJECT_FOR_EVER);
    cr_assert_eq(gust_run(talk_main, NULL), -ENOMEM);
}

/* EAGAIN, EBUSY and EINTR in turn, each time the queue is full. */
Test(uring_limits, a_full_queue_outlasts_refusals)
{
    NEED_RING();
    gust__netpoll_limits_now.sq_entries = 2;
    gust__netpoll_limits_now.cq_entries = 8;
    for (uint64_t nth = 20; nth < 40; nth++) {
        done_count = 0;
        gust__inject_arm(INJECT_URING_ENTER, nth, 30);
        test_run(full_main, NULL);
        gust__inject_disarm();
    }
}

#endif
