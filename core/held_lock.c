/* A pthread mutex belongs to a thread.  A goroutine that parks while it holds one
 * may go on in another thread, which must not unlock it; and while it is parked,
 * another goroutine of the first thread may take it a second time, or wait for it
 * for ever.  Debug builds find that out when it parks, not when it goes wrong.
 *
 * They stand in front of libc's functions: those of an executable come before
 * those of a library, and dlsym(RTLD_NEXT) finds libc's.  What a thread's goroutine
 * has locked is noted in the thread; libc's own locks, and what
 * pthread_cond_wait drops and takes back, do not come this way, and neither does
 * mtx_lock.  The sanitizers stand in the same place, so not under them.
 *
 * Always: the list is the thread's own, and empty whenever its goroutine leaves it
 * or begins, because a goroutine that would leave with a lock aborts; but for
 * those that are wired to the thread (locked.c). */
#include "core/held_lock.h"

#ifdef GUST__HELD_LOCKS

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "core/backtrace.h"
#include "core/proc.h"
#include "core/text.h"

#define HELD_MAX 16 /* more are taken, but not noted */

typedef struct held {
    const void *lock;
    const void *taken_at;
} held;

static __thread struct {
    unsigned count;
    held locks[HELD_MAX];
} mine __attribute__((tls_model("initial-exec")));

/* --- The list --------------------------------------------------------------- */

static bool runs_goroutine(void)
{
    M *m = gust__m();
    return m && m->curg;
}

/* Result of a locking call; EOWNERDEAD is a success. */
static int note_taken(int err, const void *lock, const void *taken_at)
{
    if ((err == 0 || err == EOWNERDEAD) && mine.count < HELD_MAX && runs_goroutine())
        mine.locks[mine.count++] = (held){lock, taken_at};
    return err;
}

/* The last one, if it is locked more than once. */
static void note_dropped(const void *lock)
{
    for (unsigned i = mine.count; i-- > 0;) {
        if (mine.locks[i].lock == lock) {
            mine.locks[i] = mine.locks[--mine.count];
            return;
        }
    }
}

static void report(const held *h)
{
    gust__text t = {.fd = STDERR_FILENO};
    text_string(&t, "gust: a pthread mutex is held across a park: the one at ");
    text_hex(&t, (uintptr_t)h->lock);
    text_string(&t, " by goroutine ");
    text_number(&t, gust_goid());
    text_string(&t, "\n  locked at ");
    text_out(&t);
    gust__pc_print(t.fd, (const char *)h->taken_at - 1);
}

void gust__held_locks_check(void)
{
    /* Wired to its thread a goroutine may hold what it likes: nobody else runs
     * there, and it nowhere else. */
    if (__builtin_expect(mine.count == 0, 1) || gust__g()->lockedm)
        return;
    for (unsigned i = 0; i < mine.count; i++)
        report(&mine.locks[i]);
    mine.count = 0;
    gust__dump_and_abort(true);
}

/* --- In front of libc's ----------------------------------------------------- */

/* libc's function of that name; found at the first call, which may come before
 * any constructor of ours. */
#define REAL(name)                                                      \
    ({                                                                  \
        static _Atomic(void *) found;                                   \
        void *fn_ = atomic_load_explicit(&found, memory_order_relaxed); \
        if (!fn_) {                                                     \
            fn_ = dlsym(RTLD_NEXT, #name);                              \
            atomic_store_explicit(&found, fn_, memory_order_relaxed);   \
        }                                                               \
        (__typeof__(&name))fn_;                                         \
    })

#define CALLER __builtin_return_address(0)

int pthread_mutex_lock(pthread_mutex_t *m)
{
    return note_taken(REAL(pthread_mutex_lock)(m), m, CALLER);
}

int pthread_mutex_trylock(pthread_mutex_t *m)
{
    return note_taken(REAL(pthread_mutex_trylock)(m), m, CALLER);
}

int pthread_mutex_timedlock(pthread_mutex_t *m, const struct timespec *until)
{
    return note_taken(REAL(pthread_mutex_timedlock)(m, until), m, CALLER);
}

int pthread_mutex_clocklock(pthread_mutex_t *m, clockid_t clock, const struct timespec *until)
{
    return note_taken(REAL(pthread_mutex_clocklock)(m, clock, until), m, CALLER);
}

int pthread_mutex_unlock(pthread_mutex_t *m)
{
    note_dropped(m);
    return REAL(pthread_mutex_unlock)(m);
}

int pthread_rwlock_rdlock(pthread_rwlock_t *l)
{
    return note_taken(REAL(pthread_rwlock_rdlock)(l), l, CALLER);
}

int pthread_rwlock_tryrdlock(pthread_rwlock_t *l)
{
    return note_taken(REAL(pthread_rwlock_tryrdlock)(l), l, CALLER);
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *l, const struct timespec *until)
{
    return note_taken(REAL(pthread_rwlock_timedrdlock)(l, until), l, CALLER);
}

int pthread_rwlock_wrlock(pthread_rwlock_t *l)
{
    return note_taken(REAL(pthread_rwlock_wrlock)(l), l, CALLER);
}

int pthread_rwlock_trywrlock(pthread_rwlock_t *l)
{
    return note_taken(REAL(pthread_rwlock_trywrlock)(l), l, CALLER);
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *l, const struct timespec *until)
{
    return note_taken(REAL(pthread_rwlock_timedwrlock)(l, until), l, CALLER);
}

int pthread_rwlock_unlock(pthread_rwlock_t *l)
{
    note_dropped(l);
    return REAL(pthread_rwlock_unlock)(l);
}

#endif
