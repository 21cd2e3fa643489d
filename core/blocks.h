/* Blocks of GUST__BLOCK_SIZE bytes for short use, with spare ones kept warm by
 * each P: a connection takes one for each answer and gives it back as soon as it
 * is sent.  malloc alone shrank and grew its heap for every second answer
 * (madvise), which cost a quarter of the whole request. */
#ifndef GUST_CORE_BLOCKS_H
#define GUST_CORE_BLOCKS_H

#include <stdint.h>

#define GUST__BLOCK_SIZE 16384
#define GUST__BLOCKS_SPARE_MAX 64

/* One P's spare blocks, the last one in first out.  Owner P only. */
typedef struct gust__blocks {
    uint32_t count;
    char *spare[GUST__BLOCKS_SPARE_MAX];
} gust__blocks;

/* NULL: out of memory.  Any thread; spare ones only where there is a P. */
char *gust__block_get(void);

/* NULL is accepted.  Any thread: it need not go back to the P it came from. */
void gust__block_put(char *block);

/* Frees what is spare. */
void gust__blocks_drain(gust__blocks *blocks);

#endif
