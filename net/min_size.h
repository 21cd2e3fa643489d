/* The smaller of two sizes, one of which may be a length of 64 bits. */
#ifndef GUST_NET_MIN_SIZE_H
#define GUST_NET_MIN_SIZE_H

#include <stddef.h>
#include <stdint.h>

static inline size_t min_size(uint64_t a, uint64_t b)
{
    return (size_t)(a < b ? a : b);
}

#endif
