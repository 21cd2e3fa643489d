/* gust_rwmutex, with the rules of Go's sync.RWMutex.
 *
 * The state word: CLOSED, a writer has the lock or waits for the readers to
 * leave, so readers queue; WAITING, readers have queued, so the writer must look
 * at the queue; above these the number of readers that have the lock.
 *
 * Writers come one by one: `writers` is held by the one that has the lock or is
 * next.  Only it sets and clears CLOSED.  Always:
 *   - the lock is a writer's if CLOSED is set, there is no reader, and the last
 *     reader has said so;
 *   - WAITING implies CLOSED; it is set under waiters.lock, and so is the queue of
 *     readers only filled while CLOSED.
 *
 * With CLOSED set the number of readers only falls, and exactly one of them finds
 * that it was the last.  It tells the writer (`writer`, or `drained` if that has
 * not queued yet), and the writer waits to be told even if it sees the count at
 * zero: so nobody touches the lock any more once the writer has it, which may
 * free it after its own unlock.  A writer that gives up clears CLOSED while there
 * is a reader; if there is none it is about to be told, and waits for that.
 *
 * Go lets waiting readers count themselves in the word, where one addition does;
 * with deadlines they would have to be counted out again, against a writer that
 * has let them in. */
#include <stdatomic.h>

#include "core/waitq.h"

#define CLOSED 1u
#define WAITING 2u
#define READER 4u

static _Atomic uint32_t *state_of(gust_rwmutex *rw)
{
    return (_Atomic uint32_t *)&rw->state;
}

static uint32_t state_load(gust_rwmutex *rw)
{
    return atomic_load_explicit(state_of(rw), memory_order_relaxed);
}

/* Acquire: what the lock's last holders did is visible to the next.  Release: the
 * other way round. */
static bool state_change(gust_rwmutex *rw, uint32_t *old, uint32_t new)
{
    return atomic_compare_exchange_strong_explicit(state_of(rw), old, new, memory_order_acq_rel,
                                                   memory_order_relaxed);
}

static uint32_t readers_in(uint32_t state)
{
    return state / READER;
}

/* How long a goroutine is willing to wait. */
struct patience {
    gust_time deadline;
    bool steadfast; /* a cancellation does not matter */
};

static const struct patience endless = {GUST_FOREVER, true};

/* --- Readers -------------------------------------------------------------- */

static bool rdlock_if_open(gust_rwmutex *rw)
{
    uint32_t old = state_load(rw);
    while (!(old & CLOSED))
        if (state_change(rw, &old, old + READER))
            return true;
    return false;
}

/* Sets WAITING; false if the lock is open.  Under the lock. */
static bool announce_waiting(gust_rwmutex *rw)
{
    uint32_t old = state_load(rw);
    while (old & CLOSED)
        if (state_change(rw, &old, old | WAITING))
            return true;
    return false;
}

static void reader_give_up(gust_rwmutex *rw)
{
    gust__lock_take(waitq_lock(&rw->waiters), RANK_WAITQ);
    if (!rw->waiters.list.head)
        atomic_fetch_and_explicit(state_of(rw), ~WAITING, memory_order_relaxed);
    gust__lock_drop(waitq_lock(&rw->waiters));
}

static int rdlock_slow(gust_rwmutex *rw, struct patience patience)
{
    GUST__CALL();
    gust__lock *lock = waitq_lock(&rw->waiters);
    gust__waiter w = {.steadfast = patience.steadfast};
    int err;
    gust__lock_take(lock, RANK_WAITQ);
    /* Nobody closes an open lock twice in a row, but a writer may come between
     * the two looks. */
    while (!announce_waiting(rw)) {
        if (rdlock_if_open(rw)) {
            gust__lock_drop(lock);
            return 0;
        }
    }
    waitlist_push(&rw->waiters.list, &w);
    err = gust__wait_linked(&rw->waiters.list, lock, RANK_WAITQ, &w, patience.deadline,
                            WAIT_RWMUTEX_READ);
    if (err < 0)
        reader_give_up(rw);
    return err;
}

void gust_rwmutex_rdlock(gust_rwmutex *rw)
{
    if (!rdlock_if_open(rw))
        rdlock_slow(rw, endless);
}

int gust_rwmutex_rdlock_until(gust_rwmutex *rw, gust_time deadline)
{
    if (rdlock_if_open(rw))
        return 0;
    return deadline == GUST_NOW ? -EAGAIN : rdlock_slow(rw, (struct patience){deadline, false});
}

/* The last reader before a writer: the lock is the writer's. */
static void tell_writer(gust_rwmutex *rw)
{
    GUST__CALL();
    gust__lock *lock = waitq_lock(&rw->waiters);
    gust__waiter *w;
    gust__lock_take(lock, RANK_WAITQ);
    w = waitlist_take(&rw->writer);
    if (w)
        w->outcome = OUTCOME_DONE;
    else
        rw->drained = 1;
    gust__lock_drop(lock);
    if (w)
        gust__ready(w->g);
}

