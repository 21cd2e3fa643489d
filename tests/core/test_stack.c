/* The stack arena: reuse, guards by each means and without the means. */
#include "core/stack.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "core/ctx.h"
#include "core/inject.h"
#include "core/sched.h"
#include "core/stack_free.h"
#include "tests/core/child.h"

enum { SMALL = 16 << 10 };

static gust__stack_cache cache;

static gust__stack get(size_t size)
{
    gust__stack s = {0};

    CHECK_EQ(gust__stack_get(&cache, size, &s), 0);
    return s;
}

static void finish(void)
{
    gust__stack_cache_drain(&cache);
    gust__stack_teardown();
}

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* --- Slots ----------------------------------------------------------------- */

Test(stack, the_last_one_put_is_the_next_one_got)
{
    gust__stack a, b;

    gust__stack_setup(GUST__STACK_SIZE_DEFAULT, GUST__GUARD_AUTO);
    a = get(0);
    b = get(0);
    cr_assert_neq(a.low, b.low);
    gust__stack_put(&cache, a);
    gust__stack_put(&cache, b);
    cr_assert_eq(get(0).low, b.low);
    cr_assert_eq(get(0).low, a.low);
    gust__stack_put(&cache, a);
    gust__stack_put(&cache, b);
    finish();
}

Test(stack, size_is_the_slot_rounded_up_without_its_guard)
{
    gust__stack s;

    gust__stack_setup(5 * page_size() - 1, GUST__GUARD_AUTO);
    s = get(0);
    cr_assert_eq(s.size, 4 * page_size());
    memset(s.low, 1, s.size);
    gust__stack_put(&cache, s);
    /* The default size, asked for by its number. */
    cr_assert_eq(get(5 * page_size()).low, s.low);
    gust__stack_put(&cache, s);
    finish();
}

Test(stack, putting_no_stack_is_allowed)
{
    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    gust__stack_put(&cache, (gust__stack){0});
    cr_assert_eq(cache.count, 0);
    finish();
}

Test(stack, stacks_do_not_overlap)
{
    enum { COUNT = 1000 };
    static gust__stack stacks[COUNT];

    gust__stack_setup(GUST__STACK_SIZE_DEFAULT, GUST__GUARD_AUTO);
    for (int i = 0; i < COUNT; i++) {
        stacks[i] = get(0);
        *(int *)stacks[i].low = i;
        *(int *)(stacks[i].low + stacks[i].size - sizeof(int)) = i;
    }
    for (int i = 0; i < COUNT; i++) {
        cr_assert_eq(*(int *)stacks[i].low, i);
        cr_assert_eq(*(int *)(stacks[i].low + stacks[i].size - sizeof(int)), i);
        gust__stack_put(&cache, stacks[i]);
    }
    finish();
}

Test(stack, other_sizes_are_mapped_and_unmapped)
{
    unsigned char resident;
    gust__stack s;

    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    for (size_t size = GUST__STACK_SIZE_MIN * 2; size <= (size_t)64 << 20; size *= 4) {
        s = get(size);
        cr_assert_eq(s.size, size - page_size());
        s.low[0] = s.low[s.size - 1] = 1;
        gust__stack_put(&cache, s);
        cr_assert(mincore(s.low, page_size(), &resident) < 0 && errno == ENOMEM);
    }
    cr_assert_eq(cache.count, 0);
    finish();
}

Test(stack, setup_may_follow_teardown)
{
    for (size_t size = SMALL; size <= (size_t)128 << 20; size *= 8) {
        gust__stack s;

        gust__stack_setup(size, GUST__GUARD_AUTO);
        s = get(0);
        cr_assert_eq(s.size, size - page_size());
        s.low[0] = 1;
        gust__stack_put(&cache, s);
        finish();
    }
}

/* --- Caches ---------------------------------------------------------------- */

Test(stack, a_full_cache_spills_its_coldest_half_for_others)
{
    gust__stack stacks[GUST__STACK_CACHE_MAX + 1];
    gust__stack_cache other = {0};
    gust__stack s;

    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    for (int i = 0; i <= GUST__STACK_CACHE_MAX; i++)
        stacks[i] = get(0);
    for (int i = 0; i <= GUST__STACK_CACHE_MAX; i++)
        gust__stack_put(&cache, stacks[i]);
    cr_assert_eq(cache.count, GUST__STACK_CACHE_MAX / 2 + 1);
    cr_assert_eq(cache.low[cache.count - 1], stacks[GUST__STACK_CACHE_MAX].low);

    cr_assert_eq(gust__stack_get(&other, 0, &s), 0);
    cr_assert_eq(other.count, GUST__STACK_CACHE_MAX / 2 - 1);
    cr_assert_geq(s.low, stacks[0].low < stacks[31].low ? stacks[0].low : stacks[31].low);
    gust__stack_put(&other, s);
    gust__stack_cache_drain(&other);
    finish();
}

