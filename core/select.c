/* Select, after Go's selectgo:
 *
 *   1. In random order, look at each channel without its lock; where something
 *      may be going on, lock that channel alone and try.  The first success is
 *      the choice, and since the order is uniformly random so is the choice.
 *   2. Nothing: lock all channels, in the order of their addresses and each one
 *      once, and try again.  Now "nothing is ready" is true at one moment, which
 *      is what a default (GUST_NOW) and going to sleep both need.
 *   3. Link one waiter per case, park; the commit function drops the locks.
 *   4. Awake: unlink the waiters that are left, each under its channel's lock, and
 *      find the one that was served.
 *
 * Wakers that hold different channels' locks compete for the claim word of the
 * goroutine; the alarm is one of them.  A waker looks at a waiter
 * only under its channel's lock, so after step 4 nobody can see them.
 *
 * With a single P (gust__solo) nothing happens between step 1 and the park: step 2
 * is left out, and its locks with it.
 *
 * Step 1 is not in Go: with every channel locked, a select of four costs eight
 * atomic operations at least, even when the first channel tried is ready. */
#include <errno.h>
#include <stdlib.h>

#include "core/chan.h"
#include "core/inject.h"

/* Up to this many cases a select needs no memory but its stack frame. */
#define SELECT_SMALL 16

struct select {
    gust_case *cases;
    size_t count;
    size_t live;           /* cases with a channel */
    uint16_t *poll_order;  /* [live] indices of cases, to be tried in this order */
    uint16_t *lock_order;  /* [live] the same by rising channel address */
    gust__waiter *waiters; /* [count] by index of the case */
    bool has_alarm;        /* something may end the wait but a case */
    gust__alarm alarm;
    void *heap; /* what a panic has to free */
};

/* --- Order ---------------------------------------------------------------- */

/* Each number drawn takes up to 10 bits of luck (GUST_SELECT_MAX), so that so many
 * leave 24: the bias is below 2^-24. */
#define DRAWS_PER_LUCK 4

static void collect_live(struct select *s)
{
    size_t live = 0;
    for (size_t i = 0; i < s->count; i++)
        if (s->cases[i].chan)
            s->poll_order[live++] = (uint16_t)i;
    s->live = live;
}

/* Uniform in [0, bound): the whole part of luck * bound, luck being a fraction of
 * 2^64.  The fraction that remains is the luck of the next draw. */
static size_t draw(uint64_t *luck, size_t bound)
{
    unsigned __int128 product = (unsigned __int128)*luck * bound;
    *luck = (uint64_t)product;
    return (size_t)(product >> 64);
}

/* Draws the case to try as number `at`: a step of Fisher and Yates' shuffle. */
static size_t draw_next(struct select *s, uint64_t *luck, size_t at)
{
    if (at % DRAWS_PER_LUCK == 0)
        *luck = gust__rand64();
    size_t other = at + draw(luck, s->live - at);
    uint16_t drawn = s->poll_order[other];
    s->poll_order[other] = s->poll_order[at];
    s->poll_order[at] = drawn;
    return drawn;
}

static gust_chan *chan_at(const struct select *s, size_t place)
{
    return s->cases[s->lock_order[place]].chan;
}

static void swap_places(struct select *s, size_t a, size_t b)
{
    uint16_t index = s->lock_order[a];
    s->lock_order[a] = s->lock_order[b];
    s->lock_order[b] = index;
}

static void sift_down(struct select *s, size_t place, size_t len)
{
    for (;;) {
        size_t child = 2 * place + 1;
        if (child >= len)
            return;
        if (child + 1 < len && chan_at(s, child) < chan_at(s, child + 1))
            child++;
        if (chan_at(s, place) >= chan_at(s, child))
            return;
        swap_places(s, place, child);
        place = child;
    }
}

/* Quickest for a few. */
static void insertion_sort(struct select *s)
{
    for (size_t i = 1; i < s->live; i++) {
        uint16_t index = s->lock_order[i];
        const gust_chan *c = s->cases[index].chan;
        size_t to = i;
        for (; to > 0 && chan_at(s, to - 1) > c; to--)
            s->lock_order[to] = s->lock_order[to - 1];
        s->lock_order[to] = index;
    }
}

