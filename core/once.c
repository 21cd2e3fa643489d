/* gust_once: a flag in front of a mutex.  A compare-and-swap on the flag alone
 * would let the losers return before fn has. */
#include <gust/sync.h>
#include <stdatomic.h>

#include "core/panic.h"

static _Atomic uint32_t *done_of(gust_once *o)
{
    return (_Atomic uint32_t *)&o->done;
}

/* Also if fn panics or ends its goroutine: it has had its call (Go's sync.Once). */
static void finish(void *arg)
{
    gust_once *o = arg;
    /* Release: pairs with the acquire in gust_once_do. */
    atomic_store_explicit(done_of(o), 1, memory_order_release);
    gust_mutex_unlock(&o->mutex);
}

void gust_once_do(gust_once *o, void (*fn)(void *arg), void *arg)
{
    /* Acquire: pairs with the release below; fn's effects are visible. */
    if (atomic_load_explicit(done_of(o), memory_order_acquire))
        return;
    /* fn is the user's: it runs in no call of ours (core/call.h). */
    gust_mutex_lock(&o->mutex);
    if (atomic_load_explicit(done_of(o), memory_order_relaxed)) {
        gust_mutex_unlock(&o->mutex);
        return;
    }
    gust__unwind node;
    gust__cleanup_begin(&node, finish, o);
    fn(arg);
    gust__cleanup_end(&node);
}

/* --- Once with a result ----------------------------------------------------- */

/* What run_for_value needs; lives until gust_once_do returns. */
struct request {
    gust_once_value *once;
    gust_once_value_fn *fn;
    void *arg;
};

static void run_for_value(void *arg)
{
    struct request *r = arg;
    r->once->err = r->fn(r->arg, &r->once->value);
}

int gust_once_value_get(gust_once_value *o, gust_once_value_fn *fn, void *arg, void **ret_value)
{
    struct request r = {o, fn, arg};
    gust_once_do(&o->once, run_for_value, &r);
    if (o->err == 0)
        *ret_value = o->value;
    return o->err;
}
