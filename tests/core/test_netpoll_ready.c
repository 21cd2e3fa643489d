/* What becomes of an operation between the moment when its descriptor is found to be
 * ready and the one when its goroutine runs: with epoll it is tried only then, and what
 * it is to receive may be gone, or it may have been cancelled.  With io_uring the kernel
 * has performed it by then.
 *
 * `thief` and `victim` become ready together; the thief, which runs first, takes the
 * victim's byte from under it. */
#include <string.h>

#include "core/sched.h"
#include "tests/core/procs.h"
#include "tests/core/sockets.h"

enum { TRIES = 100 };

typedef struct theft {
    pair thief, victim;
    waiting w; /* the victim's */
    char byte; /* that it gets */
    bool stolen;
    void (*then)(struct theft *t);
    gust_waitgroup done;
} theft;

static void steal(void *arg)
{
    theft *t = arg;
    char byte;
    expect_byte(&t->thief.a, 't');
    t->stolen = recv(t->victim.a.fd, &byte, 1, MSG_DONTWAIT) == 1;
    if (t->then)
        t->then(t);
    gust_waitgroup_done(&t->done);
}

/* Makes both ready, and returns when the thief has done its work. */
static void theft_begin(theft *t, void (*then)(theft *t), gust_time deadline)
{
    *t = (theft){.then = then};
    pair_open(&t->thief);
    pair_open(&t->victim);
    gust_waitgroup_add(&t->done, 1);
    go(steal, t);
    waiting_start(&t->w, op_recv(&t->victim.a, &t->byte, 1), deadline);
    put_byte(&t->thief.b, 't');
    put_byte(&t->victim.b, 'v');
    CHECK_EQ(gust_waitgroup_wait(&t->done, SOON), 0);
}

static void theft_end(theft *t)
{
    pair_close(&t->thief);
    pair_close(&t->victim);
}

static bool is_epoll(void)
{
    return strcmp(gust_netpoll_name(), "epoll") == 0;
}

/* --- Nothing is there any more ------------------------------------------------ */

static int waits_again_main(void *arg)
{
    bool stolen = false;
    (void)arg;
    for (int i = 0; i < TRIES && !stolen; i++) {
        theft t;
        theft_begin(&t, NULL, SOON);
        if (t.stolen)
            put_byte(&t.victim.b, 'w');
        CHECK_EQ(waiting_end(&t.w), 1);
        CHECK_EQ(t.byte, t.stolen ? 'w' : 'v');
        stolen = t.stolen;
        theft_end(&t);
    }
    CHECK(stolen || !is_epoll());
    return 0;
}

Test(netpoll_ready, one_that_finds_nothing_waits_again, .init = one_p)
{
    test_run(waits_again_main, NULL);
}

/* --- Cancelled ------------------------------------------------------------------ */

static void cancel_victim(theft *t)
{
    gust__op_cancel(&t->w.op);
}

static int canceled_main(void *arg)
{
    bool stolen = false;
    (void)arg;
    for (int i = 0; i < TRIES && !stolen; i++) {
        theft t;
        theft_begin(&t, cancel_victim, SOON);
        int n = waiting_end(&t.w);
        CHECK(n == -ECANCELED || (n == 1 && !t.stolen));
        stolen = t.stolen;
        theft_end(&t);
    }
    CHECK(stolen || !is_epoll());
    return 0;
}

Test(netpoll_ready, one_that_is_cancelled_does_not_wait_again, .init = one_p)
{
    test_run(canceled_main, NULL);
}

/* --- Too late ------------------------------------------------------------------- */

static void outlast_victim(theft *t)
{
    while (gust_now() < t->w.deadline)
        ;
}

static int expired_main(void *arg)
{
    bool stolen = false;
    (void)arg;
    for (int i = 0; i < TRIES && !stolen; i++) {
        theft t;
        theft_begin(&t, outlast_victim, gust_after(2 * GUST_MS));
        int n = waiting_end(&t.w);
        CHECK(n == -ETIMEDOUT || (n == 1 && !t.stolen));
        /* Stolen from one whose deadline had come before says nothing. */
        stolen = t.stolen;
        theft_end(&t);
    }
    CHECK(stolen || !is_epoll());
    return 0;
}

Test(netpoll_ready, one_whose_deadline_passes_does_not_wait_again, .init = one_p)
{
    test_run(expired_main, NULL);
}
