/* Lookups as tests see them. */
#ifndef GUST_NET_LOOKUP_H
#define GUST_NET_LOOKUP_H

#include <stddef.h>

typedef struct gust__lookup_counts {
    size_t running; /* the system answers them */
    size_t queued;  /* wait for one of these to end */
    size_t callers; /* goroutines that wait for any of them */
} gust__lookup_counts;

/* From a goroutine. */
gust__lookup_counts gust__lookup_count(void);

#endif
