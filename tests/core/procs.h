/* How many Ps a test has, in place of what GUST_MAXPROCS says: for .init. */
#ifndef GUST_TESTS_CORE_PROCS_H
#define GUST_TESTS_CORE_PROCS_H

#include <stdlib.h>

static inline void one_p(void)
{
    setenv("GUST_MAXPROCS", "1", 1);
}

static inline void two_ps(void)
{
    setenv("GUST_MAXPROCS", "2", 1);
}

#endif
