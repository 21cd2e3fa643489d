/* Write blocks of GUST_CONN_WBUF bytes, with a few spare ones kept warm: a
 * connection takes one for each answer and gives it back as soon as it is sent.
 * malloc alone shrank and grew its heap for every second answer (madvise). */
#ifndef GUST_NET_BLOCKS_H
#define GUST_NET_BLOCKS_H

#include <gust/net.h>

#include "core/lock.h"

#define GUST__BLOCKS_SPARE_MAX 64

/* The process's spare blocks, the last one in first out. */
typedef struct gust__blocks {
    gust__lock lock; /* RANK_BLOCKS: everything below */
    uint32_t count;
    char *spare[GUST__BLOCKS_SPARE_MAX];
} gust__blocks;

extern gust__blocks gust__blocks_all;

/* NULL: out of memory.  Any M, g0 too. */
char *gust__block_get(void);

/* NULL is accepted.  Any M, g0 too. */
void gust__block_put(char *block);

#endif
