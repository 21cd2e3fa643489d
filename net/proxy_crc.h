/* CRC32C (Castagnoli), bit by bit: a header is short, and few have one. */
#ifndef GUST_NET_PROXY_CRC_H
#define GUST_NET_PROXY_CRC_H

#include <stddef.h>
#include <stdint.h>

static inline uint32_t gust__crc32c_begin(void)
{
    return UINT32_MAX;
}

static inline uint32_t gust__crc32c_add(uint32_t state, const char *data, size_t len)
{
    const uint32_t polynomial = 0x82f63b78; /* its bits reversed, as are the data's */
    for (size_t i = 0; i < len; i++) {
        state ^= (unsigned char)data[i];
        for (int bit = 0; bit < 8; bit++)
            state = state >> 1 ^ (state & 1 ? polynomial : 0);
    }
    return state;
}

static inline uint32_t gust__crc32c_end(uint32_t state)
{
    return ~state;
}

#endif
