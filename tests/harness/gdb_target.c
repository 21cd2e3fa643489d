/* A program for tests/integration/gdb.py to look at: goroutines in known states,
 * and a function to stop in once they are there. */
#include <gust/chan.h>
#include <gust/runtime.h>
#include <gust/timer.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/proc.h"

#define KEPT __attribute__((noinline, noclone, used))

void everything_is_in_place(void);
void burn_in_circles(void);
void wait_for_a_message(gust_chan *c);
void sleep_for_long(void);

static _Atomic bool burns;
static volatile int after;

KEPT void everything_is_in_place(void)
{
    after++;
}

KEPT void burn_in_circles(void)
{
    for (;;)
        atomic_store_explicit(&burns, true, memory_order_relaxed);
}

KEPT void wait_for_a_message(gust_chan *c)
{
    (void)gust_chan_recv(c, NULL, GUST_FOREVER);
    after++; /* so that the call above is not the last thing in here */
}

KEPT void sleep_for_long(void)
{
    gust_sleep(1000 * GUST_SEC);
    after++;
}

static void receiver(void *arg)
{
    wait_for_a_message(arg);
}

static void sleeper(void *arg)
{
    (void)arg;
    sleep_for_long();
}

static void burner(void *arg)
{
    (void)arg;
    burn_in_circles();
}

static void start(const char *name, void (*fn)(void *arg), void *arg)
{
    if (gust_go_with(&(gust_go_options){.name = name}, fn, arg) < 0)
        abort();
}

static int parked_count(void)
{
    int n = 0;
    G copy;
    for (gust__slab *s = atomic_load(&gust__slabs); s; s = s->next)
        for (int i = 0; i < GUST__SLAB_GS; i++)
            if (gust__g_look(&s->gs[i], &copy) && copy.state == G_PARKED && copy.ctx.sp)
                n++;
    return n;
}

static int main_fn(void *arg)
{
    gust_chan *c;
    (void)arg;
    if (gust_chan_new(1, 0, &c) < 0)
        return 1;
    start("receiver", receiver, c);
    start("sleeper", sleeper, NULL);
    while (parked_count() < 2)
        gust_yield();
    start("burner", burner, NULL);
    while (!atomic_load(&burns))
        gust_yield();
    everything_is_in_place();
    return 0;
}

int main(void)
{
    setenv("GUST_MAXPROCS", "2", 1);
    return gust_run(main_fn, NULL);
}
