/* How many descriptors are open: to see that a test leaves none. */
#ifndef GUST_TESTS_CORE_FDS_H
#define GUST_TESTS_CORE_FDS_H

#include <dirent.h>
#include <string.h>
#include <unistd.h>

#include "tests/harness/test.h"

/* Is it what sysmon opens for a moment, to see whether a thread sleeps?  So is one
 * that has gone since it was listed: nobody else closes any meanwhile. */
static inline bool fd_is_sysmons(int dir, const char *name)
{
    char path[64] = "";
    return readlinkat(dir, name, path, sizeof path - 1) <= 0 || strstr(path, "/task/");
}

static inline size_t fd_count(void)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t count = 0;
    CHECK(dir != NULL);
    for (struct dirent *entry; (entry = readdir(dir));)
        count += !fd_is_sysmons(dirfd(dir), entry->d_name);
    closedir(dir);
    return count;
}

#endif