/* No memory and no bad cases, for up to GUST_SELECT_MAX. */
static void heap_sort(struct select *s)
{
    for (size_t i = s->live / 2; i-- > 0;)
        sift_down(s, i, s->live);
    for (size_t len = s->live; len-- > 1;) {
        swap_places(s, 0, len);
        sift_down(s, 0, len);
    }
}

/* Begins in the order of the cases, not of the draw: a program's next select then
 * takes the same branches.  Often that is the order of the addresses already. */
static void sort_lock_order(struct select *s)
{
    const gust_chan *last = NULL;
    size_t live = 0;
    bool sorted = true;
    for (size_t i = 0; i < s->count; i++) {
        const gust_chan *c = s->cases[i].chan;
        if (!c)
            continue;
        s->lock_order[live++] = (uint16_t)i;
        sorted &= c >= last;
        last = c;
    }
    if (sorted)
        return;
    if (live <= SELECT_SMALL)
        insertion_sort(s);
    else
        heap_sort(s);
}

/* --- Locking -------------------------------------------------------------- */

static void lock_all(struct select *s)
{
    gust_chan *last = NULL;
    sort_lock_order(s);
    for (size_t i = 0; i < s->live; i++) {
        gust_chan *c = chan_at(s, i);
        if (c != last)
            gust__lock_take(&c->lock, RANK_CHAN);
        last = c;
    }
}

/* After the last drop *s is not touched: in a commit function it may be gone. */
static void unlock_all(struct select *s)
{
    gust_chan *held = NULL;
    size_t live = gust__solo ? 0 : s->live;
    for (size_t i = 0; i < live; i++) {
        gust_chan *c = chan_at(s, i);
        if (held && c != held)
            gust__lock_drop(&held->lock);
        held = c;
    }
    if (held)
        gust__lock_drop(&held->lock);
}

/* --- The four steps ------------------------------------------------------- */

/* The channel's lock is held. */
static gust__chan_try try_case(gust_case *k, gust__waiter **ret_peer)
{
    return k->op == GUST_SEND ? chan_try_send(k->chan, k->elem, ret_peer)
                              : chan_try_recv(k->chan, k->elem, ret_peer);
}

/* What remains to be done for the chosen case, with no lock held.  Returns its
 * index. */
static int finish(struct select *s, size_t index, gust__chan_try did, gust__waiter *peer)
{
    gust_case *k = &s->cases[index];
    if (k->op == GUST_RECV)
        k->received = did == TRY_DONE;
    else if (did == TRY_CLOSED) {
        free(s->heap);
        gust_panic("send on closed channel");
    }
    if (peer)
        gust__ready(peer->g);
    return (int)index;
}

static bool case_blocks(const gust_case *k)
{
    return k->op == GUST_SEND ? chan_send_blocks(k->chan) : chan_recv_blocks(k->chan);
}

/* Step 1; also completes poll_order.  Returns a case's index or -1. */
static int try_one_by_one(struct select *s)
{
    uint64_t luck = 0;
    for (size_t i = 0; i < s->live; i++) {
        size_t index = draw_next(s, &luck, i);
        gust_case *k = &s->cases[index];
        gust__waiter *peer = NULL;
        gust__chan_try did;
        if (case_blocks(k))
            continue;
        gust__lock_take(&k->chan->lock, RANK_CHAN);
        did = try_case(k, &peer);
        gust__lock_drop(&k->chan->lock);
        if (did != TRY_BLOCKED)
            return finish(s, index, did, peer);
    }
    return -1;
}

/* Step 2.  Returns a case's index with all locks dropped, or -1 with all held. */
static int try_all_locked(struct select *s)
{
    if (gust__solo)
        return -1;
    lock_all(s);
    for (size_t i = 0; i < s->live; i++) {
        size_t index = s->poll_order[i];
        gust__waiter *peer = NULL;
        gust__chan_try did;
        if (case_blocks(&s->cases[index]))
            continue;
        did = try_case(&s->cases[index], &peer);
        if (did != TRY_BLOCKED) {
            unlock_all(s);
            return finish(s, index, did, peer);
        }
    }
    return -1;
}

static gust__waitlist *case_list(const gust_case *k)
{
    return k->op == GUST_SEND ? &k->chan->sendq : &k->chan->recvq;
}

/* In the order of the draw: of several cases with one channel the first in its queue
 * will be served, and that is to be chance as well. */