/* --- Guards ---------------------------------------------------------------- */

static gust__guard_mode mode;
static size_t custom_size;

static void write_below_the_stack(void)
{
    gust__stack_setup(GUST__STACK_SIZE_DEFAULT, mode);
    for (int i = 0; i < 3; i++) {
        gust__stack s = get(custom_size);

        ((volatile char *)s.low)[0] = 1;
        ((volatile char *)s.low)[i == 2 ? -1 : 0] = 1;
    }
}

/* The guard must not cost the slot below it its last byte. */
static void write_all_of_the_stack(void)
{
    gust__stack_setup(GUST__STACK_SIZE_DEFAULT, mode);
    for (int i = 0; i < 3; i++) {
        gust__stack s = get(custom_size);

        memset(s.low, 1, s.size);
    }
}

Test(stack, guards_fault_in_both_modes_and_for_all_sizes)
{
    static const gust__guard_mode modes[] = {GUST__GUARD_AUTO, GUST__GUARD_MADVISE,
                                             GUST__GUARD_MPROTECT};

    for (int i = 0; i < 3; i++) {
        mode = modes[i];
        for (custom_size = 0; custom_size <= 64 << 10; custom_size += 64 << 10) {
            child_assert_ends(write_all_of_the_stack, 0);
            child_assert_ends(write_below_the_stack, SIGSEGV);
        }
    }
}

Test(stack, mode_none_has_no_guards)
{
    mode = GUST__GUARD_NONE;
    for (custom_size = 0; custom_size <= 64 << 10; custom_size += 64 << 10) {
        child_assert_ends(write_all_of_the_stack, 0);
        child_assert_ends(write_below_the_stack, 0);
    }
}

Test(stack, guard_survives_the_trimming_of_its_stack)
{
    gust__stack s;

    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    s = get(0);
    gust__stack_put(&cache, s);
    gust__stack_cache_drain(&cache);
    for (int i = 0; i < 2; i++)
        gust__stack_free_age();
    cr_assert_eq(get(0).low, s.low);
    /* write(2) answers EFAULT where a load would fault. */
    {
        int fds[2];

        cr_assert_eq(pipe(fds), 0);
        cr_assert(write(fds[1], s.low - 1, 1) < 0 && errno == EFAULT);
        cr_assert_eq(write(fds[1], s.low, 1), 1);
        close(fds[0]);
        close(fds[1]);
    }
    gust__stack_put(&cache, s);
    finish();
}

Test(stack, in_guard_is_true_for_the_page_below_and_no_other)
{
    gust__stack s;

    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    s = get(0);
    cr_assert(gust__stack_in_guard(s.low, s.low - 1));
    cr_assert(gust__stack_in_guard(s.low, s.low - page_size()));
    cr_assert_not(gust__stack_in_guard(s.low, s.low));
    cr_assert_not(gust__stack_in_guard(s.low, s.low - page_size() - 1));
    cr_assert_not(gust__stack_in_guard(NULL, NULL));
    gust__stack_put(&cache, s);
    finish();
}

/* Mappings of this process that hold an address in [low, high]. */
static long count_mappings(const char *low, const char *high)
{
    FILE *f = fopen("/proc/self/maps", "re");
    uintptr_t begin, end;
    long count = 0;

    CHECK(f != NULL);
    while (fscanf(f, "%" SCNxPTR "-%" SCNxPTR "%*[^\n]", &begin, &end) == 2)
        count += begin <= (uintptr_t)high && end > (uintptr_t)low;
    fclose(f);
    return count;
}

Test(stack, madvise_guards_cost_no_mapping_each)
{
    enum { COUNT = 4000 };
    static gust__stack stacks[COUNT];
    char *low, *high;

    gust__stack_setup(GUST__STACK_SIZE_DEFAULT, GUST__GUARD_MADVISE);
    low = high = (stacks[0] = get(0)).low;
    if (strcmp(gust__stack_guard_name(), "madvise") != 0)
        cr_skip_test("this kernel has no MADV_GUARD_INSTALL");
    for (int i = 1; i < COUNT; i++) {
        stacks[i] = get(0);
        low = stacks[i].low < low ? stacks[i].low : low;
        high = stacks[i].low > high ? stacks[i].low : high;
    }
    cr_assert_leq(count_mappings(low, high), 20);
    cr_assert_str_eq(gust__stack_guard_name(), "madvise");
    for (int i = 0; i < COUNT; i++)
        gust__stack_put(&cache, stacks[i]);
    finish();
}

/* --- When the kernel refuses ----------------------------------------------- */

