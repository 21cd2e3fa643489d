/* The end of a run, for others; see core/atend.h. */
#include "core/atend.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic(gust__at_end *) first;

void gust__at_end_add(gust__at_end *e)
{
    e->next = atomic_load_explicit(&first, memory_order_relaxed);
    /* Release: publishes e to the thread that runs it, which has joined ours besides. */
    while (!atomic_compare_exchange_weak_explicit(&first, &e->next, e, memory_order_release,
                                                  memory_order_relaxed))
        ;
}

void gust__at_end_run(void)
{
    gust__at_end *e = atomic_exchange_explicit(&first, NULL, memory_order_acquire);
    while (e) {
        gust__at_end *next = e->next; /* fn may register e for the next run */
        e->fn();
        e = next;
    }
}
