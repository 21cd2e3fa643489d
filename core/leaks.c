/* Leak checks: which goroutines are younger than a moment.
 *
 * Ids do not tell: Ps reserve them in batches.  Each goroutine remembers the
 * generation it was started in, and gust_leaks_begin starts a new one.  A spawn
 * that happens before gust_leaks_begin cannot read the new number, and one that
 * happens after it cannot read an older one; both by coherence of the one word. */
#include <gust/debug.h>
#include <gust/runtime.h>
#include <gust/timer.h>

#include "core/proc.h"
#include "core/text.h"

/* Goroutines that are about to end usually do so at once. */
#define WAIT_MIN_NS (50 * GUST_US)
#define WAIT_MAX_NS (10 * GUST_MS)

void gust_leaks_begin(gust_leaks *ret_leaks)
{
    ret_leaks->generation =
        atomic_fetch_add_explicit(&sched.generation, 1, memory_order_relaxed) + 1;
}

static bool is_leak(const G *g, const gust_leaks *begun, G *ret_copy)
{
    return gust__g_look(g, ret_copy) && ret_copy->id != gust_goid() &&
           (int32_t)(ret_copy->generation - begun->generation) >= 0;
}

/* fd < 0: only counts. */
static size_t count_leaks(const gust_leaks *begun, int fd)
{
    size_t n = 0;
    G copy;
    /* Acquire: pairs with the release in slab_publish. */
    gust__slab *s = atomic_load_explicit(&gust__slabs, memory_order_acquire);
    for (; s; s = s->next) {
        for (int i = 0; i < GUST__SLAB_GS; i++) {
            if (!is_leak(&s->gs[i], begun, &copy))
                continue;
            n++;
            if (fd >= 0)
                gust__g_print(fd, &s->gs[i], &copy);
        }
    }
    return n;
}

static void print_head(int fd, size_t n)
{
    gust__text t = {.fd = fd};
    text_string(&t, "gust: leaked goroutines: ");
    text_number(&t, n);
    text_string(&t, "\n");
    text_out(&t);
}

size_t gust_leaks_end(const gust_leaks *begun, int fd, gust_time deadline)
{
    int64_t wait = WAIT_MIN_NS;
    size_t n;
    gust_yield(); /* those that only have to run to their end */
    while ((n = count_leaks(begun, -1)) > 0 && gust_now() < deadline) {
        gust_time next = gust_after(wait);
        gust_sleep_until(next < deadline ? next : deadline);
        wait = wait < WAIT_MAX_NS ? 2 * wait : WAIT_MAX_NS;
    }
    if (n == 0 || fd < 0)
        return n;
    print_head(fd, n);
    return count_leaks(begun, fd);
}
