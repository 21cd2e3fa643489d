/* Lists of free stacks, and when their pages go back to the kernel.
 *
 * The link from one hot or warm stack to the next is in its topmost bytes, which contexts do
 * not use.  A cold one has no memory for a link: one of many, the trunk, has its top page, in
 * which the others, its leaves, are listed.
 *
 * Always: a stack is in one list only, or in `trimmed` of a call of gust__stack_free_age. */
#include "core/stack_free.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "core/ctx.h"
#include "core/inject.h"
#include "core/lock.h"

/* Linux 6.14, linux/pidfd.h. */
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000)
#endif

/* Stacks whose pages are given back by one system call. */
#define TRIM_BATCH 64

/* In the top page of a stack. */
struct trunk {
    struct trunk *next;
    char *low; /* of the stack it lies in */
    unsigned count;
    char *leaves[];
};

static struct {
    size_t size, page;
    unsigned leaves_max;
    gust__lock lock; /* RANK_STACKS: */
    char *hot, *warm;
    struct trunk *cold;
} free_stacks;

/* See GUST__CTX_TOP_FREE. */
static char **link_of(char *low)
{
    _Static_assert(sizeof(char *) <= GUST__CTX_TOP_FREE, "the link fits");
    return (char **)(low + free_stacks.size - sizeof(char *));
}

static void push_locked(char **list, char *const *low, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        *link_of(low[i]) = *list;
        *list = low[i];
    }
}

static unsigned pop_locked(char **list, char **low, unsigned max)
{
    unsigned n = 0;

    for (; n < max && *list; n++) {
        low[n] = *list;
        *list = *link_of(low[n]);
    }
    return n;
}

static struct trunk *trunk_of(char *low)
{
    char *top = low + free_stacks.size - free_stacks.page;

    gust__asan_forget(top, free_stacks.page);
    return (struct trunk *)(void *)top;
}

static void push_cold_locked(char *low)
{
    struct trunk *t = free_stacks.cold;

    if (t && t->count < free_stacks.leaves_max) {
        t->leaves[t->count++] = low;
        return;
    }
    t = trunk_of(low);
    *t = (struct trunk){.next = free_stacks.cold, .low = low};
    free_stacks.cold = t;
}

static unsigned pop_cold_locked(char **low, unsigned max)
{
    struct trunk *t;
    unsigned n = 0;

    while (n < max && (t = free_stacks.cold)) {
        if (t->count == 0)
            free_stacks.cold = t->next;
        low[n++] = t->count > 0 ? t->leaves[--t->count] : t->low;
    }
    return n;
}

void gust__stack_free_setup(size_t size, size_t page)
{
    free_stacks.size = size;
    free_stacks.page = page;
    free_stacks.leaves_max = (unsigned)((page - sizeof(struct trunk)) / sizeof(char *));
    free_stacks.hot = free_stacks.warm = NULL;
    free_stacks.cold = NULL;
}

void gust__stack_free_put(char *const *low, unsigned n)
{
    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    push_locked(&free_stacks.hot, low, n);
    gust__lock_drop(&free_stacks.lock);
}

static void reverse(char **low, unsigned n)
{
    for (unsigned i = 0; i < n / 2; i++) {
        char *other = low[n - 1 - i];
        low[n - 1 - i] = low[i];
        low[i] = other;
    }
}

unsigned gust__stack_free_take(char **low, unsigned max)
{
    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    unsigned n = pop_locked(&free_stacks.hot, low, max);
    n += pop_locked(&free_stacks.warm, low + n, max - n);
    n += pop_cold_locked(low + n, max - n);
    gust__lock_drop(&free_stacks.lock);
    reverse(low, n);
    return n;
}

/* --- Ageing ---------------------------------------------------------------- */

/* Gives back what goroutines made the kernel commit.  In one call if the kernel can (Linux
 * 6.14): each call may interrupt every CPU that runs a thread of ours, for their TLBs. */
static void trim(char *const *low, unsigned n)
{
    size_t size = free_stacks.size;
    struct iovec parts[TRIM_BATCH];

    for (unsigned i = 0; i < n; i++)
        parts[i] = (struct iovec){low[i], size};
    if (!gust__inject(INJECT_PROCESS_MADVISE) &&
        syscall(SYS_process_madvise, PIDFD_SELF, parts, (size_t)n, MADV_DONTNEED, 0) ==
            (ssize_t)(n * size))
        return;
    for (unsigned i = 0; i < n; i++)
        madvise(low[i], size, MADV_DONTNEED);
}

/* Returns how many warm stacks it made cold. */
static unsigned cool_some(void)
{
    char *trimmed[TRIM_BATCH];

    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    unsigned n = pop_locked(&free_stacks.warm, trimmed, TRIM_BATCH);
    gust__lock_drop(&free_stacks.lock);
    if (n == 0)
        return 0;
    trim(trimmed, n);
    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    for (unsigned i = 0; i < n; i++)
        push_cold_locked(trimmed[i]);
    gust__lock_drop(&free_stacks.lock);
    return n;
}

bool gust__stack_free_age(void)
{
    for (unsigned n = 0; n < GUST__STACK_AGE_MAX; n += TRIM_BATCH)
        if (cool_some() < TRIM_BATCH)
            break;
    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    bool left = free_stacks.warm;
    if (!left) {
        free_stacks.warm = free_stacks.hot;
        free_stacks.hot = NULL;
    }
    gust__lock_drop(&free_stacks.lock);
    return left;
}

bool gust__stack_free_ages(void)
{
    gust__lock_take(&free_stacks.lock, RANK_STACKS);
    bool ages = free_stacks.hot || free_stacks.warm;
    gust__lock_drop(&free_stacks.lock);
    return ages;
}