#if defined(__x86_64__)
#define AUDIT_ARCH_HERE AUDIT_ARCH_X86_64
#else
#define AUDIT_ARCH_HERE AUDIT_ARCH_AARCH64
#endif

/* From now on `nr` with this third argument fails with `error`. */
static void refuse(int nr, uint32_t third, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_HERE, 0, 5),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)nr, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, third, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};

    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static void refuse_madvise(void)
{
    refuse(SYS_madvise, 102 /* MADV_GUARD_INSTALL */, EINVAL);
}

/* SECCOMP_RET_ERRNO with 0: success, and nothing done. */
static void ignore_madvise(void)
{
    refuse(SYS_madvise, 102 /* MADV_GUARD_INSTALL */, 0);
}

static void refuse_mprotect(void)
{
    refuse(SYS_mprotect, PROT_NONE, ENOMEM);
}

static void (*break_madvise)(void);

static void without_madvise(void)
{
    break_madvise();
    gust__stack_setup(SMALL, mode);
    CHECK_EQ(get(0).size, SMALL - page_size());
    CHECK(strcmp(gust__stack_guard_name(), "mprotect") == 0);
    ((volatile char *)get(0).low)[-1] = 1;
}

Test(stack, mprotect_guards_where_madvise_is_refused)
{
    break_madvise = refuse_madvise;
    mode = GUST__GUARD_AUTO;
    child_assert_ends(without_madvise, SIGSEGV);
    mode = GUST__GUARD_MADVISE;
    child_assert_ends(without_madvise, SIGSEGV);
}

Test(stack, mprotect_guards_where_madvise_does_nothing)
{
    break_madvise = ignore_madvise;
    mode = GUST__GUARD_AUTO;
    child_assert_ends(without_madvise, SIGSEGV);
}

static int lines_logged;

static void count_line(const char *line)
{
    CHECK(strstr(line, "no guard page") != NULL);
    lines_logged++;
}

static void without_both(void)
{
    refuse_madvise();
    refuse_mprotect();
    gust_set_log(count_line);
    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    for (int i = 0; i < 10; i++) {
        ((volatile char *)get(0).low)[-1] = 1;
        ((volatile char *)get(SMALL * 2).low)[-1] = 1;
    }
    CHECK(strcmp(gust__stack_guard_name(), "none") == 0);
    CHECK_EQ(lines_logged, 1);
}

Test(stack, goes_on_without_guards_and_says_so_once)
{
    child_assert_ends(without_both, 0);
}

static long mappings_max(void)
{
    FILE *f = fopen("/proc/sys/vm/max_map_count", "re");
    long n = 0;

    CHECK(f != NULL);
    CHECK_EQ(fscanf(f, "%ld", &n), 1);
    fclose(f);
    return n;
}

static void exhaust_mprotect_budget(void)
{
    long limit = mappings_max(), got = 0;
    void *map;

    gust_set_log(count_line);
    gust__stack_setup(SMALL, GUST__GUARD_MPROTECT);
    /* Lone stacks give back what they take. */
    for (int i = 0; i < 1000; i++)
        gust__stack_put(&cache, get(SMALL * 2));
    while (strcmp(gust__stack_guard_name(), "mprotect") == 0 && got < limit) {
        get(0);
        got++;
    }
    CHECK_EQ(lines_logged, 1);
    CHECK_EQ(got, limit / 8 * 3 + 1);
    CHECK(count_mappings(NULL, (const char *)UINTPTR_MAX) < limit - limit / 8);
    for (int i = 0; i < 1000; i++)
        *get(0).low = 1;
    map = mmap(NULL, page_size(), PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(map != MAP_FAILED);
    finish();
}

Test(stack, mprotect_guards_leave_mappings_for_others)
{
    if (mappings_max() > 200000)
        cr_skip_test("vm.max_map_count is too large to be exhausted quickly");
    child_assert_ends(exhaust_mprotect_budget, 0);
}

static void without_address_space(void)
{
    struct rlimit none = {1 << 20, RLIM_INFINITY}, before;
    gust__stack s = {.size = 77};
    int lone, slot;

    gust__stack_setup(SMALL, GUST__GUARD_AUTO);
    getrlimit(RLIMIT_AS, &before);
    setrlimit(RLIMIT_AS, &none);
    lone = gust__stack_get(&cache, GUST__STACK_SIZE_MAX, &s);
    slot = gust__stack_get(&cache, 0, &s);
    setrlimit(RLIMIT_AS, &before);
    CHECK_EQ(lone, -ENOMEM);
    CHECK_EQ(slot, -ENOMEM);
    CHECK_EQ(s.size, 77);
    CHECK_EQ(get(0).size, SMALL - page_size());
    finish();
}

Test(stack, refused_memory_is_enomem_and_not_for_ever)
{
    child_assert_ends(without_address_space, 0);
}
