/* What is to be done when a goroutine's stack is left other than by return; see
 * panic.c. */
#ifndef GUST_CORE_PANIC_H
#define GUST_CORE_PANIC_H

#include <gust/panic.h>

typedef struct gust__g G;

typedef enum gust__unwind_kind {
    UNWIND_SCOPE,   /* a panic stops here: in a frame of gust_recover_with */
    UNWIND_DEFER,   /* the user's function, on the heap */
    UNWIND_CLEANUP, /* gust's own, in the frame that it cleans up for */
} gust__unwind_kind;

/* One entry of g->unwind. */
typedef struct gust__unwind {
    struct gust__unwind *outer;
    gust__unwind_kind kind;
    void (*fn)(void *arg);
    void *arg;
} gust__unwind;

/* Around a stretch in which user code runs while gust holds something: fn(arg) is
 * called by cleanup_end, or when the stack is left before.  The node lives in the
 * caller's frame.  From a goroutine. */
void gust__cleanup_begin(gust__unwind *node, void (*fn)(void *arg), void *arg);
void gust__cleanup_end(gust__unwind *node);

/* Calls what the goroutine has deferred, as it is about to end.  Outside of any
 * call of gust. */
void gust__unwind_all(G *g);

/* Frees what an abandoned goroutine had deferred; its stack must still be there. */
void gust__unwind_drop(G *g);

#endif
