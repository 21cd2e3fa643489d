/* Waits without a goroutine, by themselves; what they are good for is tested with
 * conns, in tests/net/test_conn_park.c. */
#include "core/parked.h"

#include "tests/core/failures.h"
#include "tests/core/sockets.h"

struct receive {
    gust__parked wait;
    pair pair;
    char byte;
    gust_waitgroup over;
};

static void receive_over(void *parked)
{
    struct receive *r = (struct receive *)((char *)parked - offsetof(struct receive, wait));
    gust_waitgroup_done(&r->over);
}

/* Starts to wait for a byte at pair.a. */
static void receive_start(struct receive *r)
{
    GUST__CALL();
    pair_open(&r->pair);
    r->wait.op = op_recv(&r->pair.a, &r->byte, 1);
    r->wait.main = receive_over;
    gust_waitgroup_add(&r->over, 1);
    CHECK_EQ(gust__parked_start(&r->wait, NULL), 0);
}

/* --- The end of the runtime -------------------------------------------------- */

static struct receive left[2];
static const int key;
static int values_freed;

static void free_value(void *value)
{
    (void)value;
    values_freed++;
}

/* One waits still; of the other the bytes are there, or even its goroutine. */
static int leave_main(void *arg)
{
    gust_context *context;
    (void)arg;
    CHECK_EQ(gust_context_with_value(NULL, &key, left, free_value, &context), 0);
    gust_context_swap(context);
    for (int i = 0; i < 2; i++)
        receive_start(&left[i]);
    gust_context_unref(gust_context_swap(NULL));
    put_byte(&left[0].pair.b, 'x');
    CHECK_EQ(values_freed, 0);
    return 0;
}

/* Else LeakSanitizer would tell, too. */
Test(parked, a_wait_that_the_end_abandons_drops_its_context)
{
    for (int i = 0; i < 10; i++) {
        values_freed = 0;
        memset(left, 0, sizeof left);
        test_run(leave_main, NULL);
        cr_assert_eq(values_freed, 1);
        for (int j = 0; j < 2; j++)
            pair_close(&left[j].pair);
    }
}

/* --- Memory is short --------------------------------------------------------- */

#ifdef GUST_DEBUG

enum { CROWD = 20, REFUSALS = 50 };

/* Of two neighbours in a context one is refused its goroutine and is abandoned; the other
 * has come and gone. */
static int leave_refused_main(void *arg)
{
    gust_context *context;
    gust_chan *chan = arg;
    CHECK_EQ(gust_context_with_value(NULL, &key, left, free_value, &context), 0);
    gust_context_swap(context);
    for (int i = 0; i < 2; i++)
        receive_start(&left[i]);
    gust_context_unref(gust_context_swap(NULL));
    use_up_goroutines(chan);
    put_byte(&left[0].pair.b, 'x');
    AWAIT(gust__op_state_now(&left[0].wait.op) == GUST__OP_DONE);
    gust_yield();
    gust__inject_disarm();
    put_byte(&left[1].pair.b, 'x');
    CHECK_EQ(gust_waitgroup_wait(&left[1].over, SOON), 0);
    return 0;
}

Test(parked, a_wait_without_memory_that_the_end_abandons_drops_its_context)
{
    setenv("GUST_MAXPROCS", "1", 1);
    for (int i = 0; i < 10; i++) {
        gust_chan *chan; /* of its own: those that wait there are abandoned, too */
        cr_assert_eq(gust_chan_new(0, 0, &chan), 0);
        values_freed = 0;
        memset(left, 0, sizeof left);
        test_run(leave_refused_main, chan);
        cr_assert_eq(values_freed, 1);
        for (int j = 0; j < 2; j++)
            pair_close(&left[j].pair);
        gust_chan_unref(chan);
    }
}

/* Refused so many times, and started then: how long that takes is how often it is tried.
 * A few of the refusals may be for others, a thread above all. */
static int short_of_memory_main(void *arg)
{
    static struct receive all[CROWD];
    gust_chan *chan = chan_make(0, 0);
    (void)arg;
    for (int i = 0; i < CROWD; i++)
        receive_start(&all[i]);
    use_up_goroutines(chan);
    for (int i = 0; i < CROWD; i++)
        put_byte(&all[i].pair.b, 'x');
    for (int i = 0; i < CROWD; i++)
        AWAIT(gust__op_state_now(&all[i].wait.op) == GUST__OP_DONE);
    gust__inject_arm(INJECT_MALLOC, 1, REFUSALS);
    gust_time begin = gust_now();
    for (int i = 0; i < CROWD; i++)
        CHECK_EQ(gust_waitgroup_wait(&all[i].over, SOON), 0);
    CHECK(gust_now() - begin >= REFUSALS / 4 * GUST_MS);
    CHECK_EQ(gust__inject_disarm(), REFUSALS);
    for (int i = 0; i < CROWD; i++) {
        CHECK_EQ(all[i].wait.op.res, 1);
        pair_close(&all[i].pair);
    }
    gust_chan_close(chan);
    AWAIT(gust_num_goroutines() == 1);
    gust_chan_unref(chan);
    return 0;
}

/* One P, since each has records of its own. */
Test(parked, memory_for_the_goroutine_is_asked_for_again_after_a_pause)
{
    setenv("GUST_MAXPROCS", "1", 1);
    test_run(short_of_memory_main, NULL);
}

#endif