void gust_rwmutex_rdunlock(gust_rwmutex *rw)
{
    /* Release: pairs with the acquire of the writer that follows. */
    uint32_t old = atomic_fetch_sub_explicit(state_of(rw), READER, memory_order_release);
    if (readers_in(old) == 0)
        gust_panic("read unlock of rwmutex that is not read-locked");
    if (readers_in(old) == 1 && (old & CLOSED))
        tell_writer(rw);
}

/* --- Opening again -------------------------------------------------------- */

/* Lets all queued readers in.  The lock is open, and still the caller's to close:
 * it holds `writers`.  Under the lock.  Returns the chain to make ready. */
static gust__waiter *admit_readers(gust_rwmutex *rw)
{
    gust__waiter *admitted = gust__waitlist_take_all(&rw->waiters.list, OUTCOME_DONE);
    uint32_t count = 0;
    for (gust__waiter *w = admitted; w; w = w->next)
        count++;
    /* Relaxed: they see what the caller did by gust__ready. */
    atomic_fetch_add_explicit(state_of(rw), count * READER, memory_order_relaxed);
    return admitted;
}

static bool open_if_read_locked(gust_rwmutex *rw)
{
    uint32_t old = state_load(rw);
    while (readers_in(old) > 0)
        if (state_change(rw, &old, old & ~(CLOSED | WAITING)))
            return true;
    return false;
}

/* --- Writers -------------------------------------------------------------- */

/* Waits for the last reader to say so. */
static int writer_wait(gust_rwmutex *rw, struct patience patience)
{
    gust__lock *lock = waitq_lock(&rw->waiters);
    gust__waiter w = {.steadfast = patience.steadfast};
    gust__lock_take(lock, RANK_WAITQ);
    if (rw->drained) {
        rw->drained = 0;
        gust__lock_drop(lock);
        return 0;
    }
    waitlist_push(&rw->writer, &w);
    return gust__wait_linked(&rw->writer, lock, RANK_WAITQ, &w, patience.deadline,
                             WAIT_RWMUTEX_WRITE);
}

/* Ends a wait that failed with `err`.  Returns 0 if it got the lock after all. */
static int writer_give_up(gust_rwmutex *rw, int err)
{
    gust__lock *lock = waitq_lock(&rw->waiters);
    gust__waiter *admitted;
    gust__lock_take(lock, RANK_WAITQ);
    if (!open_if_read_locked(rw)) {
        gust__lock_drop(lock);
        return writer_wait(rw, endless);
    }
    admitted = admit_readers(rw);
    gust__lock_drop(lock);
    gust__waiters_ready(admitted);
    gust_mutex_unlock(&rw->writers);
    return err;
}

/* Holds `writers`.  Returns true if there are no readers. */
static bool wrlock_if_free(gust_rwmutex *rw)
{
    uint32_t old = 0;
    return state_change(rw, &old, CLOSED);
}

static int wrlock_slow(gust_rwmutex *rw, struct patience patience)
{
    GUST__CALL();
    int err;
    /* Acquire: pairs with the release of the readers that have left. */
    uint32_t old = atomic_fetch_or_explicit(state_of(rw), CLOSED, memory_order_acquire);
    if (readers_in(old) == 0)
        return 0;
    err = writer_wait(rw, patience);
    return err < 0 ? writer_give_up(rw, err) : 0;
}

void gust_rwmutex_wrlock(gust_rwmutex *rw)
{
    gust_mutex_lock(&rw->writers);
    if (!wrlock_if_free(rw))
        wrlock_slow(rw, endless);
}

int gust_rwmutex_wrlock_until(gust_rwmutex *rw, gust_time deadline)
{
    int err = gust_mutex_lock_until(&rw->writers, deadline);
    if (err < 0 || wrlock_if_free(rw))
        return err;
    if (deadline != GUST_NOW)
        return wrlock_slow(rw, (struct patience){deadline, false});
    gust_mutex_unlock(&rw->writers); /* a try does not keep readers out */
    return -EAGAIN;
}

/* Readers have queued, or the lock is not a writer's. */
static void wrunlock_slow(gust_rwmutex *rw)
{
    GUST__CALL();
    gust__lock *lock = waitq_lock(&rw->waiters);
    gust__waiter *admitted;
    uint32_t old = state_load(rw);
    if (!(old & CLOSED) || readers_in(old) > 0)
        gust_panic("write unlock of rwmutex that is not write-locked");
    gust__lock_take(lock, RANK_WAITQ);
    /* Release: pairs with the acquire of the readers that come now. */
    atomic_fetch_and_explicit(state_of(rw), ~(CLOSED | WAITING), memory_order_release);
    admitted = admit_readers(rw);
    gust__lock_drop(lock);
    gust__waiters_ready(admitted);
}

void gust_rwmutex_wrunlock(gust_rwmutex *rw)
{
    uint32_t old = CLOSED;
    if (!state_change(rw, &old, 0))
        wrunlock_slow(rw);
    gust_mutex_unlock(&rw->writers);
}
