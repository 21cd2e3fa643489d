/* Text made by hand and written by write(2), for reports that may be made in a
 * signal handler, on a thread that was anywhere: inside malloc or stdio too. */
#ifndef GUST_CORE_TEXT_H
#define GUST_CORE_TEXT_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

/* What is to go to `fd`; written when it is full, and by text_out. */
typedef struct gust__text {
    int fd;
    size_t len;
    char data[1024];
} gust__text;

/* What cannot be written is lost. */
static inline void text_out(gust__text *t)
{
    size_t done = 0;

    while (done < t->len) {
        ssize_t n = write(t->fd, t->data + done, t->len - done);
        if (n < 0 && errno != EINTR)
            break;
        done += n > 0 ? (size_t)n : 0;
    }
    t->len = 0;
}

static inline void text_string(gust__text *t, const char *s)
{
    for (; *s; s++) {
        if (t->len == sizeof t->data)
            text_out(t);
        t->data[t->len++] = *s;
    }
}

static inline void text_base(gust__text *t, uint64_t n, unsigned base)
{
    char digits[21];
    char *at = &digits[20];

    *at = '\0';
    do
        *--at = "0123456789abcdef"[n % base];
    while (n /= base);
    text_string(t, at);
}

static inline void text_number(gust__text *t, uint64_t n)
{
    text_base(t, n, 10);
}

static inline void text_hex(gust__text *t, uint64_t n)
{
    text_string(t, "0x");
    text_base(t, n, 16);
}

#endif
