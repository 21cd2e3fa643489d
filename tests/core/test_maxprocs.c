/* How many Ps: GUST_MAXPROCS' syntax, affinity, and cgroup quotas read from a
 * file tree made for each test. */
#include "core/maxprocs.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/harness/test.h"

static char root[64];

static void root_make(void)
{
    strcpy(root, "/tmp/gust-cgroup-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

/* Every file of these trees; removing what is not there does no harm. */
static void root_remove(void)
{
    static const char *const paths[] = {
        "a/b/cpu.max",
        "a/cpu.max",
        "cpu.max",
        "a/b",
        "a",
        "unified/a/cpu.max",
        "unified/a",
        "unified",
        "cpu/a/cpu.cfs_quota_us",
        "cpu/a/cpu.cfs_period_us",
        "cpu/a",
        "cpu/cpu.cfs_quota_us",
        "cpu/cpu.cfs_period_us",
        "cpu",
        "cpu,cpuacct/cpu.cfs_quota_us",
        "cpu,cpuacct/cpu.cfs_period_us",
        "cpu,cpuacct",
    };
    char path[128];

    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(path, sizeof path, "%s/%s", root, paths[i]);
        remove(path);
    }
    cr_expect_eq(rmdir(root), 0);
}

/* Writes root/path, making its folders. */
static void put(const char *path, const char *text)
{
    char full[128];
    FILE *f;

    snprintf(full, sizeof full, "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    f = fopen(full, "we");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

static int quota(const char *self)
{
    return gust__cgroup_quota(root, self);
}

Test(maxprocs, v2_quota_rounds_up, .init = root_make, .fini = root_remove)
{
    static const struct {
        const char *text;
        int cpus;
    } cases[] = {
        {"100000 100000\n", 1},
        {"150000 100000\n", 2},
        {"200000 100000\n", 2},
        {"200001 100000\n", 3},
        {"1000 100000\n", 1},
        {"1600000 100000\n", 16},
        {"max 100000\n", 0},
        {"", 0},
        {"\n", 0},
        {"0 100000\n", 0},
        {"-1 100000\n", 0},
        {"100000 0\n", 0},
        {"100000\n", 0},
        {"lots 100000\n", 0},
        {"9223372036854775807 1\n", INT_MAX},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put("a/cpu.max", cases[i].text);
        cr_expect_eq(quota("0::/a\n"), cases[i].cpus, "%s", cases[i].text);
    }
}

Test(maxprocs, the_tightest_ancestor_wins, .init = root_make, .fini = root_remove)
{
    put("a/b/cpu.max", "400000 100000\n");
    cr_expect_eq(quota("0::/a/b\n"), 4);
    put("a/cpu.max", "300000 100000\n");
    cr_expect_eq(quota("0::/a/b\n"), 3);
    put("cpu.max", "200000 100000\n");
    cr_expect_eq(quota("0::/a/b\n"), 2);
    put("a/b/cpu.max", "100000 100000\n");
    cr_expect_eq(quota("0::/a/b\n"), 1);
    cr_expect_eq(quota("0::/a\n"), 2);
    cr_expect_eq(quota("0::/\n"), 2);
}

Test(maxprocs, a_path_that_is_not_mounted_here_leaves_the_root, .init = root_make,
     .fini = root_remove)
{
    put("cpu.max", "200000 100000\n");
    cr_expect_eq(quota("0::/system.slice/docker-0123.scope\n"), 2);
    cr_expect_eq(quota("0::/../sibling\n"), 2);
    cr_expect_eq(quota("0::/a/b"), 2); /* no newline at the end */
}

Test(maxprocs, v1_quota_is_read_from_the_cpu_controller, .init = root_make, .fini = root_remove)
{
    static const char self[] = "5:memory:/m\n4:cpuset:/s\n3:cpuacct,cpu:/a\n1:name=systemd:/\n";

    put("cpu/a/cpu.cfs_period_us", "100000\n");
    put("cpu/a/cpu.cfs_quota_us", "-1\n");
    cr_expect_eq(quota(self), 0);
    put("cpu/a/cpu.cfs_quota_us", "250000\n");
    cr_expect_eq(quota(self), 3);
    cr_expect_eq(quota("4:cpuset:/a\n3:cpuacct:/a\n"), 0);
    put("cpu/cpu.cfs_period_us", "50000\n");
    put("cpu/cpu.cfs_quota_us", "50000\n");
    cr_expect_eq(quota(self), 1);
}

Test(maxprocs, v1_and_v2_side_by_side_are_both_read, .init = root_make, .fini = root_remove)
{
    put("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("cpu,cpuacct/cpu.cfs_quota_us", "300000\n");
    cr_expect_eq(quota("2:cpu,cpuacct:/x\n0::/a\n"), 3);
    put("unified/a/cpu.max", "200000 100000\n");
    cr_expect_eq(quota("2:cpu,cpuacct:/x\n0::/a\n"), 2);
}

Test(maxprocs, nonsense_in_the_cgroup_list_is_no_limit, .init = root_make, .fini = root_remove)
{
    static const char *const texts[] = {
        "", "\n", "\n\n", "0", "0:", "0::", "0::\n", "0:cpu", "::", "0::relative\n", ":::::\n",
    };
    static char lengthy[3 * PATH_MAX];

    put("cpu.max", "200000 100000\n");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_eq(quota(texts[i]), 0, "%s", texts[i]);
    memset(lengthy, 'x', sizeof lengthy - 1);
    memcpy(lengthy, "0::/", 4);
    cr_expect_eq(quota(lengthy), 0);
}

Test(maxprocs, default_follows_the_affinity_mask)
{
    cpu_set_t all, one;
    int cpu = 0;

    cr_assert_eq(sched_getaffinity(0, sizeof all, &all), 0);
    cr_assert_geq(gust__maxprocs_default(), 1);
    cr_assert_leq(gust__maxprocs_default(), CPU_COUNT(&all));
    while (!CPU_ISSET(cpu, &all))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    cr_assert_eq(gust__maxprocs_default(), 1);
}

Test(maxprocs, parse_takes_1_to_1024_and_nothing_else)
{
    static const char *const refused[] = {
        "", "0", "00", "1025", "-1", "+1", " 1", "1 ", "1.5", "0x2", "two", "99999999999999999999",
    };
    int n = 77;

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        cr_expect_eq(gust__maxprocs_parse(refused[i], &n), -EINVAL, "%s", refused[i]);
        cr_expect_eq(n, 77);
    }
    cr_assert_eq(gust__maxprocs_parse("1", &n), 0);
    cr_assert_eq(n, 1);
    cr_assert_eq(gust__maxprocs_parse("1024", &n), 0);
    cr_assert_eq(n, 1024);
    cr_assert_eq(gust__maxprocs_parse("08", &n), 0);
    cr_assert_eq(n, 8);
}
