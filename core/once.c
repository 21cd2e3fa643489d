/* gust_once: a flag in front of a mutex.  A compare-and-swap on the flag alone
 * would let the losers return before fn has. */
#include <gust/sync.h>
#include <stdatomic.h>

static _Atomic uint32_t *done_of(gust_once *o)
{
    return (_Atomic uint32_t *)&o->done;
}

void gust_once_do(gust_once *o, void (*fn)(void *arg), void *arg)
{
    /* Acquire: pairs with the release below; fn's effects are visible. */
    if (atomic_load_explicit(done_of(o), memory_order_acquire))
        return;
    gust_mutex_lock(&o->mutex);
    if (!atomic_load_explicit(done_of(o), memory_order_relaxed)) {
        fn(arg);
        /* Release: pairs with the acquire above. */
        atomic_store_explicit(done_of(o), 1, memory_order_release);
    }
    gust_mutex_unlock(&o->mutex);
}
