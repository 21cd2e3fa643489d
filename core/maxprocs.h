/* How many Ps to run: what this process may use of the machine. */
#ifndef GUST_CORE_MAXPROCS_H
#define GUST_CORE_MAXPROCS_H

#define GUST__MAXPROCS_MAX 1024

/* The number of CPUs in the affinity mask or the cgroup CPU quota rounded up,
 * whichever is less; 1 to GUST__MAXPROCS_MAX. */
int gust__maxprocs_default(void);

/* Reads a decimal number from 1 to GUST__MAXPROCS_MAX and nothing else.
 * Errors: -EINVAL. */
int gust__maxprocs_parse(const char *text, int *ret);

/* The tightest CPU quota of a process's cgroup and its ancestors in whole CPUs,
 * rounded up; 0 if there is none.  `root` is where cgroup file systems are
 * mounted, `self` the text of /proc/self/cgroup. */
int gust__cgroup_quota(const char *root, const char *self);

#endif
