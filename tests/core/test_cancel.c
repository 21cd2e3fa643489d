/* Every call that waits, in a goroutine whose context is cancelled: before the
 * call, during the wait, and at the same time as what it waits for. */
#include <poll.h>

#include "tests/core/contexts.h"
#include "tests/core/sockets.h"

/* --- Every kind of wait ------------------------------------------------------- */

/* What a call can wait for in vain. */
struct vain {
    gust_chan *empty, *full;
    gust_mutex mutex; /* locked */
    gust_waitgroup group;
    gust_rwmutex written, read; /* locked in that way */
    gust_mutex free_mutex;
    gust_cond cond;
    gust_semaphore units; /* taken */
    pair silent;          /* nothing to read */
    pair stuffed;         /* no room to write */
    gust__fd listener;    /* nobody connects */
    gust__fd dialer;
    struct sockaddr_in nowhere; /* a backlog that is full: nobody answers */
    int taken[2];
    char buf[64];
};

typedef int wait_fn(struct vain *v, gust_time deadline);

static int wait_recv(struct vain *v, gust_time deadline)
{
    return gust_chan_recv(v->empty, NULL, deadline);
}

static int wait_send(struct vain *v, gust_time deadline)
{
    int value = 0;
    return gust_chan_send(v->full, &value, deadline);
}

static int wait_recv_null(struct vain *v, gust_time deadline)
{
    (void)v;
    return gust_chan_recv(NULL, NULL, deadline);
}

static int wait_send_null(struct vain *v, gust_time deadline)
{
    return gust_chan_send(NULL, v, deadline);
}

static int wait_select(struct vain *v, gust_time deadline)
{
    int value = 0;
    gust_case cases[3] = {recv_case(v->empty, NULL), send_case(v->full, &value),
                          recv_case(NULL, NULL)};
    return gust_select(cases, 3, deadline);
}

static int wait_select_many(struct vain *v, gust_time deadline)
{
    gust_case cases[40];
    for (int i = 0; i < 40; i++)
        cases[i] = recv_case(v->empty, NULL);
    return gust_select(cases, 40, deadline);
}

static int wait_select_none(struct vain *v, gust_time deadline)
{
    (void)v;
    return gust_select(NULL, 0, deadline);
}

static int wait_mutex(struct vain *v, gust_time deadline)
{
    return gust_mutex_lock_until(&v->mutex, deadline);
}

static int wait_group(struct vain *v, gust_time deadline)
{
    return gust_waitgroup_wait(&v->group, deadline);
}

static int wait_rdlock(struct vain *v, gust_time deadline)
{
    return gust_rwmutex_rdlock_until(&v->written, deadline);
}

static int wait_wrlock(struct vain *v, gust_time deadline)
{
    return gust_rwmutex_wrlock_until(&v->written, deadline);
}

static int wait_wrlock_after_reader(struct vain *v, gust_time deadline)
{
    return gust_rwmutex_wrlock_until(&v->read, deadline);
}

static int wait_cond(struct vain *v, gust_time deadline)
{
    int err;
    gust_mutex_lock(&v->free_mutex);
    err = gust_cond_wait(&v->cond, &v->free_mutex, deadline);
    gust_mutex_unlock(&v->free_mutex); /* it is ours again, or this panics */
    return err;
}

static int wait_semaphore(struct vain *v, gust_time deadline)
{
    return gust_semaphore_acquire(&v->units, 2, deadline);
}

static int wait_op_recv(struct vain *v, gust_time deadline)
{
    return do_recv(&v->silent.a, v->buf, sizeof v->buf, deadline);
}

static int wait_op_pick(struct vain *v, gust_time deadline)
{
    gust__op op = op_recv_picked(&v->silent.a);
    return gust__op_wait(&op, NULL, deadline);
}

static int wait_op_send(struct vain *v, gust_time deadline)
{
    return do_send(&v->stuffed.a, v->buf, sizeof v->buf, deadline);
}

static int wait_op_poll(struct vain *v, gust_time deadline)
{
    gust__op op = op_poll(&v->silent.a, POLLIN);
    return gust__op_wait(&op, NULL, deadline);
}

