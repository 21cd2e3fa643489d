/* Buckets for values of any size, as HdrHistogram has them: 2^bits for each power of two, so
 * that a value is known to 1 / 2^bits of itself; those below 2^bits have one each. */
#ifndef GUST_CORE_LOG_LINEAR_H
#define GUST_CORE_LOG_LINEAR_H

#include <stdint.h>

/* How many there are for values below 2^value_bits. */
#define LOG_LINEAR_BUCKETS(bits, value_bits) ((1U << (bits)) * ((value_bits) - (bits) + 1))

static inline unsigned log_linear_bucket(uint64_t value, unsigned bits)
{
    if (value >> bits == 0)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - bits;
    return ((shift + 1) << bits) + ((unsigned)(value >> shift) & ((1U << bits) - 1));
}

/* The largest value that falls into it. */
static inline uint64_t log_linear_end(unsigned bucket, unsigned bits)
{
    unsigned linear = 1U << bits;

    if (bucket < linear)
        return bucket;
    unsigned shift = bucket / linear - 1;
    return ((uint64_t)(linear + bucket % linear + 1) << shift) - 1;
}

#endif