static void link_all(struct select *s, G *g)
{
    _Atomic uint32_t *claim = claim_open(g);
    for (size_t i = 0; i < s->live; i++) {
        size_t index = s->poll_order[i];
        gust_case *k = &s->cases[index];
        s->waiters[index] = (gust__waiter){.g = g, .claim = claim, .elem = k->elem};
        waitlist_push(case_list(k), &s->waiters[index]);
    }
}

/* Once the alarm is set, or the first lock dropped, the goroutine may be awake.
 * Before it leaves gust_select it takes the lock of every channel but the one that
 * served it.  So it cannot get past the last one that is dropped here, unless that
 * is the one; then it was served after that drop.  Without any channel there is
 * nothing to touch after the alarm. */
static bool commit_select(G *g, void *arg)
{
    struct select *s = arg;
    size_t live = s->live;
    (void)g;
    bool parked = !s->has_alarm || gust__alarm_set(&s->alarm);
    if (live)
        unlock_all(s);
    return parked;
}

/* Step 4.  Returns the index of the case that was served or -1; *ret_outcome.  The
 * waiter that was served is linked nowhere, and its waker has dropped the lock. */
static int unlink_all(struct select *s, gust__outcome *ret_outcome)
{
    int chosen = -1;
    for (size_t i = 0; i < s->live; i++) {
        size_t index = s->poll_order[i];
        gust__waiter *w = &s->waiters[index];
        gust_chan *c = s->cases[index].chan;
        if (w->outcome != OUTCOME_NONE) {
            chosen = (int)index;
            *ret_outcome = w->outcome;
            continue;
        }
        gust__lock_take(&c->lock, RANK_CHAN);
        waitlist_remove(case_list(&s->cases[index]), w);
        gust__lock_drop(&c->lock);
    }
    return chosen;
}

/* Steps 3 and 4.  All locks are held, and dropped here. */
static int wait_for_case(struct select *s, gust_context *context, gust_time deadline)
{
    gust__outcome outcome = OUTCOME_NONE;
    G *g = gust__g();
    int chosen;
    link_all(s, g);
    s->has_alarm = deadline != GUST_FOREVER || context;
    if (s->has_alarm)
        gust__alarm_init(&s->alarm, g, deadline, context);
    gust__park(commit_select, s, WAIT_SELECT);
    if (s->has_alarm)
        gust__alarm_stop(&s->alarm);
    chosen = unlink_all(s, &outcome);
    if (chosen < 0)
        return alarm_error(&s->alarm);
    return finish(s, (size_t)chosen, outcome == OUTCOME_DONE ? TRY_DONE : TRY_CLOSED, NULL);
}

static inline int select_run(struct select *s, gust_time deadline)
{
    int chosen;
    collect_live(s);
    chosen = try_one_by_one(s);
    if (chosen >= 0)
        return chosen;
    chosen = try_all_locked(s);
    if (chosen >= 0)
        return chosen;
    gust_context *context = gust_context_current();
    int refused = wait_refused(context, deadline);
    if (refused) {
        unlock_all(s);
        return refused;
    }
    return wait_for_case(s, context, deadline);
}

/* A goroutine's stack may be as small as GUST__STACK_SIZE_MIN, and 1024 waiters
 * need four times that. */
static int use_heap(struct select *s)
{
    s->heap = gust__malloc(s->count * (sizeof *s->waiters + 2 * sizeof *s->poll_order));
    if (!s->heap)
        return -ENOMEM;
    s->waiters = s->heap;
    s->poll_order = (uint16_t *)(s->waiters + s->count);
    s->lock_order = s->poll_order + s->count;
    return 0;
}

/* All that may wait is in line here: each return after a switch is mispredicted. */
int gust_select(gust_case *cases, size_t count, gust_time deadline)
{
    GUST__CALL();
    uint16_t order[2 * SELECT_SMALL];
    gust__waiter waiters[SELECT_SMALL];
    struct select s;
    if (count > GUST_SELECT_MAX)
        return -EINVAL;
    s.cases = cases;
    s.count = count;
    s.live = 0;
    s.poll_order = order;
    s.lock_order = order + SELECT_SMALL;
    s.waiters = waiters;
    s.heap = NULL;
    if (count > SELECT_SMALL) {
        int error = use_heap(&s);
        if (error)
            return error;
    }
    int chosen = select_run(&s, deadline);
    if (s.heap)
        free(s.heap);
    return chosen;
}