static int wait_op_accept(struct vain *v, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_ACCEPT, .fd = &v->listener};
    return gust__op_wait(&op, NULL, deadline);
}

static int wait_op_connect(struct vain *v, gust_time deadline)
{
    gust__op op = {.code = GUST__OP_CONNECT,
                   .fd = &v->dialer,
                   .addr = (struct sockaddr *)&v->nowhere,
                   .addr_len = sizeof v->nowhere};
    int res;
    CHECK_EQ(gust__fd_init(&v->dialer, tcp_socket()), 0);
    res = gust__op_wait(&op, NULL, deadline);
    gust__fd_close(&v->dialer);
    return res;
}

#define KINDS_OF_CORE 14 /* the others are operations */

static wait_fn *const kinds[] = {
    wait_recv,    wait_send,        wait_recv_null,   wait_send_null,
    wait_select,  wait_select_many, wait_select_none, wait_mutex,
    wait_group,   wait_rdlock,      wait_wrlock,      wait_wrlock_after_reader,
    wait_cond,    wait_semaphore,   wait_op_recv,     wait_op_pick,
    wait_op_send, wait_op_poll,     wait_op_accept,   wait_op_connect,
};
#define KINDS (sizeof kinds / sizeof *kinds)

static void stuff_pair(pair *p)
{
    char block[4096] = {0};
    pair_open(p);
    while (send(p->a.fd, block, sizeof block, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    while (send(p->a.fd, block, 1, MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
}

/* The kernel drops the requests of all who come once the backlog is full. */
static void fill_backlog(struct vain *v)
{
    socklen_t len = sizeof v->nowhere;
    v->taken[0] = tcp_socket();
    v->nowhere = tcp_loopback();
    CHECK_EQ(bind(v->taken[0], (struct sockaddr *)&v->nowhere, len), 0);
    CHECK_EQ(listen(v->taken[0], 0), 0);
    CHECK_EQ(getsockname(v->taken[0], (struct sockaddr *)&v->nowhere, &len), 0);
    v->taken[1] = tcp_connect(&v->nowhere);
}

static void vain_init(struct vain *v)
{
    struct sockaddr_in addr;
    int value = 0;
    *v = (struct vain){.empty = chan_make(sizeof(int), 1), .full = chan_make(sizeof(int), 1)};
    CHECK_EQ(gust_chan_send(v->full, &value, GUST_NOW), 0);
    gust_mutex_lock(&v->mutex);
    gust_waitgroup_add(&v->group, 1);
    gust_rwmutex_wrlock(&v->written);
    gust_rwmutex_rdlock(&v->read);
    gust_semaphore_init(&v->units, 3);
    CHECK_EQ(gust_semaphore_acquire(&v->units, 2, GUST_NOW), 0);
    pair_open(&v->silent);
    stuff_pair(&v->stuffed);
    CHECK_EQ(gust__fd_init(&v->listener, tcp_listen(&addr)), 0);
    fill_backlog(v);
}

static void vain_fini(struct vain *v)
{
    CHECK_EQ(receivers_waiting(v->empty), 0);
    CHECK_EQ(senders_waiting(v->full), 0);
    CHECK_EQ(queue_len(&v->mutex.waiters), 0);
    CHECK_EQ(queue_len(&v->group.waiters), 0);
    CHECK_EQ(queue_len(&v->cond.waiters), 0);
    CHECK_EQ(queue_len(&v->units.waiters), 0);
    gust_rwmutex_wrunlock(&v->written);
    CHECK_EQ(gust_rwmutex_rdlock_until(&v->read, GUST_NOW), 0); /* no writer keeps us out */
    gust_rwmutex_rdunlock(&v->read);
    gust_rwmutex_rdunlock(&v->read);
    gust_mutex_unlock(&v->mutex);
    gust_chan_unref(v->empty);
    gust_chan_unref(v->full);
    pair_close(&v->silent);
    pair_close(&v->stuffed);
    gust__fd_close(&v->listener);
    close(v->taken[0]);
    close(v->taken[1]);
}

/* --- Before ---------------------------------------------------------------------- */

static int before_main(void *arg)
{
    struct vain v;
    gust_context *c = context_make(NULL);
    (void)arg;
    vain_init(&v);
    gust_context_cancel(c, 0);
    gust_context_swap(c);
    for (size_t i = 0; i < KINDS; i++) {
        CHECK_EQ(kinds[i](&v, GUST_FOREVER), -ECANCELED);
        CHECK_EQ(kinds[i](&v, SOON), -ECANCELED);
        CHECK_EQ(kinds[i](&v, 1), -ECANCELED);
        CHECK_EQ(kinds[i](&v, GUST_NOW), -EAGAIN);
        gust_context_swap(NULL);
        CHECK_EQ(kinds[i](&v, gust_after(100 * GUST_US)), -ETIMEDOUT);
        gust_context_swap(c);
    }
    CHECK_EQ(gust_sleep(GUST_SEC), -ECANCELED);
    CHECK_EQ(gust_sleep_until(GUST_FOREVER), -ECANCELED);
    CHECK_EQ(gust_sleep(0), 0);
    CHECK_EQ(waits_under(c), 0);
    vain_fini(&v);
    return 0;
}

Test(cancel, no_call_waits_under_a_cancelled_context)
{
    test_run(before_main, NULL);
}

/* What needs no waiting is done, but for operations. */
static int at_once_main(void *arg)
{
    gust_chan *c = chan_make(sizeof(int), 1);
    gust_mutex mutex = GUST_MUTEX_INIT;
    gust_waitgroup group = GUST_WAITGROUP_INIT;
    gust_context *context = context_make(NULL);
    pair p;
    char byte = 'x';
    (void)arg;
    pair_open(&p);
    gust_context_cancel(context, 0);
    gust_context_swap(context);
    for (int i = 0; i < 100; i++) {
        gust_time deadline = i % 2 ? GUST_FOREVER : GUST_NOW;
        int value = i;
        gust_case k;
        CHECK_EQ(gust_chan_send(c, &value, deadline), 0);
        CHECK_EQ(gust_chan_recv(c, &value, deadline), 1);
        CHECK_EQ(value, i);
        k = send_case(c, &value);
        CHECK_EQ(gust_select(&k, 1, deadline), 0);
        k = recv_case(c, &value);
        CHECK_EQ(gust_select(&k, 1, deadline), 0);
        CHECK_EQ(gust_mutex_lock_until(&mutex, deadline), 0);
        gust_mutex_unlock(&mutex);
        CHECK_EQ(gust_waitgroup_wait(&group, deadline), 0);
        put_byte(&p.b, byte);
        CHECK_EQ(do_recv(&p.a, &byte, 1, GUST_FOREVER), -ECANCELED);
        CHECK_EQ(do_recv(&p.a, &byte, 1, GUST_NOW), 1);
        CHECK_EQ(do_send(&p.a, &byte, 1, SOON), -ECANCELED);
        CHECK_EQ(do_send(&p.a, &byte, 1, GUST_NOW), 1);
        CHECK_EQ(recv(p.b.fd, &byte, 1, MSG_DONTWAIT), 1);
        CHECK(recv(p.b.fd, &byte, 1, MSG_DONTWAIT) < 0);
    }
    gust_chan_close(c);
    CHECK_EQ(gust_chan_recv(c, NULL, GUST_FOREVER), 0);
    gust_chan_unref(c);
    pair_close(&p);
    return 0;
}

Test(cancel, what_can_be_done_at_once_is_done)
{
    test_run(at_once_main, NULL);
}

/* --- During ---------------------------------------------------------------------- */

struct victim {
    struct vain *vain;
    wait_fn *wait;
    gust_time deadline;
    int result;
    gust_waitgroup done;
};

static void wait_in_vain(void *arg)
{
    struct victim *w = arg;
    w->result = w->wait(w->vain, w->deadline);
    gust_waitgroup_done(&w->done);
}

static int victim_end(struct victim *w)
{
    CHECK_EQ(gust_waitgroup_wait(&w->done, SOON), 0);
    return w->result;
}

static void victim_start(struct victim *w, gust_context *c, gust_time deadline)
{
    w->deadline = deadline;
    gust_waitgroup_add(&w->done, 1);
    go_under(c, wait_in_vain, w);
}

static void cancel_during(struct victim *w, gust_time deadline)
{
    gust_context *root = context_make(NULL);
    gust_context *c = context_make(root);
    victim_start(w, c, deadline);
    AWAIT(waits_under(c) == 1);
    gust_context_cancel(root, 0);
    CHECK_EQ(victim_end(w), -ECANCELED);
    CHECK_EQ(waits_under(c), 0);
    gust_context_unref(c);
    gust_context_unref(root);
}

static void time_out_under_context(struct victim *w)
{
    gust_context *c = context_make(NULL);
    victim_start(w, c, gust_after(200 * GUST_US));
    CHECK_EQ(victim_end(w), -ETIMEDOUT);
    CHECK_EQ(waits_under(c), 0);
    gust_context_unref(c);
}

static void context_times_out(struct victim *w)
{
    gust_context *c = context_until(NULL, gust_after(200 * GUST_US));
    victim_start(w, c, GUST_FOREVER);
    CHECK_EQ(victim_end(w), -ECANCELED);
    CHECK_EQ(gust_context_err(c), -ETIMEDOUT);
    gust_context_unref(c);
}

static int wait_sleep(struct vain *v, gust_time deadline)
{
    (void)v;
    int error = gust_sleep_until(deadline);
    return error ? error : -ETIMEDOUT; /* as if it waited for something */
}

static int during_main(void *arg)
{
    struct vain v;
    (void)arg;
    vain_init(&v);
    for (size_t i = 0; i <= KINDS; i++) {
        struct victim w = {.vain = &v, .wait = i < KINDS ? kinds[i] : wait_sleep};
        cancel_during(&w, GUST_FOREVER);
        cancel_during(&w, SOON);
        time_out_under_context(&w);
        context_times_out(&w);
    }
    vain_fini(&v);
    return 0;
}

Test(cancel, ends_every_wait_under_way)
{
    test_run(during_main, NULL);
}

/* A context that is cancelled after the wait was allowed and before the goroutine
 * has parked: it goes on, and no waker can have it any more. */
static int too_late_main(void *arg)
{
    gust_context *c = context_make(NULL);
    G *g = gust__g();
    gust__alarm a;
    (void)arg;
    GUST__CALL();
    for (int i = 0; i < 2; i++) {
        _Atomic uint32_t *claim = claim_open(g);
        gust__alarm_init(&a, g, i ? SOON : GUST_FOREVER, c);
        gust_context_cancel(c, 0);
        CHECK(!gust__alarm_set(&a));
        CHECK(!claim_try(claim));
        CHECK_EQ(waits_under(c), 0);
        gust__alarm_stop(&a);
        CHECK_EQ(alarm_error(&a), -ECANCELED);
    }
    gust_context_unref(c);
    return 0;
}

Test(cancel, comes_between_the_call_and_the_park)
{
    test_run(too_late_main, NULL);
}

/* A send whose first try got rid of a part, and which was then cancelled before the
 * poller had it. */
static int partial_main(void *arg)
{
    pair p;
    (void)arg;
    pair_open(&p);
    gust__op op = op_send(&p.a, "abcdef", 6);
    op.sent = 4;
    gust__op_cancel(&op);
    CHECK_EQ(gust__op_wait(&op, NULL, GUST_FOREVER), 4);
    pair_close(&p);
    return 0;
}

Test(cancel, of_a_send_reports_what_had_gone_out)
{
    test_run(partial_main, NULL);
}

/* A hundred waits of all kinds, more than a cancellation ends in one go. */
static int crowd_main(void *arg)
{
    enum { CROWD = 100 };
    struct vain v;
    static struct victim all[CROWD];
    gust_context *c = context_make(NULL);
    (void)arg;
    vain_init(&v);
    for (int i = 0; i < CROWD; i++) {
        all[i] = (struct victim){.vain = &v, .wait = kinds[i % KINDS_OF_CORE]};
        victim_start(&all[i], c, i % 3 ? GUST_FOREVER : SOON);
    }
    AWAIT(waits_under(c) == CROWD);
    gust_context_cancel(c, 0);
    for (int i = 0; i < CROWD; i++)
        CHECK_EQ(victim_end(&all[i]), -ECANCELED);
    gust_context_unref(c);
    vain_fini(&v);
    return 0;
}

Test(cancel, ends_all_waits_of_a_crowd)
{
    test_run(crowd_main, NULL);
}

static void lock_for_ever(void *arg)
{
    struct victim *w = arg;
    gust_mutex_lock(&w->vain->mutex);
    w->result = 1;
    gust_mutex_unlock(&w->vain->mutex);
    gust_waitgroup_done(&w->done);
}

static int steadfast_main(void *arg)
{
    struct vain v;
    struct victim w = {.vain = &v};
    gust_context *c = context_make(NULL);
    (void)arg;
    vain_init(&v);
    gust_context_cancel(c, 0);
    gust_waitgroup_add(&w.done, 1);
    go_under(c, lock_for_ever, &w);
    AWAIT(queue_len(&v.mutex.waiters) == 1);
    CHECK_EQ(waits_under(c), 0);
    gust_mutex_unlock(&v.mutex);
    CHECK_EQ(victim_end(&w), 1);
    gust_mutex_lock(&v.mutex);
    gust_context_unref(c);
    vain_fini(&v);
    return 0;
}

Test(cancel, does_not_concern_a_mutex_lock_without_deadline)
{
    test_run(steadfast_main, NULL);
}

/* Waits that end well leave nothing in the context. */
static void pass_ints(void *arg)
{
    gust_chan **two = arg;
    int value;
    while (gust_chan_recv(two[0], &value, GUST_FOREVER) == 1)
        send_int(two[1], value);
    gust_chan_close(two[1]);
}

static int well_main(void *arg)
{
    gust_context *c = context_make(NULL);
    gust_chan *two[2] = {chan_make(sizeof(int), 0), chan_make(sizeof(int), 0)};
    (void)arg;
    go_under(c, pass_ints, two);
    gust_context_swap(gust_context_ref(c));
    for (int i = 0; i < 1000; i++) {
        send_int(two[0], i);
        CHECK_EQ(recv_int(two[1]), i);
    }
    gust_chan_close(two[0]);
    CHECK_EQ(gust_chan_recv(two[1], NULL, GUST_FOREVER), 0);
    CHECK_EQ(waits_under(c), 0);
    gust_context_cancel(c, 0);
    gust_chan_unref(two[0]);
    gust_chan_unref(two[1]);
    gust_context_unref(c);
    return 0;
}

Test(cancel, leaves_alone_waits_that_have_ended)
{
    test_run(well_main, NULL);
}

struct steadfast {
    gust_rwmutex rw;
    gust_waitgroup group;
    int read, written;
};

static void rdlock_for_ever(void *arg)
{
    struct steadfast *s = arg;
    gust_rwmutex_rdlock(&s->rw);
    s->read++;
    gust_rwmutex_rdunlock(&s->rw);
    gust_waitgroup_done(&s->group);
}

static void wrlock_for_ever(void *arg)
{
    struct steadfast *s = arg;
    gust_rwmutex_wrlock(&s->rw);
    s->written++;
    gust_rwmutex_wrunlock(&s->rw);
    gust_waitgroup_done(&s->group);
}

static int steadfast_rw_main(void *arg)
{
    struct steadfast s = {.rw = GUST_RWMUTEX_INIT};
    gust_context *c = context_make(NULL);
    (void)arg;
    gust_context_cancel(c, 0);
    gust_waitgroup_add(&s.group, 2);
    gust_rwmutex_rdlock(&s.rw);
    go_under(c, wrlock_for_ever, &s); /* waits for us */
    AWAIT(waiters_count(&s.rw.writer, waitq_lock(&s.rw.waiters), RANK_WAITQ) == 1);
    go_under(c, rdlock_for_ever, &s); /* waits for the writer */
    AWAIT(queue_len(&s.rw.waiters) == 1);
    CHECK_EQ(waits_under(c), 0);
    gust_rwmutex_rdunlock(&s.rw);
    CHECK_EQ(gust_waitgroup_wait(&s.group, SOON), 0);
    CHECK_EQ(s.read, 1);
    CHECK_EQ(s.written, 1);
    gust_context_unref(c);
    return 0;
}

Test(cancel, does_not_concern_a_read_or_write_lock_without_deadline)
{
    test_run(steadfast_rw_main, NULL);
}
