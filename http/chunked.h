/* The chunked transfer coding (RFC 9112, 7.1), decoded without copying.
 *
 * This is the only reader of chunk framing.  llhttp 8.1 accepts white space
 * after the size, bare LF and control bytes in extensions, and has no bound on
 * their length, so each line would have to be checked before llhttp saw it; and
 * a second reader of the same bytes is what request smuggling lives on. */
#ifndef GUST_HTTP_CHUNKED_H
#define GUST_HTTP_CHUNKED_H

#include "http/syntax.h"

/* A chunk-size line with its extensions and line end. */
#define CHUNK_LINE_MAX 256

/* All extensions of a body: without this bound, a client could make us read far
 * more than the body limit allows. */
#define CHUNK_EXTENSION_BYTES_MAX 16384

/*          line "n"               n bytes taken            CRLF
 *  SIZE ----------------> DATA -----------------> DATA_END -----> SIZE
 *    \--- line "0" ----> TRAILERS                                        */
enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILERS };

struct chunked {
    enum chunk_state state;
    uint64_t left;       /* of the chunk's data; the caller counts it down */
    uint64_t announced;  /* the sizes of all chunks so far */
    uint32_t extensions; /* bytes spent on them */
};

/* What the bytes that follow the skipped ones are. */
enum chunk_next {
    CHUNK_NEXT_MORE, /* not enough of them to tell */
    CHUNK_NEXT_DATA, /* at least one byte of data, at most `left` */
    CHUNK_NEXT_TRAILERS,
    CHUNK_NEXT_BAD,
};

/* Looks at p[0..n), which starts where the last call's skip (and the data taken
 * since) ended.  *ret_skip is the framing to drop; it is dropped in every case. */
enum chunk_next gust__chunked_next(struct chunked *c, const char *p, size_t n, size_t *ret_skip);

/* Without changing anything: true if the same bytes have more of the body in them, or its end,
 * so that reading on would not wait.  The line end behind a chunk's data alone has not. */
bool gust__chunked_has_more(const struct chunked *c, gust_span rest);

/* A chunk's size line, for `len` bytes of data that are followed by CRLF; it lies in `buf`. */
#define CHUNK_HEAD_MAX 20
gust_span gust__chunk_head(uint64_t len, char buf[CHUNK_HEAD_MAX]);

#endif
