/* The default number of Ps: affinity mask and cgroup CPU quota.
 *
 * More Ps than the quota allows would make the kernel throttle all threads of
 * the cgroup at once, for the rest of a period: latency in steps of 100 ms.  A
 * quota is an average, so a fraction rounds up (1.5 CPUs: 2 Ps).
 *
 * Inside a container, /proc/self/cgroup may name a path as the host sees it
 * that is not there in the container's own mount.  So each ancestor is tried up
 * to the mount's root, and what does not exist says nothing. */
#include "core/maxprocs.h"

#include "core/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CGROUP_TEXT_MAX = 16 << 10 };

/* Reads a small file whole; false if it cannot be read. */
static bool read_text(const char *path, char *buf, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n = 0;

    if (fd < 0)
        return false;
    while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
        len += (size_t)n;
    close(fd);
    buf[len] = '\0';
    return n >= 0;
}

/* --- Quotas ---------------------------------------------------------------- */

/* quota us of CPU time per period us, as CPUs; 0 for no limit. */
static int quota_cpus(long long quota, long long period)
{
    long long cpus;

    if (quota <= 0 || period <= 0)
        return 0;
    cpus = quota / period + (quota % period != 0);
    return cpus < INT_MAX ? (int)cpus : INT_MAX;
}

/* cpu.max of cgroup v2: "QUOTA PERIOD", or "max PERIOD" for no limit. */
static int quota_v2(const char *dir)
{
    char path[PATH_MAX], text[128];
    long long quota, period;

    if ((size_t)snprintf(path, sizeof path, "%s/cpu.max", dir) >= sizeof path ||
        !read_text(path, text, sizeof text) || sscanf(text, "%lld %lld", &quota, &period) != 2)
        return 0;
    return quota_cpus(quota, period);
}

static long long number_v1(const char *dir, const char *file)
{
    char path[PATH_MAX], text[64];

    if ((size_t)snprintf(path, sizeof path, "%s/%s", dir, file) >= sizeof path ||
        !read_text(path, text, sizeof text))
        return -1;
    return strtoll(text, NULL, 10);
}

/* cpu.cfs_quota_us of cgroup v1: -1 for no limit. */
static int quota_v1(const char *dir)
{
    return quota_cpus(number_v1(dir, "cpu.cfs_quota_us"), number_v1(dir, "cpu.cfs_period_us"));
}

/* The smaller of two limits, where 0 is none. */
static int tighter(int a, int b)
{
    if (a == 0 || b == 0)
        return a + b;
    return a < b ? a : b;
}

/* The tightest quota of mount/path and its ancestors up to mount. */
static int quota_of_path(const char *mount, const char *path, size_t path_len,
                         int (*quota)(const char *dir))
{
    char dir[PATH_MAX];
    size_t mount_len = strlen(mount);
    char *end;
    int cpus;

    /* ".." is a cgroup outside of our namespace, which no path leads to. */
    if (memmem(path, path_len, "..", 2))
        path_len = 0;
    if (mount_len + path_len >= sizeof dir)
        return 0;
    memcpy(dir, mount, mount_len);
    memcpy(dir + mount_len, path, path_len);
    end = dir + mount_len + path_len;
    *end = '\0';
    cpus = quota(dir);
    while (end > dir + mount_len) {
        while (end > dir + mount_len && *--end != '/')
            continue;
        *end = '\0';
        cpus = tighter(cpus, quota(dir));
    }
    return cpus;
}

/* --- /proc/self/cgroup ----------------------------------------------------- */

/* One line is "ID:CONTROLLERS:PATH"; with v2 the ID is 0 and CONTROLLERS empty. */
typedef struct cgroup_line {
    const char *controllers, *path;
    size_t controllers_len, path_len;
} cgroup_line;

static bool line_parse(const char *line, size_t len, cgroup_line *ret)
{
    const char *end = line + len;
    const char *first = memchr(line, ':', len);
    const char *second = first ? memchr(first + 1, ':', (size_t)(end - first - 1)) : NULL;

    if (!second || second + 1 == end || second[1] != '/')
        return false;
    ret->controllers = first + 1;
    ret->controllers_len = (size_t)(second - first - 1);
    ret->path = second + 1;
    ret->path_len = (size_t)(end - second - 1);
    return true;
}

/* True if the comma-separated list names the controller "cpu". */
static bool has_cpu(const cgroup_line *line)
{
    const char *at = line->controllers, *end = at + line->controllers_len;

    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma ? comma : end;

        if (stop - at == 3 && memcmp(at, "cpu", 3) == 0)
            return true;
        at = stop + 1;
    }
    return false;
}

/* The quota under root/mount, a usual place of a cgroup file system. */
static int quota_of_mount(const char *root, const char *mount, const cgroup_line *line,
                          int (*quota)(const char *dir))
{
    char path[PATH_MAX];

    if ((size_t)snprintf(path, sizeof path, "%s%s", root, mount) >= sizeof path)
        return 0;
    return quota_of_path(path, line->path, line->path_len, quota);
}

static int quota_of_line(const char *root, const cgroup_line *line)
{
    if (line->controllers_len == 0)
        return tighter(quota_of_mount(root, "", line, quota_v2),
                       quota_of_mount(root, "/unified", line, quota_v2));
    if (has_cpu(line))
        return tighter(quota_of_mount(root, "/cpu", line, quota_v1),
                       quota_of_mount(root, "/cpu,cpuacct", line, quota_v1));
    return 0;
}

int gust__cgroup_quota(const char *root, const char *self)
{
    int cpus = 0;

    while (*self) {
        size_t len = strcspn(self, "\n");
        cgroup_line line;

        if (line_parse(self, len, &line))
            cpus = tighter(cpus, quota_of_line(root, &line));
        self += len + (self[len] == '\n');
    }
    return cpus;
}

/* --- The default ----------------------------------------------------------- */

/* CPUs in the affinity mask; the kernel's mask may be larger than cpu_set_t. */
static int affinity_cpus(void)
{
    for (int bits = CPU_SETSIZE; bits <= CPU_SETSIZE * 64; bits *= 2) {
        size_t size = CPU_ALLOC_SIZE(bits);
        cpu_set_t *set = CPU_ALLOC(bits);
        int cpus = 0;

        if (!set)
            return 1;
        if (sched_getaffinity(0, size, set) == 0)
            cpus = CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (cpus > 0)
            return cpus;
    }
    return 1;
}

int gust__maxprocs_default(void)
{
    char *self = gust__malloc(CGROUP_TEXT_MAX);
    int cpus = affinity_cpus();

    if (self && read_text("/proc/self/cgroup", self, CGROUP_TEXT_MAX))
        cpus = tighter(cpus, gust__cgroup_quota("/sys/fs/cgroup", self));
    free(self);
    return cpus < GUST__MAXPROCS_MAX ? cpus : GUST__MAXPROCS_MAX;
}

int gust__maxprocs_parse(const char *text, int *ret)
{
    int n = 0;

    if (*text == '\0')
        return -EINVAL;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        n = n * 10 + (*text - '0');
        if (n > GUST__MAXPROCS_MAX)
            return -EINVAL;
    }
    if (n == 0)
        return -EINVAL;
    *ret = n;
    return 0;
}
